"""What codecs do to training: eight trainers of a small character model that exchange through each of them."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure

from assay_core.aggregation.aggregate import Contribution, aggregate
from assay_core.aggregation.codecs import Codec, codec_named
from assay_core.aggregation.layout import encoded_bytes
from assay_core.aggregation.optimizer import outer_step
from assay_core.aggregation.rules import Rule
from assay_core.bundle.numbers import Float32
from assay_core.protocol.types import SubmissionIndex
from benchmarks.character_model import (
    CONTEXT,
    SEQUENCES,
    Trainers,
    Weights,
    initial_weights,
    load_text,
    validation_loss,
)
from benchmarks.error_feedback import ErrorFeedback

TRAINERS = 8
TOKENS_PER_STEP = SEQUENCES * CONTEXT  # of one trainer


@dataclass(frozen=True)
class Run:
    """Training through one codec. `momentum` is the outer one; `feedback` the decay of the residual, None without.

    `broadcast` is the codec of the aggregate, where policies travel as steps.
    """

    label: str
    codec: str
    momentum: float = 0.6
    lr: float = 0.7
    feedback: float | None = None
    broadcast: str | None = None
    over_senders: bool = False  # the mean of a coordinate is over those that sent it, as SparseLoCo has it


CODEC_STEPS, INNER_STEPS = 1_280, 32
DDP = "data-parallel"
STEPS = "policies as steps"
PROMISES = ((240, 0.07), (1_000, 0.13))  # at least so many times fewer bytes, at most so much more loss
RUNS = (
    Run("DiLoCo, fp32", "fp32"),
    Run("bf16", "bf16"),
    Run("int8", "int8"),
    Run("int4", "int4"),
    Run(f"int4, {STEPS} in int8", "int4", broadcast="int8"),
    Run(f"int4, {STEPS} in int4", "int4", broadcast="int4"),
    Run("topk64", "topk64"),
    Run("topk20", "topk20", momentum=0.8),
    Run("topk20, error feedback", "topk20", momentum=0.0, lr=1.0, feedback=1.0),
    Run("topk4", "topk4", momentum=0.8),
    Run("topk4, error feedback, mean over senders (SparseLoCo)", "topk4", 0.0, 1.0, 0.95, over_senders=True),
)


@dataclass(frozen=True)
class Trained:
    """How a run ended: held-out loss, and what a trainer sends per round in numbers and as files."""

    label: str
    loss: float
    round_bytes: int


def train_data_parallel(seed: int) -> Trained:
    text = load_text()
    start = initial_weights(text.alphabet, seed)
    trainers = Trainers(text, start, TRAINERS, seed)
    trainers.run_data_parallel(CODEC_STEPS)
    step_bytes = 4 * sum(array.size for array in start.values())
    return Trained(DDP, validation_loss(text, trainers.weights(0)), step_bytes * INNER_STEPS)


def train_through_codec(run: Run, seed: int) -> Trained:
    """DiLoCo, with each update through the codec as in a submission."""
    text = load_text()
    weights = initial_weights(text.alphabet, seed)
    codec, shapes = codec_named(run.codec), {name: array.shape for name, array in weights.items()}
    momentum = {name: np.zeros_like(array) for name, array in weights.items()}
    trainers = Trainers(text, weights, TRAINERS, seed)
    with tempfile.TemporaryDirectory() as folder:
        residuals = [
            ErrorFeedback(Path(folder, str(n)), codec, shapes, decay=run.feedback or 0.0) for n in range(TRAINERS)
        ]
        for round_number in range(CODEC_STEPS // INNER_STEPS):
            trainers.run(INNER_STEPS)
            updates = trainers.pseudo_gradients(weights)
            if run.feedback is None:
                sent = [{name: _through(codec, array) for name, array in update.items()} for update in updates]
            else:
                sent = [each.compress(round_number, update) for each, update in zip(residuals, updates, strict=True)]
            mean = _mean_over_senders(sent) if run.over_senders else _aggregated(sent, Rule(clip_norm_ratio=1e9))
            if run.broadcast is not None:
                mean = {name: _through(codec_named(run.broadcast), array) for name, array in mean.items()}
            state = outer_step(weights, momentum, mean, lr=run.lr, momentum_decay=run.momentum)
            weights, momentum = state.weights, state.momentum
            trainers.load(weights)
    size = sum(encoded_bytes(codec.layout, shape) for shape in shapes.values())
    return Trained(run.label, validation_loss(text, weights), size)


def _through(codec: Codec, array: Float32) -> Float32:
    return codec.decode(codec.encode(array), array.shape)


def _aggregated(updates: Sequence[Weights], rule: Rule) -> Weights:
    return aggregate((Contribution(SubmissionIndex(n), 1, update) for n, update in enumerate(updates)), rule)


def _mean_over_senders(updates: Sequence[Weights]) -> Weights:
    mean: Weights = {}
    for name in updates[0]:
        stacked = np.stack([update[name] for update in updates])
        mean[name] = stacked.sum(axis=0) / np.maximum((stacked != 0).sum(axis=0), 1).astype(np.float32)
    return mean


def codecs_table(results: Sequence[Trained]) -> tuple[list[str], bool]:
    """Lines of the table, and whether the promises hold."""
    base = next(each for each in results if each.label == DDP)
    lines = [
        "| what travels | held-out loss | against data-parallel | bytes per token | fewer bytes |",
        "|---|---|---|---|---|",
    ]
    for each in results:
        per_token = each.round_bytes / (INNER_STEPS * TOKENS_PER_STEP)
        rise, factor = each.loss / base.loss - 1, base.round_bytes / each.round_bytes
        lines.append(f"| {each.label} | {each.loss:.3f} | {rise:+.1%} | {per_token:,.2f} | {factor:,.0f}× |")
    kept = [_promise(results, base, factor, rise) for factor, rise in PROMISES]
    return lines + [""] + [line for line, _ in kept], all(is_kept for _, is_kept in kept)


def _promise(results: Sequence[Trained], base: Trained, factor: int, rise: float) -> tuple[str, bool]:
    """The best run among those that save so many bytes and could be a task's: without error feedback."""
    best = min(
        (each for each in results if base.round_bytes / each.round_bytes >= factor and "feedback" not in each.label),
        key=lambda each: each.loss,
    )
    found = best.loss / base.loss - 1
    return (
        f"- at least {factor:,}× fewer bytes: {best.label}, {found:+.1%} (promised: at most {rise:+.0%})",
        found <= rise,
    )


def draw_codecs(path: Path, results: Sequence[Trained]) -> None:
    """Loss against bytes, both relative to data-parallel training."""
    base = next(each for each in results if each.label == DDP)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for each in (each for each in results if STEPS not in each.label):  # they would lie on top of int4
        factor, rise = base.round_bytes / each.round_bytes, 100 * (each.loss / base.loss - 1)
        with_feedback = "feedback" in each.label
        axes.plot(factor, rise, "s" if with_feedback else "o", color="#b3362b" if with_feedback else "#1f6f5c")
        axes.annotate(each.label.split(",")[0] + (" + feedback" if with_feedback else ""), (factor, rise),
                      xytext=(5, -11 if with_feedback else 5), textcoords="offset points", fontsize=8)  # fmt: skip
    for factor, rise in PROMISES:
        axes.plot([factor, 10_000], [100 * rise] * 2, color="#888888", linewidth=1, linestyle="--")
    axes.set(xscale="log", xlim=(0.7, 10_000), ylim=(-1.5, None))
    axes.set(xlabel="times fewer bytes than data-parallel training", ylabel="loss above it, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    rcParams["svg.hashsalt"] = "codecs"  # the same results draw the same file
    figure.savefig(path, metadata={"Date": None})


def speed_table() -> list[str]:
    """Encoding and decoding one tensor, as multiples of copying it; and the size."""
    random = np.random.default_rng(0)
    tensor = random.standard_t(4, 4_000_000).astype(np.float32)
    copying = _seconds(lambda: tensor.copy())
    lines = ["| codec | bytes per element | encode, × a copy | decode, × a copy |", "|---|---|---|---|"]
    for name in ("fp32", "bf16", "int8", "int4", "topk64", "topk20", "topk4"):
        codec = codec_named(name)
        parts = codec.encode(tensor)
        encode, decode = _seconds(lambda: codec.encode(tensor)), _seconds(lambda: codec.decode(parts, tensor.shape))  # noqa: B023
        size = encoded_bytes(codec.layout, tensor.shape) / tensor.size
        lines.append(f"| {name} | {size:.4f} | {encode / copying:.1f} | {decode / copying:.1f} |")
    return lines


def _seconds(submission: Callable[[], object]) -> float:
    """The fastest of five."""
    times: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        submission()
        times.append(time.perf_counter() - started)
    return min(times)
