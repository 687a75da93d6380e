// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SubmissionKind} from "./ITaskRegistry.sol";

/// One submission. Together with task and epoch it is everything that the stored hash commits to.
// solhint-disable-next-line gas-struct-packing
struct Submission {
    address trainer; // operator, not worker key
    uint16 index; // position in the epoch
    SubmissionKind kind;
    uint16 units;
    uint32 policyVersion;
    bytes32 manifestRoot;
}

/// An epoch that is being sealed.
struct Sealing {
    uint64 epoch;
    uint16 submissions;
    uint128 cost; // the most that they can earn
    uint128 stake; // the most that they can be slashed
    uint40 sealBy; // last second in which they can still be judged
    bytes32 runningHash; // over all submissions of the task so far
    uint256 seedBlock; // of which the seed comes
}

/// @title Trainers, and the submissions that they commit to the open epoch of a task.
/// @notice Epochs and submission indices count from 0. Each task has at most one open epoch. An epoch *closes* once and
///         for all when it is full, when nobody is left to wait for, or when its window is over; what closes it is
///         latched, and its seed comes from a later block.
interface ICommitments {
    /*//////////////////////////////////////////////////////////////
                                 EVENTS
    //////////////////////////////////////////////////////////////*/

    event TrainerEnlisted(uint256 indexed taskId, address indexed trainer);
    event TrainerDelisted(uint256 indexed taskId, address indexed trainer);
    /// Told again when a window passed without a submission and the first submission starts it again, or when the task
    /// is closed.
    event EpochOpened(uint256 indexed taskId, uint64 indexed epoch, uint40 commitBy);
    event SubmissionCommitted(
        uint256 indexed taskId,
        uint64 indexed epoch,
        address indexed trainer,
        uint16 index,
        SubmissionKind kind,
        uint16 units,
        uint32 policyVersion,
        bytes32 manifestRoot
    );
    /// Told again when the chain has forgotten the seed's block before anybody sealed.
    /// @param seedBlock of which the seed comes; it can be sealed after
    event EpochClosed(uint256 indexed taskId, uint64 indexed epoch, uint16 submissions, uint256 seedBlock);
    /// The last epoch of a closed task ended without a submission.
    event EpochAbandoned(uint256 indexed taskId, uint64 indexed epoch);

    /*//////////////////////////////////////////////////////////////
                                 ERRORS
    //////////////////////////////////////////////////////////////*/

    error TaskIsClosed(uint256 taskId);
    /// The caller means other terms than those of the task with this number.
    error WrongTerms(uint256 taskId, bytes32 meant, bytes32 termsHash);
    error AlreadyEnlisted(uint256 taskId, address trainer);
    error NotEnlisted(uint256 taskId, address trainer);
    error StillActive(uint256 taskId, address trainer);
    error EpochNotOpen(uint256 taskId);
    error WrongEpoch(uint256 taskId, uint64 epoch, uint64 openEpoch);
    error CommitClosed(uint256 taskId, uint64 epoch);
    error EpochFull(uint256 taskId, uint64 epoch, uint256 unitsLeft);
    error BadUnits(uint256 units, uint256 max);
    error KindNotAskedFor(uint256 taskId, SubmissionKind kind);
    error TooManySubmissions(uint256 taskId, uint64 epoch, address trainer, uint256 max);
    /// The trainer has another submission with this root in the epoch.
    error RepeatedRoot(uint256 taskId, uint64 epoch, address trainer, bytes32 manifestRoot);
    error EmptyRoot();
    error EpochNotReady(uint256 taskId, uint64 epoch);
    error WrongSubmission(uint256 taskId, uint64 epoch, uint16 index);
    error BadSealDelay();
    error NotAuthorised(address caller);

    /*//////////////////////////////////////////////////////////////
                                TRAINERS
    //////////////////////////////////////////////////////////////*/

    /// @notice Makes the caller's operator a trainer of a task: one for whom open epochs wait. Locks `trainerBond`.
    /// @param taskId which task; reverts with TaskIsClosed once the last epoch of a closed task takes no submissions
    /// @param termsHash the one that the caller has seen; reverts with WrongTerms when the task has another
    function enlist(uint256 taskId, bytes32 termsHash) external;

    /// @notice Ends an enlistment; submissions in flight keep their collateral locked. Anybody may end that of a
    ///         trainer without a submission in the last two sealed epochs, though it was enlisted when they opened.
    /// @param taskId which task
    /// @param trainer whose enlistment
    function delist(uint256 taskId, address trainer) external;

    /// @notice Commits to one submission directory. What is locked for the task becomes max(trainerBond, fraudSlash ×
    ///         units in flight / maxSubmissionUnits), rounded up. May be sent by the worker key.
    /// @param taskId which task
    /// @param epoch the one that the submission was made for: one that comes late does not land in the next
    /// @param kind of submission; reverts with KindNotAskedFor where the task has no price for it
    /// @param manifestRoot of the submission; none that the trainer has committed to this epoch already
    /// @param units in it, at most `maxSubmissionUnits`
    /// @param policyVersion that it starts from
    /// @param isLast whether the epoch need not wait for further submissions of this trainer
    function commitSubmission(
        uint256 taskId,
        uint64 epoch,
        SubmissionKind kind,
        bytes32 manifestRoot,
        uint16 units,
        uint32 policyVersion,
        bool isLast
    ) external;

    /*//////////////////////////////////////////////////////////////
                                 EPOCHS
    //////////////////////////////////////////////////////////////*/

    /// @notice Closes an epoch whose window is over; anybody may. Others close by themselves. One whose seed's block
    ///         the chain has forgotten gets another.
    /// @param taskId which task
    function closeEpoch(uint256 taskId) external;

    /// @notice Ends the last epoch of a closed task when its window is over and it has no submission; anybody may.
    /// @param taskId which task
    function abandonEpoch(uint256 taskId) external;

    /// @notice Opens the next epoch if none is open and the budget pays for it; anybody may.
    /// @param taskId which task
    function openEpoch(uint256 taskId) external;

    /*//////////////////////////////////////////////////////////////
                            OTHER CONTRACTS
    //////////////////////////////////////////////////////////////*/

    /// @notice Gives the open epoch another commit window if it has no submission; only TaskRegistry, when a task is
    ///         closed.
    /// @param taskId which task
    function extendEpoch(uint256 taskId) external;

    /// @notice Ends the open epoch and opens the next; only Attestations. Reverts with EpochNotReady unless the seed's
    ///         block, `SEAL_DELAY` blocks after it closed, is over.
    /// @param taskId which task
    /// @return sealing what the epoch that ended holds
    function seal(uint256 taskId) external returns (Sealing memory sealing);

    /// @notice Ends submissions of one trainer that can no longer change and unlocks their collateral; only Payouts.
    /// @param taskId which task
    /// @param trainer whose
    /// @param units of all of them
    /// @param places see Submissions.place
    /// @param hashes of the submissions; reverts with WrongSubmission where one is not stored there
    function settleSubmissions(
        uint256 taskId,
        address trainer,
        uint64 units,
        uint256[] calldata places,
        bytes32[] calldata hashes
    ) external;

    /// @notice Ends one submission as fraud: takes what is locked for it and ends the trainer's enlistment; only
    ///         Payouts.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param submission that was committed; reverts with WrongSubmission
    /// @param recipient of a part of the slash
    /// @param recipientBps that part; the rest is burnt
    /// @return taken from the trainer
    /// @return toRecipient part of it
    function settleFraud(
        uint256 taskId,
        uint64 epoch,
        Submission calldata submission,
        address recipient,
        uint16 recipientBps
    ) external returns (uint128 taken, uint128 toRecipient);

    /// @notice Marks one submission as a planted fraud: it can no longer be paid or slashed, its collateral is unlocked
    ///         and its money returns to the budget; only Plants.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param submission that was committed; reverts with WrongSubmission
    /// @param isReserved whether its money is still reserved: not in a void epoch
    function settlePlant(uint256 taskId, uint64 epoch, Submission calldata submission, bool isReserved) external;

    /*//////////////////////////////////////////////////////////////
                                 VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @notice Where the open epoch of a task stands.
    /// @param taskId which task
    /// @return epoch that is open, or opens next
    /// @return isOpen whether it is open, closed or not
    /// @return isClosed whether it takes no further submissions
    /// @return submissions committed to it
    function openEpochOf(uint256 taskId)
        external
        view
        returns (uint64 epoch, bool isOpen, bool isClosed, uint16 submissions);

    /// @notice An epoch that is open or sealed.
    /// @param taskId which task
    /// @param epoch which one
    /// @return submissions committed to it
    /// @return units of them together
    /// @return cost the most that they can earn
    /// @return commitBy end of its commit window, a Unix time
    function epochOf(uint256 taskId, uint64 epoch)
        external
        view
        returns (uint16 submissions, uint32 units, uint128 cost, uint40 commitBy);

    /// @notice What is stored of a submission: Submissions.hash, Submissions.plantHash once it is a planted fraud; 0
    ///         when there is none, or it is paid or slashed.
    /// @param taskId which task
    /// @param epoch of the submission
    /// @param index of the submission
    /// @return the hash
    function submissionHash(uint256 taskId, uint64 epoch, uint16 index) external view returns (bytes32);

    /// @notice Whether a trainer is one for whom open epochs wait.
    /// @param taskId which task
    /// @param trainer whom
    /// @return whether it is enlisted
    function isEnlisted(uint256 taskId, address trainer) external view returns (bool);

    /// @notice What of a trainer's bond answers for a task.
    /// @param taskId which task
    /// @param trainer whose
    /// @return locked amount
    /// @return inFlight submissions that are not claimed, slashed or released yet
    function collateralOf(uint256 taskId, address trainer) external view returns (uint128 locked, uint32 inFlight);

    /// @notice The running hash over all submissions of a task so far:
    ///         keccak256(abi.encode(runningHash, submissionHash)) for each.
    /// @param taskId which task
    /// @return the hash
    function runningHashOf(uint256 taskId) external view returns (bytes32);

    /// @notice Whether a trainer surely has no submission with this root in this epoch, and what that tells holds until
    ///         it commits the next. Where it may have one submission in an epoch, roots are not kept: then any
    ///         submission of that epoch, or a later one, could be it.
    /// @param taskId which task
    /// @param epoch which epoch
    /// @param trainer which trainer
    /// @param manifestRoot of the submission
    /// @return whether it has none
    function hasNoSubmission(uint256 taskId, uint64 epoch, address trainer, bytes32 manifestRoot)
        external
        view
        returns (bool);

    /// @notice How many trainers a task has, and for how many of them its open epoch waits.
    /// @param taskId which task
    /// @return trainers enlisted
    /// @return waiting of them
    function trainersOf(uint256 taskId) external view returns (uint16 trainers, uint16 waiting);

    /// @notice Whether `seal` would succeed now.
    /// @param taskId which task
    /// @return whether it is closed for long enough
    function isSealable(uint256 taskId) external view returns (bool);

    /// @notice Blocks from the closing of an epoch to the one of which its seed comes.
    function SEAL_DELAY() external view returns (uint8);
}
