"""What an operator has earned, as people and programs read it: JSON and lines of the same facts. Pure."""

from collections.abc import Mapping
from typing import Any

from assay_core.inspect import wording as words
from assay_core.inspect.earnings import Earnings, FeeEarning
from assay_core.inspect.formatting import table
from assay_core.protocol.amounts import Money
from assay_core.protocol.types import SubmissionId, is_paid

TOTALS = ("earned_wei", "claimed_wei", "claimable_wei", "slashed_wei")


def trainer_rewards(
    earned: Earnings, reasons: Mapping[SubmissionId, str], money: Money
) -> tuple[dict[str, Any], list[str]]:
    """Every submission: its state, score, what it earned, and why when it did not."""
    shown: list[dict[str, Any]] = [
        {
            "submission": each.name,
            "state": each.state,
            "score": each.score,
            "reason": reasons.get(each.submission_id),
            "earned_wei": each.earned_wei,
            "claimed_wei": each.claimed_wei or 0,
            "claimable_wei": each.claimable_wei,
            "slashed_wei": each.slashed_wei,
        }
        for each in earned.submissions
    ]
    totals = {name: sum(each[name] for each in shown) for name in TOTALS}
    rows = [
        (each["submission"], each["state"], words.score(each["score"]), money.show(each["earned_wei"]), _reason(each))
        for each in shown
    ]
    lines = table(rows, ("submission", "state", "score", "earned", "why"), frozenset({3}))
    if not rows:
        lines = [f"{earned.operator} has committed no submissions yet"]
    summary = ", ".join(f"{name.removesuffix('_wei')} {money.show(wei)}" for name, wei in totals.items())
    data = {"operator": earned.operator, "role": "trainer", **totals, "submissions": shown}
    return data, [*lines, "", summary]


def verifier_rewards(earned: Earnings, money: Money) -> tuple[dict[str, Any], list[str]]:
    """Every epoch that a verifier was to attest: its fee, and what stands in its way."""
    shown: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for each in earned.fees:
        fee = each.earned_wei if each.claimed_wei is None else each.claimed_wei
        entry = {
            "task_id": each.task_id,
            "epoch": each.epoch,
            "phase": each.phase,
            "revealed": each.has_revealed,
            "fee_wei": fee,
            "claimed_wei": each.claimed_wei or 0,
            "claimable_wei": each.claimable_wei,
            "slashed_wei": each.slashed_wei,
        }
        shown.append(entry)
        state = "claimed" if each.claimed_wei is not None else each.phase
        rows.append((each.name, state, money.show(fee), _obstacle(each, money)))
    totals = {name: sum(each[name] for each in shown) for name in ("claimable_wei", "claimed_wei")}
    lines = table(rows, ("epoch", "state", "fee", "why"), frozenset({2}))
    if not rows:
        lines = [f"{earned.operator} has attested no epoch yet"]
    summary = f"claimed {money.show(totals['claimed_wei'])}, claimable {money.show(totals['claimable_wei'])}"
    data = {"operator": earned.operator, "role": "verifier", **totals, "epochs": shown}
    return data, [*lines, "", summary]


def _reason(shown: Mapping[str, Any]) -> str:
    unknown = "" if is_paid(shown["score"] or 1) else f"? see `assay explain {shown['submission']}`"
    return words.reason(shown["reason"]) or unknown


def _obstacle(each: FeeEarning, money: Money) -> str:
    """What stands in the way of a fee, and what was lost."""
    parts = ["" if each.has_revealed else "did not reveal"]
    if each.has_revealed and each.is_forfeited:
        parts.append("its policy came too late: nobody gets the fee")
    elif each.has_revealed and each.is_final and each.claimed_wei is None and not each.is_claimable:
        parts.append("waits for its policy")
    parts.append(f"slashed {money.show(each.slashed_wei)}" if each.slashed_wei else "")
    return ", ".join(part for part in parts if part)
