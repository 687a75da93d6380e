// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";

import {EpochPhase, IAttestations} from "./interfaces/IAttestations.sol";
import {IStaking, Role} from "./interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams, Work} from "./interfaces/ITaskRegistry.sol";
import {Economics} from "./libraries/Economics.sol";
import {Terms} from "./libraries/Terms.sol";
import {Tokens} from "./libraries/Tokens.sol";

/// @title Tasks, their money, and the works committed to them.
/// @dev Holds exactly the budgets and reservations of all tasks. An open epoch reserves the most that it can cost; its
///      seal gives back what its works cannot cost; claims and slashes end the rest of the reservation work by work. The
///      verifier fee of an epoch can leave a few wei reserved for ever (fewer than it has verifiers): shares round down.
contract TaskRegistry is ITaskRegistry {
    using BitMaps for BitMaps.BitMap;
    using SafeCast for uint256;
    using SafeERC20 for IERC20;
    using Terms for address;
    using Tokens for IERC20;

    /// The first slot holds all that a commit needs besides the trainer's own.
    struct Task {
        uint64 openEpoch;
        uint40 commitBy;
        uint32 unitsLeft;
        uint16 works;
        uint16 maxWorkUnits;
        uint16 trainers;
        uint16 waiting; // enlisted trainers who have not committed in the open epoch
        bool isOpen;
        bool isClosed;
        bytes32 runningHash; // never reset: an epoch goes on from the one before
        uint128 budget;
        uint128 reserved;
        address terms; // parameters, initiator, first policy: see Terms
    }

    struct Enlistment {
        uint128 bond; // the task's trainerBond; 0: not enlisted
        uint64 since; // the open epoch at that time
    }

    struct SealedEpoch {
        uint16 works;
        uint32 units;
        uint40 commitBy;
        bytes32 runningHash;
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
    mapping(uint256 taskId => mapping(address trainer => Enlistment)) private _enlistments;
    mapping(uint256 taskId => mapping(address trainer => mapping(uint64 epoch => bytes32))) private _workHashes;
    /// Epochs whose work is paid or slashed: a bit each, because a claim of many epochs then writes one slot.
    mapping(uint256 taskId => mapping(address trainer => BitMaps.BitMap)) private _marked;

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
        if (task.isOpen && task.works == 0) {
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
        Enlistment storage enlistment = _enlistments[taskId][trainer];
        require(enlistment.bond == 0, AlreadyEnlisted(taskId, trainer));
        uint128 bond = task.terms.paramsAt().trainerBond;
        uint128 needed = neededBondOf[trainer] + bond;
        require(bonded >= needed, NotBonded(trainer, bonded, needed));

        neededBondOf[trainer] = needed;
        (enlistment.bond, enlistment.since) = (bond, task.openEpoch);
        ++task.trainers;
        if (_workHashes[taskId][trainer][task.openEpoch] == bytes32(0)) ++task.waiting;
        emit TrainerEnlisted(taskId, trainer);
        STAKING.enlisted(trainer, Role.Trainer, true);
    }

    /// @inheritdoc ITaskRegistry
    function delist(uint256 taskId, address trainer) external {
        Task storage task = _known(taskId);
        Enlistment storage enlistment = _enlistments[taskId][trainer];
        require(enlistment.bond != 0, NotEnlisted(taskId, trainer));
        require(
            STAKING.operatorOf(msg.sender) == trainer || _hasLeft(taskId, task.openEpoch, trainer, enlistment.since),
            StillActive(taskId, trainer)
        );

        neededBondOf[trainer] -= enlistment.bond;
        delete _enlistments[taskId][trainer];
        --task.trainers;
        if (_workHashes[taskId][trainer][task.openEpoch] == bytes32(0)) --task.waiting;
        emit TrainerDelisted(taskId, trainer);
        STAKING.enlisted(trainer, Role.Trainer, false);
    }

    /// @inheritdoc ITaskRegistry
    function commitWork(uint256 taskId, bytes32 manifestRoot, uint16 units, uint32 policyVersion) external {
        Task storage task = _tasks[taskId];
        require(task.isOpen, EpochNotOpen(taskId));
        require(manifestRoot != bytes32(0), EmptyRoot());
        require(units > 0 && units <= task.maxWorkUnits, BadUnits(units, task.maxWorkUnits));
        require(units <= task.unitsLeft && task.works < MAX_WORKS, EpochFull(taskId, task.openEpoch, task.unitsLeft));
        if (block.timestamp >= task.commitBy) {
            require(task.works == 0, CommitClosed(taskId, task.openEpoch, task.commitBy));
            _startWindow(taskId, task, task.terms.paramsAt().commitWindow);
        }
        _commit(taskId, task, Work(_enlistedTrainer(taskId), task.works, units, policyVersion, manifestRoot));
    }

    /// @inheritdoc ITaskRegistry
    function seal(uint256 taskId) external returns (uint64 epoch, uint16 works, bytes32 runningHash) {
        require(msg.sender == address(ATTESTATIONS), NotAuthorised(msg.sender));
        Task storage task = _known(taskId);
        require(task.isOpen, EpochNotOpen(taskId));
        (epoch, works, runningHash) = (task.openEpoch, task.works, task.runningHash);
        require(_isReady(task), EpochNotReady(taskId, epoch, task.commitBy));

        TaskParams memory params = task.terms.paramsAt();
        uint32 units = params.maxEpochUnits - task.unitsLeft;
        _sealed[taskId][epoch] = SealedEpoch(works, units, task.commitBy, runningHash);
        _free(task, uint256(task.unitsLeft) * params.unitPrice);
        task.isOpen = false;
        task.openEpoch = epoch + 1;
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
    function settleWork(uint256 taskId, uint64 epoch, Work calldata work) external {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        BitMaps.BitMap storage marked = _marked[taskId][work.trainer];
        require(
            _workHashes[taskId][work.trainer][epoch] == _hash(work) && !marked.get(epoch),
            WrongWork(taskId, epoch, work.trainer)
        );
        marked.set(epoch);
    }

    /// @inheritdoc ITaskRegistry
    function pay(uint256 taskId, address to, uint256 amount, uint256 released) external {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        Task storage task = _tasks[taskId];
        // `amount` never exceeds `released`, and that never the reservation: the subtractions check it.
        task.reserved -= released.toUint128();
        task.budget += (released - amount).toUint128();
        if (amount > 0) TOKEN.safeTransfer(to, amount);
    }

    /// @inheritdoc ITaskRegistry
    function credit(uint256 taskId, uint128 amount) external {
        require(msg.sender == PAYOUTS || msg.sender == address(ATTESTATIONS), NotAuthorised(msg.sender));
        Task storage task = _tasks[taskId];
        task.budget += amount;
        emit TaskFunded(taskId, address(STAKING), amount);
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
        return (initiator, task.budget, task.reserved, task.openEpoch, task.trainers, task.isOpen, task.isClosed);
    }

    /// @inheritdoc ITaskRegistry
    function epochOf(uint256 taskId, uint64 epoch)
        external
        view
        returns (uint16 works, uint32 units, uint40 commitBy, bytes32 runningHash)
    {
        Task storage task = _tasks[taskId];
        if (task.isOpen && epoch == task.openEpoch) {
            units = task.terms.paramsAt().maxEpochUnits - task.unitsLeft;
            return (task.works, units, task.commitBy, task.runningHash);
        }
        SealedEpoch storage past = _sealed[taskId][epoch];
        return (past.works, past.units, past.commitBy, past.runningHash);
    }

    /// @inheritdoc ITaskRegistry
    function workHash(uint256 taskId, uint64 epoch, address trainer) external view returns (bytes32) {
        return _marked[taskId][trainer].get(epoch) ? _MARKED : _workHashes[taskId][trainer][epoch];
    }

    /// @inheritdoc ITaskRegistry
    function isEnlisted(uint256 taskId, address trainer) external view returns (bool) {
        return _enlistments[taskId][trainer].bond != 0;
    }

    /// @inheritdoc ITaskRegistry
    function sealable(uint256 taskId) external view returns (bool) {
        return _tasks[taskId].isOpen && _isReady(_tasks[taskId]);
    }

    function _commit(uint256 taskId, Task storage task, Work memory work) private {
        uint64 epoch = task.openEpoch;
        mapping(uint64 => bytes32) storage hashes = _workHashes[taskId][work.trainer];
        require(hashes[epoch] == bytes32(0), AlreadyCommitted(taskId, epoch, work.trainer));

        bytes32 hash = _hash(work);
        hashes[epoch] = hash;
        task.runningHash = keccak256(abi.encode(task.runningHash, hash));
        task.works = work.index + 1;
        task.unitsLeft -= work.units;
        --task.waiting;
        emit WorkCommitted(taskId, epoch, work.trainer, work.index, work.units, work.policyVersion, work.manifestRoot);
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
        task.works = 0;
        task.unitsLeft = params.maxEpochUnits;
        task.maxWorkUnits = params.maxWorkUnits;
        task.waiting = task.trainers;
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
    function _enlistedTrainer(uint256 taskId) private view returns (address) {
        (address trainer, uint128 bonded,) = STAKING.stakeOf(Role.Trainer, msg.sender);
        uint128 needed = _enlistments[taskId][trainer].bond;
        require(needed != 0, NotEnlisted(taskId, trainer));
        require(bonded >= needed, NotBonded(trainer, bonded, needed));
        return trainer;
    }

    function _known(uint256 taskId) private view returns (Task storage task) {
        task = _tasks[taskId];
        require(task.terms != address(0), UnknownTask(taskId));
    }

    /// Whether nobody is left for whom the open epoch should wait.
    function _isReady(Task storage task) private view returns (bool) {
        return task.works > 0
            && (block.timestamp >= task.commitBy || task.unitsLeft == 0 || task.works == MAX_WORKS || task.waiting == 0);
    }

    /// Whether a trainer's enlistment may be ended by anybody.
    function _hasLeft(uint256 taskId, uint64 openEpoch, address trainer, uint64 since) private view returns (bool) {
        // An enlistment counts as older than the last sealed epoch only if it is: one made in between is not.
        if (openEpoch > since + 1 && _workHashes[taskId][trainer][openEpoch - 1] == bytes32(0)) return true;
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

        uint256 windows = uint256(params.commitWindow) + params.attestWindow + params.revealWindow
            + params.challengeWindow + params.appealWindow;
        uint256 unbonding = STAKING.UNBONDING_PERIOD();
        require(windows < unbonding, WindowsTooLong(windows, unbonding));
        uint256 gain = uint256(params.maxWorkUnits) * params.unitPrice;
        uint256 needed = Economics.neededSlash(gain, params.samplingBps);
        require(params.fraudSlash >= needed, CheatingPays(params.fraudSlash, needed));
    }

    function _hash(Work memory work) private pure returns (bytes32) {
        return keccak256(abi.encode(work.index, work.trainer, work.units, work.policyVersion, work.manifestRoot));
    }

    /// The most that one epoch can cost.
    function _epochCost(TaskParams memory params) private pure returns (uint256) {
        return uint256(params.maxEpochUnits) * params.unitPrice + params.verifierFee;
    }
}
