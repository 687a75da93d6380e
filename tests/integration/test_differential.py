"""The contracts and the model of the protocol do the same whatever people try, and end up with the same, to the wei.

Hypothesis chooses sequences of steps by all who take part in two tasks (tests/differential/behaviour.py). How each call
ends is compared by the name of the error, and after every few steps everything an outsider can see.
"""

import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from offchain.protocol.model import Network, Payouts, Places, Registry
from offchain.protocol.model.attestations import Attestations
from offchain.protocol.model.challenges import Challenges, Dispute
from offchain.protocol.model.judged import Enlistment
from offchain.protocol.types import Address
from tests.differential.behaviour import ROLES, STEP_KINDS, WORKERS, Behaviour, Step
from tests.differential.node import running_node
from tests.differential.twin import REPORTER_BPS, SUPPLY, UNBONDING_S, ModelOf, Twin, honest_model, make_twin
from tests.differential.views import Disagreement

pytestmark = pytest.mark.chain

STEP = st.builds(Step, st.sampled_from(STEP_KINDS), st.integers(0, 2**32 - 1))
COMPARED_EVERY = 3  # steps
# Without shrinking: each try takes seconds, and a disagreement names the call or the value.
QUICK = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
)


def play(steps: Sequence[Step], model_of: ModelOf = honest_model) -> Twin:
    """On a chain of its own. Raises Disagreement: the contracts and the model are not of one mind."""
    with running_node() as node:
        twin = make_twin(node, (*ROLES, *WORKERS), model_of)
        behaviour = Behaviour(twin)
        behaviour.begin()
        for number, step in enumerate(steps):
            behaviour.play(step)
            assert twin.model.held() == twin.model.owed()
            if number % COMPARED_EVERY == 0:
                twin.compare()
        twin.compare()
    return twin


def chosen(seed: int, count: int, kinds: Sequence[str] = STEP_KINDS) -> list[Step]:
    draw = random.Random(seed)
    return [Step(draw.choice(kinds), draw.getrandbits(32)) for _ in range(count)]


@QUICK
@given(st.lists(STEP, min_size=50, max_size=80))
def test_the_contracts_do_what_the_model_says(steps: list[Step]) -> None:
    play(steps)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@settings(QUICK, max_examples=25)
@given(st.lists(STEP, min_size=150, max_size=250))
def test_the_contracts_do_what_the_model_says_for_long(steps: list[Step]) -> None:
    play(steps)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_one_long_life_reaches_nearly_every_way_in_which_a_call_can_end() -> None:
    """The comparison means little where calls never succeed, or always: most functions must do both."""
    twin = play(chosen(1, 2_000))
    done = {name for (name, refusal), count in twin.outcomes.items() if not refusal and count}
    refused = {(name.split(".")[1], refusal) for name, refusal in twin.outcomes if refusal}
    assert len(done) >= 28, sorted(done)
    assert len(refused) >= 80, sorted(refused)


class GenerousPayouts(Payouts):
    @staticmethod
    def earned(units: int, unit_price_wei: int, score: int) -> int:
        return -(-units * unit_price_wei * score // 100)  # rounds up


class GenerousRegistry(Registry):
    @staticmethod
    def reporters_part(taken: int, reporter_bps: int) -> int:
        return -(-taken * reporter_bps // 10_000)  # rounds up


class ForgetfulAttestations(Attestations):
    """A verifier's slash is taken from the bond, and still set aside."""

    def take(self, task_id: int, member: Enlistment, verifier: Address, amount: int, held_bps: int) -> tuple[int, int]:
        taken, held = super().take(task_id, member, verifier, amount, held_bps)
        self.needed_bonds[verifier] += taken
        return taken, held


class HastyAttestations(Attestations):
    """Who enlisted in the block of the seal may judge, too."""

    def counted(self, task_id: int) -> tuple[int, int]:
        return self.rolls[task_id].verifiers, self.rolls[task_id].weight


class UnfairChallenges(Challenges):
    """Each share of a lost bond is a wei less."""

    def owed_to(self, task_id: int, epoch: int, index: int, to: Address) -> int:
        owed = super().owed_to(task_id, epoch, index, to)
        dispute: Dispute | None = self.disputes.get((task_id, epoch, index))
        return owed - 1 if dispute is not None and owed > 0 and to != dispute.challenger else owed


def network_with(**parts: type) -> ModelOf:
    """A model in which some parts follow another rule."""

    def model_of(places: Places, holder: Address) -> Network:
        other = type("OtherNetwork", (Network,), parts)
        return other(places, holder, SUPPLY, UNBONDING_S, REPORTER_BPS)

    return model_of


@pytest.mark.parametrize(
    ("other", "kinds"),
    [
        pytest.param({"payouts_type": GenerousPayouts}, ("claim",), id="payouts round up"),
        pytest.param({"registry_type": GenerousRegistry}, ("slashFraud",), id="the reporter's part rounds up"),
        pytest.param({"attestations_type": ForgetfulAttestations}, ("absence",), id="a slash stays set aside"),
        pytest.param({"attestations_type": HastyAttestations}, ("lateStake",), id="fresh verifiers judge"),
        pytest.param({"challenges_type": UnfairChallenges}, ("challenge", "winnings"), id="a lost bond rounds down"),
    ],
)
def test_a_model_with_another_rule_is_found_out(other: dict[str, type], kinds: tuple[str, ...]) -> None:
    """`kinds` of steps are those that come to speak of the rule; the rest of an epoch's life is what is due."""
    steps = chosen(6, 400, ("goOn", "goOn", "goOn", *kinds))
    with pytest.raises(Disagreement):
        play(steps, network_with(**other))
