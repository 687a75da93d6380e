// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {WorkKind} from "./ITaskRegistry.sol";

/// One work. Together with task and epoch it is everything that the stored hash commits to.
// solhint-disable-next-line gas-struct-packing
struct Work {
    address trainer; // operator, not worker key
    uint16 index; // position in the epoch
    WorkKind kind;
    uint16 units;
    uint32 policyVersion;
    bytes32 manifestRoot;
}

/// An epoch that is being sealed.
struct Sealing {
    uint64 epoch;
    uint16 works;
    uint128 cost; // the most that they can earn
    uint128 stake; // the most that they can be slashed
    uint40 sealBy; // last second in which they can still be judged
    bytes32 runningHash; // over all works of the task so far
    uint256 seedBlock; // of which the seed comes
}

/// @title Trainers, and the works that they commit to the open epoch of a task.
/// @notice Epochs and work indices count from 0. Each task has at most one open epoch. An epoch *closes* once and for
///         all when it is full, when nobody is left to wait for, or when its window is over; what closes it is latched,
///         and its seed comes from a later block.
interface ICommitments {
    /*//////////////////////////////////////////////////////////////
                                 EVENTS
    //////////////////////////////////////////////////////////////*/

    event TrainerEnlisted(uint256 indexed taskId, address indexed trainer);
    event TrainerDelisted(uint256 indexed taskId, address indexed trainer);
    /// Told again when a window passed without a work and the first work starts it again, or when the task is closed.
    event EpochOpened(uint256 indexed taskId, uint64 indexed epoch, uint40 commitBy);
    event WorkCommitted(
        uint256 indexed taskId,
        uint64 indexed epoch,
        address indexed trainer,
        uint16 index,
        WorkKind kind,
        uint16 units,
        uint32 policyVersion,
        bytes32 manifestRoot
    );
    /// Told again when the chain has forgotten the seed's block before anybody sealed.
    /// @param seedBlock of which the seed comes; it can be sealed after
    event EpochClosed(uint256 indexed taskId, uint64 indexed epoch, uint16 works, uint256 seedBlock);
    /// The last epoch of a closed task ended without a work.
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
    error KindNotAskedFor(uint256 taskId, WorkKind kind);
    error TooManyWorks(uint256 taskId, uint64 epoch, address trainer, uint256 max);
    /// The trainer has another work with this root in the epoch.
    error RepeatedRoot(uint256 taskId, uint64 epoch, address trainer, bytes32 manifestRoot);
    error EmptyRoot();
    error EpochNotReady(uint256 taskId, uint64 epoch);
    error WrongWork(uint256 taskId, uint64 epoch, uint16 index);
    error BadSealDelay();
    error NotAuthorised(address caller);

    /*//////////////////////////////////////////////////////////////
                                TRAINERS
    //////////////////////////////////////////////////////////////*/

    /// @notice Makes the caller's operator a trainer of a task: one for whom open epochs wait. Locks `trainerBond`.
    /// @param taskId which task; reverts with TaskIsClosed once the last epoch of a closed task takes no works
    /// @param termsHash the one that the caller has seen; reverts with WrongTerms when the task has another
    function enlist(uint256 taskId, bytes32 termsHash) external;

    /// @notice Ends an enlistment; works in flight keep their collateral locked. Anybody may end that of a trainer
    ///         without a work in the last two sealed epochs, though it was enlisted when they opened.
    /// @param taskId which task
    /// @param trainer whose enlistment
    function delist(uint256 taskId, address trainer) external;

    /// @notice Commits to one work directory. What is locked for the task becomes max(trainerBond, fraudSlash × units
    ///         in flight / maxWorkUnits), rounded up. May be sent by the worker key.
    /// @param taskId which task
    /// @param epoch the one that the work was made for: one that comes late does not land in the next
    /// @param kind of work; reverts with KindNotAskedFor where the task has no price for it
    /// @param manifestRoot of the work; none that the trainer has committed to this epoch already
    /// @param units in it, at most `maxWorkUnits`
    /// @param policyVersion that it starts from
    /// @param isLast whether the epoch need not wait for further works of this trainer
    function commitWork(
        uint256 taskId,
        uint64 epoch,
        WorkKind kind,
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

    /// @notice Ends the last epoch of a closed task when its window is over and it has no work; anybody may.
    /// @param taskId which task
    function abandonEpoch(uint256 taskId) external;

    /// @notice Opens the next epoch if none is open and the budget pays for it; anybody may.
    /// @param taskId which task
    function openEpoch(uint256 taskId) external;

    /*//////////////////////////////////////////////////////////////
                            OTHER CONTRACTS
    //////////////////////////////////////////////////////////////*/

    /// @notice Gives the open epoch another commit window if it has no work; only TaskRegistry, when a task is closed.
    /// @param taskId which task
    function extendEpoch(uint256 taskId) external;

    /// @notice Ends the open epoch and opens the next; only Attestations. Reverts with EpochNotReady unless the seed's
    ///         block, `SEAL_DELAY` blocks after it closed, is over.
    /// @param taskId which task
    /// @return sealing what the epoch that ended holds
    function seal(uint256 taskId) external returns (Sealing memory sealing);

    /// @notice Ends works of one trainer that can no longer change and unlocks their collateral; only Payouts.
    /// @param taskId which task
    /// @param trainer whose
    /// @param units of all of them
    /// @param places see Works.place
    /// @param hashes of the works; reverts with WrongWork where one is not stored there
    function settleWorks(
        uint256 taskId,
        address trainer,
        uint64 units,
        uint256[] calldata places,
        bytes32[] calldata hashes
    ) external;

    /// @notice Ends one work as fraud: takes what is locked for it and ends the trainer's enlistment; only Payouts.
    /// @param taskId which task
    /// @param epoch of the work
    /// @param work that was committed; reverts with WrongWork
    /// @param recipient of a part of the slash
    /// @param recipientBps that part; the rest is burnt
    /// @return taken from the trainer
    /// @return toRecipient part of it
    function settleFraud(uint256 taskId, uint64 epoch, Work calldata work, address recipient, uint16 recipientBps)
        external
        returns (uint128 taken, uint128 toRecipient);

    /// @notice Marks one work as a planted fraud: it can no longer be paid or slashed, its collateral is unlocked and
    ///         its money returns to the budget; only Plants.
    /// @param taskId which task
    /// @param epoch of the work
    /// @param work that was committed; reverts with WrongWork
    /// @param isReserved whether its money is still reserved: not in a void epoch
    function settlePlant(uint256 taskId, uint64 epoch, Work calldata work, bool isReserved) external;

    /*//////////////////////////////////////////////////////////////
                                 VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @notice Where the open epoch of a task stands.
    /// @param taskId which task
    /// @return epoch that is open, or opens next
    /// @return isOpen whether it is open, closed or not
    /// @return isClosed whether it takes no further works
    /// @return works committed to it
    function openEpochOf(uint256 taskId) external view returns (uint64 epoch, bool isOpen, bool isClosed, uint16 works);

    /// @notice An epoch that is open or sealed.
    /// @param taskId which task
    /// @param epoch which one
    /// @return works committed to it
    /// @return units of them together
    /// @return cost the most that they can earn
    /// @return commitBy end of its commit window, a Unix time
    function epochOf(uint256 taskId, uint64 epoch)
        external
        view
        returns (uint16 works, uint32 units, uint128 cost, uint40 commitBy);

    /// @notice What is stored of a work: Works.hash, Works.plantHash once it is a planted fraud; 0 when there is none,
    ///         or it is paid or slashed.
    /// @param taskId which task
    /// @param epoch of the work
    /// @param index of the work
    /// @return the hash
    function workHash(uint256 taskId, uint64 epoch, uint16 index) external view returns (bytes32);

    /// @notice Whether a trainer is one for whom open epochs wait.
    /// @param taskId which task
    /// @param trainer whom
    /// @return whether it is enlisted
    function isEnlisted(uint256 taskId, address trainer) external view returns (bool);

    /// @notice What of a trainer's bond answers for a task.
    /// @param taskId which task
    /// @param trainer whose
    /// @return locked amount
    /// @return inFlight works that are not claimed, slashed or released yet
    function collateralOf(uint256 taskId, address trainer) external view returns (uint128 locked, uint32 inFlight);

    /// @notice The running hash over all works of a task so far:
    ///         keccak256(abi.encode(runningHash, workHash)) for each.
    /// @param taskId which task
    /// @return the hash
    function runningHashOf(uint256 taskId) external view returns (bytes32);

    /// @notice Whether a trainer surely has no work with this root in this epoch, and what that tells holds until it commits
    ///         the next. Where it may have one work in an epoch, roots are not kept: then any work of that epoch, or a
    ///         later one, could be it.
    /// @param taskId which task
    /// @param epoch which epoch
    /// @param trainer which trainer
    /// @param manifestRoot of the work
    /// @return whether it has none
    function hasNoWork(uint256 taskId, uint64 epoch, address trainer, bytes32 manifestRoot) external view returns (bool);

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
