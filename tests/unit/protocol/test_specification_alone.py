"""The specification by itself, without a chain: no wei appears or vanishes, and nothing waits for somebody for ever."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from specs import ledger, rules
from specs.acts import perform, staking
from specs.ledger import MINT, Ledger, Overdrawn, Posting, wallet
from specs.words import Block, Role
from tests.differential.behaviour import STEP_KINDS, Behaviour, Step, chosen
from tests.differential.caretaker import Caretaker
from tests.differential.paper import make_paper_twin
from tests.differential.people import EVERYBODY
from tests.differential.twin import SUPPLY, Twin

STEPS = st.lists(st.builds(Step, st.sampled_from(STEP_KINDS), st.integers(0, 2**32 - 1)), min_size=60, max_size=120)


def play(twin: Twin, steps: list[Step]) -> None:
    """After each act `twin` looks at what must never happen; no account ever falls below nothing."""
    behaviour = Behaviour(twin)
    behaviour.begin()
    for step in steps:
        behaviour.play(step)


@settings(
    max_examples=6,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(STEPS)
@pytest.mark.slow
def test_whatever_people_do_money_is_conserved_and_somebody_can_end_it_all(steps: list[Step]) -> None:
    twin = make_paper_twin(EVERYBODY)
    play(twin, steps)
    h = twin.h
    for person in twin.people.values():
        for role in Role:
            assert 0 <= rules.locked(h, person, role) <= rules.bonded(h, person, role)
    Caretaker(twin, twin.people["outsider"]).end()
    held = sum(h.ledger.holds(name) for name in ("wallet", "Staking", "TaskRegistry", "Appeals", "Plants"))
    assert held == SUPPLY


@pytest.mark.slow  # three long lives
def test_steps_come_as_far_as_payments_slashes_and_disputes() -> None:
    """The conservation above would mean little if nothing ever happened."""
    done = set[str]()
    for life in (3, 4, 5):
        twin = make_paper_twin(EVERYBODY)
        play(twin, chosen(life, 1_200))
        done |= {name for (name, refusal), count in twin.outcomes.items() if not refusal and count}
    paid = {"Payouts.claim", "Payouts.claimFees", "Payouts.slashFraud", "Attestations.slashAbsence"}
    heard = {"Appeals.decide", "Appeals.claimChallenge", "Appeals.claimVote", "Appeals.slashVerdict"}
    planted = {"Plants.openPlant", "Plants.refundPlant", "Plants.forfeitPlant", "Plants.slashPaidPlant"}
    ended = {"Attestations.voidEpoch", "Policies.publishPolicy", "Policies.skipPolicy"}
    assert paid | heard | planted | ended <= done


def test_a_bond_counts_only_from_the_next_block() -> None:
    twin = make_paper_twin(EVERYBODY)
    who, h = twin.people["outsider"], twin.h
    assert not perform(h, staking.Bond(who, Role.VERIFIER, 7))
    assert rules.lockable(h, who, Role.VERIFIER) == 0
    h.enter(Block(h.block.number + 1, h.now + 1, bytes(32), bytes(32)))
    assert rules.lockable(h, who, Role.VERIFIER) == 7


def test_what_was_refused_has_not_happened() -> None:
    twin = make_paper_twin(EVERYBODY)
    before = twin.h.count
    reasons = perform(twin.h, staking.Bond(twin.people["outsider"], Role.VERIFIER, 10**30))
    assert reasons == {"ERC20InsufficientBalance", "ERC20InsufficientAllowance"}
    assert twin.h.count == before


def test_nobody_pays_what_it_has_not() -> None:
    books = Ledger()
    books.post(Posting(MINT, wallet("somebody"), 5))
    books.post(Posting(wallet("somebody"), ledger.budget(1), 3))
    assert books.holds("wallet", "somebody") == 2
    assert books.holds("TaskRegistry") == books.holds("TaskRegistry", "budget") == 3
    with pytest.raises(Overdrawn):
        books.post(Posting(ledger.budget(1), wallet("somebody"), 4))
    with pytest.raises(Overdrawn):
        books.post(Posting(wallet("somebody"), ledger.budget(1), -1))
