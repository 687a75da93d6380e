"""What a task asks for, off chain: `spec.json` in the task bundle, whose root is `specHash` on chain.

All parties derive everything from it, so it is exact: decimals are strings in the file (`"0.0003"`), floats in memory.
"""

import math
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from assay_core.protocol.encoding import Json, canonical_json, parse_canonical_json
from assay_core.protocol.errors import Malformed


def _read_decimal(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("a decimal number is missing")
    try:
        number = float(Decimal(value) if isinstance(value, str) else value)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"{value!r:.40} is not a decimal number" if isinstance(value, str) else "too large") from error
    if not math.isfinite(number):  # "1e400" is a finite decimal and an infinite float
        raise ValueError(f"{value!r:.40} is not finite")
    return number


def _write_decimal(value: float) -> str:
    return repr(float(value))


Number = Annotated[float, BeforeValidator(_read_decimal), PlainSerializer(_write_decimal)]
Positive = Annotated[Number, Field(gt=0)]
Fraction = Annotated[Number, Field(ge=0, le=1)]


CodecName = Literal["fp32", "bf16", "int8", "int4", "topk64", "topk20", "topk4"]

MAX_SPEC_BYTES = 65_536


class SpecPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EnvironmentSpec(SpecPart):
    """`name` is "sorting" or "reasoning-gym/<dataset>"; `args` go to its constructor."""

    name: str
    args: dict[str, int | str | bool] = {}


class SamplerSpec(SpecPart):
    """Inverse-CDF sampling from seeded uniforms: token = first id whose cumulative probability exceeds u."""

    temperature: Positive = 1.0
    max_new_tokens: Annotated[int, Field(ge=1, le=32_768)] = 16


class RolloutSpec(SpecPart):
    """How much one submission rolls out. One unit (of payment) is one group."""

    groups: Annotated[int, Field(ge=1, le=65_535)] = 16
    group_size: Annotated[int, Field(ge=2, le=1_024)] = 8


class RecipeSpec(SpecPart):
    """H inner GRPO steps with INTELLECT-2's two-sided clipping (arXiv:2505.07291 §3.4), AdamW with fresh state."""

    inner_steps: Annotated[int, Field(ge=1, le=1_000)] = 4
    groups_per_step: Annotated[int, Field(ge=1)] = 16
    lr: Positive = 3e-4
    clip_low: Positive = 0.2
    clip_high: Positive = 0.2
    clip_max: Positive = 4.0  # bounds the ratio where the advantage is negative
    weight_decay: Annotated[Number, Field(ge=0)] = 0.0
    max_grad_norm: Positive = 1.0
    dtype: Literal["float32"] = "float32"


class OuterSpec(SpecPart):
    """OpenDiLoCo's outer step: Nesterov SGD over the aggregated pseudo-gradient (arXiv:2407.07852).

    `rule` makes one pseudo-gradient of those of the submissions; see aggregation/rules.py. `broadcast` is how a new
    policy
    travels: "whole" (weights and momentum), or as that one pseudo-gradient in a codec, after which the step is taken
    from what the codec has kept, and anyone who has the version before takes it too; see aggregation/policy_delta.py.
    """

    rule: Literal["weighted_mean", "centered_clipping", "multi_krum", "trimmed_mean", "median"] = "weighted_mean"
    lr: Positive = 0.7
    momentum: Fraction = 0.6
    clip_norm_ratio: Positive = 2.0  # weighted_mean: updates are clipped to this multiple of the median norm
    hostile_share: Annotated[Number, Field(ge=0, lt=0.5)] = 0.25  # multi_krum, trimmed_mean: how many may be hostile
    broadcast: Literal["whole"] | CodecName = "whole"


class ToplocSpec(SpecPart):
    """TOPLOC (arXiv:2501.16007): parameters and thresholds; errors must be `<=` them."""

    topk: Annotated[int, Field(ge=1, le=4_096)] = 128
    chunk_tokens: Annotated[int, Field(ge=1, le=4_096)] = 32
    max_exponent_mismatches: Annotated[int, Field(ge=0)] = 38
    max_mantissa_mean: Positive = 10.0
    max_mantissa_median: Positive = 8.0
    max_submission_mantissa_mean: Positive = (
        10.0  # mean over all proofs of a submission: one proof may be unlucky, all may not
    )


class CheckSpec(SpecPart):
    """Thresholds of the checks beside TOPLOC's."""

    completions_checked: Annotated[int, Field(ge=1)] = 1_000_000  # sampled per submission; all, when fewer
    max_logprob_error: Positive = 0.4  # mean |claimed - recomputed| over a completion's tokens
    # honest noise: u lies x or more outside of its token's interval with probability <= share * exp(-x / scale)
    cdf_noise_share: Fraction = 0.2
    cdf_noise_scale: Positive = 0.011
    false_positive_rate: Annotated[Positive, Field(lt=1)] = 1e-9  # of the sampling test, per submission
    min_eos_probability: Fraction = 1e-6
    reward_tolerance: Positive = 1e-6
    min_replay_cosine: Fraction = 0.999
    max_replay_norm_error: Positive = 0.005  # relative difference of norms
    replay_topk: Annotated[int, Field(ge=1)] = 64  # elements of either update, the largest, that are looked at alone
    max_replay_topk_error: Positive = 0.3  # relative L2 error over these; a flipped sign among 64 makes 0.25
    # "whole": a submission that is drawn is trained again from its policy. "steps": submissions hold the state after
    # each inner step, and of a drawn submission so many steps are drawn, each taken again from the state before it.
    replay: Literal["whole", "steps"] = "whole"
    steps_replayed: Annotated[int, Field(ge=1)] = 1
    max_replay_moment_error: Positive = 0.1  # of a step: relative L2 error of AdamW's moments, in units of its step
    max_update_norm_ratio: Positive = 10.0  # against the median of the epoch's submissions
    max_update_cosine: Fraction = 0.7  # with another submission's update; what is more alike is replayed in any case


class LimitSpec(SpecPart):
    """Sizes checked before reading."""

    submission_bytes: Annotated[int, Field(ge=1)] = 256 * 2**20
    policy_bytes: Annotated[int, Field(ge=1)] = 4 * 2**30


def _printable(value: str) -> str:
    if not value.isprintable():  # it is shown in terminals and kept in databases, which choke on some of the others
        raise ValueError("has characters that cannot be printed")
    return value


class TaskSpec(SpecPart):
    """All that trainers and verifiers of one task must agree on."""

    title: Annotated[str, Field(max_length=200), AfterValidator(_printable)]
    environment: EnvironmentSpec
    sampler: SamplerSpec = SamplerSpec()
    rollout: RolloutSpec = RolloutSpec()
    recipe: RecipeSpec = RecipeSpec()
    codec: CodecName = "int8"  # offchain/assay_core/aggregation/codecs.py
    outer: OuterSpec = OuterSpec()
    toploc: ToplocSpec = ToplocSpec()
    checks: CheckSpec = CheckSpec()
    limits: LimitSpec = LimitSpec()

    @model_validator(mode="after")
    def _consistent(self) -> "TaskSpec":
        if self.recipe.clip_max < 1 + self.recipe.clip_high:
            raise ValueError("recipe.clip_max must be at least 1 + clip_high")
        if self.checks.replay == "steps" and self.checks.steps_replayed > self.recipe.inner_steps:
            raise ValueError("checks.steps_replayed must not exceed recipe.inner_steps")
        if self.codec.startswith("topk") and self.outer.rule in ("trimmed_mean", "median"):
            raise ValueError(
                "outer.rule decides for each coordinate: of a sparse codec's updates it leaves next to nothing"
            )
        return self

    def to_bytes(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))


def parse_spec(data: bytes) -> TaskSpec:
    """Read a stranger's spec. Raises Malformed: too large, not canonical, unknown fields or impossible values."""
    if len(data) > MAX_SPEC_BYTES:
        raise Malformed(f"spec of {len(data)} bytes exceeds {MAX_SPEC_BYTES}")
    value: Json = parse_canonical_json(data)
    try:
        return TaskSpec.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise Malformed(f"spec {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
