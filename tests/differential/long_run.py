"""Thousands of epochs of one task on a local chain, with fraud, absence, split reports, disputes and void epochs.

Nothing here decides what is right: the books follow the chain's Transfer events, at checkpoints the contracts must hold
exactly what they owe, and all that an outsider can see must be what the model says. In the end everybody takes home
what is theirs.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offchain.protocol.encoding import appeal_commitment, attestation_commitment, report_hash
from offchain.protocol.model.registry import Task
from offchain.protocol.types import Address, ChallengePhase, Epoch, EpochPhase, Role, TaskId, Work, WorkIndex
from tests.differential.behaviour import PARAMS, ROOT, SALT, SPEC_URI
from tests.differential.bookkeeping import Books
from tests.differential.calls import Action
from tests.differential.node import Node, tireless_node
from tests.differential.twin import UNBONDING_S, UNIT, account_of, make_twin
from tests.differential.views import Disagreement

TRAINERS = ("first trainer", "second trainer", "third trainer")
VERIFIERS = ("first verifier", "second verifier", "third verifier")
ROLES = ("initiator", *TRAINERS, *VERIFIERS, "challenger", "outsider")
TASK = TaskId(1)
CLAIMED_EVERY = 20  # epochs, in one transaction for each trainer and verifier
FUNDED_WEI = 2_000 * UNIT


@dataclass(frozen=True, slots=True)
class Result:
    """Money in wei, by the chain's own events. `left` stays in the contracts: fees that were rounded down."""

    epochs: int
    void: int
    works: int
    frauds: int
    challenges: int
    transactions: int
    refused: int
    seconds: float
    minted: int
    escrowed: int
    bonded: int
    slashed: int
    paid: int
    refunded: int
    reporters: int
    withdrawn: int
    left: int
    with_people: int

    def check(self) -> None:
        """Raises Disagreement: a wei is missing, or there is one too many."""
        equations = (
            (self.with_people + self.left, self.minted, "with people + left = minted"),
            (self.escrowed + self.slashed, self.paid + self.refunded + self.left, "escrow in = escrow out + left"),
            (self.bonded, self.withdrawn + self.reporters + self.slashed, "bonds in = bonds out + slashed"),
        )
        for found, wanted, name in equations:
            if found != wanted:
                raise Disagreement(f"{name} is off by {found - wanted} wei")


class LongRun:
    """`epochs_done` counts those that were sealed, judged and ended."""

    def __init__(self, node: Node, seed: int) -> None:
        self.twin = make_twin(node, ROLES)
        deployer = Address(account_of("deployer").address)
        self.books = Books(node, self.twin.contracts, {**self.twin.people, "deployer": deployer})
        self.draw = random.Random(seed)
        self.people = self.twin.people
        self.trainers = [self.people[name] for name in TRAINERS]
        self.verifiers = [self.people[name] for name in VERIFIERS]
        self.refused = 0
        self.unclaimed: list[int] = []
        self._block([self._bond(each, Role.TRAINER, 100) for each in self.trainers])
        self._block([self._bond(each, Role.VERIFIER, 500) for each in self.verifiers])
        self._block([self._by("initiator", "TaskRegistry", "openTask", PARAMS, ROOT, SPEC_URI, ROOT, FUNDED_WEI)])
        self._block([Action(each, "TaskRegistry", "enlist", (TASK,)) for each in self.trainers])
        self._block([Action(each, "Attestations", "enlist", (TASK,)) for each in self.verifiers])

    def live(self, epochs: int, checked_every: int, told: Callable[[int], None]) -> None:
        self._block(self._works())
        for number in range(1, epochs + 1):
            self._epoch()
            if number % CLAIMED_EVERY == 0:
                self._claim()
                self._upkeep()
            if number % checked_every == 0:
                self.check()
                told(number)

    def check(self) -> None:
        """Raises Disagreement: what is held is not what is owed, or something is not as the model says."""
        held = self.books.holdings()
        owed = self.books.owed(len(self.twin.model.registry.tasks))
        if held["staking"] + held["registry"] != owed:
            raise Disagreement(f"{held['staking']} + {held['registry']} wei are held, {owed} owed")
        for contract in ("staking", "registry"):
            flows = self.books.flows
            kept = sum(wei for (_, target), wei in flows.items() if target == contract)
            if kept - sum(wei for (source, _), wei in flows.items() if source == contract) != held[contract]:
                raise Disagreement(f"the events do not explain what {contract} holds")
        self.twin.compare(recent=2 * CLAIMED_EVERY)

    def end(self) -> None:
        """Close the task, end its last epoch, claim and refund all, unbond all."""
        self._block([self._by("initiator", "TaskRegistry", "closeTask", TASK)])
        if self.task.is_open:
            self._epoch()
        self._claim()
        self._wait(2 * UNBONDING_S)
        self._block([self._by("outsider", "TaskRegistry", "refundTask", TASK)])
        self._block([Action(each, "TaskRegistry", "delist", (TASK, each)) for each in self.trainers])
        self._block([Action(each, "Attestations", "delist", (TASK,)) for each in self.verifiers])
        for role, everybody in ((Role.TRAINER, self.trainers), (Role.VERIFIER, self.verifiers)):
            bonds = [(each, self.twin.model.staking.bonds[each, role].bonded) for each in everybody]
            self._block([Action(each, "Staking", "requestUnbond", (role, bonded)) for each, bonded in bonds])
            self._wait(UNBONDING_S)
            self._block([Action(each, "Staking", "withdraw", (role,)) for each in everybody])
        self.check()

    @property
    def task(self) -> Task:
        return self.twin.model.registry.tasks[TASK]

    # One epoch: while it is judged, the works of the next come in.

    def _epoch(self) -> None:
        epoch = self.task.open_epoch
        if self.task.works == 0:
            self._block(self._works())
        if not self.twin.model.registry.is_ready(self.task):
            self._wait(max(1, self.task.commit_by - self.twin.now))
        self._block([self._by("outsider", "Attestations", "sealEpoch", TASK), *self._works(epoch + 1)])
        judged = self.twin.model.attestations.epochs[TASK, epoch]
        reports = self._reports(judged.works)
        present = [each for each in self.verifiers if self.draw.random() < 0.98]
        self._block([self._commitment(epoch, each, reports[each]) for each in present])
        if judged.uncommitted:
            self._wait(judged.attest_by - self.twin.now)
        present = [each for each in present if self.draw.random() < 0.995]
        self._block([self._reveal(epoch, each, reports[each]) for each in present])
        if judged.unrevealed:
            self._wait(judged.reveal_by - self.twin.now)
        self._settle(epoch, sorted({reports[each] for each in present}, key=report_hash))
        self.unclaimed.append(epoch)

    def _settle(self, epoch: int, reports: Sequence[bytes]) -> None:
        judged = self.twin.model.attestations.epochs[TASK, epoch]
        absent = [
            Action(self.people["outsider"], "Attestations", "slashAbsence", (TASK, epoch, each))
            for each in self.verifiers
            if judged.report_of(each) is None
        ]
        if self.twin.model.attestations.phase_of(TASK, epoch) == EpochPhase.MISSED:
            self._block([self._by("outsider", "Attestations", "voidEpoch", TASK, epoch), *absent])
            return
        self._block([self._by("outsider", "Attestations", "settle", TASK, epoch, reports), *absent])
        if self.draw.random() < 0.04:
            self._dispute(epoch, self.draw.randrange(judged.works), reports)
        frauds = [
            self._by("outsider", "Payouts", "slashFraud", (TASK, epoch, work))
            for work in self._works_of(epoch)
            if judged.score(work.index) == 255
        ]
        finalise = self._by("outsider", "Attestations", "finalise", TASK, epoch)
        self._wait(judged.challenge_by - self.twin.now, [finalise, *frauds])
        if frauds:
            self._reward(epoch, judged.works)
            self._come_back()

    def _reward(self, epoch: int, works: int) -> None:
        """Whoever found a fraud by a challenge has its reward after the slash."""
        challenger = self.people["challenger"]
        owed = self.twin.model.challenges.owed_to
        self._block(
            [
                self._by("outsider", "Challenges", "claim", TASK, epoch, index, challenger)
                for index in range(works)
                if owed(TASK, epoch, index, challenger)
            ]
        )

    def _works(self, epoch: int | None = None) -> list[Action]:
        """One of each enlisted trainer, but for one now and then that stays away."""
        epoch = self.task.open_epoch if epoch is None else epoch
        return [
            Action(each, "TaskRegistry", "commitWork", (TASK, epoch, self.draw.randbytes(32), self._units(), 0))
            for each in self.trainers
            if self.task.records[each].is_enlisted and self.draw.random() < 0.985
        ]

    def _units(self) -> int:
        return self.draw.choice((1, 3, 5, 7))

    def _works_of(self, epoch: int) -> list[Work]:
        """Those that nobody has claimed yet."""
        places = [(TASK, epoch, each) for each in self.trainers]
        return [self.twin.works[place] for place in places if place in self.twin.works]

    def _reports(self, works: int) -> dict[Address, bytes]:
        """Honest ones, alike; seldom one verifier is of another mind about a work."""
        scores = [100, 100, 100, 100, 100, 67, 33, 0]
        common = bytes(255 if self.draw.random() < 0.02 else self.draw.choice(scores) for _ in range(works))
        reports = dict.fromkeys(self.verifiers, common)
        if self.draw.random() < 0.06:
            other = bytearray(common)
            other[self.draw.randrange(works)] = self.draw.choice((0, 50, 255))
            reports[self.draw.choice(self.verifiers)] = bytes(other)
        return reports

    def _commitment(self, epoch: int, verifier: Address, report: bytes) -> Action:
        commitment = attestation_commitment(TASK, Epoch(epoch), verifier, report, SALT)
        return Action(verifier, "Attestations", "commitAttestation", (TASK, epoch, commitment))

    def _reveal(self, epoch: int, verifier: Address, report: bytes) -> Action:
        return Action(verifier, "Attestations", "revealAttestation", (TASK, epoch, report_hash(report), SALT, ROOT))

    # Disputes.

    def _dispute(self, epoch: int, index: int, reports: Sequence[bytes]) -> None:
        place = (TASK, epoch, index)
        standing = self.twin.model.attestations.epochs[TASK, epoch].score(index)
        claimed = self.draw.choice([each for each in (0, 50, 100, 255) if each != standing])
        self._block([self._by("challenger", "Challenges", "challenge", *place, claimed)])
        if place not in self.twin.model.challenges.disputes:
            return
        dispute = self.twin.model.challenges.disputes[place]
        common = self.draw.choice((standing, claimed))
        votes = {each: common if self.draw.random() < 0.9 else 50 for each in self.verifiers}
        votes = {each: score for each, score in votes.items() if self.draw.random() < 0.97}
        self._block([self._vote(place, each, score) for each, score in votes.items()])
        if self.twin.model.challenges.phase_of(*place) == ChallengePhase.APPEAL_COMMIT:
            self._wait(dispute.commit_by - self.twin.now)
        self._block(
            [Action(each, "Challenges", "revealAppeal", (*place, score, SALT)) for each, score in votes.items()]
        )
        self._block([self._by("outsider", "Challenges", "decide", *place, list(reports))])
        absent = [each for each in self.verifiers if each not in votes]
        slashes = [self._by("outsider", "Challenges", "slashAbsence", *place, each) for each in absent]
        for each in self.verifiers if dispute.is_against_verifiers else ():
            hashed = self.twin.model.attestations.standing_of(TASK, epoch, each).report
            slashes += [
                self._by("outsider", "Challenges", "slashVerdict", *place, each, report)
                for report in reports
                if report_hash(report) == hashed
            ]
        winners = [*self.verifiers, self.people["challenger"]]
        self._block([*slashes, *(self._by("outsider", "Challenges", "claim", *place, each) for each in winners)])

    def _vote(self, place: tuple[TaskId, int, int], verifier: Address, score: int) -> Action:
        task_id, epoch, index = place
        vote = appeal_commitment(task_id, Epoch(epoch), WorkIndex(index), verifier, score, SALT)
        return Action(verifier, "Challenges", "commitAppeal", (*place, vote))

    # Money.

    def _claim(self) -> None:
        """All final epochs since the last time, in one transaction for each trainer and each verifier."""
        model = self.twin.model.attestations
        final = [each for each in self.unclaimed if model.phase_of(TASK, each) == EpochPhase.FINAL]
        self.unclaimed = [each for each in self.unclaimed if model.phase_of(TASK, each) == EpochPhase.CHALLENGEABLE]
        actions: list[Action] = []
        for trainer in self.trainers:
            works = [
                (TASK, each, work)
                for each in final
                if (work := self.twin.works.pop((TASK, each, trainer), None)) is not None
                and model.epochs[TASK, each].score(work.index) <= 100
            ]
            actions += [self._by("outsider", "Payouts", "claim", works)] if works else []
        for verifier in self.verifiers:
            shares = [each for each in final if model.standing_of(TASK, each, verifier).report is not None]
            actions += [Action(verifier, "Payouts", "claimFees", (TASK, shares))]
        self._block(actions)

    def _upkeep(self) -> None:
        """Budgets, allowances, and those whose bond is spent."""
        actions: list[Action] = []
        if self.task.budget < FUNDED_WEI // 2:
            actions += [self._by("initiator", "TaskRegistry", "fundTask", TASK, FUNDED_WEI)]
        for each in self.verifiers:
            if self.twin.model.attestations.is_enlisted(TASK, each):
                continue
            actions += [self._bond(each, Role.VERIFIER, 300)]
        self._block(actions)
        self._block(
            [
                Action(each, "Attestations", "enlist", (TASK,))
                for each in self.verifiers
                if not self.twin.model.attestations.is_enlisted(TASK, each)
            ]
        )
        self._come_back()

    def _come_back(self) -> None:
        """Trainers who lost their bond bring another."""
        gone = [each for each in self.trainers if not self.task.records[each].is_enlisted]
        self._block([self._bond(each, Role.TRAINER, 60) for each in gone])
        self._block([Action(each, "TaskRegistry", "enlist", (TASK,)) for each in gone])

    # Calls.

    def _by(self, role: str, contract: str, function: str, *arguments: object) -> Action:
        return Action(self.people[role], contract, function, arguments)

    def _bond(self, who: Address, role: Role, units: int) -> Action:
        return Action(who, "Staking", "bond", (role, units * UNIT))

    def _wait(self, seconds: int, actions: Sequence[Action] = ()) -> None:
        self._block(actions, seconds, even_empty=True)

    def _block(self, actions: Sequence[Action], seconds: int = 1, *, even_empty: bool = False) -> None:
        if not actions and not even_empty:
            return
        self.twin.perform(actions, max(1, seconds))
        self.refused += sum(refusal is not None for refusal in self.twin.refusals)
        self.books.follow(self.twin.model.clock.number)


def run(epochs: int, seed: int = 1, checked_every: int = 500, told: Callable[[int], None] = lambda _: None) -> Result:
    """Raises Disagreement: a wei is missing somewhere, or the contracts and the model part."""
    start = time.monotonic()
    with tireless_node() as node:
        life = LongRun(node, seed)
        life.live(epochs, checked_every, told)
        life.end()
        result = _result(life, time.monotonic() - start)
    result.check()
    return result


def _result(life: LongRun, seconds: float) -> Result:
    books, model = life.books, life.twin.model
    held = books.holdings()
    outcomes = [epoch.outcome for epoch in model.attestations.epochs.values()]
    reporters = books.moved("staking", "outsider")
    return Result(
        epochs=len(outcomes),
        void=outcomes.count(EpochPhase.VOID),
        works=sum(epoch.works for epoch in model.attestations.epochs.values()),
        frauds=life.twin.outcomes.get(("Payouts.slashFraud", ""), 0),
        challenges=len(model.challenges.disputes),
        transactions=books.node.sent,
        refused=life.refused,
        seconds=seconds,
        minted=books.supply(),
        escrowed=books.taken_in("registry"),
        bonded=books.taken_in("staking"),
        slashed=books.flows["staking", "registry"],
        paid=books.moved("registry", *TRAINERS, *VERIFIERS, "challenger", "outsider"),
        refunded=books.moved("registry", "initiator"),
        reporters=reporters,
        withdrawn=books.moved("staking") - reporters,
        left=held["staking"] + held["registry"],
        with_people=sum(wei for name, wei in held.items() if name not in ("staking", "registry")),
    )
