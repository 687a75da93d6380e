// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IStaking} from "./interfaces/IStaking.sol";
import {IAttestations} from "./interfaces/IAttestations.sol";
import {ChallengePhase, IChallenges} from "./interfaces/IChallenges.sol";
import {ITaskRegistry, TaskParams} from "./interfaces/ITaskRegistry.sol";
import {Economics} from "./libraries/Economics.sol";
import {Sampling} from "./libraries/Sampling.sol";
import {Scores} from "./libraries/Scores.sol";

/// @title Disputes: one work of a settled epoch put before its verifiers again.
/// @dev Holds no money: bonds and winnings are part of the task's reservation until they are claimed. The only loop runs
///      over the 102 scores there are.
contract Challenges is IChallenges {
    /// First slot: the dispute. Second slot: its phases. Third slot: its money.
    struct Challenge {
        address challenger;
        uint8 standing;
        uint8 claimed; // the score that the challenger named
        uint8 score; // the appeal's
        ChallengePhase outcome; // None until decided
        bool isAgainstVerifiers; // overturned by a quorum
        uint40 commitBy; // brought forward when all have committed
        uint40 revealBy; // brought forward when all who committed have revealed
        uint16 uncommitted;
        uint16 unrevealed;
        uint128 revealedWeight;
        uint128 owed; // to the challenger; of a lost bond: what the verifiers have not claimed yet
        uint128 owedWeight; // of the verifiers who have not claimed their share of a lost bond yet
        uint256 revealedScores; // a bit for each score that somebody revealed; fraud is bit _FRAUD_BIT
        mapping(uint8 score => uint128) weights;
        mapping(address verifier => Vote) votes;
    }

    struct Vote {
        bytes32 commitment;
        uint128 weight;
        uint8 score;
        bool isRevealed;
        bool isClaimed;
        bool isSlashed; // for its verdict
        bool isAbsent; // slashed for its absence from the appeal
    }

    /// The challenger's part of what its challenge costs verifiers.
    uint16 public constant CHALLENGER_BPS = 5000;

    uint256 private constant _FRAUD_BIT = 101;

    IStaking public immutable STAKING;
    IAttestations public immutable ATTESTATIONS;
    ITaskRegistry public immutable REGISTRY;
    address public immutable PAYOUTS;

    mapping(uint256 taskId => mapping(uint64 epoch => mapping(uint16 index => Challenge))) private _challenges;

    // No address is checked for zero: see Staking.
    // slither-disable-next-line missing-zero-check
    constructor(IStaking staking, ITaskRegistry registry, IAttestations attestations, address payouts) {
        STAKING = staking;
        REGISTRY = registry;
        ATTESTATIONS = attestations;
        PAYOUTS = payouts;
    }

    /// @inheritdoc IChallenges
    function challenge(uint256 taskId, uint64 epoch, uint16 index, uint8 score) external {
        require(score <= Scores.FULL || score == Scores.FRAUD, BadScore(score));
        Challenge storage dispute = _challenges[taskId][epoch][index];
        require(dispute.challenger == address(0), AlreadyChallenged(taskId, epoch, index));
        dispute.challenger = msg.sender;
        // Attestations is of this deployment: it calls nobody.
        // slither-disable-next-line reentrancy-no-eth
        (uint8 standing, uint16 verifiers) = ATTESTATIONS.openChallenge(taskId, epoch, index);
        require(score != standing, SameScore(taskId, epoch, index, score));

        TaskParams memory params = REGISTRY.paramsOf(taskId);
        (dispute.standing, dispute.claimed) = (standing, score);
        uint40 commitBy = uint40(block.timestamp) + params.appealWindow;
        (dispute.commitBy, dispute.revealBy) = (commitBy, commitBy + params.appealWindow);
        dispute.uncommitted = verifiers;
        dispute.owed = params.challengeBond;
        emit Challenged(taskId, epoch, index, msg.sender, standing, score, params.challengeBond, commitBy);
        REGISTRY.hold(taskId, msg.sender, params.challengeBond);
    }

    /// @inheritdoc IChallenges
    function commitAppeal(uint256 taskId, uint64 epoch, uint16 index, bytes32 commitment) external {
        Challenge storage dispute = _inPhase(taskId, epoch, index, ChallengePhase.AppealCommit);
        require(commitment != bytes32(0), EmptyCommitment());
        (address verifier,) = _member(taskId, epoch, msg.sender);
        Vote storage vote = dispute.votes[verifier];
        require(vote.commitment == bytes32(0), AlreadyVoted(taskId, epoch, index, verifier));

        vote.commitment = commitment;
        ++dispute.unrevealed;
        if (--dispute.uncommitted == 0) {
            uint40 window = dispute.revealBy - dispute.commitBy;
            dispute.commitBy = uint40(block.timestamp);
            dispute.revealBy = uint40(block.timestamp) + window;
        }
        emit AppealCommitted(taskId, epoch, index, verifier, commitment);
    }

    /// @inheritdoc IChallenges
    function revealAppeal(uint256 taskId, uint64 epoch, uint16 index, uint8 score, bytes32 salt) external {
        Challenge storage dispute = _inPhase(taskId, epoch, index, ChallengePhase.AppealReveal);
        require(score <= Scores.FULL || score == Scores.FRAUD, BadScore(score));
        (address verifier, uint128 weight) = _member(taskId, epoch, msg.sender);
        Vote storage vote = dispute.votes[verifier];
        bytes32 commitment = vote.commitment;
        require(commitment != bytes32(0), NotCommitted(taskId, epoch, index, verifier));
        bytes32 revealed = keccak256(abi.encode(taskId, epoch, index, verifier, score, salt));
        require(commitment == revealed, CommitmentMismatch(commitment, revealed));
        require(!vote.isRevealed, AlreadyVoted(taskId, epoch, index, verifier));

        (vote.weight, vote.score, vote.isRevealed) = (weight, score, true);
        dispute.weights[score] += weight;
        dispute.revealedWeight += weight;
        // forge-lint: disable-next-line(incorrect-shift)
        dispute.revealedScores |= 1 << (score == Scores.FRAUD ? _FRAUD_BIT : score);
        if (--dispute.unrevealed == 0) dispute.revealBy = uint40(block.timestamp);
        emit AppealRevealed(taskId, epoch, index, verifier, score, weight);
    }

    /// @inheritdoc IChallenges
    function decide(uint256 taskId, uint64 epoch, uint16 index, bytes[] calldata reports) external {
        Challenge storage dispute = _inPhase(taskId, epoch, index, ChallengePhase.Decidable);
        (uint8 score, bool isQuorate, bool isUndecided) = _outcome(dispute, taskId, epoch);
        ChallengePhase outcome = isUndecided
            ? ChallengePhase.Undecided
            : score == dispute.standing ? ChallengePhase.Upheld : ChallengePhase.Overturned;
        (dispute.outcome, dispute.score) = (outcome, score);
        dispute.isAgainstVerifiers = isQuorate && outcome == ChallengePhase.Overturned;
        if (outcome == ChallengePhase.Upheld) dispute.owedWeight = dispute.weights[score];
        emit ChallengeDecided(taskId, epoch, index, score, outcome);
        uint256 missing = ATTESTATIONS.closeChallenge(taskId, epoch, index, score, score == dispute.claimed, reports);
        if (missing > 0) {
            // Whoever settled may be the only one to have a report's bytes: that must not keep an epoch open for ever.
            uint256 graceBy = uint256(dispute.revealBy) + REGISTRY.paramsOf(taskId).revealWindow;
            require(block.timestamp >= graceBy, ReportsMissing(missing, graceBy));
        }
        // An upheld score that nobody voted for (it lay between the votes): nobody shares the bond.
        if (outcome == ChallengePhase.Upheld && dispute.owedWeight == 0) {
            uint128 bond = dispute.owed;
            dispute.owed = 0;
            REGISTRY.pay(taskId, address(0), 0, bond);
        }
    }

    /// @inheritdoc IChallenges
    function slashVerdict(uint256 taskId, uint64 epoch, uint16 index, address verifier, bytes calldata report)
        external
    {
        Challenge storage dispute = _challenges[taskId][epoch][index];
        require(dispute.isAgainstVerifiers, NotAgainstVerifiers(taskId, epoch, index));
        (bytes32 reportHash,,,,) = ATTESTATIONS.attestationOf(taskId, epoch, verifier);
        bytes32 given = keccak256(report);
        require(given == reportHash, WrongReport(given, reportHash));
        require(Scores.scoreAt(report, index) == dispute.standing, NotBehindScore(taskId, epoch, index, verifier));
        Vote storage vote = dispute.votes[verifier];
        require(!_isExcused(dispute, vote, taskId, epoch, index), Excused(taskId, epoch, index, verifier));
        require(!vote.isSlashed, AlreadySlashed(taskId, epoch, index, verifier));

        vote.isSlashed = true;
        uint16 challengerBps = dispute.claimed == dispute.score ? CHALLENGER_BPS : 0;
        uint128 amount = REGISTRY.paramsOf(taskId).verdictSlash;
        // What was taken is known only after the call, which goes to contracts of this deployment and their token.
        // slither-disable-next-line reentrancy-no-eth
        (uint128 taken, uint128 held) = ATTESTATIONS.slashVerifier(taskId, epoch, verifier, amount, challengerBps);
        dispute.owed += held;
        emit VerdictSlashed(taskId, epoch, index, verifier, taken, held);
    }

    /// @inheritdoc IChallenges
    function slashAbsence(uint256 taskId, uint64 epoch, uint16 index, address verifier) external {
        Challenge storage dispute = _challenges[taskId][epoch][index];
        ChallengePhase phase = dispute.outcome;
        require(phase != ChallengePhase.None, WrongChallengePhase(taskId, epoch, index, phaseOf(taskId, epoch, index)));
        Vote storage vote = dispute.votes[verifier];
        require(!vote.isRevealed, WasPresent(taskId, epoch, index, verifier));
        require(!vote.isAbsent, AlreadySlashed(taskId, epoch, index, verifier));

        vote.isAbsent = true;
        uint128 amount = REGISTRY.paramsOf(taskId).absenceSlash;
        (uint128 taken,) = ATTESTATIONS.slashVerifier(taskId, epoch, verifier, amount, 0);
        emit AppealAbsenceSlashed(taskId, epoch, index, verifier, taken);
    }

    /// @inheritdoc IChallenges
    function claim(uint256 taskId, uint64 epoch, uint16 index, address to) external returns (uint128 amount) {
        Challenge storage dispute = _challenges[taskId][epoch][index];
        amount = _owed(dispute, to);
        require(amount > 0, NothingToClaim(taskId, epoch, index, to));
        dispute.owed -= amount;
        if (dispute.outcome == ChallengePhase.Upheld) {
            Vote storage vote = dispute.votes[to];
            vote.isClaimed = true;
            dispute.owedWeight -= vote.weight;
        }
        emit ChallengeClaimed(taskId, epoch, index, to, amount);
        REGISTRY.pay(taskId, to, amount, amount);
    }

    /// @inheritdoc IChallenges
    function reward(uint256 taskId, uint64 epoch, uint16 index, uint128 amount) external {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        _challenges[taskId][epoch][index].owed += amount;
    }

    /// @inheritdoc IChallenges
    function challengeOf(uint256 taskId, uint64 epoch, uint16 index)
        external
        view
        returns (
            address challenger,
            uint8 standing,
            uint8 score,
            uint40 commitBy,
            uint40 revealBy,
            uint128 revealedWeight
        )
    {
        Challenge storage dispute = _challenges[taskId][epoch][index];
        (challenger, standing) = (dispute.challenger, dispute.standing);
        score = dispute.outcome == ChallengePhase.None ? dispute.claimed : dispute.score;
        (commitBy, revealBy, revealedWeight) = (dispute.commitBy, dispute.revealBy, dispute.revealedWeight);
    }

    /// @inheritdoc IChallenges
    function owedTo(uint256 taskId, uint64 epoch, uint16 index, address to) external view returns (uint128) {
        return _owed(_challenges[taskId][epoch][index], to);
    }

    /// @inheritdoc IChallenges
    function mustReplay(uint256 taskId, uint64 epoch, uint16 index) public view returns (bool) {
        return Sampling.mustReplay(ATTESTATIONS.seedOf(taskId, epoch), index, REGISTRY.paramsOf(taskId).samplingBps);
    }

    /// @inheritdoc IChallenges
    function phaseOf(uint256 taskId, uint64 epoch, uint16 index) public view returns (ChallengePhase) {
        Challenge storage dispute = _challenges[taskId][epoch][index];
        if (dispute.challenger == address(0) || dispute.outcome != ChallengePhase.None) return dispute.outcome;
        if (block.timestamp < dispute.commitBy && dispute.uncommitted > 0) return ChallengePhase.AppealCommit;
        if (block.timestamp < dispute.revealBy && dispute.unrevealed > 0) return ChallengePhase.AppealReveal;
        return ChallengePhase.Decidable;
    }

    function _inPhase(uint256 taskId, uint64 epoch, uint16 index, ChallengePhase wanted)
        private
        view
        returns (Challenge storage dispute)
    {
        ChallengePhase phase = phaseOf(taskId, epoch, index);
        require(phase == wanted, WrongChallengePhase(taskId, epoch, index, phase));
        dispute = _challenges[taskId][epoch][index];
    }

    /// The verifier that `key` acts for: one that was enlisted at the seal, with the weight that it has left.
    function _member(uint256 taskId, uint64 epoch, address key)
        private
        view
        returns (address verifier, uint128 weight)
    {
        verifier = STAKING.operatorOf(key);
        (, weight,,,) = ATTESTATIONS.attestationOf(taskId, epoch, verifier);
        require(weight > 0, NotEnlistedAtSeal(taskId, epoch, verifier));
    }

    /// The score that an appeal gives, and whether a quorum stands behind exactly that score.
    function _outcome(Challenge storage dispute, uint256 taskId, uint64 epoch)
        private
        view
        returns (uint8 score, bool isQuorate, bool isUndecided)
    {
        uint256 quorumBps = REGISTRY.paramsOf(taskId).quorumBps;
        (,,,, uint256 enlistedWeight) = ATTESTATIONS.tallyOf(taskId, epoch);
        if (!Economics.reachesQuorum(dispute.revealedWeight, quorumBps, enlistedWeight)) {
            return (dispute.standing, false, true);
        }
        (uint8[] memory scores, uint256[] memory weights) = _tally(dispute);
        score = Scores.decide(scores, weights, quorumBps, enlistedWeight);
        isQuorate = Economics.reachesQuorum(dispute.weights[score], quorumBps, enlistedWeight);
    }

    function _tally(Challenge storage dispute) private view returns (uint8[] memory scores, uint256[] memory weights) {
        uint256 count;
        uint256 bits = dispute.revealedScores;
        for (uint256 bit; bit <= _FRAUD_BIT; ++bit) {
            if (bits >> bit & 1 == 1) ++count;
        }
        (scores, weights) = (new uint8[](count), new uint256[](count));
        count = 0;
        for (uint256 bit; bit <= _FRAUD_BIT; ++bit) {
            if (bits >> bit & 1 == 0) continue;
            scores[count] = bit == _FRAUD_BIT ? Scores.FRAUD : uint8(bit);
            weights[count] = dispute.weights[scores[count]];
            ++count;
        }
    }

    function _owed(Challenge storage dispute, address to) private view returns (uint128) {
        ChallengePhase outcome = dispute.outcome;
        if (outcome == ChallengePhase.Upheld) {
            Vote storage vote = dispute.votes[to];
            if (!vote.isRevealed || vote.score != dispute.score || vote.isClaimed || vote.weight == 0) return 0;
            // Share by share of what is left: the last one gets the rest, to the wei.
            return uint128(uint256(dispute.owed) * vote.weight / dispute.owedWeight);
        }
        return outcome != ChallengePhase.None && to == dispute.challenger ? dispute.owed : 0;
    }

    /// Whether a verifier behind an overturned score had no reason to know better at the time. A false fraud has no excuse,
    /// nor has a cheat accepted where a replay was due; bytes that came late, and cheats that only an appeal looks for, do.
    function _isExcused(Challenge storage dispute, Vote storage vote, uint256 taskId, uint64 epoch, uint16 index)
        private
        view
        returns (bool)
    {
        if (!vote.isRevealed || vote.score != dispute.score || dispute.standing == Scores.FRAUD) return false;
        return dispute.standing == 0 || !mustReplay(taskId, epoch, index);
    }
}
