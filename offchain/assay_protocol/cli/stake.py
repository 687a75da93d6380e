"""`assay stake`: bonds of trainers and verifiers, and the hot key that works for a cold one."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_core.inspect.formatting import duration, fields, moment
from assay_core.protocol.amounts import parse_amount
from assay_core.protocol.errors import Reverted, Stop
from assay_protocol.cli.invocation import Invocation, find_keystore
from assay_protocol.cli.options import (
    address_option,
    chain_options,
    group,
    key_options,
    pass_invocation,
    transaction_options,
)
from assay_protocol.cli.seats import seats
from assay_protocol.cli.transact import transact
from assay_protocol.sending import approval

if TYPE_CHECKING:
    from assay_core.protocol.types import Address, Role

CONSENT_S = 3_600  # for so long a worker key's consent may be used
# What frees the locked part of a bond.
RELEASES = {"trainer": "`assay rewards claim`", "verifier": "`assay stake release`, an unbonding period after leaving,"}
role_option = click.option(
    "--role", type=click.Choice(["trainer", "verifier"]), required=True, help="What the bond is for."
)


@group("stake")
def stake() -> None:
    """Bond as a trainer or verifier, and take bonds back.

    A bond is what you lose when you cheat. The operator's key that holds it can stay cold: it names a worker key that
    submits work and attests, and can move no money.
    """


stake.add_command(seats)


@stake.action("bond", example="assay stake bond --role trainer 100 --keystore worker")
@role_option
@click.argument("amount")
@transaction_options
@pass_invocation
def bond(invocation: Invocation, role: str, amount: str) -> None:
    """Bond AMOUNT tokens. It counts from the next block on."""
    chain = invocation.chain()
    money, operator = chain.money(), invocation.address_of(None)
    wei = parse_amount(amount, money.decimals)
    calls = approval(chain, operator, chain.staking.address, wei)
    outcome = transact(invocation, chain, [*calls, chain.staking.bond(_role(role), wei)])
    result = {"operator": operator, "role": role, "amount_wei": wei}
    invocation.emit(outcome.json(**result), outcome.lines(f"bonded {money.show(wei)} as {role}, operator {operator}"))


@stake.action("unbond", example="assay stake unbond --role trainer 100 --keystore worker")
@role_option
@click.argument("amount")
@transaction_options
@pass_invocation
def unbond(invocation: Invocation, role: str, amount: str) -> None:
    """Ask for AMOUNT tokens (or "all") of what is free of a bond back; they are paid out after a while.

    What answers for a task, for works that are not claimed yet, or for a juror's seats, is not free: see `assay stake
    show`.
    """
    chain = invocation.chain()
    money, operator = chain.money(), invocation.address_of(None)
    held = chain.staking.bond_of(operator, _role(role))
    wei = held.free_wei if amount == "all" else parse_amount(amount, money.decimals)
    if wei > held.free_wei or (amount == "all" and wei == 0):
        raise Stop(
            f"of the {role} bond of {operator} {money.show(held.free_wei)} are free, {money.show(held.locked_wei)} "
            f"are locked for tasks and seats: {RELEASES[role]} frees what can be freed"
        )
    outcome = transact(invocation, chain, [chain.staking.request_unbond(_role(role), wei)])
    period = duration(chain.staking.unbonding_period_s())
    done = f"unbonding {money.show(wei)}; after {period}, `assay stake withdraw --role {role}` pays it out"
    invocation.emit(outcome.json(operator=operator, role=role, amount_wei=wei), outcome.lines(done))


@stake.action("leave", example="assay stake leave --task 1 --role trainer --keystore worker")
@role_option
@click.option("--task", "task_id", metavar="ID", type=click.IntRange(min=1), required=True, help="Task to leave.")
@transaction_options
@pass_invocation
def leave(invocation: Invocation, role: str, task_id: int) -> None:
    """End an enlistment, so that nobody waits for you and the bond can be taken back.

    A verifier still judges the epochs that are sealed, and the open one if that has works: keep it running until then.
    """
    from assay_core.protocol.types import TaskId
    from assay_protocol.network import require_task

    chain = invocation.chain()
    require_task(chain, task_id)
    number, operator = TaskId(task_id), chain.staking.operator_of(invocation.address_of(None))
    leaving = chain.commitments.delist(number, operator) if role == "trainer" else chain.verifiers.delist(number)
    outcome = transact(invocation, chain, [leaving])
    result = {"task_id": task_id, "operator": operator, "role": role}
    done = f"{operator} left task {task_id} as {role}; {RELEASES[role]} frees what is still locked"
    invocation.emit(outcome.json(**result), outcome.lines(done))


@stake.action("release", example="assay stake release --task 1 --keystore judge")
@click.option("--task", "task_id", metavar="ID", type=click.IntRange(min=1), required=True, help="Task that was left.")
@transaction_options
@pass_invocation
def release(invocation: Invocation, task_id: int) -> None:
    """Free the part of a verifier's bond that still answers for a task it left.

    Possible once an unbonding period has passed since it left. What a trainer has locked comes free with its claims:
    `assay rewards claim`.
    """
    from assay_core.protocol.types import TaskId
    from assay_protocol.network import require_task

    chain = invocation.chain()
    require_task(chain, task_id)
    number, operator = TaskId(task_id), chain.staking.operator_of(invocation.address_of(None))
    try:
        outcome = transact(invocation, chain, [chain.verifiers.release_bond(number, operator)])
    except Reverted as error:
        if error.error == "StillAnswerable":
            when = moment(int(str(error.arguments["from"])))
            raise Stop(f"the bond of {operator} answers for task {task_id} until {when}: release it then") from error
        raise
    result = {"task_id": task_id, "operator": operator}
    done = f"the verifier bond of {operator} no longer answers for task {task_id}"
    invocation.emit(outcome.json(**result), outcome.lines(done))


@stake.action("withdraw", example="assay stake withdraw --role trainer --keystore worker")
@role_option
@transaction_options
@pass_invocation
def withdraw(invocation: Invocation, role: str) -> None:
    """Pay out what has finished unbonding."""
    from assay_core.chain.events import Withdrawn

    chain = invocation.chain()
    operator, money = invocation.address_of(None), chain.money()
    try:
        outcome = transact(invocation, chain, [chain.staking.withdraw(_role(role))])
    except Reverted as error:
        if error.error == "StillUnbonding":
            when = moment(int(str(error.arguments["withdrawableAt"])))
            raise Stop(f"the bond of {operator} is still unbonding: withdraw after {when}") from error
        if error.error == "NothingToWithdraw":
            raise Stop(f"nothing of {operator} is unbonding: ask for it with `assay stake unbond` first") from error
        raise
    wei = None if outcome.last is None else outcome.last.event(Withdrawn).amount
    result = {"operator": operator, "role": role, "amount_wei": wei}
    invocation.emit(outcome.json(**result), outcome.lines(f"withdrew {money.show(wei or 0)} to {operator}"))


@stake.action("show", example="assay stake show --keystore worker")
@address_option
@chain_options
@key_options
@pass_invocation
def show(invocation: Invocation, address: str | None) -> None:
    """Show what an operator has bonded, what of it is free, what it is unbonding, and its worker key."""
    from assay_core.protocol.types import Role

    key = invocation.address_of(address)
    chain = invocation.chain()
    money, operator = chain.money(), chain.staking.operator_of(key)
    worker = chain.staking.worker_of(operator)
    bonds = {role.name.lower(): chain.staking.bond_of(operator, role) for role in Role}
    pairs: list[tuple[str, str]] = [("operator", operator), ("worker key", worker or "none: the operator's own key")]
    for name, held in bonds.items():
        pairs.append((name, f"{money.show(held.bonded_wei)} bonded, {money.show(held.free_wei)} of it free"))
        if held.locked_wei:
            pairs.append(("", f"{money.show(held.locked_wei)} locked for tasks and seats"))
        if held.unbonding_wei:
            pairs.append(("", f"{money.show(held.unbonding_wei)} unbonding until {moment(held.withdrawable_at)}"))
    shown = {name: {**asdict(held), "free_wei": held.free_wei} for name, held in bonds.items()}
    data: dict[str, Any] = {"operator": operator, "worker": worker, **shown}
    invocation.emit(data, fields(pairs))


@stake.action("worker-key", example="assay stake worker-key hot --keystore cold")
@click.argument("worker", metavar="NAME|FILE|none")
@click.option(
    "--worker-password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Password of the worker key's keystore.  [default: as --password-file]",
)
@transaction_options
@pass_invocation
def worker_key(invocation: Invocation, worker: str, worker_password_file: Path | None) -> None:
    """Let the key in keystore NAME work for the operator's key ("none": take that back).

    The worker key signs its consent, so both passwords are asked for. It can submit work and attest, and moves nothing.
    """
    chain = invocation.chain()
    operator = invocation.address_of(None)
    if worker == "none":
        call, hot = chain.staking.remove_worker_key(), None
    else:
        from assay_core.chain.keys import WorkerConsent, load_account, read_password, sign_worker_key

        path = find_keystore(worker, invocation.keys_folder)
        if not path.is_file():
            raise Stop(f"no key {worker!r} ({path}): make one with `assay keys new`, or name another")
        password = read_password(worker_password_file or invocation.password_path, f"Password of {path.stem}: ")
        account = load_account(path, password)
        hot = chain_address(account.address)
        deadline = chain.now() + CONSENT_S
        consent = WorkerConsent(operator, hot, chain.staking.worker_nonce_of(hot), deadline)
        signature = sign_worker_key(account, chain.deployment.chain_id, chain.staking.address, consent)
        call = chain.staking.set_worker_key(hot, deadline, signature)
    outcome = transact(invocation, chain, [call])
    done = f"{operator} has no worker key any more" if hot is None else f"{hot} works for {operator} from now on"
    invocation.emit(outcome.json(operator=operator, worker=hot), outcome.lines(done))


@stake.action("renounce", example="assay stake renounce --keystore hot")
@transaction_options
@pass_invocation
def renounce(invocation: Invocation) -> None:
    """End what the chosen key does as the worker key of an operator; sent by the worker key itself."""
    chain = invocation.chain()
    worker = invocation.address_of(None)
    operator = chain.staking.operator_of(worker)
    if operator == worker:
        raise Stop(f"{worker} is nobody's worker key: choose the worker key with --keystore")
    outcome = transact(invocation, chain, [chain.staking.renounce_worker_key()])
    done = f"{worker} works for {operator} no longer"
    invocation.emit(outcome.json(operator=operator, worker=worker), outcome.lines(done))


def chain_address(address: str) -> "Address":
    from assay_core.protocol.types import Address

    return Address(address)


def _role(name: str) -> "Role":
    from assay_core.protocol.types import Role

    return Role[name.upper()]
