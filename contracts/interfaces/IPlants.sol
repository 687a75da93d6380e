// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Submission} from "./ICommitments.sol";

/// Where a plant stands.
enum PlantState {
    None,
    Committed,
    Opened,
    Forfeited
}

/// @title Planted frauds: submissions whose author has committed to their being fraud before anybody judged them.
/// @notice They make checking the best reply of a verifier where nobody else cheats. A plant cannot be told from a
///         submission until it is opened, after its epoch is settled. Then it is neither paid nor slashed. If it was
///         opened in the first half of its challenge window, a verifier that paid it although it was drawn, and
///         although the epoch found it to be fraud, is slashed, and a part goes to the planter. A plant that is never
///         opened loses its deposit, which is more than a submission can earn: committing to real frauds as plants, to
///         open those that are found, does not pay.
interface IPlants {
    event PlantCommitted(uint256 indexed taskId, bytes32 indexed commitment, address planter, uint128 deposit);
    /// @param isInTime in the first half of the challenge window: who paid it can be slashed
    event PlantOpened(
        uint256 indexed taskId, uint64 indexed epoch, uint16 indexed index, bytes32 commitment, bool isInTime
    );
    event PlantRefunded(uint256 indexed taskId, bytes32 indexed commitment);
    event PlantForfeited(uint256 indexed taskId, bytes32 indexed commitment, uint128 burnt);
    event PaidPlantSlashed(
        uint256 indexed taskId,
        uint64 indexed epoch,
        uint16 indexed index,
        address verifier,
        uint128 amount,
        uint128 toPlanter
    );

    error EmptyCommitment();
    /// Nobody could open a plant in time, nor object to what is said of it.
    error NoChallengeWindow(uint256 taskId);
    error WrongPlant(uint256 taskId, bytes32 commitment, PlantState state);
    error PlantOfAnotherEpoch(uint256 taskId, bytes32 commitment, uint64 plantEpoch, uint64 epoch);
    error NotTheTrainer(address caller, address trainer);
    error NotSettled(uint256 taskId, uint64 epoch);
    /// The trainer has, or may have, the submission that a plant covers, and its epoch is not void.
    error MayBeCommitted(uint256 taskId, uint64 epoch, address trainer, bytes32 manifestRoot);
    error StillOpenable(uint256 taskId, bytes32 commitment, uint256 from);
    /// No plant was opened for the submission in the first half of its challenge window.
    error NotAPlant(uint256 taskId, uint64 epoch, uint16 index);
    error NotFoundOut(uint256 taskId, uint64 epoch, uint16 index, uint8 score);
    /// The verifiers' own verdict was another: Appeals.slashVerdict slashes anyone who is to blame.
    error FoundByAppeal(uint256 taskId, uint64 epoch, uint16 index);
    /// Its score is being disputed.
    error StillDisputed(uint256 taskId, uint64 epoch, uint16 index);
    /// Somebody challenged its score, and no panel has decided that what was drawn shows the fraud.
    error LeftUndecided(uint256 taskId, uint64 epoch, uint16 index);
    error NotDrawn(uint256 taskId, uint64 epoch, uint16 index);
    error WrongReport(bytes31 reportHash, bytes31 revealed);
    error DidNotPay(uint256 taskId, uint64 epoch, uint16 index, address verifier);
    error AlreadySlashed(uint256 taskId, uint64 epoch, uint16 index, address verifier);

    /// @notice Commits to a submission's being fraud, from any address, before its epoch closes: the open epoch, or the
    ///         one after if that takes no submissions any more. Takes `depositOf(taskId)` from the caller.
    /// @param taskId which task, one with a challenge window
    /// @param commitment keccak256(abi.encode(taskId, trainer, manifestRoot, salt)); of a decoy: see `refundPlant`
    function commitPlant(uint256 taskId, bytes32 commitment) external;

    /// @notice Opens a plant, once its epoch is settled or void: gives the deposit back to who paid it. Nobody is
    ///         blamed for one that is opened later than in the first half of its challenge window: in the second half
    ///         everybody who judged otherwise can object. Not while its score is disputed, nor once a panel has
    ///         called the submission fraud: then it is slashed. Only the trainer, or its worker key.
    /// @param taskId which task
    /// @param epoch of the submission, the one that the plant covers
    /// @param submission as it was committed, not yet claimed or slashed
    /// @param salt of the commitment
    function openPlant(uint256 taskId, uint64 epoch, Submission calldata submission, bytes32 salt) external;

    /// @notice Gives back the deposit of a plant that guards nothing: its epoch is void, or has no such submission. The
    ///         submission came too late, or the epoch was full; or the plant is a decoy, a commitment to no submission,
    ///         without which the number of commitments would tell how many plants an epoch has, and in which epochs
    ///         nobody needs to check. Anybody who knows the salt may. Where a trainer has one submission in an epoch,
    ///         no longer than until its next.
    /// @param taskId which task
    /// @param trainer of the commitment; of a decoy 0
    /// @param manifestRoot of the commitment; of a decoy 0
    /// @param salt of the commitment
    function refundPlant(uint256 taskId, address trainer, bytes32 manifestRoot, bytes32 salt) external;

    /// @notice Burns the deposit of a plant that was not opened for two UNBONDING_PERIODs, nor before its epoch was
    ///         over; anybody may.
    /// @param taskId which task
    /// @param commitment of the plant
    function forfeitPlant(uint256 taskId, bytes32 commitment) external;

    /// @notice Slashes a verifier that paid a plant of a final epoch, which was opened in time, drawn for replay and
    ///         settled as fraud. Not where its score was challenged, unless two thirds of the panel's seats say that
    ///         what was drawn shows the fraud; where an appeal made it one, Appeals.slashVerdict does. PLANTER_BPS of
    ///         it, up to PLANTER_CAP times `challengeBond` for all who paid the plant, go to the planter; the rest is
    ///         burnt.
    /// @param taskId which task
    /// @param epoch of the plant
    /// @param index of the plant
    /// @param verifier whom
    /// @param report that it revealed
    function slashPaidPlant(uint256 taskId, uint64 epoch, uint16 index, address verifier, bytes calldata report)
        external;

    /// @notice What `commitPlant` takes: 1.2 times the most that a submission of the task can earn.
    /// @param taskId which task
    /// @return the amount
    function depositOf(uint256 taskId) external view returns (uint128);

    /// @notice Where a plant stands.
    /// @param taskId which task
    /// @param commitment of the plant
    /// @return state where it stands
    /// @return planter who paid its deposit
    /// @return epoch that it covers
    function plantOf(uint256 taskId, bytes32 commitment)
        external
        view
        returns (PlantState state, address planter, uint64 epoch);

    /// @notice Whether the seed of an epoch draws a submission for replay: uint256(sha256(seed, "replay", index)) %
    ///         10,000 below the sampling rate, each label with its length before it.
    /// @param taskId which task
    /// @param epoch sealed
    /// @param index of the submission
    /// @return whether it is drawn
    function isDrawn(uint256 taskId, uint64 epoch, uint16 index) external view returns (bool);

    /// @notice The planter's share of what a verifier loses for paying a plant, in basis points.
    function PLANTER_BPS() external view returns (uint16);
}
