"""What verifying a submission costs beside producing it: `make bench-verify`.

    python -m benchmarks.verify [--case NAME]

Processor time of one thread. Each round makes a whole submission with the trainer's code (rollouts, proofs, training,
bundle) and judges it with the verifier's, from the bundle's hashes to the replay; every completion is checked. Shares
are those of one round, medians over rounds. Writes the tables into docs/verification-cost.md. The exit code is 1 when a
submission is rejected or a bound is crossed: the checks without replay 15 % of producing, together with replays at the
case's sampling rate 30 %.
"""

import argparse
import gc
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from assay_core.bundle.directory import open_bundle, write_atomically
from assay_core.bundle.header import parse_submission_header
from assay_core.bundle.manifest import BundleLimits, Manifest
from assay_core.bundle.rollouts import ROLLOUTS_NAME, RolloutLimits, parse_rollouts, rollouts_bytes
from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import make_environment
from assay_core.environments.interface import Environment
from assay_core.policy import initial_policy
from assay_core.policy.causal import CausalPolicy, Ids
from assay_core.policy.interface import Prefill
from assay_core.protocol.encoding import trainer_seed
from assay_core.protocol.spec import EnvironmentSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import (
    Epoch,
    PolicyVersion,
    Seed,
)
from assay_core.training.inner import PseudoGradient
from assay_protocol.task_file import TaskFile, load_task_file
from assay_trainer.inner import train
from assay_trainer.prover import prove
from assay_trainer.rollout import roll_out
from assay_trainer.submit import finish_bundle
from assay_trainer.tasks import Assignment
from assay_verifier.checks.duplicates import BUCKETS, Sketch
from assay_verifier.judge import judge, sketch_submission
from assay_verifier.verdict import SCORE_FULL, Finding
from tests.submissions import POLICY_ROOT, SPEC_ROOT, TASK, TRAINER, LoadedContext, case_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "verification-cost.md"
BEGIN, END = "<!-- made by `make bench-verify`: begin -->", "<!-- made by `make bench-verify`: end -->"
MAX_CHECKS, MAX_TOTAL = 0.15, 0.30  # shares of what producing costs
WHOLE_RATE = 0.1  # at which submissions are replayed that have to be replayed whole
VERSION = PolicyVersion(1)
EPOCH_SEED = Seed(hashlib.sha256(b"verification cost").digest())
STRANGER = Sketch("another submission", b"", np.zeros(BUCKETS))  # there are others to compare with, and none is alike
REPLAY, PREFILL, OPEN, SKETCH = "replay", "prefill", "bundle's hashes", "duplicates: sketch for the others' sake"


@dataclass(slots=True)
class Clock:
    """Processor time by stage: each mark ends one."""

    stages: dict[str, float] = field(default_factory=dict[str, float])
    last: float = field(default_factory=time.process_time)

    def mark(self, stage: str) -> None:
        now = time.process_time()
        self.stages[stage] = self.stages.get(stage, 0.0) + now - self.last
        self.last = now


@dataclass(frozen=True, slots=True)
class Costed:
    """A task whose submissions are made and judged. `rate` is the sampling rate at which MAX_TOTAL has to hold."""

    name: str
    title: str
    spec: TaskSpec
    policy: Mapping[str, Any]
    seed: Seed
    rate: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds of processor time by stage and by check; `size` says what was made."""

    produced: dict[str, float]
    verified: dict[str, float]
    size: str

    @property
    def producing(self) -> float:
        return sum(self.produced.values())

    @property
    def replay(self) -> float:
        return sum(seconds for check, seconds in self.verified.items() if check.startswith(REPLAY)) / self.producing

    @property
    def checks(self) -> float:
        return sum(self.verified.values()) / self.producing - self.replay


class Timed(CausalPolicy):
    """The same policy, whose prefill ends a stage of its own."""

    def __init__(self, policy: CausalPolicy, clock: Clock) -> None:
        super().__init__(policy.backbone, policy.tokenizer, policy.config, policy.trainable())
        self._clock = clock

    def prefill(self, prompts: Ids, completions: Ids, sampler: SamplerSpec) -> list[Prefill]:
        prefills = super().prefill(prompts, completions, sampler)
        self._clock.mark(PREFILL)
        return prefills


def cases() -> list[Costed]:
    sorting = load_task_file(ROOT / "examples" / "sorting.toml")
    smollm = load_task_file(ROOT / "examples" / "smollm2.toml")
    longer = {
        "environment": EnvironmentSpec(name="reasoning-gym/letter_counting"),
        "sampler": SamplerSpec(max_new_tokens=32),
        "rollout": RolloutSpec(groups=4, group_size=8),
        "recipe": smollm.spec.recipe.model_copy(update={"inner_steps": 8, "groups_per_step": 2}),
    }
    answers = "`examples/smollm2.toml` with letter counting, 4 × 8 answers of 32 tokens, 8 steps of 2 groups"
    long = smollm.spec.model_copy(update=longer)
    return [
        _costed("sorting", "`examples/sorting.toml`", sorting, sorting.spec, rounds=7),
        _adapted(
            _costed(
                "sorting-adapter",
                "the same through adapters of rank 8; half of the answers are drawn",
                sorting,
                _half_checked(sorting.spec),
                rounds=7,
            ),
            ("blocks.*",),
        ),
        _costed("smollm2", "`examples/smollm2.toml`", smollm, smollm.spec, rounds=2),
        _costed("smollm2-long", f"{answers}; half of the answers are drawn", smollm, _half_checked(long), rounds=2),
        _adapted(
            _costed(
                "smollm2-adapter", "the same through adapters of rank 8, all answers checked", smollm, long, rounds=2
            ),
            ("model.layers.*.self_attn.q_proj", "model.layers.*.self_attn.v_proj"),
        ),
    ]


def _costed(name: str, title: str, file: TaskFile, spec: TaskSpec, rounds: int) -> Costed:
    return Costed(name, title, spec, file.policy, file.seed, WHOLE_RATE, rounds)


def _half_checked(spec: TaskSpec) -> TaskSpec:
    half = spec.rollout.groups * spec.rollout.group_size // 2
    return spec.model_copy(update={"checks": spec.checks.model_copy(update={"completions_checked": half})})


def _adapted(case: Costed, targets: tuple[str, ...]) -> Costed:
    """Every submission is replayed, one step of it."""
    policy = {name: value for name, value in case.policy.items() if name != "trainable"}
    checks = case.spec.checks.model_copy(update={"replay": "steps", "steps_replayed": 1})
    return replace(
        case,
        title=f"{case.title}; replayed by steps",
        spec=case.spec.model_copy(update={"checks": checks}),
        policy={**policy, "adapter": {"rank": 8, "alpha": 16, "targets": targets}},
        rate=1.0,
    )


def warm_up_spec(spec: TaskSpec) -> TaskSpec:
    """One group and one step: what runs for the first time compiles and allocates."""
    recipe = spec.recipe.model_copy(update={"inner_steps": 1, "groups_per_step": 1})
    return spec.model_copy(update={"rollout": RolloutSpec(groups=1, group_size=8), "recipe": recipe})


def produce(
    case: Costed, spec: TaskSpec, policy: CausalPolicy, environment: Environment, folder: Path, number: int
) -> tuple[Manifest, Rollouts, dict[str, float]]:
    """A trainer's submission, as `assay_trainer.submission_builder` makes it, and its costs by stage."""
    seed = trainer_seed(case.seed, TASK, Epoch(number), TRAINER)
    clock = Clock()
    unproved = [row for batch in roll_out(policy, environment, spec, seed) for row in batch]
    clock.mark("generation and rewards")
    rollouts = Rollouts(spec.rollout.group_size, tuple(prove(unproved, spec.toploc)))
    clock.mark("proofs")
    data = rollouts_bytes(rollouts)
    parse_rollouts(data, RolloutLimits.of(spec))
    write_atomically(folder / ROLLOUTS_NAME, data)
    clock.mark("writing")

    def trained(update: PseudoGradient) -> PseudoGradient:
        clock.mark("training")
        return update

    train(policy, rollouts, spec, seed, folder, submit=trained)
    manifest = finish_bundle(folder, Assignment(TASK, Epoch(number), TRAINER, seed, VERSION, POLICY_ROOT), SPEC_ROOT)
    clock.mark("writing")
    return manifest, rollouts, clock.stages


def verify(
    case: Costed, spec: TaskSpec, policy: CausalPolicy, environment: Environment, folder: Path, manifest: Manifest
) -> dict[str, float]:
    """Costs by check. Raises ValueError: it was not accepted."""
    chain = case_of(parse_submission_header(manifest.fields), spec, manifest.root, EPOCH_SEED)
    clock = Clock()
    open_bundle(folder, BundleLimits(spec.limits.submission_bytes), manifest.root)
    clock.mark(OPEN)
    sketch_submission(chain, policy, folder, manifest, EPOCH_SEED)
    clock.mark(SKETCH)

    def note(finding: Finding) -> None:
        clock.mark(finding.check)

    context = LoadedContext(Timed(policy, clock), environment)
    verdict = judge(chain, context, folder, manifest, [STRANGER], note).verdict
    if verdict.score != SCORE_FULL:
        raise ValueError(f"{case.name}: an honest submission was rejected: {verdict.findings[-1].detail}")
    return clock.stages


def measure(case: Costed) -> list[Round]:
    environment = make_environment(case.spec.environment)
    policy = initial_policy(case.policy, case.seed, environment)
    measured: list[Round] = []
    for number in range(case.rounds + 1):
        gc.collect()
        gc.freeze()  # as trainers and verifiers do
        spec = case.spec if number else warm_up_spec(case.spec)
        with tempfile.TemporaryDirectory(prefix="verification-cost-") as name:
            manifest, rollouts, produced = produce(case, spec, policy, environment, Path(name), number)
            verified = verify(case, spec, policy, environment, Path(name), manifest)
        if number:
            size = f"{len(rollouts.completions)} completions, {rollouts.tokens:,} tokens"
            measured.append(Round(produced, verified, size))
            print(f"{case.name}: round {number} of {case.rounds}", file=sys.stderr, flush=True)
    return measured


@dataclass(frozen=True, slots=True)
class Shares:
    """Of what producing costs; medians over rounds."""

    checks: float
    replay: float

    def total(self, rate: float) -> float:
        return self.checks + rate * self.replay

    @property
    def highest_rate(self) -> float:
        """The sampling rate up to which MAX_TOTAL holds."""
        return max(0.0, min(1.0, (MAX_TOTAL - self.checks) / self.replay)) if self.replay else 1.0

    def crossed(self, rate: float) -> list[str]:
        found = [
            (self.checks, MAX_CHECKS, "the checks without replay"),
            (self.total(rate), MAX_TOTAL, f"the checks with replays at {rate:.0%}"),
        ]
        return [f"{what} cost {share:.1%}, allowed are {most:.0%}" for share, most, what in found if share > most]


def shares(rounds: Sequence[Round]) -> Shares:
    return Shares(median(each.checks for each in rounds), median(each.replay for each in rounds))


def summary_lines(found: Sequence[tuple[Costed, Sequence[Round]]]) -> list[str]:
    lines = [
        "| task | checks alone | a replay | checks, replays at 10 % | replays of all | 30 % holds up to a rate of |",
        "|---|---|---|---|---|---|",
    ]
    for case, rounds in found:
        each = shares(rounds)
        cells = [each.checks, each.replay, each.total(0.1), each.total(1.0), each.highest_rate]
        lines.append(f"| {case.title}; {rounds[0].size} | " + " | ".join(f"{cell:.1%}" for cell in cells) + " |")
    return lines


def split_lines(case: Costed, rounds: Sequence[Round]) -> list[str]:
    """Each stage's and each check's share of producing, the largest first."""

    def rows(costs: Callable[[Round], dict[str, float]]) -> list[str]:
        names = dict.fromkeys(name for each in rounds for name in costs(each))
        share = {name: median(costs(each).get(name, 0.0) / each.producing for each in rounds) for name in names}
        return [f"{name} {share[name]:.1%}" for name in sorted(share, key=lambda name: -share[name])]

    milliseconds = 1e3 * median(each.producing for each in rounds)
    produced, verified = rows(lambda each: each.produced), rows(lambda each: each.verified)
    return [
        f"| {case.title} | {milliseconds:,.0f} ms: {', '.join(produced)} | {', '.join(verified)} |",
    ]


def main() -> int:
    known = cases()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=[case.name for case in known], help="only this one, and leave the page alone")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found = [(case, measure(case)) for case in known if chosen.case in (None, case.name)]
    lines = summary_lines(found)
    lines += ["", "| task | producing | verifying, shares of producing |", "|---|---|---|"]
    lines += [line for case, rounds in found for line in split_lines(case, rounds)]
    print("\n".join(lines))
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end and chosen.case is None:
        PAGE.write_text("\n".join([before + BEGIN, "", *lines, "", END + after]))
    crossed = [f"{case.name}: {what}" for case, rounds in found for what in shares(rounds).crossed(case.rate)]
    for line in crossed:
        print(line, file=sys.stderr)
    return 1 if crossed else 0


if __name__ == "__main__":
    sys.exit(main())
