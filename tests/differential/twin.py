"""The contracts on a chain and the model of them, driven by the same calls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from offchain.chain.creations import Constants
from offchain.chain.reverts import decode_revert
from offchain.protocol.model import Network, Places
from offchain.protocol.types import Address, PolicyVersion, Root, Work, WorkIndex
from tests.differential.calls import Action
from tests.differential.node import GENESIS, Ledger, Mined, Node, Transaction, deploy_quickly
from tests.differential.views import Disagreement, View, differences, views_of

UNIT = 10**18
SUPPLY = 10**27
UNBONDING_S = 2_000
REPORTER_BPS = 1_000

ModelOf = Callable[[Places, Address], Network]


def honest_model(places: Places, holder: Address) -> Network:
    return Network(places, holder, SUPPLY, UNBONDING_S, REPORTER_BPS)


def account_of(role: str) -> LocalAccount:
    """The same role has the same key."""
    return Account.from_key(keccak(text=f"test key of the {role}"))


@dataclass
class Twin:
    """`works` are all that were committed: what a claim has to hand in. `outcomes` counts what calls ended in."""

    node: Ledger
    contracts: Mapping[str, Address]
    model: Network
    people: Mapping[str, Address]
    now: int = GENESIS + 1
    works: dict[tuple[int, int, Address], Work] = field(default_factory=dict[tuple[int, int, Address], Work])
    permits: dict[Address, int] = field(default_factory=dict[Address, int])  # used, by owner
    refusals: list[str | None] = field(default_factory=list[str | None])
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    def step(self, actions: Sequence[Action], seconds: int = 1) -> list[str | None]:
        """All of them in one block, so many seconds later. Raises Disagreement: one ended otherwise than here."""
        mined = self.perform(actions, seconds)
        receipts, refusals = self.node.receipts(mined), self.refusals
        for action, each, receipt, refusal in zip(actions, mined, receipts, refusals, strict=True):
            said = None if receipt.is_success else decode_revert(each.output, action.contract).name
            if said != refusal:
                raise Disagreement(f"{action}: the contract says {said}, the model {refusal}")
        return refusals

    def perform(self, actions: Sequence[Action], seconds: int = 1) -> list[Mined]:
        """As `step`, not looking at how the contracts took it; see `refusals` for how the model did."""
        self.now += seconds
        sent = [Transaction(each.caller, self.contracts[each.contract], each.data()) for each in actions]
        block, mined = self.node.mine(sent, self.now)
        self.model.enter(block)
        self.refusals = [self._perform(each) for each in actions]
        return mined

    def compare(self, recent: int | None = None) -> int:
        """How many values were compared, of the `recent` newest epochs. Raises Disagreement: one is another."""
        found = differences(self.node, self.contracts, self.views(recent))
        if found.wrong:
            raise Disagreement("; ".join(found.wrong))
        return found.compared

    def views(self, recent: int | None = None) -> list[View]:
        return views_of(self.model, self.contracts, tuple(self.people.values()), recent)

    def _perform(self, action: Action) -> str | None:
        refusal = action.perform(self.model)
        place = (f"{action.contract}.{action.function}", refusal or "")
        self.outcomes[place] = self.outcomes.get(place, 0) + 1
        if refusal is None and action.function == "bondWithPermit":
            self.permits[action.caller] = self.permits.get(action.caller, 0) + int(action.arguments[2])
        if refusal is None and action.function == "commitWork":
            task_id, epoch, root, units, version = action.arguments
            trainer = self.model.staking.operator_of(action.caller)
            index = WorkIndex(self.model.registry.tasks[task_id].works - 1)
            work = Work(trainer, index, units, PolicyVersion(version), Root(root))
            self.works[task_id, epoch, trainer] = work
        return refusal


def make_twin(node: Node, roles: Sequence[str], model_of: ModelOf = honest_model) -> Twin:
    """A fresh deployment. All roles hold tokens, and let Staking and TaskRegistry pull them."""
    deployer = Address(account_of("deployer").address)
    constants = Constants(UNBONDING_S, REPORTER_BPS, deployer, SUPPLY)
    return endow(node, deploy_quickly(node, deployer, constants), roles, model_of)


def endow(
    ledger: Ledger,
    contracts: Mapping[str, Address],
    roles: Sequence[str],
    model_of: ModelOf,
    twin_type: type[Twin] = Twin,
) -> Twin:
    """The people of a deployment, and what they need to begin."""
    people = {role: Address(account_of(role).address) for role in roles}
    deployer = Address(account_of("deployer").address)
    places = Places(contracts["Staking"], contracts["TaskRegistry"], contracts["Challenges"])
    twin = twin_type(ledger, contracts, model_of(places, deployer), people)
    twin.step([Action(deployer, "AssayToken", "transfer", (each, 10**6 * UNIT)) for each in people.values()])
    twin.step(
        [
            Action(each, "AssayToken", "approve", (contracts[spender], 10**6 * UNIT))
            for each in people.values()
            for spender in ("Staking", "TaskRegistry")
        ]
    )
    return twin
