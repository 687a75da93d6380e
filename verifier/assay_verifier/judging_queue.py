"""The queue: which submissions there are to judge, as cases; and what was judged so far.

A submission whose judgement cannot depend on the epoch's seed (everything is checked anyway) is judged as soon as it is
committed; the others once the epoch is sealed, in full where they were not there before its seed was known. What is not
here at the cut-off is unavailable, even if it comes.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from assay_core.bundle.disk import disk_fault
from assay_core.chain.events import Position
from assay_core.chain.ledger import CommittedSubmission, EpochRecord, TaskLedger
from assay_core.policy.interface import Policy
from assay_core.protocol.encoding import canonical_json, trainer_seed
from assay_core.protocol.errors import Malformed, Stop, Unavailable
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import SCORE_FRAUD, SCORE_UNAVAILABLE, Epoch, PolicyVersion, Root, Seed, SubmissionIndex
from assay_core.training.seeding import seed_of_nth
from assay_verifier.arrivals import Arrivals
from assay_verifier.case import Case
from assay_verifier.checks.duplicates import Sketch
from assay_verifier.inbox import Inbox
from assay_verifier.judge import (
    JudgeContext,
    compare_again,
    compare_with_peers,
    judge,
    malformed,
    measure_norm,
    sketch_submission,
    unavailable,
    undigested,
)
from assay_verifier.verdict import Verdict

log = logging.getLogger(__name__)

RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A submission with its verdict. `seconds` is what judging took."""

    case: Case
    verdict: Verdict
    mean_reward: float | None
    seconds: float


def case_of(ledger: TaskLedger, spec: TaskSpec, record: EpochRecord, committed: CommittedSubmission) -> Case:
    """The case of a submission, as the chain tells it at the moment of its commitment."""
    submission, task = committed.submission, ledger.task
    return Case(
        task_id=ledger.task_id,
        epoch=record.epoch,
        submission=submission,
        spec=spec,
        spec_root=task.spec_hash,
        trainer_seed=seed_of_nth(
            trainer_seed(ledger.previous_seed(record.epoch), ledger.task_id, record.epoch, submission.trainer),
            _number(record, committed),
        ),
        epoch_seed=record.seed,
        policy_root=_published_root(ledger, submission.policy_version, committed.position),
        newest_version=ledger.newest_policy(before=committed.position).version,
        max_staleness=task.params.max_staleness,
        sampling_bps=task.params.sampling_bps,
    )


def _number(record: EpochRecord, committed: CommittedSubmission) -> int:
    """How many submissions of the same trainer the epoch has before this one: each has a seed of its own."""
    submission = committed.submission
    return sum(each.submission.trainer == submission.trainer for each in record.submissions[: submission.index])


def _published_root(ledger: TaskLedger, version: PolicyVersion, before: Position) -> Root | None:
    known = (each for each in ledger.policies if each.version == version and each.position < before)
    return next((each.policy_root for each in known), None)


class JudgingQueue:
    """Judges submissions one at a time and remembers the judgements, until they are written down."""

    def __init__(
        self,
        spec: TaskSpec,
        inbox: Inbox,
        context: JudgeContext,
        arrivals: Arrivals,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec, self._inbox, self._context, self._clock = spec, inbox, context, clock
        self._arrivals = arrivals
        self._done: dict[bytes, Judged] = {}
        self._not_before: dict[bytes, float] = {}
        self._sketches: dict[tuple[Seed, str, Root], Sketch | None] = {}
        self._norms: dict[bytes, float | None] = {}

    def note_arrivals(self, ledger: TaskLedger) -> None:
        """Remember what is here while the open epoch's seed is not known. To be called after each look at the chain."""
        self._arrivals.note(ledger)

    def judge_next(self, ledger: TaskLedger, record: EpochRecord) -> bool:
        """Judge (or at least fetch) one submission of an epoch that still lacks a judgement; whether anything was
        done.
        """
        for case in self._cases(ledger, record):
            key = _key(case)
            if record.seed is None and case.depends_on_seed:
                self._fetch_ahead(case.submission.manifest_root)
                continue
            if key in self._done or self._clock() < self._not_before.get(key, 0.0):
                continue
            try:
                self._done[key] = self._judge(case, ledger, record)
            except Unavailable as error:
                is_first = key not in self._not_before  # told once, however often it is tried
                told = {"submission": _name(case), "why": str(error)}
                log.log(logging.WARNING if is_first else logging.DEBUG, "submission cannot be judged yet", extra=told)
                self._not_before[key] = self._clock() + RETRY_S
            return True
        return False

    def close(self, ledger: TaskLedger, record: EpochRecord) -> None:
        """The cut-off has come: submissions whose bytes have not been here are unavailable from now on."""
        for case in self._cases(ledger, record):
            if _key(case) not in self._done and not self._inbox.holds(case.submission.manifest_root):
                log.info("not here at the cut-off", extra={"submission": _name(case)})
                verdict = unavailable("no relay could give us the submission before the cut-off")
                self._done[_key(case)] = Judged(case, verdict, None, 0.0)

    def judgements(self, ledger: TaskLedger, record: EpochRecord, *, give_up: bool) -> list[Judged] | None:
        """All submissions of a sealed epoch in order of index; None while one is not judged.

        With `give_up`, what is not judged counts as unavailable: the time to attest is running out.
        """
        judged: list[Judged] = []
        for case in self._cases(ledger, record):
            found = self._done.get(_key(case))
            if found is None and not give_up:
                return None
            if found is None:
                found = Judged(case, unavailable("we could not judge the submission in time"), None, 0.0)
            judged.append(replace(found, case=case))
        judged.sort(key=lambda each: each.case.submission.index)
        verdicts = compare_with_peers([each.verdict for each in judged], self._spec.checks.max_update_norm_ratio)
        return [replace(each, verdict=verdict) for each, verdict in zip(judged, verdicts, strict=True)]

    def judge_as_drawn(
        self, ledger: TaskLedger, record: EpochRecord, index: SubmissionIndex, norms: Mapping[SubmissionIndex, float]
    ) -> Verdict:
        """Judge one submission of a sealed epoch again, just as for the attestation. Raises Unavailable, Stop.

        Args:
            norms: of the updates that are compared, see `norms` and `compare_again`.
        """
        case = case_of(ledger, self._spec, record, ledger.submission(record.epoch, index))
        return self._judge_again(case, record, ledger, norms)

    def judge_in_full(
        self, ledger: TaskLedger, record: EpochRecord, index: SubmissionIndex, norms: Mapping[SubmissionIndex, float]
    ) -> Verdict:
        """The same, but as if the epoch's seed had drawn everything. Raises Unavailable, Stop."""
        case = case_of(ledger, self._spec, record, ledger.submission(record.epoch, index)).everything_checked()
        return self._judge_again(case, record, ledger, norms)

    def draws_everything(self, ledger: TaskLedger, record: EpochRecord, index: SubmissionIndex) -> bool:
        """Whether a submission's judgement as drawn leaves nothing that one in full could still show."""
        return case_of(ledger, self._spec, record, ledger.submission(record.epoch, index)).draws_everything

    def norms(self, ledger: TaskLedger, record: EpochRecord) -> dict[SubmissionIndex, float]:
        """Norms of the updates that were compared when a settled epoch was attested, for who did not attest to it.

        Of all submissions that the cheap checks pass, unless the outcome is that they were fraud or not to be had: so
        much tells, without judging a whole epoch, which updates had passed all checks but the comparison with each
        other. Raises Unavailable: such a submission is not to be had now.
        """
        found: dict[SubmissionIndex, float] = {}
        for committed in record.submissions:
            index = committed.submission.index
            if record.settled_score_of(index) in (SCORE_FRAUD, SCORE_UNAVAILABLE):
                continue
            norm = self._norm(case_of(ledger, self._spec, record, committed))
            if norm is not None:
                found[index] = norm
        return found

    def _norm(self, case: Case) -> float | None:
        """None: it would have failed before it came to a comparison."""
        if (key := _key(case)) not in self._norms:
            try:
                delivery = self._inbox.submission(case.submission.manifest_root)
                self._norms[key] = measure_norm(case, self._context, delivery.directory, delivery.manifest)
            except Malformed:
                self._norms[key] = None
        return self._norms[key]

    def _cases(self, ledger: TaskLedger, record: EpochRecord) -> list[Case]:
        """Of all submissions, those that came late last: they are checked in full, and wait for their own sake."""
        cases = [case_of(ledger, self._spec, record, committed) for committed in record.submissions]
        if record.seed is None or not any(case.depends_on_seed for case in cases):
            return cases
        in_time = [self._arrivals.is_in_time(record, case.submission.manifest_root) for case in cases]
        late = [case.everything_checked() for case, is_in_time in zip(cases, in_time, strict=True) if not is_in_time]
        return [case for case, is_in_time in zip(cases, in_time, strict=True) if is_in_time] + late

    def _judge_again(
        self, case: Case, record: EpochRecord, ledger: TaskLedger, norms: Mapping[SubmissionIndex, float]
    ) -> Verdict:
        verdict = self._judge(case, ledger, record).verdict
        return compare_again(verdict, case.submission.index, norms, self._spec.checks.max_update_norm_ratio)

    def forget(self, record: EpochRecord) -> None:
        """Let go of an epoch whose judgements are written down."""
        self._done = {key: done for key, done in self._done.items() if done.case.epoch != record.epoch}
        self._arrivals.forget(record)
        self._sketches = {key: found for key, found in self._sketches.items() if key[0] != record.seed}

    def _judge(self, case: Case, ledger: TaskLedger, record: EpochRecord) -> Judged:
        started_at = self._clock()
        try:
            delivery = self._inbox.submission(case.submission.manifest_root)
        except Malformed as error:
            return Judged(case, malformed(str(error)), None, self._clock() - started_at)
        try:
            others = self._others(case, ledger, record)
            judgement = judge(case, self._context, delivery.directory, delivery.manifest, others)
        except (Unavailable, Stop):
            raise
        except (MemoryError, OSError) as error:  # for want of our own memory or disk: no submission's fault
            raise Unavailable(f"judging failed on this machine: {type(error).__name__}: {error}") from error
        except Exception as error:  # libraries raise anything over a stranger's bytes
            if (fault := disk_fault(error)) is not None:
                raise Unavailable(f"judging failed on this machine: {fault}") from error
            # No submission may keep us from attesting to the others.
            log.exception("a check failed", extra={"submission": _name(case)})
            judgement = undigested(error)
        return Judged(case, judgement.verdict, judgement.mean_reward, self._clock() - started_at)

    def _others(self, case: Case, ledger: TaskLedger, record: EpochRecord) -> list[Sketch]:
        """Sketches of the submissions that this one must not repeat: those of its epoch and of the epoch before."""
        if not case.depends_on_seed or case.epoch_seed is None or record.seed is None or case.policy_root is None:
            return []
        policy = self._context.policy(case.policy_root)
        before = ledger.epochs.get(Epoch(record.epoch - 1))
        others: list[Sketch] = []
        for each in (record, *([before] if before is not None else [])):
            for committed in each.submissions:
                other = case_of(ledger, self._spec, each, committed)
                key = (record.seed, str(other.submission_id), committed.submission.manifest_root)
                if key not in self._sketches:
                    try:
                        self._sketches[key] = self._sketch(other, policy, record.seed)
                    except Unavailable:
                        continue  # what nobody has cannot have been copied; once it is here, it is compared itself
                if (found := self._sketches[key]) is not None:
                    others.append(found)
        return others

    def _sketch(self, case: Case, policy: Policy, epoch_seed: Seed) -> Sketch | None:
        """None: nobody can read it. Raises Unavailable, Stop."""
        try:
            delivery = self._inbox.submission(case.submission.manifest_root)
            return sketch_submission(case, policy, delivery.directory, delivery.manifest, epoch_seed)
        except (Unavailable, Stop):
            raise
        except (MemoryError, OSError) as error:
            raise Unavailable(f"comparing failed on this machine: {type(error).__name__}: {error}") from error
        except Malformed:
            return None
        except Exception as error:  # libraries raise anything over a stranger's bytes: that must not harm another's
            if (fault := disk_fault(error)) is not None:
                raise Unavailable(f"comparing failed on this machine: {fault}") from error
            log.exception("a submission cannot be compared", extra={"submission": _name(case)})
            return None

    def _fetch_ahead(self, root: Root) -> None:
        """So that it is here before the seed is known. A failure is dealt with then."""
        if self._clock() < self._not_before.get(root, 0.0):
            return
        try:
            self._inbox.submission(root)
            self._not_before[root] = self._clock() + 3_600
        except Malformed:
            self._not_before[root] = self._clock() + 3_600
        except Unavailable:
            self._not_before[root] = self._clock() + RETRY_S


def _key(case: Case) -> bytes:
    return canonical_json((case if case.depends_on_seed else replace(case, epoch_seed=None)).json())


def _name(case: Case) -> str:
    return f"{case.task_id}/{case.epoch}/{case.submission.index}"
