"""Bonds of trainers and verifiers: `contracts/Staking.sol`."""

from collections import defaultdict
from dataclasses import dataclass

from offchain.protocol.model.clock import Clock, minus, require
from offchain.protocol.model.token import Token
from offchain.protocol.types import Address, Role

NOBODY = Address("0x" + "00" * 20)


@dataclass(slots=True)
class Bond:
    """One operator in one role; `fresh` was bonded in block `fresh_at`, and is not active in it."""

    bonded: int = 0
    unbonding: int = 0
    fresh: int = 0
    fresh_at: int = 0
    withdrawable_at: int = 0
    enlistments: int = 0


class Staking:
    def __init__(
        self, clock: Clock, token: Token, address: Address, registry: Address, unbonding_period_s: int
    ) -> None:
        self.address = address
        self.unbonding_period_s = unbonding_period_s
        self.bonds: dict[tuple[Address, Role], Bond] = defaultdict(Bond)
        self.workers: dict[Address, Address] = {}
        self._operators: dict[Address, Address] = {}
        self._clock, self._token, self._registry = clock, token, registry

    def bond(self, caller: Address, role: Role, amount: int) -> None:
        require(amount > 0, "ZeroAmount")
        self._token.pull(self.address, caller, amount)
        held = self.bonds[caller, role]
        held.bonded += amount
        held.fresh = held.fresh + amount if held.fresh_at == self._clock.number else amount
        held.fresh_at = self._clock.number

    def bond_with_permit(self, caller: Address, role: Role, amount: int, is_valid: bool) -> None:
        """A permit that is not valid leaves the allowance to decide."""
        require(amount > 0, "ZeroAmount")
        if is_valid:
            require(self._token.balance_of(caller) >= amount, "ERC20InsufficientBalance")
            self._token.approve(caller, self.address, amount)
        self.bond(caller, role, amount)

    def request_unbond(self, caller: Address, role: Role, amount: int) -> None:
        held = self.bonds[caller, role]
        require(amount > 0, "ZeroAmount")
        require(held.enlistments == 0, "StillEnlisted")
        require(amount <= held.bonded, "InsufficientBond")
        held.bonded -= amount
        held.unbonding += amount
        held.withdrawable_at = self._clock.now + self.unbonding_period_s

    def withdraw(self, caller: Address, role: Role) -> None:
        held = self.bonds[caller, role]
        require(held.unbonding > 0, "NothingToWithdraw")
        require(self._clock.now >= held.withdrawable_at, "StillUnbonding")
        self._token.transfer(self.address, caller, held.unbonding)
        held.unbonding = 0

    def set_worker_key(self, caller: Address, worker: Address, signer: Address | None) -> None:
        """`signer` is who signed the consent of `worker` to work for the caller; None: nobody did."""
        if worker != NOBODY:
            require(self._operators.get(worker, caller) == caller, "WorkerKeyTaken")
            require(signer == worker, "BadWorkerSignature")
        former = self.workers.pop(caller, None)
        if former is not None:
            del self._operators[former]
        if worker != NOBODY:
            self.workers[caller], self._operators[worker] = worker, caller

    def operator_of(self, key: Address) -> Address:
        return self._operators.get(key, key)

    def active_bond(self, role: Role, key: Address) -> tuple[Address, int]:
        operator = self.operator_of(key)
        held = self.bonds[operator, role]
        fresh = held.fresh if held.fresh_at == self._clock.number else 0
        return operator, max(held.bonded - fresh, 0)

    def enlisted(self, operator: Address, role: Role, *, enter: bool) -> None:
        """Counts an enlistment or its end; for the model's other parts."""
        self.bonds[operator, role].enlistments += 1 if enter else -1

    def slash(
        self, operator: Address, role: Role, amount: int, reporter: Address, to_reporter: int, *, leaves: bool
    ) -> None:
        """Takes what the caller knows to be there: the bond first, then what is unbonding; for the other parts."""
        held = self.bonds[operator, role]
        from_bonded = min(amount, held.bonded)
        unbonding = minus(held.unbonding, amount - from_bonded)
        if leaves:
            held.enlistments -= 1
        held.bonded, held.unbonding = held.bonded - from_bonded, unbonding
        self._token.transfer(self.address, self._registry, amount - to_reporter)
        self._token.transfer(self.address, reporter, to_reporter)
