"""Who judges a task, with which weight, and what can be taken from whom: one half of `contracts/Attestations.sol`."""

from collections import defaultdict
from dataclasses import replace

from offchain.protocol.model.clock import Clock, minus, require
from offchain.protocol.model.judged import Enlistment, Roll
from offchain.protocol.model.registry import Registry
from offchain.protocol.model.staking import NOBODY, Staking
from offchain.protocol.types import BPS, Address, Role


class Enlistments:
    def __init__(self, clock: Clock, staking: Staking, registry: Registry) -> None:
        self.rolls: dict[int, Roll] = defaultdict(Roll)
        self.needed_bonds: dict[Address, int] = defaultdict(int)
        self._clock, self._staking, self._registry = clock, staking, registry

    def enlist(self, caller: Address, task_id: int) -> None:
        task = self._registry.known(task_id)
        verifier, bonded = self._staking.active_bond(Role.VERIFIER, caller)
        roll = self.rolls[task_id]
        former = roll.enlistments.get(verifier)
        set_aside = self.needed_bonds[verifier]
        if former is not None:
            require(former.delisted_at != 0, "AlreadyEnlisted")
            require(self._clock.now >= self.answerable_until(former), "TooSoonToEnlist")
            set_aside -= 0 if former.is_released else former.weight
        weight = max(bonded - set_aside, 0)
        require(weight >= task.params.verifier_bond, "NotBonded")
        if former is not None:
            roll.former[verifier] = replace(former, is_released=True)
        self.needed_bonds[verifier] = bonded
        roll.enlistments[verifier] = Enlistment(weight, self._clock.number)
        if roll.fresh_block != self._clock.number:
            roll.fresh_block, roll.fresh_weight, roll.fresh_verifiers = self._clock.number, 0, 0
        roll.fresh_weight += weight
        roll.weight += weight
        roll.fresh_verifiers += 1
        roll.verifiers += 1
        self._staking.enlisted(verifier, Role.VERIFIER, enter=True)

    def delist(self, caller: Address, task_id: int) -> None:
        verifier = self._staking.operator_of(caller)
        require(self.is_enlisted(task_id, verifier), "NotEnlisted")
        self._delist(task_id, verifier)

    def release_bond(self, caller: Address, task_id: int, verifier: Address) -> None:
        enlistment = self.rolls[task_id].enlistments.get(verifier)
        require(enlistment is not None and bool(enlistment.delisted_at), "NothingToRelease")
        assert enlistment is not None
        require(not enlistment.is_released, "NothingToRelease")
        require(self._clock.now >= self.answerable_until(enlistment), "StillAnswerable")
        self.needed_bonds[verifier] = minus(self.needed_bonds[verifier], enlistment.weight)
        enlistment.is_released = True

    def is_enlisted(self, task_id: int, verifier: Address) -> bool:
        enlistment = self.rolls[task_id].enlistments.get(verifier)
        return enlistment is not None and enlistment.delisted_at == 0

    def collateral_of(self, task_id: int, verifier: Address) -> tuple[int, int]:
        """What answers for a verifier's verdicts, and until when; 0 while it is enlisted."""
        enlistment = self.rolls[task_id].enlistments.get(verifier)
        if enlistment is None:
            return 0, 0
        until = self.answerable_until(enlistment) if enlistment.delisted_at else 0
        return 0 if enlistment.is_released else enlistment.weight, until

    def answerable_until(self, enlistment: Enlistment) -> int:
        return enlistment.delisted_at + self._staking.unbonding_period_s

    def membership(self, task_id: int, epoch_id: int, sealed_block: int, verifier: Address) -> Enlistment | None:
        """The enlistment by which a verifier belongs to an epoch."""
        roll = self.rolls[task_id]
        found = roll.enlistments.get(verifier)
        if found is not None and found.block >= sealed_block:
            found = roll.former.get(verifier)
        if found is None or found.block >= sealed_block or epoch_id >= found.until_epoch:
            return None
        return found

    def counted(self, task_id: int) -> tuple[int, int]:
        """Verifiers and weight that count in this block."""
        roll = self.rolls[task_id]
        if roll.fresh_block != self._clock.number:
            return roll.verifiers, roll.weight
        return roll.verifiers - roll.fresh_verifiers, roll.weight - roll.fresh_weight

    def take(self, task_id: int, member: Enlistment, verifier: Address, amount: int, held_bps: int) -> tuple[int, int]:
        """Slashes a verifier for its part in an epoch; what was taken, and what of it is reserved."""
        is_over = member.delisted_at != 0 and self._clock.now >= self.answerable_until(member)
        taken = 0 if is_over else min(amount, member.weight)
        held = taken * held_bps // BPS
        if taken == 0:
            return 0, 0
        if member.delisted_at == 0:
            self.rolls[task_id].weight -= taken
        member.weight -= taken
        self.needed_bonds[verifier] -= taken
        if member.delisted_at == 0 and member.weight < self._registry.tasks[task_id].params.verifier_bond:
            self._delist(task_id, verifier)
        self._registry.credit(task_id, taken, held)
        self._staking.slash(verifier, Role.VERIFIER, taken, NOBODY, 0, leaves=False)
        return taken, held

    def _delist(self, task_id: int, verifier: Address) -> None:
        roll = self.rolls[task_id]
        enlistment = roll.enlistments[verifier]
        enlistment.delisted_at = self._clock.now
        enlistment.until_epoch = roll.sealed_epochs
        roll.weight -= enlistment.weight
        roll.verifiers -= 1
        if enlistment.block == self._clock.number:
            roll.fresh_weight -= enlistment.weight
            roll.fresh_verifiers -= 1
        self._staking.enlisted(verifier, Role.VERIFIER, enter=False)
