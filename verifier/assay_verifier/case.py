"""Everything that judging one submission takes besides the submission itself: a few facts from the chain. Pure.

A case is part of the evidence, so that anybody can judge the same submission again with no chain and no service.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from eth_utils.address import is_checksum_address

from assay_core.bundle.header import SubmissionHeader
from assay_core.protocol.encoding import Json, canonical_json, derive, must_replay
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import TaskSpec, parse_spec
from assay_core.protocol.types import (
    BPS,
    Address,
    Epoch,
    PolicyVersion,
    Root,
    Seed,
    Submission,
    SubmissionId,
    SubmissionIndex,
    SubmissionKind,
    TaskId,
)


@dataclass(frozen=True, slots=True)
class Case:
    """What the chain says about a submission.

    `policy_root` is that of `submission.policy_version` on chain, None when no such version was published;
    `newest_version` the newest policy published before the submission's commitment. `epoch_seed` decides what is
    spot-checked; None checks everything.
    """

    task_id: TaskId
    epoch: Epoch
    submission: Submission
    spec: TaskSpec
    spec_root: Root
    trainer_seed: Seed
    epoch_seed: Seed | None
    policy_root: Root | None
    newest_version: PolicyVersion
    max_staleness: int
    sampling_bps: int

    @property
    def submission_id(self) -> SubmissionId:
        return SubmissionId(self.task_id, self.epoch, self.submission.index)

    @property
    def is_replayed(self) -> bool:
        """Whether the epoch's seed draws this submission for a replay."""
        if self.epoch_seed is None:
            return True
        return must_replay(self.epoch_seed, self.submission.index, self.sampling_bps)

    def completions_checked(self, count: int) -> list[int]:
        """Positions, ascending, of the completions that are prefilled, out of `count`."""
        return self._drawn("completions", self.spec.checks.completions_checked, count)

    def steps_replayed(self, count: int) -> list[int]:
        """Which of the `count` inner steps of a replayed submission are taken again, ascending, step by step."""
        return self._drawn("steps", self.spec.checks.steps_replayed, count)

    @property
    def depends_on_seed(self) -> bool:
        """Whether the epoch's seed decides what of this submission is checked."""
        checks, rollout = self.spec.checks, self.spec.rollout
        some_steps = checks.replay == "steps" and checks.steps_replayed < self.spec.recipe.inner_steps
        some_completions = checks.completions_checked < rollout.groups * rollout.group_size
        return self.sampling_bps < BPS or some_completions or some_steps

    @property
    def draws_everything(self) -> bool:
        """Whether the epoch's seed has drawn all that there is to check of this submission."""
        checks, rollout = self.spec.checks, self.spec.rollout
        all_steps = checks.replay == "whole" or checks.steps_replayed >= self.spec.recipe.inner_steps
        all_completions = checks.completions_checked >= rollout.groups * rollout.group_size
        return self.epoch_seed is None or (self.is_replayed and all_completions and all_steps)

    def everything_checked(self) -> "Case":
        """The same case without luck: every completion prefilled, all of the training replayed."""
        return replace(self, epoch_seed=None)

    def _drawn(self, what: str, wanted: int, count: int) -> list[int]:
        if self.epoch_seed is None or wanted >= count:
            return list(range(count))
        seed = derive(self.epoch_seed, what, self.submission.index)
        return sorted(sorted(range(count), key=lambda position: derive(seed, position))[:wanted])

    def json(self) -> dict[str, Json]:
        return {
            "epoch": self.epoch,
            "epoch_seed": None if self.epoch_seed is None else self.epoch_seed.hex(),
            "max_staleness": self.max_staleness,
            "newest_version": self.newest_version,
            "policy_root": None if self.policy_root is None else self.policy_root.hex(),
            "sampling_bps": self.sampling_bps,
            "spec": self.spec.model_dump(mode="json"),
            "spec_root": self.spec_root.hex(),
            "task": self.task_id,
            "trainer_seed": self.trainer_seed.hex(),
            "submission": {
                "index": self.submission.index,
                "kind": int(self.submission.kind),
                "manifest_root": self.submission.manifest_root.hex(),
                "policy_version": self.submission.policy_version,
                "trainer": self.submission.trainer,
                "units": self.submission.units,
            },
        }


def case_from_header(header: SubmissionHeader, spec: TaskSpec, manifest_root: Root) -> Case:
    """A case that takes the submission's own header at its word: what can be checked without any chain."""
    return Case(
        task_id=header.task_id,
        epoch=header.epoch,
        submission=Submission(
            header.trainer,
            SubmissionIndex(0),
            SubmissionKind.FULL,
            spec.rollout.groups,
            header.policy_version,
            manifest_root,
        ),
        spec=spec,
        spec_root=header.spec_root,
        trainer_seed=header.seed,
        epoch_seed=None,
        policy_root=header.policy_root,
        newest_version=header.policy_version,
        max_staleness=0,
        sampling_bps=BPS,
    )


def parse_case(value: Json) -> Case:
    """Read the case in somebody's evidence. Raises Malformed: a field is missing or of another type."""
    case = _mapping(value)
    submission = _mapping(case.get("submission"))
    trainer = submission.get("trainer")
    if not isinstance(trainer, str) or not is_checksum_address(trainer):
        raise Malformed("case: the trainer must be a checksummed address")
    return Case(
        task_id=TaskId(_count(case, "task")),
        epoch=Epoch(_count(case, "epoch")),
        submission=Submission(
            Address(trainer),
            SubmissionIndex(_count(submission, "index")),
            _kind(submission),
            _count(submission, "units"),
            PolicyVersion(_count(submission, "policy_version")),
            Root(_hash(submission, "manifest_root")),
        ),
        spec=parse_spec(canonical_json(case.get("spec"))),
        spec_root=Root(_hash(case, "spec_root")),
        trainer_seed=Seed(_hash(case, "trainer_seed")),
        epoch_seed=None if case.get("epoch_seed") is None else Seed(_hash(case, "epoch_seed")),
        policy_root=None if case.get("policy_root") is None else Root(_hash(case, "policy_root")),
        newest_version=PolicyVersion(_count(case, "newest_version")),
        max_staleness=_count(case, "max_staleness"),
        sampling_bps=_count(case, "sampling_bps"),
    )


def _mapping(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise Malformed("case: an object is missing")
    return value


def _count(value: Mapping[str, Json], name: str) -> int:
    number = value.get(name)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise Malformed(f"case: {name} must be a non-negative integer")
    return number


def _kind(submission: Mapping[str, Json]) -> SubmissionKind:
    try:
        return SubmissionKind(_count(submission, "kind"))
    except ValueError as error:
        raise Malformed("case: there is no such kind of submission") from error


def _hash(value: Mapping[str, Json], name: str) -> bytes:
    text = value.get(name)
    try:
        data = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    if len(data) != 32:
        raise Malformed(f"case: {name} must be 32 bytes in hexadecimal")
    return data
