"""Seats of jurors, challenges, disputes."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from specs import hashes, rules
from specs.acts.act import Act, cannot_pay, pull
from specs.acts.verifiers import Slash
from specs.facts import (
    AppealPaid,
    ChallengeCommitted,
    ChallengeExpired,
    ChallengeRevealed,
    DisputeDecided,
    Fact,
    JurorAbsent,
    JurorDismissed,
    PanelDrawn,
    PanelSummoned,
    ScoreCorrected,
    SeatChange,
    SeatMoved,
    SeatsLeft,
    SeatsTaken,
    VerdictSlashed,
    VoteCommitted,
    VoteRevealed,
)
from specs.history import History
from specs.words import (
    FINDER_BPS,
    FRAUD,
    FULL,
    MAX_SEATS_AT_ONCE,
    NONE,
    PANEL_SEATS,
    UNAVAILABLE,
    Address,
    ChallengeState,
    DisputePhase,
    Phase,
    Role,
    Submission,
)


class Impermissible(AssertionError):
    """What the protocol leaves open was settled in a way that it does not allow."""


# Seats.


def _why_not_so_many(count: int) -> Iterator[str]:
    if count == 0:
        yield "NoSeats"
    if count > MAX_SEATS_AT_ONCE:
        yield "TooManySeats"


@dataclass(frozen=True, slots=True)
class TakeSeats(Act, contract="Panels", function="takeSeats"):
    class_: bytes
    count: int

    def against(self, h: History) -> Iterator[str]:
        yield from _why_not_so_many(self.count)
        juror = rules.operator_of(h, self.by)
        if self.count * h.constants.seat_bond > rules.lockable(h, juror, Role.VERIFIER):
            yield "InsufficientBond"

    def follows(self, h: History) -> Iterator[Fact]:
        size, juror = rules.pool_size(h, self.class_), rules.operator_of(h, self.by)
        seats = tuple(range(size, size + self.count))
        yield SeatsTaken(self.class_, juror, seats)
        for seat in seats:
            yield SeatChange(self.class_, seat, juror)


@dataclass(frozen=True, slots=True)
class LeaveSeats(Act, contract="Panels", function="leaveSeats"):
    """One after the other; each time the last of the pool takes the place of the one that is left."""

    class_: bytes
    seats: tuple[int, ...]

    def against(self, h: History) -> Iterator[str]:
        yield from _why_not_so_many(len(self.seats))
        pool, juror = rules.holders(h, self.class_), rules.operator_of(h, self.by)
        for seat in self.seats:
            if seat >= len(pool) or pool[seat] != juror:
                yield "NotYourSeat"
                return
            pool[seat] = pool[-1]
            pool.pop()

    def follows(self, h: History) -> Iterator[Fact]:
        pool = rules.holders(h, self.class_)
        yield SeatsLeft(self.class_, rules.operator_of(h, self.by), self.seats)
        for seat in self.seats:
            mover = pool.pop()
            if seat < len(pool):
                pool[seat] = mover
                yield SeatMoved(self.class_, mover, len(pool), seat)
                yield SeatChange(self.class_, seat, mover)


# Challenges.


@dataclass(frozen=True, slots=True)
class CommitChallenge(Act, contract="Appeals", function="commitChallenge"):
    task_id: int
    epoch: int
    commitment: bytes

    def against(self, h: History) -> Iterator[str]:
        if self.commitment == NONE:
            yield "EmptyCommitment"
        is_open = rules.phase(h, self.task_id, self.epoch) == Phase.CHALLENGEABLE
        if not is_open or h.now >= rules.challenge_by(h, self.task_id, self.epoch):
            yield "WrongPhase"
            return
        yield from cannot_pay(h, self.by, "Appeals", rules.put_down(h, self.task_id))

    def follows(self, h: History) -> Iterator[Fact]:
        number = len(h.of(ChallengeCommitted, task_id=self.task_id, epoch=self.epoch))
        yield pull(h, self.by, "Appeals", rules.put_down(h, self.task_id))
        yield ChallengeCommitted(self.task_id, self.epoch, number, self.by, self.commitment)


@dataclass(frozen=True, slots=True)
class RevealChallenge(Act, contract="Appeals", function="revealChallenge"):
    task_id: int
    epoch: int
    id: int
    index: int
    score: int
    salt: bytes

    def against(self, h: History) -> Iterator[str]:
        here = (h, self.task_id, self.epoch)
        challenge = rules.challenge(*here, self.id)
        if challenge is None or rules.challenge_state(*here, self.id) != ChallengeState.COMMITTED:
            yield "WrongChallenge"
            return
        if h.now < rules.challenge_by(*here):
            yield "TooEarly"
        if h.now >= rules.reveals_end(*here):
            yield "TooLate"
        named = (challenge.challenger, self.index, self.score, self.salt)
        if challenge.commitment != hashes.challenge(self.task_id, self.epoch, *named):
            yield "CommitmentMismatch"
        if FULL < self.score < UNAVAILABLE:
            yield "BadScore"
        if self.index >= len(rules.submissions(*here)):
            yield "UnknownSubmission"
        elif rules.score_of(*here, self.index) == self.score:
            yield "SameScore"

    def follows(self, h: History) -> Iterator[Fact]:
        here = (self.task_id, self.epoch)
        challenge = rules.challenge(h, *here, self.id)
        assert challenge is not None, "checked before"
        standing = rules.score_of(h, *here, self.index)
        operator = rules.operator_of(h, challenge.challenger)
        yield ChallengeRevealed(*here, self.id, self.index, challenge.challenger, standing, self.score, operator)


@dataclass(frozen=True, slots=True)
class ExpireChallenge(Act, contract="Appeals", function="expireChallenge"):
    task_id: int
    epoch: int
    id: int

    def against(self, h: History) -> Iterator[str]:
        if rules.challenge_state(h, self.task_id, self.epoch, self.id) != ChallengeState.COMMITTED:
            yield "WrongChallenge"
        elif h.now < rules.reveals_end(h, self.task_id, self.epoch):
            yield "TooEarly"

    def follows(self, h: History) -> Iterator[Fact]:
        yield ChallengeExpired(self.task_id, self.epoch, self.id, rules.put_down(h, self.task_id))


# Disputes.


@dataclass(frozen=True, slots=True)
class SummonPanel(Act, contract="Appeals", function="summonPanel"):
    task_id: int
    epoch: int
    index: int

    def against(self, h: History) -> Iterator[str]:
        here = (h, self.task_id, self.epoch, self.index)
        if rules.dispute_phase(*here) != DisputePhase.REVEALED:
            yield "WrongDispute"
            return
        if h.now < rules.reveals_end(h, self.task_id, self.epoch):
            yield "TooEarly"
        former = rules.summoned(*here)
        if former is not None and not rules.is_forgotten(h, former.seed_block):
            yield "AlreadySummoned"

    def follows(self, h: History) -> Iterator[Fact]:
        yield PanelSummoned(self.task_id, self.epoch, self.index, h.block.number + h.constants.seal_delay)


@dataclass(frozen=True, slots=True)
class DrawPanel(Act, contract="Appeals", function="drawPanel"):
    """Whose seats are drawn is left open, but of those who may: PANEL_SEATS, or none where there are fewer."""

    task_id: int
    epoch: int
    submission: Submission
    header: bytes

    def against(self, h: History) -> Iterator[str]:
        here = (h, self.task_id, self.epoch, self.submission.index)
        if rules.dispute_phase(*here) != DisputePhase.REVEALED:
            yield "WrongDispute"
            return
        if (
            rules.as_submission(rules.submissions(h, self.task_id, self.epoch)[self.submission.index])
            != self.submission
        ):
            yield "UnknownSubmission"
        summoned = rules.summoned(*here)
        if summoned is None:
            yield "NotSummoned"
            return
        yield from rules.why_no_seed(h, summoned.seed_block, self.header)

    def follows(self, h: History) -> Iterator[Fact]:
        here = (self.task_id, self.epoch, self.submission.index)
        summoned = rules.summoned(h, *here)
        assert summoned is not None, "checked before"
        random = rules.randomness(h, summoned.seed_block, self.header)
        seed = hashes.words("bytes32 uint256 uint64 uint16", random, *here)
        able = rules.eligible(h, *here)
        if len(able) < PANEL_SEATS:
            able = []
        jurors = h.choices.jurors if h.choices.jurors is not None else tuple(able[:PANEL_SEATS])
        if Counter(jurors) - Counter(able) or len(jurors) != min(len(able), PANEL_SEATS):
            raise Impermissible(f"{len(jurors)} jurors of {len(able)} that may be drawn")
        window = rules.terms(h, self.task_id).appeal_window
        yield PanelDrawn(*here, seed, jurors, h.now + window)


@dataclass(frozen=True, slots=True)
class CommitVote(Act, contract="Appeals", function="commitVote"):
    task_id: int
    epoch: int
    index: int
    commitment: bytes

    def against(self, h: History) -> Iterator[str]:
        here = (h, self.task_id, self.epoch, self.index)
        if rules.dispute_phase(*here) != DisputePhase.APPEAL_COMMIT:
            yield "WrongDispute"
            return
        juror = rules.operator_of(h, self.by)
        if rules.panel_seats(*here, juror) == 0:
            yield "NotAJuror"
        if self.commitment == NONE:
            yield "EmptyCommitment"
        if h.any(VoteCommitted, task_id=self.task_id, epoch=self.epoch, index=self.index, juror=juror):
            yield "AlreadyCommitted"

    def follows(self, h: History) -> Iterator[Fact]:
        juror = rules.operator_of(h, self.by)
        yield VoteCommitted(self.task_id, self.epoch, self.index, juror, self.commitment)


@dataclass(frozen=True, slots=True)
class RevealVote(Act, contract="Appeals", function="revealVote"):
    task_id: int
    epoch: int
    index: int
    score: int
    beyond: bool
    salt: bytes

    def against(self, h: History) -> Iterator[str]:
        here = (h, self.task_id, self.epoch, self.index)
        if rules.dispute_phase(*here) != DisputePhase.APPEAL_REVEAL:
            yield "WrongDispute"
            return
        if FULL < self.score < UNAVAILABLE:
            yield "BadScore"
        juror = rules.operator_of(h, self.by)
        if rules.panel_seats(*here, juror) == 0:
            yield "NotAJuror"
        place = {"task_id": self.task_id, "epoch": self.epoch, "index": self.index, "juror": juror}
        if h.any(VoteRevealed, **place):
            yield "AlreadyRevealed"
            return
        committed, drawn = h.last(VoteCommitted, **place), rules.panel(*here)
        if committed is None or drawn is None:
            yield "NotCommitted"
        elif committed.commitment != hashes.judgement(drawn.seed, juror, self.score, self.beyond, self.salt):
            yield "CommitmentMismatch"

    def follows(self, h: History) -> Iterator[Fact]:
        here, juror = (self.task_id, self.epoch, self.index), rules.operator_of(h, self.by)
        yield VoteRevealed(*here, juror, self.score, self.beyond, rules.panel_seats(h, *here, juror))


@dataclass(frozen=True, slots=True)
class Decide(Act, contract="Appeals", function="decide"):
    task_id: int
    epoch: int
    index: int

    def against(self, h: History) -> Iterator[str]:
        if rules.dispute_phase(h, self.task_id, self.epoch, self.index) != DisputePhase.DECIDABLE:
            yield "WrongDispute"

    def follows(self, h: History) -> Iterator[Fact]:
        here = (self.task_id, self.epoch, self.index)
        found = rules.verdict(h, *here)
        yield DisputeDecided(*here, found.score, found.phase, found.is_against)
        if found.phase == DisputePhase.OVERTURNED:
            is_found = found.score == FRAUD and rules.finder(h, *here, FRAUD) is not None
            yield ScoreCorrected(*here, found.score, is_found)


def _is_decided(h: History, task_id: int, epoch: int, index: int) -> bool:
    return rules.decided(h, task_id, epoch, index) is not None


@dataclass(frozen=True, slots=True)
class SlashVerdict(Act, contract="Appeals", function="slashVerdict"):
    task_id: int
    epoch: int
    index: int
    verifier: Address
    report: bytes

    def against(self, h: History) -> Iterator[str]:
        here = (self.task_id, self.epoch, self.index)
        ended = rules.decided(h, *here)
        if ended is None or ended.phase != DisputePhase.OVERTURNED or not ended.is_against_verifiers:
            yield "NotAgainstVerifiers"
            return
        revealed = rules.reveal(h, self.task_id, self.epoch, self.verifier)
        if revealed is None or revealed.report != self.report:
            yield "WrongReport"
        if not rules.is_behind(h, *here, rules.as_score(self.report, self.index)):
            yield "NotBehindScore"
        place = {"task_id": self.task_id, "epoch": self.epoch, "index": self.index, "verifier": self.verifier}
        if h.any(VerdictSlashed, **place):
            yield "AlreadySlashed"

    def follows(self, h: History) -> Iterator[Fact]:
        """A part waits for the finder, if somebody has named what holds now."""
        here, appeals = (self.task_id, self.epoch, self.index), h.places["Appeals"]
        bps = FINDER_BPS if rules.finder_of(h, *here) is not None else 0
        share = rules.terms(h, self.task_id).verdict_slash_bps
        left = rules.finder_left(h, *here)
        slash = Slash(self.task_id, self.epoch, self.verifier, share, appeals, bps, left)
        taken, reward = slash.taken(h), slash.rewarded(h)
        yield from slash.follows(h)
        yield VerdictSlashed(*here, self.verifier, taken, reward)


@dataclass(frozen=True, slots=True)
class DismissJuror(Act, contract="Appeals", function="dismissJuror"):
    task_id: int
    epoch: int
    index: int
    juror: Address

    def against(self, h: History) -> Iterator[str]:
        here = (h, self.task_id, self.epoch, self.index)
        if not _is_decided(*here):
            yield "WrongDispute"
            return
        has_voted = any(vote.juror == self.juror for vote in rules.votes(*here))
        place = {"task_id": self.task_id, "epoch": self.epoch, "index": self.index, "juror": self.juror}
        if rules.panel_seats(*here, self.juror) == 0 or has_voted or h.any(JurorAbsent, **place):
            yield "NotAJuror"

    def follows(self, h: History) -> Iterator[Fact]:
        """Nothing, if it has left all its seats and come again since."""
        here, class_ = (self.task_id, self.epoch, self.index), rules.terms(h, self.task_id).panel_class
        since = rules.seated_since(h, class_, self.juror)
        yield JurorAbsent(*here, self.juror)
        was_there = since is not None and since.block.number <= rules.drawn_as_of(h, *here)
        if was_there and not rules.is_dismissed(h, self.task_id, self.juror):
            yield JurorDismissed(self.task_id, self.juror)


# Money.


@dataclass(frozen=True, slots=True)
class ClaimChallenge(Act, contract="Appeals", function="claimChallenge"):
    task_id: int
    epoch: int
    id: int

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id):
            yield "UnknownTask"
        elif sum(rules.owed(h, self.task_id, self.epoch, self.id)) == 0:
            yield "NothingToPay"

    def follows(self, h: History) -> Iterator[Fact]:
        here = (self.task_id, self.epoch)
        revealed = rules.challenge_revealed(h, *here, self.id)
        assert revealed is not None, "something is owed"
        back, reward = rules.owed(h, *here, self.id)
        yield AppealPaid(*here, revealed.index, revealed.challenger, back + reward, self.id, reward)


@dataclass(frozen=True, slots=True)
class ClaimVote(Act, contract="Appeals", function="claimVote"):
    task_id: int
    epoch: int
    index: int
    juror: Address

    def _fee(self, h: History) -> int:
        here = (h, self.task_id, self.epoch, self.index)
        found, fee = rules.verdict(*here), rules.terms(h, self.task_id).juror_fee
        cast = [vote for vote in rules.votes(*here) if vote.juror == self.juror and rules.earns(found, vote)]
        place = {"task_id": self.task_id, "epoch": self.epoch, "index": self.index, "to": self.juror}
        is_paid = h.any(AppealPaid, **place, id=None)
        return 0 if is_paid else sum(vote.seats * fee for vote in cast)

    def against(self, h: History) -> Iterator[str]:
        if not _is_decided(h, self.task_id, self.epoch, self.index):
            yield "WrongDispute"
        elif self._fee(h) == 0:
            yield "NothingToPay"

    def follows(self, h: History) -> Iterator[Fact]:
        yield AppealPaid(self.task_id, self.epoch, self.index, self.juror, self._fee(h))
