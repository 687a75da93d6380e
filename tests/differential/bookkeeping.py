"""Where every token went, by the chain's own Transfer events; nothing of it is asked of the specification."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from specs.words import BURNT, Address
from tests.differential.calls import read_answer, view_data
from tests.differential.node import Node

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"  # keccak of Transfer(address,…)
HOLDERS = ("Staking", "TaskRegistry", "Appeals", "Plants")


@dataclass
class Books:
    """`flows`: wei by (from, to), each one of HOLDERS, "burnt" or a person's role."""

    node: Node
    contracts: Mapping[str, Address]
    people: Mapping[str, Address]
    next_block: int = 0
    flows: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def __post_init__(self) -> None:
        named = {**self.people, **{name: self.contracts[name] for name in HOLDERS}, "burnt": BURNT}
        self._names = {address: name for name, address in named.items()}

    def follow(self, until_block: int) -> None:
        """Enter the transfers of all blocks up to this one; while the node still has them."""
        wanted = {"address": self.contracts["AssayToken"], "topics": [TRANSFER]}
        window = {"fromBlock": hex(self.next_block), "toBlock": hex(until_block)}
        (logs,) = self.node.batch([("eth_getLogs", [wanted | window])])
        for log in logs:
            sender, to = (self._names.get("0x" + topic[-40:], "elsewhere") for topic in log["topics"][1:3])
            self.flows[sender, to] += int(log["data"], 16)
        self.next_block = until_block + 1

    def moved(self, sender: str, *to: str) -> int:
        """From one to the named, or, without names, to all people; in wei."""
        return sum(
            wei for (source, target), wei in self.flows.items() if source == sender and target in (to or self.people)
        )

    def taken_in(self, contract: str) -> int:
        """From people, in wei."""
        return sum(wei for (source, target), wei in self.flows.items() if target == contract and source in self.people)

    def kept(self, contract: str) -> int:
        """What came in and did not go out."""
        came = sum(wei for (_, target), wei in self.flows.items() if target == contract)
        return came - sum(wei for (source, _), wei in self.flows.items() if source == contract)

    def holdings(self) -> dict[str, int]:
        """What everybody and all contracts hold now, by the token."""
        asked = [view_data("AssayToken", "balanceOf", (holder,)) for holder in self._names]
        answers = self.node.call([(self.contracts["AssayToken"], each) for each in asked])
        values = [int(read_answer("AssayToken", "balanceOf", answer)) for answer in answers]
        return dict(zip(self._names.values(), values, strict=True))

    def supply(self) -> int:
        (answer,) = self.node.call([(self.contracts["AssayToken"], view_data("AssayToken", "totalSupply", ()))])
        return int(read_answer("AssayToken", "totalSupply", answer))

    def owed_by_staking(self) -> int:
        """Bonds, and what is unbonding, by the contract."""
        bonds = [view_data("Staking", "bondOf", (who, role)) for who in self.people.values() for role in (0, 1)]
        answers = self.node.call([(self.contracts["Staking"], each) for each in bonds])
        shown = [read_answer("Staking", "bondOf", each) for each in answers]
        return sum(bonded + unbonding for bonded, _, unbonding, _ in shown)

    def owed_by_registry(self, tasks: int) -> int:
        """Budgets and reservations, by the contract."""
        asked = [view_data("TaskRegistry", "moneyOf", (task_id,)) for task_id in range(1, tasks + 1)]
        answers = self.node.call([(self.contracts["TaskRegistry"], each) for each in asked])
        return sum(sum(read_answer("TaskRegistry", "moneyOf", each)[:2]) for each in answers)
