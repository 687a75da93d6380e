"""Tasks, their money, and the works committed to them: `contracts/TaskRegistry.sol`."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from offchain.protocol.economics import epoch_cost
from offchain.protocol.encoding import work_hash
from offchain.protocol.model.clock import Clock, minus, require
from offchain.protocol.model.running import fold
from offchain.protocol.model.staking import NOBODY, Staking
from offchain.protocol.model.terms import check_terms
from offchain.protocol.model.token import Token
from offchain.protocol.types import (
    BPS,
    Address,
    Epoch,
    EpochPhase,
    PolicyVersion,
    Role,
    Root,
    TaskId,
    TaskParams,
    Work,
    WorkIndex,
)

SEAL_DELAY = 1  # blocks, as on local chains
MAX_WORKS = 4096


@dataclass(slots=True)
class Sealed:
    """What the registry keeps of an epoch."""

    works: int
    units: int
    commit_by: int
    running_hash: bytes


@dataclass(slots=True)
class Record:
    """One trainer in one task. `settled`: epochs whose work is paid or slashed."""

    collateral: int = 0
    since: int = 0
    delisted_at: int = 0
    committed_epochs: int = 0
    hashes: dict[int, bytes] = field(default_factory=dict[int, bytes])
    settled: set[int] = field(default_factory=set[int])

    @property
    def is_enlisted(self) -> bool:
        return self.collateral != 0 and self.delisted_at == 0


@dataclass(slots=True)
class Task:
    """`waiting`: enlisted trainers who have not committed. Amounts in wei."""

    initiator: Address
    params: TaskParams
    policy_root: bytes
    budget: int
    reserved: int = 0
    open_epoch: int = 0
    commit_by: int = 0
    is_open: bool = False
    is_closed: bool = False
    running_hash: bytes = bytes(32)
    last_block: int = 0
    units_left: int = 0
    works: int = 0
    waiting: int = 0
    trainers: int = 0
    sealed: dict[int, Sealed] = field(default_factory=dict[int, Sealed])
    records: dict[Address, Record] = field(default_factory=lambda: defaultdict(Record))


class Registry:
    """Attributes are the state; what other parts of the model alone may call is said so."""

    def __init__(
        self, clock: Clock, token: Token, staking: Staking, address: Address, phase_of: Callable[[int, int], EpochPhase]
    ) -> None:
        self.address = address
        self.tasks: dict[int, Task] = {}
        self.needed_bonds: dict[Address, int] = defaultdict(int)
        self._clock, self._token, self._staking, self._phase_of = clock, token, staking, phase_of

    def open_task(
        self, caller: Address, params: TaskParams, spec_hash: bytes, spec_uri: str, policy_root: bytes, budget: int
    ) -> TaskId:
        check_terms(params, self._staking.unbonding_period_s)
        require(any(policy_root), "EmptyRoot")
        require(budget >= epoch_cost(params), "BudgetTooSmall")
        self._token.pull(self.address, caller, budget)
        task_id = TaskId(len(self.tasks) + 1)
        self.tasks[task_id] = task = Task(caller, params, policy_root, budget)
        self._open_epoch(task)
        return task_id

    def fund_task(self, caller: Address, task_id: int, amount: int) -> None:
        task = self.known(task_id)
        require(not task.is_closed, "TaskIsClosed")
        self._token.pull(self.address, caller, amount)
        task.budget += amount
        self._open_epoch_if_dry(task)

    def close_task(self, caller: Address, task_id: int) -> None:
        task = self.known(task_id)
        require(caller == task.initiator, "NotInitiator")
        require(not task.is_closed, "TaskIsClosed")
        task.is_closed = True
        if task.is_open and task.works == 0:
            task.is_open = False
            self._free(task, epoch_cost(task.params))

    def refund_task(self, caller: Address, task_id: int) -> None:
        task = self.known(task_id)
        require(task.is_closed and task.budget > 0, "NothingToRefund")
        require(not task.is_open, "EpochNotReady")
        if task.open_epoch > 0:
            phase = self._phase_of(task_id, task.open_epoch - 1)
            require(phase in (EpochPhase.FINAL, EpochPhase.VOID), "EpochNotReady")
        self._token.transfer(self.address, task.initiator, task.budget)
        task.budget = 0

    def enlist(self, caller: Address, task_id: int) -> None:
        task = self.known(task_id)
        require(not task.is_closed, "TaskIsClosed")
        trainer, bonded = self._staking.active_bond(Role.TRAINER, caller)
        record = task.records[trainer]
        require(not record.is_enlisted, "AlreadyEnlisted")
        needed = self.needed_bonds[trainer] - record.collateral + task.params.trainer_bond
        require(bonded >= needed, "NotBonded")
        self.needed_bonds[trainer] = needed
        record.collateral, record.since, record.delisted_at = task.params.trainer_bond, task.open_epoch, 0
        task.trainers += 1
        if record.committed_epochs <= task.open_epoch:
            task.waiting += 1
        self._staking.enlisted(trainer, Role.TRAINER, enter=True)

    def delist(self, caller: Address, task_id: int, trainer: Address) -> None:
        task = self.known(task_id)
        record = task.records[trainer]
        require(record.is_enlisted, "NotEnlisted")
        has_left = task.open_epoch > record.since + 1 and task.open_epoch > record.committed_epochs
        require(self._staking.operator_of(caller) == trainer or has_left, "StillActive")
        record.delisted_at = self._clock.now
        self._leave(task, record)
        self._staking.enlisted(trainer, Role.TRAINER, enter=False)

    def release_bond(self, caller: Address, task_id: int, trainer: Address) -> None:
        record = self.tasks[task_id].records[trainer] if task_id in self.tasks else Record()
        require(record.collateral > 0 and record.delisted_at != 0, "NothingToRelease")
        require(self._clock.now >= self.answerable_until(record), "StillAnswerable")
        self.needed_bonds[trainer] = minus(self.needed_bonds[trainer], record.collateral)
        record.collateral = 0

    def commit_work(
        self, caller: Address, task_id: int, epoch: int, manifest_root: bytes, units: int, policy_version: int
    ) -> None:
        task = self.tasks.get(task_id)
        require(task is not None and task.is_open, "EpochNotOpen")
        assert task is not None
        require(epoch == task.open_epoch, "WrongEpoch")
        require(any(manifest_root), "EmptyRoot")
        require(0 < units <= task.params.max_work_units, "BadUnits")
        require(units <= task.units_left and task.works < MAX_WORKS, "EpochFull")
        is_late = self._clock.now >= task.commit_by
        require(not is_late or task.works == 0, "CommitClosed")
        trainer = self._staking.operator_of(caller)
        record = task.records[trainer]
        require(record.is_enlisted, "NotEnlisted")
        require(record.committed_epochs <= epoch, "AlreadyCommitted")
        if is_late:
            self._start_window(task)
        hashed = work_hash(
            Work(trainer, WorkIndex(task.works), units, PolicyVersion(policy_version), Root(manifest_root))
        )
        record.committed_epochs = epoch + 1
        record.hashes[epoch] = hashed
        task.running_hash = fold(task.running_hash, hashed)
        task.last_block = self._clock.number % 256
        task.works += 1
        task.units_left -= units
        task.waiting -= 1

    def check_seal(self, task_id: int) -> Task:
        """What `seal` asks for; for Attestations."""
        task = self.known(task_id)
        require(task.is_open, "EpochNotOpen")
        require(self.is_ready(task) and self.is_unforeseen(task), "EpochNotReady")
        return task

    def seal(self, task: Task) -> None:
        """Ends the open epoch and opens the next; after `check_seal`, for Attestations."""
        units = task.params.max_epoch_units - task.units_left
        task.sealed[task.open_epoch] = Sealed(task.works, units, task.commit_by, task.running_hash)
        self._free(task, task.units_left * task.params.unit_price)
        task.is_open = False
        task.open_epoch += 1
        task.waiting = task.trainers
        self._open_epoch(task)

    def release_epoch(self, task_id: int, epoch: int) -> None:
        """Gives a void epoch's money back to the budget; for Attestations."""
        task = self.tasks[task_id]
        self._free(task, task.sealed[epoch].units * task.params.unit_price + task.params.verifier_fee)
        self._open_epoch_if_dry(task)

    def release(self, task_id: int, amount: int) -> None:
        """Gives the part of the fee that nobody earned back to the budget; for Attestations."""
        task = self.tasks[task_id]
        self._free(task, amount)
        self._open_epoch_if_dry(task)

    def check_works(self, task_id: int, trainer: Address, works: Sequence[tuple[Epoch, Work]]) -> None:
        """That these works were committed and none is settled, here or twice in `works`; for Payouts."""
        record = self.tasks[task_id].records[trainer]
        seen: set[int] = set()
        for epoch, work in works:
            is_new = epoch not in record.settled and epoch not in seen
            require(is_new and record.hashes.get(epoch) == work_hash(work), "WrongWork")
            seen.add(epoch)

    def settle_fraud(
        self, task_id: int, epoch: int, work: Work, reporter: Address | None, reporter_bps: int
    ) -> tuple[int, int]:
        """Slashes a trainer; None reserves the reporter's part. Returns what was taken and that part; for Payouts."""
        task = self.tasks[task_id]
        record = task.records[work.trainer]
        self.check_works(task_id, work.trainer, [(Epoch(epoch), work)])
        record.settled.add(epoch)
        leaves = record.delisted_at == 0
        answers = leaves or self._clock.now < self.answerable_until(record)
        taken = min(task.params.fraud_slash, record.collateral) if answers else 0
        if leaves:
            record.delisted_at = self._clock.now
            self._leave(task, record)
        record.collateral -= taken
        self.needed_bonds[work.trainer] -= taken
        to_reporter = self.reporters_part(taken, reporter_bps)
        held = to_reporter if reporter is None else 0
        self._book(task, work.units * task.params.unit_price, taken - to_reporter, held)
        self._staking.slash(work.trainer, Role.TRAINER, taken, reporter or NOBODY, to_reporter - held, leaves=leaves)
        return taken, to_reporter

    @staticmethod
    def reporters_part(taken: int, reporter_bps: int) -> int:
        return taken * reporter_bps // BPS

    def pay(self, task_id: int, to: Address, amount: int, released: int) -> None:
        """Ends the reservation of `released`; for Payouts and Challenges."""
        task = self.tasks[task_id]
        kept = minus(released, amount)
        task.reserved = minus(task.reserved, released)
        task.budget += kept
        self._token.transfer(self.address, to, amount)

    def credit(self, task_id: int, amount: int, held: int) -> None:
        """Records a verifier's slash; for Attestations."""
        self._book(self.tasks[task_id], 0, amount - held, held)

    def hold(self, task_id: int, challenger: Address, amount: int) -> None:
        """Takes a challenger's bond; for Challenges."""
        self._token.pull(self.address, challenger, amount)
        self.tasks[task_id].reserved += amount

    def known(self, task_id: int) -> Task:
        """Raises Refused: there is no such task."""
        require(task_id in self.tasks, "UnknownTask")
        return self.tasks[task_id]

    def is_ready(self, task: Task) -> bool:
        is_over = self._clock.now >= task.commit_by or task.units_left == 0 or task.works == MAX_WORKS
        return task.works > 0 and (is_over or task.waiting == 0)

    def is_unforeseen(self, task: Task) -> bool:
        return (self._clock.number - task.last_block) % 256 >= SEAL_DELAY

    def answerable_until(self, record: Record) -> int:
        return record.delisted_at + self._staking.unbonding_period_s

    def _leave(self, task: Task, record: Record) -> None:
        if record.committed_epochs <= task.open_epoch:
            task.waiting -= 1
        task.trainers -= 1

    def _open_epoch(self, task: Task) -> None:
        if task.is_closed:
            return
        if task.params.max_epochs and task.open_epoch == task.params.max_epochs:
            task.is_closed = True
            return
        cost = epoch_cost(task.params)
        if task.budget < cost:
            return
        self._book(task, -cost, 0, 0)
        task.is_open = True
        task.works, task.units_left, task.waiting = 0, task.params.max_epoch_units, task.trainers
        self._start_window(task)

    def _open_epoch_if_dry(self, task: Task) -> None:
        if not task.is_open and not task.is_closed:
            self._open_epoch(task)

    def _start_window(self, task: Task) -> None:
        task.commit_by = self._clock.now + task.params.commit_window

    def _book(self, task: Task, freed: int, to_budget: int, to_reserved: int) -> None:
        task.reserved = minus(task.reserved, freed) + to_reserved
        task.budget += freed + to_budget

    def _free(self, task: Task, amount: int) -> None:
        self._book(task, amount, 0, 0)
