"""What holds now, worked out from what has happened."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from eth_utils.crypto import keccak

from specs import hashes, ledger
from specs.facts import (
    Allowed,
    AppealPaid,
    AttestationCommitted,
    AttestationRevealed,
    Bonded,
    ChallengeCommitted,
    ChallengeExpired,
    ChallengeRevealed,
    Claimed,
    DisputeDecided,
    EpochAbandoned,
    EpochClosed,
    EpochFinal,
    EpochOpened,
    EpochSealed,
    EpochSettled,
    EpochVoid,
    FeesClaimed,
    FraudSlashed,
    JurorDismissed,
    PaidPlantSlashed,
    PanelDrawn,
    PanelSummoned,
    PlantCommitted,
    PlantForfeited,
    PlantOpened,
    PlantRefunded,
    PolicyPublished,
    PolicySkipped,
    PolicyStep,
    Pulled,
    ScoreCorrected,
    ScoresSettled,
    SeatChange,
    SeatsLeft,
    SeatsTaken,
    Slashed,
    SubmissionCommitted,
    SubmissionEnded,
    TaskClosed,
    TaskOpened,
    TrainerChange,
    TrainerEnlisted,
    UnbondRequested,
    VerdictSlashed,
    VerifierBondReleased,
    VerifierEnlisted,
    VerifierSlashed,
    VoteCommitted,
    VoteRevealed,
    WeightChange,
    Withdrawn,
    WorkerKeySet,
)
from specs.history import History
from specs.words import (
    BPS,
    FRAUD,
    FULL,
    MARGIN_BPS,
    MAX_VERIFIERS,
    NOBODY,
    NONE,
    PANEL_QUORUM_BPS,
    PANEL_SEATS,
    REMEMBERED,
    REWARD_CAP,
    UNAVAILABLE,
    Address,
    ChallengeState,
    DisputePhase,
    Phase,
    PlantState,
    PolicyState,
    Role,
    Submission,
    Terms,
    share_down,
    share_up,
)

UNLIMITED = 2**256 - 1

# Token.


def balance(h: History, holder: Address) -> int:
    """What somebody holds: in its own name, and, if it is a contract, for others."""
    kept = sum(h.ledger.holds(name) for name, place in h.places.items() if place == holder)
    return kept + h.ledger.holds("wallet", holder)


def allowance(h: History, owner: Address, spender: Address) -> int:
    """What was allowed last, less what was taken since."""
    allowed = h.last(Allowed, owner=owner, spender=spender)
    if allowed is None or allowed.amount == UNLIMITED:
        return 0 if allowed is None else UNLIMITED
    left = allowed.amount
    for pull in reversed(h.of(Pulled, owner=owner, spender=spender)):
        if pull.number < allowed.number:
            break
        left -= pull.amount
    return left


def permits(h: History, owner: Address) -> int:
    return len(h.of(Allowed, owner=owner, is_permit=True))


# Keys and bonds.


def operator_of(h: History, key: Address) -> Address:
    """Anyone who named the key last, unless it has named another since."""
    named = h.last(WorkerKeySet, worker=key)
    if named is None or h.last(WorkerKeySet, operator=named.operator) is not named:
        return key
    return named.operator


def worker_of(h: History, operator: Address) -> Address:
    named = h.last(WorkerKeySet, operator=operator)
    return NOBODY if named is None else named.worker


def consents(h: History, worker: Address) -> int:
    """Each serves once; renouncing voids those that are about."""
    return len(h.of(WorkerKeySet, worker=worker)) + len(h.of(WorkerKeySet, renounced_by=worker))


def bonded(h: History, operator: Address, role: int) -> int:
    left = h.total("amount", UnbondRequested, operator=operator, role=role)
    slashed = h.total("amount", Slashed, operator=operator, role=role)
    return h.total("amount", Bonded, operator=operator, role=role) - left - slashed


def unbonding(h: History, operator: Address, role: int) -> int:
    asked = h.total("amount", UnbondRequested, operator=operator, role=role)
    return asked - h.total("amount", Withdrawn, operator=operator, role=role)


def withdrawable_at(h: History, operator: Address, role: int) -> int:
    asked = h.last(UnbondRequested, operator=operator, role=role)
    return 0 if asked is None else asked.withdrawable_at


def locked(h: History, operator: Address, role: int) -> int:
    """What of a bond answers for something."""
    if role == Role.TRAINER:
        return sum(trainer_lock(h, task_id, operator) for task_id in tasks(h))
    collateral = sum(verifier_collateral(h, task_id, operator) for task_id in tasks(h))
    return collateral + h.constants.seat_bond * seats_held(h, operator)


def lockable(h: History, operator: Address, role: int) -> int:
    """What of a bond is free, and was not bonded in this very block."""
    fresh = 0
    for bond in reversed(h.of(Bonded, operator=operator, role=role)):
        if bond.block.number != h.block.number:
            break
        fresh += bond.amount
    return max(0, bonded(h, operator, role) - locked(h, operator, role) - fresh)


# Tasks.


def tasks(h: History) -> range:
    return range(1, len(h.of(TaskOpened)) + 1)


def is_known(h: History, task_id: int) -> bool:
    return h.any(TaskOpened, task_id=task_id)


def opened(h: History, task_id: int) -> TaskOpened:
    return h.of(TaskOpened, task_id=task_id)[0]


def terms(h: History, task_id: int) -> Terms:
    return opened(h, task_id).params


def is_closed(h: History, task_id: int) -> bool:
    return h.any(TaskClosed, task_id=task_id)


def budget(h: History, task_id: int) -> int:
    return h.ledger.holds(*ledger.budget(task_id))


def needed_slash(gain: int, sampling_bps: int, detection_bps: int) -> int:
    """With probability p a cheat is found: then it must lose more than it gains else, by a margin."""
    found = sampling_bps * detection_bps
    return -(-gain * (BPS * BPS - found) * MARGIN_BPS // (found * BPS))


def windows(t: Terms) -> int:
    """All that can lie between an epoch's opening and its last slash."""
    return t.commit_window + 2 * t.attest_window + 2 * t.reveal_window + t.challenge_window + 3 * t.appeal_window


# Open epochs.


def open_number(h: History, task_id: int) -> int:
    """The epoch that is open, or opens next."""
    return len(h.of(EpochSealed, task_id=task_id))


def is_open(h: History, task_id: int) -> bool:
    here = {"task_id": task_id, "epoch": open_number(h, task_id)}
    return h.any(EpochOpened, **here) and not h.any(EpochAbandoned, **here)


def closed(h: History, task_id: int) -> EpochClosed | None:
    """How the open epoch was closed."""
    return h.last(EpochClosed, task_id=task_id, epoch=open_number(h, task_id))


def submissions(h: History, task_id: int, epoch: int) -> Sequence[SubmissionCommitted]:
    return h.of(SubmissionCommitted, task_id=task_id, epoch=epoch)


def units(h: History, task_id: int, epoch: int) -> int:
    return h.total("units", SubmissionCommitted, task_id=task_id, epoch=epoch)


def price(h: History, task_id: int, submission: SubmissionCommitted | Submission) -> int:
    """The most that a submission can earn."""
    return submission.units * terms(h, task_id).kinds[submission.kind].unit_price


def cost(h: History, task_id: int, epoch: int) -> int:
    return sum(price(h, task_id, submission) for submission in submissions(h, task_id, epoch))


def commit_by(h: History, task_id: int, epoch: int) -> int:
    told = h.last(EpochOpened, task_id=task_id, epoch=epoch)
    return 0 if told is None else told.commit_by


def running_hash(h: History, task_id: int) -> bytes:
    def step(before: bytes, submission: SubmissionCommitted) -> bytes:
        return hashes.words("bytes32 bytes32", before, hashes.submission_hash(as_submission(submission)))

    return h.fold("running hash", NONE, step, SubmissionCommitted, task_id=task_id)


def as_submission(submission: SubmissionCommitted) -> Submission:
    return Submission(
        submission.trainer,
        submission.index,
        submission.kind,
        submission.units,
        submission.policy_version,
        submission.manifest_root,
    )


def is_sealable(h: History, task_id: int) -> bool:
    close = closed(h, task_id)
    return close is not None and h.block.number > close.seed_block


def is_forgotten(h: History, block: int) -> bool:
    return h.block.number > block + REMEMBERED


def why_no_seed(h: History, block: int, header: bytes) -> Iterator[str]:
    """Of a block comes a seed while the chain remembers it: by its header, or after a wait by its hash."""
    if h.block.number <= block:
        yield "SeedBlockTooRecent"
    elif is_forgotten(h, block):
        yield "SeedBlockForgotten"
    elif not header and h.block.number < block + 1 + h.constants.header_wait:
        yield "HeaderAwaited"
    elif header and keccak(header) != h.blocks[block].hash:
        yield "WrongHeader"


def randomness(h: History, block: int, header: bytes) -> bytes:
    return h.blocks[block].prevrandao if header else h.blocks[block].hash


# Trainers.


def is_trainer(h: History, task_id: int, trainer: Address) -> bool:
    return isinstance(h.last(TrainerChange, task_id=task_id, trainer=trainer), TrainerEnlisted)


def trainers(h: History, task_id: int) -> list[Address]:
    """Those who are enlisted."""
    everybody = h.each("trainer", TrainerChange, task_id=task_id)
    return [each for each in everybody if is_trainer(h, task_id, each)]


def submissions_of(h: History, task_id: int, epoch: int, trainer: Address) -> Sequence[SubmissionCommitted]:
    return h.of(SubmissionCommitted, task_id=task_id, epoch=epoch, trainer=trainer)


def is_done(h: History, task_id: int, trainer: Address) -> bool:
    """Whether the open epoch need not wait for a trainer: it has said so, or may bring no more."""
    brought = submissions_of(h, task_id, open_number(h, task_id), trainer)
    return any(submission.is_last for submission in brought) or len(brought) >= terms(h, task_id).max_submissions_each


def waiting(h: History, task_id: int) -> int:
    """For how many the open epoch waits."""
    if closed(h, task_id) is not None:
        return 0
    return sum(not is_done(h, task_id, each) for each in trainers(h, task_id))


def has_left(h: History, task_id: int, trainer: Address) -> bool:
    """No submission in the last two sealed epochs, though it had come before they opened."""
    number = open_number(h, task_id)
    since = h.of(TrainerEnlisted, task_id=task_id, trainer=trainer)[-1].epoch
    recent = range(max(0, number - 2), number + 1)
    return number > since + 2 and not any(submissions_of(h, task_id, each, trainer) for each in recent)


def in_flight(h: History, task_id: int, trainer: Address) -> int:
    ended = h.of(SubmissionEnded, task_id=task_id, trainer=trainer)
    return len(h.of(SubmissionCommitted, task_id=task_id, trainer=trainer)) - len(ended)


def trainer_lock(h: History, task_id: int, trainer: Address) -> int:
    """One bond never answers for two submissions."""
    return lock_for(h, task_id, units_in_flight(h, task_id, trainer), is_trainer(h, task_id, trainer))


def lock_for(h: History, task_id: int, flying: int, is_enlisted: bool) -> int:
    return max(terms(h, task_id).trainer_bond if is_enlisted else 0, stake_of(h, task_id, flying))


def units_in_flight(h: History, task_id: int, trainer: Address) -> int:
    here = {"task_id": task_id, "trainer": trainer}
    return h.total("units", SubmissionCommitted, **here) - h.total("units", SubmissionEnded, **here)


def stake_of(h: History, task_id: int, flying: int) -> int:
    """What so many units can be slashed: a submission of full size, the task's fraud slash."""
    t = terms(h, task_id)
    return -(-flying * t.fraud_slash // t.max_submission_units)


def stored_hash(h: History, task_id: int, epoch: int, index: int) -> bytes:
    """Of a submission while it can be claimed or slashed; another once it is known to be planted."""
    committed = h.last(SubmissionCommitted, task_id=task_id, epoch=epoch, index=index)
    if committed is None:
        return NONE
    hashed = hashes.submission_hash(as_submission(committed))
    ended = h.last(SubmissionEnded, task_id=task_id, epoch=epoch, index=index)
    if ended is None:
        return hashed
    return hashes.plant_hash(hashed) if isinstance(ended, PlantOpened) else NONE


# Verifiers.


def weight_at(h: History, task_id: int, epoch: int, verifier: Address) -> int:
    """The latest change that holds from this epoch or an earlier one."""
    for change in reversed(h.of(WeightChange, task_id=task_id, verifier=verifier)):
        if change.from_epoch <= epoch:
            return change.weight
    return 0


def members(h: History, task_id: int, epoch: int) -> list[Address]:
    everybody = h.each("verifier", VerifierEnlisted, task_id=task_id)
    return [each for each in everybody if weight_at(h, task_id, epoch, each) > 0]


def electorate(h: History, task_id: int, epoch: int) -> int:
    return sum(weight_at(h, task_id, epoch, each) for each in members(h, task_id, epoch))


def is_verifier(h: History, task_id: int, verifier: Address) -> bool:
    """Its weight in epochs to come is not nought."""
    last = h.last(WeightChange, task_id=task_id, verifier=verifier)
    return last is not None and last.weight > 0


def verifier_collateral(h: History, task_id: int, verifier: Address) -> int:
    """Put up, less what was slashed and what went back."""
    who = {"task_id": task_id, "verifier": verifier}
    lost = h.total("amount", VerifierSlashed, **who) + h.total("amount", VerifierBondReleased, **who)
    return h.total("weight", VerifierEnlisted, **who) - lost


def answers_from(h: History, task_id: int, verifier: Address) -> int:
    """The first epoch that its bond answers for: what it had put up before has answered for others, and went back."""
    enlisted = h.last(VerifierEnlisted, task_id=task_id, verifier=verifier)
    return 0 if enlisted is None else enlisted.from_epoch


def answerable_until(h: History, task_id: int, verifier: Address) -> int:
    """A bond answers for an unbonding period after its verifier has left."""
    left = 0
    for change in reversed(h.of(WeightChange, task_id=task_id, verifier=verifier)):
        if change.weight > 0:
            break
        left = change.block.time
    return left + h.constants.unbonding_s


def last_change(h: History, task_id: int, verifier: Address) -> int:
    change = h.last(WeightChange, task_id=task_id, verifier=verifier)
    return 0 if change is None else change.from_epoch


def next_to_close(h: History, task_id: int) -> int:
    """What is closed is not changed any more."""
    return open_number(h, task_id) + (closed(h, task_id) is not None)


def next_with_a_place(h: History, task_id: int) -> int:
    """Who comes does not judge an open epoch that has submissions: trainers looked before they committed."""
    number = open_number(h, task_id)
    is_full = len(members(h, task_id, number)) >= MAX_VERIFIERS
    return number + 1 if is_full else max(next_to_close(h, task_id), leaves_from(h, task_id))


def leaves_from(h: History, task_id: int) -> int:
    """Who leaves still judges an open epoch that has submissions."""
    number = open_number(h, task_id)
    return number + (is_open(h, task_id) and len(submissions(h, task_id, number)) > 0)


# Ballots.


class Stage(IntEnum):
    COMMIT = 0
    REVEAL = 1
    OVER = 2


@dataclass(frozen=True, slots=True)
class Ballot:
    """Windows end early when all have acted who can. Commits and reveals as the times at which they came."""

    voters: int
    opened: int
    commit_window: int
    reveal_window: int
    commits: Sequence[int]
    reveals: Sequence[int]

    @property
    def commit_by(self) -> int:
        have_all = len(self.commits) == self.voters > 0
        return self.commits[-1] if have_all else self.opened + self.commit_window

    @property
    def reveal_by(self) -> int:
        have_all = len(self.reveals) == len(self.commits) > 0
        return self.reveals[-1] if have_all else self.commit_by + self.reveal_window

    def stage(self, now: int) -> Stage:
        if now < self.commit_by and len(self.commits) < self.voters:
            return Stage.COMMIT
        if now < self.reveal_by and len(self.reveals) < len(self.commits):
            return Stage.REVEAL
        return Stage.OVER


# Judgement.


def sealed(h: History, task_id: int, epoch: int) -> EpochSealed | None:
    return h.last(EpochSealed, task_id=task_id, epoch=epoch)


def seed(h: History, task_id: int, epoch: int) -> bytes:
    seal = sealed(h, task_id, epoch)
    return NONE if seal is None else seal.seed


def ballot(h: History, task_id: int, epoch: int) -> Ballot | None:
    """None: not sealed, or void at once."""
    seal = sealed(h, task_id, epoch)
    if seal is None or seal.attest_by == 0:
        return None
    t, here = terms(h, task_id), {"task_id": task_id, "epoch": epoch}
    commits = [each.block.time for each in h.of(AttestationCommitted, **here)]
    reveals = [each.block.time for each in h.of(AttestationRevealed, **here)]
    return Ballot(seal.verifiers, seal.block.time, t.attest_window, t.reveal_window, commits, reveals)


def phase(h: History, task_id: int, epoch: int) -> Phase:
    here = {"task_id": task_id, "epoch": epoch}
    if h.any(EpochVoid, **here):
        return Phase.VOID
    if h.any(EpochFinal, **here):
        return Phase.FINAL
    if h.any(EpochSettled, **here):
        return Phase.CHALLENGEABLE
    box = ballot(h, task_id, epoch)
    if box is None:
        return Phase.COMMITTING
    stage = box.stage(h.now)
    if stage != Stage.OVER:
        return Phase.ATTEST_COMMIT if stage == Stage.COMMIT else Phase.ATTEST_REVEAL
    return Phase.ATTESTED if revealed_weight(h, task_id, epoch) >= quorum(h, task_id, epoch) else Phase.MISSED


def quorum(h: History, task_id: int, epoch: int) -> int:
    """The least weight that is one."""
    seal = sealed(h, task_id, epoch)
    return 0 if seal is None else share_up(seal.weight, terms(h, task_id).quorum_bps)


def stake(h: History, task_id: int, epoch: int) -> int:
    """What a corrupt quorum could pay and slash: it has to have put up as much."""
    t = terms(h, task_id)
    return cost(h, task_id, epoch) + t.verifier_fee + stake_of(h, task_id, units(h, task_id, epoch))


def reveal(h: History, task_id: int, epoch: int, verifier: Address) -> AttestationRevealed | None:
    return h.last(AttestationRevealed, task_id=task_id, epoch=epoch, verifier=verifier)


def revealed_weight(h: History, task_id: int, epoch: int) -> int:
    return h.total("weight", AttestationRevealed, task_id=task_id, epoch=epoch)


def as_score(report: bytes, index: int) -> int:
    """A byte that is no score counts as 0."""
    score = report[index] if index < len(report) else 0
    return score if score <= FULL or score >= UNAVAILABLE else 0


def is_paid(score: int) -> bool:
    return 1 <= score <= FULL


def pay_of(score: int) -> int:
    """In hundredths of what a submission can earn."""
    return score if is_paid(score) else 0


def judge(votes: Sequence[tuple[int, int]], quorum_bps: int, everybody: int) -> int:
    """The score on which so many (score, weight) decide, of everybody's weight.

    Fraud if a quorum of everybody says so; unavailable if half of those who spoke do; else what half of them say or go
    below, where fraud and unavailable count as 0.
    """
    spoken = sum(weight for _, weight in votes)
    fraud = sum(weight for score, weight in votes if score == FRAUD)
    unavailable = sum(weight for score, weight in votes if score == UNAVAILABLE)
    if fraud and fraud * BPS >= quorum_bps * everybody:
        return FRAUD
    if unavailable * 2 >= spoken:
        return UNAVAILABLE
    below = sorted((score if score <= FULL else 0, weight) for score, weight in votes)
    upto = 0
    for score, weight in below:
        upto += weight
        if upto * 2 >= spoken:
            return score
    raise ValueError("nobody voted")


def outcome(h: History, task_id: int, epoch: int, index: int) -> int:
    """What the reveals of an epoch say about one submission."""
    reveals = h.of(AttestationRevealed, task_id=task_id, epoch=epoch)
    seal = sealed(h, task_id, epoch)
    assert seal is not None, "only who judges a sealed epoch reveals"
    votes = [(as_score(each.report, index), each.weight) for each in reveals]
    return judge(votes, terms(h, task_id).quorum_bps, seal.weight)


def settled_scores(h: History, task_id: int, epoch: int) -> bytes:
    return b"".join(each.scores for each in h.of(ScoresSettled, task_id=task_id, epoch=epoch))


def score_of(h: History, task_id: int, epoch: int, index: int) -> int:
    corrected = h.last(ScoreCorrected, task_id=task_id, epoch=epoch, index=index)
    if corrected is not None:
        return corrected.score
    scores = settled_scores(h, task_id, epoch)
    return scores[index] if index < len(scores) else 0


def is_found(h: History, task_id: int, epoch: int, index: int) -> bool:
    """Whether a fraud's finder waits in Appeals."""
    corrected = h.last(ScoreCorrected, task_id=task_id, epoch=epoch, index=index)
    return corrected is not None and corrected.is_found


def paid(h: History, task_id: int, epoch: int) -> int:
    """Submissions that earned something when they were settled."""
    return sum(is_paid(score) for score in settled_scores(h, task_id, epoch))


def challenge_by(h: History, task_id: int, epoch: int) -> int:
    settled = h.last(EpochSettled, task_id=task_id, epoch=epoch)
    return 0 if settled is None else settled.challenge_by


def may_challenge(h: History, task_id: int, epoch: int) -> bool:
    """Whether anybody may still object to its scores."""
    return phase(h, task_id, epoch) == Phase.CHALLENGEABLE and h.now < challenge_by(h, task_id, epoch)


def differences(h: History, task_id: int, epoch: int, verifier: Address) -> int:
    """Submissions settled as paid or fraud that a verifier judged otherwise; what is worth nothing costs nobody."""
    revealed = reveal(h, task_id, epoch, verifier)
    if revealed is None:
        return 0
    settled = enumerate(settled_scores(h, task_id, epoch))
    worth = [(index, score) for index, score in settled if is_paid(score) or score == FRAUD]
    return sum(as_score(revealed.report, index) != score for index, score in worth)


def open_challenges(h: History, task_id: int, epoch: int) -> int:
    """An epoch is not final while one is neither expired nor decided."""
    here = {"task_id": task_id, "epoch": epoch}
    decided = {each.index for each in h.of(DisputeDecided, **here)}
    over = len(h.of(ChallengeExpired, **here))
    over += sum(each.index in decided for each in h.of(ChallengeRevealed, **here))
    return len(h.of(ChallengeCommitted, **here)) - over


# Policies.


def next_policy(h: History, task_id: int) -> int:
    """The epoch whose policy is next."""
    return len(h.of(PolicyStep, task_id=task_id))


def policy_state(h: History, task_id: int, epoch: int) -> PolicyState:
    step = h.last(PolicyStep, task_id=task_id, epoch=epoch)
    if step is None:
        return PolicyState.PENDING
    return PolicyState(step.state) if isinstance(step, PolicySkipped) else PolicyState.PUBLISHED


def is_settled(h: History, task_id: int, epoch: int) -> bool:
    return phase(h, task_id, epoch) in (Phase.CHALLENGEABLE, Phase.FINAL)


def is_policy_due(h: History, task_id: int, epoch: int) -> bool:
    """Nothing is due after an epoch that is void, or paid nothing."""
    if phase(h, task_id, epoch) == Phase.VOID:
        return False
    return not (is_settled(h, task_id, epoch) and paid(h, task_id, epoch) == 0)


def policy_line_since(h: History, task_id: int) -> int:
    """When it came to the epoch whose policy is next: before, nobody could publish that."""
    step = h.last(PolicyStep, task_id=task_id)
    return 0 if step is None else step.block.time


def policy_by(h: History, task_id: int, epoch: int, since: int) -> int:
    """Until when the policy of an epoch is waited for, to which the line of policies came at `since`."""
    return max(challenge_by(h, task_id, epoch), since) + terms(h, task_id).reveal_window


def newest_policy(h: History, task_id: int) -> tuple[int, bytes]:
    published = h.of(PolicyPublished, task_id=task_id)
    return len(published), published[-1].policy_root if published else opened(h, task_id).policy_root


# Fees and prices.


def epoch_fee(h: History, task_id: int, epoch: int) -> int:
    """What the verifiers of a settled epoch share: of a full epoch's fee, as much as there are submissions that
    were paid.
    """
    t = terms(h, task_id)
    counted = min(paid(h, task_id, epoch) * t.max_submission_units, t.max_epoch_units)
    return share_down(t.verifier_fee, counted, t.max_epoch_units)


def fee_share(h: History, task_id: int, epoch: int, verifier: Address) -> int:
    """What of an epoch's fee falls to a verifier's weight."""
    seal = sealed(h, task_id, epoch)
    revealed = reveal(h, task_id, epoch, verifier)
    if seal is None or revealed is None:
        return 0
    return share_down(epoch_fee(h, task_id, epoch), revealed.weight, seal.weight)


def fee_earned(h: History, task_id: int, epoch: int, verifier: Address) -> int:
    """Its share, less what one submission that is paid earns for each that it judged otherwise."""
    share, number = fee_share(h, task_id, epoch, verifier), paid(h, task_id, epoch)
    agreed = max(0, number - differences(h, task_id, epoch, verifier))
    return share_down(share, agreed, number) if number else 0


def fee_due(h: History, task_id: int, epoch: int, verifier: Address) -> int:
    """What a claim would pay."""
    claimed = h.any(FeesClaimed, task_id=task_id, epoch=epoch, verifier=verifier)
    if phase(h, task_id, epoch) != Phase.FINAL or claimed or why_no_fee(h, task_id, epoch):
        return 0
    return fee_earned(h, task_id, epoch, verifier)


def why_no_fee(h: History, task_id: int, epoch: int) -> str | None:
    """A fee is due when the policy is published, or none is due."""
    state = policy_state(h, task_id, epoch)
    if state == PolicyState.SKIPPED:
        return "FeeForfeited"
    return "PolicyPending" if state == PolicyState.PENDING and paid(h, task_id, epoch) > 0 else None


def earned(h: History, task_id: int, epoch: int, submission: Submission) -> int:
    score = score_of(h, task_id, epoch, submission.index)
    is_void = phase(h, task_id, epoch) == Phase.VOID
    return 0 if is_void else share_down(price(h, task_id, submission), pay_of(score), FULL)


# Seats. They are numbered without holes.


def _count(juror_of: type[SeatsTaken] | type[SeatsLeft], h: History, **where: object) -> int:
    def step(count: int, fact: SeatsTaken | SeatsLeft) -> int:
        return count + len(fact.seats)

    return h.fold("count", 0, step, juror_of, **where)


def pool_size(h: History, class_: bytes) -> int:
    return _count(SeatsTaken, h, class_=class_) - _count(SeatsLeft, h, class_=class_)


def seats_held(h: History, juror: Address) -> int:
    return _count(SeatsTaken, h, juror=juror) - _count(SeatsLeft, h, juror=juror)


def holder(h: History, class_: bytes, seat: int) -> SeatChange | None:
    """None: there is no such seat."""
    return h.last(SeatChange, class_=class_, seat=seat) if seat < pool_size(h, class_) else None


def holders(h: History, class_: bytes) -> list[Address]:
    return [h.of(SeatChange, class_=class_, seat=seat)[-1].juror for seat in range(pool_size(h, class_))]


def holders_at(h: History, class_: bytes, block: int) -> list[Address]:
    """Whose seats they were at the end of a block."""
    taken = [each for each in h.of(SeatsTaken, class_=class_) if each.block.number <= block]
    left = [each for each in h.of(SeatsLeft, class_=class_) if each.block.number <= block]
    size = sum(len(each.seats) for each in taken) - sum(len(each.seats) for each in left)
    changes = ([*h.of(SeatChange, class_=class_, seat=seat)] for seat in range(size))
    return [[each for each in seat if each.block.number <= block][-1].juror for seat in changes]


def left_seats_at(h: History, class_: bytes, juror: Address) -> int:
    """The block in which it last left one."""
    left = h.last(SeatsLeft, class_=class_, juror=juror)
    return 0 if left is None else left.block.number


def seated_since(h: History, class_: bytes, juror: Address) -> SeatsTaken | None:
    """When it came who now holds seats."""
    changes = sorted(
        [*h.of(SeatsTaken, class_=class_, juror=juror), *h.of(SeatsLeft, class_=class_, juror=juror)],
        key=lambda each: each.number,
    )
    since, held = None, 0
    for change in changes:
        came = isinstance(change, SeatsTaken)
        since = change if came and held == 0 else since
        held += len(change.seats) if came else -len(change.seats)
    return since if held and isinstance(since, SeatsTaken) else None


def is_dismissed(h: History, task_id: int, juror: Address, by_block: int | None = None) -> bool:
    """From panels of this task, since it came; it may leave all its seats and come again."""
    since = seated_since(h, terms(h, task_id).panel_class, juror)
    dismissals = h.of(JurorDismissed, task_id=task_id, juror=juror)
    known = [each for each in dismissals if by_block is None or each.block.number <= by_block]
    return since is not None and any(each.block.number >= since.block.number for each in known)


# Disputes.


def reveals_end(h: History, task_id: int, epoch: int) -> int:
    return challenge_by(h, task_id, epoch) + terms(h, task_id).reveal_window


def challenges(h: History, task_id: int, epoch: int, index: int) -> Sequence[ChallengeRevealed]:
    return h.of(ChallengeRevealed, task_id=task_id, epoch=epoch, index=index)


def challenge(h: History, task_id: int, epoch: int, id: int) -> ChallengeCommitted | None:
    return h.last(ChallengeCommitted, task_id=task_id, epoch=epoch, id=id)


def challenge_revealed(h: History, task_id: int, epoch: int, id: int) -> ChallengeRevealed | None:
    return h.last(ChallengeRevealed, task_id=task_id, epoch=epoch, id=id)


def is_claimed(h: History, task_id: int, epoch: int, id: int) -> bool:
    return h.any(AppealPaid, task_id=task_id, epoch=epoch, id=id)


def challenge_state(h: History, task_id: int, epoch: int, id: int) -> ChallengeState:
    if challenge(h, task_id, epoch, id) is None:
        return ChallengeState.NONE
    if is_claimed(h, task_id, epoch, id):
        return ChallengeState.CLAIMED
    if h.any(ChallengeExpired, task_id=task_id, epoch=epoch, id=id):
        return ChallengeState.EXPIRED
    is_told = challenge_revealed(h, task_id, epoch, id) is not None
    return ChallengeState.REVEALED if is_told else ChallengeState.COMMITTED


def put_down(h: History, task_id: int) -> int:
    """For a challenge: a bond, and the judging of one dispute. All of it is burnt where it is not revealed."""
    t = terms(h, task_id)
    return t.challenge_bond + PANEL_SEATS * t.juror_fee


def is_challenger(h: History, task_id: int, epoch: int, index: int, who: Address) -> bool:
    """Itself, or by its worker key."""
    return any(who in (each.challenger, each.operator) for each in challenges(h, task_id, epoch, index))


def summoned(h: History, task_id: int, epoch: int, index: int) -> PanelSummoned | None:
    return h.last(PanelSummoned, task_id=task_id, epoch=epoch, index=index)


def panel(h: History, task_id: int, epoch: int, index: int) -> PanelDrawn | None:
    return h.last(PanelDrawn, task_id=task_id, epoch=epoch, index=index)


def panel_seats(h: History, task_id: int, epoch: int, index: int, juror: Address) -> int:
    drawn = panel(h, task_id, epoch, index)
    return 0 if drawn is None else drawn.jurors.count(juror)


def decided(h: History, task_id: int, epoch: int, index: int) -> DisputeDecided | None:
    return h.last(DisputeDecided, task_id=task_id, epoch=epoch, index=index)


def votes(h: History, task_id: int, epoch: int, index: int) -> Sequence[VoteRevealed]:
    return h.of(VoteRevealed, task_id=task_id, epoch=epoch, index=index)


def panel_ballot(h: History, task_id: int, epoch: int, index: int) -> Ballot | None:
    drawn = panel(h, task_id, epoch, index)
    if drawn is None:
        return None
    window, here = terms(h, task_id).appeal_window, {"task_id": task_id, "epoch": epoch, "index": index}
    commits = [each.block.time for each in h.of(VoteCommitted, **here)]
    reveals = [each.block.time for each in h.of(VoteRevealed, **here)]
    return Ballot(len(set(drawn.jurors)), drawn.block.time, window, window, commits, reveals)


def dispute_phase(h: History, task_id: int, epoch: int, index: int) -> DisputePhase:
    ended = decided(h, task_id, epoch, index)
    if ended is not None:
        return DisputePhase(ended.phase)
    if not challenges(h, task_id, epoch, index):
        return DisputePhase.NONE
    box = panel_ballot(h, task_id, epoch, index)
    if box is None:
        draw_by = reveals_end(h, task_id, epoch) + terms(h, task_id).appeal_window
        return DisputePhase.REVEALED if h.now < draw_by else DisputePhase.DECIDABLE
    stages = (DisputePhase.APPEAL_COMMIT, DisputePhase.APPEAL_REVEAL, DisputePhase.DECIDABLE)
    return stages[box.stage(h.now)]


def drawn_as_of(h: History, task_id: int, epoch: int, index: int) -> int:
    """The block of whose pool a panel is drawn: nobody knew of the challenge then."""
    committed = [challenge(h, task_id, epoch, each.id) for each in challenges(h, task_id, epoch, index)]
    return min(each.block.number for each in committed if each is not None) - 1


def eligible(h: History, task_id: int, epoch: int, index: int) -> list[Address]:
    """Whose seats may be drawn, one for each seat: who was there, has left none since, and is no party."""
    class_, block = terms(h, task_id).panel_class, drawn_as_of(h, task_id, epoch, index)
    trainer = submissions(h, task_id, epoch)[index].trainer

    def may_judge(juror: Address) -> bool:
        is_party = juror == trainer or is_challenger(h, task_id, epoch, index, juror)
        is_there = left_seats_at(h, class_, juror) <= block and not is_dismissed(h, task_id, juror, block)
        return is_there and not is_party and weight_at(h, task_id, epoch, juror) == 0

    return [juror for juror in holders_at(h, class_, block) if may_judge(juror)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`score` is what holds from now on."""

    phase: DisputePhase
    score: int
    is_against: bool


def verdict(h: History, task_id: int, epoch: int, index: int) -> Verdict:
    """What a panel's votes mean. More than half of its seats must vote; where too few may judge, it has none."""
    standing = challenges(h, task_id, epoch, index)[0].standing
    drawn = panel(h, task_id, epoch, index)
    seats = 0 if drawn is None else len(drawn.jurors)
    cast = votes(h, task_id, epoch, index)
    nothing = Verdict(DisputePhase.UNDECIDED, standing, False)
    if sum(vote.seats for vote in cast) * 2 <= seats:
        return nothing
    voted = [(vote.score, vote.seats) for vote in cast]
    score = confirm_fraud(voted) if standing == FRAUD else judge(voted, PANEL_QUORUM_BPS, seats)
    if score == UNAVAILABLE:
        # Who is paid keeps its bytes to be had. Nobody is blamed: verifiers may have had them.
        lost = sum(vote.seats for vote in cast if vote.score == UNAVAILABLE)
        is_lost = is_paid(standing) and lost * 2 > seats
        return Verdict(DisputePhase.OVERTURNED, UNAVAILABLE, False) if is_lost else nothing
    blaming = sum(vote.seats for vote in cast if vote.score == score and not vote.beyond)
    # Bytes may have come after verifiers had looked for them.
    is_against = standing != UNAVAILABLE and blaming * BPS >= PANEL_QUORUM_BPS * seats
    return Verdict(DisputePhase.UPHELD if score == standing else DisputePhase.OVERTURNED, score, is_against)


def confirm_fraud(cast: Sequence[tuple[int, int]]) -> int:
    """What verifiers called fraud stays one if more than half of the votes say so: who stays away acquits nobody."""
    seats = sum(weight for _, weight in cast)
    fraud = sum(weight for score, weight in cast if score == FRAUD)
    return FRAUD if fraud * 2 > seats else judge([(s, w) for s, w in cast if s != FRAUD] + [(0, fraud)], BPS, seats)


def is_behind(h: History, task_id: int, epoch: int, index: int, score: int) -> bool:
    """To blame is who gave the score that fell, erred as far to its side, or would have paid what is fraud."""
    ended, standing = decided(h, task_id, epoch, index), challenges(h, task_id, epoch, index)[0].standing
    assert ended is not None, "checked before"
    if score == standing or ended.score == FRAUD:
        return score == standing or is_paid(score)
    stood, due, gave = (pay_of(each) for each in (standing, ended.score, score))
    errs_alike = gave >= stood if stood > due else stood < due and gave <= stood
    return score != UNAVAILABLE and errs_alike


def earns(found: Verdict, vote: VoteRevealed) -> bool:
    """A juror is paid for what the panel said, or if it said nothing; not for having found nothing to judge."""
    if vote.score == UNAVAILABLE:
        return False
    return found.phase == DisputePhase.UNDECIDED or vote.score == found.score


def judging_cost(h: History, task_id: int, epoch: int, index: int) -> int:
    found = verdict(h, task_id, epoch, index)
    seats = sum(vote.seats for vote in votes(h, task_id, epoch, index) if earns(found, vote))
    return seats * terms(h, task_id).juror_fee


def finder(h: History, task_id: int, epoch: int, index: int, score: int) -> ChallengeRevealed | None:
    """Who committed first to the score that holds now."""
    named = [each for each in challenges(h, task_id, epoch, index) if each.score == score]
    return min(named, key=lambda each: each.id, default=None)


def finder_of(h: History, task_id: int, epoch: int, index: int) -> ChallengeRevealed | None:
    ended = decided(h, task_id, epoch, index)
    if ended is None or ended.phase != DisputePhase.OVERTURNED:
        return None
    return finder(h, task_id, epoch, index, ended.score)


def funder(h: History, task_id: int, epoch: int, index: int) -> ChallengeRevealed:
    """Whose challenge pays for the judging: the finder's, who wins by it; else the first that was revealed."""
    return finder_of(h, task_id, epoch, index) or challenges(h, task_id, epoch, index)[0]


def owed(h: History, task_id: int, epoch: int, id: int) -> tuple[int, int]:
    """What a challenge owes its challenger: for what was put down, and as a finder's reward."""
    t, revealed = terms(h, task_id), challenge_revealed(h, task_id, epoch, id)
    is_paid_out = is_claimed(h, task_id, epoch, id)
    prepaid = PANEL_SEATS * t.juror_fee
    ended = None if revealed is None else decided(h, task_id, epoch, revealed.index)
    if revealed is None or ended is None:
        return 0, 0
    back = prepaid + bond_back(ended.phase, t.challenge_bond)
    if funder(h, task_id, epoch, revealed.index) is revealed:
        back -= judging_cost(h, task_id, epoch, revealed.index)
    is_finder = finder_of(h, task_id, epoch, revealed.index) is revealed
    reward = h.ledger.holds(*ledger.reward(task_id, epoch, revealed.index)) if is_finder else 0
    return (0 if is_paid_out else back), reward


def bond_back(phase: int, bond: int) -> int:
    """An appeal that decides nothing has delayed an epoch: half of what was put down for it is burnt."""
    return {DisputePhase.OVERTURNED: bond, DisputePhase.UNDECIDED: bond // 2}.get(DisputePhase(phase), 0)


def finder_left(h: History, task_id: int, epoch: int, index: int) -> int:
    """What the slashes of verifiers may still add to a finder's reward."""
    got = h.total("to_finder", VerdictSlashed, task_id=task_id, epoch=epoch, index=index)
    return reward_cap(h, task_id) - got


def reward_cap(h: History, task_id: int) -> int:
    """The most that one submission brings who found out about it, or planted it."""
    return min(REWARD_CAP * terms(h, task_id).challenge_bond, 2**96 - 1)


# Plants.


def plant(h: History, task_id: int, commitment: bytes) -> PlantCommitted | None:
    return h.last(PlantCommitted, task_id=task_id, commitment=commitment)


def plant_state(h: History, task_id: int, commitment: bytes) -> PlantState:
    here = {"task_id": task_id, "commitment": commitment}
    if any(h.any(kind, **here) for kind in (PlantOpened, PlantRefunded)):
        return PlantState.OPENED
    if h.any(PlantForfeited, **here):
        return PlantState.FORFEITED
    return PlantState.NONE if plant(h, task_id, commitment) is None else PlantState.COMMITTED


def may_blame(h: History, task_id: int, epoch: int) -> bool:
    """Whether who is blamed for paying a plant that is opened now has half of the window to object."""
    half = terms(h, task_id).challenge_window // 2
    return phase(h, task_id, epoch) == Phase.CHALLENGEABLE and h.now < challenge_by(h, task_id, epoch) - half


def is_disputed(h: History, task_id: int, epoch: int, index: int) -> bool:
    """Whether a panel is called, and has not said anything yet."""
    return bool(challenges(h, task_id, epoch, index)) and decided(h, task_id, epoch, index) is None


def is_over(h: History, task_id: int, epoch: int) -> bool:
    """Whether nothing of an epoch is judged any more, or it never comes."""
    first_to_come = open_number(h, task_id) + is_open(h, task_id)
    never_comes = is_closed(h, task_id) and epoch >= first_to_come
    return phase(h, task_id, epoch) in (Phase.FINAL, Phase.VOID) or never_comes


def is_convicted(h: History, task_id: int, epoch: int, index: int) -> bool:
    """Whether a panel has called it fraud."""
    is_overturned = dispute_phase(h, task_id, epoch, index) == DisputePhase.OVERTURNED
    return is_overturned and score_of(h, task_id, epoch, index) == FRAUD


def guards_nothing(h: History, task_id: int, epoch: int, trainer: Address, root: bytes) -> bool:
    """Whether nobody will be paid for what a plant covers. Roots are kept only where a trainer may have several."""
    if phase(h, task_id, epoch) == Phase.VOID:
        return True
    if terms(h, task_id).max_submissions_each > 1:
        return all(submission.manifest_root != root for submission in submissions_of(h, task_id, epoch, trainer))
    newest = h.last(SubmissionCommitted, task_id=task_id, trainer=trainer)
    return newest is None or newest.epoch < epoch


def deposit(h: History, task_id: int) -> int:
    return share_up(terms(h, task_id).most_of_one_submission, MARGIN_BPS)


def planted(h: History, task_id: int, epoch: int, index: int) -> PlantOpened | None:
    return h.last(PlantOpened, task_id=task_id, epoch=epoch, index=index)


def planter_left(h: History, task_id: int, epoch: int, index: int) -> int:
    """What the slashes of those who paid a plant may still bring its planter."""
    got = h.total("to_planter", PaidPlantSlashed, task_id=task_id, epoch=epoch, index=index)
    return reward_cap(h, task_id) - got


def is_ended(h: History, task_id: int, epoch: int, index: int) -> bool:
    """Claimed, slashed, or opened as a plant."""
    ended = h.last(SubmissionEnded, task_id=task_id, epoch=epoch, index=index)
    return isinstance(ended, (Claimed, FraudSlashed, PlantOpened))
