"""Thousands of epochs of one task on a local chain: frauds, plants, absences, split reports, disputes, void epochs.

The books follow the chain's Transfer events; at checkpoints the contracts must hold exactly what they owe, and all that
an outsider can ask must be what the specification says. In the end everybody takes home what is theirs.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eth_utils.crypto import keccak

from specs import hashes, rules
from specs.acts import Act, appeals, attestations, commitments, payouts, policies, staking, tasks, verifiers
from specs.facts import ChallengeRevealed, EpochSealed, FraudSlashed, PlantOpened, SubmissionCommitted, Withdrawn
from specs.words import FRAUD, NOBODY, UNAVAILABLE, Address, Phase, Role, SubmissionRef
from tests.differential.behaviour import CLASS, ROOT, TERMS
from tests.differential.bookkeeping import Books
from tests.differential.caretaker import Caretaker
from tests.differential.node import Node, tireless_node
from tests.differential.people import sign
from tests.differential.twin import SPENDERS, UNIT, address_of, make_twin
from tests.differential.views import Disagreement

TRAINERS = ("first trainer", "second trainer", "third trainer")
VERIFIERS = ("first verifier", "second verifier", "third verifier")
JURORS = ("first juror", "second juror", "third juror", "fourth juror")
ROLES = ("initiator", *TRAINERS, *VERIFIERS, *JURORS, "challenger", "outsider")
TASK = 1
CLAIMED_EVERY = 20  # epochs, in one transaction for each trainer and verifier
PUBLISHED_EVERY = 4  # epochs: the others' policies are late; signing in Python is slow
FUNDED_WEI = 2_000 * UNIT
SALT = b"\x07" * 32


@dataclass(frozen=True, slots=True)
class Result:
    """Money in wei, by the chain's own events. `left` stays in the contracts: fees that were rounded down."""

    epochs: int
    void: int
    submissions: int
    frauds: int
    plants: int
    challenges: int
    transactions: int
    refused: int
    seconds: float
    minted: int
    escrowed: int
    bonded: int
    pledged: int
    deposited: int
    burnt: int
    burnt_bonds: int
    paid: int
    refunded: int
    rewards: int
    found: int
    appeals_paid: int
    deposits_returned: int
    withdrawn: int
    left: int
    with_people: int

    def check(self) -> None:
        """Raises Disagreement: a wei is missing, or there is one too many."""
        of_bonds = self.withdrawn + self.rewards + self.found + self.burnt_bonds
        elsewhere = self.burnt - self.burnt_bonds
        equations = (
            (self.with_people + self.left + self.burnt, self.minted, "with people + left + burnt = minted"),
            (self.escrowed, self.paid + self.refunded + self.left, "escrow in = escrow out + left"),
            (self.bonded, of_bonds, "bonds in = bonds out + slashed"),
            (
                self.pledged + self.deposited + self.found,
                self.appeals_paid + self.deposits_returned + elsewhere,
                "pledges and deposits in = out + burnt",
            ),
        )
        for found, wanted, name in equations:
            if found != wanted:
                raise Disagreement(f"{name} is off by {found - wanted} wei")


class LongRun:
    def __init__(self, node: Node, seed: int) -> None:
        self.twin = make_twin(node, ROLES)
        self.h = self.twin.h
        everybody = {**self.twin.people, "deployer": address_of("deployer")}
        self.books = Books(node, self.twin.contracts, everybody)
        self.draw = random.Random(seed)
        self.people = self.twin.people
        self.trainers, self.verifiers, self.jurors = (
            [self.people[name] for name in names] for names in (TRAINERS, VERIFIERS, JURORS)
        )
        self.outsider = self.people["outsider"]
        self.refused = 0
        self.unclaimed: list[int] = []
        self.plants: dict[bytes, bytes] = {}  # salts by root
        self.claimed = 0  # the score that the challenge at hand names
        self._begin()

    def _begin(self) -> None:
        spenders = [self.twin.contracts[name] for name in SPENDERS]
        self._block([staking.Approve(who, each, 2**256 - 1) for who in self.people.values() for each in spenders])
        self._block([staking.Bond(each, Role.TRAINER, 100 * UNIT) for each in self.trainers])
        self._block([staking.Bond(each, Role.VERIFIER, 900 * UNIT) for each in self.verifiers])
        self._block([staking.Bond(each, Role.VERIFIER, 50 * UNIT) for each in self.jurors])
        self._block([appeals.TakeSeats(each, CLASS, 8) for each in self.jurors])
        self._block([tasks.OpenTask(self.people["initiator"], TERMS, ROOT, b"assay:spec", ROOT, FUNDED_WEI)])
        self._come_back()

    def live(self, epochs: int, checked_every: int, told: Callable[[int], None]) -> None:
        self._block(self._submissions())
        for number in range(1, epochs + 1):
            self._epoch()
            if number % CLAIMED_EVERY == 0:
                self._claim()
                self._upkeep()
            if number % checked_every == 0:
                self.check()
                told(number)

    def check(self) -> None:
        """Raises Disagreement: what is held is not what is owed, or something is not as the specification says."""
        held = self.books.holdings()
        owed = {"Staking": self.books.owed_by_staking(), "TaskRegistry": self.books.owed_by_registry(TASK)}
        for contract in ("Staking", "TaskRegistry", "Appeals", "Plants"):
            if held[contract] != owed.get(contract, held[contract]):
                raise Disagreement(f"{contract} holds {held[contract]} wei and owes {owed[contract]}")
            if self.books.kept(contract) != held[contract]:
                raise Disagreement(f"the events do not explain what {contract} holds")
        self.twin.compare(recent=2 * CLAIMED_EVERY)

    def end(self) -> None:
        """Everything ends, and everybody takes home what is theirs: an outsider sees to it."""
        self._claim()
        Caretaker(self.twin, self.outsider).end()
        self.books.follow(self.h.block.number)
        self.check()

    @property
    def number(self) -> int:
        return rules.open_number(self.h, TASK)

    # One epoch: while it is judged, the submissions of the next come in.

    def _epoch(self) -> None:
        epoch = self.number
        if not rules.submissions(self.h, TASK, epoch):
            self._block(self._submissions())
        close = rules.closed(self.h, TASK)
        if close is None:
            self._block(
                [commitments.CloseEpoch(self.outsider, TASK)], rules.commit_by(self.h, TASK, epoch) - self.twin.now
            )
            close = rules.closed(self.h, TASK)
        assert close is not None, "its window was over"
        self._seal(close.seed_block)
        if rules.phase(self.h, TASK, epoch) != Phase.VOID:
            self._judge(epoch)
        self.unclaimed.append(epoch)

    def _seal(self, seed_block: int) -> None:
        self.twin.skip(self.h.constants.seal_delay, 2)
        header = self.twin.header(seed_block)
        self._block([attestations.SealEpochWith(self.outsider, TASK, header), *self._submissions(self.number + 1)])

    def _judge(self, epoch: int) -> None:
        reports = self._reports(len(rules.submissions(self.h, TASK, epoch)))
        present = [each for each in self.verifiers if self.draw.random() < 0.98]
        self._block([self._promise(epoch, each, reports[each]) for each in present])
        self._until_over(epoch, Phase.ATTEST_COMMIT)
        present = [each for each in present if self.draw.random() < 0.995]
        self._block([self._reveal(epoch, each, reports[each]) for each in present])
        self._until_over(epoch, Phase.ATTEST_REVEAL)
        self._settle(epoch)

    def _until_over(self, epoch: int, phase: Phase) -> None:
        box = rules.ballot(self.h, TASK, epoch)
        if box is not None and rules.phase(self.h, TASK, epoch) == phase:
            end = box.commit_by if phase == Phase.ATTEST_COMMIT else box.reveal_by
            self._wait(end - self.twin.now)

    def _settle(self, epoch: int) -> None:
        """Only by what was revealed: who lost too much of its bond judges no more, whatever it has said."""
        members = rules.members(self.h, TASK, epoch)
        revealed = {each: rules.reveal(self.h, TASK, epoch, each) for each in members}
        reports = sorted({each.report for each in revealed.values() if each is not None}, key=keccak)
        silent = [each for each, report in revealed.items() if report is None]
        absent = [attestations.SlashAbsence(self.outsider, TASK, epoch, each) for each in silent]
        if rules.phase(self.h, TASK, epoch) == Phase.MISSED:
            self._block([attestations.VoidEpoch(self.outsider, TASK, epoch), *absent])
            return
        self._block([attestations.Settle(self.outsider, TASK, epoch, tuple(reports), 1_024), *absent])
        is_disputed = self.draw.random() < 0.04
        index = self._challenge(epoch) if is_disputed else 0
        self._block(self._plants_of(epoch))
        self._wait(max(1, rules.challenge_by(self.h, TASK, epoch) - self.twin.now))
        if is_disputed:
            self._dispute((TASK, epoch, index))
        self._finish(epoch, is_disputed=is_disputed)

    def _finish(self, epoch: int, *, is_disputed: bool) -> None:
        """Policies of the epochs before are late by now."""
        publish = [self._policy(epoch)] if epoch % PUBLISHED_EVERY == 0 else self._skip(epoch)
        frauds = [
            payouts.SlashFraud(self.outsider, ref)
            for ref in self._refs(epoch)
            if rules.score_of(self.h, TASK, epoch, ref.submission.index) == FRAUD
        ]
        self._block([attestations.Finalise(self.outsider, TASK, epoch), *frauds, *publish])
        if frauds:
            self._block([appeals.ClaimChallenge(self.outsider, TASK, epoch, 0)] if is_disputed else [])
            self._come_back()

    def _submissions(self, epoch: int | None = None) -> list[Act]:
        """One of each enlisted trainer, but for one now and then that stays away; seldom one is planted."""
        epoch = self.number if epoch is None else epoch
        acts: list[Act] = []
        for each in self.trainers:
            if not rules.is_trainer(self.h, TASK, each) or self.draw.random() < 0.015:
                continue
            root, kind = self.draw.randbytes(32), self.draw.choice((0, 0, 3))
            if self.draw.random() < 0.02:
                self.plants[root] = self.draw.randbytes(32)
                acts += [payouts.CommitPlant(each, TASK, hashes.plant(TASK, each, root, self.plants[root]))]
            units = self.draw.choice((1, 3, 5, 7))
            acts += [commitments.CommitSubmission(each, TASK, epoch, kind, root, units, 0, True)]
        return acts

    def _refs(self, epoch: int) -> list[SubmissionRef]:
        """Submissions that have not ended yet."""
        committed = rules.submissions(self.h, TASK, epoch)
        left = [submission for submission in committed if not rules.is_ended(self.h, TASK, epoch, submission.index)]
        return [SubmissionRef(TASK, epoch, rules.as_submission(submission)) for submission in left]

    def _plants_of(self, epoch: int) -> list[Act]:
        return [
            payouts.OpenPlant(
                ref.submission.trainer, TASK, epoch, ref.submission, self.plants[ref.submission.manifest_root]
            )
            for ref in self._refs(epoch)
            if ref.submission.manifest_root in self.plants
        ]

    def _reports(self, submissions: int) -> dict[Address, bytes]:
        """Honest ones, alike; seldom one verifier is of another mind about a submission."""
        scores = [100, 100, 100, 100, 100, 67, 33, 0, UNAVAILABLE]
        common = bytes(FRAUD if self.draw.random() < 0.02 else self.draw.choice(scores) for _ in range(submissions))
        reports = dict.fromkeys(self.verifiers, common)
        if self.draw.random() < 0.06:
            other = bytearray(common)
            other[self.draw.randrange(submissions)] = self.draw.choice((0, 50, FRAUD))
            reports[self.draw.choice(self.verifiers)] = bytes(other)
        return reports

    def _promise(self, epoch: int, verifier: Address, report: bytes) -> Act:
        commitment = hashes.attestation(rules.seed(self.h, TASK, epoch), verifier, report, SALT)
        return attestations.CommitAttestation(verifier, TASK, epoch, commitment, SALT)

    def _reveal(self, epoch: int, verifier: Address, report: bytes) -> Act:
        return attestations.RevealAttestation(verifier, TASK, epoch, report, SALT, ROOT)

    def _skip(self, epoch: int) -> list[Act]:
        """What is next in line, up to the first that was due: the line comes to those behind it just now."""
        acts: list[Act] = []
        for earlier in range(rules.next_policy(self.h, TASK), epoch):
            acts += [policies.SkipPolicy(self.outsider, TASK, earlier)]
            if rules.is_policy_due(self.h, TASK, earlier):
                break
        return acts

    def _policy(self, epoch: int) -> Act:
        seed, place = rules.seed(self.h, TASK, epoch), self.twin.contracts["Policies"]
        digest = hashes.policy(place, self.h.constants.chain_id, TASK, epoch, seed, ROOT)
        names = sorted(VERIFIERS, key=lambda name: int(self.people[name], 16))
        signatures = tuple(sign(name, digest) for name in names)
        return policies.PublishPolicy(self.outsider, TASK, epoch, ROOT, b"assay:policy", signatures)

    # Disputes.

    def _challenge(self, epoch: int) -> int:
        """Of one submission; what it says is told in `_dispute`."""
        index = self.draw.randrange(len(rules.submissions(self.h, TASK, epoch)))
        standing = rules.score_of(self.h, TASK, epoch, index)
        self.claimed = self.draw.choice([each for each in (0, 50, 100, FRAUD) if each != standing])
        who = self.people["challenger"]
        commitment = hashes.challenge(TASK, epoch, who, index, self.claimed, SALT)
        self._block([appeals.CommitChallenge(who, TASK, epoch, commitment)])
        return index

    def _dispute(self, place: tuple[int, int, int]) -> None:
        _, epoch, index = place
        self._block([appeals.RevealChallenge(self.outsider, TASK, epoch, 0, index, self.claimed, SALT)])
        revealed = self.twin.refusals
        self._wait(max(1, rules.reveals_end(self.h, TASK, epoch) - self.twin.now))
        self._block([appeals.SummonPanel(self.outsider, *place)])
        summoned = rules.summoned(self.h, *place)
        assert summoned is not None, (place, revealed, self.twin.refusals)
        self.twin.skip(self.h.constants.seal_delay, 2)
        submission = rules.as_submission(rules.submissions(self.h, TASK, epoch)[index])
        header = self.twin.header(summoned.seed_block)
        self._block([appeals.DrawPanel(self.outsider, TASK, epoch, submission, header)])
        self._vote(place)
        self._block([appeals.Decide(self.outsider, *place)])
        self._carry_out(place)

    def _vote(self, place: tuple[int, int, int]) -> None:
        drawn = rules.panel(self.h, *place)
        assert drawn is not None, "its seed was known"
        common = self.draw.choice((rules.score_of(self.h, *place), self.claimed))
        said = {each: common if self.draw.random() < 0.9 else 50 for each in dict.fromkeys(drawn.jurors)}
        said = {each: score for each, score in said.items() if self.draw.random() < 0.97}
        promises = {each: hashes.judgement(drawn.seed, each, score, False, SALT) for each, score in said.items()}
        self._block([appeals.CommitVote(each, *place, promise) for each, promise in promises.items()])
        self._until_heard(place)
        self._block([appeals.RevealVote(each, *place, score, False, SALT) for each, score in said.items()])
        self._until_heard(place)

    def _until_heard(self, place: tuple[int, int, int]) -> None:
        """To the end of the phase, unless all have acted who can."""
        box = rules.panel_ballot(self.h, *place)
        if box is None:
            return
        stage = box.stage(self.twin.now)
        if stage == rules.Stage.COMMIT:
            self._wait(box.commit_by - self.twin.now)
        elif stage == rules.Stage.REVEAL and box.reveals:
            self._wait(box.reveal_by - self.twin.now)

    def _carry_out(self, place: tuple[int, int, int]) -> None:
        ended, voters = rules.decided(self.h, *place), {vote.juror for vote in rules.votes(self.h, *place)}
        drawn = rules.panel(self.h, *place)
        jurors = [] if drawn is None else list(dict.fromkeys(drawn.jurors))
        acts: list[Act] = [appeals.ClaimVote(self.outsider, *place, each) for each in jurors if each in voters]
        acts += [appeals.DismissJuror(self.outsider, *place, each) for each in jurors if each not in voters]
        for each in self.verifiers if ended is not None and ended.is_against_verifiers else ():
            revealed = rules.reveal(self.h, *place[:2], each)
            if revealed is not None:
                acts += [appeals.SlashVerdict(self.outsider, *place, each, revealed.report)]
        self._block([*acts, appeals.ClaimChallenge(self.outsider, *place[:2], 0)])
        self._sit_again(jurors, voters)

    def _sit_again(self, jurors: Sequence[Address], voters: set[Address]) -> None:
        """Who was dismissed leaves its seats and takes them again."""
        for each in jurors:
            if each in voters:
                continue
            seats = [seat for seat, juror in enumerate(rules.holders(self.h, CLASS)) if juror == each]
            self._block([appeals.LeaveSeats(each, CLASS, tuple(sorted(seats, reverse=True)))])
            self._block([appeals.TakeSeats(each, CLASS, len(seats))])

    # Money.

    def _claim(self) -> None:
        """All that ended since the last time, in one transaction for each trainer and each verifier."""
        over = [each for each in self.unclaimed if rules.phase(self.h, TASK, each) in (Phase.FINAL, Phase.VOID)]
        self.unclaimed = [each for each in self.unclaimed if each not in over]
        refs = [ref for epoch in over for ref in self._refs(epoch)]
        acts: list[Act] = []
        for trainer in self.trainers:
            theirs = tuple(ref for ref in refs if ref.submission.trainer == trainer)
            acts += [payouts.Claim(self.outsider, theirs)] if theirs else []
        for who in self.verifiers:
            due = tuple(each for each in over if rules.fee_due(self.h, TASK, each, who))
            acts += [payouts.ClaimFees(self.outsider, TASK, due, who)]
        self._block(acts)

    def _upkeep(self) -> None:
        if rules.budget(self.h, TASK) < FUNDED_WEI // 2:
            self._block([tasks.FundTask(self.people["initiator"], TASK, FUNDED_WEI)])
        self._come_back()

    def _come_back(self) -> None:
        """Who lost its bond, or too much of it, brings another."""
        word = rules.opened(self.h, TASK).terms_hash
        gone = [each for each in self.trainers if not rules.is_trainer(self.h, TASK, each)]
        left = [each for each in self.verifiers if not rules.is_verifier(self.h, TASK, each)]
        poor = [each for each in self.trainers if rules.lockable(self.h, each, Role.TRAINER) < 400 * UNIT]
        bonds = [staking.Bond(each, Role.TRAINER, 500 * UNIT) for each in poor]
        bonds += [staking.Bond(each, Role.VERIFIER, 300 * UNIT) for each in left]
        self._block(bonds)
        acts: list[Act] = [commitments.EnlistTrainer(each, TASK, word) for each in gone]
        acts += [verifiers.EnlistVerifier(each, TASK, word, 250 * UNIT, NOBODY) for each in left]
        self._block(acts)

    # Blocks.

    def _wait(self, seconds: int) -> None:
        self.twin.step([], max(1, seconds))

    def _block(self, acts: Sequence[Act], seconds: int = 1) -> None:
        if not acts:
            return
        refusals = self.twin.step(acts, max(1, seconds))
        self.refused += sum(refusal is not None for refusal in refusals)
        self.books.follow(self.h.block.number)


def run(epochs: int, seed: int = 1, checked_every: int = 500, told: Callable[[int], None] = lambda _: None) -> Result:
    """Raises Disagreement, Broken, Stuck: a wei is missing somewhere, or the contracts and the specification part."""
    start = time.monotonic()
    with tireless_node() as node:
        life = LongRun(node, seed)
        life.live(epochs, checked_every, told)
        life.end()
        result = _result(life, time.monotonic() - start)
    result.check()
    return result


def _result(life: LongRun, seconds: float) -> Result:
    books, h = life.books, life.h
    held = books.holdings()
    sealed = h.of(EpochSealed)
    withdrawn = h.total("amount", Withdrawn)
    return Result(
        epochs=len(sealed),
        void=sum(rules.phase(h, TASK, each.epoch) == Phase.VOID for each in sealed),
        submissions=len(h.of(SubmissionCommitted)),
        frauds=len(h.of(FraudSlashed)),
        plants=len(h.of(PlantOpened)),
        challenges=len(h.of(ChallengeRevealed)),
        transactions=books.node.sent,
        refused=life.refused,
        seconds=seconds,
        minted=books.supply(),
        escrowed=books.taken_in("TaskRegistry"),
        bonded=books.taken_in("Staking"),
        pledged=books.taken_in("Appeals"),
        deposited=books.taken_in("Plants"),
        burnt=held["burnt"],
        burnt_bonds=books.moved("Staking", "burnt"),
        paid=books.moved("TaskRegistry", *TRAINERS, *VERIFIERS, *JURORS, "challenger", "outsider"),
        refunded=books.moved("TaskRegistry", "initiator"),
        rewards=books.moved("Staking") - withdrawn,
        found=books.moved("Staking", "Appeals"),
        appeals_paid=books.moved("Appeals"),
        deposits_returned=books.moved("Plants"),
        withdrawn=withdrawn,
        left=sum(held[name] for name in ("Staking", "TaskRegistry", "Appeals", "Plants")),
        with_people=sum(held[name] for name in books.people),
    )
