"""The model by itself, without a chain: no wei appears or disappears, and what is refused changes nothing."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offchain.protocol.model import Block, Refused
from offchain.protocol.types import Address, Role
from tests.differential.behaviour import ROLES, STEP_KINDS, WORKERS, Behaviour, Step
from tests.differential.paper import make_paper_twin
from tests.differential.twin import SUPPLY, Twin

STEPS = st.lists(st.builds(Step, st.sampled_from(STEP_KINDS), st.integers(0, 2**32 - 1)), min_size=60, max_size=90)


def play(twin: Twin, steps: list[Step]) -> None:
    """After each call `twin` looks whether held = owed, and whether what was refused changed something."""
    behaviour = Behaviour(twin)
    behaviour.begin()
    for step in steps:
        behaviour.play(step)


def chosen(seed: int, count: int) -> list[Step]:
    draw = random.Random(seed)
    return [Step(draw.choice(STEP_KINDS), draw.getrandbits(32)) for _ in range(count)]


@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_whatever_people_do_money_is_conserved_and_set_aside(steps: list[Step]) -> None:
    twin = make_paper_twin((*ROLES, *WORKERS))
    play(twin, steps)
    model = twin.model
    assert sum(model.token.balances.values()) == SUPPLY
    assert min(model.token.balances.values()) >= 0
    for task in model.registry.tasks.values():
        assert task.budget >= 0 and task.reserved >= 0
        assert 0 <= task.waiting <= task.trainers
    for person in twin.people.values():
        collaterals = [task.records[person].collateral for task in model.registry.tasks.values()]
        assert model.registry.needed_bonds[person] == sum(collaterals)
        weights = [model.attestations.collateral_of(task_id, person)[0] for task_id in model.registry.tasks]
        assert model.attestations.needed_bonds[person] == sum(weights)
        for role in Role:
            bond = model.staking.bonds[person, role]
            assert bond.bonded >= 0 and bond.unbonding >= 0 and bond.enlistments >= 0


def test_steps_come_as_far_as_payments_slashes_and_disputes() -> None:
    """The conservation above would mean little if nothing ever happened."""
    twin = make_paper_twin((*ROLES, *WORKERS))
    play(twin, chosen(3, 500))
    done = {name for (name, refusal), count in twin.outcomes.items() if not refusal and count}
    paid = {"Payouts.claim", "Payouts.claimFees", "Payouts.slashFraud", "Attestations.slashAbsence"}
    assert paid | {"Challenges.decide", "Challenges.claim", "Attestations.voidEpoch", "Attestations.settle"} <= done


def test_a_bond_counts_only_from_the_next_block() -> None:
    twin = make_paper_twin(ROLES)
    staking, who = twin.model.staking, twin.people["outsider"]
    staking.bond(who, Role.VERIFIER, 7)
    assert staking.active_bond(Role.VERIFIER, who) == (who, 0)
    block = twin.model.clock.block
    twin.model.enter(Block(block.number + 1, block.timestamp + 1))
    assert staking.active_bond(Role.VERIFIER, who) == (who, 7)


def test_what_only_the_contracts_may_call_is_refused() -> None:
    twin = make_paper_twin(ROLES)
    with pytest.raises(Refused, match="NotAuthorised"):
        twin.model.meddle("TaskRegistry", "pay")
    with pytest.raises(KeyError):
        twin.model.meddle("TaskRegistry", "enlist")


def test_tokens_that_somebody_lacks_are_refused() -> None:
    twin = make_paper_twin(ROLES)
    token, outsider = twin.model.token, twin.people["outsider"]
    with pytest.raises(Refused, match="ERC20InsufficientBalance"):
        token.transfer(outsider, Address("0x" + "11" * 20), 10**27)
    with pytest.raises(Refused, match="ERC20InsufficientAllowance"):
        token.pull(twin.people["challenger"], outsider, 1)
