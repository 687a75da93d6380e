"""The contracts do what the specification says whatever people try, and end up with the same, to the wei.

Hypothesis chooses sequences of steps by all who take part in two tasks (tests/differential/behaviour.py). How each call
ends, and all that it tells, is compared at once, and after every few steps everything an outsider can ask; each log is
looked at for what must never happen, whatever the rules; and in the end somebody with no part in anything ends it all.
"""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from specs import rules
from specs.history import History
from specs.words import FRAUD, FULL, DisputePhase, Submission
from tests.differential.behaviour import STEP_KINDS, Behaviour, Step, chosen
from tests.differential.caretaker import Caretaker
from tests.differential.node import running_node
from tests.differential.people import EVERYBODY
from tests.differential.twin import Twin, make_twin
from tests.differential.views import Disagreement

pytestmark = pytest.mark.chain

STEP = st.builds(Step, st.sampled_from(STEP_KINDS), st.integers(0, 2**32 - 1))
COMPARED_EVERY = 3  # steps
# Without shrinking: each try takes seconds, and a disagreement names the call, the log or the value.
QUICK = settings(
    max_examples=6,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
)


def play(steps: Sequence[Step]) -> Twin:
    """On a chain of its own. Raises Disagreement, Broken, Stuck."""
    with running_node() as node:
        twin = make_twin(node, EVERYBODY)
        behaviour = Behaviour(twin)
        behaviour.begin()
        for number, step in enumerate(steps):
            behaviour.play(step)
            if number % COMPARED_EVERY == 0:
                twin.compare()
        twin.compare()
        Caretaker(twin, twin.people["outsider"]).end()
    return twin


@QUICK
@given(st.lists(STEP, min_size=60, max_size=90))
def test_the_contracts_do_what_the_specification_says(steps: list[Step]) -> None:
    play(steps)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@settings(QUICK, max_examples=20)
@given(st.lists(STEP, min_size=200, max_size=300))
def test_the_contracts_do_what_the_specification_says_for_long(steps: list[Step]) -> None:
    play(steps)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_one_long_life_reaches_nearly_every_way_in_which_a_call_can_end() -> None:
    """The comparison means little where calls never succeed, or always: most functions must do both."""
    twin = play(chosen(1, 2_500))
    done = {name for (name, refusal), count in twin.outcomes.items() if not refusal and count}
    refused = {(name.split(".")[1], refusal) for name, refusal in twin.outcomes if refusal}
    assert len(done) >= 50, sorted(done)
    assert len(refused) >= 130, sorted(refused)


# Specifications with one other rule, each of which somebody might have written.


def rounds_up(h: History, task_id: int, epoch: int, submission: Submission) -> int:
    score = rules.score_of(h, task_id, epoch, submission.index)
    return -(-rules.price(h, task_id, submission) * score // FULL) if rules.is_paid(score) else 0


def fresh_bonds_count(h: History, operator: str, role: int) -> int:
    return max(0, rules.bonded(h, operator, role) - rules.locked(h, operator, role))


def who_leaves_is_gone_at_once(h: History, task_id: int) -> int:
    return rules.open_number(h, task_id)


def unavailable_is_nothing(report: bytes, index: int) -> int:
    score = report[index] if index < len(report) else 0
    return score if score <= FULL or score == FRAUD else 0


def a_bond_answers_for_each_submission_beside_the_enlistment(
    h: History, task_id: int, flying: int, is_enlisted: bool
) -> int:
    return (rules.terms(h, task_id).trainer_bond if is_enlisted else 0) + rules.stake_of(h, task_id, flying)


def every_juror_is_paid(found: rules.Verdict, vote: object) -> bool:
    return True


def delay_is_free(phase: int, bond: int) -> int:
    return 0 if phase == DisputePhase.UPHELD else bond


OTHER_RULES: list[tuple[str, Callable[..., object], tuple[str, ...]]] = [
    ("earned", rounds_up, ("claim",)),
    ("lockable", fresh_bonds_count, ("sameBlock", "bond")),
    ("leaves_from", who_leaves_is_gone_at_once, ("delist", "enlist")),
    ("as_score", unavailable_is_nothing, ()),
    ("lock_for", a_bond_answers_for_each_submission_beside_the_enlistment, ()),
    ("earns", every_juror_is_paid, ("winnings", "aftermath")),
    ("bond_back", delay_is_free, ("winnings", "aftermath")),
]


@pytest.mark.parametrize(("rule", "other", "kinds"), OTHER_RULES, ids=[each[1].__name__ for each in OTHER_RULES])
def test_a_specification_with_another_rule_is_found_out(
    rule: str, other: Callable[..., object], kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kinds` of steps are those that come to speak of the rule; the rest of an epoch's life is what is due.

    Not every life comes to it: the first of eight that does will do.
    """
    assert callable(getattr(rules, rule))
    monkeypatch.setattr(rules, rule, other)
    with pytest.raises(Disagreement):
        for life in range(6, 14):
            play(chosen(life, 400, ("goOn", "goOn", "goOn", *kinds)))
