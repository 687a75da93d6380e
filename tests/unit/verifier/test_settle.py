"""Whose turn it is, and what the housekeeper makes of what is due."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from eth_account import Account
from web3 import Web3

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.chain.contracts import AppealsContract, Call, VerifierCollateral, VerifiersContract
from assay_core.protocol.encoding import report_hash
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address, DisputePhase, Epoch, EpochPhase, Root, SubmissionIndex, TaskId
from assay_verifier.chores import Contracts
from assay_verifier.database import migrate, open_database, session_factory
from assay_verifier.inbox import judgeable_spec
from assay_verifier.rotation import Rotation
from assay_verifier.settle import FEE_BATCH, STEP, Housekeeper, submissions_at_once
from tests.fakes import Notes
from tests.unit.verifier.chronicle import CONTRACT, PARAMS, Chronicle, contracts
from tests.unit.verifier.fakes import Sent, ShardStore, node_of
from tests.unit.verifier.honest import SPEC, Bundle

VERIFIERS = tuple(Address(f"0x{n:040d}") for n in (1, 2, 3))
TRAINERS = tuple(Address(f"0x{n:040d}") for n in (11, 12, 13))
ROOT = Root(b"\x05" * 32)
HEADER = b"header"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def chronicle_of_two_submissions() -> Chronicle:
    chronicle = Chronicle(ROOT)
    chronicle.verifier(*VERIFIERS)
    chronicle.trainer(*TRAINERS[:2])
    chronicle.submission(TRAINERS[0], Root(b"\x01" * 32))
    chronicle.submission(TRAINERS[1], Root(b"\x02" * 32))
    chronicle.seal()
    return chronicle


# ---- turns


def test_colleagues_act_one_after_the_other() -> None:
    chronicle, clock = chronicle_of_two_submissions(), Clock()
    turns = [Rotation(verifier, clock, step_s=1.0) for verifier in VERIFIERS]

    def whose() -> list[bool]:
        return [each.is_ours("settle", chronicle.ledger, 0) for each in turns]

    assert whose() == [True, False, False]
    clock.now = 1.0
    assert whose() == [True, True, False]
    clock.now = 2.0
    assert whose() == [True, True, True]


def test_line_moves_on_with_each_epoch() -> None:
    chronicle = chronicle_of_two_submissions()
    places = [[Rotation(v, Clock()).place(chronicle.ledger, epoch) for v in VERIFIERS] for epoch in range(4)]
    assert places == [[0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 1, 2]]
    assert Rotation(TRAINERS[0], Clock()).place(chronicle.ledger, 0) == 3


def test_refusals_are_asked_about_ever_more_rarely() -> None:
    chronicle, clock = chronicle_of_two_submissions(), Clock()
    turns = Rotation(VERIFIERS[0], clock)
    assert turns.is_ours("settle", chronicle.ledger, 0)
    turns.refused("settle")
    assert not turns.is_ours("settle", chronicle.ledger, 0)
    clock.now = 2.0
    assert turns.is_ours("settle", chronicle.ledger, 0)
    turns.refused("settle")
    clock.now = 4.0
    assert not turns.is_ours("settle", chronicle.ledger, 0)


# ---- the housekeeper


class Disputes(AppealsContract):
    """Every dispute is in one phase."""

    phase = DisputePhase.REVEALED

    def phase_of(self, task_id: TaskId, epoch: Epoch, index: SubmissionIndex) -> DisputePhase:
        return self.phase


class Left(VerifiersContract):
    """We have left, and our bond answers until 500."""

    def collateral_of(self, task_id: TaskId, verifier: Address) -> VerifierCollateral:
        return VerifierCollateral(100, 500)


@dataclass
class Scene:
    chronicle: Chronicle
    shards: ShardStore
    sent: Sent
    housekeeper: Housekeeper
    appeals: Disputes
    folder: Path
    headers: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def functions(self) -> list[str]:
        return [call.function for call in self.sent.calls]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    engine = open_database(f"sqlite:///{tmp_path / 'verifier.db'}")
    migrate(engine)
    sent, web3, headers = Sent(), Web3(), dict[int, bytes]()
    appeals, plain = Disputes(web3, CONTRACT), contracts()
    ours = Contracts(
        plain.commitments,
        Left(web3, CONTRACT),
        plain.attestations,
        plain.policies,
        appeals,
        plain.payouts,
        plain.plants,
        plain.unbonding_period_s,
    )
    key = Account.from_key(b"\x01" * 32)
    node = node_of(VERIFIERS[0], key, sent, ShardStore(), session_factory(engine), Notes())
    housekeeper = Housekeeper(node, ours, headers.get)
    return Scene(chronicle_of_two_submissions(), ShardStore(), sent, housekeeper, appeals, tmp_path, headers)


def reports_in(call: Call) -> Sequence[bytes]:
    return cast("Sequence[bytes]", call.arguments["reports"])


def test_every_distinct_report_is_handed_in_in_order_of_its_hash(scene: Scene) -> None:
    reports = [bytes([100, 255]), bytes([100, 0]), bytes([100, 0])]
    for verifier, report in zip(VERIFIERS, reports, strict=True):
        scene.chronicle.reveal(verifier, report, ROOT)
    assert scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
    assert reports_in(scene.sent.calls[0]) == sorted(set(reports), key=report_hash)


def chronicle_of_many_submissions(submissions: int) -> Chronicle:
    chronicle = Chronicle(ROOT)
    chronicle.verifier(*VERIFIERS)
    for number in range(submissions):
        chronicle.submission(TRAINERS[0], Root(number.to_bytes(32, "big")))
    chronicle.seal()
    for number, verifier in enumerate(VERIFIERS):
        chronicle.reveal(verifier, bytes([number]) * submissions, ROOT)
    return chronicle


def test_a_large_epoch_is_settled_in_parts_that_go_on_where_the_last_one_stopped(scene: Scene) -> None:
    scene.chronicle = chronicle_of_many_submissions(1_000)
    counts: list[int] = []
    while len(scene.chronicle.record().settled) < 1_000:
        assert scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
        counts.append(cast("int", scene.sent.calls[-1].arguments["count"]))
        scene.chronicle.settle_some(bytes(counts[-1]))
    assert sum(counts) == 1_000 and len(counts) > 1
    assert all(count % STEP == 0 for count in counts[:-1])  # whole words of storage


def test_what_a_node_finds_too_much_for_a_block_is_settled_in_smaller_parts(scene: Scene) -> None:
    scene.chronicle = chronicle_of_many_submissions(500)
    scene.sent.fits = lambda call: cast("int", call.arguments["count"]) <= 100
    assert scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
    assert 50 < cast("int", scene.sent.calls[0].arguments["count"]) <= 100  # and no smaller than needed


def test_parts_are_the_smaller_the_more_reports_differ() -> None:
    assert submissions_at_once(1, 1_024) == 1_024
    sizes = [submissions_at_once(reports, 1_024) for reports in range(2, 65)]
    assert sizes == sorted(sizes, reverse=True) and min(sizes) >= STEP
    assert submissions_at_once(64, 5) == 5


def test_refused_settlement_is_tried_again_later(scene: Scene) -> None:
    scene.chronicle.reveal(VERIFIERS[0], bytes([1, 1]), ROOT)
    scene.sent.refusal = "ReportsIncomplete"
    assert not scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
    scene.sent.refusal = None
    assert not scene.housekeeper.settle(scene.chronicle.ledger, scene.chronicle.record())
    assert not scene.sent.calls


def test_an_epoch_is_sealed_by_the_header_of_its_seeds_block_where_the_node_tells_it(scene: Scene) -> None:
    scene.chronicle.submission(TRAINERS[0], ROOT, epoch=1)
    assert not scene.housekeeper.seal(scene.chronicle.ledger, scene.chronicle.record(1))  # it is not closed
    scene.chronicle.close(1)
    seed_block = scene.chronicle.record(1).seed_block
    assert seed_block is not None
    scene.headers[seed_block] = HEADER
    assert scene.housekeeper.seal(scene.chronicle.ledger, scene.chronicle.record(1))
    assert scene.sent.calls[0].function == "sealEpochWith" and scene.sent.calls[0].arguments["header"] == HEADER


def test_where_no_header_is_told_the_contract_says_from_when_on_it_does_without(scene: Scene) -> None:
    scene.chronicle.submission(TRAINERS[0], ROOT, epoch=1)
    scene.chronicle.close(1)
    assert scene.housekeeper.seal(scene.chronicle.ledger, scene.chronicle.record(1))
    assert scene.functions() == ["sealEpoch"]


def test_sealing_and_tidying_send_what_is_due_once(scene: Scene) -> None:
    scene.chronicle.settle(bytes([100, 100]), challenge_by=5)
    phases = {Epoch(0): EpochPhase.CHALLENGEABLE}
    assert scene.housekeeper.tidy(scene.chronicle.ledger, phases, 10)
    assert not scene.housekeeper.tidy(scene.chronicle.ledger, phases, 10)
    assert scene.functions() == ["finalise"]


def test_panel_is_summoned_drawn_and_its_dispute_decided(scene: Scene) -> None:
    chronicle, housekeeper = scene.chronicle, scene.housekeeper
    chronicle.settle(bytes([100, 100]), challenge_by=2_000)
    chronicle.dispute(0, 255)
    reveal_by = 2_000 + PARAMS.reveal_window
    assert not housekeeper.hear(chronicle.ledger, chronicle.record(), reveal_by - 1)
    assert housekeeper.hear(chronicle.ledger, chronicle.record(), reveal_by)
    chronicle.summon(0, seed_block=77)
    scene.headers[77] = HEADER
    assert housekeeper.hear(chronicle.ledger, chronicle.record(), reveal_by)
    chronicle.draw(0, TRAINERS[2])
    scene.appeals.phase = DisputePhase.APPEAL_COMMIT
    assert not housekeeper.hear(chronicle.ledger, chronicle.record(), reveal_by)
    scene.appeals.phase = DisputePhase.DECIDABLE
    assert housekeeper.hear(chronicle.ledger, chronicle.record(), reveal_by)
    assert scene.functions() == ["summonPanel", "drawPanel", "decide"]
    assert scene.sent.calls[1].arguments["header"] == HEADER


def test_a_juror_is_dismissed_once_though_no_event_of_the_task_tells_it(scene: Scene) -> None:
    chronicle = scene.chronicle
    chronicle.settle(bytes([100, 100]), challenge_by=2_000)
    chronicle.dispute(0, 255)
    chronicle.draw(0, TRAINERS[2])
    chronicle.decide(0, 100, DisputePhase.UNDECIDED)
    for _ in range(3):
        scene.housekeeper.tidy(chronicle.ledger, {}, 0)
    assert scene.functions() == ["dismissJuror"]


def test_fees_are_claimed_by_the_batch_and_what_is_left_in_the_end(scene: Scene) -> None:
    chronicle = scene.chronicle
    for epoch in range(FEE_BATCH + 1):
        if epoch:
            chronicle.submission(TRAINERS[0], Root(epoch.to_bytes(32, "big")), epoch=epoch)
            chronicle.seal(epoch)
        if epoch < FEE_BATCH:
            assert not scene.housekeeper.claim_fees(chronicle.ledger)
        chronicle.reveal(VERIFIERS[0], bytes([1, 0]), ROOT, epoch=epoch)
        chronicle.settle(bytes([1, 0]), epoch=epoch)
        chronicle.finalise(epoch)
        chronicle.publish(ROOT, epoch)
    assert scene.housekeeper.claim_fees(chronicle.ledger)
    assert len(cast("list[Epoch]", scene.sent.calls[0].arguments["epochs"])) == FEE_BATCH
    for record in list(chronicle.ledger.epochs.values())[:FEE_BATCH]:
        record.fees[VERIFIERS[0]] = 1
    assert not scene.housekeeper.claim_fees(chronicle.ledger)
    chronicle.record(FEE_BATCH + 1).is_abandoned = True
    assert scene.housekeeper.claim_fees(chronicle.ledger)
    assert scene.sent.calls[1].arguments["epochs"] == [FEE_BATCH]


def test_our_bond_is_released_when_it_answers_for_nothing_any_more(scene: Scene) -> None:
    assert not scene.housekeeper.release_bond(scene.chronicle.ledger, 500)  # we are enlisted
    del scene.chronicle.ledger.verifiers[VERIFIERS[0]]
    assert scene.housekeeper.release_bond(scene.chronicle.ledger, 500)
    assert scene.functions() == ["releaseBond"]


def test_our_bond_is_not_asked_for_before(scene: Scene) -> None:
    del scene.chronicle.ledger.verifiers[VERIFIERS[0]]
    assert not scene.housekeeper.release_bond(scene.chronicle.ledger, 499)


# ---- the spec


@pytest.mark.parametrize("content", [None, b"{}", b"not JSON"])
@pytest.mark.slow
def test_task_whose_spec_cannot_be_read_stops_the_verifier(scene: Scene, content: bytes | None) -> None:
    directory = scene.folder / "task"
    directory.mkdir()
    (directory / ("spec.json" if content is not None else "other.json")).write_bytes(content or b"{}")
    root = scene.shards.add(Bundle(directory, build_bundle(directory, BundleKind.TASK, {})))
    with pytest.raises(Stop, match="nobody can verify this task"):
        judgeable_spec(scene.shards, root)


def test_spec_is_read_from_the_task_bundle(scene: Scene) -> None:
    directory = scene.folder / "task"
    directory.mkdir()
    (directory / "spec.json").write_bytes(SPEC.to_bytes())
    root = scene.shards.add(Bundle(directory, build_bundle(directory, BundleKind.TASK, {})))
    assert judgeable_spec(scene.shards, root) == SPEC
