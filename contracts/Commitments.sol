// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Deployment} from "./interfaces/Deployment.sol";
import {ICommitments, Sealing, Submission} from "./interfaces/ICommitments.sol";
import {IStaking, Role} from "./interfaces/IStaking.sol";
import {ITaskRegistry, SubmissionKind} from "./interfaces/ITaskRegistry.sol";
import {Economics} from "./libraries/Economics.sol";
import {Randomness} from "./libraries/Randomness.sol";
import {Terms, SubmissionTerms} from "./libraries/Terms.sol";
import {Submissions} from "./libraries/Submissions.sol";

/// @title Trainers, and the submissions that they commit to the open epoch of a task.
/// @dev Holds no money. Equality is asked of counters that it alone moves. What of a trainer's bond is locked for a
///      task is always max(trainerBond while it is enlisted, fraudSlash × units in flight / maxSubmissionUnits), so
///      that one bond never answers for two submissions, and a small submission puts little at stake.
contract Commitments is ICommitments {
    using SafeCast for uint256;
    using Terms for address;

    /// The open epoch of a task, or the one that opens next. One slot, and what its submissions add up to.
    struct OpenEpoch {
        uint40 epoch; // one a second takes 34,000 years
        uint40 commitBy;
        uint40 closedBlock; // 0: it takes submissions
        bool isOpen;
        uint16 submissions;
        uint16 trainers; // enlisted
        uint16 waiting; // of them, for whom it still waits
        uint32 unitsLeft;
        uint128 cost; // what its submissions can earn
        uint128 reserved; // when it opened, with the verifier fee
        bytes32 runningHash; // never reset: an epoch goes on from the one before
    }

    /// One trainer in one task. One slot.
    struct Record {
        uint64 units; // of its submissions that may still be slashed
        uint32 inFlight; // how many these are
        uint32 since; // the open epoch when it enlisted
        uint32 epoch; // the last epoch in which it has a submission
        uint16 submissions; // in that epoch
        bool isDone; // that epoch does not wait for it any more
        bool isEnlisted;
    }

    struct SealedEpoch {
        uint128 cost;
        uint32 units;
        uint16 submissions;
        uint40 commitBy;
    }

    /// Most submissions of one epoch.
    uint16 public constant MAX_SUBMISSIONS = 1024;

    IStaking public immutable STAKING;
    ITaskRegistry public immutable REGISTRY;
    address public immutable ATTESTATIONS;
    address public immutable PAYOUTS;
    address public immutable PLANTS;
    /// @inheritdoc ICommitments
    uint8 public immutable SEAL_DELAY;

    mapping(uint256 taskId => OpenEpoch) private _open;
    mapping(uint256 taskId => mapping(uint64 epoch => SealedEpoch)) private _sealed;
    mapping(uint256 taskId => mapping(address trainer => Record)) private _records;
    mapping(uint256 taskId => mapping(uint256 place => bytes32)) private _submissions;
    /// What a trainer has committed to an epoch, by the hash of all four; only where one may have several submissions.
    mapping(bytes32 taskEpochTrainerRoot => bool) private _isCommitted;

    constructor(Deployment memory deployment, uint8 sealDelay) {
        require(sealDelay > 0, BadSealDelay());
        STAKING = deployment.staking;
        REGISTRY = deployment.registry;
        ATTESTATIONS = address(deployment.attestations);
        PAYOUTS = address(deployment.payouts);
        PLANTS = address(deployment.plants);
        SEAL_DELAY = sealDelay;
    }

    /*//////////////////////////////////////////////////////////////
                                TRAINERS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc ICommitments
    function enlist(uint256 taskId, bytes32 termsHash) external {
        (,, bytes32 actual) = REGISTRY.originOf(taskId);
        require(termsHash == actual, WrongTerms(taskId, termsHash, actual));
        OpenEpoch storage open = _open[taskId];
        // Also into the last epoch of a closed task: else its initiator could delist who is slow, close the task, and
        // keep the submission whose bytes are public already.
        bool takesSubmissions = open.isOpen && open.closedBlock == 0;
        require(takesSubmissions || !_isTaskClosed(taskId), TaskIsClosed(taskId));
        address trainer = STAKING.operatorOf(msg.sender);
        Record memory record = _records[taskId][trainer];
        require(!record.isEnlisted, AlreadyEnlisted(taskId, trainer));

        SubmissionTerms memory terms = _termsOf(taskId);
        uint128 locked = _lockOf(record, terms);
        record.isEnlisted = true;
        record.since = uint32(open.epoch);
        ++open.trainers;
        if (open.closedBlock == 0 && !_isDone(record, open.epoch)) ++open.waiting;
        emit TrainerEnlisted(taskId, trainer);
        _store(taskId, trainer, record, locked, terms);
    }

    /// @inheritdoc ICommitments
    function delist(uint256 taskId, address trainer) external {
        Record memory record = _records[taskId][trainer];
        require(record.isEnlisted, NotEnlisted(taskId, trainer));
        bool mayLeave = STAKING.operatorOf(msg.sender) == trainer || _hasLeft(record, _open[taskId].epoch);
        require(mayLeave, StillActive(taskId, trainer));
        SubmissionTerms memory terms = _termsOf(taskId);
        uint128 locked = _lockOf(record, terms);
        _leave(taskId, trainer, record);
        _store(taskId, trainer, record, locked, terms);
    }

    /// @inheritdoc ICommitments
    function commitSubmission(
        uint256 taskId,
        uint64 epoch,
        SubmissionKind kind,
        bytes32 manifestRoot,
        uint16 units,
        uint32 policyVersion,
        bool isLast
    ) external {
        require(manifestRoot != bytes32(0), EmptyRoot());
        address trainer = STAKING.operatorOf(msg.sender);
        _commit(taskId, epoch, Submission(trainer, 0, kind, units, policyVersion, manifestRoot), isLast);
    }

    /*//////////////////////////////////////////////////////////////
                                 EPOCHS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc ICommitments
    function closeEpoch(uint256 taskId) external {
        OpenEpoch memory open = _open[taskId];
        // slither-disable-next-line incorrect-equality
        bool isOver = open.isOpen && open.closedBlock == 0 && open.submissions > 0 && block.timestamp >= open.commitBy;
        isOver = isOver || open.closedBlock != 0 && Randomness.isForgotten(open.closedBlock + SEAL_DELAY);
        require(isOver, EpochNotReady(taskId, open.epoch));
        _close(taskId, open);
        _open[taskId] = open;
    }

    /// @inheritdoc ICommitments
    function abandonEpoch(uint256 taskId) external {
        OpenEpoch storage open = _open[taskId];
        bool isOver = open.isOpen && open.submissions == 0 && block.timestamp >= open.commitBy && _isTaskClosed(taskId);
        require(isOver, EpochNotReady(taskId, open.epoch));
        open.isOpen = false;
        uint128 reserved = open.reserved;
        open.reserved = 0;
        emit EpochAbandoned(taskId, open.epoch);
        REGISTRY.free(taskId, reserved);
    }

    /// @inheritdoc ICommitments
    function openEpoch(uint256 taskId) external {
        if (!_open[taskId].isOpen) _openNext(taskId);
    }

    /*//////////////////////////////////////////////////////////////
                             OTHER CONTRACTS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc ICommitments
    function extendEpoch(uint256 taskId) external {
        require(msg.sender == address(REGISTRY), NotAuthorised(msg.sender));
        OpenEpoch storage open = _open[taskId];
        if (open.isOpen && open.submissions == 0) {
            uint40 commitBy = (block.timestamp + _termsOf(taskId).commitWindow).toUint40();
            open.commitBy = commitBy;
            emit EpochOpened(taskId, open.epoch, commitBy);
        }
    }

    /// @inheritdoc ICommitments
    function seal(uint256 taskId) external returns (Sealing memory sealing) {
        require(msg.sender == ATTESTATIONS, NotAuthorised(msg.sender));
        OpenEpoch storage open = _open[taskId];
        uint40 epoch = open.epoch;
        require(_isSealable(open), EpochNotReady(taskId, epoch));
        SubmissionTerms memory terms = _termsOf(taskId);
        uint32 units = terms.maxEpochUnits - open.unitsLeft;
        sealing = Sealing({
            epoch: epoch,
            submissions: open.submissions,
            cost: open.cost,
            stake: _stakeOf(units, terms),
            // From the end of the commit window, which is bounded however late the epoch was closed: until then the
            // bonds of those who left while it was open still answer.
            sealBy: open.commitBy + terms.attestWindow,
            runningHash: open.runningHash,
            seedBlock: open.closedBlock + SEAL_DELAY
        });
        _sealed[taskId][epoch] = SealedEpoch(open.cost, units, open.submissions, open.commitBy);
        uint128 unused = open.reserved - open.cost - terms.verifierFee;
        (open.isOpen, open.epoch) = (false, epoch + 1);
        open.waiting = open.trainers; // also when no epoch opens: `_leave` counts down
        (open.submissions, open.closedBlock, open.cost, open.reserved) = (0, 0, 0, 0);
        // The registry calls nobody.
        // slither-disable-next-line reentrancy-no-eth
        if (unused > 0) REGISTRY.free(taskId, unused);
        _openNext(taskId);
    }

    /// @inheritdoc ICommitments
    function settleSubmissions(
        uint256 taskId,
        address trainer,
        uint64 units,
        uint256[] calldata places,
        bytes32[] calldata hashes
    ) external {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        for (uint256 i; i < places.length; ++i) {
            _end(taskId, places[i], hashes[i], 0);
        }
        SubmissionTerms memory terms = _termsOf(taskId);
        Record memory record = _records[taskId][trainer];
        uint128 locked = _lockOf(record, terms);
        // Each was stored with its units, so they are part of these.
        (record.inFlight, record.units) = (record.inFlight - uint32(places.length), record.units - units);
        _store(taskId, trainer, record, locked, terms);
    }

    /// @inheritdoc ICommitments
    function settleFraud(
        uint256 taskId,
        uint64 epoch,
        Submission calldata submission,
        address recipient,
        uint16 recipientBps
    ) external returns (uint128 taken, uint128 toRecipient) {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        _end(taskId, Submissions.place(epoch, submission.index), Submissions.hash(submission), 0);
        address trainer = submission.trainer;
        SubmissionTerms memory terms = _termsOf(taskId);
        Record memory record = _records[taskId][trainer];
        uint128 locked = _lockOf(record, terms);
        if (record.isEnlisted) _leave(taskId, trainer, record);
        // What is locked for this submission, whatever happened to others.
        taken = _stakeOf(record.units, terms) - _stakeOf(record.units - submission.units, terms);
        (record.inFlight, record.units) = (record.inFlight - 1, record.units - submission.units);
        toRecipient = uint128(uint256(taken) * recipientBps / Economics.BPS);
        _store(taskId, trainer, record, locked - taken, terms);
        REGISTRY.free(taskId, submission.units * terms.unitPrices[uint256(submission.kind)]);
        STAKING.slash(Role.Trainer, trainer, taken, recipient, toRecipient);
    }

    /// @inheritdoc ICommitments
    function settlePlant(uint256 taskId, uint64 epoch, Submission calldata submission, bool isReserved) external {
        require(msg.sender == PLANTS, NotAuthorised(msg.sender));
        bytes32 hash = Submissions.hash(submission);
        _end(taskId, Submissions.place(epoch, submission.index), hash, Submissions.plantHash(hash));
        SubmissionTerms memory terms = _termsOf(taskId);
        Record memory record = _records[taskId][submission.trainer];
        uint128 locked = _lockOf(record, terms);
        (record.inFlight, record.units) = (record.inFlight - 1, record.units - submission.units);
        _store(taskId, submission.trainer, record, locked, terms);
        if (isReserved) REGISTRY.free(taskId, submission.units * terms.unitPrices[uint256(submission.kind)]);
    }

    /*//////////////////////////////////////////////////////////////
                                  VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc ICommitments
    function openEpochOf(uint256 taskId)
        external
        view
        returns (uint64 epoch, bool isOpen, bool isClosed, uint16 submissions)
    {
        OpenEpoch storage open = _open[taskId];
        return (open.epoch, open.isOpen, open.closedBlock != 0, open.submissions);
    }

    /// @inheritdoc ICommitments
    function epochOf(uint256 taskId, uint64 epoch)
        external
        view
        returns (uint16 submissions, uint32 units, uint128 cost, uint40 commitBy)
    {
        OpenEpoch storage open = _open[taskId];
        if (open.isOpen && epoch == open.epoch) {
            units = _termsOf(taskId).maxEpochUnits - open.unitsLeft;
            return (open.submissions, units, open.cost, open.commitBy);
        }
        SealedEpoch storage past = _sealed[taskId][epoch];
        return (past.submissions, past.units, past.cost, past.commitBy);
    }

    /// @inheritdoc ICommitments
    function submissionHash(uint256 taskId, uint64 epoch, uint16 index) external view returns (bytes32) {
        return _submissions[taskId][Submissions.place(epoch, index)];
    }

    /// @inheritdoc ICommitments
    function isEnlisted(uint256 taskId, address trainer) external view returns (bool) {
        return _records[taskId][trainer].isEnlisted;
    }

    /// @inheritdoc ICommitments
    function collateralOf(uint256 taskId, address trainer) external view returns (uint128 locked, uint32 inFlight) {
        Record memory record = _records[taskId][trainer];
        if (!record.isEnlisted && record.inFlight == 0) return (0, 0);
        return (_lockOf(record, _termsOf(taskId)), record.inFlight);
    }

    /// @inheritdoc ICommitments
    function runningHashOf(uint256 taskId) external view returns (bytes32) {
        return _open[taskId].runningHash;
    }

    /// @inheritdoc ICommitments
    function hasNoSubmission(uint256 taskId, uint64 epoch, address trainer, bytes32 manifestRoot)
        external
        view
        returns (bool)
    {
        if (_termsOf(taskId).maxSubmissionsEach > 1) {
            return !_isCommitted[_keyOf(taskId, epoch, trainer, manifestRoot)];
        }
        Record storage record = _records[taskId][trainer];
        // Counted from 1.
        // slither-disable-next-line incorrect-equality
        return record.submissions == 0 || record.epoch < epoch;
    }

    /// @inheritdoc ICommitments
    function trainersOf(uint256 taskId) external view returns (uint16 trainers, uint16 waiting) {
        OpenEpoch storage open = _open[taskId];
        return (open.trainers, open.closedBlock == 0 ? open.waiting : 0);
    }

    /// @inheritdoc ICommitments
    function isSealable(uint256 taskId) external view returns (bool) {
        return _isSealable(_open[taskId]);
    }

    /*//////////////////////////////////////////////////////////////
                                INTERNALS
    //////////////////////////////////////////////////////////////*/

    function _commit(uint256 taskId, uint64 epoch, Submission memory submission, bool isLast) private {
        SubmissionTerms memory terms = _termsOf(taskId);
        OpenEpoch memory open = _open[taskId];
        _checkOpen(open, taskId, epoch);
        uint16 units = submission.units;
        require(units > 0 && units <= terms.maxSubmissionUnits, BadUnits(units, terms.maxSubmissionUnits));
        require(units <= open.unitsLeft, EpochFull(taskId, epoch, open.unitsLeft));
        uint128 price = terms.unitPrices[uint256(submission.kind)];
        require(price > 0, KindNotAskedFor(taskId, submission.kind));
        if (block.timestamp >= open.commitBy) {
            // An epoch that nobody wanted waits: its first submission starts the window again.
            require(open.submissions == 0 && !_isTaskClosed(taskId), CommitClosed(taskId, epoch));
            open.commitBy = (block.timestamp + terms.commitWindow).toUint40();
            emit EpochOpened(taskId, epoch, open.commitBy);
        }
        submission.index = open.submissions;
        emit SubmissionCommitted(
            taskId,
            epoch,
            submission.trainer,
            submission.index,
            submission.kind,
            units,
            submission.policyVersion,
            submission.manifestRoot
        );
        bytes32 hash = Submissions.hash(submission);
        _submissions[taskId][Submissions.place(epoch, submission.index)] = hash;
        open.runningHash = keccak256(abi.encode(open.runningHash, hash));
        open.cost += units * price; // no more than what is reserved
        open.unitsLeft -= units;
        ++open.submissions;
        // It locks by Staking, which calls nobody.
        // slither-disable-next-line reentrancy-no-eth
        if (_count(taskId, epoch, submission, terms, isLast)) --open.waiting;
        // slither-disable-next-line incorrect-equality
        if (open.unitsLeft == 0 || open.submissions == MAX_SUBMISSIONS || open.waiting == 0) _close(taskId, open);
        _open[taskId] = open;
    }

    /// Opens the epoch that is next, if the task goes on and its budget covers it.
    function _openNext(uint256 taskId) private {
        OpenEpoch storage open = _open[taskId];
        // The registry calls nobody.
        // slither-disable-next-line reentrancy-no-eth
        uint128 cost = REGISTRY.reserveEpoch(taskId, open.epoch);
        if (cost == 0) return;
        SubmissionTerms memory terms = _termsOf(taskId);
        uint40 commitBy = (block.timestamp + terms.commitWindow).toUint40();
        (open.isOpen, open.unitsLeft, open.reserved, open.commitBy) = (true, terms.maxEpochUnits, cost, commitBy);
        emit EpochOpened(taskId, open.epoch, commitBy);
    }

    /// Latches that the epoch takes no further submissions: nothing undoes it.
    function _close(uint256 taskId, OpenEpoch memory open) private {
        open.closedBlock = uint40(block.number);
        emit EpochClosed(taskId, open.epoch, open.submissions, block.number + SEAL_DELAY);
    }

    /// Counts one more submission of a trainer; tells whether the epoch, which waited for it, does so no more.
    function _count(
        uint256 taskId,
        uint64 epoch,
        Submission memory submission,
        SubmissionTerms memory terms,
        bool isLast
    ) private returns (bool ends) {
        address trainer = submission.trainer;
        Record memory record = _records[taskId][trainer];
        require(record.isEnlisted, NotEnlisted(taskId, trainer));
        uint128 locked = _lockOf(record, terms);
        if (record.submissions == 0 || record.epoch != epoch) {
            (record.epoch, record.submissions, record.isDone) = (uint32(epoch), 0, false);
        }
        uint16 max = terms.maxSubmissionsEach;
        require(!record.isDone && record.submissions < max, TooManySubmissions(taskId, epoch, trainer, max));
        if (max > 1) _requireAnotherRoot(taskId, epoch, trainer, submission.manifestRoot);
        ends = isLast || record.submissions + 1 == max;
        (record.submissions, record.isDone) = (record.submissions + 1, ends);
        (record.inFlight, record.units) = (record.inFlight + 1, record.units + submission.units);
        _store(taskId, trainer, record, locked, terms);
    }

    /// One plant would cover all submissions of its trainer with one root, whichever is found.
    function _requireAnotherRoot(uint256 taskId, uint64 epoch, address trainer, bytes32 root) private {
        bytes32 key = _keyOf(taskId, epoch, trainer, root);
        require(!_isCommitted[key], RepeatedRoot(taskId, epoch, trainer, root));
        _isCommitted[key] = true;
    }

    /// The open epoch no longer waits for a trainer.
    function _leave(uint256 taskId, address trainer, Record memory record) private {
        record.isEnlisted = false;
        OpenEpoch memory open = _open[taskId];
        --open.trainers;
        // slither-disable-next-line incorrect-equality
        if (open.closedBlock == 0 && !_isDone(record, open.epoch)) {
            --open.waiting;
            // slither-disable-next-line incorrect-equality
            if (open.isOpen && open.submissions > 0 && open.waiting == 0) _close(taskId, open);
        }
        _open[taskId] = open;
        emit TrainerDelisted(taskId, trainer);
    }

    /// Ends what is stored of a submission, so that it cannot be ended twice.
    function _end(uint256 taskId, uint256 place, bytes32 hash, bytes32 replacement) private {
        if (_submissions[taskId][place] != hash) revert WrongSubmission(taskId, uint64(place >> 16), uint16(place));
        _submissions[taskId][place] = replacement;
    }

    /// Stores a trainer's record, and locks what its part in the task needs now, no more and no less.
    /// @param locked until now, without what is about to be slashed
    function _store(uint256 taskId, address trainer, Record memory record, uint128 locked, SubmissionTerms memory terms)
        private
    {
        uint128 needed = _lockOf(record, terms);
        _records[taskId][trainer] = record;
        if (needed > locked) STAKING.lock(Role.Trainer, trainer, needed - locked);
        else if (needed < locked) STAKING.unlock(Role.Trainer, trainer, locked - needed);
    }

    function _termsOf(uint256 taskId) private view returns (SubmissionTerms memory) {
        return REGISTRY.termsOf(taskId).submissionTermsAt();
    }

    function _isTaskClosed(uint256 taskId) private view returns (bool isTaskClosed) {
        (,, isTaskClosed) = REGISTRY.moneyOf(taskId);
    }

    function _isSealable(OpenEpoch storage open) private view returns (bool) {
        uint40 closedBlock = open.closedBlock;
        return closedBlock != 0 && block.number > closedBlock + SEAL_DELAY;
    }

    function _keyOf(uint256 taskId, uint64 epoch, address trainer, bytes32 root) private pure returns (bytes32) {
        return keccak256(abi.encode(taskId, epoch, trainer, root));
    }

    /// What is locked of a trainer's bond.
    function _lockOf(Record memory record, SubmissionTerms memory terms) private pure returns (uint128) {
        uint128 stake = _stakeOf(record.units, terms);
        return record.isEnlisted && stake < terms.trainerBond ? terms.trainerBond : stake;
    }

    /// What so many units can be slashed: fraudSlash for a submission of full size, rounded up.
    function _stakeOf(uint256 units, SubmissionTerms memory terms) private pure returns (uint128) {
        return Math.ceilDiv(units * terms.fraudSlash, terms.maxSubmissionUnits).toUint128();
    }

    function _checkOpen(OpenEpoch memory open, uint256 taskId, uint64 epoch) private pure {
        require(open.isOpen, EpochNotOpen(taskId));
        require(epoch == open.epoch, WrongEpoch(taskId, epoch, open.epoch));
        require(open.closedBlock == 0, CommitClosed(taskId, epoch));
    }

    /// Whether an epoch does not wait for a trainer, because it has committed its last submission to it.
    function _isDone(Record memory record, uint64 epoch) private pure returns (bool) {
        // slither-disable-next-line incorrect-equality
        return record.submissions > 0 && record.epoch == epoch && record.isDone;
    }

    /// Whether anybody may end a trainer's enlistment: no submission in the last two sealed epochs, though it was
    /// enlisted.
    function _hasLeft(Record memory record, uint64 openEpoch_) private pure returns (bool) {
        bool hasSubmission = record.submissions > 0 && record.epoch + 2 >= openEpoch_;
        return openEpoch_ > record.since + 2 && !hasSubmission;
    }
}
