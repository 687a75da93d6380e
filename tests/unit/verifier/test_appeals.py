"""How a verifier votes in an appeal: what was drawn comes first, and the same inputs give the same verdict again."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from offchain.chain.contracts import ChallengesContract
from offchain.environments import make_environment
from offchain.policy import load_policy
from offchain.protocol.encoding import canonical_json, must_replay
from offchain.protocol.errors import Reason, Unavailable
from offchain.protocol.types import Address, ChallengePhase, Epoch, Root, Seed, TaskId, WorkIndex
from offchain.rollouts.trajectory import Rollouts
from tests.unit.verifier.chronicle import ATTESTATIONS, PARAMS, Chronicle, contracts
from tests.unit.verifier.fakes import Sent, Shelf, Silent
from tests.unit.verifier.honest import TRAINER, Bundle, HonestTrainer
from verifier.appeals import Appeals
from verifier.attester import Attester
from verifier.checks.update import compared_norm
from verifier.database import Sessions, migrate, open_database, session_factory
from verifier.docket import Docket, Judged, case_of
from verifier.inbox import Bench, Inbox
from verifier.judge import compare_again, compare_with_peers
from verifier.models import AppealRow
from verifier.recorder import Recorder
from verifier.transactions import Transactions
from verifier.verdict import Verdict, conclude, failed, passed

VERIFIER = Address("0x0000000000000000000000000000000000000001")
OTHERS = tuple(Address(f"0x{n:040d}") for n in range(11, 17))
FRAUD, FULL = 255, 100
RATIO = 10.0


class Votable(ChallengesContract):
    """Every challenge waits for commitments."""

    def phase_of(self, task_id: TaskId, epoch: Epoch, index: WorkIndex) -> ChallengePhase:
        return ChallengePhase.APPEAL_COMMIT


@dataclass
class Scene:
    chronicle: Chronicle
    shelf: Shelf
    sessions: Sessions
    docket: Docket
    appeals: Appeals
    attester: Attester

    def judge(self) -> list[Judged]:
        while self.docket.judge_next(self.chronicle.ledger, self.chronicle.record()):
            pass
        judged = self.docket.judgements(self.chronicle.ledger, self.chronicle.record(), give_up=True)
        assert judged is not None
        return judged

    def attest(self) -> bytes:
        return self.attester.write(self.chronicle.record(), self.judge()).report

    def vote(self, standing: int, index: int = 0, now: int = 0) -> tuple[int, bool]:
        """Score, and whether it is beyond the draw."""
        self.chronicle.settle(bytes([standing]))
        self.chronicle.challenge(index, standing, FRAUD)
        assert self.appeals.advance(self.chronicle.ledger, self.chronicle.record(), now)
        with self.sessions() as session:
            row = session.get_one(AppealRow, (1, 0, index))
        return row.score, row.beyond


def spot_checking(trainer: HonestTrainer) -> HonestTrainer:
    """One completion of a work is prefilled."""
    checks = trainer.spec.checks.model_copy(update={"completions_checked": 1})
    return replace(trainer, spec=trainer.spec.model_copy(update={"checks": checks}))


def sealed(trainer: HonestTrainer, policy: Bundle, work: Bundle | None, folder: Path, sampling_bps: int) -> Scene:
    shelf = Shelf()
    chronicle = Chronicle(shelf.add(policy), replace(PARAMS, sampling_bps=sampling_bps))
    chronicle.verifier(VERIFIER)
    chronicle.work(TRAINER, Root(b"\x01" * 32) if work is None else shelf.add(work))
    chronicle.seal()
    engine = open_database(f"sqlite:///{folder / 'verifier.db'}")
    migrate(engine)
    sessions, status = session_factory(engine), Silent()
    Recorder(sessions, trainer.spec).record(chronicle.ledger, {})
    inbox = Inbox(shelf, trainer.spec)
    docket = Docket(trainer.spec, inbox, Bench(inbox, make_environment(trainer.spec.environment), load_policy))
    transactions = Transactions(Sent(), sessions, TaskId(1))
    challenges = Votable(Web3(), ATTESTATIONS)
    appeals = Appeals(TaskId(1), VERIFIER, challenges, transactions, docket, sessions, status)
    key = Account.from_key(b"\x01" * 32)
    attester = Attester(
        TaskId(1), VERIFIER, key, contracts().attestations, transactions, shelf, sessions, folder / "evidence", status
    )
    return Scene(chronicle, shelf, sessions, docket, appeals, attester)


def with_a_lie_that_was_not_drawn(trainer: HonestTrainer, seed: Seed) -> Bundle:
    """One completion has another's proofs; its update is an honest one, so that a replay agrees."""
    rows = list(trainer.roll_out().completions)
    bundle = trainer.write(trainer.parts())
    (drawn,) = replace(trainer.case(bundle), epoch_seed=seed).completions_checked(len(rows))
    lie = next(
        position
        for position, row in enumerate(rows)
        if position != drawn and len(row.proofs) == len(rows[drawn].proofs) and row.proofs != rows[drawn].proofs
    )
    rows[lie] = replace(rows[lie], proofs=rows[drawn].proofs)
    return trainer.write(trainer.parts(Rollouts(trainer.spec.rollout.group_size, tuple(rows))))


def lying_scene(trainer: HonestTrainer, policy: Bundle, folder: Path, sampling_bps: int) -> Scene:
    """The seed of a chronicle does not depend on the work, so that the lie can be put beside what it draws."""
    trainer = spot_checking(trainer)
    seed = sealed(trainer, policy, None, folder, sampling_bps).chronicle.record().seed
    assert seed is not None and must_replay(seed, WorkIndex(0), sampling_bps) == (sampling_bps == 10_000)
    return sealed(trainer, policy, with_a_lie_that_was_not_drawn(trainer, seed), folder, sampling_bps)


def test_who_paid_for_what_was_drawn_does_not_slash_itself_for_what_was_not(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    """On chain nothing excuses a payment where a replay was due: the cheat's friend would win more than it loses."""
    scene = lying_scene(trainer, policy_bundle, tmp_path, 10_000)
    assert scene.attest() == bytes([FULL])
    assert scene.vote(standing=FULL) == (FULL, False)


def test_where_nobody_pays_for_it_an_appeal_finds_what_was_not_drawn(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    scene = lying_scene(trainer, policy_bundle, tmp_path, 1)
    assert scene.attest() == bytes([FULL])
    assert scene.vote(standing=FULL) == (FRAUD, True)


def test_what_was_drawn_decides_where_it_contradicts_what_stands(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    scene = lying_scene(trainer, policy_bundle, tmp_path, 1)
    assert scene.attest() == bytes([FULL])
    assert scene.vote(standing=50) == (FULL, False)


def test_a_work_is_judged_as_it_was_drawn_and_in_full(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    scene = lying_scene(trainer, policy_bundle, tmp_path, 10_000)
    ledger, record = scene.chronicle.ledger, scene.chronicle.record()
    (attested,) = scene.judge()
    as_drawn = scene.docket.judge_as_drawn(ledger, record, WorkIndex(0), {})
    assert canonical_json(as_drawn.json()) == canonical_json(attested.verdict.json())
    in_full = scene.docket.judge_in_full(ledger, record, WorkIndex(0), {})
    assert (in_full.score, in_full.reason) == (FRAUD, Reason.PROOF_MISMATCH)


def test_bytes_that_nobody_had_in_time_stay_worth_nothing(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    work = trainer.write(trainer.parts())
    scene = sealed(trainer, policy_bundle, work, tmp_path, 10_000)
    scene.shelf.is_down = True
    assert scene.attest() == bytes([0])
    scene.shelf.is_down = False
    assert scene.vote(standing=0) == (0, False)


def test_what_is_not_to_be_had_is_voted_as_before_once_time_runs_out(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    scene = sealed(trainer, policy_bundle, trainer.write(trainer.parts()), tmp_path, 10_000)
    assert scene.attest() == bytes([FULL])
    again = Inbox(Shelf(is_down=True), trainer.spec)
    scene.appeals._docket = Docket(  # pyright: ignore[reportPrivateUsage]
        trainer.spec, again, Bench(again, make_environment(trainer.spec.environment), load_policy)
    )
    with pytest.raises(Unavailable):
        scene.vote(standing=0)
    assert scene.appeals.advance(scene.chronicle.ledger, scene.chronicle.record(), now=2_999)
    with scene.sessions() as session:
        row = session.get_one(AppealRow, (1, 0, 0))
    assert (row.score, row.beyond) == (FULL, False)


# ---- the others of the epoch


def verdict(norm: float, reason: Reason | None) -> Verdict:
    if reason is None:
        return conclude([passed("bytes", 0, 0, "fine")], norm)
    return conclude([failed("update norm", reason, 2, 1, "not fine")], norm)


NORM = st.one_of(st.sampled_from((0.0, 1e-6, 1.0, 9.99, 10.0, 50.0)), st.floats(0, 1e6))
VERDICTS = st.lists(
    st.builds(verdict, NORM, st.sampled_from((None, None, None, Reason.BAD_UPDATE, Reason.DUPLICATE))), max_size=9
)


@given(alone=VERDICTS)
def test_the_same_inputs_give_the_same_verdict_in_attestation_and_appeal(alone: list[Verdict]) -> None:
    """The norms of those that failed for their size alone count, as they did when the epoch was attested."""
    attested = compare_with_peers(alone, RATIO)
    evidence = {WorkIndex(index): compared_norm(each.json()) for index, each in enumerate(attested)}
    norms = {index: norm for index, norm in evidence.items() if norm is not None}
    assert [compare_again(each, WorkIndex(index), norms, RATIO) for index, each in enumerate(alone)] == attested


def test_an_honest_update_stays_honest_beside_those_that_were_too_large(
    trainer: HonestTrainer, policy_bundle: Bundle, tmp_path: Path
) -> None:
    """The norms that an appeal compares with are those in the database, whether or not their works passed."""
    scene = sealed(trainer, policy_bundle, trainer.write(trainer.parts()), tmp_path, 10_000)
    (honest,) = scene.judge()
    own = honest.verdict.update_norm
    assert own is not None
    chronicle, ratio = scene.chronicle, trainer.spec.checks.max_update_norm_ratio
    record = chronicle.record()
    for trainer_address in OTHERS:
        chronicle.work(trainer_address, Root(b"\x02" * 32), epoch=0)
    Recorder(scene.sessions, trainer.spec).record(chronicle.ledger, {})
    sizes = [own, own * 1e-6, own * 1e-6, own * 1e-6, own, own * 1e6, own * 1e6]
    verdicts = compare_with_peers([verdict(size, None) for size in sizes], ratio)
    assert [each.score for each in verdicts] == [FULL] * 5 + [0] * 2
    cases = [case_of(chronicle.ledger, trainer.spec, record, each) for each in record.works]
    judged = [Judged(case, each, None, 0.0) for case, each in zip(cases, verdicts, strict=True)]
    scene.attester.write(record, judged)
    assert scene.vote(standing=50) == (FULL, False)
