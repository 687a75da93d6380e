"""Double entry: every wei that moves leaves one account and enters another, and none falls below zero.

An account is a path: whose contract, what for, which task, ... Sums are kept for every part of the path, so that what a
contract holds is the sum of what it holds for somebody.
"""

from collections import Counter
from dataclasses import dataclass, field

Account = tuple[str | int | bytes, ...]
MINT: Account = ("mint",)


class Overdrawn(AssertionError):
    """Somebody was paid what was not there."""


@dataclass(frozen=True, slots=True)
class Posting:
    source: Account
    target: Account
    amount: int


@dataclass(slots=True)
class Ledger:
    _sums: Counter[Account] = field(default_factory=Counter[Account])

    def post(self, posting: Posting) -> None:
        """Raises Overdrawn."""
        source, target, amount = posting.source, posting.target, posting.amount
        if amount < 0 or (source != MINT and self._sums[source] < amount):
            raise Overdrawn(f"{amount} wei from {source}, which has {self._sums[source]}, to {target}")
        for end in range(1, len(source) + 1):
            self._sums[source[:end]] -= amount
        for end in range(1, len(target) + 1):
            self._sums[target[:end]] += amount

    def holds(self, *account: str | int | bytes) -> int:
        return self._sums[account]


def wallet(holder: str) -> Account:
    return ("wallet", holder)


def bond(operator: str, role: int) -> Account:
    return ("Staking", "bond", operator, int(role))


def unbonding(operator: str, role: int) -> Account:
    return ("Staking", "unbonding", operator, int(role))


def budget(task_id: int) -> Account:
    return ("TaskRegistry", "budget", task_id)


def reservation(task_id: int, epoch: int) -> Account:
    return ("TaskRegistry", "reservation", task_id, epoch)


def pledge(task_id: int, epoch: int, challenge: int) -> Account:
    return ("Appeals", "pledge", task_id, epoch, challenge)


def reward(task_id: int, epoch: int, index: int) -> Account:
    return ("Appeals", "reward", task_id, epoch, index)


def deposit(task_id: int, commitment: bytes) -> Account:
    return ("Plants", "deposit", task_id, commitment)
