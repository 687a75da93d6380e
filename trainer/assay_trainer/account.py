"""What a task has brought a trainer, and may cost it, out of the ledger. Pure."""

from collections.abc import Mapping

from assay_core.chain.ledger import TaskLedger
from assay_core.daemon.heartbeat import Account
from assay_core.inspect.earnings import submissions_of
from assay_core.protocol.amounts import Money
from assay_core.protocol.types import SCORE_FRAUD, Address, is_paid
from assay_trainer.collateral import stake_wei, units_in_flight


def account_of(ledger: TaskLedger, trainer: Address, money: Money) -> Account:
    """Without balances, which no event tells."""
    ours = list(submissions_of(ledger, trainer))
    at_stake = stake_wei(ledger.task.params, units_in_flight(ledger, trainer))
    in_flight = sum(each.is_open for each in ours)
    return Account(
        symbol=money.symbol,
        decimals=money.decimals,
        earned_wei=sum(each.earned_wei for each in ours),
        slashed_wei=sum(each.slashed_wei for each in ours),
        missed_epochs=missed_epochs(ledger, trainer),
        would_lose=f"{money.show(at_stake)} if its {in_flight} submissions in flight were judged frauds",
    )


def missed_epochs(ledger: TaskLedger, trainer: Address) -> int:
    """Sealed epochs without a submission of ours, since we enlisted last; 0: we are not enlisted."""
    first = ledger.trainers.get(trainer)
    if first is None:
        return 0
    sealed = [record for epoch, record in ledger.epochs.items() if epoch >= first and record.is_sealed]
    return sum(not record.submissions_of(trainer) for record in sealed)


def submissions_by_state(ledger: TaskLedger, trainer: Address) -> Mapping[str, int]:
    """How many submissions of ours were committed, and what of them was accepted, rejected, paid and slashed.

    Accepted: settled with a score that pays; rejected: with one that does not. An opened plant is neither.
    """
    ours = list(submissions_of(ledger, trainer))
    judged = [each.score for each in ours if each.score is not None and not each.is_planted]
    return {
        "committed": len(ours),
        "accepted": sum(is_paid(score) for score in judged),
        "rejected": sum(not is_paid(score) for score in judged),
        "fraud": judged.count(SCORE_FRAUD),
        "paid": sum(bool(each.claimed_wei) for each in ours),
        "slashed": sum(bool(each.slashed_wei) for each in ours),
        "planted": sum(each.is_planted for each in ours),
    }
