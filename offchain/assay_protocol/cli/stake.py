"""`assay stake`: bonds of trainers and verifiers, and the hot key that works for a cold one."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay_core.inspect.formatting import duration, fields, moment
from assay_core.protocol.amounts import parse_amount
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Role
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    address_options,
    group,
    pass_invocation,
    require_signer_url,
    task_option,
    transaction_options,
)
from assay_protocol.cli.seats import seats
from assay_protocol.cli.transact import transact
from assay_protocol.network import require_task

if TYPE_CHECKING:
    from assay_core.chain.signers import Signer

# What frees the locked part of a bond.
RELEASES = {"trainer": "`assay rewards claim`", "verifier": "`assay stake release`, an unbonding period after leaving,"}
role_option = click.option(
    "--role", type=click.Choice(["trainer", "verifier"]), required=True, help="What the bond is for."
)


@group("stake")
def stake() -> None:
    """Bond as a trainer or verifier, and take bonds back.

    A bond is what you lose when you cheat. The operator's key that holds it can stay cold: it names a worker key that
    commits to submissions and attests, and can move no money.
    """


stake.add_command(seats)


@stake.action("bond", example="assay stake bond --role trainer 100 --keystore worker")
@role_option
@click.argument("amount")
@transaction_options
@pass_invocation
def bond(invocation: Invocation, role: str, amount: str) -> None:
    """Bond AMOUNT tokens. It counts from the next block on."""
    chain, operator = invocation.chain(), invocation.address_of()
    money = chain.money()
    wei = parse_amount(amount, money.decimals)
    calls = chain.paying(operator, wei, chain.staking.bond(Role[role.upper()], wei))
    done = f"bonded {money.show(wei)} as {role}, operator {operator}"
    transact(invocation, calls).tell(done, operator=operator, role=role, amount_wei=wei)


@stake.action("unbond", example="assay stake unbond --role trainer 100 --keystore worker")
@role_option
@click.argument("amount")
@transaction_options
@pass_invocation
def unbond(invocation: Invocation, role: str, amount: str) -> None:
    """Ask for AMOUNT tokens (or "all") of what is free of a bond back; they are paid out after a while.

    What answers for a task, for submissions that are not claimed yet, or for a juror's seats, is not free: see `assay
    stake show`.
    """
    chain, operator, kind = invocation.chain(), invocation.address_of(), Role[role.upper()]
    money, held = chain.money(), chain.staking.bond_of(operator, kind)
    wei = held.free_wei if amount == "all" else parse_amount(amount, money.decimals)
    if wei > held.free_wei or (amount == "all" and wei == 0):
        raise Stop(
            f"of the {role} bond of {operator} {money.show(held.free_wei)} are free, {money.show(held.locked_wei)} "
            f"are locked for tasks and seats: {RELEASES[role]} frees what can be freed"
        )
    period = duration(chain.staking.unbonding_period_s())
    done = f"unbonding {money.show(wei)}; after {period}, `assay stake withdraw --role {role}` pays it out"
    outcome = transact(invocation, [chain.staking.request_unbond(kind, wei)])
    outcome.tell(done, operator=operator, role=role, amount_wei=wei)


@stake.action("leave", example="assay stake leave --task 1 --role trainer --keystore worker")
@role_option
@task_option("Task to leave.", is_required=True)
@transaction_options
@pass_invocation
def leave(invocation: Invocation, role: str, task_id: int) -> None:
    """End an enlistment, so that nobody waits for you and the bond can be taken back.

    A verifier still judges the epochs that are sealed, and the open one if that has submissions: keep it running until
    then.
    """
    chain = invocation.chain()
    number, operator = require_task(chain, task_id), invocation.operator_of()
    leaving = chain.commitments.delist(number, operator) if role == "trainer" else chain.verifiers.delist(number)
    done = f"{operator} left task {task_id} as {role}; {RELEASES[role]} frees what is still locked"
    transact(invocation, [leaving]).tell(done, task_id=task_id, operator=operator, role=role)


@stake.action("release", example="assay stake release --task 1 --keystore judge")
@task_option("Task that was left.", is_required=True)
@transaction_options
@pass_invocation
def release(invocation: Invocation, task_id: int) -> None:
    """Free the part of a verifier's bond that still answers for a task it left.

    Possible once an unbonding period has passed since it left. What a trainer has locked comes free with its claims:
    `assay rewards claim`.
    """
    chain = invocation.chain()
    number, operator = require_task(chain, task_id), invocation.operator_of()
    early = f"the bond of {operator} answers for task {task_id} until {{from}}: release it then"
    calls = [chain.verifiers.release_bond(number, operator)]
    outcome = transact(invocation, calls, refusals={"StillAnswerable": early})
    done = f"the verifier bond of {operator} no longer answers for task {task_id}"
    outcome.tell(done, task_id=task_id, operator=operator)


@stake.action("withdraw", example="assay stake withdraw --role trainer --keystore worker")
@role_option
@transaction_options
@pass_invocation
def withdraw(invocation: Invocation, role: str) -> None:
    """Pay out what has finished unbonding."""
    from assay_core.chain.events import Withdrawn

    chain, operator = invocation.chain(), invocation.address_of()
    refusals = {
        "StillUnbonding": f"the bond of {operator} is still unbonding: withdraw after {{withdrawableAt}}",
        "NothingToWithdraw": f"nothing of {operator} is unbonding: ask for it with `assay stake unbond` first",
    }
    outcome = transact(invocation, [chain.staking.withdraw(Role[role.upper()])], refusals=refusals)
    paid = outcome.event(Withdrawn)
    wei = paid and paid.amount
    done = f"withdrew {chain.money().show(wei or 0)} to {operator}"
    outcome.tell(done, operator=operator, role=role, amount_wei=wei)


@stake.action("show", example="assay stake show --keystore worker")
@address_options
@pass_invocation
def show(invocation: Invocation, address: str | None) -> None:
    """Show what an operator has bonded, what of it is free, what it is unbonding, and its worker key."""
    operator = invocation.operator_of(address)
    chain = invocation.chain()
    money, worker = chain.money(), chain.staking.worker_of(operator)
    bonds = {role.name.lower(): chain.staking.bond_of(operator, role) for role in Role}
    pairs = [("operator", operator), ("worker key", worker or "none: the operator's own key")]
    for name, held in bonds.items():
        pairs.append((name, f"{money.show(held.bonded_wei)} bonded, {money.show(held.free_wei)} of it free"))
        if held.locked_wei:
            pairs.append(("", f"{money.show(held.locked_wei)} locked for tasks and seats"))
        if held.unbonding_wei:
            pairs.append(("", f"{money.show(held.unbonding_wei)} unbonding until {moment(held.withdrawable_at)}"))
    shown = {name: {**asdict(held), "free_wei": held.free_wei} for name, held in bonds.items()}
    invocation.emit({"operator": operator, "worker": worker, **shown}, fields(pairs))


@stake.action("worker-key", example="assay stake worker-key hot --keystore cold")
@click.argument("worker", metavar="NAME|FILE|ADDRESS|none")
@click.option(
    "--worker-signer", metavar="URL", help="External signer that has the worker key ADDRESS.  [default: as --signer]"
)
@click.option(
    "--worker-password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Password of the worker key's keystore.  [default: as --password-file]",
)
@transaction_options
@pass_invocation
def worker_key(
    invocation: Invocation, worker: str, worker_signer: str | None, worker_password_file: Path | None
) -> None:
    """Let the key in keystore NAME act for the operator's key ("none": take that back).

    The worker key signs its consent, so both passwords are asked for. It can commit to submissions and attest, and
    moves nothing. An ADDRESS is a key of the external signer.
    """
    from assay_protocol.rewards import worker_key_call

    chain, operator = invocation.chain(), invocation.address_of()
    if worker == "none":
        done, hot, call = f"{operator} has no worker key any more", None, chain.staking.remove_worker_key()
    else:
        account = _worker(invocation, worker, worker_signer, worker_password_file)
        hot, call = worker_key_call(chain, operator, account)
        done = f"{hot} acts for {operator} from now on"
    transact(invocation, [call]).tell(done, operator=operator, worker=hot)


def _worker(invocation: Invocation, worker: str, worker_signer: str | None, password_file: Path | None) -> "Signer":
    """Raises Stop: no such key, or it cannot be opened. Unavailable: its signer is away."""
    from eth_utils.address import is_address

    from assay_core.chain.keys import load_account

    if worker_signer is not None:
        require_signer_url(worker_signer)
        return invocation.remote_account(worker_signer, worker)
    if invocation.signer is not None and is_address(worker):
        return invocation.remote_account(invocation.signer, worker)
    path = invocation.keystore_named(worker)
    return load_account(path, invocation.password_of(path, password_file))


@stake.action("renounce", example="assay stake renounce --keystore hot")
@transaction_options
@pass_invocation
def renounce(invocation: Invocation) -> None:
    """End what the chosen key does as the worker key of an operator; sent by the worker key itself."""
    worker, operator = invocation.address_of(), invocation.operator_of()
    if operator == worker:
        raise Stop(f"{worker} is nobody's worker key: choose the worker key with --keystore")
    outcome = transact(invocation, [invocation.chain().staking.renounce_worker_key()])
    outcome.tell(f"{worker} acts for {operator} no longer", operator=operator, worker=worker)
