"""What each fact moves, as postings. Nothing else moves money."""

from collections.abc import Iterator
from functools import singledispatch

from specs import ledger, rules
from specs.facts import (
    AppealPaid,
    Bonded,
    ChallengeCommitted,
    ChallengeExpired,
    Claimed,
    DisputeDecided,
    EpochAbandoned,
    EpochFinal,
    EpochOpened,
    EpochSealed,
    EpochVoid,
    Fact,
    FeesClaimed,
    FraudSlashed,
    PlantCommitted,
    PlantForfeited,
    PlantOpened,
    PlantRefunded,
    PolicySkipped,
    Slashed,
    TaskFunded,
    TaskRefunded,
    Transferred,
    UnbondRequested,
    VerdictSlashed,
    Withdrawn,
)
from specs.history import History
from specs.ledger import Posting, wallet
from specs.words import BURNT, PANEL_SEATS, Phase, PolicyState, share_down


@singledispatch
def postings(fact: Fact, h: History) -> Iterator[Posting]:
    """`h` holds the fact already."""
    yield from ()


@postings.register
def _(fact: Transferred, h: History) -> Iterator[Posting]:
    yield Posting(wallet(fact.sender), wallet(fact.to), fact.amount)


# Bonds.


@postings.register
def _(fact: Bonded, h: History) -> Iterator[Posting]:
    yield Posting(wallet(fact.operator), ledger.bond(fact.operator, fact.role), fact.amount)


@postings.register
def _(fact: UnbondRequested, h: History) -> Iterator[Posting]:
    yield Posting(ledger.bond(fact.operator, fact.role), ledger.unbonding(fact.operator, fact.role), fact.amount)


@postings.register
def _(fact: Withdrawn, h: History) -> Iterator[Posting]:
    yield Posting(ledger.unbonding(fact.operator, fact.role), wallet(fact.operator), fact.amount)


@postings.register
def _(fact: Slashed, h: History) -> Iterator[Posting]:
    """What is not a reward is burnt. Rewards of finders wait in Appeals: see FraudSlashed and VerdictSlashed."""
    bond = ledger.bond(fact.operator, fact.role)
    yield Posting(bond, wallet(BURNT), fact.amount - fact.recipient_amount)
    if fact.recipient != h.places["Appeals"]:
        yield Posting(bond, wallet(fact.recipient), fact.recipient_amount)


# Tasks.


@postings.register
def _(fact: TaskFunded, h: History) -> Iterator[Posting]:
    yield Posting(wallet(fact.from_), ledger.budget(fact.task_id), fact.amount)


@postings.register
def _(fact: TaskRefunded, h: History) -> Iterator[Posting]:
    yield Posting(ledger.budget(fact.task_id), wallet(fact.initiator), fact.amount)


@postings.register
def _(fact: EpochOpened, h: History) -> Iterator[Posting]:
    yield Posting(ledger.budget(fact.task_id), ledger.reservation(fact.task_id, fact.epoch), fact.reserved)


def _rest(h: History, task_id: int, epoch: int, keep: int = 0) -> Posting:
    """What is reserved for an epoch beyond what it still can cost."""
    reservation = ledger.reservation(task_id, epoch)
    return Posting(reservation, ledger.budget(task_id), h.ledger.holds(*reservation) - keep)


@postings.register
def _(fact: EpochSealed, h: History) -> Iterator[Posting]:
    cost = rules.cost(h, fact.task_id, fact.epoch) + rules.terms(h, fact.task_id).verifier_fee
    yield _rest(h, fact.task_id, fact.epoch, cost)


@postings.register
def _(fact: EpochVoid, h: History) -> Iterator[Posting]:
    yield _rest(h, fact.task_id, fact.epoch)


@postings.register
def _(fact: EpochAbandoned, h: History) -> Iterator[Posting]:
    yield _rest(h, fact.task_id, fact.epoch)


def _free(task_id: int, epoch: int, amount: int) -> Posting:
    return Posting(ledger.reservation(task_id, epoch), ledger.budget(task_id), amount)


def _fee_of_revealed(h: History, task_id: int, epoch: int) -> int:
    seal = rules.sealed(h, task_id, epoch)
    assert seal is not None
    return share_down(rules.epoch_fee(h, task_id, epoch), rules.revealed_weight(h, task_id, epoch), seal.weight)


@postings.register
def _(fact: EpochFinal, h: History) -> Iterator[Posting]:
    """Nobody earns the fee of those who did not reveal, nor that of submissions that are not there or not paid."""
    kept = _fee_of_revealed(h, fact.task_id, fact.epoch)
    yield _free(fact.task_id, fact.epoch, rules.terms(h, fact.task_id).verifier_fee - kept)


@postings.register
def _(fact: PolicySkipped, h: History) -> Iterator[Posting]:
    """A policy that was due costs the fee of those who revealed."""
    if fact.state == PolicyState.SKIPPED:
        yield _free(fact.task_id, fact.epoch, _fee_of_revealed(h, fact.task_id, fact.epoch))


# Submissions and fees.


def _price(h: History, task_id: int, epoch: int, index: int) -> int:
    return rules.price(h, task_id, rules.submissions(h, task_id, epoch)[index])


@postings.register
def _(fact: Claimed, h: History) -> Iterator[Posting]:
    yield Posting(ledger.reservation(fact.task_id, fact.epoch), wallet(fact.to), fact.amount)
    if rules.phase(h, fact.task_id, fact.epoch) != Phase.VOID:
        rest = _price(h, fact.task_id, fact.epoch, fact.index) - fact.amount
        yield _free(fact.task_id, fact.epoch, rest)


@postings.register
def _(fact: FeesClaimed, h: History) -> Iterator[Posting]:
    yield Posting(ledger.reservation(fact.task_id, fact.epoch), wallet(fact.verifier), fact.amount)
    share = rules.fee_share(h, fact.task_id, fact.epoch, fact.verifier)
    yield _free(fact.task_id, fact.epoch, share - fact.amount)


@postings.register
def _(fact: FraudSlashed, h: History) -> Iterator[Posting]:
    yield _free(fact.task_id, fact.epoch, _price(h, fact.task_id, fact.epoch, fact.index))
    if fact.reporter == h.places["Appeals"]:
        reward = ledger.reward(fact.task_id, fact.epoch, fact.index)
        yield Posting(ledger.bond(fact.trainer, 0), reward, fact.reporter_amount)


# Appeals.


@postings.register
def _(fact: ChallengeCommitted, h: History) -> Iterator[Posting]:
    t = rules.terms(h, fact.task_id)
    amount = t.challenge_bond + PANEL_SEATS * t.juror_fee
    yield Posting(wallet(fact.challenger), ledger.pledge(fact.task_id, fact.epoch, fact.id), amount)


@postings.register
def _(fact: ChallengeExpired, h: History) -> Iterator[Posting]:
    yield Posting(ledger.pledge(fact.task_id, fact.epoch, fact.id), wallet(BURNT), fact.burnt)


@postings.register
def _(fact: DisputeDecided, h: History) -> Iterator[Posting]:
    """Who disputes a score that stands loses the bond, or half of it where nothing was decided."""
    bond = rules.terms(h, fact.task_id).challenge_bond
    lost = bond - rules.bond_back(fact.phase, bond)
    for challenge in rules.challenges(h, fact.task_id, fact.epoch, fact.index):
        yield Posting(ledger.pledge(fact.task_id, fact.epoch, challenge.id), wallet(BURNT), lost)


@postings.register
def _(fact: VerdictSlashed, h: History) -> Iterator[Posting]:
    reward = ledger.reward(fact.task_id, fact.epoch, fact.index)
    yield Posting(ledger.bond(fact.verifier, 1), reward, fact.to_finder)


@postings.register
def _(fact: AppealPaid, h: History) -> Iterator[Posting]:
    """Jurors are paid out of what the funder of their judging has put down."""
    funder = rules.funder(h, fact.task_id, fact.epoch, fact.index)
    payer = fact.id if fact.id is not None else funder.id
    pledge = ledger.pledge(fact.task_id, fact.epoch, payer)
    yield Posting(pledge, wallet(fact.to), fact.amount - fact.reward)
    yield Posting(ledger.reward(fact.task_id, fact.epoch, fact.index), wallet(fact.to), fact.reward)


# Plants.


@postings.register
def _(fact: PlantCommitted, h: History) -> Iterator[Posting]:
    yield Posting(wallet(fact.planter), ledger.deposit(fact.task_id, fact.commitment), fact.deposit)


def _return(h: History, task_id: int, commitment: bytes) -> Posting:
    plant = rules.plant(h, task_id, commitment)
    assert plant is not None
    return Posting(ledger.deposit(task_id, commitment), wallet(plant.planter), plant.deposit)


@postings.register
def _(fact: PlantOpened, h: History) -> Iterator[Posting]:
    yield _return(h, fact.task_id, fact.commitment)
    if rules.phase(h, fact.task_id, fact.epoch) != Phase.VOID:
        yield _free(fact.task_id, fact.epoch, _price(h, fact.task_id, fact.epoch, fact.index))


@postings.register
def _(fact: PlantRefunded, h: History) -> Iterator[Posting]:
    yield _return(h, fact.task_id, fact.commitment)


@postings.register
def _(fact: PlantForfeited, h: History) -> Iterator[Posting]:
    yield Posting(ledger.deposit(fact.task_id, fact.commitment), wallet(BURNT), fact.burnt)
