// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// What a submission may be. A task asks for those that it gives a price.
enum SubmissionKind {
    Full, // rollouts and the training on them
    Rollouts,
    Training,
    Labels
}

/// What one kind of submission earns, and how well cheating in it is found.
struct KindTerms {
    uint128 unitPrice; // paid per unit at score 100; 0: this kind is not asked for
    // probability that a cheat is found in a submission that was drawn: below 1 where a part is replayed
    uint16 detectionBps;
}

/// What an initiator asks for. Amounts in wei of the deployment's token, windows in seconds, rates in basis points.
struct TaskParams {
    KindTerms[4] kinds; // by SubmissionKind
    // locked while enlisted; counts towards the collateral of submissions in flight; at least fraudSlash
    uint128 trainerBond;
    uint128 verifierBond; // least weight of a verifier
    uint128 fraudSlash; // locked for each submission in flight, taken for each that is fraud
    uint128 challengeBond; // put down with a challenge, burnt if the score stands
    uint128 jurorFee; // paid to each seat of a panel that judged with the outcome; prepaid by challengers
    uint128 verifierFee; // for an epoch full of submissions that are paid, for all verifiers together
    uint32 maxEpochUnits; // capacity of one epoch
    uint16 maxSubmissionUnits; // most units of one submission
    uint16 maxSubmissionsEach; // most submissions of one trainer in one epoch
    uint16 quorumBps; // share of enlisted weight that decides, more than one half
    uint16 samplingBps; // probability that a submission is drawn for replay
    uint16 absenceSlashBps; // of its weight, taken from a verifier that did not reveal
    uint16 verdictSlashBps; // of its weight, taken from a verifier behind a score that an appeal overturned
    uint16 maxStaleness; // versions a submission's policy may lie behind the newest
    uint16 maxEpochs; // the task ends after so many epochs; 0: when it is closed
    uint16 protocolVersion; // of the rules off chain under which submissions are made and judged
    uint32 commitWindow;
    uint32 attestWindow;
    uint32 revealWindow;
    uint32 challengeWindow; // 0: no score can be challenged
    uint32 appealWindow; // for a panel to commit, and once more to reveal
    bytes32 panelClass; // the pool of jurors that hears appeals
}

/// @title Tasks: their terms and their money.
/// @notice Task ids count from 1. A task's money is its *budget* (nobody's yet) and its *reservation* (what open,
///         unfinal or unclaimed epochs may still cost). Slashes never come here.
interface ITaskRegistry {
    /*//////////////////////////////////////////////////////////////
                                 EVENTS
    //////////////////////////////////////////////////////////////*/

    /// @param termsHash names task, initiator, terms, spec and policy: who enlists says it
    /// @param seed stands in for "the seed of the epoch before" in epoch 0
    event TaskOpened(
        uint256 indexed taskId,
        address indexed initiator,
        TaskParams params,
        bytes32 specHash,
        string specURI,
        bytes32 policyRoot,
        bytes32 termsHash,
        bytes32 seed
    );
    event TaskFunded(uint256 indexed taskId, address indexed from, uint256 amount);
    event TaskClosed(uint256 indexed taskId);
    event TaskRefunded(uint256 indexed taskId, address indexed initiator, uint256 amount);

    /*//////////////////////////////////////////////////////////////
                                 ERRORS
    //////////////////////////////////////////////////////////////*/

    error UnknownTask(uint256 taskId);
    /// @param kind of submission with which cheating would pay
    error CheatingPays(SubmissionKind kind, uint256 slash, uint256 needed);
    error BadParams(string what);
    error UriTooLong(uint256 length, uint256 max);
    /// A deployment without one: windows too short to act in would let terms disarm.
    error NoMinWindow();
    /// @param windows all that can lie between an epoch's opening and its last slash
    error WindowsTooLong(uint256 windows, uint256 unbondingPeriod);
    error NotInitiator(address caller, address initiator);
    error TaskIsClosed(uint256 taskId);
    error EmptyRoot();
    error BudgetTooSmall(uint256 budget, uint256 needed);
    error NothingToRefund(uint256 taskId);
    error NotAuthorised(address caller);

    /*//////////////////////////////////////////////////////////////
                                 TASKS
    //////////////////////////////////////////////////////////////*/

    /// @notice Opens a task, escrows its budget and opens epoch 0.
    /// @param params the terms; reverts with `CheatingPays` unless for each kind that has a price
    ///        fraudSlash × p ≥ gain × (1 − p) × 1.2, p = sampling × detection and gain = maxSubmissionUnits × unitPrice
    /// @param specHash of the task's spec
    /// @param specURI where to find it; at most 512 bytes, of any content: readers check it
    /// @param policyRoot of the initial policy, version 0
    /// @param budget taken from the caller; at least what one epoch can cost
    /// @return taskId of the new task
    function openTask(
        TaskParams calldata params,
        bytes32 specHash,
        string calldata specURI,
        bytes32 policyRoot,
        uint128 budget
    ) external returns (uint256 taskId);

    /// @notice Adds to the budget; anybody may. Opens the next epoch when the task had run dry; so does an amount of 0,
    ///         when claims have released enough.
    /// @param taskId which task; reverts with TaskIsClosed
    /// @param amount taken from the caller
    function fundTask(uint256 taskId, uint128 amount) external;

    /// @notice No further epoch will open. The open epoch keeps its window; if it has no submission, it gets one more,
    ///         so that nobody loses a submission that is under way.
    /// @param taskId which task; only its initiator
    function closeTask(uint256 taskId) external;

    /// @notice Sends a closed task's budget to its initiator; anybody may call, again when more has come free.
    /// @param taskId which task; reverts with NothingToRefund
    function refundTask(uint256 taskId) external;

    /*//////////////////////////////////////////////////////////////
                            OTHER CONTRACTS
    //////////////////////////////////////////////////////////////*/

    /// @notice Reserves the cost of an epoch that is to open; only Commitments.
    /// @param taskId which task
    /// @param epoch that is to open
    /// @return cost that was reserved; 0 when the task is closed, at its last epoch, or dry
    function reserveEpoch(uint256 taskId, uint64 epoch) external returns (uint128 cost);

    /// @notice Moves money from the reservation back to the budget; only Commitments, Attestations and Policies.
    /// @param taskId which task
    /// @param amount that nobody can earn any more
    function free(uint256 taskId, uint128 amount) external;

    /// @notice Ends the reservation of `released` and pays a part of it; only Payouts.
    /// @param taskId which task
    /// @param to who is paid
    /// @param amount at most `released`; the rest returns to the budget
    /// @param released of the reservation
    function pay(uint256 taskId, address to, uint128 amount, uint128 released) external;

    /*//////////////////////////////////////////////////////////////
                                 VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @notice The terms of a task. Reverts with UnknownTask.
    /// @param taskId which task
    /// @return params its terms
    function paramsOf(uint256 taskId) external view returns (TaskParams memory params);

    /// @notice The account whose code holds the terms: see the library Terms. Reverts with UnknownTask.
    /// @param taskId which task
    /// @return terms its address
    function termsOf(uint256 taskId) external view returns (address terms);

    /// @notice What never changes about a task beside its terms. Reverts with UnknownTask.
    /// @param taskId which task
    /// @return initiator who opened it
    /// @return policyRoot of its initial policy
    /// @return termsHash what who enlists has to name
    function originOf(uint256 taskId) external view returns (address initiator, bytes32 policyRoot, bytes32 termsHash);

    /// @notice The money of a task.
    /// @param taskId which task
    /// @return budget what is neither reserved nor paid
    /// @return reserved what open, unfinal or unclaimed epochs may still cost
    /// @return isClosed whether no further epoch will open
    function moneyOf(uint256 taskId) external view returns (uint128 budget, uint128 reserved, bool isClosed);

    /// @notice How many tasks there are: the newest one's id.
    function taskCount() external view returns (uint256);

    /// @notice The least that a window of a task may be; half a challenge window too.
    /// @return Seconds, chosen at deployment so that some blocks fit into it.
    function MIN_WINDOW() external view returns (uint32);
}
