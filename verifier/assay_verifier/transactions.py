"""Sends transactions, the intent written down first; a refusal by the contracts is an answer, not a failure."""

import logging
from typing import Protocol

from assay_core.chain.contracts import Call
from assay_core.chain.sender import Receipt
from assay_core.protocol.errors import Reverted
from assay_core.protocol.types import Epoch, TaskId
from assay_verifier.database import Sessions
from assay_verifier.models import TransactionRow

log = logging.getLogger(__name__)


class Sends(Protocol):
    """The part of assay_core.chain.sender.Sender that is needed."""

    def send(self, call: Call) -> Receipt: ...


class Transactions:
    """Transactions of one task. Raises Unavailable (retry: the sender finds its old attempt) and Stop."""

    def __init__(self, sender: Sends, sessions: Sessions, task_id: TaskId) -> None:
        self._sender, self._sessions, self._task_id = sender, sessions, task_id

    def send(self, call: Call, epoch: Epoch | None = None) -> Receipt:
        """Send, and note how it went. Raises Reverted: the contracts refuse, often because somebody was faster."""
        with self._sessions() as session, session.begin():
            row = TransactionRow(self._task_id, epoch, call.function)
            session.add(row)
            session.flush()
            number = row.id
        try:
            receipt = self._sender.send(call)
        except Reverted as error:
            log.info("refused", extra={"call": str(call), "epoch": epoch, "error": error.error})
            self._note(number, error.error[:80], None)
            raise
        self._note(number, "sent", receipt)
        log.debug("sent", extra={"call": str(call), "epoch": epoch, "tx": receipt.tx_hash.hex()})
        return receipt

    def _note(self, number: int, outcome: str, receipt: Receipt | None) -> None:
        with self._sessions() as session, session.begin():
            row = session.get_one(TransactionRow, number)
            row.outcome = outcome
            if receipt is not None:
                row.tx_hash, row.gas_used = receipt.tx_hash, receipt.gas_used
