"""The trainer's loop: see what the chain asks for, make it, commit it, go on with the next epoch."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from dataclasses import replace

from assay_core.bundle.disk import disk_fault
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.bundle.task import LIMITS
from assay_core.chain.ledger import TaskLedger
from assay_core.daemon.outage import Outage
from assay_core.daemon.stopping import Interrupted
from assay_core.environments import Environment
from assay_core.inspect import wording as words
from assay_core.inspect.earnings import Earnings, SubmissionEarning, submissions_of
from assay_core.inspect.evidence import reasons_of
from assay_core.inspect.waiting import Wait
from assay_core.protocol.errors import Rejected, Reverted, Stop, Unavailable
from assay_core.protocol.spec import EnvironmentSpec
from assay_core.protocol.types import Epoch, Root, SubmissionId
from assay_core.protocol.version import require_version
from assay_trainer.adversaries import Adversary, HalfRead
from assay_trainer.bond import Bond
from assay_trainer.journal import Entry, Stage
from assay_trainer.node import Node
from assay_trainer.planter import Planter
from assay_trainer.submission_builder import Policies, SubmissionBuilder, TrainingGroup
from assay_trainer.submit import Commission, reopen_bundle
from assay_trainer.tasks import (
    Assignment,
    Finished,
    Idle,
    end,
    next_step,
    roots_in_use,
    submission_seed,
    takes_submission,
    workable_spec,
)

MAX_MARGIN_S = 30
FIRST_RETRY_S = 0.5  # after a failure; then more and more
# What commitSubmission says when the epoch went on without us: no harm, the next one comes.
EPOCH_GONE = frozenset({"EpochNotOpen", "WrongEpoch", "CommitClosed", "EpochFull", "TaskIsClosed"})
HAS_IT = frozenset({"TooManySubmissions", "RepeatedRoot"})
NOT_ENLISTED = frozenset({"NotEnlisted", "InsufficientBond"})


class Worker:
    """A bonded trainer of one task."""

    def __init__(
        self,
        node: Node,
        policies: Policies,
        make_environment: Callable[[EnvironmentSpec], Environment],
        *,
        adversary: Adversary | None = None,
        group: TrainingGroup | None = None,
        submissions_each: int = 1,
        planter: Planter | None = None,
    ) -> None:
        """`submissions_each`: how many for each epoch, as far as the task allows."""
        self._node, self._policies, self._make_environment = node, policies, make_environment
        self._adversary, self._group, self._planter = adversary, group, planter
        self._submissions_each = submissions_each
        is_pending = () if planter is None else (planter.is_pending,)
        self._bond = Bond(node.chain, node.status, *is_pending)
        self._builder: SubmissionBuilder | None = None
        self._said: Idle | None = None
        self._told_slashes: set[SubmissionId] = set()
        self._outage = Outage(node.status, "the network", FIRST_RETRY_S)
        self._disk = Outage(
            node.status, "the disk", FIRST_RETRY_S, back="takes writes again", what_to_do="make room; we go on"
        )
        self._ledger: TaskLedger | None = None

    def run(self) -> None:
        """Submission until the task is over or the stop flag is set. Raises Stop: the operator must act."""
        seen = None
        self._node.status("trainer started", trainer=self._node.chain.trainer, key=self._node.account.address)
        while not self._node.stop.is_set():
            try:
                step = self.run_once()
                self._outage.is_over()
                self._disk.is_over()
            except Interrupted:
                break
            except Exception as error:
                if (wait_s := self._wait_out(error)) is None:
                    raise
                self._node.stop.wait(wait_s)
                continue
            if isinstance(step, Finished):
                self._finish(step)
                self._node.pulse.ends(f"finished: {step.why}", is_over=True)
                return
            before, seen = seen, None if self._ledger is None else self._ledger.position
            self._node.stop.wait(self._node.pace.next_s(is_news=seen != before))
        self._tell_unopened()
        self._node.pulse.ends("stopped, as it was asked to")
        self._node.status("trainer stopped")

    def _wait_out(self, error: Exception) -> float | None:
        """How many seconds to wait for what is out of reach; None: the daemon has to end."""
        pulse = self._node.pulse
        if (fault := disk_fault(error)) is not None:
            pulse.failed("disk", "no writes")
            pulse.does("waits for the disk")
            return self._disk.failed(fault)
        if isinstance(error, Unavailable):
            pulse.does("waits for the network")
            return self._outage.failed(str(error))
        pulse.ends("stopped: its operator must act" if isinstance(error, Stop) else "stopped: something unforeseen")
        return None

    @property
    def keeps_waiting(self) -> Wait | None:
        """What others wait for if we end without leaving; None: for nothing, or we are not enlisted."""
        ledger = self._ledger
        if ledger is None or self._node.chain.trainer not in ledger.trainers:
            return None
        record = ledger.open_epoch
        is_awaited = record is not None and not record.is_closed and not record.submissions_of(self._node.chain.trainer)
        until = record.commit_by if record is not None and record.submissions else None
        if is_awaited and record is not None:
            return Wait(f"epoch {record.epoch} of task {ledger.task_id} waits for our submission", until)
        return Wait(f"the next epoch of task {ledger.task_id} will wait for our submission")

    def leave(self) -> None:
        """End our enlistment, so that no epoch waits for us; what is committed is judged and paid all the same.

        Raises Unavailable, Stop; a refusal, such as that we have left already, does no harm.
        """
        try:
            self._node.chain.leave()
        except Reverted as error:
            self._node.status("not left", why=str(error))
            return
        self._node.status("left the task", trainer=self._node.chain.trainer, what_to_do="start again to enlist again")

    def _finish(self, step: Finished) -> None:
        """Say what the task has brought, and how to get it."""
        ours = self._earnings()
        claimable = sum(each.claimable_wei for each in ours)
        pays = "`assay rewards claim` pays it out; " if claimable else ""
        self._node.status(
            "trainer finished",
            why=step.why,
            submissions=len(ours),
            earned=self._node.chain.show(_earned_wei(ours)),
            claimable=self._node.chain.show(claimable),
            slashed=self._node.chain.show(sum(each.slashed_wei for each in ours)),
            what_to_do=f"{pays}`assay rewards show` lists them, `assay stake unbond --role trainer` frees the bond",
        )

    def _earnings(self) -> list[SubmissionEarning]:
        return [] if self._ledger is None else list(submissions_of(self._ledger, self._node.chain.trainer))

    def _tell_slashes(self, ledger: TaskLedger) -> None:
        """Each slash once, with the reason that verifiers give, as far as their evidence can be had now."""
        slashed = [each for each in submissions_of(ledger, self._node.chain.trainer) if each.slashed_wei]
        untold = [each for each in slashed if each.submission_id not in self._told_slashes]
        lost = Earnings(self._node.chain.trainer, (ledger,), tuple(untold), ())
        reasons = reasons_of(lambda: nullcontext(self._node.transport), None, lost)
        for each in untold:
            self._told_slashes.add(each.submission_id)
            self._node.status(
                "slashed",
                submission=str(each.submission_id),
                taken=self._node.chain.show(each.slashed_wei),
                why=words.reason(reasons.get(each.submission_id)) or "it was judged a fraud",
                what_to_do=f"`assay explain {each.submission_id}` shows the evidence",
            )

    def _tell_unopened(self) -> None:
        """Anyone who ends us must know what that may cost."""
        left = 0 if self._planter is None or self._ledger is None else self._planter.unopened(self._ledger)
        if left:
            advice = "start again before their challenge windows end, else they are slashed as frauds"
            self._node.status("plants are not opened yet", plants=left, what_to_do=advice)

    def run_once(self) -> Assignment | Idle | Finished:
        """One look at the chain and what follows from it, if need be a whole submission.

        Raises Unavailable: retry. Stop: the operator must act. Interrupted: the stop flag was set.
        """
        step = self._look()
        if isinstance(step, Idle):
            waits_for = "" if step.wait is None else f" ({step.wait.what})"
            self._node.pulse.does(f"waits: {step.why}{waits_for}", None if step.wait is None else step.wait.until)
        elif isinstance(step, Assignment):
            self._node.pulse.does(f"has handled submission {step.number} of epoch {step.epoch}")
        return step

    def _look(self) -> Assignment | Idle | Finished:
        ledger = self._refreshed()
        self._node.tidy_cache(roots_in_use(ledger))
        if self._planter is not None:
            self._planter.advance(ledger)
        self._tell_slashes(ledger)
        builder = self._builder = self._builder or self._open_builder(ledger)
        trainer = self._node.chain.trainer
        step = next_step(ledger, trainer, builder.spec.rollout.groups, self._submissions_each)
        if trainer not in ledger.trainers and ledger.task.is_closed:
            step = end(ledger, trainer, "the task is closed")
        if isinstance(step, Finished):
            return step
        if trainer not in ledger.trainers and not ledger.task.is_closed:
            return self._enlist(ledger)
        if isinstance(step, Assignment):
            return self._submission_on(step, ledger, builder)
        self._rest(step, ledger, builder)
        return step

    def _refreshed(self) -> TaskLedger:
        ledger = self._ledger = self._node.chain.refresh()
        self._node.pulse.looked(ledger, self._node.chain.trainer)
        return ledger

    @property
    def _units(self) -> int:
        """Of one of our submissions."""
        return 0 if self._builder is None else self._builder.spec.rollout.groups

    # -- before any submission

    def _open_builder(self, ledger: TaskLedger) -> SubmissionBuilder:
        task = ledger.task
        require_version(task.task_id, task.params)
        try:
            spec = workable_spec(self._node.transport.fetch(task.spec_hash, BundleKind.TASK, LIMITS), task.params)
            environment = self._make_environment(spec.environment)
        except Rejected as error:
            raise Stop(f"nobody can work on task {task.task_id}: {error}; choose another one") from error
        self._node.status("task read", task=task.task_id, title=spec.title, environment=spec.environment.name)
        return SubmissionBuilder(
            spec,
            task.spec_hash,
            self._policies,
            environment,
            self._node.status,
            self._node.stop,
            self._adversary,
            self._group,
            self._node.pulse,
        )

    def _enlist(self, ledger: TaskLedger) -> Idle | Finished:
        if (waiting := self._bond.lacking(ledger, self._units)) is not None:
            return waiting
        try:
            self._node.chain.enlist(ledger.task.terms_hash)
        except Reverted as error:
            if error.error == "TaskIsClosed":
                return Finished("the task is closed")
            if error.error == "InsufficientBond":
                raise Stop(
                    f"the bond is too small for all tasks of {self._node.chain.trainer} together: {error}"
                ) from error
            if error.error != "AlreadyEnlisted":
                raise Stop(f"cannot enlist: {error}") from error
        self._node.status("enlisted", trainer=self._node.chain.trainer)
        return Idle("enlisted")

    # -- a submission

    def _submission_on(
        self, assignment: Assignment, ledger: TaskLedger, builder: SubmissionBuilder
    ) -> Assignment | Idle:
        entry = self._node.journal.read(assignment.epoch, assignment.number)
        if (
            entry is not None
            and entry.stage is Stage.SENDING
            and not assignment.is_last
            and self._node.chain.is_sending()
        ):
            return Idle(
                "a transaction of ours is on its way"
            )  # perhaps this submission: it must not be committed twice
        if not self._is_wanted(assignment.epoch, ledger, builder):
            if entry is None or not entry.is_over:
                self._missed(entry or _new_entry(assignment), "the epoch is about to be sealed")
            return Idle("the epoch is about to be sealed: waiting for the next")
        if (waiting := self._bond.lacking(ledger, self._units)) is not None:
            self._rest(waiting, ledger, builder)
            return waiting
        self._said = None
        if entry is not None and entry.is_over:
            # The chain does not show what the journal says: a reorganisation took it back, or the window began again.
            self._node.status("taking a submission up again", epoch=assignment.epoch, was=entry.stage)
            entry = self._node.journal.write(replace(entry, stage=Stage.MADE if entry.manifest_root else Stage.MAKING))
        if entry is not None and not self._is_of_this_chain(entry, ledger):
            self._node.status("the chain was reorganised, making the submission again", epoch=assignment.epoch)
            entry = None
        if entry is not None and self._is_stale(entry, ledger):
            self._node.status(
                "policy grew too old, making the submission again", epoch=assignment.epoch, was=entry.policy_version
            )
            entry = None
        if entry is None:
            self._node.journal.discard_submission(assignment.epoch, assignment.number)
            is_plant = self._planter is not None and self._planter.wants_next()
            entry = self._node.journal.write(_new_entry(assignment, is_plant=is_plant))
        pinned = replace(assignment, policy_version=entry.policy_version, policy_root=entry.policy_root)
        entry, manifest = self._made(entry, pinned, builder)
        self._submit(entry, manifest, builder, is_last=assignment.is_last)
        return assignment

    def _made(self, entry: Entry, assignment: Assignment, builder: SubmissionBuilder) -> tuple[Entry, Manifest]:
        """The submission as a bundle: that of an earlier process when it is whole."""
        folder = self._node.journal.folder(entry.epoch, entry.number)
        manifest = None
        if entry.manifest_root is not None:
            manifest = reopen_bundle(folder, builder.spec, entry.manifest_root)
        if manifest is None:
            self._node.status("submission begun", epoch=entry.epoch, policy_version=entry.policy_version)
            maker = replace(builder, adversary=HalfRead(), group=None) if entry.is_plant else builder
            manifest = maker.make(assignment, folder)
            entry = self._node.journal.write(replace(entry, stage=Stage.MADE, manifest_root=manifest.root))
        self._node.status(
            "submission made", epoch=entry.epoch, manifest_root=manifest.root.hex(), size_bytes=manifest.size_bytes
        )
        return entry, manifest

    def _submit(self, entry: Entry, manifest: Manifest, builder: SubmissionBuilder, *, is_last: bool) -> None:
        if not self._can_commit(entry, builder):
            return
        self._node.transport.publish(self._node.journal.folder(entry.epoch, entry.number), manifest, self._node.account)
        self._node.status("submission uploaded", epoch=entry.epoch, manifest_root=manifest.root.hex())
        if not self._can_commit(entry, builder):
            return
        if entry.is_plant and not self._is_covered(entry, manifest.root):
            self._missed(entry, "its plant came too late to cover it")
            return
        if not entry.is_plant and self._planter is not None:
            self._planter.hide(entry.epoch, manifest.root)
        entry = self._node.journal.write(replace(entry, stage=Stage.SENDING))
        try:
            units = builder.spec.rollout.groups
            commitment = self._node.chain.commit(
                Commission(entry.epoch, manifest.root, units, entry.policy_version, is_last)
            )
        except Reverted as error:
            self._handle_refusal(error, entry)
            return
        self._node.journal.write(replace(entry, stage=Stage.COMMITTED))
        self._node.status(
            "submission committed",
            submission=f"{manifest.fields['task']}/{entry.epoch}/{commitment.index}",
            epoch=entry.epoch,
            policy_version=entry.policy_version,
            manifest_root=manifest.root.hex(),
            tx_hash="0x" + commitment.tx_hash.hex(),
            gas_used=commitment.gas_used,
        )

    def _is_covered(self, entry: Entry, root: Root) -> bool:
        """Whether a plant covers this submission: without one it would be a fraud like any other."""
        try:
            return self._planter is not None and self._planter.cover(entry.epoch, root)
        except Reverted as error:
            self._node.status("plant refused", epoch=entry.epoch, why=str(error))
            return False

    def _can_commit(self, entry: Entry, builder: SubmissionBuilder) -> bool:
        """Whether the chain still wants this submission; takes note when it has it already, or goes on without it."""
        ledger = self._refreshed()
        record = ledger.epochs.get(entry.epoch)
        if record is not None and len(record.submissions_of(self._node.chain.trainer)) > entry.number:
            self._node.journal.write(replace(entry, stage=Stage.COMMITTED))
            return False
        if not self._is_wanted(entry.epoch, ledger, builder):
            self._missed(entry, "the epoch was sealed, or is about to be")
            return False
        return self._is_of_this_chain(entry, ledger) and not self._is_stale(entry, ledger)

    def _is_wanted(self, epoch: Epoch, ledger: TaskLedger, builder: SubmissionBuilder) -> bool:
        margin_s = min(MAX_MARGIN_S, ledger.task.params.commit_window // 20)
        return takes_submission(ledger, epoch, builder.spec.rollout.groups, self._node.chain.now(), margin_s)

    def _handle_refusal(self, error: Reverted, entry: Entry) -> None:
        if error.error in HAS_IT:  # it was committed by an earlier process, and is not in our ledger yet
            self._node.journal.write(replace(entry, stage=Stage.COMMITTED))
        elif error.error in EPOCH_GONE:
            self._missed(entry, str(error))
        elif error.error in NOT_ENLISTED:  # delisted: enlists again at the next look, as far as the bond allows
            self._node.status("not taken for now", epoch=entry.epoch, why=str(error))
            self._bond.lacking(self._node.chain.refresh(), self._units)
        else:
            raise Stop(f"the contract refuses our submission: {error}") from error

    def _missed(self, entry: Entry, why: str) -> None:
        self._node.journal.write(replace(entry, stage=Stage.MISSED))
        self._node.status("epoch missed", epoch=entry.epoch, why=why)

    def _is_of_this_chain(self, entry: Entry, ledger: TaskLedger) -> bool:
        """Whether seed and policy are still those that the chain dictates.

        After a reorganisation (or on another chain with an old state directory) they are not, and rollouts of the
        former seed under the new one's name would be fraud.
        """
        seed = submission_seed(ledger, entry.epoch, self._node.chain.trainer, entry.number)
        policies = {(policy.version, policy.policy_root) for policy in ledger.policies}
        return entry.seed == seed and (entry.policy_version, entry.policy_root) in policies

    def _is_stale(self, entry: Entry, ledger: TaskLedger) -> bool:
        return ledger.newest_policy().version - entry.policy_version > ledger.task.params.max_staleness

    # -- between submissions

    def _rest(self, idle: Idle, ledger: TaskLedger, builder: SubmissionBuilder) -> None:
        """Nothing to do: get the newest policy ahead of the next epoch, look after what is committed, tidy up."""
        if idle != self._said:
            self._said = idle
            self._tell_waiting(idle)
            for entry in list(self._node.journal.entries()):
                self._look_after(entry, ledger, builder)
        newest = ledger.newest_policy()
        with suppress(Unavailable):  # needed only once the next epoch is open
            self._policies.get(newest.policy_root, newest.version, builder.spec)

    def _tell_waiting(self, idle: Idle) -> None:
        """What we wait for, of whom, until when; and what we have earned by now."""
        earned = self._node.chain.show(_earned_wei(self._earnings()))
        if idle.wait is None:
            self._node.status("waiting", why=idle.why, earned=earned)
        else:
            self._node.status("waiting", why=idle.why, waits_for=str(idle.wait), until=idle.wait.until, earned=earned)

    def _look_after(self, entry: Entry, ledger: TaskLedger, builder: SubmissionBuilder) -> None:
        record = ledger.epochs.get(entry.epoch)
        if record is None or not self._node.journal.folder(entry.epoch, entry.number).exists():
            return
        is_committed = len(record.submissions_of(self._node.chain.trainer)) > entry.number
        if record.is_over or (record.is_sealed and not is_committed):
            self._node.journal.discard_submission(entry.epoch, entry.number)
        elif is_committed and not entry.is_over:
            self._node.journal.write(replace(entry, stage=Stage.COMMITTED))


def _earned_wei(ours: Iterable[SubmissionEarning]) -> int:
    return sum(each.earned_wei for each in ours)


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
