// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Deployment} from "./interfaces/Deployment.sol";
import {EpochPhase, IAttestations} from "./interfaces/IAttestations.sol";
import {ICommitments, Sealing} from "./interfaces/ICommitments.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams} from "./interfaces/ITaskRegistry.sol";
import {IVerifiers} from "./interfaces/IVerifiers.sol";
import {Ballot} from "./libraries/Ballot.sol";
import {Economics} from "./libraries/Economics.sol";
import {Randomness} from "./libraries/Randomness.sol";
import {Scores} from "./libraries/Scores.sol";

/// @title Judgement of sealed epochs by the weight of their verifiers.
/// @dev Holds no money. Loops run over the submissions of an epoch, as many as a caller asks for, and over the reports
///      that it hands in, of which there are no more than verifiers.
contract Attestations is IAttestations {
    using Ballot for Ballot.Box;
    using SafeCast for uint256;

    /// First slot: all that a claim reads. Second: weights. Then the ballot, the seed and the reports.
    struct Epoch {
        EpochPhase outcome; // Committing until settled or void
        uint40 challengeBy;
        uint16 openChallenges;
        uint16 submissions;
        uint16 settled; // submissions that have a score
        uint16 paid; // of them, those that earn something
        uint16 quorumBps;
        uint128 cost; // what its submissions can earn
        uint128 weight; // of all who judge it
        uint128 revealedWeight;
        Ballot.Box box;
        bytes32 seed; // 0: not sealed
        mapping(uint256 word => bytes32) scores; // 32 submissions a word
        mapping(bytes31 reportHash => Tally) tallies;
    }

    struct Tally {
        uint128 weight;
        uint16 differences; // submissions that were settled as paid or fraud, and that the report judges otherwise
    }

    /// Bytes of a sealed report beyond those of the report: its salt, what encryption adds, and some room.
    uint256 private constant _SEALED_OVERHEAD = 128;

    IStaking public immutable STAKING;
    ITaskRegistry public immutable REGISTRY;
    ICommitments public immutable COMMITMENTS;
    IVerifiers public immutable VERIFIERS;
    address public immutable APPEALS;
    /// @inheritdoc IAttestations
    uint8 public immutable HEADER_WAIT;

    mapping(uint256 taskId => mapping(uint64 epoch => Epoch)) private _epochs;

    constructor(Deployment memory deployment, uint8 headerWait) {
        STAKING = deployment.staking;
        REGISTRY = deployment.registry;
        COMMITMENTS = deployment.commitments;
        VERIFIERS = deployment.verifiers;
        APPEALS = address(deployment.appeals);
        HEADER_WAIT = headerWait;
    }

    /*//////////////////////////////////////////////////////////////
                                 EPOCHS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IAttestations
    function sealEpochWith(uint256 taskId, bytes calldata header) external returns (uint64) {
        return _seal(taskId, header);
    }

    /// @inheritdoc IAttestations
    function sealEpoch(uint256 taskId) external returns (uint64) {
        return _seal(taskId, msg.data[:0]);
    }

    /// @inheritdoc IAttestations
    function commitAttestation(uint256 taskId, uint64 epochId, bytes32 commitment, bytes calldata sealedReport)
        external
    {
        Epoch storage epoch = _inPhase(taskId, epochId, EpochPhase.AttestCommit);
        uint256 max = epoch.submissions + _SEALED_OVERHEAD;
        require(sealedReport.length <= max, SealedReportTooLong(sealedReport.length, max));
        (address verifier,) = _member(taskId, epochId, msg.sender);
        epoch.box.commit(verifier, commitment);
        emit AttestationCommitted(taskId, epochId, verifier, commitment, sealedReport);
    }

    /// @inheritdoc IAttestations
    function revealAttestation(
        uint256 taskId,
        uint64 epochId,
        bytes calldata report,
        bytes32 salt,
        bytes32 evidenceRoot
    ) external {
        Epoch storage epoch = _inPhase(taskId, epochId, EpochPhase.AttestReveal);
        require(report.length == epoch.submissions, BadReport(report.length, epoch.submissions));
        (address verifier, uint128 weight) = _member(taskId, epochId, msg.sender);
        bytes32 reportHash = keccak256(report);
        epoch.box.reveal(epoch.seed, verifier, reportHash, salt);

        epoch.tallies[bytes31(reportHash)].weight += weight;
        uint128 before = epoch.revealedWeight;
        epoch.revealedWeight = before + weight;
        emit AttestationRevealed(taskId, epochId, verifier, weight, report, evidenceRoot);
        uint256 quorum = _quorumOf(epoch);
        if (before < quorum && before + weight >= quorum) emit EpochAttested(taskId, epochId, before + weight);
    }

    /// @inheritdoc IAttestations
    function settle(uint256 taskId, uint64 epochId, bytes[] calldata reports, uint16 count) external {
        Epoch storage epoch = _inPhase(taskId, epochId, EpochPhase.Attested);
        (bytes31[] memory hashes, uint256[] memory weights) = _weigh(epoch, reports);
        uint16 first = epoch.settled;
        uint16 end = uint16(Math.min(uint256(first) + count, epoch.submissions));
        bytes memory scores =
            reports.length == 1 ? _adopt(reports[0], first, end) : _decide(epoch, reports, weights, first, end);
        uint16 paid = epoch.paid + _store(epoch, scores, first);
        _countDifferences(epoch, reports, hashes, scores, first);
        (epoch.settled, epoch.paid) = (end, paid);
        emit ScoresSettled(taskId, epochId, first, scores);
        if (end < epoch.submissions) return;

        uint40 challengeBy = (block.timestamp + REGISTRY.paramsOf(taskId).challengeWindow).toUint40();
        (epoch.outcome, epoch.challengeBy) = (EpochPhase.Challengeable, challengeBy);
        emit EpochSettled(taskId, epochId, paid, challengeBy);
    }

    /// @inheritdoc IAttestations
    function finalise(uint256 taskId, uint64 epochId) external {
        Epoch storage epoch = _inPhase(taskId, epochId, EpochPhase.Challengeable);
        require(block.timestamp >= epoch.challengeBy, StillChallengeable(taskId, epochId, epoch.challengeBy));
        require(epoch.openChallenges == 0, OpenChallenges(taskId, epochId, epoch.openChallenges));
        epoch.outcome = EpochPhase.Final;
        emit EpochFinal(taskId, epochId);
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        uint256 fee =
            Economics.epochFee(params.verifierFee, epoch.paid, params.maxSubmissionUnits, params.maxEpochUnits);
        uint256 unearned = params.verifierFee - Economics.feeShare(fee, epoch.revealedWeight, epoch.weight);
        if (unearned > 0) REGISTRY.free(taskId, uint128(unearned)); // no more than the fee
    }

    /// @inheritdoc IAttestations
    function voidEpoch(uint256 taskId, uint64 epochId) external {
        Epoch storage epoch = _epochs[taskId][epochId];
        EpochPhase phase = phaseOf(taskId, epochId);
        bool isStale =
            phase == EpochPhase.Attested && block.timestamp >= uint256(epoch.box.revealBy) + STAKING.UNBONDING_PERIOD();
        require(phase == EpochPhase.Missed || isStale, WrongPhase(taskId, epochId, phase));
        _void(taskId, epochId, epoch);
    }

    /// @inheritdoc IAttestations
    function slashAbsence(uint256 taskId, uint64 epochId, address verifier) external {
        Epoch storage epoch = _epochs[taskId][epochId];
        bool isOver = epoch.box.commitBy != 0 && epoch.box.stageOf() == Ballot.Stage.Over;
        require(isOver, WrongPhase(taskId, epochId, phaseOf(taskId, epochId)));
        // By its own address: one that has become the worker key of another still answers for itself.
        uint128 weight = VERIFIERS.weightAt(taskId, epochId, verifier);
        require(weight > 0, NotEnlistedAtSeal(taskId, epochId, verifier));
        // Where most were absent, the chain may have stood still, but for the few who came before.
        require(epoch.revealedWeight > epoch.weight / 2, TooFewRevealed(taskId, epochId, epoch.revealedWeight));
        epoch.box.penalise(verifier);
        uint16 bps = REGISTRY.paramsOf(taskId).absenceSlashBps;
        (uint128 taken,) = VERIFIERS.slash(taskId, epochId, verifier, bps, address(0), 0, 0);
        emit AbsenceSlashed(taskId, epochId, verifier, taken);
    }

    /*//////////////////////////////////////////////////////////////
                             OTHER CONTRACTS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IAttestations
    function holdChallenge(uint256 taskId, uint64 epochId) external returns (uint40 challengeBy) {
        _requireAppeals();
        Epoch storage epoch = _inPhase(taskId, epochId, EpochPhase.Challengeable);
        challengeBy = epoch.challengeBy;
        require(block.timestamp < challengeBy, WrongPhase(taskId, epochId, EpochPhase.Challengeable));
        ++epoch.openChallenges;
    }

    /// @inheritdoc IAttestations
    function releaseChallenges(uint256 taskId, uint64 epochId, uint16 count) external {
        _requireAppeals();
        _epochs[taskId][epochId].openChallenges -= count;
    }

    /// @inheritdoc IAttestations
    function correctScore(uint256 taskId, uint64 epochId, uint16 index, uint8 score, bool isFound) external {
        _requireAppeals();
        Epoch storage epoch = _inPhase(taskId, epochId, EpochPhase.Challengeable);
        uint8 stored = score == Scores.FRAUD && isFound ? Scores.FOUND_FRAUD : score;
        uint256 shift = 248 - 8 * (uint256(index) % 32);
        uint256 word = uint256(epoch.scores[index / 32]);
        // forge-lint: disable-next-line(incorrect-shift)
        epoch.scores[index / 32] = bytes32(word & ~(0xff << shift) | uint256(stored) << shift);
        emit ScoreCorrected(taskId, epochId, index, score);
    }

    /*//////////////////////////////////////////////////////////////
                                  VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IAttestations
    function finalScoresOf(uint256 taskId, uint256[] calldata places) external view returns (bytes memory scores) {
        mapping(uint64 => Epoch) storage epochs = _epochs[taskId];
        scores = new bytes(places.length);
        for (uint256 i; i < places.length; ++i) {
            (uint64 epochId, uint256 index) = (uint64(places[i] >> 16), places[i] & 0xffff);
            Epoch storage epoch = epochs[epochId];
            EpochPhase outcome = epoch.outcome;
            if (outcome == EpochPhase.Final) scores[i] = epoch.scores[index / 32][index % 32];
            else if (outcome == EpochPhase.Void) scores[i] = bytes1(Scores.VOID);
            else revert NotFinal(taskId, epochId);
        }
    }

    /// @inheritdoc IAttestations
    function scoreOf(uint256 taskId, uint64 epochId, uint16 index) external view returns (uint8) {
        uint8 score = uint8(_epochs[taskId][epochId].scores[index / 32][index % 32]);
        return score == Scores.FOUND_FRAUD ? Scores.FRAUD : score;
    }

    /// @inheritdoc IAttestations
    function seedOf(uint256 taskId, uint64 epochId) external view returns (bytes32) {
        return _epochs[taskId][epochId].seed;
    }

    /// @inheritdoc IAttestations
    function quorumOf(uint256 taskId, uint64 epochId) external view returns (uint128) {
        return uint128(_quorumOf(_epochs[taskId][epochId])); // no more than the weight
    }

    /// @inheritdoc IAttestations
    function scheduleOf(uint256 taskId, uint64 epochId)
        external
        view
        returns (uint40 attestBy, uint40 revealBy, uint40 challengeBy, uint16 paid)
    {
        Epoch storage epoch = _epochs[taskId][epochId];
        return (epoch.box.commitBy, epoch.box.revealBy, epoch.challengeBy, epoch.paid);
    }

    /// @inheritdoc IAttestations
    function attestationOf(uint256 taskId, uint64 epochId, address verifier)
        external
        view
        returns (bytes31 reportHash, uint128 weight, uint16 differences)
    {
        Epoch storage epoch = _epochs[taskId][epochId];
        reportHash = epoch.box.revealedBy(verifier);
        weight = VERIFIERS.weightAt(taskId, epochId, verifier);
        if (reportHash != bytes31(0)) differences = epoch.tallies[reportHash].differences;
    }

    /// @inheritdoc IAttestations
    function tallyOf(uint256 taskId, uint64 epochId)
        external
        view
        returns (
            uint16 submissions,
            uint16 settled,
            uint16 verifiers,
            uint16 committed,
            uint16 revealed,
            uint128 revealedWeight,
            uint128 weight
        )
    {
        Epoch storage epoch = _epochs[taskId][epochId];
        (submissions, settled, revealedWeight, weight) =
        (epoch.submissions, epoch.settled, epoch.revealedWeight, epoch.weight);
        (verifiers, committed, revealed) = (epoch.box.voters, epoch.box.committed, epoch.box.revealed);
    }

    /// @inheritdoc IAttestations
    function phaseOf(uint256 taskId, uint64 epochId) public view returns (EpochPhase) {
        Epoch storage epoch = _epochs[taskId][epochId];
        // No epoch is sealed without submissions.
        if (epoch.outcome != EpochPhase.Committing || epoch.submissions == 0) return epoch.outcome;
        Ballot.Stage stage = epoch.box.stageOf();
        if (stage == Ballot.Stage.Commit) return EpochPhase.AttestCommit;
        if (stage == Ballot.Stage.Reveal) return EpochPhase.AttestReveal;
        return epoch.revealedWeight >= _quorumOf(epoch) ? EpochPhase.Attested : EpochPhase.Missed;
    }

    /*//////////////////////////////////////////////////////////////
                                INTERNALS
    //////////////////////////////////////////////////////////////*/

    function _seal(uint256 taskId, bytes calldata header) private returns (uint64 epochId) {
        // Commitments and Verifiers are of this deployment and call nobody outside of it.
        // slither-disable-next-line reentrancy-benign
        Sealing memory sealing = COMMITMENTS.seal(taskId);
        epochId = sealing.epoch;
        bytes32 randomness = Randomness.at(sealing.seedBlock, header, HEADER_WAIT);
        bytes32 seed = keccak256(abi.encode(randomness, sealing.runningHash, taskId, epochId));
        (uint128 weight, uint16 verifiers) = VERIFIERS.seal(taskId);
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        Epoch storage epoch = _epochs[taskId][epochId];
        (epoch.submissions, epoch.quorumBps, epoch.cost) = (sealing.submissions, params.quorumBps, sealing.cost);
        (epoch.weight, epoch.seed) = (weight, seed);

        // Who would corrupt a quorum has to put up more than can be had by it. Nobody can join any more.
        uint256 needed = uint256(sealing.cost) + params.verifierFee + sealing.stake;
        if (_quorumOf(epoch) < needed || block.timestamp > sealing.sealBy) {
            emit EpochSealed(taskId, epochId, seed, sealing.submissions, verifiers, weight, 0);
            _void(taskId, epochId, epoch);
            return epochId;
        }
        epoch.box.open(verifiers, params.attestWindow, params.revealWindow);
        emit EpochSealed(taskId, epochId, seed, sealing.submissions, verifiers, weight, epoch.box.commitBy);
    }

    function _void(uint256 taskId, uint64 epochId, Epoch storage epoch) private {
        epoch.outcome = EpochPhase.Void;
        emit EpochVoid(taskId, epochId);
        REGISTRY.free(taskId, epoch.cost + REGISTRY.paramsOf(taskId).verifierFee);
    }

    /// Writes scores, 32 to a slot, and tells how many of them earn something.
    function _store(Epoch storage epoch, bytes memory scores, uint256 first) private returns (uint16 paid) {
        uint256 next = first;
        uint256 count;
        // What is there of a slot that was begun before.
        uint256 word = first % 32 == 0 ? 0 : uint256(epoch.scores[first / 32]) >> (256 - 8 * (first % 32));
        for (uint256 i; i < scores.length; ++i) {
            uint256 score = uint8(scores[i]);
            if (Scores.isPaid(uint8(score))) ++count;
            word = word << 8 | score;
            if (++next % 32 == 0) {
                epoch.scores[next / 32 - 1] = bytes32(word);
                word = 0;
            }
        }
        if (next % 32 != 0) epoch.scores[next / 32] = bytes32(word << (256 - 8 * (next % 32)));
        paid = uint16(count); // no more than the submissions
    }

    /// Adds to each report how many of these submissions it judges otherwise than the outcome. What is worth nothing,
    /// or was unavailable, counts for and against nobody: nobody earns a fee with rubbish, or loses one by it.
    function _countDifferences(
        Epoch storage epoch,
        bytes[] calldata reports,
        bytes31[] memory hashes,
        bytes memory scores,
        uint256 first
    ) private {
        if (reports.length == 1) return;
        for (uint256 k; k < reports.length; ++k) {
            uint256 differences;
            for (uint256 i; i < scores.length; ++i) {
                uint8 score = uint8(scores[i]);
                if (score == 0 || score == Scores.UNAVAILABLE) continue;
                if (Scores.scoreAt(reports[k], first + i) != score) ++differences;
            }
            epoch.tallies[hashes[k]].differences += uint16(differences); // no more than the submissions
        }
    }

    /// The outcome of every submission from `first` to `end`.
    function _decide(
        Epoch storage epoch,
        bytes[] calldata reports,
        uint256[] memory weights,
        uint256 first,
        uint256 end
    ) private view returns (bytes memory outcome) {
        outcome = new bytes(end - first);
        uint8[] memory scores = new uint8[](reports.length);
        (uint256 quorumBps, uint256 weight) = (epoch.quorumBps, epoch.weight);
        for (uint256 i = first; i < end; ++i) {
            bool isEqual = true;
            for (uint256 k; k < reports.length; ++k) {
                scores[k] = Scores.scoreAt(reports[k], i);
                isEqual = isEqual && scores[k] == scores[0];
            }
            // What all say, who are a quorum, needs no counting.
            uint8 score = isEqual ? scores[0] : Scores.decide(scores, weights, quorumBps, weight);
            outcome[i - first] = bytes1(score);
        }
    }

    /// The hashes of reports and the weight behind each: all that was revealed.
    function _weigh(Epoch storage epoch, bytes[] calldata reports)
        private
        view
        returns (bytes31[] memory hashes, uint256[] memory weights)
    {
        (hashes, weights) = (new bytes31[](reports.length), new uint256[](reports.length));
        uint256 total;
        bytes32 last;
        for (uint256 k; k < reports.length; ++k) {
            bytes32 hash = keccak256(reports[k]);
            require(hash > last, ReportsUnsorted(hash));
            (last, hashes[k]) = (hash, bytes31(hash));
            weights[k] = epoch.tallies[hashes[k]].weight;
            require(weights[k] > 0, UnknownReport(hash));
            total += weights[k];
        }
        require(total == epoch.revealedWeight, ReportsIncomplete(total, epoch.revealedWeight));
    }

    /// The verifier that `key` acts for: one that judges the epoch.
    function _member(uint256 taskId, uint64 epochId, address key)
        private
        view
        returns (address verifier, uint128 weight)
    {
        verifier = STAKING.operatorOf(key);
        weight = VERIFIERS.weightAt(taskId, epochId, verifier);
        require(weight > 0, NotEnlistedAtSeal(taskId, epochId, verifier));
    }

    function _inPhase(uint256 taskId, uint64 epochId, EpochPhase wanted) private view returns (Epoch storage epoch) {
        EpochPhase phase = phaseOf(taskId, epochId);
        require(phase == wanted, WrongPhase(taskId, epochId, phase));
        epoch = _epochs[taskId][epochId];
    }

    function _requireAppeals() private view {
        require(msg.sender == APPEALS, NotAuthorised(msg.sender));
    }

    function _quorumOf(Epoch storage epoch) private view returns (uint256) {
        return Math.ceilDiv(uint256(epoch.weight) * epoch.quorumBps, Economics.BPS);
    }

    function _adopt(bytes calldata report, uint256 first, uint256 end) private pure returns (bytes memory outcome) {
        outcome = report[first:end];
        for (uint256 i; i < outcome.length; ++i) {
            if (!Scores.isScore(uint8(outcome[i]))) outcome[i] = 0;
        }
    }
}
