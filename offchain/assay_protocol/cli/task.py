"""`assay task`: what an initiator does."""

from pathlib import Path

import click

from assay_core.protocol.amounts import parse_amount
from assay_core.protocol.errors import Reverted
from assay_core.protocol.types import TaskId
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    bundle_options,
    chain_options,
    existing_file,
    group,
    pass_invocation,
    task_argument,
    transaction_options,
)
from assay_protocol.cli.transact import transact
from assay_protocol.network import require_task
from assay_protocol.tasks import example_task, example_tasks


@group("task")
def task() -> None:
    """Open, list, show, fund, close and refund tasks."""


@task.action("open", example="assay task open examples/sorting.toml --keystore initiator")
@click.argument("spec_file", metavar="SPEC.TOML", type=existing_file)
@transaction_options
@bundle_options
@pass_invocation
def open_task(invocation: Invocation, spec_file: Path) -> None:
    """Open the task that SPEC.TOML describes, and escrow its budget.

    Builds policy version 0, sends the transaction (and the approval it needs), then uploads spec and policy to the
    relays. When the upload fails, `assay task upload ID` finishes it.
    """
    from assay_core.chain.events import TaskOpened
    from assay_core.inspect.task import weight_needed
    from assay_core.protocol.economics import needed_electorate
    from assay_protocol.opening import build_task, explain_refusal, opening_calls, terms_of, upload_opened
    from assay_protocol.task_file import load_task_file

    task_file = load_task_file(spec_file)
    network = invocation.connected()
    terms = terms_of(network, task_file, needs_relays=not invocation.is_dry_run)
    click.echo("building policy version 0 …", err=True)
    bundles = build_task(task_file, network.state_dir / "tasks")
    try:
        outcome = transact(invocation, opening_calls(network.chain, invocation.address_of(), bundles, terms))
    except Reverted as error:
        raise explain_refusal(error, terms) from error
    opened = outcome.event(TaskOpened)
    if opened is not None:
        upload_opened(network, opened.task_id, bundles, invocation.account())
    task_id, spec_root, policy_root = opened and opened.task_id, bundles.task.root, bundles.policy.root
    outcome.tell(
        f"opened task {task_id}: {task_file.spec.title}",
        f"  budget {terms.money.show(terms.budget_wei)} in escrow",
        f"  verifiers needed: {weight_needed(terms.params, terms.money)}",
        f"  spec {spec_root.hex()}, policy version 0 {policy_root.hex()}, both on the relays",
        task_id=task_id,
        budget_wei=terms.budget_wei,
        spec_root=spec_root,
        policy_root=policy_root,
        policy_bytes=bundles.policy.size_bytes,
        needed_weight_wei=needed_electorate(terms.params, terms.params.max_epoch_units),
    )


@task.action("example", example="assay task example sorting > task.toml")
@click.argument("name", metavar="[NAME]", required=False)
@pass_invocation
def show_example(invocation: Invocation, name: str | None) -> None:
    """Print an example of a task file to start from; without NAME, list the examples."""
    if name is None:
        names = [path.stem for path in example_tasks()]
        invocation.emit({"examples": names}, names)
        return
    text = example_task(name).read_text(encoding="utf-8")
    invocation.emit({"name": name, "text": text}, text.splitlines())


@task.action("upload", example="assay task upload 1 --keystore initiator")
@task_argument
@transaction_options
@bundle_options
@pass_invocation
def upload_task(invocation: Invocation, task_id: int) -> None:
    """Put a task's spec and policy version 0 on the relays (again). Costs nothing when they are there."""
    from assay_protocol.opening import find_bundles, upload

    network = invocation.connected()
    record = network.task(task_id).task
    bundles = find_bundles(network.state_dir / "tasks", [record.spec_hash, record.policy_root])
    if not invocation.is_dry_run:
        with network.open_transport() as transport:
            upload(transport, bundles, invocation.account())
    done = "would upload" if invocation.is_dry_run else "uploaded"
    invocation.emit(
        {"dry_run": invocation.is_dry_run, "task_id": task_id, "folder": bundles.folder},
        [f"{done} spec and policy of task {task_id} from {bundles.folder}"],
    )


@task.action("list", example="assay task list")
@chain_options
@pass_invocation
def list_tasks(invocation: Invocation) -> None:
    """List all tasks of the network with their state and budget."""
    from assay_core.inspect.task import summary_lines, task_summary

    chain = invocation.chain()
    found = [task_summary(chain, TaskId(number)) for number in range(1, chain.registry.task_count() + 1)]
    nothing = ["no tasks yet: open one with `assay task open SPEC.TOML`"]
    invocation.emit({"tasks": found}, summary_lines(found, chain.money()) if found else nothing)


@task.action("show", example="assay task show 1")
@task_argument
@chain_options
@bundle_options
@pass_invocation
def show_task(invocation: Invocation, task_id: int) -> None:
    """Show a task: what it asks, its terms, its epochs and their submissions."""
    from assay_core.inspect.task import task_json, task_lines, task_summary
    from assay_protocol.lookup import spec_if_any

    network = invocation.connected()
    ledger = network.task(task_id)
    spec, why = spec_if_any(network, ledger)
    asked = [("asks for", spec.title), ("environment", spec.environment.name)] if spec else [("asks for", f"? ({why})")]
    summary = task_summary(network.chain, ledger.task_id)
    invocation.emit(task_json(summary, ledger, spec), task_lines(summary, ledger, asked, network.chain.money()))


@task.action("fund", example="assay task fund 1 50 --keystore initiator")
@task_argument
@click.argument("amount")
@transaction_options
@pass_invocation
def fund_task(invocation: Invocation, task_id: int, amount: str) -> None:
    """Add AMOUNT tokens to a task's budget. Anybody may."""
    chain = invocation.chain()
    number, money = require_task(chain, task_id), chain.money()
    wei = parse_amount(amount, money.decimals)
    outcome = transact(invocation, chain.paying(invocation.address_of(), wei, chain.registry.fund_task(number, wei)))
    outcome.tell(f"added {money.show(wei)} to the budget of task {task_id}", task_id=task_id, amount_wei=wei)


@task.action("close", example="assay task close 1 --keystore initiator")
@task_argument
@transaction_options
@pass_invocation
def close_task(invocation: Invocation, task_id: int) -> None:
    """End a task: no further epoch opens; submissions already committed are still judged and paid.

    An open epoch keeps its window; if it has no submission, it takes submissions for one window more.
    """
    chain = invocation.chain()
    outcome = transact(invocation, [chain.registry.close_task(require_task(chain, task_id))])
    done = f"closed task {task_id}; `assay task refund {task_id}` returns what is left once its last epoch is final"
    outcome.tell(done, task_id=task_id)


@task.action("refund", example="assay task refund 1 --keystore initiator")
@task_argument
@transaction_options
@pass_invocation
def refund_task(invocation: Invocation, task_id: int) -> None:
    """Return what a closed task no longer needs to its initiator.

    Ends its last epoch, if nobody committed a submission to that and its window is over.
    """
    from assay_core.chain.events import TaskRefunded
    from assay_protocol.opening import refunding_calls

    chain = invocation.chain()
    outcome = transact(invocation, refunding_calls(chain, require_task(chain, task_id)))
    refunded = outcome.event(TaskRefunded)
    wei = refunded and refunded.amount
    outcome.tell(f"refunded {chain.money().show(wei or 0)} of task {task_id}", task_id=task_id, amount_wei=wei)
