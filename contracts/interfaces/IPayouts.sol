// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Submission} from "./ICommitments.sol";

/// A submission together with where it was committed.
struct SubmissionRef {
    uint256 taskId;
    uint64 epoch;
    Submission submission;
}

/// @title Who gets what, once an epoch is final. Pull payments only.
interface IPayouts {
    event Claimed(uint256 indexed taskId, uint64 indexed epoch, address indexed trainer, uint16 index, uint256 amount);
    event FeesClaimed(uint256 indexed taskId, uint64 indexed epoch, address indexed verifier, uint256 amount);
    /// @param reporter who gets `reporterAmount`; the contract Appeals: who found it in a challenge
    event FraudSlashed(
        uint256 indexed taskId,
        uint64 indexed epoch,
        address indexed trainer,
        uint16 index,
        uint256 amount,
        address reporter,
        uint256 reporterAmount
    );

    error NotFinal(uint256 taskId, uint64 epoch);
    error MixedTrainers(address first, address other);
    error MixedTasks(uint256 first, uint256 other);
    error NoSubmissions();
    error NotTheTrainer(address caller, address trainer);
    error IsFraud(uint256 taskId, uint64 epoch, uint16 index);
    error NotFraud(uint256 taskId, uint64 epoch, uint16 index, uint8 score);
    error AlreadyClaimed(uint256 taskId, uint64 epoch, address verifier);
    error NotRevealed(uint256 taskId, uint64 epoch, address verifier);
    /// The policy of the epoch is neither published nor skipped yet.
    error PolicyPending(uint256 taskId, uint64 epoch);
    /// The policy of the epoch was skipped: its fee went back to the budget.
    error FeeForfeited(uint256 taskId, uint64 epoch);
    error ReporterShareTooLarge(uint16 reporterBps, uint256 max);

    /// @notice Pays units × price × score % for each submission to its trainer and unlocks their collateral; anybody
    ///         may. A submission of score 0, or of a void epoch, pays nothing.
    /// @param submissions of one trainer in one task, of epochs that are final or void; reverts with IsFraud for a
    ///   fraud
    /// @return amount that was paid
    function claim(SubmissionRef[] calldata submissions) external returns (uint256 amount);

    /// @notice As `claim`, to another address; only the trainer itself (the operator), for one that cannot take the
    ///         token.
    /// @param submissions of the caller
    /// @param to who is paid
    /// @return amount that was paid
    function claimTo(SubmissionRef[] calldata submissions, address to) external returns (uint256 amount);

    /// @notice Pays a verifier its share of the fee of final epochs whose policy is published or not due:
    ///         epoch fee × weight / enlisted weight × (paid − differences) / paid, not below 0. Anybody may.
    /// @param taskId which task
    /// @param epochs in which it revealed
    /// @param verifier whom
    /// @return amount that was paid
    function claimFees(uint256 taskId, uint64[] calldata epochs, address verifier) external returns (uint256 amount);

    /// @notice Takes `fraudSlash` from the trainer of a submission that is finally fraud and ends its enlistment.
    ///         REPORTER_BPS of it go to the caller, or, where a challenge found it, wait in Appeals; the rest is burnt.
    /// @param submission the fraud
    /// @return amount that was taken
    function slashFraud(SubmissionRef calldata submission) external returns (uint256 amount);

    /// @notice What `claimFees` would pay for one epoch now.
    /// @param taskId which task
    /// @param epoch any
    /// @param verifier whom
    /// @return the amount
    function feeOf(uint256 taskId, uint64 epoch, address verifier) external view returns (uint256);

    /// @notice The reporter's share of a fraud's slash, in basis points.
    function REPORTER_BPS() external view returns (uint16);
}
