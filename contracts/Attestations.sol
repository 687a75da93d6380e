// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {EpochPhase, IAttestations} from "./interfaces/IAttestations.sol";
import {IStaking, Role} from "./interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams} from "./interfaces/ITaskRegistry.sol";
import {Economics} from "./libraries/Economics.sol";
import {Scores} from "./libraries/Scores.sol";

/// @title Judgement of sealed epochs by the stake of their verifiers.
/// @dev Holds no money. What a verifier enlists with is set aside for that task: its weight there, and all that can be
///      slashed for what it does there. Loops run over the works of an epoch (at most TaskRegistry.MAX_WORKS) and over what a caller
///      hands in. Warning: whoever seals chooses the block, and with it the seed, among those it is willing to wait for.
contract Attestations is IAttestations, EIP712 {
    using SafeCast for int256;
    using SafeCast for uint256;

    /// One slot. Epochs below `untilEpoch` that were sealed after `enlistedBlock` are the verifier's to judge.
    struct Enlistment {
        uint128 weight; // of its bond, what answers for its verdicts in this task
        uint40 enlistedBlock;
        uint40 delistedAt; // 0: still enlisted
        uint40 untilEpoch; // one epoch a second takes 34,000 years
        bool isReleased; // its weight no longer answers
    }

    /// The verifiers of a task and its newest policy.
    struct Roll {
        uint128 weight;
        uint40 sealedEpochs;
        uint40 freshBlock;
        uint16 verifiers;
        uint16 freshVerifiers; // enlisted in block `freshBlock`, so not counted in it; so is `freshWeight`
        uint128 freshWeight;
        uint64 policyEpochs; // 1 + the epoch of the newest policy
        uint32 policyVersion;
        bytes32 policyRoot;
    }

    /// One slot: all that moves an epoch through its phases.
    struct Votes {
        int128 surplus; // revealed weight minus the quorum's
        uint40 attestBy; // brought forward when all have committed
        uint40 revealBy; // brought forward when all who committed have revealed
        uint16 uncommitted; // verifiers that have not committed
        uint16 unrevealed; // verifiers that have committed and not revealed
        uint16 reports; // distinct reports behind the outcome; known once settled
    }

    /// What a verifier has done in an epoch. `Absent` is for good: it was slashed for having shown nobody a report.
    enum Stance {
        None,
        Committed,
        Revealed,
        Absent
    }

    /// Verifiers choose the hash themselves: what it means is told by the stance alone, never by its value.
    struct Attestation {
        bytes32 hash; // of what it committed to, from its reveal on its report's
        Stance stance;
    }

    /// The first slot is fixed at the seal.
    struct Epoch {
        uint128 weight;
        uint40 sealedBlock;
        uint16 works;
        uint16 verifiers;
        uint16 quorumBps;
        Votes votes;
        bytes32 seed;
        // One slot: all that a claim reads.
        EpochPhase outcome; // Committing until settled or void
        uint40 challengeBy;
        uint16 openChallenges;
        bytes24 firstScores; // of the works below _FIRST
        mapping(uint256 word => bytes32) furtherScores; // 32 works a word
        mapping(address verifier => Attestation) attestations;
        mapping(bytes32 reportHash => Tally) tallies;
    }

    struct Tally {
        uint128 weight;
        uint16 agreements; // works on which the report and the outcome are the same; known once settled
        bool isCounted; // one of those that made the outcome
        bool isShown; // its bytes were handed in too late to count
    }

    uint256 private constant _FIRST = 24;
    bytes32 private constant _POLICY_TYPEHASH = keccak256("Policy(uint256 taskId,uint64 epoch,bytes32 policyRoot)");

    IStaking public immutable STAKING;
    ITaskRegistry public immutable REGISTRY;
    address public immutable CHALLENGES;

    /// @inheritdoc IAttestations
    mapping(address verifier => uint128) public neededBondOf;

    mapping(uint256 taskId => Roll) private _rolls;
    mapping(uint256 taskId => mapping(address verifier => Enlistment)) private _enlistments;
    /// The enlistment before the present one: its epochs are over, their fees may be unclaimed.
    mapping(uint256 taskId => mapping(address verifier => Enlistment)) private _formerEnlistments;
    mapping(uint256 taskId => mapping(uint64 epoch => Epoch)) private _epochs;

    // No address is checked for zero: see Staking.
    // slither-disable-next-line missing-zero-check
    constructor(IStaking staking, ITaskRegistry registry, address challenges) EIP712("Assay", "1") {
        STAKING = staking;
        REGISTRY = registry;
        CHALLENGES = challenges;
    }

    /// @inheritdoc IAttestations
    function enlist(uint256 taskId) external {
        (address initiator,,,,,,) = REGISTRY.stateOf(taskId);
        require(initiator != address(0), UnknownTask(taskId));
        (address verifier, uint128 bonded) = STAKING.activeBond(Role.Verifier, msg.sender);

        Enlistment storage enlistment = _enlistments[taskId][verifier];
        if (enlistment.enlistedBlock != 0) {
            require(enlistment.delistedAt != 0, AlreadyEnlisted(taskId, verifier));
            uint40 from = _answerableUntil(enlistment);
            require(block.timestamp >= from, TooSoonToEnlist(taskId, verifier, from));
            if (!enlistment.isReleased) _releaseBond(taskId, verifier, enlistment);
            _formerEnlistments[taskId][verifier] = enlistment;
        }
        uint128 setAside = neededBondOf[verifier];
        uint128 weight = bonded > setAside ? bonded - setAside : 0;
        uint128 needed = REGISTRY.paramsOf(taskId).verifierBond;
        require(weight >= needed, NotBonded(verifier, weight, needed));
        neededBondOf[verifier] = bonded;
        _enlistments[taskId][verifier] = Enlistment(weight, uint40(block.number), 0, type(uint40).max, false);

        Roll storage roll = _rolls[taskId];
        if (roll.freshBlock != block.number) {
            (roll.freshBlock, roll.freshWeight, roll.freshVerifiers) = (uint40(block.number), 0, 0);
        }
        roll.freshWeight += weight;
        roll.weight += weight;
        ++roll.freshVerifiers;
        ++roll.verifiers;
        emit VerifierEnlisted(taskId, verifier, weight);
        STAKING.enlisted(verifier, Role.Verifier, true);
    }

    /// @inheritdoc IAttestations
    function delist(uint256 taskId) external {
        address verifier = STAKING.operatorOf(msg.sender);
        require(isEnlisted(taskId, verifier), NotEnlisted(taskId, verifier));
        _delist(taskId, verifier);
    }

    /// @inheritdoc IAttestations
    function releaseBond(uint256 taskId, address verifier) external {
        Enlistment storage enlistment = _enlistments[taskId][verifier];
        require(enlistment.delistedAt != 0 && !enlistment.isReleased, NothingToRelease(taskId, verifier));
        uint40 from = _answerableUntil(enlistment);
        require(block.timestamp >= from, StillAnswerable(taskId, verifier, from));
        _releaseBond(taskId, verifier, enlistment);
    }

    /// @inheritdoc IAttestations
    function sealEpoch(uint256 taskId) external returns (uint64 epochId) {
        uint16 works;
        bytes32 runningHash;
        // The registry is of this deployment and calls nobody.
        // slither-disable-next-line reentrancy-benign
        (epochId, works, runningHash) = REGISTRY.seal(taskId);
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        Roll storage roll = _rolls[taskId];
        // Block numbers are counted, not sent: nobody can make two of them differ.
        // slither-disable-next-line incorrect-equality
        bool anyFresh = roll.freshBlock == block.number;
        uint16 verifiers = roll.verifiers - (anyFresh ? roll.freshVerifiers : 0);
        require(verifiers > 0, NoVerifiers(taskId));
        roll.sealedEpochs = uint40(epochId) + 1;

        Epoch storage epoch = _epochs[taskId][epochId];
        epoch.weight = roll.weight - (anyFresh ? roll.freshWeight : 0);
        epoch.sealedBlock = uint40(block.number);
        epoch.works = works;
        epoch.verifiers = verifiers;
        epoch.quorumBps = params.quorumBps;
        uint256 attestBy = block.timestamp + params.attestWindow;
        epoch.votes = Votes({
            surplus: -_quorumOf(epoch).toInt256().toInt128(),
            attestBy: attestBy.toUint40(),
            revealBy: (attestBy + params.revealWindow).toUint40(),
            uncommitted: verifiers,
            unrevealed: 0,
            reports: 0
        });
        epoch.seed = keccak256(abi.encode(block.prevrandao, runningHash));
        emit EpochSealed(taskId, epochId, epoch.seed, works, verifiers, epoch.weight, uint40(attestBy));
    }

    /// @inheritdoc IAttestations
    function commitAttestation(uint256 taskId, uint64 epochId, bytes32 commitment) external {
        Epoch storage epoch = _epochs[taskId][epochId];
        Votes memory votes = epoch.votes;
        _require(EpochPhase.AttestCommit, votes, taskId, epochId);
        require(commitment != bytes32(0), EmptyCommitment());
        address verifier = STAKING.operatorOf(msg.sender);
        require(_memberAt(taskId, epochId, epoch.sealedBlock, verifier).weight > 0, NotBonded(verifier, 0, 1));
        require(epoch.attestations[verifier].stance == Stance.None, AlreadyAttested(taskId, epochId, verifier));

        epoch.attestations[verifier] = Attestation(commitment, Stance.Committed);
        if (votes.uncommitted == 1) {
            uint40 window = votes.revealBy - votes.attestBy;
            votes.attestBy = uint40(block.timestamp);
            votes.revealBy = uint40(block.timestamp) + window;
        }
        --votes.uncommitted;
        ++votes.unrevealed;
        epoch.votes = votes;
        emit AttestationCommitted(taskId, epochId, verifier, commitment);
    }

    /// @inheritdoc IAttestations
    function revealAttestation(uint256 taskId, uint64 epochId, bytes32 reportHash, bytes32 salt, bytes32 evidenceRoot)
        external
    {
        Epoch storage epoch = _epochs[taskId][epochId];
        Votes memory votes = epoch.votes;
        _require(EpochPhase.AttestReveal, votes, taskId, epochId);
        address verifier = STAKING.operatorOf(msg.sender);
        _checkReveal(
            taskId, epochId, epoch, verifier, keccak256(abi.encode(taskId, epochId, verifier, reportHash, salt))
        );

        // The present enlistment is the one by which it committed: after another seal it takes UNBONDING_PERIOD to make
        // a new one, longer than any windows.
        uint128 weight = _enlistments[taskId][verifier].weight;
        epoch.attestations[verifier] = Attestation(reportHash, Stance.Revealed);
        epoch.tallies[reportHash].weight += weight;
        int128 before = votes.surplus;
        votes.surplus = before + int128(weight); // no more than the epoch's weight, which fitted in an int128
        if (--votes.unrevealed == 0) votes.revealBy = uint40(block.timestamp);
        epoch.votes = votes;
        emit AttestationRevealed(taskId, epochId, verifier, reportHash, evidenceRoot);
        if (before < 0 && votes.surplus >= 0) emit EpochAttested(taskId, epochId, _revealedWeight(epoch));
    }

    /// @inheritdoc IAttestations
    function settle(uint256 taskId, uint64 epochId, bytes[] calldata reports) external {
        Epoch storage epoch = _epochs[taskId][epochId];
        EpochPhase phase = phaseOf(taskId, epochId);
        require(phase == EpochPhase.Attested, WrongPhase(taskId, epochId, phase));
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        (bytes32[] memory hashes, uint256[] memory weights, uint256 total) = _weigh(epoch, reports);
        uint256 revealed = _revealedWeight(epoch);
        Votes memory votes = epoch.votes;
        votes.reports = uint16(reports.length); // no more than the verifiers
        if (total < revealed) {
            uint256 graceBy = uint256(votes.revealBy) + params.revealWindow;
            require(block.timestamp >= graceBy, ReportsIncomplete(total, revealed));
            uint256 needed = _quorumOf(epoch);
            require(total >= needed, NoQuorum(total, needed));
            // From now on as if the others had not revealed: their part of the fee returns to the budget, too.
            votes.surplus = int128(uint128(total - needed)); // no more than the epoch's weight
        }
        epoch.votes = votes;

        bytes memory scores =
            reports.length == 1 ? _adopt(epoch, reports[0], hashes[0]) : _decide(epoch, reports, hashes, weights);
        _store(epoch, scores);
        uint40 challengeBy = (block.timestamp + params.challengeWindow).toUint40();
        (epoch.outcome, epoch.challengeBy) = (EpochPhase.Challengeable, challengeBy);
        emit EpochSettled(taskId, epochId, scores, challengeBy);
    }

    /// @inheritdoc IAttestations
    function publishPolicy(
        uint256 taskId,
        uint64 epochId,
        bytes32 policyRoot,
        string calldata uri,
        bytes[] calldata signatures
    ) external {
        EpochPhase phase = phaseOf(taskId, epochId);
        require(phase == EpochPhase.Challengeable || phase == EpochPhase.Final, WrongPhase(taskId, epochId, phase));
        require(policyRoot != bytes32(0), EmptyRoot());
        Roll storage roll = _rolls[taskId];
        // Not `require`: it would compute the error's values, and so underflow, for the first policy too.
        if (epochId < roll.policyEpochs) revert PolicyOutOfOrder(taskId, epochId, roll.policyEpochs - 1);
        Epoch storage epoch = _epochs[taskId][epochId];
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(_POLICY_TYPEHASH, taskId, epochId, policyRoot)));
        uint256 weight = _weighSigners(taskId, epochId, epoch.sealedBlock, digest, signatures);
        uint256 needed = _quorumOf(epoch);
        require(weight >= needed, NoQuorum(weight, needed));

        roll.policyEpochs = epochId + 1;
        roll.policyRoot = policyRoot;
        emit PolicyPublished(taskId, epochId, ++roll.policyVersion, policyRoot, uri);
    }

    /// @inheritdoc IAttestations
    function finalise(uint256 taskId, uint64 epochId) external {
        Epoch storage epoch = _epochs[taskId][epochId];
        require(epoch.outcome == EpochPhase.Challengeable, WrongPhase(taskId, epochId, phaseOf(taskId, epochId)));
        require(block.timestamp >= epoch.challengeBy, StillChallengeable(taskId, epochId, epoch.challengeBy));
        require(epoch.openChallenges == 0, OpenChallenges(taskId, epochId, epoch.openChallenges));

        epoch.outcome = EpochPhase.Final;
        emit EpochFinal(taskId, epochId);
        uint256 fee = REGISTRY.paramsOf(taskId).verifierFee;
        uint256 unearned = Economics.feeShare(fee, epoch.weight - _revealedWeight(epoch), epoch.weight);
        if (unearned > 0) REGISTRY.release(taskId, unearned);
    }

    /// @inheritdoc IAttestations
    function voidEpoch(uint256 taskId, uint64 epochId) external {
        Epoch storage epoch = _epochs[taskId][epochId];
        EpochPhase phase = phaseOf(taskId, epochId);
        bool isStale = phase == EpochPhase.Attested
            && block.timestamp >= uint256(epoch.votes.revealBy) + STAKING.UNBONDING_PERIOD();
        require(phase == EpochPhase.Missed || isStale, WrongPhase(taskId, epochId, phase));

        epoch.outcome = EpochPhase.Void;
        emit EpochVoid(taskId, epochId);
        REGISTRY.releaseEpoch(taskId, epochId);
    }

    /// @inheritdoc IAttestations
    function showReport(uint256 taskId, uint64 epochId, bytes calldata report) external {
        bytes32 reportHash = keccak256(report);
        Tally storage tally = _epochs[taskId][epochId].tallies[reportHash];
        require(tally.weight > 0, UnknownReport(reportHash));
        tally.isShown = true;
        emit ReportShown(taskId, epochId, reportHash);
    }

    /// @inheritdoc IAttestations
    function slashAbsence(uint256 taskId, uint64 epochId, address verifier) external {
        Epoch storage epoch = _epochs[taskId][epochId];
        EpochPhase phase = epoch.outcome;
        require(phase != EpochPhase.Committing, WrongPhase(taskId, epochId, phaseOf(taskId, epochId)));
        _memberAt(taskId, epochId, epoch.sealedBlock, verifier);
        Attestation storage attestation = epoch.attestations[verifier];
        require(attestation.stance != Stance.Absent, AlreadySlashed(taskId, epochId, verifier));
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        if (attestation.stance == Stance.Revealed) {
            Tally storage tally = epoch.tallies[attestation.hash];
            require(!tally.isCounted && !tally.isShown, WasPresent(taskId, epochId, verifier));
            // Whoever was left out of `settle` has until then to show its report. An epoch without a quorum may be void in
            // the block of the last reveal: as long as `settle` would wait for reports, they can be shown.
            bool isOver = block.timestamp >= epoch.votes.revealBy + params.revealWindow;
            require(isOver && phase != EpochPhase.Challengeable, WrongPhase(taskId, epochId, phase));
        }
        attestation.stance = Stance.Absent;
        (uint128 taken,) = _slash(taskId, epochId, verifier, params.absenceSlash, 0);
        emit AbsenceSlashed(taskId, epochId, verifier, taken);
    }

    /// @inheritdoc IAttestations
    function slashVerifier(uint256 taskId, uint64 epochId, address verifier, uint128 amount, uint16 heldBps)
        external
        returns (uint128 taken, uint128 held)
    {
        _requireChallenges();
        return _slash(taskId, epochId, verifier, amount, heldBps);
    }

    /// @inheritdoc IAttestations
    function openChallenge(uint256 taskId, uint64 epochId, uint16 index)
        external
        returns (uint8 score, uint16 verifiers)
    {
        _requireChallenges();
        Epoch storage epoch = _epochs[taskId][epochId];
        require(epoch.outcome == EpochPhase.Challengeable, WrongPhase(taskId, epochId, phaseOf(taskId, epochId)));
        require(block.timestamp < epoch.challengeBy, ChallengeClosed(taskId, epochId, epoch.challengeBy));
        require(index < epoch.works, UnknownWork(taskId, epochId, index));
        ++epoch.openChallenges; // one per work at most
        return (scoreOf(taskId, epochId, index), epoch.verifiers);
    }

    /// @inheritdoc IAttestations
    function closeChallenge(
        uint256 taskId,
        uint64 epochId,
        uint16 index,
        uint8 score,
        bool isWon,
        bytes[] calldata reports
    ) external returns (uint256 missing) {
        _requireChallenges();
        Epoch storage epoch = _epochs[taskId][epochId];
        --epoch.openChallenges;
        uint8 former = scoreOf(taskId, epochId, index);
        if (score == former) return 0;
        uint8 stored = score == Scores.FRAUD && isWon ? Scores.FOUND_FRAUD : score;
        if (index < _FIRST) {
            epoch.firstScores = bytes24(_replace(epoch.firstScores, index, stored));
        } else {
            bytes32 word = epoch.furtherScores[(index - _FIRST) / 32];
            epoch.furtherScores[(index - _FIRST) / 32] = _replace(word, (index - _FIRST) % 32, stored);
        }
        return _recount(epoch, index, former, score, reports);
    }

    /// @inheritdoc IAttestations
    function finalScoresOf(uint256 taskId, uint256[] calldata places) external view returns (bytes memory scores) {
        mapping(uint64 => Epoch) storage epochs = _epochs[taskId];
        scores = new bytes(places.length);
        for (uint256 i; i < places.length; ++i) {
            (uint64 epochId, uint256 index) = (uint64(places[i] >> 16), places[i] & 0xffff);
            Epoch storage epoch = epochs[epochId];
            if (epoch.outcome != EpochPhase.Final) revert NotFinal(taskId, epochId);
            scores[i] = index < _FIRST ? bytes1(epoch.firstScores << (8 * index)) : _furtherScore(epoch, index);
        }
    }

    /// @inheritdoc IAttestations
    function scoreOf(uint256 taskId, uint64 epochId, uint16 index) public view returns (uint8) {
        Epoch storage epoch = _epochs[taskId][epochId];
        uint8 score = uint8(index < _FIRST ? epoch.firstScores[index] : _furtherScore(epoch, index));
        return score == Scores.FOUND_FRAUD ? Scores.FRAUD : score;
    }

    /// @inheritdoc IAttestations
    function seedOf(uint256 taskId, uint64 epochId) external view returns (bytes32) {
        return _epochs[taskId][epochId].seed;
    }

    /// @inheritdoc IAttestations
    function policyOf(uint256 taskId) external view returns (uint32 version, bytes32 policyRoot) {
        version = _rolls[taskId].policyVersion;
        // Counted from 0 here.
        // slither-disable-next-line incorrect-equality
        policyRoot = version == 0 ? REGISTRY.policyRootOf(taskId) : _rolls[taskId].policyRoot;
    }

    /// @inheritdoc IAttestations
    function attestationOf(uint256 taskId, uint64 epochId, address verifier)
        external
        view
        returns (bytes32 reportHash, uint128 weight, uint16 differences, uint16 works, uint128 enlistedWeight)
    {
        Epoch storage epoch = _epochs[taskId][epochId];
        (works, enlistedWeight) = (epoch.works, epoch.weight);
        (Enlistment storage enlistment, bool isMember) = _lookUp(taskId, epochId, epoch.sealedBlock, verifier);
        if (isMember) weight = enlistment.weight;
        Attestation storage attestation = epoch.attestations[verifier];
        if (attestation.stance != Stance.Revealed) return (reportHash, weight, differences, works, enlistedWeight);
        reportHash = attestation.hash;
        if (epoch.outcome == EpochPhase.Challengeable || epoch.outcome == EpochPhase.Final) {
            Tally storage tally = epoch.tallies[reportHash];
            if (!tally.isCounted) reportHash = bytes32(0);
            differences = works - tally.agreements;
        }
    }

    /// @inheritdoc IAttestations
    function tallyOf(uint256 taskId, uint64 epochId)
        external
        view
        returns (uint16 verifiers, uint16 committed, uint16 revealed, uint128 revealedWeight, uint128 enlistedWeight)
    {
        Epoch storage epoch = _epochs[taskId][epochId];
        verifiers = epoch.verifiers;
        committed = verifiers - epoch.votes.uncommitted;
        revealed = committed - epoch.votes.unrevealed;
        return (verifiers, committed, revealed, _revealedWeight(epoch), epoch.weight);
    }

    /// @inheritdoc IAttestations
    function collateralOf(uint256 taskId, address verifier) external view returns (uint128 amount, uint40 until) {
        Enlistment storage enlistment = _enlistments[taskId][verifier];
        amount = enlistment.isReleased ? 0 : enlistment.weight;
        until = enlistment.delistedAt == 0 ? 0 : _answerableUntil(enlistment);
    }

    /// @inheritdoc IAttestations
    function isEnlisted(uint256 taskId, address verifier) public view returns (bool) {
        Enlistment storage enlistment = _enlistments[taskId][verifier];
        return enlistment.enlistedBlock != 0 && enlistment.delistedAt == 0;
    }

    /// @inheritdoc IAttestations
    function phaseOf(uint256 taskId, uint64 epochId) public view returns (EpochPhase) {
        Epoch storage epoch = _epochs[taskId][epochId];
        if (epoch.sealedBlock == 0 || epoch.outcome != EpochPhase.Committing) return epoch.outcome;
        return _phase(epoch.votes);
    }

    function _delist(uint256 taskId, address verifier) private {
        Enlistment storage enlistment = _enlistments[taskId][verifier];
        Roll storage roll = _rolls[taskId];
        enlistment.delistedAt = uint40(block.timestamp);
        enlistment.untilEpoch = roll.sealedEpochs;
        roll.weight -= enlistment.weight;
        --roll.verifiers;
        // slither-disable-next-line incorrect-equality
        if (enlistment.enlistedBlock == block.number) {
            roll.freshWeight -= enlistment.weight;
            --roll.freshVerifiers;
        }
        emit VerifierDelisted(taskId, verifier);
        STAKING.enlisted(verifier, Role.Verifier, false);
    }

    function _releaseBond(uint256 taskId, address verifier, Enlistment storage enlistment) private {
        enlistment.isReleased = true;
        neededBondOf[verifier] -= enlistment.weight;
        emit VerifierBondReleased(taskId, verifier, enlistment.weight);
    }

    /// Takes up to `amount` of what answers for a verifier's part in an epoch, and with it weight. Ends its enlistment when
    /// less than the task's bond is left. `heldBps` of it is reserved, the rest the budget's.
    function _slash(uint256 taskId, uint64 epochId, address verifier, uint128 amount, uint16 heldBps)
        private
        returns (uint128 taken, uint128 held)
    {
        Enlistment storage enlistment = _memberAt(taskId, epochId, _epochs[taskId][epochId].sealedBlock, verifier);
        uint128 weight = enlistment.weight;
        bool isOver = enlistment.delistedAt != 0 && block.timestamp >= _answerableUntil(enlistment);
        // That much is in its bond or unbonding: what is set aside never exceeds the bond, and what a former verifier
        // asked back can leave only once it no longer answers.
        taken = isOver ? 0 : amount < weight ? amount : weight;
        held = uint128(uint256(taken) * heldBps / Economics.BPS);
        if (taken == 0) return (0, 0);
        // It is not among the fresh: it was enlisted before the epoch was sealed.
        if (enlistment.delistedAt == 0) _rolls[taskId].weight -= taken;
        enlistment.weight = weight - taken;
        neededBondOf[verifier] -= taken;
        if (enlistment.delistedAt == 0 && weight - taken < REGISTRY.paramsOf(taskId).verifierBond) {
            _delist(taskId, verifier);
        }
        REGISTRY.credit(taskId, taken, held);
        STAKING.slash(verifier, Role.Verifier, taken, address(0), 0, false);
    }

    /// Moves a work from one count of agreements to another in every one of `reports`.
    function _recount(Epoch storage epoch, uint16 index, uint8 former, uint8 score, bytes[] calldata reports)
        private
        returns (uint256 missing)
    {
        (bytes32[] memory hashes,,) = _weigh(epoch, reports);
        for (uint256 k; k < hashes.length; ++k) {
            Tally storage tally = epoch.tallies[hashes[k]];
            require(tally.isCounted, UnknownReport(hashes[k]));
            uint8 given = Scores.scoreAt(reports[k], index);
            if (given == former) --tally.agreements;
            else if (given == score) ++tally.agreements;
        }
        missing = epoch.votes.reports - hashes.length; // all of them counted, and none is there twice
    }

    /// Writes the scores behind the outcome in one slot, then 32 to a slot.
    function _store(Epoch storage epoch, bytes memory scores) private {
        uint256 end = Math.min(_FIRST, scores.length);
        epoch.firstScores = bytes24(_pack(scores, 0, end));
        for (uint256 word; end < scores.length; ++word) {
            uint256 start = end;
            end = Math.min(start + 32, scores.length);
            epoch.furtherScores[word] = _pack(scores, start, end);
        }
    }

    /// A lone report is the outcome: the quorum stands behind it, being all that was revealed, or `settle` asked for it.
    function _adopt(Epoch storage epoch, bytes calldata report, bytes32 hash) private returns (bytes memory outcome) {
        uint256 works = epoch.works;
        (epoch.tallies[hash].agreements, epoch.tallies[hash].isCounted) = (uint16(works), true);
        outcome = new bytes(works);
        for (uint256 i; i < works; ++i) {
            outcome[i] = bytes1(Scores.scoreAt(report, i));
        }
    }

    /// The outcome of every work; records how far each report agrees with it.
    function _decide(Epoch storage epoch, bytes[] calldata reports, bytes32[] memory hashes, uint256[] memory weights)
        private
        returns (bytes memory outcome)
    {
        uint256 works = epoch.works;
        outcome = new bytes(works);
        uint256[] memory agreements = new uint256[](reports.length);
        uint8[] memory scores = new uint8[](reports.length);
        (uint256 quorumBps, uint256 enlistedWeight) = (epoch.quorumBps, epoch.weight);
        for (uint256 i; i < works; ++i) {
            for (uint256 k; k < reports.length; ++k) {
                scores[k] = Scores.scoreAt(reports[k], i);
            }
            uint8 score = Scores.decide(scores, weights, quorumBps, enlistedWeight);
            outcome[i] = bytes1(score);
            for (uint256 k; k < reports.length; ++k) {
                if (scores[k] == score) ++agreements[k];
            }
        }
        for (uint256 k; k < reports.length; ++k) {
            Tally storage tally = epoch.tallies[hashes[k]];
            (tally.agreements, tally.isCounted) = (uint16(agreements[k]), true); // no more than the works
        }
    }

    function _checkReveal(uint256 taskId, uint64 epochId, Epoch storage epoch, address verifier, bytes32 commitment)
        private
        view
    {
        Attestation storage attestation = epoch.attestations[verifier];
        require(attestation.stance != Stance.None, NotCommitted(taskId, epochId, verifier));
        require(attestation.stance == Stance.Committed, AlreadyAttested(taskId, epochId, verifier));
        require(attestation.hash == commitment, CommitmentMismatch(attestation.hash, commitment));
    }

    /// The hashes of reports, the weight behind each, and all of it.
    function _weigh(Epoch storage epoch, bytes[] calldata reports)
        private
        view
        returns (bytes32[] memory hashes, uint256[] memory weights, uint256 total)
    {
        hashes = new bytes32[](reports.length);
        weights = new uint256[](reports.length);
        for (uint256 k; k < reports.length; ++k) {
            hashes[k] = keccak256(reports[k]);
            require(k == 0 || hashes[k] > hashes[k - 1], ReportsUnsorted(hashes[k]));
            weights[k] = epoch.tallies[hashes[k]].weight;
            require(weights[k] > 0, UnknownReport(hashes[k]));
            total += weights[k];
        }
    }

    function _weighSigners(
        uint256 taskId,
        uint64 epochId,
        uint40 sealedBlock,
        bytes32 digest,
        bytes[] calldata signatures
    ) private view returns (uint256 weight) {
        address last;
        for (uint256 i; i < signatures.length; ++i) {
            address key = ECDSA.recoverCalldata(digest, signatures[i]);
            // One signer a turn, as many as the caller hands in.
            // slither-disable-next-line calls-loop
            address verifier = STAKING.operatorOf(key);
            require(verifier > last, SignersUnsorted(verifier));
            weight += _memberAt(taskId, epochId, sealedBlock, verifier).weight;
            last = verifier;
        }
    }

    /// The enlistment by which a verifier belongs to an epoch.
    function _memberAt(uint256 taskId, uint64 epochId, uint40 sealedBlock, address verifier)
        private
        view
        returns (Enlistment storage enlistment)
    {
        bool isMember;
        (enlistment, isMember) = _lookUp(taskId, epochId, sealedBlock, verifier);
        require(isMember, NotEnlistedAtSeal(taskId, epochId, verifier));
    }

    function _lookUp(uint256 taskId, uint64 epochId, uint40 sealedBlock, address verifier)
        private
        view
        returns (Enlistment storage enlistment, bool isMember)
    {
        enlistment = _enlistments[taskId][verifier];
        if (enlistment.enlistedBlock >= sealedBlock) enlistment = _formerEnlistments[taskId][verifier];
        uint256 since = enlistment.enlistedBlock;
        isMember = since != 0 && since < sealedBlock && epochId < enlistment.untilEpoch;
    }

    /// When what a former verifier enlisted with no longer answers.
    function _answerableUntil(Enlistment storage enlistment) private view returns (uint40) {
        return enlistment.delistedAt + STAKING.UNBONDING_PERIOD();
    }

    function _requireChallenges() private view {
        require(msg.sender == CHALLENGES, NotAuthorised(msg.sender));
    }

    /// Only for the two phases that only an epoch's votes decide: others need `phaseOf`.
    function _require(EpochPhase wanted, Votes memory votes, uint256 taskId, uint64 epochId) private view {
        // Not by `require`, which would work out the phase in every case.
        if (_phase(votes) != wanted) revert WrongPhase(taskId, epochId, phaseOf(taskId, epochId));
    }

    /// Where a sealed epoch stands that is neither settled nor void. Of one that is, it says Attested or Missed.
    function _phase(Votes memory votes) private view returns (EpochPhase) {
        if (block.timestamp < votes.attestBy && votes.uncommitted > 0) return EpochPhase.AttestCommit;
        if (block.timestamp < votes.revealBy && votes.unrevealed > 0) return EpochPhase.AttestReveal;
        return votes.surplus >= 0 ? EpochPhase.Attested : EpochPhase.Missed;
    }

    function _furtherScore(Epoch storage epoch, uint256 index) private view returns (bytes1) {
        return epoch.furtherScores[(index - _FIRST) / 32][(index - _FIRST) % 32];
    }

    function _pack(bytes memory scores, uint256 start, uint256 end) private pure returns (bytes32) {
        uint256 word;
        for (uint256 i = start; i < end; ++i) {
            word = word << 8 | uint8(scores[i]);
        }
        return bytes32(word << (256 - 8 * (end - start)));
    }

    /// `word` with another byte at `index`.
    function _replace(bytes32 word, uint256 index, uint8 score) private pure returns (bytes32) {
        uint256 shift = 248 - 8 * index;
        // forge-lint: disable-next-line(incorrect-shift)
        return bytes32(uint256(word) & ~(0xff << shift) | uint256(score) << shift);
    }

    function _revealedWeight(Epoch storage epoch) private view returns (uint128) {
        return uint128((int256(epoch.votes.surplus) + int256(_quorumOf(epoch))).toUint256()); // no more than `weight`
    }

    function _quorumOf(Epoch storage epoch) private view returns (uint256) {
        return Math.ceilDiv(uint256(epoch.weight) * epoch.quorumBps, Economics.BPS);
    }
}
