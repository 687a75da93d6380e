// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Work} from "./ITaskRegistry.sol";

/// A work together with where it was committed.
struct WorkRef {
    uint256 taskId;
    uint64 epoch;
    Work work;
}

/// @title Who gets what, once an epoch is final. Pull payments only.
interface IPayouts {
    event Claimed(uint256 indexed taskId, uint64 indexed epoch, address indexed trainer, uint16 index, uint256 amount);
    event FeesClaimed(uint256 indexed taskId, uint64 indexed epoch, address indexed verifier, uint256 amount);
    /// @param reporter who gets `reporterAmount`; the contract Challenges: whoever won the challenge
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
    error NoWorks();
    error IsFraud(uint256 taskId, uint64 epoch, uint16 index);
    error NotFraud(uint256 taskId, uint64 epoch, uint16 index, uint8 score);
    error AlreadyClaimed(uint256 taskId, uint64 epoch, address verifier);
    error NotRevealed(uint256 taskId, uint64 epoch, address verifier);

    /// Pays units × unitPrice × score % for each work to its trainer (one trainer, one task per call), in one transfer.
    /// Anybody may call: the money goes to the trainer. A work with score 0 pays nothing and frees its reservation.
    function claim(WorkRef[] calldata works) external returns (uint256 amount);

    /// Pays the caller's operator its share of the verifier fee of each epoch:
    /// fee × weight / enlisted weight × (works − differences) / works.
    function claimFees(uint256 taskId, uint64[] calldata epochs) external returns (uint256 amount);

    /// Takes up to `fraudSlash` of what the trainer of a work that is finally 255 has set aside for the task, and ends its
    /// enlistment. REPORTER_BPS of it go to the caller, or, where a challenge brought the fraud to light, wait in Challenges
    /// for the challenger; the rest is the task's.
    function slashFraud(WorkRef calldata work) external returns (uint256 amount);

    /// What `claimFees` would pay for one epoch now.
    function feeOf(uint256 taskId, uint64 epoch, address verifier) external view returns (uint256);

    function REPORTER_BPS() external view returns (uint16);
}
