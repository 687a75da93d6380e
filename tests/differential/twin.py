"""The contracts on a chain, and the specification of them: told the same, they must end up alike.

After each block: every call was refused, for a reason that the specification has, or by neither; every log is one that
follows by the specification, and no other; the chain layer reads each as it lies there; and nothing has happened that
must never happen (specs/properties.py).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from assay_core.chain.creations import Constants as Creation
from assay_core.chain.reverts import decode_revert
from specs.acts import Act, perform
from specs.acts.staking import Approve, Transfer
from specs.history import Choices, History
from specs.ledger import MINT, Posting, wallet
from specs.properties import Log, Observer
from specs.words import Address, Constants
from tests.differential.calls import act_data, fact_fields, log_fields, read_log
from tests.differential.node import GENESIS, Ledger, Mined, Node, RawLog, Receipt, Transaction, deploy_quickly
from tests.differential.typed import ChainLayer
from tests.differential.views import SPENDERS, Disagreement, View, differences, views_of

UNIT = 10**18
SUPPLY = 10**27
PURSE = 10**6 * UNIT  # what everybody starts with
CONSTANTS = Constants(
    unbonding_s=2_000,
    min_window=30,
    reporter_bps=1_000,
    seal_delay=2,
    header_wait=8,
    seat_bond=2 * UNIT,
    chain_id=31_337,
)
TOKEN_EVENTS = ("Transfer", "Approval")


def account_of(role: str) -> LocalAccount:
    """The same role has the same key."""
    return Account.from_key(keccak(text=f"test key of the {role}"))


def address_of(role: str) -> Address:
    return str(account_of(role).address).lower()


@dataclass
class Twin:
    """`outcomes` counts what calls ended in: contract and function, and the error's name or nothing."""

    node: Ledger
    contracts: Mapping[str, Address]
    h: History
    people: Mapping[str, Address]
    observer: Observer
    refusals: list[str | None] = field(default_factory=list[str | None])
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    @property
    def now(self) -> int:
        return self.h.now

    def __post_init__(self) -> None:
        self.layer = ChainLayer(self.contracts)
        self._names = {address: name for name, address in self.contracts.items()}

    def step(self, acts: Sequence[Act], seconds: int = 1) -> list[str | None]:
        """All of them in one block, so many seconds later; how each ended. Raises Disagreement, Broken."""
        block, mined = self.node.mine([self._transaction(each) for each in acts], max(self.now, GENESIS) + seconds)
        self.h.enter(block)
        receipts = self.node.receipts(mined)
        refusals = {
            each.sent: self._compare(acts[each.sent], each, receipt)
            for each, receipt in zip(mined, receipts, strict=True)
        }
        self.refusals = [refusals[number] for number in range(len(acts))]
        self.observer.check_held()
        return self.refusals

    def skip(self, blocks: int, seconds: int) -> None:
        """Empty blocks."""
        for block in self.node.skip(blocks, seconds):
            self.h.enter(block)

    def _transaction(self, act: Act) -> Transaction:
        return Transaction(act.by, self.contracts[act.CONTRACT], act_data(act))

    def _compare(self, act: Act, mined: Mined, receipt: Receipt) -> str | None:
        logs = [self._read(each) for each in receipt.logs]
        self.layer.check_act(act)
        told = [log for log in logs if log.event not in TOKEN_EVENTS]
        self.h.choices = Choices(next((log["jurors"] for log in told if log.event == "PanelDrawn"), None))
        before = self.h.count
        reasons = perform(self.h, act)
        refusal = None if receipt.is_success else decode_revert(mined.output, act.CONTRACT).name
        if refusal not in (reasons or {None}):
            raise Disagreement(f"{act}: the contract says {refusal}, the specification {reasons or None}")
        self._compare_logs(act, told, before)
        for log in logs:
            self.observer.see(log)
        self.outcomes[f"{act.CONTRACT}.{act.FUNCTION}", refusal or ""] += 1
        return refusal

    def _compare_logs(self, act: Act, told: Sequence[Log], before: int) -> None:
        expected = [fact for fact in self.h.since(before) if not fact.SILENT]
        missing = [(type(fact).__name__, fact_fields(fact)) for fact in expected]
        surplus: list[Any] = []
        for log in told:
            entry = (log.event, log_fields(log))
            if entry in missing:
                missing.remove(entry)
            else:
                surplus.append(entry)
        if missing or surplus:
            raise Disagreement(f"{act}: the contract tells {surplus}, the specification {missing}")

    def _read(self, raw: RawLog) -> Log:
        log = read_log(raw, self._names[raw.address], self.h.block)
        self.layer.check_log(raw, log)
        return log

    def compare(self, recent: int | None = None) -> int:
        """How many values were compared, of the `recent` newest epochs. Raises Disagreement: one is another."""
        found = differences(self.node, self.contracts, self.views(recent))
        if found.wrong:
            raise Disagreement("; ".join(found.wrong[:20]))
        return found.compared

    def views(self, recent: int | None = None) -> list[View]:
        return views_of(self.h, tuple(self.people.values()), recent)

    def header(self, number: int) -> bytes:
        return self.node.header(number)


def make_twin(node: Node, roles: Sequence[str]) -> Twin:
    """A fresh deployment. All roles hold tokens, and let the contracts pull them."""
    deployer = address_of("deployer")
    made = Creation(
        CONSTANTS.unbonding_s,
        CONSTANTS.min_window,
        CONSTANTS.seal_delay,
        CONSTANTS.header_wait,
        CONSTANTS.seat_bond,
        CONSTANTS.reporter_bps,
        deployer,
        SUPPLY,
    )
    return endow(node, deploy_quickly(node, deployer, made), roles, Twin)


def endow(ledger: Ledger, contracts: Mapping[str, Address], roles: Sequence[str], twin_type: type[Twin]) -> Twin:
    """The people of a deployment, and what they need to begin."""
    deployer = address_of("deployer")
    h = History(CONSTANTS, contracts)
    h.ledger.post(Posting(MINT, wallet(deployer), SUPPLY))
    people = {role: address_of(role) for role in roles}
    twin = twin_type(ledger, contracts, h, people, Observer(contracts["Appeals"]))
    twin.observer.supply = twin.observer.held[deployer] = SUPPLY
    twin.step([Transfer(deployer, each, PURSE) for each in people.values()])
    twin.step([Approve(each, contracts[spender], PURSE) for each in people.values() for spender in SPENDERS])
    return twin
