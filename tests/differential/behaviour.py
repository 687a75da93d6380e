"""What all who take part in two tasks may think of doing: steps that chance chooses, as acts.

A step is a kind and a number that decides the rest. What is due is done mostly; else somebody who may not, too late, a
second too early, twice, with the hash of another, with bytes that are no text or no score, in another order.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from eth_utils.crypto import keccak

from specs import hashes, rules
from specs.acts import Act, appeals, attestations, commitments, payouts, policies, staking, tasks, verifiers
from specs.facts import (
    AttestationCommitted,
    AttestationRevealed,
    ChallengeCommitted,
    ChallengeRevealed,
    EpochSealed,
    PlantCommitted,
    SubmissionCommitted,
    VoteCommitted,
)
from specs.words import (
    FRAUD,
    NOBODY,
    NONE,
    UNAVAILABLE,
    Address,
    ChallengeState,
    DisputePhase,
    KindTerms,
    Phase,
    Role,
    Submission,
    SubmissionRef,
    Terms,
)
from tests.differential.meddling import meddle
from tests.differential.people import JURORS, TRAINERS, VERIFIERS, WORKERS, sign
from tests.differential.twin import UNIT, Twin

CLASS = keccak(text="a class of jurors")
SALTS = (b"\x07" * 32, NONE, b"\xff" * 32)
ROOT = b"\x01" * 32
LONG_AGO, FAR_AWAY = 0, 2**64 - 1
TEXTS = (b"assay:spec", b"", b"\xff\xfe\x00 no text", "\u202e\ud7ff".encode(), b"\x00" * 512, b"x" * 513)
BYTES = (100, 100, 100, 50, 33, 1, 0, FRAUD, FRAUD, UNAVAILABLE, 253, 252, 101, 200)
SCORES = (0, 1, 50, 33, 100, FRAUD, FRAUD, 7)
TERMS = Terms(
    kinds=(KindTerms(UNIT + 7, 10_000), KindTerms(), KindTerms(), KindTerms(UNIT // 2, 8_000)),
    trainer_bond=60 * UNIT,
    verifier_bond=100 * UNIT,
    fraud_slash=20 * UNIT + 3,
    challenge_bond=UNIT + 1,
    juror_fee=UNIT // 10 + 1,
    verifier_fee=3 * UNIT + 1,
    max_epoch_units=40,
    max_submission_units=10,
    max_submissions_each=2,
    quorum_bps=6_667,
    sampling_bps=5_000,
    absence_slash_bps=501,
    verdict_slash_bps=2_503,
    max_staleness=2,
    max_epochs=0,
    protocol_version=1,
    commit_window=200,
    attest_window=200,
    reveal_window=150,
    challenge_window=200,
    appeal_window=200,
    panel_class=CLASS,
)
OTHER_TERMS = replace(
    TERMS,
    quorum_bps=5_001,
    sampling_bps=10_000,
    max_submissions_each=1,
    max_epochs=9,
    challenge_window=150,
    absence_slash_bps=10_000,
    juror_fee=0,
)
STEP_KINDS = (
    *("goOn",) * 60,
    *("aftermath",) * 25,
    *("submissions", "seal", "report", "reveal", "settle") * 2,
    *("bond", "unbond", "withdraw", "enlist", "delist", "releaseBond", "fund", "endTask", "policy", "finalise", "void"),
    *("absence", "challenge", "challenge", "dispute", "dispute", "verdict", "winnings", "winnings", "seats", "forget"),
    *("claim", "claim", "claimFees", "slashFraud", "slashFraud", "hotKey", "wait", "allow", "sameBlock", "lateStake"),
    *("plant", "plant", "openPlant", "paidPlant", "strange", "meddle"),
)


@dataclass(frozen=True, slots=True)
class Step:
    kind: str
    chance: int


def chosen(seed: int, count: int, kinds: Sequence[str] = STEP_KINDS) -> list[Step]:
    """So many steps of these kinds, by chance."""
    draw = random.Random(seed)
    return [Step(draw.choice(kinds), draw.getrandbits(32)) for _ in range(count)]


class Behaviour:
    """Remembers what was promised by a hash: reports, challenges, votes, plants."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.h = twin.h
        self.people = twin.people
        self.reports: dict[bytes, tuple[bytes, bytes]] = {}  # each with its salt, by commitment
        self.challenges: dict[bytes, tuple[int, int, bytes]] = {}
        self.votes: dict[bytes, tuple[int, bool, bytes]] = {}
        self.plants: dict[bytes, tuple[Address, bytes, bytes]] = {}  # trainer, root and salt; of decoys no trainer
        self._pause = 1
        self._forgets = False
        self._kinds: dict[str, Callable[[random.Random], Sequence[Act]]] = {
            kind: getattr(self, f"_{kind}") for kind in {*STEP_KINDS}
        }

    def begin(self) -> None:
        """Two tasks that differ, and bonds that are enough for both for most people."""
        step, people = self.twin.step, self.people
        step([staking.Bond(people[name], Role.TRAINER, 170 * UNIT) for name in TRAINERS])
        step([staking.Bond(people[name], Role.VERIFIER, 900 * UNIT) for name in VERIFIERS])
        step([staking.Bond(people[name], Role.VERIFIER, 150 * UNIT) for name in (*JURORS, "challenger")])
        step([appeals.TakeSeats(people[name], CLASS, 8) for name in JURORS])
        for task_id, terms in enumerate((TERMS, OTHER_TERMS), start=1):
            step([tasks.OpenTask(people["initiator"], terms, ROOT, TEXTS[0], ROOT, 300 * UNIT)])
            word = rules.opened(self.h, task_id).terms_hash
            step([commitments.EnlistTrainer(people[name], task_id, word) for name in TRAINERS])
            weights = zip(VERIFIERS, (200, 230, 260, 150), strict=True)
            step([verifiers.EnlistVerifier(people[name], task_id, word, each * UNIT, NOBODY) for name, each in weights])

    def play(self, step: Step) -> list[str | None]:
        """How its calls ended. Raises Disagreement, Broken."""
        draw = random.Random(step.chance)
        self._pause, self._forgets = draw.choice((1, 1, 1, 1, 2, 15)), False
        acts = list(self._kinds[step.kind](draw))
        draw.shuffle(acts)
        if self._forgets:
            self.twin.skip(260, self._pause)
        return self.twin.step(acts, self._pause)

    # Who, which task, which epoch.

    def _anybody(self, draw: random.Random) -> Address:
        return draw.choice(list(self.people.values()))

    def _of(self, draw: random.Random, names: Sequence[str]) -> Address:
        return self.people[draw.choice(names)] if draw.random() < 0.9 else self._anybody(draw)

    def _key(self, operator: Address) -> Address:
        """Workers act by their hot key where they have one."""
        worker = rules.worker_of(self.h, operator)
        return operator if worker == NOBODY else worker

    def _task(self, draw: random.Random) -> int:
        newest = len(rules.tasks(self.h))
        return draw.choice((1, 1, 1, 1, 2, 2, 2, 2, newest, draw.choice((0, 9, 2**256 - 1))))

    def _epoch(self, draw: random.Random) -> tuple[int, int]:
        """A task and one of its newest epochs, mostly a sealed one."""
        task_id = self._task(draw)
        if not rules.is_known(self.h, task_id) or draw.random() < 0.02:
            return task_id, draw.choice((0, FAR_AWAY))
        return task_id, max(0, rules.open_number(self.h, task_id) - draw.choice((0, 1, 1, 1, 1, 2, 2, 3)))

    def _some(self, draw: random.Random, everybody: Sequence[Address], share: float = 0.93) -> list[Address]:
        return [each for each in everybody if draw.random() < share]

    def _salt(self, draw: random.Random) -> bytes:
        return draw.choice((*SALTS, draw.randbytes(32)))

    def _strange_hash(self, draw: random.Random) -> bytes:
        """Nothing, or what somebody else's promise, submission or report is known by."""
        told = [each.commitment for each in self.h.of(AttestationCommitted)[-5:]]
        told += [keccak(each.report) for each in self.h.of(AttestationRevealed)[-3:]]
        told += [each.commitment for each in self.h.of(VoteCommitted)[-2:]]
        told += [each.commitment for each in self.h.of(PlantCommitted)[-2:]]
        return draw.choice((NONE, (1).to_bytes(32, "big"), *told))

    def _terms_hash(self, draw: random.Random, task_id: int) -> bytes:
        if not rules.is_known(self.h, task_id) or draw.random() < 0.03:
            return self._strange_hash(draw)
        return rules.opened(self.h, task_id).terms_hash

    # Money that is staked.

    def _bond(self, draw: random.Random) -> list[Act]:
        who, role, amount = self._anybody(draw), draw.choice(list(Role)), draw.choice((0, 1, 3, 60, 300, 10**7)) * UNIT
        amount = 2**128 - 1 if draw.random() < 0.03 else amount + draw.randrange(3)
        if draw.random() < 0.7:
            return [staking.Bond(who, role, amount)]
        return [self._bond_with_permit(draw, who, role, amount)]

    def _bond_with_permit(self, draw: random.Random, who: Address, role: Role, amount: int) -> Act:
        signer = draw.choice((who, who, self.people["outsider"]))
        deadline, nonce = draw.choice((2**40, 2**40, 2**256 - 1, self.twin.now)), rules.permits(self.h, who)
        token, spender = self.twin.contracts["AssayToken"], self.twin.contracts["Staking"]
        chain = self.h.constants.chain_id
        digest = hashes.permit(token, chain, who, spender, amount, nonce, deadline)
        signature = sign(self._name(signer), digest)
        return staking.BondWithPermit(who, role, amount, deadline, signature[64], signature[:32], signature[32:64])

    def _name(self, who: Address) -> str:
        return next(name for name, address in self.people.items() if address == who)

    def _unbond(self, draw: random.Random) -> list[Act]:
        amount = draw.choice((0, 1, 5 * UNIT, 100 * UNIT, 1_000 * UNIT))
        return [staking.RequestUnbond(self._anybody(draw), draw.choice(list(Role)), amount)]

    def _withdraw(self, draw: random.Random) -> list[Act]:
        return [staking.Withdraw(who, role) for who in self.people.values() for role in Role]

    def _enlist(self, draw: random.Random) -> list[Act]:
        task_id = self._task(draw)
        word = self._terms_hash(draw, task_id)
        if draw.random() < 0.5:
            return [commitments.EnlistTrainer(self._key(self._of(draw, TRAINERS)), task_id, word)]
        weight = draw.choice((100, 150, 250, 99, 0)) * UNIT + draw.randrange(2)
        displaced = self._of(draw, VERIFIERS) if draw.random() < 0.05 else NOBODY
        return [verifiers.EnlistVerifier(self._key(self._of(draw, VERIFIERS)), task_id, word, weight, displaced)]

    def _delist(self, draw: random.Random) -> list[Act]:
        """Sometimes everybody from everything, so that unbonding gets somewhere; mostly strangers try."""
        task_id, trainer = self._task(draw), self._of(draw, TRAINERS)
        leaver = trainer if draw.random() < 0.3 else self.people["outsider"]
        acts: list[Act] = [commitments.DelistTrainer(leaver, task_id, trainer)]
        if draw.random() < 0.4:
            acts += [verifiers.DelistVerifier(self._of(draw, VERIFIERS), draw.choice((1, 2)))]
        if draw.random() < 0.15:
            who = self._anybody(draw)
            acts += [commitments.DelistTrainer(who, each, who) for each in (1, 2)]
            acts += [verifiers.DelistVerifier(who, each) for each in (1, 2)]
        return acts

    def _releaseBond(self, draw: random.Random) -> list[Act]:
        who = self._some(draw, list(self.people.values()), 0.3)
        return [verifiers.ReleaseBond(self._anybody(draw), task_id, each) for each in who for task_id in (1, 2)]

    def _hotKey(self, draw: random.Random) -> list[Act]:
        """Also chains of keys, and keys of people who have a part of their own."""
        who, worker = self._of(draw, TRAINERS + VERIFIERS), draw.choice((*WORKERS, "outsider", "second verifier"))
        if draw.random() < 0.3:
            return [staking.SetWorkerKey(who, NOBODY, 0, b"")]
        if draw.random() < 0.2:
            return [staking.RenounceWorkerKey(self.people[worker])]
        address, deadline = self.people[worker], draw.choice((2**40, self.twin.now + 1, self.twin.now))
        nonce = max(0, rules.consents(self.h, address) - (draw.random() < 0.1))
        place, chain = self.twin.contracts["Staking"], self.h.constants.chain_id
        digest = hashes.consent(place, chain, who, address, nonce, deadline)
        signature = sign(draw.choice((worker, worker, worker, "challenger")), digest)
        return [staking.SetWorkerKey(who, address, deadline, self._maybe_broken(draw, signature))]

    def _maybe_broken(self, draw: random.Random, signature: bytes) -> bytes:
        if draw.random() < 0.95:
            return signature
        high = (hashes.HALF_ORDER + 5).to_bytes(32, "big")
        return draw.choice((b"", signature[:64], signature[:64] + b"\x00", signature[:32] + high + signature[64:]))

    def _allow(self, draw: random.Random) -> list[Act]:
        spender = self.twin.contracts[draw.choice(("Staking", "TaskRegistry", "Appeals", "Plants"))]
        amount = draw.choice((0, UNIT, 2**256 - 1, 10**6 * UNIT, 10**6 * UNIT))
        return [staking.Approve(self._anybody(draw), spender, amount)]

    # Money of tasks.

    def _fund(self, draw: random.Random) -> list[Act]:
        amount = draw.choice((0, 1, 90 * UNIT, 200 * UNIT, 200 * UNIT, 10**8 * UNIT, 2**128 - 1))
        return [tasks.FundTask(self._of(draw, ("initiator",)), self._task(draw), amount)]

    def _endTask(self, draw: random.Random) -> list[Act]:
        """Closes seldom, refunds whenever it can, opens others."""
        task_id, acts = self._task(draw), list[Act]()
        if draw.random() < 0.06:
            acts += [tasks.CloseTask(self._of(draw, ("initiator",)), task_id)]
        if draw.random() < 0.2 and len(rules.tasks(self.h)) < 4:
            acts += [self._open_task(draw)]
        acts += [commitments.AbandonEpoch(self._anybody(draw), task_id)]
        return [*acts, tasks.RefundTask(self._anybody(draw), task_id)]

    def _open_task(self, draw: random.Random) -> Act:
        cheap = (KindTerms(UNIT, 1_000), KindTerms(), KindTerms(), KindTerms())
        changes: dict[str, object] = draw.choice(
            (
                {},
                {"quorum_bps": 5_000},
                {"fraud_slash": 11 * UNIT},
                {"kinds": cheap},
                {"reveal_window": 400, "appeal_window": 400},
                {"challenge_window": 0, "challenge_bond": 0, "appeal_window": 0},
                {"appeal_window": 199},
                {"attest_window": 29},
                {"challenge_window": 59},
                {"max_epochs": 1, "verifier_fee": 0},
                {"verdict_slash_bps": 10_001},
                {"max_epoch_units": 9},
                {"protocol_version": 0},
                {"max_epoch_units": 2**32 - 1, "kinds": (KindTerms(2**128 - 1, 10_000), *TERMS.kinds[1:])},
            )
        )
        budget = draw.choice((27 * UNIT, 60 * UNIT, 10**7 * UNIT, 2**128 - 1))
        root = draw.choice((ROOT, ROOT, ROOT, NONE))
        terms = replace(TERMS, **changes)  # pyright: ignore[reportArgumentType]
        return tasks.OpenTask(self._anybody(draw), terms, draw.randbytes(32), draw.choice(TEXTS), root, budget)

    # An epoch.

    def _submissions(self, draw: random.Random) -> list[Act]:
        task_id = self._task(draw)
        number = rules.open_number(self.h, task_id)
        acts = [self._commit_submission(draw, task_id, number, who) for who in self._trainers(draw, 0.8)]
        if draw.random() < 0.2:
            other = draw.choice((max(0, number - 1), number + 1, number, FAR_AWAY))
            acts += [self._commit_submission(draw, task_id, other, self._anybody(draw))]
        return acts

    def _trainers(self, draw: random.Random, share: float = 0.93) -> list[Address]:
        return self._some(draw, [self.people[name] for name in TRAINERS], share)

    def _commit_submission(self, draw: random.Random, task_id: int, epoch: int, who: Address) -> Act:
        units = draw.choice((1, 2, 3, 4, 5, 7, 7, 10, 11 if draw.random() < 0.3 else 0))
        root = draw.randbytes(32) if draw.random() < 0.95 else self._strange_hash(draw)
        theirs = rules.submissions_of(self.h, task_id, epoch, who)
        root = theirs[-1].manifest_root if theirs and draw.random() < 0.1 else root
        kind = draw.choice((0, 0, 0, 3, 3, 1 if draw.random() < 0.2 else 0))
        version, is_last = draw.choice((0, 1, 2, 2**32 - 1)), draw.random() < 0.6
        return commitments.CommitSubmission(self._key(who), task_id, epoch, kind, root, units, version, is_last)

    def _seal(self, draw: random.Random) -> list[Act]:
        task_id, who = self._task(draw), self._anybody(draw)
        return [
            commitments.CloseEpoch(who, task_id),
            commitments.OpenEpoch(who, task_id),
            self._seal_act(draw, task_id),
        ]

    def _seal_act(self, draw: random.Random, task_id: int) -> Act:
        """With the header of the seed's block, with another, or without."""
        who = self._anybody(draw)
        close = rules.closed(self.h, task_id) if rules.is_known(self.h, task_id) else None
        if draw.random() < 0.2 or close is None or close.seed_block not in self.h.blocks:
            return attestations.SealEpoch(who, task_id)
        number = close.seed_block - (draw.random() < 0.05)
        return attestations.SealEpochWith(who, task_id, self._header(draw, number))

    def _header(self, draw: random.Random, number: int) -> bytes:
        header = self.twin.header(number)
        return header if draw.random() < 0.95 else draw.choice((b"", b"\xf9", header[:-1], header + b"\x00"))

    def _forget(self, draw: random.Random) -> list[Act]:
        """So many blocks pass that no contract can ask for a seed's block; seldom, since it takes time."""
        closed = [task_id for task_id in rules.tasks(self.h) if rules.closed(self.h, task_id) is not None]
        self._forgets = draw.random() < (0.5 if closed else 0.05)
        return [self._seal_act(draw, task_id) for task_id in closed] or self._seal(draw)

    def _report(self, draw: random.Random) -> list[Act]:
        return self._commit_reports(draw, *self._epoch(draw), self._some(draw, list(self.people.values()), 0.8))

    def _commit_reports(self, draw: random.Random, task_id: int, epoch: int, who: Sequence[Address]) -> list[Act]:
        """Mostly alike; now and then a promise that is another's, or that nobody can keep."""
        seed, size = rules.seed(self.h, task_id, epoch), len(rules.submissions(self.h, task_id, epoch))
        roots = {root for _, root, _ in self.plants.values()}
        planted = [submission.manifest_root in roots for submission in rules.submissions(self.h, task_id, epoch)]
        common = bytes(FRAUD if each and draw.random() < 0.95 else draw.choice(BYTES) for each in planted)
        lazy = self.people[VERIFIERS[-1]] if draw.random() < 0.8 else NOBODY  # the lightest: the others are a quorum
        acts: list[Act] = []
        for each in who:
            report = common
            if draw.random() < (0.02 if any(planted) else 0.3):
                report = bytes(byte if draw.random() < 0.6 else draw.choice(BYTES) for byte in common)
            if each == lazy:  # it has not looked, and pays what is planted
                report = bytes(100 if is_plant else byte for byte, is_plant in zip(report, planted, strict=True))
            if draw.random() < 0.02:
                report = draw.choice((report[:-1], report + b"\x64", b""))
            salt = self._salt(draw)
            commitment = hashes.attestation(seed, each, report, salt)
            self.reports[commitment] = (report, salt)
            if draw.random() < 0.04:
                commitment = self._strange_hash(draw)
            secret = draw.randbytes(draw.choice((0, 40, size + 128, size + 129)))
            acts += [attestations.CommitAttestation(self._key(each), task_id, epoch, commitment, secret)]
        return acts

    def _reveal(self, draw: random.Random) -> list[Act]:
        return self._reveal_reports(draw, *self._epoch(draw), self._some(draw, list(self.people.values()), 0.8))

    def _reveal_reports(self, draw: random.Random, task_id: int, epoch: int, who: Sequence[Address]) -> list[Act]:
        acts: list[Act] = []
        for each in who:
            committed = self.h.last(AttestationCommitted, task_id=task_id, epoch=epoch, verifier=each)
            report, salt = self.reports.get(NONE if committed is None else committed.commitment, (b"\x64", NONE))
            report = draw.choice((report[:-1], report + b"\x64", report[::-1])) if draw.random() < 0.04 else report
            evidence = self._strange_hash(draw)
            acts += [attestations.RevealAttestation(self._key(each), task_id, epoch, report, salt, evidence)]
        return acts

    def _report_of(self, draw: random.Random, task_id: int, epoch: int, who: Address) -> bytes:
        revealed = rules.reveal(self.h, task_id, epoch, who)
        return draw.randbytes(3) if revealed is None or draw.random() < 0.04 else revealed.report

    def _settle(self, draw: random.Random) -> list[Act]:
        return [self._settle_epoch(draw, *self._epoch(draw))]

    def _settle_epoch(self, draw: random.Random, task_id: int, epoch: int) -> Act:
        """Every report revealed, in order; now and then one is missing, or they come in another order."""
        revealed = {each.report for each in self.h.of(AttestationRevealed, task_id=task_id, epoch=epoch)}
        reports = sorted(revealed, key=keccak)
        if reports and draw.random() < 0.1:
            reports.pop(draw.randrange(len(reports)))
        if draw.random() < 0.04:
            reports = draw.choice((reports[::-1], [*reports, b"nobody's"], [*reports, *reports]))
        count = draw.choice((1, 2, 100, 100, 65_535, 0))
        return attestations.Settle(self._anybody(draw), task_id, epoch, tuple(reports), count)

    def _policy(self, draw: random.Random) -> list[Act]:
        task_id, epoch = self._epoch(draw)
        if draw.random() < 0.4:
            return [policies.SkipPolicy(self._anybody(draw), task_id, rules.next_policy(self.h, task_id))]
        return [self._publish(draw, task_id, epoch)]

    def _publish(self, draw: random.Random, task_id: int, epoch: int) -> Act:
        root = draw.choice((ROOT, ROOT, ROOT, ROOT, draw.randbytes(32), NONE))
        names = [name for name in VERIFIERS if draw.random() < 0.9]
        names.sort(key=lambda name: int(self.people[name], 16), reverse=draw.random() < 0.1)
        names += names[-1:] if draw.random() < 0.05 else []
        seed = rules.seed(self.h, task_id, epoch) if draw.random() < 0.97 else NONE
        place, chain = self.twin.contracts["Policies"], self.h.constants.chain_id
        digest = hashes.policy(place, chain, task_id, epoch, seed, root)
        signatures = tuple(self._maybe_broken(draw, sign(name, digest)) for name in names)
        return policies.PublishPolicy(self._anybody(draw), task_id, epoch, root, draw.choice(TEXTS), signatures)

    def _finalise(self, draw: random.Random) -> list[Act]:
        return [attestations.Finalise(self._anybody(draw), *self._epoch(draw))]

    def _void(self, draw: random.Random) -> list[Act]:
        return [attestations.VoidEpoch(self._anybody(draw), *self._epoch(draw))]

    def _absence(self, draw: random.Random) -> list[Act]:
        place, caller = self._epoch(draw), self._anybody(draw)
        return [attestations.SlashAbsence(caller, *place, self._of(draw, VERIFIERS)) for _ in range(2)]

    # Challenges and disputes.

    def _seats(self, draw: random.Random) -> list[Act]:
        """Jurors come and go, sometimes in the order of the numbers, which moves seats under their hands."""
        who, class_ = self._of(draw, JURORS), CLASS if draw.random() < 0.95 else NONE
        if draw.random() < 0.6:
            return [appeals.TakeSeats(self._key(who), class_, draw.choice((1, 2, 3, 5, 0, 65, 50)))]
        theirs = [seat for seat, juror in enumerate(rules.holders(self.h, class_)) if juror == who]
        seats = sorted(self._pick(draw, theirs), reverse=draw.random() < 0.8)
        seats += [draw.randrange(40)] if draw.random() < 0.1 else []
        return [appeals.LeaveSeats(self._key(who), class_, tuple(seats))]

    def _pick(self, draw: random.Random, seats: Sequence[int]) -> list[int]:
        return draw.sample(seats, min(len(seats), draw.choice((1, 1, 2, 64))))

    def _challengeable(self, draw: random.Random) -> tuple[int, int]:
        here = [(each.task_id, each.epoch) for each in self.h.of(EpochSealed)[-8:]]
        known = [place for place in here if rules.phase(self.h, *place) == Phase.CHALLENGEABLE]
        return draw.choice(known) if known and draw.random() < 0.9 else self._epoch(draw)

    def _challenge(self, draw: random.Random) -> list[Act]:
        """Some will not be revealed: they name what there is not, or what stands already."""
        place = self._challengeable(draw)
        size = len(rules.submissions(self.h, *place)) or 1
        acts: list[Act] = []
        for _ in range(draw.choice((1, 1, 2, 3))):
            who = self._of(draw, ("challenger", "second challenger", "first trainer", "first juror"))
            index, salt = draw.randrange(size + (draw.random() < 0.05)), self._salt(draw)
            standing = rules.score_of(self.h, *place, index)
            others = [score for score in SCORES if score != standing]
            score = draw.choice(others) if draw.random() < 0.93 else draw.choice((standing, 101, UNAVAILABLE))
            commitment = hashes.challenge(*place, who, index, score, salt)
            self.challenges[commitment] = (index, score, salt)
            commitment = self._strange_hash(draw) if draw.random() < 0.03 else commitment
            acts += [appeals.CommitChallenge(who, *place, commitment)]
        return acts

    def _go_on_with_challenges(self, draw: random.Random, task_id: int, epoch: int) -> list[Act]:
        """Reveals them, or says that they were not revealed."""
        acts: list[Act] = []
        for each in self.h.of(ChallengeCommitted, task_id=task_id, epoch=epoch):
            state = rules.challenge_state(self.h, task_id, epoch, each.id)
            if state != ChallengeState.COMMITTED and draw.random() < 0.9:
                continue
            acts += [self._reveal_challenge(draw, each)] if draw.random() < 0.9 else []
            is_late = self.twin.now >= rules.reveals_end(self.h, task_id, epoch) or draw.random() < 0.1
            acts += [appeals.ExpireChallenge(self._anybody(draw), task_id, epoch, each.id)] if is_late else []
        return acts

    def _reveal_challenge(self, draw: random.Random, each: ChallengeCommitted) -> Act:
        index, score, salt = self.challenges.get(each.commitment, (0, 50, NONE))
        number = each.id + (draw.random() < 0.03)
        who = self._anybody(draw)
        return appeals.RevealChallenge(who, each.task_id, each.epoch, number, index, score, salt)

    def _place(self, draw: random.Random) -> tuple[int, int, int]:
        """A dispute, mostly of the newest."""
        known = [(each.task_id, each.epoch, each.index) for each in self.h.of(ChallengeRevealed)[-4:]]
        return draw.choice(known) if known and draw.random() < 0.95 else (*self._epoch(draw), draw.randrange(5))

    def _dispute(self, draw: random.Random) -> list[Act]:
        return self._go_on_with_dispute(draw, self._place(draw))

    def _go_on_with_dispute(self, draw: random.Random, place: tuple[int, int, int]) -> list[Act]:
        phase = rules.dispute_phase(self.h, *place)
        box, drawn = rules.panel_ballot(self.h, *place), rules.panel(self.h, *place)
        if phase == DisputePhase.REVEALED:
            return self._call_panel(draw, place)
        members = [] if drawn is None else sorted(set(drawn.jurors))
        jurors = self._some(draw, members, 0.92) or [self._anybody(draw)]
        if box is not None and phase == DisputePhase.APPEAL_COMMIT:
            if len(box.commits) * 2 > box.voters and draw.random() < 0.5:
                return self._wait_until(draw, box.commit_by)
            return self._commit_votes(draw, place, jurors)
        if box is not None and phase == DisputePhase.APPEAL_REVEAL:
            if box.reveals and draw.random() < 0.3:
                return self._wait_until(draw, box.reveal_by)
            return [self._reveal_vote(draw, place, each) for each in jurors]
        acts: list[Act] = [appeals.Decide(self._anybody(draw), *place)]
        return acts + [
            appeals.DismissJuror(self._anybody(draw), *place, each) for each in self._some(draw, jurors, 0.3)
        ]

    def _call_panel(self, draw: random.Random, place: tuple[int, int, int]) -> list[Act]:
        end, summoned = rules.reveals_end(self.h, *place[:2]), rules.summoned(self.h, *place)
        if self.twin.now < end and draw.random() < 0.8:
            return self._wait_until(draw, end)
        if draw.random() < (0.9 if summoned is None else 0.1):
            return [appeals.SummonPanel(self._anybody(draw), *place)]
        submission = rules.as_submission(rules.submissions(self.h, *place[:2])[place[2]])
        header = b""
        if summoned is not None and summoned.seed_block in self.h.blocks and draw.random() < 0.8:
            header = self._header(draw, summoned.seed_block)
        return [appeals.DrawPanel(self._anybody(draw), *place[:2], self._maybe_other(draw, submission), header)]

    def _maybe_other(self, draw: random.Random, submission: Submission) -> Submission:
        """The submission, or one that differs in one thing."""
        if draw.random() < 0.95:
            return submission
        changes = ({"units": submission.units + 1}, {"kind": 3 - submission.kind}, {"trainer": self.people["outsider"]})
        return replace(submission, **draw.choice(changes))  # pyright: ignore[reportArgumentType]

    def _commit_votes(self, draw: random.Random, place: tuple[int, int, int], who: Sequence[Address]) -> list[Act]:
        drawn, first = rules.panel(self.h, *place), rules.challenges(self.h, *place)[0]
        seed = NONE if drawn is None else drawn.seed
        ours = (first.score,) * 5
        common = draw.choice((first.standing, *ours, FRAUD, draw.choice(SCORES), UNAVAILABLE))
        beyond = draw.random() < 0.15
        acts: list[Act] = []
        for each in who:
            doubts = 0.4 if each == self.people[JURORS[0]] else 0.04  # it has the fewest seats: the others are enough
            score = draw.choice((*SCORES, UNAVAILABLE, 101)) if draw.random() < doubts else common
            salt, says_beyond = self._salt(draw), beyond != (draw.random() < 0.05)
            commitment = hashes.judgement(seed, each, score, says_beyond, salt)
            self.votes[commitment] = (score, says_beyond, salt)
            commitment = self._strange_hash(draw) if draw.random() < 0.03 else commitment
            acts += [appeals.CommitVote(self._key(each), *place, commitment)]
        return acts

    def _reveal_vote(self, draw: random.Random, place: tuple[int, int, int], who: Address) -> Act:
        task_id, epoch, index = place
        committed = self.h.last(VoteCommitted, task_id=task_id, epoch=epoch, index=index, juror=who)
        score, beyond, salt = self.votes.get(NONE if committed is None else committed.commitment, (0, False, NONE))
        score = draw.choice(SCORES) if draw.random() < 0.03 else score
        return appeals.RevealVote(self._key(who), *place, score, beyond, salt)

    def _verdict(self, draw: random.Random) -> list[Act]:
        place, caller = self._place(draw), self._anybody(draw)
        members = rules.members(self.h, *place[:2]) if rules.is_known(self.h, place[0]) else []
        return [
            appeals.SlashVerdict(caller, *place, who, self._report_of(draw, *place[:2], who))
            for who in self._some(draw, [*members, self._anybody(draw)])
        ]

    def _winnings(self, draw: random.Random) -> list[Act]:
        acts: list[Act] = []
        for challenge in self.h.of(ChallengeCommitted)[-6:]:
            number = challenge.id + (draw.random() < 0.03)
            acts += [appeals.ClaimChallenge(self._anybody(draw), challenge.task_id, challenge.epoch, number)]
        for challenge in self.h.of(ChallengeRevealed)[-4:]:
            place = (challenge.task_id, challenge.epoch, challenge.index)
            jurors = [self.people[name] for name in JURORS]
            acts += [appeals.ClaimVote(self._anybody(draw), *place, who) for who in self._some(draw, jurors, 0.5)]
        return self._sample(draw, acts, 8)

    def _sample(self, draw: random.Random, acts: Sequence[Act], most: int) -> list[Act]:
        return draw.sample(acts, min(len(acts), most))

    # Payments and slashes.

    def _refs(self, where: Callable[[SubmissionCommitted], bool]) -> list[SubmissionRef]:
        found = [submission for submission in self.h.of(SubmissionCommitted)[-60:] if where(submission)]
        return [
            SubmissionRef(submission.task_id, submission.epoch, rules.as_submission(submission)) for submission in found
        ]

    def _is_claimable(self, submission: SubmissionCommitted) -> bool:
        place = (submission.task_id, submission.epoch)
        phase = rules.phase(self.h, *place)
        is_fraud = phase == Phase.FINAL and rules.score_of(self.h, *place, submission.index) == FRAUD
        is_over = phase in (Phase.FINAL, Phase.VOID) and not is_fraud
        return is_over and not rules.is_ended(self.h, *place, submission.index)

    def _claim(self, draw: random.Random) -> list[Act]:
        """All submissions of a trainer that are final, or some that chance picks; now and then to somewhere else."""
        task_id, trainer = self._task(draw), self._of(draw, TRAINERS)
        theirs = self._refs(lambda submission: submission.task_id == task_id and submission.trainer == trainer)
        ripe = self._refs(
            lambda submission: (
                (submission.task_id, submission.trainer) == (task_id, trainer) and self._is_claimable(submission)
            )
        )
        refs = ripe if draw.random() < 0.7 else draw.sample(theirs, min(len(theirs), draw.choice((1, 2, 3))))
        refs = [replace(ref, submission=self._maybe_other(draw, ref.submission)) for ref in refs]
        if draw.random() < 0.05:
            refs += draw.choice((refs[:1], self._refs(lambda _: True)[-1:]))
        if draw.random() < 0.8:
            return [payouts.Claim(self._anybody(draw), tuple(refs))]
        to = draw.choice((self._anybody(draw), self.twin.contracts["Staking"], NOBODY))
        return [payouts.ClaimTo(trainer if draw.random() < 0.8 else self._anybody(draw), tuple(refs), to)]

    def _claimFees(self, draw: random.Random) -> list[Act]:
        task_id, who = self._task(draw), self._of(draw, VERIFIERS)
        known = [each.epoch for each in self.h.of(EpochSealed, task_id=task_id)]
        due = [epoch for epoch in known if rules.fee_due(self.h, task_id, epoch, who) > 0]
        epochs = due if draw.random() < 0.7 else draw.sample(known, min(len(known), 2))
        epochs = epochs * 2 if draw.random() < 0.05 else epochs
        return [payouts.ClaimFees(self._anybody(draw), task_id, tuple(epochs), who)]

    def _slashFraud(self, draw: random.Random) -> list[Act]:
        def is_fraud(submission: SubmissionCommitted) -> bool:
            return rules.score_of(self.h, submission.task_id, submission.epoch, submission.index) == FRAUD

        frauds = self._refs(is_fraud)
        refs = frauds[-3:] if frauds and draw.random() < 0.8 else self._refs(lambda _: True)
        picked = draw.sample(refs, min(2, len(refs)))
        return [
            payouts.SlashFraud(self._anybody(draw), replace(each, submission=self._maybe_other(draw, each.submission)))
            for each in picked
        ]

    # Plants.

    def _plant(self, draw: random.Random) -> list[Act]:
        """To a submission that comes with it, and to nothing; sometimes by who copies a commitment."""
        return self._plant_in(draw, self._task(draw))

    def _plant_in(self, draw: random.Random, task_id: int) -> list[Act]:
        who, salt = self._of(draw, TRAINERS), self._salt(draw)
        if draw.random() < 0.15:
            decoy = hashes.plant(task_id, NOBODY, NONE, salt)
            self.plants[decoy] = (NOBODY, NONE, salt)
            return [payouts.CommitPlant(self._anybody(draw), task_id, decoy)]
        submission = self._commit_submission(draw, task_id, rules.open_number(self.h, task_id), who)
        assert isinstance(submission, commitments.CommitSubmission)
        what = (rules.operator_of(self.h, submission.by), submission.manifest_root, salt)
        commitment = hashes.plant(task_id, *what)
        self.plants[commitment] = what
        commitment = self._strange_hash(draw) if draw.random() < 0.05 else commitment
        return [payouts.CommitPlant(self._anybody(draw), task_id, commitment), submission]

    def _openPlant(self, draw: random.Random) -> list[Act]:
        acts: list[Act] = []
        for plant in self.h.of(PlantCommitted)[-6:]:
            trainer, root, salt = self.plants.get(plant.commitment, (NOBODY, NONE, NONE))
            for ref in self._refs(lambda submission, root=root: submission.manifest_root == root):
                who = self._key(ref.submission.trainer) if draw.random() < 0.9 else self._anybody(draw)
                submission = self._maybe_other(draw, ref.submission)
                acts += [payouts.OpenPlant(who, ref.task_id, ref.epoch, submission, salt)]
            acts += [payouts.ForfeitPlant(self._anybody(draw), plant.task_id, plant.commitment)]
            acts += [payouts.RefundPlant(self._anybody(draw), plant.task_id, trainer, root, salt)]
        return self._sample(draw, acts, 4)

    def _paidPlant(self, draw: random.Random) -> list[Act]:
        opened = [ref for ref in self._refs(lambda _: True) if self._is_planted(ref)] or self._refs(lambda _: True)
        acts: list[Act] = []
        for ref in opened[-3:]:
            for name in VERIFIERS:
                who = self.people[name]
                report = self._report_of(draw, ref.task_id, ref.epoch, who)
                place = (ref.task_id, ref.epoch, ref.submission.index)
                acts += [payouts.SlashPaidPlant(self._anybody(draw), *place, who, report)]
        return self._sample(draw, acts, 6)

    def _is_planted(self, ref: SubmissionRef) -> bool:
        return rules.planted(self.h, ref.task_id, ref.epoch, ref.submission.index) is not None

    # The rest.

    def _wait(self, draw: random.Random) -> list[Act]:
        self._pause = draw.choice((5, 60, 101, 151, 201, 301, 2_001))
        return []

    def _wait_until(self, draw: random.Random, moment: int) -> list[Act]:
        """Or for a second less, or more."""
        self._pause = max(1, moment - self.twin.now + draw.choice((0, 0, 0, 0, -1, 1)))
        return []

    def _meddle(self, draw: random.Random) -> list[Act]:
        return meddle(self._anybody(draw))

    def _aftermath(self, draw: random.Random) -> list[Act]:
        """All that follows from how a recent epoch was judged: slashes, rewards, fees, its policy."""
        ended = [(each.task_id, each.epoch) for each in self.h.of(EpochSealed)[-6:] if each.attest_by]
        if not ended:
            return self._goOn(draw)
        place = draw.choice(ended)
        acts = [*self._verdicts(draw, place), *self._plants_of(draw, place)]
        for who in rules.members(self.h, *place):
            if rules.reveal(self.h, *place, who) is None:
                acts += [attestations.SlashAbsence(self._anybody(draw), *place, who)]
            elif rules.fee_due(self.h, *place, who) and draw.random() < 0.5:
                acts += [payouts.ClaimFees(self._anybody(draw), place[0], (place[1],), who)]
        for ref in self._refs(lambda submission: (submission.task_id, submission.epoch) == place):
            if rules.score_of(self.h, *place, ref.submission.index) == FRAUD and draw.random() < 0.5:
                acts += [payouts.SlashFraud(self._anybody(draw), ref)]
        for each in self.h.of(ChallengeCommitted, task_id=place[0], epoch=place[1]):
            acts += [appeals.ClaimChallenge(self._anybody(draw), *place, each.id)] if draw.random() < 0.3 else []
        acts += [self._publish(draw, *place)] if draw.random() < 0.3 else []
        return acts

    def _verdicts(self, draw: random.Random, place: tuple[int, int]) -> Iterator[Act]:
        for index in dict.fromkeys(
            each.index for each in self.h.of(ChallengeRevealed, task_id=place[0], epoch=place[1])
        ):
            ended, drawn = rules.decided(self.h, *place, index), rules.panel(self.h, *place, index)
            if ended is None or drawn is None:
                continue
            for who in self._some(draw, sorted(set(drawn.jurors)), 0.6):
                yield appeals.ClaimVote(self._anybody(draw), *place, index, who)
                yield appeals.DismissJuror(self._anybody(draw), *place, index, who)
            for who in rules.members(self.h, *place) if ended.is_against_verifiers else ():
                report = self._report_of(draw, *place, who)
                yield appeals.SlashVerdict(self._anybody(draw), *place, index, who, report)

    def _planted_at(self, place: tuple[int, int]) -> list[SubmissionRef]:
        roots = {root for _, root, _ in self.plants.values()}
        return self._refs(
            lambda submission: (submission.task_id, submission.epoch) == place and submission.manifest_root in roots
        )

    def _openings(self, place: tuple[int, int]) -> Iterator[Act]:
        """Of the plants of an epoch that are not opened yet."""
        salts = {root: salt for _, root, salt in self.plants.values()}
        for ref in self._planted_at(place):
            if not rules.is_ended(self.h, *place, ref.submission.index):
                yield payouts.OpenPlant(
                    self._key(ref.submission.trainer), *place, ref.submission, salts[ref.submission.manifest_root]
                )

    def _plants_of(self, draw: random.Random, place: tuple[int, int]) -> Iterator[Act]:
        salts = {root: salt for _, root, salt in self.plants.values()}
        for ref in self._planted_at(place):
            who = self._key(ref.submission.trainer)
            yield payouts.OpenPlant(who, *place, ref.submission, salts[ref.submission.manifest_root])
            for verifier in rules.members(self.h, *place):
                report = self._report_of(draw, *place, verifier)
                yield payouts.SlashPaidPlant(self._anybody(draw), *place, ref.submission.index, verifier, report)

    def _goOn(self, draw: random.Random) -> list[Act]:
        """What is due: the next thing that somebody could do for an epoch of one of the tasks."""
        task_id = draw.choice((1, 2))
        for epoch in self._unended(task_id):
            return self._go_on_with_epoch(draw, task_id, epoch)
        number = rules.open_number(self.h, task_id)
        if not rules.is_open(self.h, task_id):
            return [tasks.FundTask(self.people["initiator"], task_id, 200 * UNIT)]
        if rules.closed(self.h, task_id) is not None:
            return [self._seal_act(draw, task_id)]
        is_over = self.twin.now >= rules.commit_by(self.h, task_id, number)
        if rules.submissions(self.h, task_id, number) and (is_over or draw.random() < 0.2):
            close = commitments.CloseEpoch(self._anybody(draw), task_id)
            return [close] if is_over else self._wait_until(draw, rules.commit_by(self.h, task_id, number))
        planted = self._plant_in(draw, task_id) if draw.random() < 0.5 else []
        return [*self._come_back(draw, task_id), *planted, *self._submissions_for(draw, task_id, number)]

    def _submissions_for(self, draw: random.Random, task_id: int, number: int) -> Iterator[Act]:
        for who in self._trainers(draw):
            yield self._commit_submission(draw, task_id, number, who)

    def _come_back(self, draw: random.Random, task_id: int) -> Iterator[Act]:
        """Who has left or lost its bond brings another."""
        word = self._terms_hash(draw, task_id)
        for name in TRAINERS if draw.random() < 0.5 else ():
            if not rules.is_trainer(self.h, task_id, self.people[name]):
                yield staking.Bond(self.people[name], Role.TRAINER, 60 * UNIT)
                yield commitments.EnlistTrainer(self.people[name], task_id, word)
        for name in VERIFIERS if draw.random() < 0.5 else ():
            if not rules.is_verifier(self.h, task_id, self.people[name]):
                yield staking.Bond(self.people[name], Role.VERIFIER, 200 * UNIT)
                weight = draw.choice((150, 250)) * UNIT
                yield verifiers.EnlistVerifier(self.people[name], task_id, word, weight, NOBODY)

    def _unended(self, task_id: int) -> list[int]:
        sealed = [each.epoch for each in self.h.of(EpochSealed, task_id=task_id)]
        return [epoch for epoch in sealed if rules.phase(self.h, task_id, epoch) not in (Phase.FINAL, Phase.VOID)]

    def _go_on_with_epoch(self, draw: random.Random, task_id: int, epoch: int) -> list[Act]:
        phase, box = rules.phase(self.h, task_id, epoch), rules.ballot(self.h, task_id, epoch)
        assert box is not None, "one that is void at once has ended"
        members = self._some(draw, rules.members(self.h, task_id, epoch)) or [self._anybody(draw)]
        if phase == Phase.ATTEST_COMMIT:
            is_late = len(box.commits) > 0 and draw.random() < 0.6
            return (
                self._wait_until(draw, box.commit_by)
                if is_late
                else self._commit_reports(draw, task_id, epoch, members)
            )
        if phase == Phase.ATTEST_REVEAL:
            if box.reveals and draw.random() < 0.5:
                return self._wait_until(draw, box.reveal_by)
            return self._reveal_reports(draw, task_id, epoch, members)
        if phase == Phase.ATTESTED:
            return [self._settle_epoch(draw, task_id, epoch)]
        if phase == Phase.MISSED:
            return [attestations.VoidEpoch(self._anybody(draw), task_id, epoch)]
        return self._go_on_with_appeals(draw, task_id, epoch)

    def _go_on_with_appeals(self, draw: random.Random, task_id: int, epoch: int) -> list[Act]:
        end = rules.challenge_by(self.h, task_id, epoch)
        known = self.h.of(ChallengeCommitted, task_id=task_id, epoch=epoch)
        open_ones = [
            c for c in known if rules.challenge_state(self.h, task_id, epoch, c.id) == ChallengeState.COMMITTED
        ]
        if self.twin.now < end:
            openings = list(self._openings((task_id, epoch)))
            if openings and draw.random() < 0.6:  # later nobody is blamed for them
                return openings
            if draw.random() < 0.4:
                return self._challenge(draw)
            return [self._publish(draw, task_id, epoch)] if draw.random() < 0.2 else self._wait_until(draw, end)
        if open_ones:
            return self._go_on_with_challenges(draw, task_id, epoch)
        for revealed in self.h.of(ChallengeRevealed, task_id=task_id, epoch=epoch):
            if rules.decided(self.h, task_id, epoch, revealed.index) is None:
                return self._go_on_with_dispute(draw, (task_id, epoch, revealed.index))
        return [attestations.Finalise(self._anybody(draw), task_id, epoch)]

    def _sameBlock(self, draw: random.Random) -> list[Act]:
        """Several steps in one block: stake that is fresh, a seal in the block of a submission."""
        kinds = (
            "bond",
            "enlist",
            "submissions",
            "seal",
            "reveal",
            "settle",
            "finalise",
            "claim",
            "delist",
            "winnings",
            "seats",
        )
        return [act for kind in draw.sample(kinds, 3) for act in self._kinds[kind](draw)]

    def _lateStake(self, draw: random.Random) -> list[Act]:
        """Somebody enlists in the block of the seal, and may leave in it again."""
        task_id, who = draw.choice((1, 2)), self._of(draw, ("challenger", "outsider", *VERIFIERS))
        word = self._terms_hash(draw, task_id)
        acts: list[Act] = [
            verifiers.EnlistVerifier(who, task_id, word, 100 * UNIT, NOBODY),
            self._seal_act(draw, task_id),
        ]
        return acts + ([verifiers.DelistVerifier(who, task_id)] if draw.random() < 0.3 else [])

    def _strange(self, draw: random.Random) -> list[Act]:
        """Calls about what is not there."""
        who, task_id = self._anybody(draw), draw.choice((LONG_AGO, 9, 2**256 - 1))
        place = (task_id, draw.choice((0, 1, FAR_AWAY)))
        nobody = Submission(NOBODY, 0, 0, 1, 0, ROOT)
        ref, empty = SubmissionRef(*place, nobody), b""
        return [
            payouts.Claim(who, ()),
            payouts.Claim(who, (ref,)),
            payouts.ClaimFees(who, task_id, (0,), who),
            payouts.ClaimFees(who, 1, (), who),
            payouts.SlashFraud(who, ref),
            payouts.CommitPlant(who, task_id, ROOT),
            payouts.OpenPlant(who, *place, nobody, NONE),
            payouts.SlashPaidPlant(who, *place, 0, who, empty),
            tasks.CloseTask(who, task_id),
            tasks.FundTask(who, task_id, 0),
            commitments.EnlistTrainer(who, task_id, ROOT),
            commitments.CommitSubmission(who, *place, 0, ROOT, 1, 0, True),
            commitments.OpenEpoch(who, task_id),
            verifiers.EnlistVerifier(who, task_id, ROOT, UNIT, NOBODY),
            verifiers.ReleaseBond(who, task_id, who),
            attestations.SealEpoch(who, task_id),
            attestations.Settle(who, *place, (), 1),
            attestations.SlashAbsence(who, *place, who),
            attestations.VoidEpoch(who, *place),
            policies.PublishPolicy(who, *place, ROOT, empty, ()),
            policies.SkipPolicy(who, *place),
            appeals.CommitChallenge(who, *place, ROOT),
            appeals.RevealChallenge(who, *place, 0, 0, 50, NONE),
            appeals.SummonPanel(who, *place, 0),
            appeals.DrawPanel(who, *place, nobody, empty),
            appeals.CommitVote(who, *place, 0, ROOT),
            appeals.Decide(who, *place, 0),
            appeals.SlashVerdict(who, *place, 0, who, empty),
            appeals.ClaimChallenge(who, *place, 0),
            appeals.ClaimVote(who, *place, 0, who),
            appeals.DismissJuror(who, *place, 0, who),
        ]
