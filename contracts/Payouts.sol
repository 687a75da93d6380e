// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Deployment} from "./interfaces/Deployment.sol";
import {IAppeals} from "./interfaces/IAppeals.sol";
import {EpochPhase, IAttestations} from "./interfaces/IAttestations.sol";
import {ICommitments, Submission} from "./interfaces/ICommitments.sol";
import {IPayouts, SubmissionRef} from "./interfaces/IPayouts.sol";
import {IPolicies, PolicyState} from "./interfaces/IPolicies.sol";
import {ITaskRegistry, TaskParams} from "./interfaces/ITaskRegistry.sol";
import {Economics} from "./libraries/Economics.sol";
import {Scores} from "./libraries/Scores.sol";
import {Terms} from "./libraries/Terms.sol";
import {Submissions} from "./libraries/Submissions.sol";

/// @title Who gets what, once an epoch is final.
/// @dev Holds no money: it tells the registry whom to pay, and Commitments whom to slash. Loops run over what callers
///      hand in.
contract Payouts is IPayouts {
    using BitMaps for BitMaps.BitMap;
    using SafeCast for uint256;
    using Terms for address;

    ITaskRegistry public immutable REGISTRY;
    ICommitments public immutable COMMITMENTS;
    IAttestations public immutable ATTESTATIONS;
    IPolicies public immutable POLICIES;
    IAppeals public immutable APPEALS;
    /// @inheritdoc IPayouts
    uint16 public immutable REPORTER_BPS;

    mapping(uint256 taskId => mapping(address verifier => BitMaps.BitMap)) private _feesClaimed;

    /// @param reporterBps at most what the margin of `CheatingPays` leaves, because a cheat may report itself
    constructor(Deployment memory deployment, uint16 reporterBps) {
        uint256 max = Economics.BPS - Economics.BPS * Economics.BPS / Economics.MARGIN_BPS - 1;
        require(reporterBps <= max, ReporterShareTooLarge(reporterBps, max));
        REGISTRY = deployment.registry;
        COMMITMENTS = deployment.commitments;
        ATTESTATIONS = deployment.attestations;
        POLICIES = deployment.policies;
        APPEALS = deployment.appeals;
        REPORTER_BPS = reporterBps;
    }

    /*//////////////////////////////////////////////////////////////
                                TRAINERS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IPayouts
    /// @dev Reads each submission into memory once: cheaper by 500 gas a submission than checked reads of calldata.
    function claim(SubmissionRef[] memory submissions) external returns (uint256) {
        require(submissions.length > 0, NoSubmissions());
        return _claim(submissions, submissions[0].submission.trainer);
    }

    /// @inheritdoc IPayouts
    function claimTo(SubmissionRef[] memory submissions, address to) external returns (uint256) {
        require(submissions.length > 0, NoSubmissions());
        address trainer = submissions[0].submission.trainer;
        require(msg.sender == trainer, NotTheTrainer(msg.sender, trainer));
        return _claim(submissions, to);
    }

    /// @inheritdoc IPayouts
    function slashFraud(SubmissionRef calldata ref) external returns (uint256 amount) {
        (uint256 taskId, uint64 epoch, Submission calldata submission) = (ref.taskId, ref.epoch, ref.submission);
        uint256[] memory places = new uint256[](1);
        places[0] = Submissions.place(epoch, submission.index);
        uint8 score = uint8(ATTESTATIONS.finalScoresOf(taskId, places)[0]);
        bool isFound = score == Scores.FOUND_FRAUD;
        require(isFound || score == Scores.FRAUD, NotFraud(taskId, epoch, submission.index, score));
        address reporter = isFound ? address(APPEALS) : msg.sender;
        uint128 toReporter;
        (amount, toReporter) = COMMITMENTS.settleFraud(taskId, epoch, submission, reporter, REPORTER_BPS);
        emit FraudSlashed(taskId, epoch, submission.trainer, submission.index, amount, reporter, toReporter);
        if (isFound) APPEALS.reward(taskId, epoch, submission.index, toReporter);
    }

    /*//////////////////////////////////////////////////////////////
                                VERIFIERS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IPayouts
    function claimFees(uint256 taskId, uint64[] calldata epochs, address verifier) external returns (uint256 amount) {
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        BitMaps.BitMap storage claimed = _feesClaimed[taskId][verifier];
        uint256 shares;
        for (uint256 i; i < epochs.length; ++i) {
            uint64 epoch = epochs[i];
            // One epoch a turn, as many as the caller hands in; so in `_feeOf`.
            // slither-disable-next-line calls-loop
            require(ATTESTATIONS.phaseOf(taskId, epoch) == EpochPhase.Final, NotFinal(taskId, epoch));
            PolicyState state = _policyOf(taskId, epoch);
            require(state != PolicyState.Pending, PolicyPending(taskId, epoch));
            require(state != PolicyState.Skipped, FeeForfeited(taskId, epoch));
            require(!claimed.get(epoch), AlreadyClaimed(taskId, epoch, verifier));
            (uint256 share, uint256 earned, bool revealed) = _feeOf(taskId, epoch, verifier, params);
            require(revealed, NotRevealed(taskId, epoch, verifier));

            claimed.set(epoch);
            shares += share;
            amount += earned;
            emit FeesClaimed(taskId, epoch, verifier, earned);
        }
        REGISTRY.pay(taskId, verifier, amount.toUint128(), shares.toUint128());
    }

    /// @inheritdoc IPayouts
    function feeOf(uint256 taskId, uint64 epoch, address verifier) external view returns (uint256 earned) {
        if (ATTESTATIONS.phaseOf(taskId, epoch) != EpochPhase.Final) return 0;
        PolicyState state = _policyOf(taskId, epoch);
        bool isDue = state == PolicyState.Published || state == PolicyState.NotDue;
        if (!isDue || _feesClaimed[taskId][verifier].get(epoch)) return 0;
        (, earned,) = _feeOf(taskId, epoch, verifier, REGISTRY.paramsOf(taskId));
    }

    /*//////////////////////////////////////////////////////////////
                                INTERNALS
    //////////////////////////////////////////////////////////////*/

    function _claim(SubmissionRef[] memory submissions, address to) private returns (uint256 amount) {
        uint256 count = submissions.length;
        uint256 taskId = submissions[0].taskId;
        address trainer = submissions[0].submission.trainer;
        uint256[] memory places = new uint256[](count);
        bytes32[] memory hashes = new bytes32[](count);
        uint64 units;
        for (uint256 i; i < count; ++i) {
            SubmissionRef memory ref = submissions[i];
            if (ref.taskId != taskId) revert MixedTasks(taskId, ref.taskId);
            if (ref.submission.trainer != trainer) revert MixedTrainers(trainer, ref.submission.trainer);
            places[i] = Submissions.place(ref.epoch, ref.submission.index);
            hashes[i] = Submissions.hash(ref.submission);
            units += ref.submission.units;
        }
        bytes memory scores = ATTESTATIONS.finalScoresOf(taskId, places);
        // Reverts unless these are the submissions that were committed, and unclaimed.
        COMMITMENTS.settleSubmissions(taskId, trainer, units, places, hashes);
        uint256 released;
        (amount, released) = _sum(taskId, submissions, scores);
        REGISTRY.pay(taskId, to, amount.toUint128(), released.toUint128());
    }

    /// What submissions earn, and what was reserved for them.
    function _sum(uint256 taskId, SubmissionRef[] memory submissions, bytes memory scores)
        private
        returns (uint256 amount, uint256 released)
    {
        uint128[4] memory prices = REGISTRY.termsOf(taskId).pricesAt();
        for (uint256 i; i < submissions.length; ++i) {
            SubmissionRef memory ref = submissions[i];
            Submission memory submission = ref.submission;
            uint8 score = uint8(scores[i]);
            if (score == Scores.FRAUD || score == Scores.FOUND_FRAUD) {
                revert IsFraud(taskId, ref.epoch, submission.index);
            }
            uint256 full = score == Scores.VOID ? 0 : uint256(submission.units) * prices[uint256(submission.kind)];
            uint256 earned = Scores.isPaid(score) ? full * score / Scores.FULL : 0;
            released += full;
            amount += earned;
            emit Claimed(taskId, ref.epoch, submission.trainer, submission.index, earned);
        }
    }

    /// What became of the policy of an epoch. Nothing is due where nothing of it is paid, even before anybody says so.
    function _policyOf(uint256 taskId, uint64 epoch) private view returns (PolicyState state) {
        // slither-disable-next-line calls-loop
        state = POLICIES.stateOf(taskId, epoch);
        if (state != PolicyState.Pending) return state;
        // slither-disable-next-line calls-loop
        (,,, uint16 paid) = ATTESTATIONS.scheduleOf(taskId, epoch);
        return paid == 0 ? PolicyState.NotDue : state;
    }

    /// The verifier's share of the fee, and what of it agreement with the outcome has earned.
    function _feeOf(uint256 taskId, uint64 epoch, address verifier, TaskParams memory params)
        private
        view
        returns (uint256 share, uint256 earned, bool revealed)
    {
        // slither-disable-next-line calls-loop
        (bytes31 reportHash, uint128 weight, uint16 differences) = ATTESTATIONS.attestationOf(taskId, epoch, verifier);
        if (reportHash == bytes31(0)) return (0, 0, false);
        // slither-disable-next-line calls-loop
        (,,,,,, uint128 enlistedWeight) = ATTESTATIONS.tallyOf(taskId, epoch);
        // slither-disable-next-line calls-loop
        (,,, uint16 paid) = ATTESTATIONS.scheduleOf(taskId, epoch);
        uint256 fee = Economics.epochFee(params.verifierFee, paid, params.maxSubmissionUnits, params.maxEpochUnits);
        share = Economics.feeShare(fee, weight, enlistedWeight);
        // Each difference costs what one submission that is paid earns.
        if (differences < paid) earned = share * (paid - differences) / paid;
        revealed = true;
    }
}
