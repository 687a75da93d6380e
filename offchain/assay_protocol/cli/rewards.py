"""`assay rewards`: what each submission earned, and why not; and claiming it."""

from typing import TYPE_CHECKING

import click

from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    address_options,
    bundle_options,
    group,
    pass_invocation,
    state_option,
    task_option,
    transaction_options,
    verifier_option,
)
from assay_protocol.cli.transact import transact

if TYPE_CHECKING:
    from assay_protocol.rewards import RoleName

role_option = click.option(
    "--role", type=click.Choice(["trainer", "verifier"]), default="trainer", show_default=True, help="Earned as what."
)
only_task_option = task_option("Only this task.  [default: all]")


@group("rewards")
def rewards() -> None:
    """See what each submission earned, and why not; claim it."""


@rewards.action("show", example="assay rewards show --keystore worker")
@role_option
@only_task_option
@address_options
@bundle_options
@verifier_option
@pass_invocation
def show(invocation: Invocation, role: "RoleName", task_id: int | None, address: str | None) -> None:
    """Show every submission (or, as a verifier, every epoch): its state, score, what it earned, and why when it did
    not.

    Reasons come from the verifiers' evidence on the relays; `assay explain SUBMISSION` says more.
    """
    from assay_core.inspect.evidence import reasons_of
    from assay_core.inspect.rewards import trainer_rewards, verifier_rewards
    from assay_protocol.rewards import earnings

    who = invocation.address_of(address)
    network = invocation.connected()
    earned, money = earnings(network, who, task_id=task_id), network.chain.money()
    if role == "verifier":
        invocation.emit(*verifier_rewards(earned, money))
    else:
        reasons = reasons_of(invocation.relay_client, invocation.verifier_url, earned)
        invocation.emit(*trainer_rewards(earned, reasons, money))


@rewards.action("claim", example="assay rewards claim --keystore worker")
@role_option
@only_task_option
@transaction_options
@state_option
@pass_invocation
def claim(invocation: Invocation, role: "RoleName", task_id: int | None) -> None:
    """Claim all that is final, in as few transactions as possible.

    Epochs whose challenge window has passed are finalised on the way. The money goes to the operator, also when its
    worker key claims. Submissions that earn nothing are claimed, too: that frees the bond that answered for them.
    """
    _claim(invocation, role, task_id)


@rewards.action("claim-fees", example="assay rewards claim-fees --keystore judge")
@only_task_option
@transaction_options
@state_option
@pass_invocation
def claim_fees(invocation: Invocation, task_id: int | None) -> None:
    """Claim a verifier's fees: the same as `assay rewards claim --role verifier`."""
    _claim(invocation, "verifier", task_id)


def _claim(invocation: Invocation, role: "RoleName", task_id: int | None) -> None:
    from assay_protocol.rewards import plan_claim

    network = invocation.connected()
    due = plan_claim(network, invocation.address_of(), role=role, task_id=task_id)
    data = {"operator": due.operator, "role": role, "amount_wei": due.amount_wei, "claimed": due.claimed}
    if not due.calls:
        nothing = {"dry_run": invocation.is_dry_run, "transactions": [], **data}
        hint = f"nothing to claim for {due.operator} as {role}: see `assay rewards show --role {role}`"
        invocation.emit(nothing, [hint])
        return
    paid = network.chain.money().show(due.amount_wei)
    transact(invocation, due.calls).tell(f"claimed {paid} for {due.operator}: {', '.join(due.claimed)}", **data)
