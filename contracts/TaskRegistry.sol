// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {EpochPhase, IAttestations} from "./interfaces/IAttestations.sol";
import {IStaking, Role} from "./interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams, Work} from "./interfaces/ITaskRegistry.sol";
import {Economics} from "./libraries/Economics.sol";
import {Terms} from "./libraries/Terms.sol";
import {Tokens} from "./libraries/Tokens.sol";
import {Works} from "./libraries/Works.sol";

/// @title Tasks, their money, and the works committed to them.
/// @dev Holds exactly the budgets and reservations of all tasks. An open epoch reserves the most that it can cost; its
///      seal gives back what its works cannot cost; claims and slashes end the rest of the reservation work by work. The
///      verifier fee of an epoch can leave a few wei reserved for ever (fewer than it has verifiers): shares round down.
contract TaskRegistry is ITaskRegistry {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;
    using Terms for address;
    using Tokens for IERC20;

    /// Three slots. The first changes with the epoch, the second with every work, the third with every payment.
    struct Task {
        address terms; // parameters, initiator, first policy: see Terms
        uint40 openEpoch; // one epoch a second takes 34,000 years
        uint40 commitBy;
        bool isOpen;
        bool isClosed;
        Progress progress;
        uint128 budget;
        uint128 reserved;
    }

    /// The open epoch's works.
    struct Progress {
        bytes19 runningHash; // never reset: an epoch goes on from the one before
        uint8 lastBlock; // the last bits of the number of the block of the last work
        uint32 unitsLeft;
        uint16 maxWorkUnits;
        uint16 works;
        uint16 waiting; // enlisted trainers who have not committed
        uint16 trainers;
    }

    /// One trainer in one task.
    struct Record {
        uint128 bond; // the task's trainerBond; 0: not enlisted
        uint64 since; // the open epoch when it enlisted
        mapping(uint64 epoch => bytes32) workHashes;
        /// Epochs whose work is paid or slashed: a bit each, because a claim of many epochs then writes one slot.
        mapping(uint256 word => uint256) marks;
    }

    struct SealedEpoch {
        uint16 works;
        uint32 units;
        uint40 commitBy;
        bytes19 runningHash;
    }

    /// Most works of one epoch, so that settling it fits a block.
    uint16 public constant MAX_WORKS = 4096;

    bytes32 private constant _MARKED = bytes32(uint256(1));

    IERC20 public immutable TOKEN;
    IStaking public immutable STAKING;
    IAttestations public immutable ATTESTATIONS;
    address public immutable PAYOUTS;

    /// @inheritdoc ITaskRegistry
    uint256 public taskCount;
    /// @inheritdoc ITaskRegistry
    mapping(address trainer => uint128) public neededBondOf;

    mapping(uint256 taskId => Task) private _tasks;
    mapping(uint256 taskId => mapping(uint64 epoch => SealedEpoch)) private _sealed;
    mapping(uint256 taskId => mapping(address trainer => Record)) private _records;

    constructor(IERC20 token, IStaking staking, IAttestations attestations, address payouts) {
        TOKEN = token;
        STAKING = staking;
        ATTESTATIONS = attestations;
        PAYOUTS = payouts;
    }

    /// @inheritdoc ITaskRegistry
    function openTask(
        TaskParams calldata params,
        bytes32 specHash,
        string calldata specURI,
        bytes32 policyRoot,
        uint128 budget
    ) external returns (uint256 taskId) {
        _checkParams(params);
        require(policyRoot != bytes32(0), EmptyRoot());
        uint256 needed = _epochCost(params);
        require(budget >= needed, BudgetTooSmall(budget, needed));

        taskId = ++taskCount;
        Task storage task = _tasks[taskId];
        task.budget = budget;
        task.terms = Terms.store(params, msg.sender, policyRoot, bytes32(taskId));
        // Stands in for a sealed epoch's seed; nothing is at stake that early, so that its openness does no harm.
        bytes32 seed = keccak256(abi.encode(block.prevrandao, taskId, specHash));
        emit TaskOpened(taskId, msg.sender, params, specHash, specURI, policyRoot, seed);
        emit TaskFunded(taskId, msg.sender, budget);
        _openEpoch(taskId, task, params);
        TOKEN.pull(msg.sender, budget);
    }

    /// @inheritdoc ITaskRegistry
    function fundTask(uint256 taskId, uint128 amount) external {
        Task storage task = _known(taskId);
        require(!task.isClosed, TaskIsClosed(taskId));
        task.budget += amount;
        emit TaskFunded(taskId, msg.sender, amount);
        _openEpochIfDry(taskId, task);
        if (amount > 0) TOKEN.pull(msg.sender, amount);
    }

    /// @inheritdoc ITaskRegistry
    function closeTask(uint256 taskId) external {
        Task storage task = _known(taskId);
        (address initiator,) = task.terms.originAt();
        require(msg.sender == initiator, NotInitiator(msg.sender, initiator));
        require(!task.isClosed, TaskIsClosed(taskId));

        task.isClosed = true;
        if (task.isOpen && task.progress.works == 0) {
            task.isOpen = false;
            _free(task, _epochCost(task.terms.paramsAt()));
        }
        emit TaskClosed(taskId);
    }

    /// @inheritdoc ITaskRegistry
    function refundTask(uint256 taskId) external {
        Task storage task = _known(taskId);
        uint256 amount = task.budget;
        require(task.isClosed && amount > 0, NothingToRefund(taskId));
        require(!task.isOpen, EpochNotReady(taskId, task.openEpoch, task.commitBy));
        if (task.openEpoch > 0) {
            uint64 last = task.openEpoch - 1;
            EpochPhase phase = ATTESTATIONS.phaseOf(taskId, last);
            require(
                phase == EpochPhase.Final || phase == EpochPhase.Void,
                EpochNotReady(taskId, last, _sealed[taskId][last].commitBy)
            );
        }

        (address initiator,) = task.terms.originAt();
        task.budget = 0;
        emit TaskRefunded(taskId, initiator, amount);
        TOKEN.safeTransfer(initiator, amount);
    }

    /// @inheritdoc ITaskRegistry
    function enlist(uint256 taskId) external {
        Task storage task = _known(taskId);
        require(!task.isClosed, TaskIsClosed(taskId));
        (address trainer, uint128 bonded) = STAKING.activeBond(Role.Trainer, msg.sender);
        Record storage record = _records[taskId][trainer];
        require(record.bond == 0, AlreadyEnlisted(taskId, trainer));
        uint128 bond = task.terms.paramsAt().trainerBond;
        uint128 needed = neededBondOf[trainer] + bond;
        require(bonded >= needed, NotBonded(trainer, bonded, needed));

        neededBondOf[trainer] = needed;
        (record.bond, record.since) = (bond, task.openEpoch);
        ++task.progress.trainers;
        if (record.workHashes[task.openEpoch] == bytes32(0)) ++task.progress.waiting;
        emit TrainerEnlisted(taskId, trainer);
        STAKING.enlisted(trainer, Role.Trainer, true);
    }

    /// @inheritdoc ITaskRegistry
    function delist(uint256 taskId, address trainer) external {
        Task storage task = _known(taskId);
        Record storage record = _records[taskId][trainer];
        require(record.bond != 0, NotEnlisted(taskId, trainer));
        require(
            STAKING.operatorOf(msg.sender) == trainer || _hasLeft(record, trainer, task.openEpoch),
            StillActive(taskId, trainer)
        );
        _delist(taskId, task, trainer);
    }

    /// @inheritdoc ITaskRegistry
    function commitWork(uint256 taskId, bytes32 manifestRoot, uint16 units, uint32 policyVersion) external {
        Task storage task = _tasks[taskId];
        Progress memory progress = task.progress;
        uint40 epoch = task.openEpoch;
        require(task.isOpen, EpochNotOpen(taskId));
        require(manifestRoot != bytes32(0), EmptyRoot());
        require(units > 0 && units <= progress.maxWorkUnits, BadUnits(units, progress.maxWorkUnits));
        require(units <= progress.unitsLeft && progress.works < MAX_WORKS, EpochFull(taskId, epoch, progress.unitsLeft));
        if (block.timestamp >= task.commitBy) {
            require(progress.works == 0, CommitClosed(taskId, epoch, task.commitBy));
            _startWindow(taskId, task, task.terms.paramsAt().commitWindow);
        }
        (address trainer, Record storage record) = _enlistedTrainer(taskId);
        bytes32 hash = Works.hash(Work(trainer, progress.works, units, policyVersion, manifestRoot));
        _remember(record, taskId, epoch, trainer, hash);
        emit WorkCommitted(taskId, epoch, trainer, progress.works, units, policyVersion, manifestRoot);

        progress.runningHash = Works.fold(progress.runningHash, hash);
        progress.lastBlock = uint8(block.number);
        // An enlisted trainer without a work is among those waited for, so that none of the three can pass its end.
        unchecked {
            ++progress.works;
            progress.unitsLeft -= units;
            --progress.waiting;
        }
        task.progress = progress;
    }

    /// @inheritdoc ITaskRegistry
    function seal(uint256 taskId) external returns (uint64 epoch, uint16 works, bytes32 runningHash) {
        require(msg.sender == address(ATTESTATIONS), NotAuthorised(msg.sender));
        Task storage task = _known(taskId);
        require(task.isOpen, EpochNotOpen(taskId));
        (epoch, works, runningHash) = (task.openEpoch, task.progress.works, task.progress.runningHash);
        // The seed comes from the block of the seal. Were that the block of the last work, its trainer could let both fail
        // until the seed spares it. 256 blocks on, the bits are the same again: then the seal waits for one block more.
        bool isLastBlock = task.progress.lastBlock == uint8(block.number);
        require(_isReady(task) && !isLastBlock, EpochNotReady(taskId, epoch, task.commitBy));

        TaskParams memory params = task.terms.paramsAt();
        uint32 units = params.maxEpochUnits - task.progress.unitsLeft;
        _sealed[taskId][epoch] = SealedEpoch(works, units, task.commitBy, bytes19(runningHash));
        _free(task, uint256(task.progress.unitsLeft) * params.unitPrice);
        task.isOpen = false;
        task.openEpoch = uint40(epoch) + 1;
        task.progress.waiting = task.progress.trainers; // also when no epoch opens: `_delist` counts down
        _openEpoch(taskId, task, params);
    }

    /// @inheritdoc ITaskRegistry
    function releaseEpoch(uint256 taskId, uint64 epoch) external {
        require(msg.sender == address(ATTESTATIONS), NotAuthorised(msg.sender));
        Task storage task = _tasks[taskId];
        TaskParams memory params = task.terms.paramsAt();
        _free(task, uint256(_sealed[taskId][epoch].units) * params.unitPrice + params.verifierFee);
        _openEpochIfDry(taskId, task);
    }

    /// @inheritdoc ITaskRegistry
    function release(uint256 taskId, uint256 amount) external {
        require(msg.sender == address(ATTESTATIONS), NotAuthorised(msg.sender));
        Task storage task = _tasks[taskId];
        _free(task, amount);
        _openEpochIfDry(taskId, task);
    }

    /// @inheritdoc ITaskRegistry
    function settleWorks(uint256 taskId, address trainer, uint256[] calldata places, bytes32[] calldata hashes)
        external
        returns (uint128 unitPrice, uint128 fraudSlash)
    {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        Record storage record = _records[taskId][trainer];
        uint256 word = places[0] >> 24;
        uint256 marks = record.marks[word];
        for (uint256 i; i < places.length; ++i) {
            uint256 epoch = places[i] >> 16;
            if (epoch >> 8 != word) {
                record.marks[word] = marks;
                word = epoch >> 8;
                marks = record.marks[word];
            }
            // forge-lint: disable-next-line(incorrect-shift)
            uint256 bit = 1 << (epoch & 0xff);
            require(
                record.workHashes[uint64(epoch)] == hashes[i] && marks & bit == 0,
                WrongWork(taskId, uint64(epoch), trainer)
            );
            marks |= bit;
        }
        record.marks[word] = marks;
        return _tasks[taskId].terms.pricesAt();
    }

    /// @inheritdoc ITaskRegistry
    function pay(uint256 taskId, address to, uint256 amount, uint256 released) external {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        Task storage task = _tasks[taskId];
        // `amount` never exceeds `released`, and that never the reservation: the subtractions check it.
        uint128 kept = (released - amount).toUint128();
        (task.reserved, task.budget) = (task.reserved - released.toUint128(), task.budget + kept);
        if (amount > 0) TOKEN.safeTransfer(to, amount);
    }

    /// @inheritdoc ITaskRegistry
    function credit(uint256 taskId, uint128 amount) external {
        require(msg.sender == address(ATTESTATIONS), NotAuthorised(msg.sender));
        _tasks[taskId].budget += amount;
    }

    /// @inheritdoc ITaskRegistry
    function creditFraud(uint256 taskId, address trainer, uint128 amount, uint256 released, uint128 bonded) external {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        Task storage task = _tasks[taskId];
        uint128 freed = released.toUint128();
        (task.reserved, task.budget) = (task.reserved - freed, task.budget + freed + amount);
        // Not enlisted: no bond is needed.
        if (bonded < _records[taskId][trainer].bond) _delist(taskId, task, trainer);
    }

    /// @inheritdoc ITaskRegistry
    function paramsOf(uint256 taskId) external view returns (TaskParams memory) {
        return _known(taskId).terms.paramsAt();
    }

    /// @inheritdoc ITaskRegistry
    function policyRootOf(uint256 taskId) external view returns (bytes32 policyRoot) {
        (, policyRoot) = _known(taskId).terms.originAt();
    }

    /// @inheritdoc ITaskRegistry
    function stateOf(uint256 taskId)
        external
        view
        returns (
            address initiator,
            uint256 budget,
            uint256 reserved,
            uint64 openEpoch,
            uint16 enlistedTrainers,
            bool isOpen,
            bool isClosed
        )
    {
        Task storage task = _tasks[taskId];
        if (task.terms != address(0)) (initiator,) = task.terms.originAt();
        return
            (initiator, task.budget, task.reserved, task.openEpoch, task.progress.trainers, task.isOpen, task.isClosed);
    }

    /// @inheritdoc ITaskRegistry
    function epochOf(uint256 taskId, uint64 epoch)
        external
        view
        returns (uint16 works, uint32 units, uint40 commitBy, bytes32 runningHash)
    {
        Task storage task = _tasks[taskId];
        if (task.isOpen && epoch == task.openEpoch) {
            units = task.terms.paramsAt().maxEpochUnits - task.progress.unitsLeft;
            return (task.progress.works, units, task.commitBy, task.progress.runningHash);
        }
        SealedEpoch storage past = _sealed[taskId][epoch];
        return (past.works, past.units, past.commitBy, past.runningHash);
    }

    /// @inheritdoc ITaskRegistry
    function workHash(uint256 taskId, uint64 epoch, address trainer) external view returns (bytes32) {
        Record storage record = _records[taskId][trainer];
        // forge-lint: disable-next-line(incorrect-shift)
        bool isMarked = record.marks[epoch >> 8] & (1 << (epoch & 0xff)) != 0;
        return isMarked ? _MARKED : record.workHashes[epoch];
    }

    /// @inheritdoc ITaskRegistry
    function isEnlisted(uint256 taskId, address trainer) external view returns (bool) {
        return _records[taskId][trainer].bond != 0;
    }

    /// @inheritdoc ITaskRegistry
    function sealable(uint256 taskId) external view returns (bool) {
        return _tasks[taskId].isOpen && _isReady(_tasks[taskId]);
    }

    function _remember(Record storage record, uint256 taskId, uint64 epoch, address trainer, bytes32 hash) private {
        if (record.workHashes[epoch] != bytes32(0)) revert AlreadyCommitted(taskId, epoch, trainer);
        record.workHashes[epoch] = hash;
    }

    function _delist(uint256 taskId, Task storage task, address trainer) private {
        Record storage record = _records[taskId][trainer];
        neededBondOf[trainer] -= record.bond;
        (record.bond, record.since) = (0, 0);
        Progress memory progress = task.progress;
        if (record.workHashes[task.openEpoch] == bytes32(0)) --progress.waiting;
        --progress.trainers;
        task.progress = progress;
        emit TrainerDelisted(taskId, trainer);
        STAKING.enlisted(trainer, Role.Trainer, false);
    }

    /// Opens the epoch that is next, if the task goes on and its budget covers it.
    function _openEpoch(uint256 taskId, Task storage task, TaskParams memory params) private {
        if (task.isClosed) return;
        if (params.maxEpochs != 0 && task.openEpoch == params.maxEpochs) {
            task.isClosed = true;
            emit TaskClosed(taskId);
            return;
        }
        uint256 cost = _epochCost(params);
        if (task.budget < cost) return;
        task.budget -= uint128(cost); // no more than the budget
        task.reserved += uint128(cost);
        task.isOpen = true;
        task.progress.works = 0;
        task.progress.unitsLeft = params.maxEpochUnits;
        task.progress.maxWorkUnits = params.maxWorkUnits;
        task.progress.waiting = task.progress.trainers;
        _startWindow(taskId, task, params.commitWindow);
    }

    function _openEpochIfDry(uint256 taskId, Task storage task) private {
        if (!task.isOpen && !task.isClosed) _openEpoch(taskId, task, task.terms.paramsAt());
    }

    function _startWindow(uint256 taskId, Task storage task, uint32 commitWindow) private {
        uint40 commitBy = (block.timestamp + commitWindow).toUint40();
        task.commitBy = commitBy;
        emit EpochOpened(taskId, task.openEpoch, commitBy);
    }

    /// Moves money from the reservation back to the budget.
    function _free(Task storage task, uint256 amount) private {
        uint128 freed = amount.toUint128();
        task.reserved -= freed;
        task.budget += freed;
    }

    /// The trainer that the caller acts for: enlisted, and with its bond still in place.
    function _enlistedTrainer(uint256 taskId) private view returns (address trainer, Record storage record) {
        uint128 bonded;
        (trainer, bonded,) = STAKING.stakeOf(Role.Trainer, msg.sender);
        record = _records[taskId][trainer];
        uint128 needed = record.bond;
        if (needed == 0) revert NotEnlisted(taskId, trainer);
        if (bonded < needed) revert NotBonded(trainer, bonded, needed);
    }

    function _known(uint256 taskId) private view returns (Task storage task) {
        task = _tasks[taskId];
        require(task.terms != address(0), UnknownTask(taskId));
    }

    /// Whether nobody is left for whom the open epoch should wait.
    function _isReady(Task storage task) private view returns (bool) {
        return task.progress.works > 0
            && (block.timestamp >= task.commitBy
                || task.progress.unitsLeft == 0
                || task.progress.works == MAX_WORKS
                || task.progress.waiting == 0);
    }

    /// Whether a trainer's enlistment may be ended by anybody.
    function _hasLeft(Record storage record, address trainer, uint64 openEpoch) private view returns (bool) {
        // It was enlisted before the last sealed epoch opened, and has no work in it.
        if (openEpoch > record.since + 1 && record.workHashes[openEpoch - 1] == bytes32(0)) return true;
        (uint128 bonded,,,) = STAKING.bondOf(trainer, Role.Trainer);
        return bonded < neededBondOf[trainer];
    }

    function _checkParams(TaskParams calldata params) private view {
        require(params.unitPrice > 0, BadParams("unitPrice"));
        require(params.maxWorkUnits > 0, BadParams("maxWorkUnits"));
        require(params.maxEpochUnits >= params.maxWorkUnits, BadParams("maxEpochUnits"));
        require(params.trainerBond > 0 && params.trainerBond >= params.fraudSlash, BadParams("trainerBond"));
        require(params.verifierBond > 0 && params.verifierBond >= params.absenceSlash, BadParams("verifierBond"));
        require(params.quorumBps > Economics.BPS / 2 && params.quorumBps <= Economics.BPS, BadParams("quorumBps"));
        require(params.samplingBps > 0 && params.samplingBps <= Economics.BPS, BadParams("samplingBps"));
        require(params.commitWindow > 0, BadParams("commitWindow"));
        require(params.attestWindow > 0, BadParams("attestWindow"));
        require(params.revealWindow > 0, BadParams("revealWindow"));

        // Twice the reveal window: for so long again can a verifier that hides its report delay `settle`.
        uint256 windows = uint256(params.commitWindow) + params.attestWindow + 2 * uint256(params.revealWindow)
            + params.challengeWindow + params.appealWindow;
        uint256 unbonding = STAKING.UNBONDING_PERIOD();
        require(windows < unbonding, WindowsTooLong(windows, unbonding));
        uint256 gain = uint256(params.maxWorkUnits) * params.unitPrice;
        uint256 needed = Economics.neededSlash(gain, params.samplingBps);
        require(params.fraudSlash >= needed, CheatingPays(params.fraudSlash, needed));
    }

    /// The most that one epoch can cost.
    function _epochCost(TaskParams memory params) private pure returns (uint256) {
        return uint256(params.maxEpochUnits) * params.unitPrice + params.verifierFee;
    }
}
