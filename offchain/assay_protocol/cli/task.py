"""`assay task`: what an initiator does."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_core.inspect.formatting import duration, fields, table
from assay_core.protocol.amounts import Money, parse_amount, plain
from assay_core.protocol.errors import Reverted
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    chain_options,
    existing_file,
    group,
    pass_invocation,
    relay_options,
    state_option,
    transaction_options,
)
from assay_protocol.cli.transact import transact
from assay_protocol.network import require_task
from assay_protocol.sending import approval

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.chain.contracts import Call
    from assay_core.protocol.types import PanelClass, TaskId, TaskParams
    from assay_protocol.opening import Bundles

TaskNumber = click.IntRange(min=1)


@group("task")
def task() -> None:
    """Open, list, show, fund, close and refund tasks."""


@task.action("open", example="assay task open examples/sorting.toml --keystore initiator")
@click.argument("spec_file", metavar="SPEC.TOML", type=existing_file)
@transaction_options
@relay_options
@state_option
@pass_invocation
def open_task(invocation: Invocation, spec_file: Path) -> None:
    """Open the task that SPEC.TOML describes, and escrow its budget.

    Builds policy version 0, sends the transaction (and the approval it needs), then uploads spec and policy to the
    relays. When the upload fails, `assay task upload ID` finishes it.
    """
    from assay_core.chain.events import TaskOpened
    from assay_core.protocol.economics import needed_electorate
    from assay_protocol.opening import build_task, explain_refusal, opening_call, refuse_hopeless, upload_opened
    from assay_protocol.task_file import load_task_file

    task_file = load_task_file(spec_file)
    chain = invocation.chain()
    money = chain.money()
    params, budget = task_file.params(money.decimals), task_file.budget_wei(money.decimals)
    network = invocation.connected(chain)
    refuse_hopeless(network, params, budget, money, needs_relays=not invocation.is_dry_run)
    click.echo("building policy version 0 …", err=True)
    bundles = build_task(task_file, bundles_folder(invocation))
    calls = approval(chain, invocation.address_of(None), chain.registry.address, budget)
    account = invocation.account()
    try:
        outcome = transact(invocation, chain, [*calls, opening_call(chain, bundles, params, budget)], account)
    except Reverted as error:
        raise explain_refusal(error, params, money.symbol, money.decimals) from error
    result = {**_described(bundles, budget), "needed_weight_wei": needed_electorate(params, params.max_epoch_units)}
    if outcome.last is None:
        invocation.emit(outcome.json(task_id=None, **result), outcome.lines(""))
        return
    task_id = outcome.last.event(TaskOpened).task_id
    upload_opened(network, task_id, bundles, account)
    lines = [f"opened task {task_id}: {task_file.spec.title}", f"  budget {money.show(budget)} in escrow"]
    lines.append(f"  verifiers needed: {_needed_weight(params, money)}")
    lines += [f"  spec {bundles.task.root.hex()}, policy version 0 {bundles.policy.root.hex()}, both on the relays"]
    invocation.emit(outcome.json(task_id=task_id, **result), [*lines, *outcome.lines("")[1:]])


@task.action("example", example="assay task example sorting > task.toml")
@click.argument("name", metavar="[NAME]", required=False)
@pass_invocation
def example_task(invocation: Invocation, name: str | None) -> None:
    """Print an example of a task file to start from; without NAME, list the examples."""
    from assay_protocol.tasks import example_task, example_tasks

    if name is None:
        names = [path.stem for path in example_tasks()]
        invocation.emit({"examples": names}, names)
        return
    text = example_task(name).read_text()
    invocation.emit({"name": name, "text": text}, text.splitlines())


@task.action("upload", example="assay task upload 1 --keystore initiator")
@click.argument("task_id", metavar="ID", type=TaskNumber)
@transaction_options
@relay_options
@state_option
@pass_invocation
def upload_task(invocation: Invocation, task_id: int) -> None:
    """Put a task's spec and policy version 0 on the relays (again). Costs nothing when they are there."""
    from assay_protocol.cli.history import task_ledger
    from assay_protocol.opening import find_bundles, upload

    chain = invocation.chain()
    require_task(chain, task_id)
    record = task_ledger(invocation, chain, task_id).task
    bundles = find_bundles(bundles_folder(invocation), [record.spec_hash, record.policy_root])
    if not invocation.is_dry_run:
        with invocation.relay_client() as client:
            upload(client, bundles, invocation.account())
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
    chain = invocation.chain()
    money = chain.money()
    found = [_summary(chain, number) for number in range(1, chain.registry.task_count() + 1)]
    rows = [
        (
            str(each["task_id"]),
            each["status"],
            str(each["open_epoch"]),
            str(each["policy_version"]),
            str(each["enlisted_trainers"]),
            money.show(each["unit_price_wei"]) if each["unit_price_wei"] else "other works",
            money.show(each["budget_wei"]),
        )
        for each in found
    ]
    head = ("id", "status", "epoch", "policy", "trainers", "pays per unit", "budget left")
    nothing = ["no tasks yet: open one with `assay task open SPEC.TOML`"]
    invocation.emit({"tasks": found}, table(rows, head, frozenset({0, 2, 3, 4, 5, 6})) if rows else nothing)


@task.action("show", example="assay task show 1")
@click.argument("task_id", metavar="ID", type=TaskNumber)
@chain_options
@relay_options
@state_option
@pass_invocation
def show_task(invocation: Invocation, task_id: int) -> None:
    """Show a task: what it asks, its terms, its epochs and their works."""
    from assay_core.inspect.epochs import epoch_json, phase_of
    from assay_protocol.cli.history import spec_if_any, task_ledger

    chain = invocation.chain()
    require_task(chain, task_id)
    money, summary = chain.money(), _summary(chain, task_id)
    ledger = task_ledger(invocation, chain, task_id)
    spec, why = spec_if_any(invocation, ledger)
    asked = [("asks for", spec.title), ("environment", spec.environment.name)] if spec else [("asks for", f"? ({why})")]
    epochs = [
        (str(record.epoch), phase_of(record), str(len(record.works)), _scores(record.scores))
        for record in ledger.epochs.values()
    ]
    lines = fields(
        [
            *asked,
            ("initiator", summary["initiator"]),
            ("status", summary["status"]),
            ("budget left", f"{money.show(summary['budget_wei'])}, reserved {money.show(summary['reserved_wei'])}"),
            ("policy", f"version {summary['policy_version']}, {ledger.newest_policy().policy_root.hex()}"),
            ("trainers", ", ".join(sorted(ledger.trainers)) or "none yet"),
            ("verifiers", ", ".join(sorted(ledger.verifiers)) or "none yet"),
            *_terms(ledger.task.params, money),
            ("terms", ledger.task.terms_hash.hex()),
        ]
    )
    document = {
        **summary,
        "spec": spec.model_dump(mode="json") if spec else None,
        "spec_root": ledger.task.spec_hash,
        "params": ledger.task.params,
        "trainers": sorted(ledger.trainers),
        "verifiers": sorted(ledger.verifiers),
        "weight_wei": sum(ledger.verifiers.values()),
        "terms_hash": ledger.task.terms_hash,
        "epochs": [epoch_json(record) for record in ledger.epochs.values()],
    }
    invocation.emit(document, [*lines, "", *table(epochs, ("epoch", "phase", "works", "scores"), frozenset({0, 2}))])


@task.action("fund", example="assay task fund 1 50 --keystore initiator")
@click.argument("task_id", metavar="ID", type=TaskNumber)
@click.argument("amount")
@transaction_options
@pass_invocation
def fund_task(invocation: Invocation, task_id: int, amount: str) -> None:
    """Add AMOUNT tokens to a task's budget. Anybody may."""
    from assay_core.protocol.types import TaskId

    chain = invocation.chain()
    require_task(chain, task_id)
    money = chain.money()
    wei = parse_amount(amount, money.decimals)
    calls = approval(chain, invocation.address_of(None), chain.registry.address, wei)
    outcome = transact(invocation, chain, [*calls, chain.registry.fund_task(TaskId(task_id), wei)])
    result = {"task_id": task_id, "amount_wei": wei}
    invocation.emit(outcome.json(**result), outcome.lines(f"added {money.show(wei)} to the budget of task {task_id}"))


@task.action("close", example="assay task close 1 --keystore initiator")
@click.argument("task_id", metavar="ID", type=TaskNumber)
@transaction_options
@pass_invocation
def close_task(invocation: Invocation, task_id: int) -> None:
    """End a task: no further epoch opens; works already committed are still judged and paid.

    An open epoch keeps its window; if it has no work, it takes works for one window more.
    """
    from assay_core.protocol.types import TaskId

    chain = invocation.chain()
    require_task(chain, task_id)
    outcome = transact(invocation, chain, [chain.registry.close_task(TaskId(task_id))])
    done = f"closed task {task_id}; `assay task refund {task_id}` returns what is left once its last epoch is final"
    invocation.emit(outcome.json(task_id=task_id), outcome.lines(done))


@task.action("refund", example="assay task refund 1 --keystore initiator")
@click.argument("task_id", metavar="ID", type=TaskNumber)
@transaction_options
@pass_invocation
def refund_task(invocation: Invocation, task_id: int) -> None:
    """Return what a closed task no longer needs to its initiator.

    Ends its last epoch, if nobody committed a work to that and its window is over.
    """
    from assay_core.chain.events import TaskRefunded
    from assay_core.protocol.types import TaskId

    chain = invocation.chain()
    require_task(chain, task_id)
    number = TaskId(task_id)
    outcome = transact(invocation, chain, [*_abandonment(chain, number), chain.registry.refund_task(number)])
    wei = None if outcome.last is None else outcome.last.event(TaskRefunded).amount
    done = f"refunded {chain.money().show(wei or 0)} of task {task_id}"
    invocation.emit(outcome.json(task_id=task_id, amount_wei=wei), outcome.lines(done))


# ------------------------------------------------------------------------------------------------ shared, small


def bundles_folder(invocation: Invocation) -> Path:
    """Where `open` leaves a task's bundles, and `upload` looks for them."""
    return invocation.state_folder("tasks")


def _described(bundles: "Bundles", budget_wei: int) -> dict[str, Any]:
    return {
        "budget_wei": budget_wei,
        "spec_root": bundles.task.root,
        "policy_root": bundles.policy.root,
        "policy_bytes": bundles.policy.size_bytes,
    }


def _abandonment(chain: "Chain", task_id: "TaskId") -> "list[Call]":
    """The call that ends the last epoch of a closed task, where it is due: what that reserves comes free."""
    if not chain.registry.money_of(task_id).is_closed:
        return []
    opened = chain.commitments.open_epoch_of(task_id)
    if not opened.is_open or opened.works or chain.now() < chain.commitments.epoch_of(task_id, opened.epoch).commit_by:
        return []
    return [chain.commitments.abandon_epoch(task_id)]


def _needed_weight(params: "TaskParams", money: Money) -> str:
    from assay_core.protocol.economics import needed_electorate

    needed = money.show(needed_electorate(params, params.max_epoch_units))
    units = f"{params.max_epoch_units:,} units"
    return f"{needed} of weight together, to judge an epoch of {units}; one with too little of it is void"


def _summary(chain: "Chain", task_id: int) -> dict[str, Any]:
    from assay_core.protocol.types import TaskId, WorkKind

    number = TaskId(task_id)
    origin, held, params = (
        chain.registry.origin_of(number),
        chain.registry.money_of(number),
        chain.registry.params_of(number),
    )
    opened = chain.commitments.open_epoch_of(number)
    return {
        "task_id": task_id,
        "initiator": origin.initiator,
        "status": "closed" if held.is_closed else "open" if opened.is_open else "waiting for funds",
        "open_epoch": opened.epoch,
        "policy_version": chain.policies.policy_of(number).version,
        "enlisted_trainers": chain.commitments.trainers_of(number).trainers,
        "unit_price_wei": params.kinds[WorkKind.FULL].unit_price,
        "budget_wei": held.budget_wei,
        "reserved_wei": held.reserved_wei,
    }


def _terms(params: "TaskParams", money: Money) -> list[tuple[str, str]]:
    from assay_core.inspect import wording as words
    from assay_core.protocol.economics import challenge_cost

    epochs = str(params.max_epochs) if params.max_epochs else "until it is closed"
    works = f"{params.max_work_units} units a work, {params.max_epoch_units} an epoch"
    if params.max_works_each > 1:
        works += f", {params.max_works_each} works of one trainer"
    pays = ", ".join(
        f"{money.show(params.kinds[kind].unit_price)} per unit of {words.kind(kind)} works"
        for kind in params.kinds_asked_for
    )
    windows = ", ".join(
        f"{name} {duration(getattr(params, f'{name}_window'))}"
        for name in ("commit", "attest", "reveal", "challenge", "appeal")
    )
    return [
        ("pays", f"{pays}; {works}; epochs: {epochs}"),
        ("bonds", f"trainer {money.show(params.trainer_bond)}, verifier {money.show(params.verifier_bond)}"),
        (
            "slashes",
            f"fraud {money.show(params.fraud_slash)}; of a verifier's weight {_percent(params.absence_slash_bps)} for "
            f"absence, {_percent(params.verdict_slash_bps)} for a verdict that a panel overturns",
        ),
        (
            "challenges",
            f"bond {money.show(params.challenge_bond)}, judging prepaid: {money.show(challenge_cost(params))} in "
            f"all, {money.show(params.juror_fee)} for each seat of a panel",
        ),
        ("verifiers get", f"{money.show(params.verifier_fee)} per epoch together"),
        ("verifiers need", _needed_weight(params, money)),
        (
            "checks",
            f"{plain(params.sampling_bps, 4)} of works replayed, quorum {plain(params.quorum_bps, 4)}, "
            f"policies up to {params.max_staleness} versions old",
        ),
        ("windows", windows),
        ("protocol", f"version {params.protocol_version}; panels of class {_class_name(params.panel_class)}"),
    ]


def _percent(bps: int) -> str:
    return f"{plain(bps, 2)} %"


def _scores(scores: bytes | None) -> str:
    if scores is None:
        return "-"
    return " ".join({255: "fraud", 254: "unavailable"}.get(score, str(score)) for score in scores) or "-"


def _class_name(found: "PanelClass") -> str:
    """Only a hash is on the chain: the default's name is known."""
    from assay_core.protocol.encoding import panel_class
    from assay_protocol.task_file import DEFAULT_CLASS

    return DEFAULT_CLASS if found == panel_class(DEFAULT_CLASS) else found.hex()
