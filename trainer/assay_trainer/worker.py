"""The trainer's loop: see what the chain asks for, make it, commit it, go on with the next epoch."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from eth_account.signers.local import LocalAccount

from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.bundle.task import LIMITS
from assay_core.chain.ledger import TaskLedger
from assay_core.daemon.status import Status
from assay_core.daemon.stopping import Interrupted, StopFlag
from assay_core.environments import Environment
from assay_core.policy.interface import Policy
from assay_core.protocol.errors import Rejected, Reverted, Stop, Unavailable
from assay_core.protocol.spec import EnvironmentSpec
from assay_core.protocol.types import Epoch, Root
from assay_core.protocol.version import require_version
from assay_trainer.bond import Bond, BondChain
from assay_trainer.deviations import Deviation, HalfRead
from assay_trainer.journal import Entry, Journal, Stage
from assay_trainer.planter import Planter
from assay_trainer.submission_builder import Fetcher, Policies, SubmissionBuilder, TrainingGroup
from assay_trainer.submit import Commission, Committer, Publisher, reopen_bundle
from assay_trainer.tasks import (
    Assignment,
    Finished,
    Idle,
    end,
    next_step,
    roots_in_use,
    takes_work,
    work_seed,
    workable_spec,
)

MAX_BACKOFF_S = 30.0
MAX_MARGIN_S = 30
# What commitWork says when the epoch went on without us: no harm, the next one comes.
EPOCH_GONE = frozenset({"EpochNotOpen", "WrongEpoch", "CommitClosed", "EpochFull", "TaskIsClosed"})
HAS_IT = frozenset({"TooManyWorks", "RepeatedRoot"})
NOT_ENLISTED = frozenset({"NotEnlisted", "InsufficientBond"})


class TaskChain(Committer, BondChain, Protocol):
    """One task on chain, for one trainer. Every method raises Unavailable, those that send also Reverted and Stop."""

    def now(self) -> int:
        """Unix time of the newest block."""
        ...

    def is_sending(self) -> bool:
        """Whether a transaction of our key is still on its way."""
        ...

    def enlist(self, terms_hash: bytes) -> None: ...


class Transport(Fetcher, Publisher, Protocol):
    """The parts of a transport engine that a trainer needs; see offchain/assay_core/transport/engine.py."""


class Worker:
    """A bonded trainer of one task."""

    def __init__(
        self,
        chain: TaskChain,
        transport: Transport,
        account: LocalAccount,
        journal: Journal,
        status: Status,
        stop: StopFlag,
        *,
        load_policy: Callable[[Path], Policy],
        make_environment: Callable[[EnvironmentSpec], Environment],
        deviation: Deviation | None = None,
        poll_s: float = 0.5,
        tidy_cache: Callable[[Iterable[Root]], None] = lambda in_use: None,
        group: TrainingGroup | None = None,
        works_each: int = 1,
        planter: Planter | None = None,
    ) -> None:
        self._chain = chain
        self._transport = transport
        self._account = account
        self._journal = journal
        self._status = status
        self._stop = stop
        self._policies = Policies(transport, load_policy)
        self._make_environment = make_environment
        self._deviation = deviation
        self._poll_s = poll_s
        self._tidy_cache = tidy_cache
        self._group = group
        self._works_each = works_each
        self._planter = planter
        self._bond = Bond(chain, status) if planter is None else Bond(chain, status, planter.is_pending)
        self._builder: SubmissionBuilder | None = None
        self._said: str | None = None
        self._ledger: TaskLedger | None = None

    def run(self) -> None:
        """Work until the task is over or the stop flag is set. Raises Stop: the operator must act."""
        failures = 0
        self._status("trainer started", trainer=self._chain.trainer, key=self._account.address)
        while not self._stop.is_set():
            try:
                step = self.run_once()
                failures = 0
            except Interrupted:
                break
            except Unavailable as error:
                failures += 1
                wait_s = min(self._poll_s * 2**failures, MAX_BACKOFF_S)
                self._status("waiting for the network", why=str(error), retry_in_s=wait_s)
                self._stop.wait(wait_s)
                continue
            if isinstance(step, Finished):
                self._status("trainer finished", why=step.why)
                return
            self._stop.wait(self._poll_s)
        self._tell_unopened()
        self._status("trainer stopped")

    def _tell_unopened(self) -> None:
        """Whoever ends us must know what that may cost."""
        left = 0 if self._planter is None or self._ledger is None else self._planter.unopened(self._ledger)
        if left:
            advice = "start again before their challenge windows end, else they are slashed as frauds"
            self._status("plants are not opened yet", plants=left, what_to_do=advice)

    def run_once(self) -> Assignment | Idle | Finished:
        """One look at the chain and what follows from it, if need be a whole work.

        Raises Unavailable: retry. Stop: the operator must act. Interrupted: the stop flag was set.
        """
        ledger = self._ledger = self._chain.refresh()
        self._tidy_cache(roots_in_use(ledger))
        if self._planter is not None:
            self._planter.advance(ledger)
        builder = self._builder = self._builder or self._open_builder(ledger)
        trainer = self._chain.trainer
        step = next_step(ledger, trainer, builder.spec.rollout.groups, self._works_each)
        if trainer not in ledger.trainers and ledger.task.is_closed:
            step = end(ledger, trainer, "the task is closed")
        if isinstance(step, Finished):
            return step
        if trainer not in ledger.trainers and not ledger.task.is_closed:
            return self._enlist(ledger)
        if isinstance(step, Assignment):
            return self._work_on(step, ledger, builder)
        self._rest(step, ledger, builder)
        return step

    @property
    def _units(self) -> int:
        """Of one of our works."""
        return 0 if self._builder is None else self._builder.spec.rollout.groups

    # -- before any work

    def _open_builder(self, ledger: TaskLedger) -> SubmissionBuilder:
        task = ledger.task
        require_version(task.task_id, task.params)
        try:
            spec = workable_spec(self._transport.fetch(task.spec_hash, BundleKind.TASK, LIMITS), task.params)
            environment = self._make_environment(spec.environment)
        except Rejected as error:
            raise Stop(f"nobody can work on task {task.task_id}: {error}; choose another one") from error
        self._status("task read", task=task.task_id, title=spec.title, environment=spec.environment.name)
        return SubmissionBuilder(
            spec,
            task.spec_hash,
            self._policies,
            environment,
            self._status,
            self._stop,
            self._deviation,
            self._group,
        )

    def _enlist(self, ledger: TaskLedger) -> Idle | Finished:
        if (waiting := self._bond.lacking(ledger, self._units)) is not None:
            return waiting
        try:
            self._chain.enlist(ledger.task.terms_hash)
        except Reverted as error:
            if error.error == "TaskIsClosed":
                return Finished("the task is closed")
            if error.error == "InsufficientBond":
                raise Stop(f"the bond is too small for all tasks of {self._chain.trainer} together: {error}") from error
            if error.error != "AlreadyEnlisted":
                raise Stop(f"cannot enlist: {error}") from error
        self._status("enlisted", trainer=self._chain.trainer)
        return Idle("enlisted")

    # -- a work

    def _work_on(self, assignment: Assignment, ledger: TaskLedger, builder: SubmissionBuilder) -> Assignment | Idle:
        entry = self._journal.read(assignment.epoch, assignment.number)
        if entry is not None and entry.stage is Stage.SENDING and not assignment.is_last and self._chain.is_sending():
            return Idle("a transaction of ours is on its way")  # perhaps this work: it must not be committed twice
        if not self._is_wanted(assignment.epoch, ledger, builder):
            if entry is None or not entry.is_over:
                self._missed(entry or _new_entry(assignment), "the epoch is about to be sealed")
            return Idle("the epoch is about to be sealed: waiting for the next")
        if (waiting := self._bond.lacking(ledger, self._units)) is not None:
            self._rest(waiting, ledger, builder)
            return waiting
        self._said = None
        if entry is not None and entry.is_over:
            # The chain does not show what the journal says: a reorganisation took it back, or the window began anew.
            self._status("taking a work up again", epoch=assignment.epoch, was=entry.stage)
            entry = self._journal.write(replace(entry, stage=Stage.MADE if entry.manifest_root else Stage.MAKING))
        if entry is not None and not self._is_of_this_chain(entry, ledger):
            self._status("the chain was reorganised, making the work anew", epoch=assignment.epoch)
            entry = None
        if entry is not None and self._is_stale(entry, ledger):
            self._status("policy grew too old, making the work anew", epoch=assignment.epoch, was=entry.policy_version)
            entry = None
        if entry is None:
            self._journal.discard_work(assignment.epoch, assignment.number)
            is_plant = self._planter is not None and self._planter.wants_next()
            entry = self._journal.write(_new_entry(assignment, is_plant=is_plant))
        pinned = replace(assignment, policy_version=entry.policy_version, policy_root=entry.policy_root)
        entry, manifest = self._made(entry, pinned, builder)
        self._submit(entry, manifest, builder, is_last=assignment.is_last)
        return assignment

    def _made(self, entry: Entry, assignment: Assignment, builder: SubmissionBuilder) -> tuple[Entry, Manifest]:
        """The work as a bundle: that of an earlier process when it is whole."""
        folder = self._journal.folder(entry.epoch, entry.number)
        manifest = None
        if entry.manifest_root is not None:
            manifest = reopen_bundle(folder, builder.spec, entry.manifest_root)
        if manifest is None:
            self._status("work begun", epoch=entry.epoch, policy_version=entry.policy_version)
            maker = replace(builder, deviation=HalfRead(), group=None) if entry.is_plant else builder
            manifest = maker.make(assignment, folder)
            entry = self._journal.write(replace(entry, stage=Stage.MADE, manifest_root=manifest.root))
        self._status("work made", epoch=entry.epoch, manifest_root=manifest.root.hex(), size_bytes=manifest.size_bytes)
        return entry, manifest

    def _submit(self, entry: Entry, manifest: Manifest, builder: SubmissionBuilder, *, is_last: bool) -> None:
        if not self._can_commit(entry, builder):
            return
        self._transport.publish(self._journal.folder(entry.epoch, entry.number), manifest, self._account)
        self._status("work uploaded", epoch=entry.epoch, manifest_root=manifest.root.hex())
        if not self._can_commit(entry, builder):
            return
        if entry.is_plant and not self._is_covered(entry, manifest.root):
            self._missed(entry, "its plant came too late to cover it")
            return
        if not entry.is_plant and self._planter is not None:
            self._planter.hide(entry.epoch, manifest.root)
        entry = self._journal.write(replace(entry, stage=Stage.SENDING))
        try:
            units = builder.spec.rollout.groups
            commitment = self._chain.commit(
                Commission(entry.epoch, manifest.root, units, entry.policy_version, is_last)
            )
        except Reverted as error:
            self._handle_refusal(error, entry)
            return
        self._journal.write(replace(entry, stage=Stage.COMMITTED))
        self._status(
            "work committed",
            work=f"{manifest.fields['task']}/{entry.epoch}/{commitment.index}",
            epoch=entry.epoch,
            policy_version=entry.policy_version,
            manifest_root=manifest.root.hex(),
            tx_hash="0x" + commitment.tx_hash.hex(),
            gas_used=commitment.gas_used,
        )

    def _is_covered(self, entry: Entry, root: Root) -> bool:
        """Whether a plant covers this work: without one it would be a fraud like any other."""
        try:
            return self._planter is not None and self._planter.cover(entry.epoch, root)
        except Reverted as error:
            self._status("plant refused", epoch=entry.epoch, why=str(error))
            return False

    def _can_commit(self, entry: Entry, builder: SubmissionBuilder) -> bool:
        """Whether the chain still wants this work; takes note when it has it already, or goes on without it."""
        ledger = self._chain.refresh()
        record = ledger.epochs.get(entry.epoch)
        if record is not None and len(record.works_of(self._chain.trainer)) > entry.number:
            self._journal.write(replace(entry, stage=Stage.COMMITTED))
            return False
        if not self._is_wanted(entry.epoch, ledger, builder):
            self._missed(entry, "the epoch was sealed, or is about to be")
            return False
        return self._is_of_this_chain(entry, ledger) and not self._is_stale(entry, ledger)

    def _is_wanted(self, epoch: Epoch, ledger: TaskLedger, builder: SubmissionBuilder) -> bool:
        margin_s = min(MAX_MARGIN_S, ledger.task.params.commit_window // 20)
        return takes_work(ledger, epoch, builder.spec.rollout.groups, self._chain.now(), margin_s)

    def _handle_refusal(self, error: Reverted, entry: Entry) -> None:
        if error.error in HAS_IT:  # it was committed by an earlier process, and is not in our ledger yet
            self._journal.write(replace(entry, stage=Stage.COMMITTED))
        elif error.error in EPOCH_GONE:
            self._missed(entry, str(error))
        elif error.error in NOT_ENLISTED:  # delisted: enlists again at the next look, as far as the bond allows
            self._status("not taken for now", epoch=entry.epoch, why=str(error))
            self._bond.lacking(self._chain.refresh(), self._units)
        else:
            raise Stop(f"the contract refuses our work: {error}") from error

    def _missed(self, entry: Entry, why: str) -> None:
        self._journal.write(replace(entry, stage=Stage.MISSED))
        self._status("epoch missed", epoch=entry.epoch, why=why)

    def _is_of_this_chain(self, entry: Entry, ledger: TaskLedger) -> bool:
        """Whether seed and policy are still those that the chain dictates.

        After a reorganisation (or on another chain with an old state directory) they are not, and rollouts of the
        former seed under the new one's name would be fraud.
        """
        seed = work_seed(ledger, entry.epoch, self._chain.trainer, entry.number)
        policies = {(policy.version, policy.policy_root) for policy in ledger.policies}
        return entry.seed == seed and (entry.policy_version, entry.policy_root) in policies

    def _is_stale(self, entry: Entry, ledger: TaskLedger) -> bool:
        return ledger.newest_policy().version - entry.policy_version > ledger.task.params.max_staleness

    # -- between works

    def _rest(self, idle: Idle, ledger: TaskLedger, builder: SubmissionBuilder) -> None:
        """Nothing to do: get the newest policy ahead of the next epoch, look after what is committed, tidy up."""
        if idle.why != self._said:
            self._said = idle.why
            self._status("waiting", why=idle.why)
            for entry in list(self._journal.entries()):
                self._look_after(entry, ledger, builder)
        newest = ledger.newest_policy()
        with suppress(Unavailable):  # needed only once the next epoch is open
            self._policies.get(newest.policy_root, newest.version, builder.spec)

    def _look_after(self, entry: Entry, ledger: TaskLedger, builder: SubmissionBuilder) -> None:
        record = ledger.epochs.get(entry.epoch)
        if record is None or not self._journal.folder(entry.epoch, entry.number).exists():
            return
        is_committed = len(record.works_of(self._chain.trainer)) > entry.number
        if record.is_over or (record.is_sealed and not is_committed):
            self._journal.discard_work(entry.epoch, entry.number)
        elif is_committed and not entry.is_over:
            self._journal.write(replace(entry, stage=Stage.COMMITTED))


def _new_entry(assignment: Assignment, *, is_plant: bool = False) -> Entry:
    return Entry(
        assignment.epoch,
        Stage.MAKING,
        assignment.policy_version,
        assignment.policy_root,
        assignment.seed,
        number=assignment.number,
        is_plant=is_plant,
    )
