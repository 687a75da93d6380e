"""What a task has brought a verifier, and may cost it, out of the ledger. Pure."""

from collections.abc import Mapping

from assay_core.chain.ledger import TaskLedger
from assay_core.daemon.heartbeat import Account
from assay_core.inspect.earnings import differences, fees_of
from assay_core.protocol.amounts import Money
from assay_core.protocol.economics import share_up
from assay_core.protocol.types import Address, Epoch, EpochPhase

OPEN = (EpochPhase.COMMITTING, EpochPhase.ATTEST_COMMIT, EpochPhase.ATTEST_REVEAL)


def account_of(ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase], verifier: Address, money: Money) -> Account:
    """Without balances, which no event tells. `phases`: what the chain says of epochs that are not over."""
    fees = list(fees_of(ledger, verifier))
    reports = [(record, reveal.report) for record in ledger.epochs.values() if (reveal := record.reveals.get(verifier))]
    differing = [count for record, report in reports if (count := differences(record, report))]
    return Account(
        symbol=money.symbol,
        decimals=money.decimals,
        earned_wei=sum(each.earned_wei for each in fees),
        slashed_wei=sum(each.slashed_wei for each in fees),
        missed_epochs=len(missed_epochs(ledger, phases, verifier)),
        differing_reports=len(differing),
        differing_scores=sum(differing),
        would_lose=_would_lose(ledger, verifier, money),
    )


def missed_epochs(ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase], verifier: Address) -> list[Epoch]:
    """Epochs that we were to judge, and whose time for reports passed without ours."""
    return [
        epoch
        for epoch, record in ledger.epochs.items()
        if verifier in record.members and verifier not in record.reveals and phases.get(epoch, record.phase) not in OPEN
    ]


def _would_lose(ledger: TaskLedger, verifier: Address, money: Money) -> str:
    weight, params = ledger.verifiers.get(verifier, 0), ledger.task.params
    absence, verdict = (share_up(weight, bps) for bps in (params.absence_slash_bps, params.verdict_slash_bps))
    return f"{money.show(absence)} for an epoch missed, {money.show(verdict)} for a verdict that is overturned"
