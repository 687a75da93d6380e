"""What all who take part in two tasks may think of doing: steps that chance chooses, as calls.

A step is a kind and a number that decides the rest, so that a sequence of steps means the same whenever it is played,
and a shorter one can be found that fails in the same way.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_account.messages import encode_typed_data

from offchain.protocol.encoding import appeal_commitment, attestation_commitment, report_hash
from offchain.protocol.model import KEEPERS_ONLY, NOBODY
from offchain.protocol.types import (
    Address,
    ChallengePhase,
    Epoch,
    EpochPhase,
    PolicyVersion,
    Role,
    Root,
    TaskId,
    TaskParams,
    Work,
    WorkIndex,
)
from tests.differential.calls import Action, nothing_of
from tests.differential.twin import UNIT, Twin, account_of

TRAINERS = ("first trainer", "second trainer", "third trainer", "both")
VERIFIERS = ("first verifier", "second verifier", "third verifier", "both")
ROLES = ("initiator", *TRAINERS, *VERIFIERS[:3], "challenger", "outsider")
WORKERS = ("hot key", "another hot key")
CHAIN_ID = 31_337
SALT = b"\x07" * 32
ROOT = b"\x01" * 32
SPEC_URI = "assay:spec"
REPORTS = (b"\x64\x32\x64\x64", b"\x64\x32\x64\x64", b"\x64\xff\x21\x64", b"\xff\x00\x64\x07", b"\x65", b"\x64\xff")
SCORES = (0, 50, 33, 100, 255, 7)
PARAMS = TaskParams(
    unit_price=UNIT + 7,
    trainer_bond=60 * UNIT,
    verifier_bond=100 * UNIT,
    fraud_slash=50 * UNIT + 3,
    absence_slash=5 * UNIT + 1,
    verdict_slash=20 * UNIT + 1,
    challenge_bond=UNIT + 1,
    verifier_fee=3 * UNIT + 1,
    max_epoch_units=23,
    max_work_units=10,
    quorum_bps=6_667,
    sampling_bps=5_000,
    max_staleness=2,
    max_epochs=0,
    commit_window=200,
    attest_window=200,
    reveal_window=150,
    challenge_window=200,
    appeal_window=200,
)
STEP_KINDS = (
    *("goOn",) * 45,
    *("works", "seal", "report", "reveal", "settle") * 2,
    *("bond", "unbond", "withdraw", "enlist", "delist", "releaseBond", "fund", "endTask", "policy", "finalise", "void"),
    *("showReport", "absence", "challenge", "challenge", "appeal", "appeal", "decide", "decide", "verdict", "winnings"),
    *("claim", "claimFees", "slashFraud", "hotKey", "wait", "meddle", "allow", "sameBlock", "lateStake", "strange"),
)


@dataclass(frozen=True, slots=True)
class Step:
    kind: str
    chance: int


class Behaviour:
    """Remembers what was promised by a hash: reports and votes. `play` does a step; many are more than one block."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.reports: dict[tuple[int, int, Address], bytes] = {}
        self.votes: dict[tuple[int, int, int, Address], int] = {}
        self._pause = 1
        self._kinds: dict[str, Callable[[random.Random], Sequence[Action]]] = {
            kind: getattr(self, f"_{kind}") for kind in {*STEP_KINDS}
        }

    def begin(self) -> None:
        """Two tasks that differ, and bonds that are enough for both for most people."""
        twin, people = self.twin, self.twin.people
        for name in TRAINERS:
            twin.step([Action(people[name], "Staking", "bond", (Role.TRAINER, 170 * UNIT))])
        for position, name in enumerate(VERIFIERS):
            twin.step([Action(people[name], "Staking", "bond", (Role.VERIFIER, (150 + 20 * position) * UNIT))])
        for name in ("challenger", "outsider"):
            twin.step([Action(people[name], "Staking", "bond", (Role.VERIFIER, 110 * UNIT))])
        other = {"quorum_bps": 5_001, "sampling_bps": 10_000, "max_epochs": 9, "challenge_window": 150}
        for params in (PARAMS, TaskParams(**{name: getattr(PARAMS, name) for name in TaskParams.__slots__} | other)):
            terms = (params, ROOT, SPEC_URI, ROOT, 120 * UNIT)
            twin.step([Action(people["initiator"], "TaskRegistry", "openTask", terms)])
            task_id = len(twin.model.registry.tasks)
            twin.step([Action(people[name], "TaskRegistry", "enlist", (task_id,)) for name in TRAINERS])
            twin.step([Action(people[name], "Attestations", "enlist", (task_id,)) for name in VERIFIERS])
            for name in VERIFIERS:
                twin.step([Action(people[name], "Staking", "bond", (Role.VERIFIER, 130 * UNIT))])

    def play(self, step: Step) -> list[str | None]:
        """How its calls ended. Raises Disagreement."""
        draw = random.Random(step.chance)
        self._pause = draw.choice((1, 1, 1, 1, 2, 15))
        actions = list(self._kinds[step.kind](draw))
        draw.shuffle(actions)
        return self.twin.step(actions, self._pause)

    # Who, which task, which epoch.

    def _anybody(self, draw: random.Random) -> Address:
        return draw.choice(list(self.twin.people.values()))

    def _of(self, draw: random.Random, names: Sequence[str]) -> Address:
        return self.twin.people[draw.choice(names)] if draw.random() < 0.9 else self._anybody(draw)

    def _key(self, operator: Address) -> Address:
        """Workers act by their hot key where they have one."""
        return self.twin.model.staking.workers.get(operator, operator)

    def _task(self, draw: random.Random) -> int:
        return draw.choice((1, 1, 1, 2, 2, 2, len(self.twin.model.registry.tasks), 9))

    def _epoch(self, draw: random.Random) -> tuple[int, int]:
        """A task and one of its newest epochs, mostly a sealed one."""
        task_id = self._task(draw)
        task = self.twin.model.registry.tasks.get(task_id)
        newest = 0 if task is None else task.open_epoch
        return task_id, max(0, newest - draw.choice((0, 1, 1, 1, 1, 2, 2, 3)))

    def _members(self, task_id: int, epoch: int) -> list[Address]:
        model = self.twin.model.attestations
        return [person for person in self.twin.people.values() if model.standing_of(task_id, epoch, person).weight > 0]

    def _some(self, draw: random.Random, everybody: Sequence[Address], share: float = 0.93) -> list[Address]:
        return [each for each in everybody if draw.random() < share]

    # Money that is staked.

    def _bond(self, draw: random.Random) -> list[Action]:
        who, role, amount = self._anybody(draw), draw.choice(list(Role)), draw.choice((0, 1, 3, 60, 110, 10**7)) * UNIT
        if draw.random() < 0.7:
            return [Action(who, "Staking", "bond", (role, amount + draw.randrange(3)))]
        return [self._bond_with_permit(draw, who, role, amount)]

    def _bond_with_permit(self, draw: random.Random, who: Address, role: Role, amount: int) -> Action:
        """No permit is used twice, so that each one's nonce is the count of those that were valid before."""
        signer, nonce = draw.choice((who, who, self.twin.people["outsider"])), self.twin.permits.get(who, 0)
        data = _permit(self.twin.contracts["AssayToken"], who, self.twin.contracts["Staking"], amount, nonce)
        v, r, s = _sign(self._name(signer), data)
        encoded = (role, amount, 2**40, v, r.to_bytes(32, "big"), s.to_bytes(32, "big"))
        return Action(who, "Staking", "bondWithPermit", (role, amount, signer == who), encoded)

    def _name(self, who: Address) -> str:
        return next(name for name, address in self.twin.people.items() if address == who)

    def _unbond(self, draw: random.Random) -> list[Action]:
        amount = draw.choice((0, 1, 5 * UNIT, 100 * UNIT, 1_000 * UNIT))
        return [Action(self._anybody(draw), "Staking", "requestUnbond", (draw.choice(list(Role)), amount))]

    def _withdraw(self, draw: random.Random) -> list[Action]:
        return [Action(who, "Staking", "withdraw", (role,)) for who in self.twin.people.values() for role in Role]

    def _enlist(self, draw: random.Random) -> list[Action]:
        if draw.random() < 0.5:
            return [Action(self._of(draw, TRAINERS), "TaskRegistry", "enlist", (self._task(draw),))]
        return [Action(self._of(draw, VERIFIERS), "Attestations", "enlist", (self._task(draw),))]

    def _delist(self, draw: random.Random) -> list[Action]:
        """Sometimes everybody from everything, so that unbonding gets somewhere; mostly strangers try."""
        task_id, trainer = self._task(draw), self._of(draw, TRAINERS)
        leaver = trainer if draw.random() < 0.3 else self.twin.people["outsider"]
        actions = [Action(leaver, "TaskRegistry", "delist", (task_id, trainer))]
        if draw.random() < 0.4:
            actions += [Action(self._of(draw, VERIFIERS), "Attestations", "delist", (draw.choice((1, 2)),))]
        if draw.random() < 0.15:
            who = self._anybody(draw)
            actions += [Action(who, "TaskRegistry", "delist", (each, who)) for each in (1, 2)]
            actions += [Action(who, "Attestations", "delist", (each,)) for each in (1, 2)]
        return actions

    def _releaseBond(self, draw: random.Random) -> list[Action]:
        return [
            Action(self.twin.people["outsider"], contract, "releaseBond", (task_id, who))
            for who in self._some(draw, list(self.twin.people.values()), 0.3)
            for task_id in (1, 2)
            for contract in ("TaskRegistry", "Attestations")
        ]

    def _hotKey(self, draw: random.Random) -> list[Action]:
        who, worker = self._of(draw, TRAINERS + VERIFIERS), draw.choice((*WORKERS, "outsider"))
        address = self.twin.people[worker]
        if draw.random() < 0.3:
            return [Action(who, "Staking", "setWorkerKey", (NOBODY, None), (NOBODY, b""))]
        signer = draw.choice((worker, worker, worker, "challenger"))
        signature = _packed(_sign(signer, _worker_key(self.twin.contracts["Staking"], who, address)))
        named = (address, self.twin.people[signer])
        return [Action(who, "Staking", "setWorkerKey", named, (address, signature))]

    def _allow(self, draw: random.Random) -> list[Action]:
        spender = self.twin.contracts[draw.choice(("Staking", "TaskRegistry"))]
        amount = draw.choice((0, UNIT, 2**256 - 1, 10**6 * UNIT, 10**6 * UNIT))
        return [Action(self._anybody(draw), "AssayToken", "approve", (spender, amount))]

    # Money of tasks.

    def _fund(self, draw: random.Random) -> list[Action]:
        amount = draw.choice((0, 1, 40 * UNIT, 90 * UNIT, 200 * UNIT, 10**8 * UNIT))
        return [Action(self._of(draw, ("initiator",)), "TaskRegistry", "fundTask", (self._task(draw), amount))]

    def _endTask(self, draw: random.Random) -> list[Action]:
        """Closes seldom, refunds whenever it can, opens others."""
        task_id, actions = self._task(draw), list[Action]()
        if draw.random() < 0.06:
            actions += [Action(self._of(draw, ("initiator",)), "TaskRegistry", "closeTask", (task_id,))]
        if draw.random() < 0.2 and len(self.twin.model.registry.tasks) < 4:
            actions += [self._open_task(draw)]
        return [*actions, Action(self._anybody(draw), "TaskRegistry", "refundTask", (task_id,))]

    def _open_task(self, draw: random.Random) -> Action:
        changes: dict[str, int] = draw.choice(
            (
                {},
                {"quorum_bps": 5_000},
                {"fraud_slash": 11 * UNIT},
                {"reveal_window": 400, "appeal_window": 400},
                {"challenge_window": 0, "challenge_bond": 0, "appeal_window": 0},
                {"appeal_window": 199},
                {"max_epochs": 1, "verifier_fee": 0},
                {"verdict_slash": 101 * UNIT},
                {"max_epoch_units": 9},
            )
        )
        params = TaskParams(**{name: getattr(PARAMS, name) for name in TaskParams.__slots__} | changes)
        budget = draw.choice((27 * UNIT, 60 * UNIT, 10**7 * UNIT))
        root = draw.choice((ROOT, ROOT, ROOT, bytes(32)))
        return Action(self._anybody(draw), "TaskRegistry", "openTask", (params, ROOT, SPEC_URI, root, budget))

    # An epoch.

    def _works(self, draw: random.Random) -> list[Action]:
        task_id = self._task(draw)
        task = self.twin.model.registry.tasks.get(task_id)
        epoch = 0 if task is None else task.open_epoch
        trainers = [self.twin.people[name] for name in TRAINERS]
        actions = [self._commit_work(draw, task_id, epoch, who) for who in self._some(draw, trainers, 0.8)]
        if draw.random() < 0.2:
            actions += [self._commit_work(draw, task_id, epoch + draw.choice((-1, 1, 0)), self._anybody(draw))]
        return [each for each in actions if each.arguments[1] >= 0]

    def _commit_work(self, draw: random.Random, task_id: int, epoch: int, who: Address) -> Action:
        units = draw.choice((1, 2, 3, 4, 5, 7, 7, 10, 11 if draw.random() < 0.3 else 0))
        root = bytes(32) if draw.random() < 0.02 else draw.randbytes(32)
        return Action(self._key(who), "TaskRegistry", "commitWork", (task_id, epoch, root, units, draw.randrange(3)))

    def _seal(self, draw: random.Random) -> list[Action]:
        return [Action(self._anybody(draw), "Attestations", "sealEpoch", (self._task(draw),))]

    def _report(self, draw: random.Random) -> list[Action]:
        place = self._epoch(draw)
        return self._commit_reports(draw, *place, self._some(draw, list(self.twin.people.values()), 0.8))

    def _commit_reports(self, draw: random.Random, task_id: int, epoch: int, who: Sequence[Address]) -> list[Action]:
        choice = REPORTS if draw.random() < 0.6 else REPORTS[:1]
        actions: list[Action] = []
        for each in who:
            is_first = self.twin.model.attestations.epochs.get((task_id, epoch)) is None
            known = self.reports.get((task_id, epoch, each))
            report = known if known is not None and not is_first else draw.choice(choice)
            self.reports[task_id, epoch, each] = report
            commitment = attestation_commitment(TaskId(task_id), Epoch(epoch), each, report, SALT)
            commitment = bytes(32) if draw.random() < 0.01 else commitment
            actions += [Action(self._key(each), "Attestations", "commitAttestation", (task_id, epoch, commitment))]
        return actions

    def _reveal(self, draw: random.Random) -> list[Action]:
        place = self._epoch(draw)
        return self._reveal_reports(draw, *place, self._some(draw, list(self.twin.people.values()), 0.8))

    def _reveal_reports(self, draw: random.Random, task_id: int, epoch: int, who: Sequence[Address]) -> list[Action]:
        return [
            Action(
                self._key(each),
                "Attestations",
                "revealAttestation",
                (task_id, epoch, report_hash(self._report_of(draw, task_id, epoch, each)), SALT, ROOT),
            )
            for each in who
        ]

    def _report_of(self, draw: random.Random, task_id: int, epoch: int, who: Address) -> bytes:
        report = self.reports.get((task_id, epoch, who), REPORTS[0])
        return draw.choice(REPORTS) if draw.random() < 0.04 else report

    def _settle(self, draw: random.Random) -> list[Action]:
        return [self._settle_epoch(draw, *self._epoch(draw))]

    def _settle_epoch(self, draw: random.Random, task_id: int, epoch: int) -> Action:
        reports = self._handed_in(draw, task_id, epoch)
        return Action(self._anybody(draw), "Attestations", "settle", (task_id, epoch, reports))

    def _handed_in(self, draw: random.Random, task_id: int, epoch: int) -> list[bytes]:
        """Every report revealed, in order; now and then one is missing, or they come in another order."""
        judged = self.twin.model.attestations.epochs.get((task_id, epoch))
        revealed = {} if judged is None else {report_hash(each): each for each in REPORTS}
        known = {} if judged is None else judged.tallies
        reports = [revealed[hashed] for hashed in sorted(revealed) if hashed in known and known[hashed].weight]
        if reports and draw.random() < 0.15:
            reports.pop(draw.randrange(len(reports)))
        if draw.random() < 0.04:
            reports = draw.choice((reports[::-1], [*reports, b"nobody's"], [*reports, *reports]))
        return reports

    def _policy(self, draw: random.Random) -> list[Action]:
        task_id, epoch = self._epoch(draw)
        root = draw.choice((ROOT, ROOT, ROOT, bytes(32)))
        names = [name for name in VERIFIERS if draw.random() < 0.9]
        names.sort(key=lambda name: int(self.twin.people[name], 16), reverse=draw.random() < 0.1)
        data = _policy(self.twin.contracts["Attestations"], task_id, epoch, root)
        signers = [self.twin.people[name] for name in names]
        signatures = [_packed(_sign(name, data)) for name in names]
        arguments = (task_id, epoch, root, SPEC_URI)
        caller = self._anybody(draw)
        return [Action(caller, "Attestations", "publishPolicy", (*arguments, signers), (*arguments, signatures))]

    def _finalise(self, draw: random.Random) -> list[Action]:
        return [Action(self._anybody(draw), "Attestations", "finalise", self._epoch(draw))]

    def _void(self, draw: random.Random) -> list[Action]:
        return [Action(self._anybody(draw), "Attestations", "voidEpoch", self._epoch(draw))]

    def _showReport(self, draw: random.Random) -> list[Action]:
        place = self._epoch(draw)
        report = self._report_of(draw, *place, self._of(draw, VERIFIERS))
        return [Action(self._anybody(draw), "Attestations", "showReport", (*place, report))]

    def _absence(self, draw: random.Random) -> list[Action]:
        place, caller = self._epoch(draw), self._anybody(draw)
        actions = [Action(caller, "Attestations", "slashAbsence", (*place, self._of(draw, VERIFIERS)))]
        dispute = self._dispute(draw)
        return [*actions, Action(caller, "Challenges", "slashAbsence", (*dispute, self._of(draw, VERIFIERS)))]

    # Challenges.

    def _dispute(self, draw: random.Random) -> tuple[int, int, int]:
        """One there is, mostly of the newest."""
        known = list(self.twin.model.challenges.disputes)[-4:]
        return draw.choice(known) if known and draw.random() < 0.95 else (*self._epoch(draw), draw.randrange(5))

    def _challenge(self, draw: random.Random) -> list[Action]:
        known = [
            place
            for place, epoch in self.twin.model.attestations.epochs.items()
            if epoch.outcome == EpochPhase.CHALLENGEABLE
        ]
        place = known[-1] if known and draw.random() < 0.9 else self._epoch(draw)
        who = self._of(draw, ("challenger", "first trainer"))
        picked = draw.sample(range(5), draw.choice((1, 1, 2)))
        scores = [draw.choice((*SCORES, 101 if draw.random() < 0.1 else 255)) for _ in picked]
        return [
            Action(who, "Challenges", "challenge", (*place, index, score))
            for index, score in zip(picked, scores, strict=True)
        ]

    def _appeal(self, draw: random.Random) -> list[Action]:
        return self._go_on_with_dispute(draw, self._dispute(draw), 0.9)

    def _go_on_with_dispute(self, draw: random.Random, place: tuple[int, int, int], share: float) -> list[Action]:
        phase = self.twin.model.challenges.phase_of(*place)
        members = self._some(draw, self._members(*place[:2]), share) or [self._anybody(draw)]
        dispute = self.twin.model.challenges.disputes.get(place)
        if dispute is not None and phase == ChallengePhase.APPEAL_COMMIT:
            if dispute.unrevealed and draw.random() < 0.5:
                return self._wait_until(dispute.commit_by)
            return self._commit_votes(draw, place, members)
        if dispute is not None and phase == ChallengePhase.APPEAL_REVEAL:
            if dispute.revealed and draw.random() < 0.3:
                return self._wait_until(dispute.reveal_by)
            return [self._reveal_vote(draw, place, each) for each in members]
        return [self._decide_dispute(draw, place)]

    def _commit_votes(self, draw: random.Random, place: tuple[int, int, int], who: Sequence[Address]) -> list[Action]:
        dispute = self.twin.model.challenges.disputes[place]
        common = draw.choice((dispute.standing, dispute.claimed, dispute.claimed, draw.choice(SCORES)))
        actions: list[Action] = []
        for each in who:
            score = common if draw.random() < 0.75 else draw.choice(SCORES)
            score = self.votes.setdefault((*place, each), score)
            task_id, epoch, index = place
            vote = appeal_commitment(TaskId(task_id), Epoch(epoch), WorkIndex(index), each, score, SALT)
            vote = bytes(32) if draw.random() < 0.01 else vote
            actions += [Action(self._key(each), "Challenges", "commitAppeal", (*place, vote))]
        return actions

    def _reveal_vote(self, draw: random.Random, place: tuple[int, int, int], who: Address) -> Action:
        score = self.votes.get((*place, who), 0)
        score = draw.choice((*SCORES, 101)) if draw.random() < 0.04 else score
        return Action(self._key(who), "Challenges", "revealAppeal", (*place, score, SALT))

    def _decide(self, draw: random.Random) -> list[Action]:
        return [self._decide_dispute(draw, self._dispute(draw))]

    def _decide_dispute(self, draw: random.Random, place: tuple[int, int, int]) -> Action:
        reports = self._handed_in(draw, *place[:2])
        return Action(self._anybody(draw), "Challenges", "decide", (*place, reports))

    def _verdict(self, draw: random.Random) -> list[Action]:
        place, caller = self._dispute(draw), self._anybody(draw)
        return [
            Action(caller, "Challenges", "slashVerdict", (*place, who, self._report_of(draw, *place[:2], who)))
            for who in self._some(draw, self._members(*place[:2]))
        ]

    def _winnings(self, draw: random.Random) -> list[Action]:
        return [
            Action(self._anybody(draw), "Challenges", "claim", (*place, who))
            for place in list(self.twin.model.challenges.disputes)[-4:]
            for who in self._some(draw, list(self.twin.people.values()), 0.7)
        ]

    # Payments and slashes.

    def _claim(self, draw: random.Random) -> list[Action]:
        """All works of a trainer that are final, or some that chance picks."""
        task_id, trainer = self._task(draw), self._of(draw, TRAINERS)
        known = [(task, epoch, work) for (task, epoch, who), work in self.twin.works.items() if who == trainer]
        model = self.twin.model.attestations
        final = [each for each in known if each[0] == task_id and model.phase_of(*each[:2]) == EpochPhase.FINAL]
        honest = [each for each in final if model.epochs[each[:2]].score(each[2].index) <= 100]
        unpaid = [each for each in honest if each[1] not in self._settled(task_id, trainer)]
        works = unpaid if draw.random() < 0.7 else draw.sample(known, min(len(known), draw.choice((1, 2, 3))))
        if draw.random() < 0.05:
            works = [*works, *draw.sample(self._all_works(), min(1, len(self.twin.works)))]
        return [Action(self._anybody(draw), "Payouts", "claim", (works,))]

    def _settled(self, task_id: int, trainer: Address) -> set[int]:
        task = self.twin.model.registry.tasks.get(task_id)
        return set() if task is None else task.records[trainer].settled

    def _all_works(self) -> list[tuple[int, int, Work]]:
        return [(task_id, epoch, work) for (task_id, epoch, _), work in self.twin.works.items()]

    def _claimFees(self, draw: random.Random) -> list[Action]:
        task_id, who = self._task(draw), self._of(draw, VERIFIERS)
        known = [epoch for task, epoch in self.twin.model.attestations.epochs if task == task_id]
        open_fees = [epoch for epoch in known if self.twin.model.payouts.fee_of(task_id, epoch, who) > 0]
        epochs = open_fees if draw.random() < 0.7 else draw.sample(known, min(len(known), 2))
        epochs = epochs * 2 if draw.random() < 0.05 else epochs
        return [Action(self._key(who), "Payouts", "claimFees", (task_id, epochs))]

    def _slashFraud(self, draw: random.Random) -> list[Action]:
        epochs = self.twin.model.attestations.epochs
        frauds = [
            (task_id, epoch, work)
            for task_id, epoch, work in self._all_works()
            if (task_id, epoch) in epochs and epochs[task_id, epoch].score(work.index) == 255
        ]
        works = frauds[-3:] if frauds and draw.random() < 0.8 else self._all_works()
        return [
            Action(self._anybody(draw), "Payouts", "slashFraud", (each,))
            for each in draw.sample(works, min(2, len(works)))
        ]

    # The rest.

    def _wait(self, draw: random.Random) -> list[Action]:
        self._pause = draw.choice((5, 60, 101, 151, 201, 301, 2_001))
        return []

    def _wait_until(self, moment: int) -> list[Action]:
        self._pause = max(1, moment - self.twin.now)
        return []

    def _goOn(self, draw: random.Random) -> list[Action]:
        """What is due: the next thing that somebody could do for an epoch of one of the tasks."""
        task_id = draw.choice((1, 2))
        model = self.twin.model.attestations
        for (task, epoch), judged in model.epochs.items():
            if task != task_id or judged.outcome in (EpochPhase.FINAL, EpochPhase.VOID):
                continue
            return self._go_on_with_epoch(draw, task, epoch)
        task = self.twin.model.registry.tasks[task_id]
        if not task.is_open and not task.is_closed:
            return [Action(self.twin.people["initiator"], "TaskRegistry", "fundTask", (task_id, 90 * UNIT))]
        if task.works and draw.random() < 0.2:
            return self._wait_until(task.commit_by)
        if self.twin.model.registry.is_ready(task) and task.is_open:
            return [Action(self._anybody(draw), "Attestations", "sealEpoch", (task_id,))]
        trainers = [self.twin.people[name] for name in TRAINERS]
        if task.trainers < 3 and draw.random() < 0.5:
            return [Action(each, "TaskRegistry", "enlist", (task_id,)) for each in trainers]
        return [self._commit_work(draw, task_id, task.open_epoch, each) for each in self._some(draw, trainers)]

    def _go_on_with_epoch(self, draw: random.Random, task_id: int, epoch: int) -> list[Action]:
        phase = self.twin.model.attestations.phase_of(task_id, epoch)
        judged = self.twin.model.attestations.epochs[task_id, epoch]
        members = self._some(draw, self._members(task_id, epoch)) or [self._anybody(draw)]
        open_disputes = [
            place
            for place, dispute in self.twin.model.challenges.disputes.items()
            if place[:2] == (task_id, epoch) and dispute.outcome == ChallengePhase.NONE
        ]
        if phase == EpochPhase.ATTEST_COMMIT:
            is_late = judged.uncommitted < judged.verifiers and draw.random() < 0.6
            return (
                self._wait_until(judged.attest_by) if is_late else self._commit_reports(draw, task_id, epoch, members)
            )
        if phase == EpochPhase.ATTEST_REVEAL:
            if judged.revealed and draw.random() < 0.5:
                return self._wait_until(judged.reveal_by)
            return self._reveal_reports(draw, task_id, epoch, members)
        if phase == EpochPhase.ATTESTED:
            return [self._settle_epoch(draw, task_id, epoch)]
        if phase == EpochPhase.MISSED:
            return [Action(self._anybody(draw), "Attestations", "voidEpoch", (task_id, epoch))]
        if open_disputes:
            return self._go_on_with_dispute(draw, open_disputes[0], 0.95)
        if draw.random() < 0.35:
            return self._challenge(draw)
        if draw.random() < 0.5:
            return self._wait_until(judged.challenge_by)
        return [Action(self._anybody(draw), "Attestations", "finalise", (task_id, epoch))]

    def _sameBlock(self, draw: random.Random) -> list[Action]:
        """Two steps in one block: stake that is fresh, a seal in the block of a work."""
        kinds = ("bond", "enlist", "works", "seal", "reveal", "settle", "finalise", "claim", "delist", "winnings")
        return [action for kind in draw.sample(kinds, 3) for action in self._kinds[kind](draw)]

    def _lateStake(self, draw: random.Random) -> list[Action]:
        """Somebody enlists in the block of the seal, and may leave in it again."""
        task_id, who = draw.choice((1, 2)), self._of(draw, ("challenger", "outsider", *VERIFIERS))
        actions = [Action(who, "Attestations", function, (task_id,)) for function in ("enlist", "sealEpoch")]
        return actions + ([Action(who, "Attestations", "delist", (task_id,))] if draw.random() < 0.3 else [])

    def _meddle(self, draw: random.Random) -> list[Action]:
        """A stranger calls what only the contracts may call of one another."""
        stranger = self.twin.people["outsider"]
        return [
            Action(stranger, contract, function, nothing_of(contract, function))
            for contract, functions in KEEPERS_ONLY.items()
            for function in functions
        ]

    def _strange(self, draw: random.Random) -> list[Action]:
        """Calls about what is not there."""
        who, nowhere = self._anybody(draw), (draw.choice((0, 9)), draw.randrange(2))
        nobody = Work(NOBODY, WorkIndex(0), 1, PolicyVersion(0), Root(ROOT))
        calls: list[tuple[str, str, tuple[Any, ...]]] = [
            ("Payouts", "claim", ([],)),
            ("Payouts", "claim", ([(*nowhere, nobody)],)),
            ("Payouts", "claimFees", (nowhere[0], [0])),
            ("Payouts", "claimFees", (1, [])),
            ("Payouts", "slashFraud", ((*nowhere, nobody),)),
            ("TaskRegistry", "closeTask", (nowhere[0],)),
            ("TaskRegistry", "releaseBond", (nowhere[0], who)),
            ("Attestations", "releaseBond", (nowhere[0], who)),
            ("Attestations", "sealEpoch", (nowhere[0],)),
            ("Attestations", "settle", (*nowhere, [])),
            ("Attestations", "showReport", (*nowhere, REPORTS[0])),
            ("Attestations", "slashAbsence", (*nowhere, who)),
            ("Attestations", "voidEpoch", nowhere),
            ("Challenges", "challenge", (*nowhere, 0, 100)),
            ("Challenges", "commitAppeal", (*nowhere, 0, ROOT)),
            ("Challenges", "decide", (*nowhere, 0, [])),
            ("Challenges", "slashVerdict", (*nowhere, 0, who, REPORTS[0])),
            ("Challenges", "slashAbsence", (*nowhere, 0, who)),
            ("Challenges", "claim", (*nowhere, 0, who)),
        ]
        return [Action(who, *each) for each in calls]


def _packed(signature: tuple[int, int, int]) -> bytes:
    v, r, s = signature
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])


Typed = tuple[str, str, Address, tuple[tuple[str, str, Any], ...]]  # domain, primary type, contract, fields


def _worker_key(staking: Address, operator: Address, worker: Address) -> Typed:
    return "Assay", "WorkerKey", staking, (("operator", "address", operator), ("worker", "address", worker))


def _policy(attestations: Address, task_id: int, epoch: int, root: bytes) -> Typed:
    fields = (("taskId", "uint256", task_id), ("epoch", "uint64", epoch), ("policyRoot", "bytes32", root))
    return "Assay", "Policy", attestations, fields


def _permit(token: Address, owner: Address, spender: Address, amount: int, nonce: int) -> Typed:
    people = (("owner", "address", owner), ("spender", "address", spender))
    rest = (("value", "uint256", amount), ("nonce", "uint256", nonce), ("deadline", "uint256", 2**40))
    return "Assay", "Permit", token, (*people, *rest)


@cache
def _sign(role: str, typed: Typed) -> tuple[int, int, int]:
    """EIP-712; signing in Python is slow, and the same things are signed again and again."""
    domain, kind, contract, fields = typed
    signable = encode_typed_data(
        {"name": domain, "version": "1", "chainId": CHAIN_ID, "verifyingContract": contract},
        {kind: [{"name": name, "type": type_} for name, type_, _ in fields]},
        {name: value for name, _, value in fields},
    )
    signed = account_of(role).sign_message(signable)
    return signed.v, signed.r, signed.s
