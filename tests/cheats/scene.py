"""Where cheats are tried: one small task, its policies, an honest trainer that works with the real trainer's parts, and
a judge. Everything follows from the number of the run.
"""

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from eth_utils.address import to_checksum_address

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.updates import FOLDER, write_update
from assay_core.bundle.directory import build_bundle, open_bundle, read_manifest
from assay_core.bundle.header import WorkHeader
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.bundle.rollouts import ROLLOUTS_NAME, rollouts_bytes
from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.environments import Environment, make_environment
from assay_core.policy import initial_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.interface import Policy
from assay_core.protocol.encoding import Json, derive, trainer_seed
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import BPS, Address, Epoch, PolicyVersion, Root, Seed, TaskId, Work, WorkIndex, WorkKind
from assay_core.toploc import Hidden, build_all
from assay_core.training.inner import OnState, OnStep, PseudoGradient, run_inner_steps
from assay_core.training.states import InnerState, write_state
from assay_core.training.trace import TRACE_NAME, StepTrace, trace_bytes
from assay_protocol.task_file import load_task_file
from assay_trainer.prover import prove
from assay_trainer.rollout import roll_out
from assay_verifier.case import Case
from assay_verifier.checks.duplicates import Sketch
from assay_verifier.judge import Judgement, judge, malformed, sketch_work

TRAINER = Address("0x00000000000000000000000000000000000000A1")
COLLEAGUE = Address(to_checksum_address("0x" + "b2" * 20))
TASK = TaskId(1)
TASK_SEED = Seed(hashlib.sha256(b"task").digest())
SPEC_ROOT = Root(hashlib.sha256(b"spec").digest())
POLICY_ROOT = Root(hashlib.sha256(b"policy").digest())
VERSION = PolicyVersion(1)
EARLIER = 1_000  # run + EARLIER stands for the epoch before that of a run

# Thresholds for trainers that compute in float32, as ours do: those that users of the example run with, from
# `assay calibrate`. Those of the noise of bfloat16 are the defaults.
EXAMPLE = load_task_file(Path(__file__).parents[2] / "examples" / "sorting.toml").spec
SPEC = TaskSpec(
    title="sort four digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 4, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=6),
    rollout=RolloutSpec(groups=16, group_size=4),
    recipe=RecipeSpec(inner_steps=4, groups_per_step=8, lr=1e-3),
    toploc=EXAMPLE.toploc,
    checks=EXAMPLE.checks,
)
ADAPTER: Json = {"rank": 2, "alpha": 4, "targets": ["blocks.*"]}
QUARTER_BPS = BPS // 4  # of the works replayed, and of a work's completions prefilled, where little is sampled

Tamper = Callable[[Path], None]


@dataclass(frozen=True)
class Draft:
    """A work before it is written. `tamper` may change its files before they are hashed, `forge` after that."""

    header: WorkHeader
    rollouts: Rollouts
    update: PseudoGradient
    trace: tuple[StepTrace, ...]
    states: tuple[InnerState, ...] = ()  # where works are replayed step by step
    tamper: Tamper | None = None
    forge: Tamper | None = None


@dataclass(frozen=True)
class JudgeContext:
    """The judge's bench: the declared policy, already loaded."""

    loaded: Policy
    task_environment: Environment

    def policy(self, root: Root) -> Policy:
        return self.loaded

    def environment(self) -> Environment:
        return self.task_environment


@dataclass
class Scene:
    """The task. `policy` is the current one, `past` the version before it, `small` a cheaper model.

    `trainer`: who makes works where nobody else is named.
    """

    policy: CausalPolicy
    past: CausalPolicy
    small: CausalPolicy
    spec: TaskSpec = SPEC
    environment: Environment = field(default_factory=lambda: make_environment(SPEC.environment))
    drafts: dict[tuple[int, Address], Draft] = field(default_factory=dict[tuple[int, Address], Draft])
    trainer: Address = TRAINER

    # ---- honest work

    def seed(self, run: int, who: Address | None = None) -> Seed:
        """Each run is an epoch of its own."""
        return trainer_seed(TASK_SEED, TASK, Epoch(run), who or self.trainer)

    def roll_out(self, seed: Seed, policy: Policy | None = None, spec: TaskSpec | None = None) -> Rollouts:
        """With proofs that are true of whatever policy ran."""
        spec = spec or self.spec
        batches = roll_out(policy or self.policy, self.environment, spec, seed)
        rows = tuple(row for batch in batches for row in prove(batch, spec.toploc))
        return Rollouts(spec.rollout.group_size, rows)

    def train(
        self,
        rollouts: Rollouts,
        seed: Seed,
        recipe: RecipeSpec | None = None,
        on_step: OnStep | None = None,
        on_state: OnState | None = None,
    ) -> tuple[PseudoGradient, tuple[StepTrace, ...]]:
        spec = self.spec if recipe is None else self.spec.model_copy(update={"recipe": recipe})
        result = run_inner_steps(self.policy, rollouts, spec, seed, on_step, on_state)
        return result.pseudo_gradient, result.trace

    def draft(self, run: int, rollouts: Rollouts | None = None, who: Address | None = None) -> Draft:
        """A work trained as it should be, on the rollouts given or on honest ones."""
        who = who or self.trainer
        seed = self.seed(run, who)
        rollouts = rollouts or self.roll_out(seed)
        states: list[InnerState] = []
        update, trace = self.train(rollouts, seed, on_state=lambda number, state: states.append(state))
        header = WorkHeader(TASK, Epoch(run), who, VERSION, POLICY_ROOT, seed, SPEC_ROOT, {"assay": "test"})
        kept = tuple(states) if self.spec.checks.replay == "steps" else ()
        return Draft(header, rollouts, update, trace, kept)

    def honest(self, run: int, who: Address | None = None) -> Draft:
        """What an honest trainer submits; the last few are remembered, since many cheats start from one."""
        who = who or self.trainer
        if (run, who) not in self.drafts:
            self.drafts[run, who] = self.draft(run, who=who)
            while len(self.drafts) > 8:
                self.drafts.pop(next(iter(self.drafts)))
        return self.drafts[run, who]

    # ---- what cheats need

    def whitewashed(self, rollouts: Rollouts) -> Rollouts:
        """The same tokens with what the declared policy says about them: true rewards, logprobs and proofs.

        What can be had by one prefill, so what a cheat that knows the checks would submit.
        """
        rows = rollouts.completions
        prefills = self.policy.prefill(
            [row.prompt_ids for row in rows], [row.completion_ids for row in rows], self.spec.sampler
        )
        hidden = [Hidden(each.hidden_NH, len(row.prompt_ids)) for each, row in zip(prefills, rows, strict=True)]
        proofs = build_all(hidden, topk=self.spec.toploc.topk, chunk_tokens=self.spec.toploc.chunk_tokens)
        return Rollouts(
            rollouts.group_size,
            tuple(
                replace(
                    row,
                    logprobs_T=np.maximum(each.logprobs_T, -1e4).astype(np.float32),
                    reward=self.reward(row),
                    proofs=tuple(proved),
                )
                for row, each, proved in zip(rows, prefills, proofs, strict=True)
            ),
        )

    def reward(self, row: Completion) -> float:
        """That of the environment, for the prompt that the row says it answers."""
        text = self.policy.decode(row.prompt_ids)
        prompt = replace(self.environment.prompt(Seed(bytes(32)), 0), text=text, data={"line": text.rstrip("=")})
        return self.environment.reward(prompt, self.policy.decode(row.completion_ids))

    def generator(self, run: int, purpose: str) -> np.random.Generator:
        """Randomness of a cheat's own."""
        return np.random.default_rng(int.from_bytes(derive(self.seed(run), purpose)[:8], "big"))

    # ---- the verdict

    def write(self, draft: Draft, folder: Path) -> Root:
        """Put a work on disk, as its trainer would commit to it."""
        (folder / "trace").mkdir(parents=True)
        (folder / ROLLOUTS_NAME).write_bytes(rollouts_bytes(draft.rollouts))
        (folder / TRACE_NAME).write_bytes(trace_bytes(draft.trace))
        for number, state in enumerate(draft.states):
            write_state(folder, number, state)
        write_update(folder / FOLDER, draft.update, codec_named(self.spec.codec))
        if draft.tamper is not None:
            draft.tamper(folder)
        root = build_bundle(folder, BundleKind.WORK, draft.header.fields()).root
        if draft.forge is not None:
            draft.forge(folder)
        return root

    def judge(
        self,
        folder: Path,
        root: Root,
        run: int,
        *,
        who: Address | None = None,
        quarter: bool = False,
        others: Sequence[Path] = (),
    ) -> Judgement:
        """Judge as the verifier does: everything, or the quarter that the epoch's seed draws.

        `others` are folders of works that the verifier has besides this one, of other trainers.
        """
        try:
            manifest = open_bundle(folder, BundleLimits(self.spec.limits.work_bytes))
        except Malformed as error:
            return Judgement(malformed(str(error)))
        case = self.case(run, root, who or self.trainer, quarter=quarter)
        sketches = [self._sketch(other, number, case) for number, other in enumerate(others, start=1)]
        known = [each for each in sketches if each is not None]
        return judge(case, JudgeContext(self.policy, self.environment), folder, manifest, known)

    def case(self, run: int, root: Root, who: Address, *, quarter: bool) -> Case:
        spec = self.spec
        if quarter:
            few = spec.rollout.groups * spec.rollout.group_size // 4
            spec = spec.model_copy(update={"checks": spec.checks.model_copy(update={"completions_checked": few})})
        return Case(
            task_id=TASK,
            epoch=Epoch(run),
            work=Work(who, WorkIndex(0), WorkKind.FULL, spec.rollout.groups, VERSION, root),
            spec=spec,
            spec_root=SPEC_ROOT,
            trainer_seed=self.seed(run, who),
            epoch_seed=derive(TASK_SEED, "epoch", run) if quarter else None,
            policy_root=POLICY_ROOT,
            newest_version=VERSION,
            max_staleness=2,
            sampling_bps=QUARTER_BPS if quarter else BPS,
        )

    def _sketch(self, folder: Path, number: int, case: Case) -> Sketch | None:
        if case.epoch_seed is None:
            return None
        manifest = read_manifest(folder)
        other = replace(case, work=replace(case.work, index=WorkIndex(number), manifest_root=manifest.root))
        return sketch_work(other, self.policy, folder, manifest, case.epoch_seed)


@lru_cache(maxsize=4)
def make_scene(number: int = 0) -> Scene:
    """A policy that has learned a little, the version that one epoch of training makes of it, and a smaller one."""
    return _scene(number, SPEC)


@lru_cache(maxsize=4)
def make_step_wise_scene(number: int = 0) -> Scene:
    """The same task, learned through adapters; of a drawn work one step is replayed."""
    checks = SPEC.checks.model_copy(update={"replay": "steps", "steps_replayed": 1})
    return _scene(number, SPEC.model_copy(update={"checks": checks}), adapter=ADAPTER)


def _scene(number: int, spec: TaskSpec, **parts: Json) -> Scene:
    torch.set_num_threads(1)
    environment = make_environment(SPEC.environment)
    start: dict[str, Json] = {"kind": "tiny", "layers": 2, "width": 32, "heads": 2, "context": 16, **parts}
    warmup: dict[str, Json] = {"steps": 60, "batch": 64}
    seed = Seed(hashlib.sha256(b"scene %d" % number).digest())
    past = initial_policy(start | {"warmup": warmup}, seed, environment)
    small = initial_policy(start | {"layers": 1, "width": 16, "warmup": warmup}, seed, environment)
    scene = Scene(copy.deepcopy(past), past, small, spec, environment)
    updates = [scene.train(scene.roll_out(each), each)[0] for each in (derive(seed, "first", n) for n in range(3))]
    descend(scene.policy, {name: np.mean([update[name] for update in updates], axis=0) for name in updates[0]})
    return scene


def descend(policy: Policy, pseudo_gradient: dict[str, npt.NDArray[np.float32]]) -> None:
    with torch.no_grad():
        for name, parameter in policy.trainable().items():
            parameter -= 0.7 * torch.from_numpy(pseudo_gradient[name])
