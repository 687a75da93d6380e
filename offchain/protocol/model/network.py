"""All parts of the model together, as a deployment puts the contracts together."""

from dataclasses import dataclass

from offchain.protocol.model.attestations import Attestations
from offchain.protocol.model.challenges import Challenges
from offchain.protocol.model.clock import Block, Clock, Refused
from offchain.protocol.model.payouts import Payouts
from offchain.protocol.model.registry import Registry
from offchain.protocol.model.staking import Staking
from offchain.protocol.model.token import Token
from offchain.protocol.types import Address

# What the contracts call of one another, and nobody else may. In the model these are plain methods of the parts.
KEEPERS_ONLY = {
    "Staking": ("slash", "enlisted"),
    "TaskRegistry": ("seal", "releaseEpoch", "settleWorks", "settleFraud", "release", "pay", "credit", "hold"),
    "Attestations": ("slashVerifier", "openChallenge", "closeChallenge"),
    "Challenges": ("reward",),
}


@dataclass(frozen=True, slots=True)
class Places:
    """Where the contracts are that hold money or may receive some."""

    staking: Address
    registry: Address
    challenges: Address


class Network:
    """The protocol without a chain. A call that raises Refused changes nothing; `enter` says when calls happen."""

    # A network with another rule is a subclass that names another part: so tests show that a wrong rule is found.
    registry_type: type[Registry] = Registry
    attestations_type: type[Attestations] = Attestations
    challenges_type: type[Challenges] = Challenges
    payouts_type: type[Payouts] = Payouts

    def __init__(
        self, places: Places, holder: Address, supply_wei: int, unbonding_period_s: int, reporter_bps: int
    ) -> None:
        self.clock = Clock(Block(0, 0))
        self.token = Token(holder, supply_wei)
        self.staking = Staking(self.clock, self.token, places.staking, places.registry, unbonding_period_s)
        self.registry = self.registry_type(
            self.clock,
            self.token,
            self.staking,
            places.registry,
            lambda task_id, epoch: self.attestations.phase_of(task_id, epoch),
        )
        self.attestations = self.attestations_type(self.clock, self.staking, self.registry)
        self.challenges = self.challenges_type(
            self.clock, self.staking, self.registry, self.attestations, places.challenges
        )
        self.payouts = self.payouts_type(self.staking, self.registry, self.attestations, self.challenges, reporter_bps)

    def enter(self, block: Block) -> None:
        self.clock.block = block

    def meddle(self, contract: str, function: str) -> None:
        """A stranger calls what only the contracts may. Always raises Refused."""
        if function not in KEEPERS_ONLY[contract]:
            raise KeyError(f"{contract}.{function} is open to everybody")
        raise Refused("NotAuthorised")

    def held(self) -> int:
        """What the contracts hold."""
        return self.token.balance_of(self.staking.address) + self.token.balance_of(self.registry.address)

    def owed(self) -> int:
        """Bonds, what is unbonding, budgets and reservations: what `held` must be, to the wei."""
        bonds = sum(bond.bonded + bond.unbonding for bond in self.staking.bonds.values())
        return bonds + sum(task.budget + task.reserved for task in self.registry.tasks.values())
