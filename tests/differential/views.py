"""All that an outsider can see of the contracts, beside what the model says it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offchain.protocol.model import NOBODY, Network
from offchain.protocol.model.attestations import Standing
from offchain.protocol.model.registry import Task
from offchain.protocol.types import Address, Role
from tests.differential.calls import read_answer, view_data
from tests.differential.node import Ledger

SETTLED = (1).to_bytes(32, "big")  # what `workHash` says of a work that is paid or slashed
NONE = bytes(32)
INDICES = 6  # of an epoch's works: one more than there are people who make some

View = tuple[str, str, tuple[Any, ...], Any]  # contract, function, arguments, what the model says


class Disagreement(AssertionError):
    """The contracts and the model are not of one mind."""


@dataclass(frozen=True, slots=True)
class Differences:
    compared: int
    wrong: list[str]


def views_of(
    model: Network, contracts: Mapping[str, Address], people: Sequence[Address], recent: int | None = None
) -> list[View]:
    """`recent`: of each task, look only at so many of the newest epochs; None: at all."""
    views = [*_money(model, contracts, people), *_stakes(model, people), *_policies(model)]
    for task_id, task in model.registry.tasks.items():
        first = 0 if recent is None else max(0, task.open_epoch - recent)
        for epoch in range(first, task.open_epoch + 1):
            views += [*_epoch(model, task_id, task, epoch), *_challenges(model, task_id, epoch, people)]
            views += _standings(model, task_id, task, epoch, people)
    return views


def differences(ledger: Ledger, contracts: Mapping[str, Address], views: Sequence[View]) -> Differences:
    answers = ledger.call([(contracts[contract], view_data(contract, name, args)) for contract, name, args, _ in views])
    wrong: list[str] = []
    for (contract, name, arguments, expected), answer in zip(views, answers, strict=True):
        said = read_answer(contract, name, answer)
        if _plain(said) != _plain(expected):
            wrong.append(f"{contract}.{name}{arguments}: the contract says {said}, the model {expected}")
    return Differences(len(views), wrong)


def _money(model: Network, contracts: Mapping[str, Address], people: Sequence[Address]) -> Iterator[View]:
    for holder in (*people, *contracts.values()):
        yield "AssayToken", "balanceOf", (holder,), model.token.balance_of(holder)
    for owner in people:
        for spender in (contracts["Staking"], contracts["TaskRegistry"]):
            allowed = model.token.allowances.get((owner, spender), 0)
            yield "AssayToken", "allowance", (owner, spender), allowed
    yield "TaskRegistry", "taskCount", (), len(model.registry.tasks)
    for task_id, task in model.registry.tasks.items():
        state = (task.initiator, task.budget, task.reserved, task.open_epoch, task.trainers, task.is_open)
        yield "TaskRegistry", "stateOf", (task_id,), (*state, task.is_closed)
        is_sealable = task.is_open and model.registry.is_ready(task) and model.registry.is_unforeseen(task)
        yield "TaskRegistry", "sealable", (task_id,), is_sealable
        yield "TaskRegistry", "policyRootOf", (task_id,), task.policy_root
        for person in people:
            record = task.records[person]
            until = model.registry.answerable_until(record) if record.delisted_at else 0
            yield "TaskRegistry", "collateralOf", (task_id, person), (record.collateral, until)
            yield "TaskRegistry", "isEnlisted", (task_id, person), record.is_enlisted
            collateral = model.attestations.collateral_of(task_id, person)
            yield "Attestations", "collateralOf", (task_id, person), collateral
            yield "Attestations", "isEnlisted", (task_id, person), model.attestations.is_enlisted(task_id, person)


def _stakes(model: Network, people: Sequence[Address]) -> Iterator[View]:
    for person in people:
        for role in Role:
            bond = model.staking.bonds[person, role]
            shown = (bond.bonded, bond.unbonding, bond.withdrawable_at, bond.enlistments)
            yield "Staking", "bondOf", (person, role), shown
            yield "Staking", "activeBond", (role, person), model.staking.active_bond(role, person)
        yield "Staking", "operatorOf", (person,), model.staking.operator_of(person)
        yield "Staking", "workerOf", (person,), model.staking.workers.get(person, NOBODY)
        yield "TaskRegistry", "neededBondOf", (person,), model.registry.needed_bonds[person]
        yield "Attestations", "neededBondOf", (person,), model.attestations.needed_bonds[person]


def _policies(model: Network) -> Iterator[View]:
    for task_id, task in model.registry.tasks.items():
        roll = model.attestations.rolls[task_id]
        root = roll.policy_root if roll.policy_version else task.policy_root
        yield "Attestations", "policyOf", (task_id,), (roll.policy_version, root)


def _epoch(model: Network, task_id: int, task: Task, epoch: int) -> Iterator[View]:
    yield "Attestations", "phaseOf", (task_id, epoch), model.attestations.phase_of(task_id, epoch)
    sealed = task.sealed.get(epoch)
    if task.is_open and epoch == task.open_epoch:
        units = task.params.max_epoch_units - task.units_left
        yield "TaskRegistry", "epochOf", (task_id, epoch), (task.works, units, task.commit_by, task.running_hash)
    elif sealed is not None:
        shown = (sealed.works, sealed.units, sealed.commit_by, sealed.running_hash)
        yield "TaskRegistry", "epochOf", (task_id, epoch), shown
    judged = model.attestations.epochs.get((task_id, epoch))
    yield "Attestations", "seedOf", (task_id, epoch), NONE if judged is None else judged.seed
    if judged is not None:
        committed = judged.verifiers - judged.uncommitted
        counts = (judged.verifiers, committed, committed - judged.unrevealed)
        yield "Attestations", "tallyOf", (task_id, epoch), (*counts, judged.revealed, judged.weight)
        for index in range(INDICES):
            yield "Attestations", "scoreOf", (task_id, epoch, index), judged.score(index)


def _standings(model: Network, task_id: int, task: Task, epoch: int, people: Sequence[Address]) -> Iterator[View]:
    for person in people:
        record = task.records[person]
        hashed = SETTLED if epoch in record.settled else record.hashes.get(epoch, NONE)
        yield "TaskRegistry", "workHash", (task_id, epoch, person), hashed
        standing = model.attestations.standing_of(task_id, epoch, person)
        yield "Attestations", "attestationOf", (task_id, epoch, person), _shown(standing)
        yield "Payouts", "feeOf", (task_id, epoch, person), model.payouts.fee_of(task_id, epoch, person)


def _shown(standing: Standing) -> tuple[Any, ...]:
    counts = (standing.weight, standing.differences, standing.works, standing.enlisted)
    return (standing.report or NONE, *counts)


def _challenges(model: Network, task_id: int, epoch: int, people: Sequence[Address]) -> Iterator[View]:
    for index in range(INDICES):
        place = (task_id, epoch, index)
        dispute = model.challenges.disputes.get(place)
        yield "Challenges", "phaseOf", place, model.challenges.phase_of(*place)
        if dispute is None:
            continue
        score = dispute.score if dispute.outcome else dispute.claimed
        shown = (dispute.challenger, dispute.standing, score, dispute.commit_by, dispute.reveal_by, dispute.revealed)
        yield "Challenges", "challengeOf", place, shown
        yield "Challenges", "mustReplay", place, model.challenges.must_replay(*place)
        for person in people:
            yield "Challenges", "owedTo", (*place, person), model.challenges.owed_to(*place, person)


def _plain(value: Any) -> Any:
    """Addresses in one spelling, enumerations as numbers."""
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, str):
        return value.lower()
    return value if isinstance(value, bytes) else int(value)
