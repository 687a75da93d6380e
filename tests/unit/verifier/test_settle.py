"""What is due, whose turn it is, and where the bytes of others' reports come from."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from eth_account import Account

from offchain.protocol.encoding import report_hash
from offchain.protocol.errors import Malformed, Stop, Unavailable
from offchain.protocol.manifest import BundleKind
from offchain.protocol.types import Address, Epoch, EpochPhase, Root, TaskId
from offchain.shardcast.store import build_bundle
from tests.unit.verifier.chronicle import PARAMS, UNBONDING_S, Chronicle, contracts
from tests.unit.verifier.fakes import Sent, Shelf, Silent
from tests.unit.verifier.honest import SPEC, Bundle
from verifier.attester import Attester
from verifier.database import migrate, open_database, session_factory
from verifier.inbox import Inbox, fetch_spec
from verifier.settle import FEE_BATCH, Housekeeper, due_calls, fees_due
from verifier.transactions import Transactions
from verifier.turns import Turns

VERIFIERS = tuple(Address(f"0x{n:040d}") for n in (1, 2, 3))
TRAINERS = tuple(Address(f"0x{n:040d}") for n in (11, 12, 13))
ROOT = Root(b"\x05" * 32)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def chronicle_of_two_works() -> Chronicle:
    chronicle = Chronicle(ROOT)
    chronicle.verifier(*VERIFIERS)
    chronicle.trainer(*TRAINERS[:2])
    chronicle.work(TRAINERS[0], Root(b"\x01" * 32))
    chronicle.work(TRAINERS[1], Root(b"\x02" * 32))
    chronicle.seal()
    return chronicle


def due(chronicle: Chronicle, phase: EpochPhase | None = None, now: int = 0) -> list[str]:
    phases = {} if phase is None else {Epoch(0): phase}
    return [each.call().function for each in due_calls(chronicle.ledger, phases, now, VERIFIERS[0], contracts())]


def test_epoch_is_finalised_once_its_challenge_window_is_over() -> None:
    chronicle = chronicle_of_two_works()
    chronicle.settle(bytes([100, 255]), challenge_by=2_000)
    assert due(chronicle, EpochPhase.CHALLENGEABLE, now=1_999) == []
    assert due(chronicle, EpochPhase.CHALLENGEABLE, now=2_000) == ["finalise"]


def test_missed_epoch_is_voided_and_absence_costs_whoever_was_absent() -> None:
    chronicle = chronicle_of_two_works()
    chronicle.reveal(VERIFIERS[0], b"d", ROOT)
    assert due(chronicle, EpochPhase.MISSED) == ["voidEpoch"]
    chronicle.void()
    assert due(chronicle) == ["slashAbsence", "slashAbsence"]


def test_nobody_reports_its_own_absence() -> None:
    chronicle = chronicle_of_two_works()
    for verifier in VERIFIERS[1:]:
        chronicle.reveal(verifier, b"d", ROOT)
    chronicle.void()
    assert due(chronicle) == []


def test_final_frauds_are_slashed_until_the_chain_shows_it() -> None:
    chronicle = chronicle_of_two_works()
    for verifier in VERIFIERS:
        chronicle.reveal(verifier, b"d", ROOT)
    chronicle.settle(bytes([100, 255]))
    assert due(chronicle) == []
    chronicle.finalise()
    assert due(chronicle) == ["slashFraud"]
    chronicle.slash(TRAINERS[1], 1)
    assert due(chronicle) == []


def test_trainer_that_has_left_is_no_longer_waited_for() -> None:
    chronicle = Chronicle(ROOT)
    chronicle.verifier(*VERIFIERS)
    chronicle.trainer(*TRAINERS)
    for epoch in range(2):  # the third was crowded out of both, or slow
        chronicle.work(TRAINERS[0], Root(bytes([1, epoch]) * 16), epoch=epoch)
        chronicle.work(TRAINERS[1], Root(bytes([2, epoch]) * 16), epoch=epoch)
        assert due(chronicle) == []  # it was not there before the last epoch opened, the contract says
        chronicle.seal(epoch)
    assert due(chronicle) == []
    chronicle.work(TRAINERS[0], Root(b"\x03" * 32), epoch=2)
    assert due(chronicle) == []  # the second is still at work: it is not the third that the epoch waits for
    chronicle.work(TRAINERS[1], Root(b"\x04" * 32), epoch=2)
    assert due(chronicle) == ["delist"]


def test_nobody_is_delisted_while_a_newcomer_is_waited_for() -> None:
    chronicle = Chronicle(ROOT)
    chronicle.verifier(*VERIFIERS)
    chronicle.trainer(*TRAINERS[:2])
    for epoch in range(2):
        chronicle.work(TRAINERS[0], Root(bytes([1, epoch]) * 16), epoch=epoch)
        chronicle.seal(epoch)
    chronicle.trainer(TRAINERS[2])
    chronicle.work(TRAINERS[0], Root(b"\x03" * 32), epoch=2)
    assert due(chronicle) == []
    chronicle.work(TRAINERS[2], Root(b"\x04" * 32), epoch=2)
    assert due(chronicle) == ["delist"]


def test_epoch_that_nobody_can_settle_is_voided_an_unbonding_period_after_its_reveals() -> None:
    chronicle = chronicle_of_two_works()
    for verifier in VERIFIERS:
        chronicle.reveal(verifier, b"nobody has these bytes", ROOT)
    over = 1_000 + PARAMS.reveal_window + UNBONDING_S
    assert due(chronicle, EpochPhase.ATTESTED, now=over - 1) == []
    assert due(chronicle, EpochPhase.ATTESTED, now=over) == ["voidEpoch"]


def test_fees_are_due_for_final_epochs_in_which_we_revealed() -> None:
    chronicle = chronicle_of_two_works()
    chronicle.reveal(VERIFIERS[0], b"d", ROOT)
    chronicle.settle(bytes([100, 100]))
    assert fees_due(chronicle.ledger, VERIFIERS[0]) == []
    chronicle.finalise()
    assert fees_due(chronicle.ledger, VERIFIERS[0]) == [Epoch(0)]
    assert fees_due(chronicle.ledger, VERIFIERS[1]) == []
    free = Chronicle(ROOT, replace(PARAMS, verifier_fee=0))
    assert fees_due(free.ledger, VERIFIERS[0]) == []


# ---- turns


def test_colleagues_act_one_after_the_other() -> None:
    chronicle, clock = chronicle_of_two_works(), Clock()
    turns = [Turns(verifier, clock, step_s=1.0) for verifier in VERIFIERS]

    def whose() -> list[bool]:
        return [each.is_ours("settle", chronicle.ledger, 0) for each in turns]

    assert whose() == [True, False, False]
    clock.now = 1.0
    assert whose() == [True, True, False]
    clock.now = 2.0
    assert whose() == [True, True, True]


def test_line_moves_on_with_each_epoch() -> None:
    chronicle = chronicle_of_two_works()
    places = [[Turns(v, Clock()).place(chronicle.ledger, epoch) for v in VERIFIERS] for epoch in range(4)]
    assert places == [[0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 1, 2]]
    assert Turns(TRAINERS[0], Clock()).place(chronicle.ledger, 0) == 3


def test_refusals_are_asked_about_ever_more_rarely() -> None:
    chronicle, clock = chronicle_of_two_works(), Clock()
    turns = Turns(VERIFIERS[0], clock)
    assert turns.is_ours("settle", chronicle.ledger, 0)
    turns.refused("settle")
    assert not turns.is_ours("settle", chronicle.ledger, 0)
    clock.now = 2.0
    assert turns.is_ours("settle", chronicle.ledger, 0)
    turns.refused("settle")
    clock.now = 4.0
    assert not turns.is_ours("settle", chronicle.ledger, 0)


# ---- the housekeeper


@dataclass
class Scene:
    chronicle: Chronicle
    shelf: Shelf
    sent: Sent
    housekeeper: Housekeeper
    folder: Path

    def evidence(self, name: str, report: bytes) -> Root:
        directory = self.folder / name
        directory.mkdir()
        (directory / "report.bin").write_bytes(report)
        return self.shelf.add(Bundle(directory, build_bundle(directory, BundleKind.EVIDENCE, {})))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    engine = open_database(f"sqlite:///{tmp_path / 'verifier.db'}")
    migrate(engine)
    sessions, shelf, sent, status = session_factory(engine), Shelf(), Sent(), Silent()
    transactions = Transactions(sent, sessions, TaskId(1))
    key = Account.from_key(b"\x01" * 32)
    attester = Attester(
        TaskId(1), VERIFIERS[0], key, contracts().attestations, transactions, shelf, sessions, tmp_path, status
    )
    turns = Turns(VERIFIERS[0], step_s=0.0)
    housekeeper = Housekeeper(VERIFIERS[0], contracts(), transactions, attester, Inbox(shelf, SPEC), turns, status)
    return Scene(chronicle_of_two_works(), shelf, sent, housekeeper, tmp_path)


def test_every_distinct_report_is_handed_in_in_order_of_its_hash(scene: Scene) -> None:
    reports = [bytes([100, 255]), bytes([100, 0])]
    for verifier, report in zip(VERIFIERS[1:], reports, strict=True):
        scene.chronicle.reveal(verifier, report, scene.evidence(verifier, report))
    assert scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
    assert scene.sent.calls[0].arguments["reports"] == sorted(reports, key=report_hash)


def test_report_that_its_verifier_hides_or_forges_is_left_out(scene: Scene) -> None:
    scene.chronicle.reveal(VERIFIERS[1], bytes([100, 255]), scene.evidence("honest", bytes([100, 255])))
    scene.chronicle.reveal(VERIFIERS[2], bytes([0, 0]), scene.evidence("forged", bytes([1, 1])))
    scene.chronicle.reveal(VERIFIERS[0], bytes([7, 7]), Root(b"\x77" * 32))
    scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
    assert scene.sent.calls[0].arguments["reports"] == [bytes([100, 255])]


def test_report_longer_than_the_epoch_is_left_out_for_what_it_would_cost(scene: Scene) -> None:
    scene.chronicle.reveal(VERIFIERS[1], bytes([100, 255]), scene.evidence("honest", bytes([100, 255])))
    scene.chronicle.reveal(VERIFIERS[2], bytes(65_536), scene.evidence("bloated", bytes(65_536)))
    scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
    assert scene.sent.calls[0].arguments["reports"] == [bytes([100, 255])]


def test_reports_that_together_fit_no_block_give_way_to_the_one_with_most_weight(scene: Scene) -> None:
    scene.sent.fits = lambda call: len(call.arguments["reports"]) == 1  # pyright: ignore[reportArgumentType]
    for verifier, report in zip(VERIFIERS, [bytes([100, 0]), bytes([100, 100]), bytes([100, 0])], strict=True):
        scene.chronicle.reveal(verifier, report, scene.evidence(verifier, report))
    assert scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
    assert scene.sent.calls[0].arguments["reports"] == [bytes([100, 0])]


def test_refused_settlement_is_tried_again_later(scene: Scene) -> None:
    scene.sent.refusal = "ReportsIncomplete"
    assert not scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
    scene.sent.refusal = None
    assert not scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
    assert not scene.sent.calls


def test_sealing_and_tidying_send_what_is_due(scene: Scene) -> None:
    assert scene.housekeeper.seal(scene.chronicle.ledger, scene.chronicle.record(1))
    scene.chronicle.settle(bytes([100, 100]), challenge_by=5)
    assert scene.housekeeper.tidy(scene.chronicle.ledger, {Epoch(0): EpochPhase.CHALLENGEABLE}, 10)
    assert not scene.housekeeper.tidy(scene.chronicle.ledger, {Epoch(0): EpochPhase.CHALLENGEABLE}, 10)
    assert [call.function for call in scene.sent.calls] == ["sealEpoch", "finalise"]


def test_fees_are_claimed_by_the_batch(scene: Scene) -> None:
    chronicle = scene.chronicle
    for epoch in range(FEE_BATCH):
        if epoch:
            chronicle.work(TRAINERS[0], Root(epoch.to_bytes(32, "big")), epoch=epoch)
            chronicle.seal(epoch)
        assert not scene.housekeeper.claim_fees(chronicle.ledger)
        chronicle.reveal(VERIFIERS[0], b"d", ROOT, epoch=epoch)
        chronicle.settle(b"d", epoch=epoch)
        chronicle.finalise(epoch)
    assert scene.housekeeper.claim_fees(chronicle.ledger)
    assert len(scene.sent.calls[0].arguments["epochs"]) == FEE_BATCH  # pyright: ignore[reportArgumentType]


# ---- the inbox


def test_report_of_another_hash_or_size_is_malformed(scene: Scene) -> None:
    inbox = Inbox(scene.shelf, SPEC)
    root = scene.evidence("evidence", bytes([100]))
    assert inbox.report(root, report_hash(bytes([100]))) == bytes([100])
    with pytest.raises(Malformed, match="another report"):
        inbox.report(root, report_hash(bytes([0])))
    with pytest.raises(Malformed, match="more than"):
        inbox.report(scene.evidence("huge", bytes(65_537)), report_hash(bytes(65_537)))
    with pytest.raises(Unavailable):
        inbox.report(Root(b"\x99" * 32), report_hash(b""))


@pytest.mark.parametrize("content", [None, b"{}", b"not JSON"])
def test_task_whose_spec_cannot_be_read_stops_the_verifier(scene: Scene, content: bytes | None) -> None:
    directory = scene.folder / "task"
    directory.mkdir()
    (directory / ("spec.json" if content is not None else "other.json")).write_bytes(content or b"{}")
    root = scene.shelf.add(Bundle(directory, build_bundle(directory, BundleKind.TASK, {})))
    with pytest.raises(Stop, match="nobody can verify this task"):
        fetch_spec(scene.shelf, root)


def test_spec_is_read_from_the_task_bundle(scene: Scene) -> None:
    directory = scene.folder / "task"
    directory.mkdir()
    (directory / "spec.json").write_bytes(SPEC.to_bytes())
    root = scene.shelf.add(Bundle(directory, build_bundle(directory, BundleKind.TASK, {})))
    assert fetch_spec(scene.shelf, root) == SPEC
