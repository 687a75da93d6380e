"""Enlists a verifier for its task, once and again: with what weight, in whose place, and when it gives up."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from assay_core.chain.contracts import VerifiersContract
from assay_core.chain.ledger import TaskLedger
from assay_core.protocol.amounts import Money
from assay_core.protocol.errors import Reverted, Stop
from assay_core.protocol.types import SubmissionKind
from assay_core.protocol.version import require_version
from assay_verifier.node import Node

NOT_TAKEN_S = 60.0


class Enlister:
    """The enlistment of one operator in one task."""

    def __init__(
        self,
        node: Node,
        contract: VerifiersContract,
        free_bond_wei: Callable[[], int],
        money: Money,
        *,
        weight_wei: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`weight_wei`: how much of its bond judges this task; None: all that answers for nothing else."""
        self._node, self._contract, self._free_bond_wei = node, contract, free_bond_wei
        self._money, self._weight_wei = money, weight_wei
        self._clock, self._not_before = clock, 0.0

    def advance(self, ledger: TaskLedger) -> bool:
        """Enlist unless we are; whether we have just done so.

        Raises Stop: the task does not take us, or goes by rules that we do not know, and we owe it nothing any more.
        """
        if self._node.verifier in ledger.verifiers or ledger.open_epoch is None or self._clock() < self._not_before:
            return False
        _require_known(ledger)
        weight = self._free_bond_wei() if self._weight_wei is None else self._weight_wei
        try:
            self._enlist(ledger, weight)
        except Reverted as error:
            if error.error == "AlreadyEnlisted":  # a moment ago: the ledger will show it
                return False
            self._not_before = self._clock() + NOT_TAKEN_S
            if error.error != "ElectorateFull" and not self._owes_votes(ledger):
                raise self._not_taken(error, ledger) from error
            # All places are taken by heavier ones; or we are out, and still owe votes for what was sealed before.
            self._node.status("not enlisted", task=ledger.task_id, why=error.error)
            return False
        self._node.status("enlisted", task=ledger.task_id, weight=self._money.show(weight))
        return True

    def _enlist(self, ledger: TaskLedger, weight: int) -> None:
        """In the place of the lightest, where there is no other and it is lighter than we."""
        where = ledger.task_id, ledger.task.terms_hash, weight
        try:
            self._node.transactions.send(self._contract.enlist(*where))
        except Reverted as error:
            lightest = min(ledger.verifiers, key=lambda each: ledger.verifiers[each], default=None)
            if error.error != "ElectorateFull" or lightest is None or ledger.verifiers[lightest] >= weight:
                raise
            self._node.transactions.send(self._contract.enlist(*where, displaced=lightest))
            self._node.status("took the place of another", task=ledger.task_id, verifier=lightest)

    def _owes_votes(self, ledger: TaskLedger) -> bool:
        return any(self._node.verifier in record.members and not record.is_over for record in ledger.epochs.values())

    def _not_taken(self, error: Reverted, ledger: TaskLedger) -> Stop:
        least = ledger.task.params.verifier_bond
        if self._weight_wei is not None and self._weight_wei < least:
            asked = self._money.show(self._weight_wei)
            return Stop(
                f"--weight is {asked}, and task {ledger.task_id} takes no verifier below {self._money.at_least(least)}"
            )
        if error.error in ("WeightTooSmall", "InsufficientBond"):
            needed, free = max(least, self._weight_wei or 0), self._free_bond_wei()
            more = self._money.at_least(max(needed - free, 0)).split()[0]
            return Stop(
                f"{self._node.verifier} has {self._money.show(free)} of free verifier bond, and task {ledger.task_id} "
                f"asks for {self._money.at_least(needed)}: add to it with `assay stake bond --role verifier {more}`"
            )
        if error.error == "StillAnswerable":
            when = datetime.fromtimestamp(int(str(error.arguments["from"])), UTC).isoformat(timespec="minutes")
            return Stop(f"{self._node.verifier} has left task {ledger.task_id} and may enlist again after {when}")
        return Stop(f"task {ledger.task_id} does not take us as a verifier: {error}")


def _require_known(ledger: TaskLedger) -> None:
    """Raises Stop: submissions of this task are not such as this program judges."""
    require_version(ledger.task_id, ledger.task.params)
    if ledger.task.params.kinds_asked_for != [SubmissionKind.FULL]:
        raise Stop(
            f"task {ledger.task_id} asks for parts of submissions, which this program does not judge: choose another"
        )
