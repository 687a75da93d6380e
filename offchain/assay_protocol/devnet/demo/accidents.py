"""What goes wrong in the middle of a demo: processes are killed, and the others must go on."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from assay_core.chain.ledger import TaskLedger
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address, is_paid
from assay_protocol.devnet.demo.outcome import Aftermath
from assay_protocol.devnet.demo.view import ProcessState
from assay_protocol.devnet.processes import Children

WATCH_S = 0.05


@dataclass(frozen=True, slots=True)
class Victim:
    """A process to kill when it `is_time`; if that is not all, at the next `moment`, which may be short.

    Its death must not hurt the submissions of `bystanders`.
    """

    name: str
    bystanders: frozenset[Address]
    is_time: Callable[[TaskLedger], bool]
    moment: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class Accident:
    """It happened: when, at which height of the chain, and how the process ended."""

    victim: Victim
    at_s: float
    block: int
    exit_code: int


class Accidents:
    """Kills every victim once, by its process id. `elapsed_s`, `block`: the time and the chain's height now."""

    def __init__(
        self,
        children: Children,
        victims: Sequence[Victim],
        elapsed_s: Callable[[], float],
        block: Callable[[], int],
    ) -> None:
        self._children = children
        self._waiting = list(victims)
        self._ambushed: list[Victim] = []
        self._happened: list[Accident] = []
        self._elapsed_s, self._block = elapsed_s, block

    def strike(self, ledger: TaskLedger) -> None:
        """Kill whose time has come. Raises Stop: a victim had ended by itself."""
        for victim in [each for each in self._waiting if each.is_time(ledger)]:
            self._waiting.remove(victim)
            if victim.moment is None:
                self._kill(victim)
            else:
                self._ambushed.append(victim)
                threading.Thread(target=self._ambush, args=(victim, victim.moment), daemon=True).start()

    def _ambush(self, victim: Victim, moment: Callable[[], bool]) -> None:
        while not moment():
            time.sleep(WATCH_S)
        with suppress(Stop):  # it has ended by itself, or with all others: that it was not killed is told in the end
            self._kill(victim)
            self._ambushed.remove(victim)

    def _kill(self, victim: Victim) -> None:
        exit_code = self._children.kill(victim.name)
        self._happened.append(Accident(victim, self._elapsed_s(), self._block(), exit_code))

    def aftermath(self, ledger: TaskLedger) -> tuple[Aftermath, ...]:
        """What was done since, for each accident. One that has not happened is told as such."""
        never = [Aftermath(each.name, None, None, 0, 0, 0) for each in (*self._waiting, *self._ambushed)]
        return (*(_since(each, ledger) for each in self._happened), *never)

    def are_survived(self, ledger: TaskLedger) -> bool:
        """All have happened, and submissions made since have been accepted, and policies published."""
        return all(each.accepted and each.policies for each in self.aftermath(ledger))

    def state_of(self, name: str) -> ProcessState:
        at_s = next((each.at_s for each in self._happened if each.victim.name == name), None)
        return ProcessState(name, at_s)


def _since(accident: Accident, ledger: TaskLedger) -> Aftermath:
    scores = [
        ledger.epochs[epoch].score_of(committed.submission.index)
        for epoch in ledger.epochs
        for committed in ledger.epochs[epoch].submissions
        if committed.submission.trainer in accident.victim.bystanders and committed.position[0] > accident.block
    ]
    return Aftermath(
        name=accident.victim.name,
        at_s=round(accident.at_s, 1),
        exit_code=accident.exit_code,
        policies=sum(each.position[0] > accident.block for each in ledger.policies),
        submissions=len(scores),
        accepted=sum(score is not None and is_paid(score) for score in scores),
    )
