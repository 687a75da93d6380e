// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What an initiator asks for. Amounts in wei of the deployment's token, windows in seconds, rates in basis points.
struct TaskParams {
    uint128 unitPrice; // paid per unit at score 100
    uint128 trainerBond; // least active bond to enlist and commit; at least fraudSlash
    uint128 verifierBond; // least active bond to enlist for attesting
    uint128 fraudSlash; // taken from a trainer for each work with score 255
    uint128 absenceSlash; // taken from an enlisted verifier that does not commit, reveal or show its report
    uint128 verdictSlash; // taken from each verifier behind a score that an appeal overturned
    uint128 challengeBond; // put down by whoever challenges a score, lost if the score stands
    uint128 verifierFee; // per epoch, for all verifiers together
    uint32 maxEpochUnits; // capacity of one epoch
    uint16 maxWorkUnits; // most units of one work
    uint16 quorumBps; // share of enlisted stake that decides, more than one half
    uint16 samplingBps; // probability that one work is replayed
    uint16 maxStaleness; // versions a work's policy may lie behind the newest
    uint16 maxEpochs; // the task ends after so many epochs; 0: when it is closed
    uint32 commitWindow;
    uint32 attestWindow;
    uint32 revealWindow;
    uint32 challengeWindow; // 0: no score can be challenged
    uint32 appealWindow; // to commit in an appeal, and once more to reveal
}

/// One submission. Together with task and epoch it is everything that the stored hash commits to.
struct Work {
    address trainer; // operator, not worker key
    uint16 index; // position in the epoch
    uint16 units;
    uint32 policyVersion;
    bytes32 manifestRoot;
}

/// @title Tasks, their money, and the works committed to them.
/// @notice Task ids count from 1, epochs and work indices from 0. Each task has at most one open (committing) epoch.
interface ITaskRegistry {
    /// @param seed stands in for "the seed of the epoch before" in epoch 0.
    event TaskOpened(
        uint256 indexed taskId,
        address indexed initiator,
        TaskParams params,
        bytes32 specHash,
        string specURI,
        bytes32 policyRoot,
        bytes32 seed
    );
    event TaskFunded(uint256 indexed taskId, address indexed from, uint256 amount);
    event TaskClosed(uint256 indexed taskId);
    event TaskRefunded(uint256 indexed taskId, address indexed initiator, uint256 amount);
    event TrainerEnlisted(uint256 indexed taskId, address indexed trainer);
    event TrainerDelisted(uint256 indexed taskId, address indexed trainer);
    event TrainerBondReleased(uint256 indexed taskId, address indexed trainer, uint128 amount);
    event EpochOpened(uint256 indexed taskId, uint64 indexed epoch, uint40 commitBy);
    event WorkCommitted(
        uint256 indexed taskId,
        uint64 indexed epoch,
        address indexed trainer,
        uint16 index,
        uint16 units,
        uint32 policyVersion,
        bytes32 manifestRoot
    );

    error UnknownTask(uint256 taskId);
    error CheatingPays(uint256 slash, uint256 needed);
    error BadParams(string what);
    error BadSealDelay();
    /// @param windows all of them, revealWindow thrice: `settle` and `decide` may each have to wait for reports that long;
    ///        appealWindow twice: to commit and to reveal
    error WindowsTooLong(uint256 windows, uint256 unbondingPeriod);
    error NotInitiator(address caller, address initiator);
    error TaskIsClosed(uint256 taskId);
    error AlreadyEnlisted(uint256 taskId, address trainer);
    error NotEnlisted(uint256 taskId, address trainer);
    error StillActive(uint256 taskId, address trainer);
    error NotBonded(address trainer, uint256 bonded, uint256 needed);
    error NothingToRelease(uint256 taskId, address trainer);
    error StillAnswerable(uint256 taskId, address trainer, uint40 from);
    error EpochNotOpen(uint256 taskId);
    error WrongEpoch(uint256 taskId, uint64 epoch, uint64 openEpoch);
    error CommitClosed(uint256 taskId, uint64 epoch, uint40 commitBy);
    error EpochFull(uint256 taskId, uint64 epoch, uint256 left);
    error BadUnits(uint256 units, uint256 max);
    error AlreadyCommitted(uint256 taskId, uint64 epoch, address trainer);
    error EmptyRoot();
    error EpochNotReady(uint256 taskId, uint64 epoch, uint40 commitBy);
    error BudgetTooSmall(uint256 budget, uint256 needed);
    error NothingToRefund(uint256 taskId);
    error NotAuthorised(address caller);
    error WrongWork(uint256 taskId, uint64 epoch, address trainer);

    /// Opens a task and escrows `budget` of the token. Reverts with `CheatingPays` unless
    /// fraudSlash × p ≥ gain × (1 − p) × 1.2, p the sampling rate and gain = maxWorkUnits × unitPrice.
    /// Epoch 0 opens at once; the budget must cover at least one epoch.
    function openTask(
        TaskParams calldata params,
        bytes32 specHash,
        string calldata specURI,
        bytes32 policyRoot,
        uint128 budget
    ) external returns (uint256 taskId);

    /// Adds to the budget; anybody may. Opens the next epoch when the task had run dry; so does an amount of 0, when
    /// claims have released enough.
    function fundTask(uint256 taskId, uint128 amount) external;

    /// No further epoch will open. An open epoch without works ends; one with works runs its course.
    function closeTask(uint256 taskId) external;

    /// Sends what a closed (or finished) task no longer needs to its initiator, once its last epoch is final or void.
    /// May be called again when later claims release more.
    function refundTask(uint256 taskId) external;

    /// Makes the caller's operator one of those the open epoch waits for. Sets `trainerBond` of its active bond aside for
    /// this task, over and above what answers for others: one bond does not answer for two tasks.
    function enlist(uint256 taskId) external;

    /// Ends an enlistment. Anybody may end that of a trainer who has no work in the last sealed epoch though it was
    /// enlisted when that opened; so that nobody waits for those who left. The bond answers for this task, and for no
    /// other, until UNBONDING_PERIOD has passed; then `releaseBond` frees it. Enlisting here again takes it up again.
    function delist(uint256 taskId, address trainer) external;

    /// Frees what a former trainer's bond still had set aside for a task; anybody may call.
    function releaseBond(uint256 taskId, address trainer) external;

    /// Commits to one work directory: one per enlisted trainer and epoch. May be sent by the worker key. `epoch` is the one
    /// the work was made for: a transaction that comes late does not land in the next. When the window passed without a
    /// work, the first work starts it anew (`EpochOpened` again).
    function commitWork(uint256 taskId, uint64 epoch, bytes32 manifestRoot, uint16 units, uint32 policyVersion) external;

    /// Ends the open epoch and opens the next; only Attestations, from `sealEpoch`. Reverts with `EpochNotReady` unless
    /// the epoch has works and its window has passed, or it is full, or every enlisted trainer has committed; and less than
    /// SEAL_DELAY blocks after its last work, whose trainer might know the seed before it has committed for good.
    function seal(uint256 taskId) external returns (uint64 epoch, uint16 works, bytes32 runningHash);

    /// Gives the money reserved for a void epoch back to the budget; only Attestations.
    function releaseEpoch(uint256 taskId, uint64 epoch) external;

    /// Checks works of one trainer, each of another epoch, against their stored hashes and marks them as paid; only
    /// Payouts. `places` as Works.place makes them.
    function settleWorks(uint256 taskId, address trainer, uint256[] calldata places, bytes32[] calldata hashes)
        external
        returns (uint128 unitPrice);

    /// Checks one work against its stored hash, marks it as slashed, frees its reservation, takes what its trainer has set
    /// aside for this task (at most fraudSlash) and ends the enlistment; only Payouts. `reporterBps` of what was taken go
    /// to `reporter` (Challenges: to the reservation), the rest to the budget.
    function settleFraud(uint256 taskId, uint64 epoch, Work calldata work, address reporter, uint16 reporterBps)
        external
        returns (uint128 taken, uint128 toReporter);

    /// Gives back `amount` of what is reserved: the part of the verifier fee that nobody earned; only Attestations.
    function release(uint256 taskId, uint256 amount) external;

    /// Ends the reservation of `released`: `amount` of it goes to `to`, the rest back to the budget; only Payouts and
    /// Challenges.
    function pay(uint256 taskId, address to, uint256 amount, uint256 released) external;

    /// Records the slash of a verifier that Staking sends here: `held` of it is reserved, the rest the budget's; only
    /// Attestations, which tells what was taken.
    function credit(uint256 taskId, uint128 amount, uint128 held) external;

    /// Takes a challenger's bond into the task's reservation; only Challenges.
    function hold(uint256 taskId, address challenger, uint128 amount) external;

    function paramsOf(uint256 taskId) external view returns (TaskParams memory);

    /// @return initiator who opened the task; zero when there is no such task
    /// @return budget what is neither reserved nor paid
    /// @return reserved what open, unfinal or unclaimed epochs may still cost
    /// @return openEpoch the epoch that takes works, or would once the task is funded
    /// @return enlistedTrainers how many trainers the open epoch waits for
    /// @return isOpen whether `openEpoch` takes works now
    /// @return isClosed whether no further epoch will open
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
        );

    /// The running hash (its last 13 bytes are 0) takes in each work as bytes19(keccak256(abi.encode(runningHash, workHash)))
    /// and goes on from that of the epoch before.
    function epochOf(uint256 taskId, uint64 epoch)
        external
        view
        returns (uint16 works, uint32 units, uint40 commitBy, bytes32 runningHash);

    /// keccak256(abi.encode(index, trainer, units, policyVersion, manifestRoot)); 0 nothing committed, 1 paid or slashed.
    function workHash(uint256 taskId, uint64 epoch, address trainer) external view returns (bytes32);
    function isEnlisted(uint256 taskId, address trainer) external view returns (bool);
    /// What of a trainer's bond answers for its works in a task; for one that left until `until` (0: still enlisted).
    function collateralOf(uint256 taskId, address trainer) external view returns (uint128 amount, uint40 until);
    /// The root of the initiator's own policy, version 0.
    function policyRootOf(uint256 taskId) external view returns (bytes32);
    /// What of a trainer's bond is set aside for tasks.
    function neededBondOf(address trainer) external view returns (uint128);
    /// Whether `seal` would succeed now.
    function sealable(uint256 taskId) external view returns (bool);
    function taskCount() external view returns (uint256);
    /// Blocks between the last work of an epoch and its seal; all their proposers together could foresee the seed.
    function SEAL_DELAY() external view returns (uint8);
}
