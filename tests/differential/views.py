"""All that an outsider can ask the contracts, beside what the specification says the answer is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak

from specs import hashes, rules
from specs.facts import (
    AttestationCommitted,
    AttestationRevealed,
    ChallengeCommitted,
    PlantCommitted,
    SeatsTaken,
)
from specs.history import History
from specs.words import NOBODY, NONE, Address, DisputePhase, Role
from tests.differential.calls import plain, read_answer, view_data
from tests.differential.node import Ledger

View = tuple[str, str, tuple[Any, ...], Any]  # contract, function, arguments, what the specification says
SPENDERS = ("Staking", "TaskRegistry", "Appeals", "Plants")  # who pulls tokens
BEYOND = 1  # of an epoch's submissions: one more than there are


class Disagreement(AssertionError):
    """The contracts and the specification are not of one mind."""


@dataclass(frozen=True, slots=True)
class Differences:
    compared: int
    wrong: list[str]


def views_of(h: History, people: Sequence[Address], recent: int | None = None) -> list[View]:
    """`recent`: of each task, look only at so many of the newest epochs; None: at all."""
    views = [*_tokens(h, people), *_bonds(h, people), *_seats(h, people)]
    for task_id in rules.tasks(h):
        views += [*_task(h, task_id), *_parts(h, task_id, people), *_plants(h, task_id)]
        newest = rules.open_number(h, task_id)
        for epoch in range(0 if recent is None else max(0, newest - recent), newest + 2):
            views += [*_epoch(h, task_id, epoch), *_standings(h, task_id, epoch, people)]
            views += [*_submissions(h, task_id, epoch, people), *_challenges(h, task_id, epoch)]
    return views


def differences(ledger: Ledger, contracts: Mapping[str, Address], views: Sequence[View]) -> Differences:
    answers = ledger.call([(contracts[contract], view_data(contract, name, args)) for contract, name, args, _ in views])
    wrong: list[str] = []
    for (contract, name, arguments, expected), answer in zip(views, answers, strict=True):
        said = read_answer(contract, name, answer)
        if plain(said) != plain(expected):
            wrong.append(f"{contract}.{name}{arguments}: the contract says {said}, the specification {expected}")
    return Differences(len(views), wrong)


def _tokens(h: History, people: Sequence[Address]) -> Iterator[View]:
    for holder in (*people, *h.places.values(), "0x000000000000000000000000000000000000dead"):
        yield "AssayToken", "balanceOf", (holder,), rules.balance(h, holder)
    for owner in people:
        for spender in SPENDERS:
            place = h.places[spender]
            yield "AssayToken", "allowance", (owner, place), rules.allowance(h, owner, place)


def _bonds(h: History, people: Sequence[Address]) -> Iterator[View]:
    for person in people:
        for role in Role:
            bond = (rules.bonded(h, person, role), rules.locked(h, person, role), rules.unbonding(h, person, role))
            yield "Staking", "bondOf", (person, role), (*bond, rules.withdrawable_at(h, person, role))
            operator = rules.operator_of(h, person)
            yield "Staking", "freeBond", (role, person), (operator, rules.lockable(h, operator, role))
        yield "Staking", "operatorOf", (person,), rules.operator_of(h, person)
        yield "Staking", "workerOf", (person,), rules.worker_of(h, person)
        yield "Staking", "workerNonceOf", (person,), rules.consents(h, person)


def _seats(h: History, people: Sequence[Address]) -> Iterator[View]:
    for class_ in h.each("class_", SeatsTaken):
        size = rules.pool_size(h, class_)
        yield "Panels", "poolSize", (class_,), size
        for seat in range(size + 1):
            held = rules.holder(h, class_, seat)
            shown = (NOBODY, 0) if held is None else (held.juror, held.block.number)
            yield "Panels", "seatOf", (class_, seat), shown


def _task(h: History, task_id: int) -> Iterator[View]:
    opened, t = rules.opened(h, task_id), rules.terms(h, task_id)
    number = rules.open_number(h, task_id)
    yield "TaskRegistry", "taskCount", (), len(rules.tasks(h))
    yield "TaskRegistry", "paramsOf", (task_id,), t
    origin = (opened.initiator, opened.policy_root, opened.terms_hash)
    yield "TaskRegistry", "originOf", (task_id,), origin
    reserved = h.ledger.holds("TaskRegistry", "reservation", task_id)
    yield "TaskRegistry", "moneyOf", (task_id,), (rules.budget(h, task_id), reserved, rules.is_closed(h, task_id))
    closed = rules.closed(h, task_id) is not None
    state = (number, rules.is_open(h, task_id), closed, len(rules.submissions(h, task_id, number)))
    yield "Commitments", "openEpochOf", (task_id,), state
    yield "Commitments", "runningHashOf", (task_id,), rules.running_hash(h, task_id)
    counts = (len(rules.trainers(h, task_id)), rules.waiting(h, task_id))
    yield "Commitments", "trainersOf", (task_id,), counts
    yield "Commitments", "isSealable", (task_id,), rules.is_sealable(h, task_id)
    judges = (rules.electorate(h, task_id, number), len(rules.members(h, task_id, number)))
    yield "Verifiers", "electorateOf", (task_id,), judges
    policy = (*rules.newest_policy(h, task_id), rules.next_policy(h, task_id))
    yield "Policies", "policyOf", (task_id,), policy
    yield "Plants", "depositOf", (task_id,), rules.deposit(h, task_id)


def _parts(h: History, task_id: int, people: Sequence[Address]) -> Iterator[View]:
    for person in people:
        collateral = (rules.trainer_lock(h, task_id, person), rules.in_flight(h, task_id, person))
        yield "Commitments", "collateralOf", (task_id, person), collateral
        yield "Commitments", "isEnlisted", (task_id, person), rules.is_trainer(h, task_id, person)
        is_verifier = rules.is_verifier(h, task_id, person)
        yield "Verifiers", "isEnlisted", (task_id, person), is_verifier
        amount = rules.verifier_collateral(h, task_id, person)
        until = 0 if is_verifier else rules.answerable_until(h, task_id, person)
        yield "Verifiers", "collateralOf", (task_id, person), (amount, until)


def _plants(h: History, task_id: int) -> Iterator[View]:
    for plant in h.of(PlantCommitted, task_id=task_id):
        shown = (rules.plant_state(h, task_id, plant.commitment), plant.planter, plant.epoch)
        yield "Plants", "plantOf", (task_id, plant.commitment), shown


def _epoch(h: History, task_id: int, epoch: int) -> Iterator[View]:
    here = (task_id, epoch)
    yield "Attestations", "phaseOf", here, rules.phase(h, *here)
    yield "Attestations", "seedOf", here, rules.seed(h, *here)
    yield "Attestations", "quorumOf", here, rules.quorum(h, *here)
    yield "Policies", "stateOf", here, rules.policy_state(h, *here)
    sealed = rules.sealed(h, *here)
    is_there = sealed is not None or (rules.is_open(h, task_id) and epoch == rules.open_number(h, task_id))
    submissions = len(rules.submissions(h, *here))
    if is_there:
        shown = (submissions, rules.units(h, *here), rules.cost(h, *here), rules.commit_by(h, *here))
        yield "Commitments", "epochOf", here, shown
    if sealed is None:
        return
    box = rules.ballot(h, *here)
    schedule = (0, 0) if box is None else (box.commit_by, box.reveal_by)
    yield "Attestations", "scheduleOf", here, (*schedule, rules.challenge_by(h, *here), rules.paid(h, *here))
    committed = len(h.of(AttestationCommitted, task_id=task_id, epoch=epoch))
    revealed = len(h.of(AttestationRevealed, task_id=task_id, epoch=epoch))
    judges = 0 if box is None else sealed.verifiers
    settled = len(rules.settled_scores(h, *here))
    tally = (submissions, settled, judges, committed, revealed, rules.revealed_weight(h, *here), sealed.weight)
    yield "Attestations", "tallyOf", here, tally


def _standings(h: History, task_id: int, epoch: int, people: Sequence[Address]) -> Iterator[View]:
    for person in people:
        revealed = rules.reveal(h, task_id, epoch, person)
        hashed = bytes(31) if revealed is None else keccak(revealed.report)[:31]
        weight = rules.weight_at(h, task_id, epoch, person)
        shown = (hashed, weight, rules.differences(h, task_id, epoch, person))
        yield "Attestations", "attestationOf", (task_id, epoch, person), shown
        yield "Verifiers", "weightAt", (task_id, epoch, person), weight
        yield "Payouts", "feeOf", (task_id, epoch, person), rules.fee_due(h, task_id, epoch, person)


def _submissions(h: History, task_id: int, epoch: int, people: Sequence[Address]) -> Iterator[View]:
    for index in range(len(rules.submissions(h, task_id, epoch)) + BEYOND):
        place = (task_id, epoch, index)
        yield "Commitments", "submissionHash", place, rules.stored_hash(h, *place)
        yield "Attestations", "scoreOf", place, rules.score_of(h, *place)
        seed, rate = rules.seed(h, task_id, epoch), rules.terms(h, task_id).sampling_bps
        yield "Plants", "isDrawn", place, hashes.is_drawn(seed, index, rate)
        yield from _dispute(h, place, people)


def _dispute(h: History, place: tuple[int, int, int], people: Sequence[Address]) -> Iterator[View]:
    phase = rules.dispute_phase(h, *place)
    yield "Appeals", "phaseOf", place, phase
    if phase == DisputePhase.NONE:
        return
    standing = rules.challenges(h, *place)[0].standing
    drawn, ended, box = rules.panel(h, *place), rules.decided(h, *place), rules.panel_ballot(h, *place)
    seed, seats = (NONE, 0) if drawn is None else (drawn.seed, len(drawn.jurors))
    times = (0, 0) if box is None else (box.commit_by, box.reveal_by)
    found = (standing, False) if ended is None else (ended.score, ended.is_against_verifiers)
    yield "Appeals", "disputeOf", place, (standing, found[0], seed, seats, *times, found[1])
    for person in people:
        yield "Appeals", "seatsOf", (*place, person), rules.panel_seats(h, *place, person)
        yield "Appeals", "isChallenger", (*place, person), rules.is_challenger(h, *place, person)


def _challenges(h: History, task_id: int, epoch: int) -> Iterator[View]:
    for challenge in h.of(ChallengeCommitted, task_id=task_id, epoch=epoch):
        place = (task_id, epoch, challenge.id)
        revealed, state = rules.challenge_revealed(h, *place), rules.challenge_state(h, *place)
        what = (0, 0) if revealed is None else (revealed.index, revealed.score)
        yield "Appeals", "challengeOf", place, (challenge.challenger, state, *what)
        yield "Appeals", "owedTo", place, sum(rules.owed(h, *place))
