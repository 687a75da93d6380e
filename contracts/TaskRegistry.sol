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
///      seal gives back what its works cannot cost; claims and slashes end the rest of the reservation work by work.
///      Challengers' bonds, and what challengers have won, are reserved until they are claimed. The
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
        uint128 collateral; // of the trainer's bond, what answers for its works in this task
        uint40 since; // the open epoch when it enlisted
        uint40 delistedAt; // 0 while it is enlisted
        uint40 committedEpochs; // 1 + the last epoch in which it has a work
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
    address public immutable CHALLENGES;
    address public immutable PAYOUTS;
    /// @inheritdoc ITaskRegistry
    uint8 public immutable SEAL_DELAY;

    /// @inheritdoc ITaskRegistry
    uint256 public taskCount;
    /// @inheritdoc ITaskRegistry
    mapping(address trainer => uint128) public neededBondOf;

    mapping(uint256 taskId => Task) private _tasks;
    mapping(uint256 taskId => mapping(uint64 epoch => SealedEpoch)) private _sealed;
    mapping(uint256 taskId => mapping(address trainer => Record)) private _records;

    // No address is checked for zero: see Staking.
    // slither-disable-start missing-zero-check
    constructor(
        IERC20 token,
        IStaking staking,
        IAttestations attestations,
        address challenges,
        address payouts,
        uint8 sealDelay
    ) {
        require(sealDelay > 0, BadSealDelay());
        TOKEN = token;
        STAKING = staking;
        ATTESTATIONS = attestations;
        CHALLENGES = challenges;
        PAYOUTS = payouts;
        SEAL_DELAY = sealDelay;
    }

    // slither-disable-end missing-zero-check

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
        require(!_isEnlisted(record), AlreadyEnlisted(taskId, trainer));
        uint128 collateral = task.terms.paramsAt().trainerBond;
        // What an earlier enlistment for this task has left set aside counts towards this one.
        uint128 needed = neededBondOf[trainer] - record.collateral + collateral;
        require(bonded >= needed, NotBonded(trainer, bonded, needed));

        neededBondOf[trainer] = needed;
        (record.collateral, record.since, record.delistedAt) = (collateral, task.openEpoch, 0);
        ++task.progress.trainers;
        if (record.committedEpochs <= task.openEpoch) ++task.progress.waiting;
        emit TrainerEnlisted(taskId, trainer);
        STAKING.enlisted(trainer, Role.Trainer, true);
    }

    /// @inheritdoc ITaskRegistry
    function delist(uint256 taskId, address trainer) external {
        Task storage task = _known(taskId);
        Record storage record = _records[taskId][trainer];
        require(_isEnlisted(record), NotEnlisted(taskId, trainer));
        require(
            STAKING.operatorOf(msg.sender) == trainer || _hasLeft(record, task.openEpoch), StillActive(taskId, trainer)
        );
        record.delistedAt = uint40(block.timestamp);
        _leave(taskId, task, trainer);
        STAKING.enlisted(trainer, Role.Trainer, false);
    }

    /// @inheritdoc ITaskRegistry
    function releaseBond(uint256 taskId, address trainer) external {
        Record storage record = _records[taskId][trainer];
        uint128 amount = record.collateral;
        require(amount > 0 && record.delistedAt != 0, NothingToRelease(taskId, trainer));
        uint40 from = _answerableUntil(record);
        require(block.timestamp >= from, StillAnswerable(taskId, trainer, from));

        record.collateral = 0;
        neededBondOf[trainer] -= amount;
        emit TrainerBondReleased(taskId, trainer, amount);
    }

    /// @inheritdoc ITaskRegistry
    function commitWork(uint256 taskId, uint64 epoch, bytes32 manifestRoot, uint16 units, uint32 policyVersion)
        external
    {
        Task storage task = _tasks[taskId];
        Progress memory progress = task.progress;
        require(task.isOpen, EpochNotOpen(taskId));
        if (epoch != task.openEpoch) revert WrongEpoch(taskId, epoch, task.openEpoch);
        require(manifestRoot != bytes32(0), EmptyRoot());
        require(units > 0 && units <= progress.maxWorkUnits, BadUnits(units, progress.maxWorkUnits));
        require(units <= progress.unitsLeft && progress.works < MAX_WORKS, EpochFull(taskId, epoch, progress.unitsLeft));
        if (block.timestamp >= task.commitBy) {
            require(progress.works == 0, CommitClosed(taskId, epoch, task.commitBy));
            _startWindow(taskId, task, task.terms.paramsAt().commitWindow);
        }
        address trainer = STAKING.operatorOf(msg.sender);
        Record storage record = _records[taskId][trainer];
        require(_isEnlisted(record), NotEnlisted(taskId, trainer));
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
        // until the seed spares it; were it the next, whoever proposed the last work's block would know it, and could try
        // manifests until the seed spares them. 256 blocks on the bits are the same again: then the seal waits once more.
        require(_isReady(task) && _isUnforeseen(task), EpochNotReady(taskId, epoch, task.commitBy));

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
        returns (uint128 unitPrice)
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
        (unitPrice,) = _tasks[taskId].terms.pricesAt();
    }

    /// @inheritdoc ITaskRegistry
    function settleFraud(uint256 taskId, uint64 epoch, Work calldata work, address reporter, uint16 reporterBps)
        external
        returns (uint128 taken, uint128 toReporter)
    {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        address trainer = work.trainer;
        Task storage task = _tasks[taskId];
        (uint128 unitPrice, uint128 fraudSlash) = task.terms.pricesAt();
        bool leaves;
        (taken, leaves) = _takeCollateral(_records[taskId][trainer], epoch, work, taskId, fraudSlash);
        if (leaves) _leave(taskId, task, trainer);
        toReporter = uint128(uint256(taken) * reporterBps / Economics.BPS);
        bool isHeld = reporter == CHALLENGES;
        _book(task, work.units * unitPrice, taken - toReporter, isHeld ? toReporter : 0);
        STAKING.slash(trainer, Role.Trainer, taken, reporter, isHeld ? 0 : toReporter, leaves);
    }

    /// @inheritdoc ITaskRegistry
    function pay(uint256 taskId, address to, uint256 amount, uint256 released) external {
        require(msg.sender == PAYOUTS || msg.sender == CHALLENGES, NotAuthorised(msg.sender));
        Task storage task = _tasks[taskId];
        // `amount` never exceeds `released`, and that never the reservation: the subtractions check it.
        uint128 kept = (released - amount).toUint128();
        (task.reserved, task.budget) = (task.reserved - released.toUint128(), task.budget + kept);
        if (amount > 0) TOKEN.safeTransfer(to, amount);
    }

    /// @inheritdoc ITaskRegistry
    function credit(uint256 taskId, uint128 amount, uint128 held) external {
        require(msg.sender == address(ATTESTATIONS), NotAuthorised(msg.sender));
        _book(_tasks[taskId], 0, amount - held, held);
    }

    /// @inheritdoc ITaskRegistry
    function hold(uint256 taskId, address challenger, uint128 amount) external {
        require(msg.sender == CHALLENGES, NotAuthorised(msg.sender));
        _tasks[taskId].reserved += amount;
        TOKEN.pull(challenger, amount);
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
        return _isEnlisted(_records[taskId][trainer]);
    }

    /// @inheritdoc ITaskRegistry
    function collateralOf(uint256 taskId, address trainer) external view returns (uint128 amount, uint40 until) {
        Record storage record = _records[taskId][trainer];
        return (record.collateral, record.delistedAt == 0 ? 0 : _answerableUntil(record));
    }

    /// @inheritdoc ITaskRegistry
    function sealable(uint256 taskId) external view returns (bool) {
        return _tasks[taskId].isOpen && _isReady(_tasks[taskId]) && _isUnforeseen(_tasks[taskId]);
    }

    function _remember(Record storage record, uint256 taskId, uint64 epoch, address trainer, bytes32 hash) private {
        if (record.committedEpochs > epoch) revert AlreadyCommitted(taskId, epoch, trainer);
        record.committedEpochs = uint40(epoch) + 1; // `epoch` is the task's, an uint40
        record.workHashes[epoch] = hash;
    }

    /// Marks a work as slashed and takes up to `amount` of what answers for it; `leaves` if it was enlisted until now. That much is in the bond or unbonding: what
    /// is set aside never exceeds the bond, and what a former trainer asked back can leave only once it no longer answers.
    function _takeCollateral(Record storage record, uint64 epoch, Work calldata work, uint256 taskId, uint128 amount)
        private
        returns (uint128 taken, bool leaves)
    {
        uint256 marks = record.marks[epoch >> 8];
        // forge-lint: disable-next-line(incorrect-shift)
        uint256 bit = 1 << (epoch & 0xff);
        bool isUnmarked = marks & bit == 0 && record.workHashes[epoch] == Works.hash(work);
        if (!isUnmarked) revert WrongWork(taskId, epoch, work.trainer);
        record.marks[epoch >> 8] = marks | bit;

        uint40 delistedAt = record.delistedAt;
        leaves = delistedAt == 0;
        if (!leaves && block.timestamp >= _answerableUntil(record)) return (0, false);
        uint128 collateral = record.collateral;
        taken = amount < collateral ? amount : collateral;
        unchecked {
            // No more than its collateral, which is part of what the trainer has set aside.
            neededBondOf[work.trainer] -= taken;
            record.collateral = collateral - taken;
        }
        if (leaves) record.delistedAt = uint40(block.timestamp);
    }

    /// The open epoch no longer waits for a trainer.
    function _leave(uint256 taskId, Task storage task, address trainer) private {
        Progress memory progress = task.progress;
        // It is one of the trainers, and without a work one of those waited for.
        unchecked {
            if (_records[taskId][trainer].committedEpochs <= task.openEpoch) --progress.waiting;
            --progress.trainers;
        }
        task.progress = progress;
        emit TrainerDelisted(taskId, trainer);
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

    /// Ends the reservation of `freed` and adds what comes in to both.
    function _book(Task storage task, uint128 freed, uint128 toBudget, uint128 toReserved) private {
        (task.budget, task.reserved) = (task.budget + freed + toBudget, task.reserved - freed + toReserved);
    }

    /// Moves money from the reservation back to the budget.
    function _free(Task storage task, uint256 amount) private {
        _book(task, amount.toUint128(), 0, 0);
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

    /// Whether no trainer can have known this block's randomness when the last work was committed.
    function _isUnforeseen(Task storage task) private view returns (bool) {
        unchecked {
            return uint8(block.number) - task.progress.lastBlock >= SEAL_DELAY; // modulo 256
        }
    }

    /// Whether anybody may end a trainer's enlistment: it was there before the last sealed epoch opened, with no work in it.
    function _hasLeft(Record storage record, uint64 openEpoch) private view returns (bool) {
        return openEpoch > record.since + 1 && openEpoch > record.committedEpochs;
    }

    function _isEnlisted(Record storage record) private view returns (bool) {
        return record.collateral != 0 && record.delistedAt == 0;
    }

    /// When the bond of a former trainer no longer answers for its works.
    function _answerableUntil(Record storage record) private view returns (uint40) {
        return record.delistedAt + STAKING.UNBONDING_PERIOD();
    }

    function _checkParams(TaskParams calldata params) private view {
        require(params.unitPrice > 0, BadParams("unitPrice"));
        require(params.maxWorkUnits > 0, BadParams("maxWorkUnits"));
        require(params.maxEpochUnits >= params.maxWorkUnits, BadParams("maxEpochUnits"));
        require(params.trainerBond > 0 && params.trainerBond >= params.fraudSlash, BadParams("trainerBond"));
        uint128 worst = params.absenceSlash > params.verdictSlash ? params.absenceSlash : params.verdictSlash;
        require(params.verifierBond > 0 && params.verifierBond >= worst, BadParams("verifierBond"));
        require(params.quorumBps > Economics.BPS / 2 && params.quorumBps <= Economics.BPS, BadParams("quorumBps"));
        require(params.samplingBps > 0 && params.samplingBps <= Economics.BPS, BadParams("samplingBps"));
        require(params.commitWindow > 0, BadParams("commitWindow"));
        require(params.attestWindow > 0, BadParams("attestWindow"));
        require(params.revealWindow > 0, BadParams("revealWindow"));
        if (params.challengeWindow > 0) {
            require(params.challengeBond > 0, BadParams("challengeBond"));
            // Whoever judges again looks closer, and needs no less time.
            bool isLong = params.appealWindow >= params.attestWindow && params.appealWindow >= params.revealWindow;
            require(isLong, BadParams("appealWindow"));
        }

        // Thrice the reveal window: for so long again can a verifier that hides its report delay `settle`, and `decide`.
        // Twice the appeal window: to commit, and to reveal.
        uint256 windows = uint256(params.commitWindow) + params.attestWindow + 3 * uint256(params.revealWindow)
            + params.challengeWindow + 2 * uint256(params.appealWindow);
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
