"""`assay rewards`: what each work earned, and why not; and claiming it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from assay_core.inspect.formatting import table
from assay_core.protocol.amounts import Money
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    address_option,
    chain_options,
    group,
    key_options,
    pass_invocation,
    relay_options,
    state_option,
    transaction_options,
    verifier_option,
)
from assay_protocol.cli.transact import transact

if TYPE_CHECKING:
    from assay_core.chain.ledger import TaskLedger
    from assay_core.inspect.earnings import FeeEarning, WorkEarning
    from assay_core.protocol.types import Address
    from assay_protocol.rewards import RoleName

role_option = click.option(
    "--role", type=click.Choice(["trainer", "verifier"]), default="trainer", show_default=True, help="Earned as what."
)
task_option = click.option(
    "--task", "task_id", metavar="ID", type=click.IntRange(min=1), help="Only this task.  [default: all]"
)


@group("rewards")
def rewards() -> None:
    """See what each work earned, and why not; claim it."""


@rewards.action("show", example="assay rewards show --keystore worker")
@role_option
@task_option
@address_option
@chain_options
@key_options
@relay_options
@state_option
@verifier_option
@pass_invocation
def show(invocation: Invocation, role: str, task_id: int | None, address: str | None) -> None:
    """Show every work (or, as a verifier, every epoch): its state, score, what it earned, and why when it did not.

    Reasons come from the verifiers' evidence on the relays; `assay explain WORK` says more.
    """
    from assay_protocol.rewards import ledgers_of

    key = invocation.address_of(address)
    chain = invocation.chain()
    money, operator = chain.money(), chain.staking.operator_of(key)
    ledgers = ledgers_of(invocation.connected(chain), task_id)
    if role == "verifier":
        _show_fees(invocation, ledgers, operator, money)
    else:
        _show_works(invocation, ledgers, operator, money)


@rewards.action("claim", example="assay rewards claim --keystore worker")
@role_option
@task_option
@transaction_options
@state_option
@pass_invocation
def claim(invocation: Invocation, role: "RoleName", task_id: int | None) -> None:
    """Claim all that is final, in as few transactions as possible.

    Epochs whose challenge window has passed are finalised on the way. The money goes to the operator, also when its
    worker key claims. Works that earn nothing are claimed, too: that frees the bond that answered for them.
    """
    _claim(invocation, role, task_id)


@rewards.action("claim-fees", example="assay rewards claim-fees --keystore judge")
@task_option
@transaction_options
@state_option
@pass_invocation
def claim_fees(invocation: Invocation, task_id: int | None) -> None:
    """Claim a verifier's fees: the same as `assay rewards claim --role verifier`."""
    _claim(invocation, "verifier", task_id)


# ---------------------------------------------------------------------------------------------------- showing


def _show_works(invocation: Invocation, ledgers: "Sequence[TaskLedger]", operator: "Address", money: Money) -> None:
    from assay_core.inspect import wording as words
    from assay_core.inspect.earnings import works_of
    from assay_core.inspect.evidence import reasons_of
    from assay_core.protocol.types import is_paid

    shown: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for ledger in ledgers:
        works = list(works_of(ledger, operator))
        reasons = reasons_of(
            invocation.relay_client,
            invocation.verifier_url,
            ledger,
            [each for each in works if each.score not in (None, 100)],
        )
        for each in works:
            reason = reasons.get(each.work_id)
            shown.append(_work_json(each, reason))
            why = words.reason(reason) or ("" if is_paid(each.score or 1) else f"? see `assay explain {each.work_id}`")
            rows.append((str(each.work_id), each.state, words.score(each.score), money.show(each.earned_wei), why))
    totals = {name: sum(work[name] for work in shown) for name in ("earned_wei", "claimed_wei", "claimable_wei")}
    totals["slashed_wei"] = sum(work["slashed_wei"] for work in shown)
    lines = table(rows, ("work", "state", "score", "earned", "why"), frozenset({3}))
    if not rows:
        lines = [f"{operator} has committed no works yet"]
    names = {"earned_wei": "earned", "claimed_wei": "claimed", "claimable_wei": "claimable", "slashed_wei": "slashed"}
    summary = ", ".join(f"{name} {money.show(totals[key])}" for key, name in names.items())
    invocation.emit({"operator": operator, "role": "trainer", **totals, "works": shown}, [*lines, "", summary])


def _work_json(each: "WorkEarning", reason: str | None) -> dict[str, Any]:
    return {
        "work": str(each.work_id),
        "state": each.state,
        "score": each.score,
        "reason": reason,
        "earned_wei": each.earned_wei,
        "claimed_wei": each.claimed_wei or 0,
        "claimable_wei": each.claimable_wei,
        "slashed_wei": each.slashed_wei,
    }


def _show_fees(invocation: Invocation, ledgers: "Sequence[TaskLedger]", operator: "Address", money: Money) -> None:
    from assay_core.inspect.earnings import fees_of

    shown: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for ledger in ledgers:
        for each in fees_of(ledger, operator):
            fee = each.earned_wei if each.claimed_wei is None else each.claimed_wei
            entry = {
                "task_id": ledger.task_id,
                "epoch": each.epoch,
                "phase": each.phase,
                "revealed": each.has_revealed,
                "fee_wei": fee,
                "claimed_wei": each.claimed_wei or 0,
                "claimable_wei": fee if each.is_claimable else 0,
                "slashed_wei": each.slashed_wei,
            }
            shown.append(entry)
            state = "claimed" if each.claimed_wei is not None else each.phase
            rows.append((f"{ledger.task_id}/{each.epoch}", state, money.show(fee), _why(each, money)))
    lines = table(rows, ("epoch", "state", "fee", "why"), frozenset({2}))
    claimable = sum(entry["claimable_wei"] for entry in shown)
    claimed = sum(entry["claimed_wei"] for entry in shown)
    if not rows:
        lines = [f"{operator} has attested no epoch yet"]
    invocation.emit(
        {
            "operator": operator,
            "role": "verifier",
            "claimable_wei": claimable,
            "claimed_wei": claimed,
            "epochs": shown,
        },
        [*lines, "", f"claimed {money.show(claimed)}, claimable {money.show(claimable)}"],
    )


def _why(each: "FeeEarning", money: Money) -> str:
    """What stands in the way of a fee, and what was lost."""
    parts = ["" if each.has_revealed else "did not reveal"]
    if each.has_revealed and each.is_forfeited:
        parts.append("its policy came too late: nobody gets the fee")
    elif each.has_revealed and each.is_final and each.claimed_wei is None and not each.is_claimable:
        parts.append("waits for its policy")
    parts.append(f"slashed {money.show(each.slashed_wei)}" if each.slashed_wei else "")
    return ", ".join(part for part in parts if part)


# --------------------------------------------------------------------------------------------------- claiming


def _claim(invocation: Invocation, role: "RoleName", task_id: int | None) -> None:
    from assay_protocol.rewards import plan_claim

    chain = invocation.chain()
    due = plan_claim(invocation.connected(chain), invocation.address_of(None), role=role, task_id=task_id)
    data = {"operator": due.operator, "role": role, "amount_wei": due.amount_wei, "claimed": list(due.claimed)}
    if not due.calls:
        nothing = {"dry_run": invocation.is_dry_run, "transactions": [], **data}
        hint = f"nothing to claim for {due.operator} as {role}: see `assay rewards show --role {role}`"
        invocation.emit(nothing, [hint])
        return
    outcome = transact(invocation, chain, due.calls)
    done = f"claimed {chain.money().show(due.amount_wei)} for {due.operator}: {', '.join(due.claimed)}"
    invocation.emit(outcome.json(**data), outcome.lines(done))
