"""What must never happen is found out, though the specification says that it may: properties are no rules of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from specs import rules
from specs.acts import Act, attestations, commitments, payouts
from specs.facts import AttestationRevealed, EpochSealed, Fact
from specs.history import History
from specs.ledger import Overdrawn
from specs.properties import Broken, Log, Observer
from specs.words import FULL
from tests.differential.behaviour import Behaviour, Step, chosen
from tests.differential.paper import make_paper_twin
from tests.differential.people import EVERYBODY

ONE, OTHER, BURNT = "0x" + "11" * 20, "0x" + "22" * 20, "0x000000000000000000000000000000000000dead"


def only(*names: str) -> Callable[[Callable[[Any, History], Iterator[str]]], Callable[[Any, History], Iterator[str]]]:
    """The same reasons but for these."""

    def without(against: Callable[[Any, History], Iterator[str]]) -> Callable[[Any, History], Iterator[str]]:
        return lambda act, h: (reason for reason in against(act, h) if reason not in names)

    return without


FORGOTTEN: list[tuple[type[Act], tuple[str, ...], str, tuple[str, ...]]] = [
    (attestations.SlashAbsence, ("WasPresent",), "who has revealed is slashed", ("absence", "absence")),
    (attestations.SlashAbsence, ("AlreadyPenalised",), "absent twice", ("absence", "absence")),
    (attestations.RevealAttestation, ("AlreadyRevealed",), "reveals twice", ("reveal", "reveal")),
    (attestations.RevealAttestation, ("BadReport",), "judges other submissions", ("reveal",)),
    (commitments.CommitSubmission, ("CommitClosed",), "comes to a closed epoch", ("submissions", "seal", "wait")),
    (payouts.Claim, ("WrongSubmission",), "already|wei from", ("claim", "claim")),
    (payouts.Claim, ("IsFraud",), "a fraud is paid", ("claim", "claim")),
]


@pytest.mark.parametrize(
    ("act", "forgotten", "told", "kinds"), FORGOTTEN, ids=[f"{each[0].__name__} {each[1][0]}" for each in FORGOTTEN]
)
def test_a_check_that_is_forgotten_shows_in_the_logs(
    act: type[Act], forgotten: tuple[str, ...], told: str, kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "against", only(*forgotten)(act.against))
    twin = make_paper_twin(EVERYBODY)
    behaviour = Behaviour(twin)
    behaviour.begin()
    with pytest.raises((Broken, Overdrawn), match=told):
        for step in chosen(12, 1_500, ("goOn", "goOn", *kinds)):
            behaviour.play(step)


def test_weights_that_change_afterwards_show_in_the_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    def reaches_back(h: History, task_id: int) -> int:
        return max(0, rules.open_number(h, task_id) - 1)

    def has_no_last_change(h: History, task_id: int, verifier: str) -> int:
        return 0

    monkeypatch.setattr(rules, "next_with_a_place", reaches_back)
    monkeypatch.setattr(rules, "leaves_from", reaches_back)
    monkeypatch.setattr(rules, "last_change", has_no_last_change)
    twin = make_paper_twin(EVERYBODY)
    behaviour = Behaviour(twin)
    behaviour.begin()
    with pytest.raises(Broken, match="weight"):
        for step in chosen(12, 1_500, ("goOn", "goOn", "enlist", "absence", "delist")):
            behaviour.play(step)


def transfer(sender: str, to: str, value: int) -> Log:
    return Log(1, 1, "AssayToken", "Transfer", {"from": sender, "to": to, "value": value})


def test_tokens_out_of_nothing_and_back_from_the_fire_show_in_transfers() -> None:
    observer = Observer(OTHER)
    observer.see(transfer("0x" + "00" * 20, ONE, 5))
    observer.see(transfer(ONE, BURNT, 2))
    observer.check_held()
    with pytest.raises(Broken, match="has not"):
        observer.see(transfer(ONE, OTHER, 4))
    with pytest.raises(Broken, match="comes back"):
        Observer(OTHER, held=observer.held).see(transfer(BURNT, ONE, 1))
    observer.supply += 1
    with pytest.raises(Broken, match="are held of"):
        observer.check_held()


def test_a_score_that_nobody_gave_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = rules.judge

    def flatters(votes: list[tuple[int, int]], quorum_bps: int, everybody: int) -> int:
        score = honest(votes, quorum_bps, everybody)
        return score + 1 if score < FULL else score

    monkeypatch.setattr(rules, "judge", flatters)
    twin = make_paper_twin(EVERYBODY)
    behaviour = Behaviour(twin)
    behaviour.begin()
    with pytest.raises(Broken, match="nobody gave"):
        for step in chosen(7, 600, ("goOn",)):
            behaviour.play(step)


def facts_of(steps: list[Step]) -> dict[type[Fact], int]:
    twin = make_paper_twin(EVERYBODY)
    behaviour = Behaviour(twin)
    behaviour.begin()
    for step in steps:
        behaviour.play(step)
    return {kind: len(twin.h.of(kind)) for kind in (EpochSealed, AttestationRevealed)}


def test_an_honest_life_breaks_nothing() -> None:
    counts = facts_of(chosen(7, 600, ("goOn", "goOn", "absence", "reveal", "claim", "submissions")))
    assert counts[EpochSealed] > 5 and counts[AttestationRevealed] > 10
