"""A task as people and programs read it: who pays what, on which terms, and how far it has come."""

from collections.abc import Sequence
from typing import Any

from assay_core.chain.connection import Chain
from assay_core.chain.ledger import TaskLedger
from assay_core.inspect import wording as words
from assay_core.inspect.epochs import epoch_json, phase_words
from assay_core.inspect.formatting import duration, fields, table
from assay_core.protocol.amounts import Money, plain
from assay_core.protocol.economics import challenge_cost, needed_electorate
from assay_core.protocol.encoding import panel_class
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import (
    DEFAULT_CLASS,
    SCORE_FRAUD,
    SCORE_UNAVAILABLE,
    PanelClass,
    SubmissionKind,
    TaskId,
    TaskParams,
)

WINDOWS = ("commit", "attest", "reveal", "challenge", "appeal")


def task_summary(chain: Chain, task_id: TaskId) -> dict[str, Any]:
    """Where a task stands now. Raises Unavailable."""
    held, opened = chain.registry.money_of(task_id), chain.commitments.open_epoch_of(task_id)
    return {
        "task_id": task_id,
        "initiator": chain.registry.origin_of(task_id).initiator,
        "status": "closed" if held.is_closed else "open" if opened.is_open else "waiting for funds",
        "open_epoch": opened.epoch,
        "policy_version": chain.policies.policy_of(task_id).version,
        "enlisted_trainers": chain.commitments.trainers_of(task_id).trainers,
        "unit_price_wei": chain.registry.params_of(task_id).kinds[SubmissionKind.FULL].unit_price,
        "budget_wei": held.budget_wei,
        "reserved_wei": held.reserved_wei,
    }


def summary_lines(summaries: Sequence[dict[str, Any]], money: Money) -> list[str]:
    """One line a task."""
    columns = ("task_id", "status", "open_epoch", "policy_version", "enlisted_trainers")
    rows = [
        (
            *(str(each[name]) for name in columns),
            money.show(each["unit_price_wei"]) if each["unit_price_wei"] else "other submissions",
            money.show(each["budget_wei"]),
        )
        for each in summaries
    ]
    head = ("id", "status", "epoch", "policy", "trainers", "pays per unit", "budget left")
    return table(rows, head, frozenset({0, 2, 3, 4, 5, 6}))


def task_json(summary: dict[str, Any], ledger: TaskLedger, spec: TaskSpec | None) -> dict[str, Any]:
    """A task for programs; `spec` is None where nobody has it now."""
    return {
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


def task_lines(
    summary: dict[str, Any], ledger: TaskLedger, asked: Sequence[tuple[str, str]], money: Money
) -> list[str]:
    """The same for people; `asked`: what is known of its spec."""
    epochs = [
        (str(record.epoch), phase_words(record), str(len(record.submissions)), _scores(record.scores))
        for record in ledger.epochs.values()
    ]
    pairs = [
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
    return [*fields(pairs), "", *table(epochs, ("epoch", "phase", "submissions", "scores"), frozenset({0, 2}))]


def weight_needed(params: TaskParams, money: Money) -> str:
    """How much weight of verifiers a full epoch needs."""
    needed = money.show(needed_electorate(params, params.max_epoch_units))
    units = f"{params.max_epoch_units:,} units"
    return f"{needed} of weight together, to judge an epoch of {units}; one with too little of it is void"


def _terms(params: TaskParams, money: Money) -> list[tuple[str, str]]:
    epochs = str(params.max_epochs) if params.max_epochs else "until it is closed"
    submissions = f"{params.max_submission_units} units a submission, {params.max_epoch_units} an epoch"
    if params.max_submissions_each > 1:
        submissions += f", {params.max_submissions_each} submissions of one trainer"
    pays = ", ".join(
        f"{money.show(params.kinds[kind].unit_price)} per unit of {words.kind(kind)} submissions"
        for kind in params.kinds_asked_for
    )
    windows = ", ".join(f"{name} {duration(getattr(params, f'{name}_window'))}" for name in WINDOWS)
    return [
        ("pays", f"{pays}; {submissions}; epochs: {epochs}"),
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
        ("verifiers get", f"{money.show(params.verifier_fee)} for a full epoch whose submissions are paid, together"),
        ("verifiers need", weight_needed(params, money)),
        (
            "checks",
            f"{plain(params.sampling_bps, 4)} of submissions replayed, quorum {plain(params.quorum_bps, 4)}, "
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
    return (
        " ".join({SCORE_FRAUD: "fraud", SCORE_UNAVAILABLE: "unavailable"}.get(each, str(each)) for each in scores)
        or "-"
    )


def _class_name(found: PanelClass) -> str:
    """Only a hash is on the chain: the default's name is known."""
    return DEFAULT_CLASS if found == panel_class(DEFAULT_CLASS) else found.hex()
