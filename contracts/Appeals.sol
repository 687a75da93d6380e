// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {ChallengeState, DisputePhase, IAppeals} from "./interfaces/IAppeals.sol";
import {IAttestations} from "./interfaces/IAttestations.sol";
import {ICommitments, Submission} from "./interfaces/ICommitments.sol";
import {Deployment} from "./interfaces/Deployment.sol";
import {IPanels, PanelRequest} from "./interfaces/IPanels.sol";
import {IStaking} from "./interfaces/IStaking.sol";
import {ITaskRegistry, TaskParams} from "./interfaces/ITaskRegistry.sol";
import {IVerifiers} from "./interfaces/IVerifiers.sol";
import {Ballot} from "./libraries/Ballot.sol";
import {Economics} from "./libraries/Economics.sol";
import {Randomness} from "./libraries/Randomness.sol";
import {Scores} from "./libraries/Scores.sol";
import {Tokens} from "./libraries/Tokens.sol";
import {Submissions} from "./libraries/Submissions.sol";

/// @title Appeals: scores of settled epochs put before people who did not give them.
/// @dev Holds what challengers put down, until it is claimed or burnt, and what has been won. Loops run over the seats
///      of a panel.
contract Appeals is IAppeals {
    using Ballot for Ballot.Box;
    using SafeERC20 for IERC20;
    using Tokens for IERC20;

    struct Challenge {
        address challenger;
        ChallengeState state;
        uint16 index;
        uint8 score;
        uint40 committedAt; // block
        uint128 bond;
        uint128 prepaid; // for judging
        bytes32 commitment;
    }

    /// The challenges of an epoch.
    struct EpochAppeals {
        uint32 count;
        uint40 challengeBy;
        mapping(uint32 id => Challenge) challenges;
        mapping(uint16 index => Dispute) disputes;
    }

    struct Cast {
        uint8 score;
        bool beyond;
        uint16 seats;
    }

    struct Juror {
        uint16 seats;
        bool isPaid;
        bool isDismissed;
        bool hasCast;
        uint8 score;
    }

    /// All challenges of one submission.
    struct Dispute {
        DisputePhase outcome; // None until decided
        uint8 standing;
        uint8 score; // what holds
        bool isAgainstVerifiers;
        uint16 challenges;
        uint16 seats; // PANEL_SEATS, or 0: nobody judges
        uint16 paidSeats; // that earn their fee
        uint40 seedBlock; // 0: not summoned
        uint40 takenBy; // the block before the first of them was committed to
        uint32 funder; // 1 + the challenge that pays for the judging: the finder's, else the first that was revealed
        uint128 finderCap; // what may still be added to `reward` by slashes of verifiers
        uint128 reward; // waits for the finder
        bytes32 seed; // of the panel
        Ballot.Box box;
        Cast[] casts;
        mapping(address => Juror) jurors;
        mapping(address => bool) isChallenger;
        mapping(uint8 score => uint32) first; // 1 + the first challenge that names it
        mapping(address verifier => bool) isSlashed;
    }

    /// The finder's part of what a challenge costs verifiers.
    uint16 public constant FINDER_BPS = 5000;
    /// Share of a panel's seats that makes a fraud, and that may blame verifiers.
    uint16 public constant PANEL_QUORUM_BPS = 6666;
    uint16 private constant _MAJORITY_BPS = 5001; // of PANEL_SEATS or fewer: more than half

    IERC20 public immutable TOKEN;
    IStaking public immutable STAKING;
    ITaskRegistry public immutable REGISTRY;
    ICommitments public immutable COMMITMENTS;
    IVerifiers public immutable VERIFIERS;
    IAttestations public immutable ATTESTATIONS;
    IPanels public immutable PANELS;
    address public immutable PAYOUTS;

    mapping(uint256 taskId => mapping(uint64 epoch => EpochAppeals)) private _epochs;

    constructor(Deployment memory deployment) {
        TOKEN = deployment.token;
        STAKING = deployment.staking;
        REGISTRY = deployment.registry;
        COMMITMENTS = deployment.commitments;
        VERIFIERS = deployment.verifiers;
        ATTESTATIONS = deployment.attestations;
        PANELS = deployment.panels;
        PAYOUTS = address(deployment.payouts);
    }

    /*//////////////////////////////////////////////////////////////
                               CHALLENGES
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IAppeals
    function commitChallenge(uint256 taskId, uint64 epoch, bytes32 commitment) external returns (uint32 id) {
        require(commitment != bytes32(0), Ballot.EmptyCommitment());
        EpochAppeals storage inEpoch = _epochs[taskId][epoch];
        id = inEpoch.count;
        inEpoch.count = id + 1;
        inEpoch.challengeBy = ATTESTATIONS.holdChallenge(taskId, epoch);
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        Challenge storage challenge = inEpoch.challenges[id];
        (challenge.challenger, challenge.state, challenge.commitment) =
        (msg.sender, ChallengeState.Committed, commitment);
        (challenge.bond, challenge.prepaid) = (params.challengeBond, PANELS.PANEL_SEATS() * params.jurorFee);
        challenge.committedAt = uint40(block.number);
        emit ChallengeCommitted(taskId, epoch, id, msg.sender, commitment);
        TOKEN.pull(msg.sender, uint256(challenge.bond) + challenge.prepaid);
    }

    /// @inheritdoc IAppeals
    function revealChallenge(uint256 taskId, uint64 epoch, uint32 id, uint16 index, uint8 score, bytes32 salt)
        external
    {
        Challenge storage challenge = _challengeIn(taskId, epoch, id, ChallengeState.Committed);
        _requireRevealing(taskId, epoch);
        bytes32 revealed = keccak256(abi.encode(taskId, epoch, challenge.challenger, index, score, salt));
        bytes32 commitment = challenge.commitment;
        require(commitment == revealed, Ballot.CommitmentMismatch(bytes31(commitment), bytes31(revealed)));
        require(Scores.isScore(score), BadScore(score));
        (uint16 submissions,,,,,,) = ATTESTATIONS.tallyOf(taskId, epoch);
        require(index < submissions, UnknownSubmission(taskId, epoch, index));
        uint8 standing = ATTESTATIONS.scoreOf(taskId, epoch, index);
        require(score != standing, SameScore(taskId, epoch, index, score));

        (challenge.state, challenge.index, challenge.score) = (ChallengeState.Revealed, index, score);
        _join(taskId, epoch, id, challenge, standing);
        emit ChallengeRevealed(taskId, epoch, id, index, challenge.challenger, standing, score);
    }

    /// @inheritdoc IAppeals
    function expireChallenge(uint256 taskId, uint64 epoch, uint32 id) external {
        Challenge storage challenge = _challengeIn(taskId, epoch, id, ChallengeState.Committed);
        uint256 by = _revealBy(taskId, _epochs[taskId][epoch]);
        require(block.timestamp >= by, TooEarly(by));
        uint256 putDown = uint256(challenge.bond) + challenge.prepaid;
        (challenge.state, challenge.bond, challenge.prepaid) = (ChallengeState.Expired, 0, 0);
        emit ChallengeExpired(taskId, epoch, id, putDown);
        ATTESTATIONS.releaseChallenges(taskId, epoch, 1);
        TOKEN.burn(putDown);
    }

    /*//////////////////////////////////////////////////////////////
                                DISPUTES
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IAppeals
    function summonPanel(uint256 taskId, uint64 epoch, uint16 index) external {
        Dispute storage dispute = _disputeIn(taskId, epoch, index, DisputePhase.Revealed);
        uint256 from = _revealBy(taskId, _epochs[taskId][epoch]);
        require(block.timestamp >= from, TooEarly(from));
        uint256 former = dispute.seedBlock;
        require(former == 0 || Randomness.isForgotten(former), AlreadySummoned(taskId, epoch, index, former));
        uint256 seedBlock = block.number + COMMITMENTS.SEAL_DELAY();
        dispute.seedBlock = uint40(seedBlock);
        emit PanelSummoned(taskId, epoch, index, seedBlock);
    }

    /// @inheritdoc IAppeals
    function drawPanel(uint256 taskId, uint64 epoch, Submission calldata submission, bytes calldata header) external {
        uint16 index = submission.index;
        Dispute storage dispute = _disputeIn(taskId, epoch, index, DisputePhase.Revealed);
        require(dispute.seedBlock != 0, NotSummoned(taskId, epoch, index));
        bytes32 hash = Submissions.hash(submission);
        bytes32 stored = COMMITMENTS.submissionHash(taskId, epoch, index);
        require(stored == hash || stored == Submissions.plantHash(hash), UnknownSubmission(taskId, epoch, index));
        bytes32 randomness = Randomness.at(dispute.seedBlock, header, ATTESTATIONS.HEADER_WAIT());
        dispute.seed = keccak256(abi.encode(randomness, taskId, epoch, index));
        address[] memory jurors = _seat(dispute, taskId, epoch, index, submission.trainer);
        emit PanelDrawn(taskId, epoch, index, dispute.seed, jurors, dispute.box.commitBy);
    }

    /// @inheritdoc IAppeals
    function commitVote(uint256 taskId, uint64 epoch, uint16 index, bytes32 commitment) external {
        Dispute storage dispute = _disputeIn(taskId, epoch, index, DisputePhase.AppealCommit);
        address juror = _jurorOf(dispute, taskId, epoch, index, msg.sender);
        dispute.box.commit(juror, commitment);
        emit VoteCommitted(taskId, epoch, index, juror, commitment);
    }

    /// @inheritdoc IAppeals
    function revealVote(uint256 taskId, uint64 epoch, uint16 index, uint8 score, bool beyond, bytes32 salt) external {
        Dispute storage dispute = _disputeIn(taskId, epoch, index, DisputePhase.AppealReveal);
        require(Scores.isScore(score), BadScore(score));
        address juror = _jurorOf(dispute, taskId, epoch, index, msg.sender);
        dispute.box.reveal(dispute.seed, juror, keccak256(abi.encode(score, beyond)), salt);
        Juror storage seat = dispute.jurors[juror];
        (seat.hasCast, seat.score) = (true, score);
        dispute.casts.push(Cast(score, beyond, seat.seats));
        emit VoteRevealed(taskId, epoch, index, juror, score, beyond, seat.seats);
    }

    /// @inheritdoc IAppeals
    function decide(uint256 taskId, uint64 epoch, uint16 index) external {
        Dispute storage dispute = _disputeIn(taskId, epoch, index, DisputePhase.Decidable);
        (DisputePhase outcome, uint8 score, bool isAgainst, uint16 paidSeats) = _outcome(dispute);
        (dispute.outcome, dispute.score) = (outcome, score);
        (dispute.isAgainstVerifiers, dispute.paidSeats) = (isAgainst, paidSeats);
        emit DisputeDecided(taskId, epoch, index, score, outcome, isAgainst);
        if (outcome == DisputePhase.Overturned) {
            uint32 finder = dispute.first[score];
            if (finder != 0) dispute.funder = finder; // who wins pays, and not who was only the first to reveal
            ATTESTATIONS.correctScore(taskId, epoch, index, score, finder != 0);
        }
        ATTESTATIONS.releaseChallenges(taskId, epoch, dispute.challenges);
        uint128 bond = REGISTRY.paramsOf(taskId).challengeBond;
        TOKEN.burn(uint256(dispute.challenges) * (bond - _bondBack(outcome, bond)));
    }

    /// @inheritdoc IAppeals
    function slashVerdict(uint256 taskId, uint64 epoch, uint16 index, address verifier, bytes calldata report)
        external
    {
        Dispute storage dispute = _epochs[taskId][epoch].disputes[index];
        require(dispute.isAgainstVerifiers, NotAgainstVerifiers(taskId, epoch, index));
        require(dispute.outcome == DisputePhase.Overturned, NotAgainstVerifiers(taskId, epoch, index));
        (bytes31 reportHash,,) = ATTESTATIONS.attestationOf(taskId, epoch, verifier);
        bytes31 given = bytes31(keccak256(report));
        require(given == reportHash, WrongReport(given, reportHash));
        bool isBehind = _isBehind(dispute, Scores.scoreAt(report, index));
        require(isBehind, NotBehindScore(taskId, epoch, index, verifier));
        require(!dispute.isSlashed[verifier], AlreadySlashed(taskId, epoch, index, verifier));
        dispute.isSlashed[verifier] = true;
        bool isFound = dispute.first[dispute.score] != 0;
        uint16 bps = REGISTRY.paramsOf(taskId).verdictSlashBps;
        // What was taken is known only after the call, which goes to contracts of this deployment and their token.
        // slither-disable-next-line reentrancy-no-eth
        (uint128 taken, uint128 toFinder) =
            VERIFIERS.slash(taskId, epoch, verifier, bps, address(this), isFound ? FINDER_BPS : 0, dispute.finderCap);
        dispute.finderCap -= toFinder;
        dispute.reward += toFinder;
        emit VerdictSlashed(taskId, epoch, index, verifier, taken, toFinder);
    }

    /// @inheritdoc IAppeals
    function dismissJuror(uint256 taskId, uint64 epoch, uint16 index, address juror) external {
        Dispute storage dispute = _epochs[taskId][epoch].disputes[index];
        _requireDecided(dispute, taskId, epoch, index);
        Juror storage seat = dispute.jurors[juror];
        bool isAbsent = seat.seats > 0 && !seat.hasCast && !seat.isDismissed;
        require(isAbsent, NotAJuror(taskId, epoch, index, juror));
        seat.isDismissed = true;
        PANELS.dismiss(taskId, REGISTRY.paramsOf(taskId).panelClass, juror, dispute.takenBy);
    }

    /*//////////////////////////////////////////////////////////////
                                  MONEY
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IAppeals
    function claimChallenge(uint256 taskId, uint64 epoch, uint32 id) external returns (uint128 amount) {
        EpochAppeals storage inEpoch = _epochs[taskId][epoch];
        Challenge storage challenge = inEpoch.challenges[id];
        Dispute storage dispute = inEpoch.disputes[challenge.index];
        amount = _owed(inEpoch, id, REGISTRY.paramsOf(taskId).jurorFee);
        require(amount > 0, NothingToPay(taskId, epoch, challenge.index, challenge.challenger));
        if (_isFinder(dispute, challenge, id)) dispute.reward = 0;
        challenge.state = ChallengeState.Claimed;
        emit AppealPaid(taskId, epoch, challenge.index, challenge.challenger, amount);
        TOKEN.safeTransfer(challenge.challenger, amount);
    }

    /// @inheritdoc IAppeals
    function claimVote(uint256 taskId, uint64 epoch, uint16 index, address juror) external returns (uint128 amount) {
        Dispute storage dispute = _epochs[taskId][epoch].disputes[index];
        _requireDecided(dispute, taskId, epoch, index);
        Juror storage seat = dispute.jurors[juror];
        bool isEarned = seat.hasCast && !seat.isPaid && _isWithOutcome(dispute, seat.score);
        amount = seat.seats * REGISTRY.paramsOf(taskId).jurorFee;
        require(isEarned && amount > 0, NothingToPay(taskId, epoch, index, juror));
        seat.isPaid = true;
        emit AppealPaid(taskId, epoch, index, juror, amount);
        TOKEN.safeTransfer(juror, amount);
    }

    /// @inheritdoc IAppeals
    function reward(uint256 taskId, uint64 epoch, uint16 index, uint128 amount) external {
        require(msg.sender == PAYOUTS, NotAuthorised(msg.sender));
        _epochs[taskId][epoch].disputes[index].reward += amount;
    }

    /*//////////////////////////////////////////////////////////////
                                  VIEWS
    //////////////////////////////////////////////////////////////*/

    /// @inheritdoc IAppeals
    function disputeOf(uint256 taskId, uint64 epoch, uint16 index)
        external
        view
        returns (
            uint8 standing,
            uint8 score,
            bytes32 seed,
            uint16 seats,
            uint40 commitBy,
            uint40 revealBy,
            bool isAgainstVerifiers
        )
    {
        Dispute storage dispute = _epochs[taskId][epoch].disputes[index];
        (standing, score, seed, seats) = (dispute.standing, dispute.score, dispute.seed, dispute.seats);
        (commitBy, revealBy, isAgainstVerifiers) =
        (dispute.box.commitBy, dispute.box.revealBy, dispute.isAgainstVerifiers);
    }

    /// @inheritdoc IAppeals
    function challengeOf(uint256 taskId, uint64 epoch, uint32 id)
        external
        view
        returns (address challenger, ChallengeState state, uint16 index, uint8 score)
    {
        Challenge storage challenge = _epochs[taskId][epoch].challenges[id];
        return (challenge.challenger, challenge.state, challenge.index, challenge.score);
    }

    /// @inheritdoc IAppeals
    function seatsOf(uint256 taskId, uint64 epoch, uint16 index, address juror) external view returns (uint16) {
        return _epochs[taskId][epoch].disputes[index].jurors[juror].seats;
    }

    /// @inheritdoc IAppeals
    function isChallenger(uint256 taskId, uint64 epoch, uint16 index, address account) external view returns (bool) {
        return _epochs[taskId][epoch].disputes[index].isChallenger[account];
    }

    /// @inheritdoc IAppeals
    function owedTo(uint256 taskId, uint64 epoch, uint32 id) external view returns (uint128) {
        return _owed(_epochs[taskId][epoch], id, REGISTRY.paramsOf(taskId).jurorFee);
    }

    /// @inheritdoc IAppeals
    function phaseOf(uint256 taskId, uint64 epoch, uint16 index) public view returns (DisputePhase) {
        EpochAppeals storage inEpoch = _epochs[taskId][epoch];
        Dispute storage dispute = inEpoch.disputes[index];
        if (dispute.challenges == 0 || dispute.outcome != DisputePhase.None) return dispute.outcome;
        if (dispute.seed == bytes32(0)) {
            // A panel that nobody draws in time does not hold an epoch up.
            uint256 drawBy = _revealBy(taskId, inEpoch) + REGISTRY.paramsOf(taskId).appealWindow;
            return block.timestamp < drawBy ? DisputePhase.Revealed : DisputePhase.Decidable;
        }
        Ballot.Stage stage = dispute.box.stageOf();
        if (stage == Ballot.Stage.Commit) return DisputePhase.AppealCommit;
        if (stage == Ballot.Stage.Reveal) return DisputePhase.AppealReveal;
        return DisputePhase.Decidable;
    }

    /*//////////////////////////////////////////////////////////////
                                INTERNALS
    //////////////////////////////////////////////////////////////*/

    /// Makes a challenge part of the dispute about its submission; the first one opens it.
    function _join(uint256 taskId, uint64 epoch, uint32 id, Challenge storage challenge, uint8 standing) private {
        Dispute storage dispute = _epochs[taskId][epoch].disputes[challenge.index];
        if (++dispute.challenges == 1) {
            TaskParams memory params = REGISTRY.paramsOf(taskId);
            (dispute.standing, dispute.score, dispute.funder) = (standing, standing, id + 1);
            dispute.takenBy = type(uint40).max;
            dispute.finderCap = Economics.rewardCap(params.challengeBond);
        }
        // The block before all of them: anyone who sees a challenge may take seats, challenge as well, and reveal that
        // first.
        uint40 before = challenge.committedAt - 1;
        if (before < dispute.takenBy) dispute.takenBy = before;
        dispute.isChallenger[challenge.challenger] = true;
        dispute.isChallenger[STAKING.operatorOf(challenge.challenger)] = true;
        uint32 first = dispute.first[challenge.score];
        if (first == 0 || id + 1 < first) dispute.first[challenge.score] = id + 1;
    }

    /// Draws the jurors of a panel and opens its ballot. Where they are too few, all that are left may be one person's:
    /// then nobody is seated, and there is nothing to wait for.
    function _seat(Dispute storage dispute, uint256 taskId, uint64 epoch, uint16 index, address trainer)
        private
        returns (address[] memory jurors)
    {
        TaskParams memory params = REGISTRY.paramsOf(taskId);
        PanelRequest memory request = PanelRequest({
            class: params.panelClass,
            seed: dispute.seed,
            takenBy: dispute.takenBy,
            taskId: taskId,
            epoch: epoch,
            index: index,
            trainer: trainer
        });
        jurors = PANELS.draw(request);
        if (jurors.length < PANELS.PANEL_SEATS()) jurors = new address[](0);
        uint16 voters;
        for (uint256 i; i < jurors.length; ++i) {
            Juror storage juror = dispute.jurors[jurors[i]];
            if (juror.seats == 0) ++voters;
            ++juror.seats;
        }
        dispute.seats = uint16(jurors.length);
        dispute.box.open(voters, params.appealWindow, params.appealWindow);
    }

    /// What the votes say: which score, whether verifiers are to blame for another, how many seats earn their fee.
    function _outcome(Dispute storage dispute)
        private
        view
        returns (DisputePhase outcome, uint8 score, bool isAgainst, uint16 paidSeats)
    {
        uint256 seats = dispute.seats;
        (uint8[] memory scores, uint256[] memory weights, uint256 cast, uint16 judged) = _votes(dispute);
        uint8 standing = dispute.standing;
        // More than half of the seats, so that a few who are quick or many who are bribed to stay away decide nothing.
        if (cast * 2 <= seats) return (DisputePhase.Undecided, standing, false, judged);
        // What verifiers have called fraud stays one unless most votes say otherwise: who stays away acquits nobody.
        bool isFraud = standing == Scores.FRAUD;
        score = Scores.decide(scores, weights, isFraud ? _MAJORITY_BPS : PANEL_QUORUM_BPS, isFraud ? cast : seats);
        if (score == Scores.UNAVAILABLE) {
            // Who is paid keeps its bytes to be had: else frauds without any would be beyond appeal. Nobody is blamed,
            // since verifiers may have had them.
            bool isLost = Scores.isPaid(standing) && (cast - judged) * 2 > seats;
            if (isLost) return (DisputePhase.Overturned, Scores.UNAVAILABLE, false, 0);
            return (DisputePhase.Undecided, standing, false, judged);
        }
        uint256 blaming;
        for (uint256 i; i < scores.length; ++i) {
            if (scores[i] != score) continue;
            paidSeats += uint16(weights[i]);
            if (!dispute.casts[i].beyond) blaming += weights[i];
        }
        // What is there now need not have been there when verifiers looked.
        bool couldJudge = standing != Scores.UNAVAILABLE;
        isAgainst = couldJudge && Economics.reachesQuorum(blaming, PANEL_QUORUM_BPS, seats);
        outcome = score == standing ? DisputePhase.Upheld : DisputePhase.Overturned;
    }

    function _votes(Dispute storage dispute)
        private
        view
        returns (uint8[] memory scores, uint256[] memory weights, uint256 cast, uint16 judged)
    {
        uint256 count = dispute.casts.length;
        (scores, weights) = (new uint8[](count), new uint256[](count));
        for (uint256 i; i < count; ++i) {
            Cast memory vote = dispute.casts[i];
            (scores[i], weights[i]) = (vote.score, vote.seats);
            cast += vote.seats;
            if (vote.score != Scores.UNAVAILABLE) judged += vote.seats;
        }
    }

    /// What a challenge can be paid now.
    function _owed(EpochAppeals storage inEpoch, uint32 id, uint128 jurorFee) private view returns (uint128) {
        Challenge storage challenge = inEpoch.challenges[id];
        Dispute storage dispute = inEpoch.disputes[challenge.index];
        ChallengeState state = challenge.state;
        // Claimed once: only a finder may have more.
        bool isRevealed = state == ChallengeState.Revealed || state == ChallengeState.Claimed;
        if (!isRevealed || dispute.outcome == DisputePhase.None) return 0;
        uint128 amount = _isFinder(dispute, challenge, id) ? dispute.reward : 0;
        if (state == ChallengeState.Claimed) return amount;
        amount += _bondBack(dispute.outcome, challenge.bond);
        uint128 spent = dispute.funder == id + 1 ? dispute.paidSeats * jurorFee : 0;
        return amount + challenge.prepaid - spent;
    }

    /// The first who named the score that holds now.
    function _isFinder(Dispute storage dispute, Challenge storage challenge, uint32 id) private view returns (bool) {
        return dispute.outcome == DisputePhase.Overturned && challenge.score == dispute.score
            && dispute.first[challenge.score] == id + 1;
    }

    /// Whether who gave this score is to blame where the dispute is against verifiers: it gave the one that stood, or
    /// one that errs as far to the same side, or would have paid what is fraud. By a hair's difference nobody gets
    /// away.
    function _isBehind(Dispute storage dispute, uint8 given) private view returns (bool) {
        (uint8 standing, uint8 score) = (dispute.standing, dispute.score);
        if (given == standing) return true;
        if (score == Scores.FRAUD) return Scores.isPaid(given);
        if (given == Scores.UNAVAILABLE) return false;
        (uint8 stood, uint8 due, uint8 gave) = (Scores.payOf(standing), Scores.payOf(score), Scores.payOf(given));
        return stood > due ? gave >= stood : stood < due && gave <= stood;
    }

    /// Whether a vote earns its fee: it was with the outcome, or there was none. Who had nothing to judge earns none,
    /// or jurors would do well to look for nothing.
    function _isWithOutcome(Dispute storage dispute, uint8 vote) private view returns (bool) {
        if (vote == Scores.UNAVAILABLE) return false;
        return dispute.outcome == DisputePhase.Undecided || vote == dispute.score;
    }

    function _revealBy(uint256 taskId, EpochAppeals storage inEpoch) private view returns (uint256) {
        return uint256(inEpoch.challengeBy) + REGISTRY.paramsOf(taskId).revealWindow;
    }

    /// What of a bond comes back. An appeal that decides nothing has delayed an epoch: that is not free.
    function _bondBack(DisputePhase outcome, uint128 bond) private pure returns (uint128) {
        if (outcome == DisputePhase.Overturned) return bond;
        return outcome == DisputePhase.Undecided ? bond / 2 : 0;
    }

    function _requireRevealing(uint256 taskId, uint64 epoch) private view {
        EpochAppeals storage inEpoch = _epochs[taskId][epoch];
        require(block.timestamp >= inEpoch.challengeBy, TooEarly(inEpoch.challengeBy));
        uint256 by = _revealBy(taskId, inEpoch);
        require(block.timestamp < by, TooLate(by));
    }

    function _challengeIn(uint256 taskId, uint64 epoch, uint32 id, ChallengeState wanted)
        private
        view
        returns (Challenge storage challenge)
    {
        challenge = _epochs[taskId][epoch].challenges[id];
        require(challenge.state == wanted, WrongChallenge(taskId, epoch, id, challenge.state));
    }

    function _disputeIn(uint256 taskId, uint64 epoch, uint16 index, DisputePhase wanted)
        private
        view
        returns (Dispute storage dispute)
    {
        DisputePhase phase = phaseOf(taskId, epoch, index);
        require(phase == wanted, WrongDispute(taskId, epoch, index, phase));
        dispute = _epochs[taskId][epoch].disputes[index];
    }

    function _requireDecided(Dispute storage dispute, uint256 taskId, uint64 epoch, uint16 index) private view {
        bool isDecided = dispute.outcome != DisputePhase.None;
        require(isDecided, WrongDispute(taskId, epoch, index, phaseOf(taskId, epoch, index)));
    }

    /// The juror that `key` acts for.
    function _jurorOf(Dispute storage dispute, uint256 taskId, uint64 epoch, uint16 index, address key)
        private
        view
        returns (address juror)
    {
        juror = STAKING.operatorOf(key);
        require(dispute.jurors[juror].seats > 0, NotAJuror(taskId, epoch, index, juror));
    }
}
