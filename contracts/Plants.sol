// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Deployment} from "./interfaces/Deployment.sol";
import {DisputePhase, IAppeals} from "./interfaces/IAppeals.sol";
import {EpochPhase, IAttestations} from "./interfaces/IAttestations.sol";
import {ICommitments, Submission} from "./interfaces/ICommitments.sol";
import {IPlants, PlantState} from "./interfaces/IPlants.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams} from "./interfaces/ITaskRegistry.sol";
import {IVerifiers} from "./interfaces/IVerifiers.sol";
import {Economics} from "./libraries/Economics.sol";
import {Sampling} from "./libraries/Sampling.sol";
import {Scores} from "./libraries/Scores.sol";
import {Tokens} from "./libraries/Tokens.sol";

/// @title Planted frauds: submissions whose author has committed to their being fraud before anybody judged them.
/// @dev Holds the deposits of plants that are not opened yet.
contract Plants is IPlants {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;
    using Tokens for IERC20;

    struct Plant {
        address planter;
        PlantState state;
        uint40 epoch; // that it covers
        uint40 committedAt;
        uint128 deposit;
    }

    /// A plant that was opened in time.
    struct Opening {
        address planter;
        uint96 rewarded; // what the planter has got of slashes
        mapping(address verifier => bool) isSlashed;
    }

    /// The planter's part of what verifiers lose for paying a plant.
    uint16 public constant PLANTER_BPS = 5000;

    IERC20 public immutable TOKEN;
    IStaking public immutable STAKING;
    ITaskRegistry public immutable REGISTRY;
    ICommitments public immutable COMMITMENTS;
    IVerifiers public immutable VERIFIERS;
    IAttestations public immutable ATTESTATIONS;
    IAppeals public immutable APPEALS;

    mapping(uint256 taskId => mapping(bytes32 commitment => Plant)) private _plants;
    mapping(uint256 taskId => mapping(uint64 epoch => mapping(uint16 index => Opening))) private _openings;

    constructor(Deployment memory deployment) {
        TOKEN = deployment.token;
        STAKING = deployment.staking;
        REGISTRY = deployment.registry;
        COMMITMENTS = deployment.commitments;
        VERIFIERS = deployment.verifiers;
        ATTESTATIONS = deployment.attestations;
        APPEALS = deployment.appeals;
    }

    /// @inheritdoc IPlants
    function commitPlant(uint256 taskId, bytes32 commitment) external {
        require(commitment != bytes32(0), EmptyCommitment());
        Plant storage plant = _plants[taskId][commitment];
        require(plant.state == PlantState.None, WrongPlant(taskId, commitment, plant.state));
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        // Nobody could open it in time, nor object to a quorum that calls a submission fraud.
        require(params.challengeWindow > 0, NoChallengeWindow(taskId));
        (uint64 epoch,, bool isClosed,) = COMMITMENTS.openEpochOf(taskId);
        uint128 deposit = _depositOf(params);
        _plants[taskId][commitment] = Plant({
            planter: msg.sender,
            state: PlantState.Committed,
            epoch: uint40(isClosed ? epoch + 1 : epoch), // after all that judges may have seen
            committedAt: uint40(block.timestamp),
            deposit: deposit
        });
        emit PlantCommitted(taskId, commitment, msg.sender, deposit);
        TOKEN.pull(msg.sender, deposit);
    }

    /// @inheritdoc IPlants
    function openPlant(uint256 taskId, uint64 epoch, Submission calldata submission, bytes32 salt) external {
        bytes32 commitment = keccak256(abi.encode(taskId, submission.trainer, submission.manifestRoot, salt));
        Plant storage plant = _plants[taskId][commitment];
        require(plant.state == PlantState.Committed, WrongPlant(taskId, commitment, plant.state));
        // Of one epoch, or one deposit would cover a fraud in each until the first is found.
        require(epoch == plant.epoch, PlantOfAnotherEpoch(taskId, commitment, plant.epoch, epoch));
        // Whose submission it is: else anyone who sees a root commits to it as a plant, and nobody is paid.
        address operator = STAKING.operatorOf(msg.sender);
        require(operator == submission.trainer, NotTheTrainer(operator, submission.trainer));
        EpochPhase phase = ATTESTATIONS.phaseOf(taskId, epoch);
        bool isVoid = phase == EpochPhase.Void;
        bool isSettled = isVoid || phase == EpochPhase.Challengeable || phase == EpochPhase.Final;
        require(isSettled, NotSettled(taskId, epoch));

        if (!isVoid) _requireNotDisputed(taskId, epoch, submission.index);

        plant.state = PlantState.Opened;
        bool isInTime = phase == EpochPhase.Challengeable && _opensInTime(taskId, epoch);
        if (isInTime) _openings[taskId][epoch][submission.index].planter = plant.planter;
        emit PlantOpened(taskId, epoch, submission.index, commitment, isInTime);
        COMMITMENTS.settlePlant(taskId, epoch, submission, !isVoid);
        TOKEN.safeTransfer(plant.planter, plant.deposit);
    }

    /// @inheritdoc IPlants
    function refundPlant(uint256 taskId, address trainer, bytes32 manifestRoot, bytes32 salt) external {
        bytes32 commitment = keccak256(abi.encode(taskId, trainer, manifestRoot, salt));
        Plant storage plant = _plants[taskId][commitment];
        require(plant.state == PlantState.Committed, WrongPlant(taskId, commitment, plant.state));
        uint64 epoch = plant.epoch;
        bool guardsNothing = ATTESTATIONS.phaseOf(taskId, epoch) == EpochPhase.Void
            || COMMITMENTS.hasNoSubmission(taskId, epoch, trainer, manifestRoot);
        require(guardsNothing, MayBeCommitted(taskId, epoch, trainer, manifestRoot));
        plant.state = PlantState.Opened;
        emit PlantRefunded(taskId, commitment);
        TOKEN.safeTransfer(plant.planter, plant.deposit);
    }

    /// @inheritdoc IPlants
    function forfeitPlant(uint256 taskId, bytes32 commitment) external {
        Plant storage plant = _plants[taskId][commitment];
        require(plant.state == PlantState.Committed, WrongPlant(taskId, commitment, plant.state));
        uint256 from = uint256(plant.committedAt) + 2 * uint256(STAKING.UNBONDING_PERIOD());
        // Its epoch may have waited for a submission, or for money, for as long.
        bool isOver = block.timestamp >= from && _isOver(taskId, plant.epoch);
        require(isOver, StillOpenable(taskId, commitment, from));
        plant.state = PlantState.Forfeited;
        emit PlantForfeited(taskId, commitment, plant.deposit);
        TOKEN.burn(plant.deposit);
    }

    /// @inheritdoc IPlants
    function slashPaidPlant(uint256 taskId, uint64 epoch, uint16 index, address verifier, bytes calldata report)
        external
    {
        _requireFoundOut(taskId, epoch, index);
        (bytes31 reportHash,,) = ATTESTATIONS.attestationOf(taskId, epoch, verifier);
        bytes31 given = bytes31(keccak256(report));
        require(given == reportHash, WrongReport(given, reportHash));
        require(Scores.isPaid(Scores.scoreAt(report, index)), DidNotPay(taskId, epoch, index, verifier));
        Opening storage opening = _openings[taskId][epoch][index];
        require(!opening.isSlashed[verifier], AlreadySlashed(taskId, epoch, index, verifier));
        opening.isSlashed[verifier] = true;
        (uint128 taken, uint128 toPlanter) = _slash(taskId, epoch, verifier, opening);
        emit PaidPlantSlashed(taskId, epoch, index, verifier, taken, toPlanter);
    }

    /// @inheritdoc IPlants
    function plantOf(uint256 taskId, bytes32 commitment)
        external
        view
        returns (PlantState state, address planter, uint64 epoch)
    {
        Plant storage plant = _plants[taskId][commitment];
        return (plant.state, plant.planter, plant.epoch);
    }

    /// @inheritdoc IPlants
    function depositOf(uint256 taskId) public view returns (uint128) {
        return _depositOf(REGISTRY.paramsOf(taskId));
    }

    /// @inheritdoc IPlants
    function isDrawn(uint256 taskId, uint64 epoch, uint16 index) public view returns (bool) {
        bytes32 seed = ATTESTATIONS.seedOf(taskId, epoch);
        return Sampling.mustReplay(seed, index, REGISTRY.paramsOf(taskId).samplingBps);
    }

    function _slash(uint256 taskId, uint64 epoch, address verifier, Opening storage opening)
        private
        returns (uint128 taken, uint128 toPlanter)
    {
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        (uint96 rewarded, uint96 cap) = (opening.rewarded, Economics.rewardCap(params.challengeBond));
        // The token may call its receiver, and what was given is known only after that: until then nothing is left to
        // give.
        opening.rewarded = cap;
        // slither-disable-next-line reentrancy-no-eth
        (taken, toPlanter) = VERIFIERS.slash(
            taskId, epoch, verifier, params.verdictSlashBps, opening.planter, PLANTER_BPS, cap - rewarded
        );
        opening.rewarded = rewarded + uint96(toPlanter); // no more than the cap
    }

    /// Whether a submission is a plant that was opened in time and drawn, and that its final epoch calls fraud. Where
    /// only an appeal did, that says who is to blame: nobody, where the fraud is beyond what was drawn; else
    /// `slashVerdict` takes it. Where somebody objected and no panel answered, nobody knows.
    function _requireFoundOut(uint256 taskId, uint64 epoch, uint16 index) private view {
        require(_openings[taskId][epoch][index].planter != address(0), NotAPlant(taskId, epoch, index));
        require(ATTESTATIONS.phaseOf(taskId, epoch) == EpochPhase.Final, NotSettled(taskId, epoch));
        uint8 score = ATTESTATIONS.scoreOf(taskId, epoch, index);
        require(score == Scores.FRAUD, NotFoundOut(taskId, epoch, index, score));
        DisputePhase dispute = APPEALS.phaseOf(taskId, epoch, index);
        require(dispute != DisputePhase.Overturned, FoundByAppeal(taskId, epoch, index));
        if (dispute != DisputePhase.None) {
            // Who objects is blamed only by what blames verifiers elsewhere: two thirds of the seats, from what was
            // drawn.
            (,,,,,, bool isAgainst) = APPEALS.disputeOf(taskId, epoch, index);
            require(isAgainst, LeftUndecided(taskId, epoch, index));
        }
        require(isDrawn(taskId, epoch, index), NotDrawn(taskId, epoch, index));
    }

    /// While a panel looks at it, nobody takes back what a challenger has put down its bond for; once one has called it
    /// fraud it is slashed, for who found it.
    function _requireNotDisputed(uint256 taskId, uint64 epoch, uint16 index) private view {
        DisputePhase phase = APPEALS.phaseOf(taskId, epoch, index);
        bool isOver = phase == DisputePhase.None || phase >= DisputePhase.Upheld;
        require(isOver, StillDisputed(taskId, epoch, index));
        bool isFraud = phase == DisputePhase.Overturned && ATTESTATIONS.scoreOf(taskId, epoch, index) == Scores.FRAUD;
        require(!isFraud, FoundByAppeal(taskId, epoch, index));
    }

    /// Whether an epoch is over: nothing of it can be opened in time any more. Or whether it never comes.
    function _isOver(uint256 taskId, uint64 epoch) private view returns (bool) {
        EpochPhase phase = ATTESTATIONS.phaseOf(taskId, epoch);
        if (phase == EpochPhase.Final || phase == EpochPhase.Void) return true;
        (uint64 open, bool isOpen,,) = COMMITMENTS.openEpochOf(taskId);
        (,, bool isClosed) = REGISTRY.moneyOf(taskId);
        return isClosed && (isOpen ? epoch > open : epoch >= open);
    }

    /// Whether it is the first half of the challenge window: in the second everybody who judged otherwise can object.
    /// Else a quorum could call a good submission fraud, and its author agree when it is too late.
    function _opensInTime(uint256 taskId, uint64 epoch) private view returns (bool) {
        (,, uint40 challengeBy,) = ATTESTATIONS.scheduleOf(taskId, epoch);
        return block.timestamp < challengeBy - REGISTRY.paramsOf(taskId).challengeWindow / 2;
    }

    function _depositOf(TaskParams memory params) private pure returns (uint128) {
        uint256 price;
        for (uint256 kind; kind < params.kinds.length; ++kind) {
            if (params.kinds[kind].unitPrice > price) price = params.kinds[kind].unitPrice;
        }
        return Economics.shareUp(price * params.maxSubmissionUnits, Economics.MARGIN_BPS).toUint128();
    }
}
