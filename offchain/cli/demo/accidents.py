"""What goes wrong in the middle of a demo: processes are killed, and the others must go on."""

from collections.abc import Sequence
from dataclasses import dataclass

from offchain.chain.ledger import TaskLedger
from offchain.cli.demo.outcome import Aftermath
from offchain.cli.demo.view import CarrierState
from offchain.cli.processes import Children
from offchain.protocol.types import SCORE_FULL, Address


@dataclass(frozen=True, slots=True)
class Victim:
    """A process to kill once there are `versions` policy versions. Its death must not hurt works of `bystanders`."""

    name: str
    versions: int
    bystanders: frozenset[Address]


@dataclass(frozen=True, slots=True)
class Accident:
    """It happened: when, at which height of the chain, and how the process ended."""

    victim: Victim
    at_s: float
    block: int
    exit_code: int


class Accidents:
    """Kills every victim once, by its process id."""

    def __init__(self, children: Children, victims: Sequence[Victim]) -> None:
        self._children = children
        self._waiting = list(victims)
        self._happened: list[Accident] = []

    @property
    def happened(self) -> tuple[Accident, ...]:
        return tuple(self._happened)

    def strike(self, ledger: TaskLedger, block: int, elapsed_s: float) -> None:
        """Kill whose time has come. Raises Stop: a victim had ended by itself."""
        for victim in [each for each in self._waiting if len(ledger.policies) >= each.versions]:
            self._waiting.remove(victim)
            self._happened.append(Accident(victim, elapsed_s, block, self._children.kill(victim.name)))

    def aftermath(self, ledger: TaskLedger) -> tuple[Aftermath, ...]:
        """What was done since, for each accident. One that has not happened is told as such."""
        never = [Aftermath(each.name, None, None, 0, 0, 0) for each in self._waiting]
        return (*(_since(each, ledger) for each in self._happened), *never)

    def are_survived(self, ledger: TaskLedger) -> bool:
        """All have happened, and works made since have been accepted, and policies published."""
        return all(each.accepted and each.policies for each in self.aftermath(ledger))

    def state_of(self, server: str) -> CarrierState:
        at_s = next((each.at_s for each in self._happened if each.victim.name == server), None)
        return CarrierState(server, at_s)


def _since(accident: Accident, ledger: TaskLedger) -> Aftermath:
    scores = [
        ledger.epochs[epoch].score_of(committed.work.index)
        for epoch in ledger.epochs
        for committed in ledger.epochs[epoch].works
        if committed.work.trainer in accident.victim.bystanders and committed.position[0] > accident.block
    ]
    return Aftermath(
        name=accident.victim.name,
        at_s=round(accident.at_s, 1),
        exit_code=accident.exit_code,
        policies=sum(each.position[0] > accident.block for each in ledger.policies),
        works=len(scores),
        accepted=sum(score is not None and 0 < score <= SCORE_FULL for score in scores),
    )
