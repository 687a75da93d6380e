"""How a verifier becomes one of its task: what it names, whom it displaces, when it gives up."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from assay_core.chain.contracts import Call
from assay_core.chain.sender import Receipt
from assay_core.protocol.amounts import Money
from assay_core.protocol.errors import Reverted, Stop
from assay_core.protocol.types import Address, KindTerms, Root, SubmissionKind, kinds_of
from assay_verifier.database import migrate, open_database, session_factory
from assay_verifier.enlisting import NOT_TAKEN_S, Enlister
from tests.fakes import Notes
from tests.submissions import TRAINER
from tests.unit.verifier.chronicle import PARAMS, TERMS_HASH, Chronicle, contracts
from tests.unit.verifier.fakes import Sent, ShardStore, node_of

KEY = Account.from_key(b"\x01" * 32)
VERIFIER, *OTHERS = (Address(f"0x{n:040d}") for n in (1, 2, 3))


class Full(Sent):
    """While no place is free, refuses what does not displace anybody."""

    is_full = True

    def send(self, call: Call) -> Receipt:
        if self.is_full and int(str(call.arguments["displaced"]), 16) == 0:
            raise Reverted("ElectorateFull", {"max": 64}, str(call))
        return super().send(call)


@dataclass
class Scene:
    chronicle: Chronicle
    folder: Path
    sent: Sent
    clock_s: float = 0.0

    def enlister(self, free_bond: int = 150, weight: int | None = None) -> Enlister:
        engine = open_database(f"sqlite:///{self.folder / 'verifier.db'}")
        migrate(engine)
        node = node_of(VERIFIER, KEY, self.sent, ShardStore(), session_factory(engine), Notes())
        return Enlister(
            node,
            contracts().verifiers,
            lambda: free_bond,
            Money("wei", 0),
            weight_wei=weight,
            clock=lambda: self.clock_s,
        )

    def arguments(self) -> dict[str, Any]:
        (call,) = self.sent.calls
        return dict(call.arguments)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(Chronicle(Root(bytes(32))), tmp_path, Sent())


@pytest.mark.parametrize(("weight", "told"), [(None, 150), (120, 120)])
def test_it_names_the_terms_that_it_saw_and_how_much_of_its_bond_judges(
    scene: Scene, weight: int | None, told: int
) -> None:
    assert scene.enlister(weight=weight).advance(scene.chronicle.ledger)
    assert scene.arguments()["termsHash"] == TERMS_HASH and scene.arguments()["weight"] == told


def test_anyone_who_is_enlisted_does_not_enlist(scene: Scene) -> None:
    scene.chronicle.verifier(VERIFIER)
    assert not scene.enlister().advance(scene.chronicle.ledger) and not scene.sent.calls


def test_where_all_places_are_taken_the_lightest_gives_way_to_a_heavier_one(scene: Scene) -> None:
    scene.sent = Full()
    scene.chronicle.verifier(OTHERS[0], weight=140)
    scene.chronicle.verifier(OTHERS[1], weight=200)
    assert scene.enlister().advance(scene.chronicle.ledger)
    assert scene.arguments()["displaced"] == OTHERS[0]


def test_where_all_are_as_heavy_it_waits_for_a_place(scene: Scene) -> None:
    scene.sent = full = Full()
    scene.chronicle.verifier(*OTHERS, weight=150)
    enlister = scene.enlister()
    assert not enlister.advance(scene.chronicle.ledger) and not scene.sent.calls
    full.is_full = False  # a place has become free
    assert not enlister.advance(scene.chronicle.ledger)
    scene.clock_s += NOT_TAKEN_S
    assert enlister.advance(scene.chronicle.ledger)


@pytest.mark.parametrize("error", ["WeightTooSmall", "InsufficientBond"])
def test_too_small_a_bond_stops_it_and_says_what_is_needed(scene: Scene, error: str) -> None:
    scene.sent.refusal = error
    with pytest.raises(Stop, match=r"has 60 wei .* asks for 100 wei: add .* --role verifier 40`"):
        scene.enlister(free_bond=60).advance(scene.chronicle.ledger)


def test_a_weight_that_no_task_takes_is_named_as_such(scene: Scene) -> None:
    scene.sent.refusal = "WeightTooSmall"
    with pytest.raises(Stop, match="--weight is 3 wei, and task 1 takes no verifier below 100 wei"):
        scene.enlister(weight=3).advance(scene.chronicle.ledger)


def test_who_still_owes_votes_is_not_stopped(scene: Scene) -> None:
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.submission(TRAINER, Root(b"\x01" * 32))
    scene.chronicle.seal()
    del scene.chronicle.ledger.verifiers[VERIFIER]
    scene.sent.refusal = "WeightTooSmall"
    assert not scene.enlister().advance(scene.chronicle.ledger)
    scene.chronicle.void()
    scene.clock_s += NOT_TAKEN_S
    with pytest.raises(Stop):
        scene.enlister().advance(scene.chronicle.ledger)


def test_a_task_of_rules_that_we_do_not_know_is_not_enlisted_for(scene: Scene) -> None:
    scene.chronicle.ledger.task.params = replace(PARAMS, protocol_version=PARAMS.protocol_version + 1)
    with pytest.raises(Stop, match="version"):
        scene.enlister().advance(scene.chronicle.ledger)
    assert not scene.sent.calls


def test_a_task_that_asks_for_parts_of_submissions_is_not_enlisted_for(scene: Scene) -> None:
    kinds = kinds_of({SubmissionKind.FULL: KindTerms(10, 10_000), SubmissionKind.LABELS: KindTerms(1, 10_000)})
    scene.chronicle.ledger.task.params = replace(PARAMS, kinds=kinds)
    with pytest.raises(Stop, match="parts of submissions"):
        scene.enlister().advance(scene.chronicle.ledger)
