"""Bonds and worker keys; and what of the token the rest needs."""

from collections.abc import Iterator
from dataclasses import dataclass

from specs import hashes, rules
from specs.acts.act import Act, cannot_pay, pull
from specs.facts import Allowed, Bonded, Fact, Transferred, UnbondRequested, Withdrawn, WorkerKeySet
from specs.history import History
from specs.words import NOBODY, Address


@dataclass(frozen=True, slots=True)
class Approve(Act, contract="AssayToken", function="approve"):
    spender: Address
    amount: int

    def against(self, h: History) -> Iterator[str]:
        yield from ()

    def follows(self, h: History) -> Iterator[Fact]:
        yield Allowed(self.by, self.spender, self.amount)


@dataclass(frozen=True, slots=True)
class Transfer(Act, contract="AssayToken", function="transfer"):
    to: Address
    amount: int

    def against(self, h: History) -> Iterator[str]:
        if self.amount > rules.balance(h, self.by):
            yield "ERC20InsufficientBalance"

    def follows(self, h: History) -> Iterator[Fact]:
        yield Transferred(self.by, self.to, self.amount)


def _why_no_bond(h: History, who: Address, role: int, amount: int) -> Iterator[str]:
    if amount == 0:
        yield "ZeroAmount"
    if rules.bonded(h, who, role) + amount >= 2**128:
        yield "Panic"
    if amount > rules.balance(h, who):
        yield "ERC20InsufficientBalance"


@dataclass(frozen=True, slots=True)
class Bond(Act, contract="Staking", function="bond"):
    role: int
    amount: int

    def against(self, h: History) -> Iterator[str]:
        yield from _why_no_bond(h, self.by, self.role, self.amount)
        yield from cannot_pay(h, self.by, "Staking", self.amount)

    def follows(self, h: History) -> Iterator[Fact]:
        yield pull(h, self.by, "Staking", self.amount)
        yield Bonded(self.by, self.role, self.amount)


@dataclass(frozen=True, slots=True)
class BondWithPermit(Act, contract="Staking", function="bondWithPermit"):
    """A permit that does not serve leaves the allowance as it is."""

    role: int
    amount: int
    deadline: int
    v: int
    r: bytes
    s: bytes

    def _serves(self, h: History) -> bool:
        if h.now > self.deadline:
            return False
        token, staking = h.places["AssayToken"], h.places["Staking"]
        nonce = rules.permits(h, self.by)
        digest = hashes.permit(token, h.constants.chain_id, self.by, staking, self.amount, nonce, self.deadline)
        return hashes.signer(digest, self.r + self.s + bytes([self.v])) == self.by

    def against(self, h: History) -> Iterator[str]:
        yield from _why_no_bond(h, self.by, self.role, self.amount)
        if not self._serves(h):
            yield from cannot_pay(h, self.by, "Staking", self.amount)

    def follows(self, h: History) -> Iterator[Fact]:
        if self._serves(h):
            yield Allowed(self.by, h.places["Staking"], self.amount, is_permit=True)
        yield pull(h, self.by, "Staking", self.amount)
        yield Bonded(self.by, self.role, self.amount)


@dataclass(frozen=True, slots=True)
class RequestUnbond(Act, contract="Staking", function="requestUnbond"):
    role: int
    amount: int

    def against(self, h: History) -> Iterator[str]:
        if self.amount == 0:
            yield "ZeroAmount"
        if self.amount > rules.bonded(h, self.by, self.role) - rules.locked(h, self.by, self.role):
            yield "InsufficientBond"

    def follows(self, h: History) -> Iterator[Fact]:
        yield UnbondRequested(self.by, self.role, self.amount, h.now + h.constants.unbonding_s)


@dataclass(frozen=True, slots=True)
class Withdraw(Act, contract="Staking", function="withdraw"):
    role: int

    def against(self, h: History) -> Iterator[str]:
        if rules.unbonding(h, self.by, self.role) == 0:
            yield "NothingToWithdraw"
        elif h.now < rules.withdrawable_at(h, self.by, self.role):
            yield "StillUnbonding"

    def follows(self, h: History) -> Iterator[Fact]:
        yield Withdrawn(self.by, self.role, rules.unbonding(h, self.by, self.role))


@dataclass(frozen=True, slots=True)
class SetWorkerKey(Act, contract="Staking", function="setWorkerKey"):
    worker: Address
    deadline: int
    signature: bytes

    def against(self, h: History) -> Iterator[str]:
        if self.worker == NOBODY:
            return
        operator = rules.operator_of(h, self.worker)
        # A key that names itself is its own operator either way.
        if operator not in (self.worker, self.by):
            yield "WorkerKeyTaken"
        if h.now > self.deadline:
            yield "ConsentExpired"
        staking, nonce = h.places["Staking"], rules.consents(h, self.worker)
        digest = hashes.consent(staking, h.constants.chain_id, self.by, self.worker, nonce, self.deadline)
        if hashes.signer(digest, self.signature) != self.worker:
            yield "BadWorkerSignature"

    def follows(self, h: History) -> Iterator[Fact]:
        yield WorkerKeySet(self.by, self.worker)


@dataclass(frozen=True, slots=True)
class RenounceWorkerKey(Act, contract="Staking", function="renounceWorkerKey"):
    def against(self, h: History) -> Iterator[str]:
        if rules.worker_of(h, rules.operator_of(h, self.by)) != self.by:
            yield "NotAWorkerKey"

    def follows(self, h: History) -> Iterator[Fact]:
        yield WorkerKeySet(rules.operator_of(h, self.by), NOBODY, renounced_by=self.by)
