"""Planted frauds: how many it takes so that checking is the best that a verifier can do, and what they cost.

Let c be what checking a drawn submission costs, V what paying a plant costs, f a verifier's fee for one submission, x
the share of submissions that are plants. Who checks a drawn submission pays c. Who says 100 instead loses with
probability x: V, and f as well where the others find the plant. Where most are lazy, f is lost by who checks; the
planter has to appeal, and V follows from that. So checking is the best reply while x >= c / (V + f) in the one case,
and x >= c / (V - f) in the other. Who sees others call fraud what it has paid may keep its report back: it loses A for
its absence and F, its fee for the epoch, in place of V + f. Against that it takes x >= c / (A + F). How many
submissions are drawn does not matter: nothing is saved, and nothing lost, with those that are not.
"""

from dataclasses import dataclass
from fractions import Fraction

from assay_core.protocol.economics import finders_part, plant_deposit, share_up
from assay_core.protocol.types import BPS, PANEL_SEATS, TaskParams
from assay_protocol.economics.assumptions import PLANT_GAS, Assumptions


@dataclass(frozen=True, slots=True)
class PlantOutlook:
    """With `verifiers` of equal weight, all of whom would be lazy if that paid. Rates are shares of submissions.

    `rate` is the least with which checking is the best reply whatever the others do; None: none suffices.
    """

    check_wei: int  # what checking a drawn submission costs a verifier
    slash_wei: int  # what paying a plant costs it
    fee_wei: int  # of one verifier, for one submission of a full epoch
    rate_if_few_lazy: float | None
    rate_if_most_lazy: float | None
    rate: float | None
    rate_if_withheld: float | None  # … against those who keep a report back that others' reveals show to be wrong
    per_epoch: float | None  # plants in a full epoch
    deposit_wei: int
    locked_wei: int  # of a planting trainer's bond, for each plant of full size; in proportion for smaller ones
    plant_wei: int  # what a plant costs who plants it
    per_submission_wei: int | None  # … at that rate, for each other submission
    planter_gets_wei: int  # for each lazy verifier, where the others find the plant
    appeal_wei: int  # judging, where it has to be appealed
    appeal_gets_wei: int  # where all had paid it
    lazy_share: float | None  # of the stake: where more is lazy, planting pays those whom nobody pays for it


def plant_outlook(params: TaskParams, submissions: int, assumed: Assumptions) -> PlantOutlook:
    """For epochs with `submissions` submissions."""
    check = assumed.read_wei + assumed.check_wei
    slash = share_up(assumed.weight_of(params), params.verdict_slash_bps)
    fee = Fraction(params.verifier_fee, assumed.verifiers * submissions)
    few, most = least_rate(check, slash + fee), least_rate(check, slash - fee)
    rate = None if few is None or most is None else max(few, most)
    absence = share_up(assumed.weight_of(params), params.absence_slash_bps)
    withheld = least_rate(check, absence + Fraction(params.verifier_fee, assumed.verifiers))
    plant = assumed.fake_wei + assumed.gas_wei(PLANT_GAS)
    gets = finders_part(params, slash)
    return PlantOutlook(
        check_wei=check,
        slash_wei=slash,
        fee_wei=round(fee),
        rate_if_few_lazy=_float(few),
        rate_if_most_lazy=_float(most),
        rate=_float(rate),
        rate_if_withheld=_float(withheld),
        per_epoch=_float(None if rate is None else rate * submissions),
        deposit_wei=plant_deposit(params),
        locked_wei=params.fraud_slash,
        plant_wei=round(plant),
        per_submission_wei=None if rate is None or rate == 1 else round(plant * rate / (1 - rate)),
        planter_gets_wei=gets,
        appeal_wei=PANEL_SEATS * params.juror_fee,
        appeal_gets_wei=finders_part(params, slash, assumed.verifiers),
        lazy_share=_float(least_rate(plant, Fraction(params.sampling_bps * assumed.verifiers * gets, BPS))),
    )


def least_rate(cost: Fraction | int, loss: Fraction | int) -> Fraction | None:
    """The least probability with which a loss outweighs a cost; None: not even a certain one does."""
    if cost == 0:
        return Fraction(0)
    return Fraction(cost) / loss if loss >= cost else None


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
