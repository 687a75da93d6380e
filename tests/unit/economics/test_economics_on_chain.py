"""`openTask` refuses terms just where `assay_core.protocol.economics` says that cheating pays, to the wei."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from assay_core.chain.connection import Chain
from assay_core.chain.events import TaskOpened
from assay_core.chain.sender import Sender
from assay_core.protocol.economics import (
    epoch_cost,
    greatest_gain,
    needed_sampling_bps,
    needed_slash,
    needed_slash_of,
    plant_deposit,
)
from assay_core.protocol.errors import Reverted
from assay_core.protocol.types import KindTerms, Root, SubmissionKind, TaskParams, kinds_of
from tests.unit.economics.terms import TERMS

pytestmark = pytest.mark.chain

LARGEST = 2**128 - 1
SHORT = {f"{name}_window": 100 for name in ("commit", "attest", "reveal", "challenge", "appeal")}
SPEC, POLICY = Root(b"s" * 32), Root(b"p" * 32)
SenderOf = Callable[[str], Sender]
# The contracts only answer questions here, so that examples leave nothing behind for the next.
many = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
prices = st.one_of(st.integers(1, 1_000), st.integers(1, 10**30), st.integers(1, LARGEST))
units = st.integers(1, 65_535)
rates = st.one_of(st.integers(1, 10_000), st.sampled_from([1, 2, 9_998, 9_999, 10_000]))


def terms(price: int, submission_units: int, sampling_bps: int, slash: int, detection_bps: int = 10_000) -> TaskParams:
    """Terms with which nothing is wrong but, perhaps, the slash."""
    return replace(
        TERMS,
        kinds=kinds_of({SubmissionKind.TRAINING: KindTerms(price, detection_bps)}),
        max_submission_units=submission_units,
        max_epoch_units=submission_units,
        sampling_bps=sampling_bps,
        fraud_slash=slash,
        trainer_bond=max(slash, 1),
        **SHORT,
    )


def refusal(chain: Chain, initiator: Sender, params: TaskParams) -> Reverted | None:
    """What the contracts say to these terms and an empty purse; None: nothing."""
    try:
        initiator.dry_run(chain.registry.open_task(params, SPEC, "assay:0x01", POLICY, 0))
    except Reverted as error:
        return error
    return None


@many
@given(price=prices, submission_units=units, sampling_bps=rates, detection_bps=rates)
def test_the_needed_slash_is_the_contracts_to_the_wei(
    chain: Chain, sender_of: SenderOf, price: int, submission_units: int, sampling_bps: int, detection_bps: int
) -> None:
    needed = needed_slash(price * submission_units, sampling_bps, detection_bps)
    assume(needed <= LARGEST)
    initiator = sender_of("initiator")
    enough = refusal(chain, initiator, terms(price, submission_units, sampling_bps, needed, detection_bps))
    # The next thing that is wrong: it passed the question whether cheating pays.
    assert enough is not None and enough.error == "BudgetTooSmall"
    if needed:
        short = refusal(chain, initiator, terms(price, submission_units, sampling_bps, needed - 1, detection_bps))
        assert short is not None and short.error == "CheatingPays"
        assert short.arguments == {"kind": "training", "slash": needed - 1, "needed": needed}


@many
@given(
    price=prices,
    submission_units=units,
    slash=st.one_of(st.integers(1, 10**24), st.integers(1, LARGEST)),
    detection=rates,
)
def test_the_needed_sampling_rate_is_the_least_that_the_contracts_accept(
    chain: Chain, sender_of: SenderOf, price: int, submission_units: int, slash: int, detection: int
) -> None:
    rate = needed_sampling_bps(price * submission_units, slash, detection)
    initiator = sender_of("initiator")
    if rate is not None:
        enough = refusal(chain, initiator, terms(price, submission_units, rate, slash, detection))
        assert enough is not None and enough.error == "BudgetTooSmall"
    if rate != 1:
        less = 10_000 if rate is None else rate - 1
        short = refusal(chain, initiator, terms(price, submission_units, less, slash, detection))
        assert short is not None and short.error == "CheatingPays"


@pytest.mark.parametrize("tempting", list(SubmissionKind))
def test_the_kind_that_tempts_most_is_named(chain: Chain, sender_of: SenderOf, tempting: SubmissionKind) -> None:
    kinds = {kind: KindTerms(1_000, 10_000) for kind in SubmissionKind} | {tempting: KindTerms(1_000, 9_999)}
    params = replace(terms(1, 64, 5_000, 1), kinds=kinds_of(kinds))
    needed = needed_slash_of(params)
    short = replace(params, fraud_slash=needed - 1, trainer_bond=needed)
    error = refusal(chain, sender_of("initiator"), short)
    assert error is not None and error.arguments == {
        "kind": tempting.name.lower(),
        "slash": needed - 1,
        "needed": needed,
    }
    enough = refusal(chain, sender_of("initiator"), replace(short, fraud_slash=needed))
    assert enough is not None and enough.error == "BudgetTooSmall"


def test_a_plant_takes_the_deposit_that_python_says(chain: Chain, sender_of: SenderOf) -> None:
    initiator, params = sender_of("initiator"), terms(7, 11, 5_000, 10**6)
    budget = epoch_cost(params)
    initiator.send(chain.token.approve(chain.registry.address, budget))
    receipt = initiator.send(chain.registry.open_task(params, SPEC, "assay:0x02", POLICY, budget))
    assert chain.plants.deposit_of(receipt.event(TaskOpened).task_id) == plant_deposit(params) == 93


@pytest.mark.parametrize("sampling_bps", [100, 3_333, 5_000, 9_999])
def test_a_task_opens_with_the_needed_slash_and_not_with_a_wei_less(
    chain: Chain, sender_of: SenderOf, sampling_bps: int
) -> None:
    initiator = sender_of("initiator")
    needed = needed_slash(greatest_gain(TERMS), sampling_bps)
    params = terms(TERMS.kinds[SubmissionKind.FULL].unit_price, TERMS.max_submission_units, sampling_bps, needed)
    budget = epoch_cost(params)
    initiator.send(chain.token.approve(chain.registry.address, budget))
    short = replace(params, fraud_slash=needed - 1)
    with pytest.raises(Reverted, match="CheatingPays"):
        initiator.send(chain.registry.open_task(short, SPEC, "assay:0x01", POLICY, budget))
    receipt = initiator.send(chain.registry.open_task(params, SPEC, "assay:0x01", POLICY, budget))
    assert receipt.event(TaskOpened).params.fraud_slash == needed


def test_without_sampling_the_contracts_refuse_and_so_does_python(chain: Chain, sender_of: SenderOf) -> None:
    error = refusal(chain, sender_of("initiator"), terms(1, 1, 0, LARGEST))
    assert error is not None and error.error == "BadParams"
    with pytest.raises(ValueError, match="always pays"):
        needed_slash(1, 0)
