"""An honest trainer of tests: makes works of a tiny task, whole and true, for tests to break in one place."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.updates import write_update
from assay_core.bundle.directory import build_bundle
from assay_core.bundle.header import WorkHeader
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.bundle.rollouts import ROLLOUTS_NAME, rollouts_bytes
from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.environments import Environment
from assay_core.policy.interface import Policy
from assay_core.protocol.encoding import trainer_seed
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import Address, Epoch, PolicyVersion, Root, Seed, TaskId, Work, WorkIndex, WorkKind
from assay_core.toploc import Hidden, build_all
from assay_core.training.inner import PseudoGradient, run_inner_steps
from assay_core.training.seeding import group_uniforms, work_prompts
from assay_core.training.states import InnerState, write_state
from assay_core.training.trace import TRACE_NAME, StepTrace, trace_bytes
from assay_verifier.case import Case
from assay_verifier.judge import Judgement, judge

TRAINER = Address("0x00000000000000000000000000000000000000A1")
SPEC_ROOT = Root(hashlib.sha256(b"spec").digest())
TASK_SEED = Seed(hashlib.sha256(b"task").digest())
SPEC = TaskSpec(
    title="sort three digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=4),
    rollout=RolloutSpec(groups=4, group_size=4),
    recipe=RecipeSpec(inner_steps=2, groups_per_step=4, lr=1e-3),
)
EPOCH_SEED = Seed(hashlib.sha256(b"epoch").digest())


@dataclass(frozen=True)
class LocalBench:
    """The bench of tests: one policy, already loaded."""

    loaded: Policy
    task_environment: Environment

    def policy(self, root: Root) -> Policy:
        return self.loaded

    def environment(self) -> Environment:
        return self.task_environment


@dataclass(frozen=True)
class Bundle:
    """A work on disk."""

    directory: Path
    manifest: Manifest


def plain_case(spec: TaskSpec, manifest_root: Root, policy_root: Root) -> Case:
    """The first work of task 1, epoch 0, by TRAINER."""
    return Case(
        task_id=TaskId(1),
        epoch=Epoch(0),
        work=Work(TRAINER, WorkIndex(0), WorkKind.FULL, spec.rollout.groups, PolicyVersion(0), manifest_root),
        spec=spec,
        spec_root=SPEC_ROOT,
        trainer_seed=trainer_seed(TASK_SEED, TaskId(1), Epoch(0), TRAINER),
        epoch_seed=EPOCH_SEED,
        policy_root=policy_root,
        newest_version=PolicyVersion(0),
        max_staleness=2,
        sampling_bps=10_000,
    )


@dataclass(frozen=True)
class Parts:
    """What goes into a work, before it is written."""

    header: WorkHeader
    rollouts: Rollouts
    update: PseudoGradient
    trace: tuple[StepTrace, ...]
    states: tuple[InnerState, ...] = ()  # where the task is replayed step by step


@dataclass
class HonestTrainer:
    """Rolls out, proves, trains and writes as the protocol asks; each step can be replaced."""

    spec: TaskSpec
    policy: Policy
    policy_root: Root
    folder: Path
    environment: Environment
    seed: Seed = field(default=trainer_seed(TASK_SEED, TaskId(1), Epoch(0), TRAINER))
    written: int = 0

    def roll_out(
        self, policy: Policy | None = None, spec: TaskSpec | None = None, seed: Seed | None = None
    ) -> Rollouts:
        policy, spec, seed = policy or self.policy, spec or self.spec, seed or self.seed
        rows: list[Completion] = []
        for group, prompt in enumerate(work_prompts(self.environment, seed, spec.rollout.groups)):
            ids = policy.encode(prompt.text)
            made = policy.generate([ids] * spec.rollout.group_size, group_uniforms(seed, group, spec), spec.sampler)
            rows += [
                Completion(
                    group=group,
                    prompt_index=group,
                    prompt_ids=tuple(ids),
                    completion_ids=each.token_ids,
                    logprobs_T=each.logprobs_T,
                    finish=each.finish,
                    reward=self.environment.reward(prompt, policy.decode(each.token_ids)),
                    proofs=(),
                )
                for each in made
            ]
        return self.prove(Rollouts(spec.rollout.group_size, tuple(rows)), policy)

    def prove(self, rollouts: Rollouts, policy: Policy | None = None) -> Rollouts:
        """Proofs of what the rows say, by one prefill."""
        rows = rollouts.completions
        prefills = (policy or self.policy).prefill(
            [row.prompt_ids for row in rows], [row.completion_ids for row in rows], self.spec.sampler
        )
        hidden = [Hidden(each.hidden_NH, len(row.prompt_ids)) for each, row in zip(prefills, rows, strict=True)]
        proofs = build_all(hidden, topk=self.spec.toploc.topk, chunk_tokens=self.spec.toploc.chunk_tokens)
        proved = tuple(replace(row, proofs=tuple(each)) for row, each in zip(rows, proofs, strict=True))
        return Rollouts(rollouts.group_size, proved)

    def header(self) -> WorkHeader:
        return WorkHeader(
            TaskId(1), Epoch(0), TRAINER, PolicyVersion(0), self.policy_root, self.seed, SPEC_ROOT, {"assay": "0.1"}
        )

    def parts(self, rollouts: Rollouts | None = None) -> Parts:
        rollouts = rollouts or self.roll_out()
        states: list[InnerState] = []
        result = run_inner_steps(
            self.policy, rollouts, self.spec, self.seed, on_state=lambda number, state: states.append(state)
        )
        kept = tuple(states) if self.spec.checks.replay == "steps" else ()
        return Parts(self.header(), rollouts, result.pseudo_gradient, result.trace, kept)

    def write(self, parts: Parts, tamper: Callable[[Path], None] | None = None) -> Bundle:
        """`tamper` may change the files before they are hashed: what a cheat would commit to."""
        self.written += 1
        directory = self.folder / f"work-{self.written}"
        (directory / "trace").mkdir(parents=True)
        (directory / ROLLOUTS_NAME).write_bytes(rollouts_bytes(parts.rollouts))
        (directory / TRACE_NAME).write_bytes(trace_bytes(parts.trace))
        for number, state in enumerate(parts.states):
            write_state(directory, number, state)
        write_update(directory / "update", parts.update, codec_named(self.spec.codec))
        if tamper is not None:
            tamper(directory)
        return Bundle(directory, build_bundle(directory, BundleKind.WORK, parts.header.fields()))

    def case(self, bundle: Bundle) -> Case:
        return plain_case(self.spec, bundle.manifest.root, self.policy_root)

    def judge(self, parts: Parts, tamper: Callable[[Path], None] | None = None, case: Case | None = None) -> Judgement:
        bundle = self.write(parts, tamper)
        return judge(
            case or self.case(bundle), LocalBench(self.policy, self.environment), bundle.directory, bundle.manifest
        )
