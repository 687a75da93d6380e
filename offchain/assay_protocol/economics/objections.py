"""Why the contracts would refuse a task's terms, and what to change in its file. Pure."""

from assay_core.protocol.amounts import Money, plain
from assay_core.protocol.economics import (
    challenge_cost,
    epoch_cost,
    gain_of,
    greatest_gain,
    needed_sampling_bps,
    needed_slash_of,
    share_up,
)
from assay_core.protocol.types import PANEL_SEATS, TaskParams


def objection(params: TaskParams, budget_wei: int, money: Money) -> str | None:
    """Why the contracts would refuse these terms and what to change; None when they would not (as far as is known)."""
    if problem := meaningless(params):
        return problem
    if params.sampling_bps == 0:
        return "terms.sampling is 0: nothing would ever be replayed, so cheating always pays; set it above 0"
    needed = needed_slash_of(params)
    if params.fraud_slash < needed:
        return cheating_pays(params, needed, money)
    if problem := _unbalanced(params):
        return problem
    cost = epoch_cost(params)
    if budget_wei < cost:
        return (
            f"the budget of {money.show(budget_wei)} does not pay for one epoch, which may cost "
            f"{money.at_least(cost)}: raise budget, or lower terms.max_epoch_units"
        )
    return None


def _unbalanced(params: TaskParams) -> str | None:
    """Terms that do not fit each other."""
    if params.trainer_bond < params.fraud_slash:
        return "terms.trainer_bond must be at least terms.fraud_slash: a slash is taken from the bond"
    if params.challenge_window and not params.challenge_bond:
        return "terms.challenge_bond is 0: challenging would cost nothing; set it, or terms.challenge_window to 0"
    slash = share_up(params.verifier_bond, params.verdict_slash_bps)
    if params.challenge_window and challenge_cost(params) > slash:
        return (
            f"terms.challenge_bond and {PANEL_SEATS} times terms.juror_fee must be at most terms.verdict_slash of "
            "terms.verifier_bond: else who is blamed wrongly loses more by objecting than by silence"
        )
    if params.challenge_window and params.appeal_window < max(params.attest_window, params.reveal_window):
        return (
            "terms.appeal_window must be at least terms.attest_window and terms.reveal_window: "
            "who judges again needs no less time"
        )
    if params.quorum_bps <= 5_000:
        return "terms.quorum must be above one half"
    return None


def cheating_pays(params: TaskParams, needed_wei: int, money: Money) -> str:
    """What to change in the terms so that cheating does not pay."""
    rate = least_sampling_bps(params)
    remedy = "" if rate is None else f"or terms.sampling to {plain(rate, 4)}, "
    return (
        f"cheating would pay: a submission can earn {money.show(greatest_gain(params))} and is drawn with probability "
        f"{plain(params.sampling_bps, 4)}, yet a cheat loses only {money.show(params.fraud_slash)}. Raise "
        f"terms.fraud_slash (and terms.trainer_bond) to {money.at_least(needed_wei)}, {remedy}"
        "or lower terms.unit_price or terms.max_submission_units"
    )


def least_sampling_bps(params: TaskParams) -> int | None:
    """The least rate with which the slash suffices for all kinds of submission; None: not even all of them drawn
    does.
    """
    rates = [
        needed_sampling_bps(gain_of(params, kind), params.fraud_slash, params.kinds[kind].detection_bps)
        for kind in params.kinds_asked_for
    ]
    return None if None in rates else max(rate for rate in rates if rate is not None)


def meaningless(params: TaskParams) -> str | None:
    """Terms about which there is nothing to calculate, and what to change; None where there is."""
    if not params.kinds_asked_for:
        return "terms.unit_price is 0 for all kinds of submission: submissions would earn nothing; set it above 0"
    if any(params.kinds[kind].detection_bps == 0 for kind in params.kinds_asked_for):
        return "detection is 0 for a kind of submission: nothing is ever found, so cheating always pays; set it above 0"
    for name in ("commit_window", "attest_window", "reveal_window"):
        if getattr(params, name) == 0:
            return f"terms.{name} is 0: nobody could act in it; set it above 0"
    if params.max_epoch_units < params.max_submission_units:
        return (
            "terms.max_epoch_units must be at least terms.max_submission_units: no submission would fit into an epoch"
        )
    if params.max_submissions_each == 0:
        return "terms.max_submissions_each is 0: nobody could commit a submission; set it above 0"
    return None
