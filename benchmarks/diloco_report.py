"""Tables and picture of `make bench-diloco`, out of what runs came to."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, stdev

from matplotlib import rcParams
from matplotlib.figure import Figure

from benchmarks.diloco_network import Outcome
from benchmarks.diloco_plan import Plan
from benchmarks.diloco_rehearsal import Point
from benchmarks.diloco_traffic import data_parallel_bytes

TOLERANCE = 0.05  # how far below one trainer's reward four may stay
MB = 1e6


def reward_at(points: Sequence[Point], samples: int) -> float:
    """The reward after so many completions, between the two versions around it.

    Raises ValueError: training did not get so far.
    """
    for before, after in pairwise(points):
        if before.samples <= samples <= after.samples:
            part = (samples - before.samples) / (after.samples - before.samples)
            return before.reward + part * (after.reward - before.reward)
    raise ValueError(f"no version is made of {samples} completions")


def late_reward(points: Sequence[Point], samples: int) -> float:
    """The mean over the last quarter of those completions, which single versions scatter around."""
    return fmean([reward_at(points, round(samples * (0.75 + 0.05 * step))) for step in range(6)])


def standard_error(reward: float, prompts: int) -> float:
    """Of a reward that is 0 or 1, measured on so many prompts."""
    return math.sqrt(reward * (1 - reward) / prompts)


def rewards_table(outcomes: Sequence[Outcome], samples: int, prompts: int) -> tuple[list[str], bool]:
    """Lines, and whether every run comes as far as the first one."""
    base = reward_at(outcomes[0].points, samples)
    lines = [
        "| processes | outer steps | completions | reward | against one trainer | over the last quarter | against |",
        "|---|---|---|---|---|---|---|",
    ]
    late_base = late_reward(outcomes[0].points, samples)
    kept = True
    for each in outcomes:
        reward, late = reward_at(each.points, samples), late_reward(each.points, samples)
        steps = sum(point.samples < samples for point in each.points)
        lines.append(
            f"| {each.plan.label} | {steps} | {samples:,} | {reward:.3f} | {reward / base - 1:+.1%} | {late:.3f} "
            f"| {late / late_base - 1:+.1%} |"
        )
        kept = kept and reward / base - 1 >= -TOLERANCE and late / late_base - 1 >= -TOLERANCE
    first = outcomes[0].points[0].reward
    error = standard_error(base, prompts)
    lines += [
        "",
        f"- before training: {first:.3f}; each reward is of {prompts:,} held-out prompts, standard error "
        f"{error:.4f} ({error / base:.1%})",
    ]
    return lines, kept


def members_table(outcome: Outcome) -> list[str]:
    """Who trained, and how the death went."""
    lines = ["| trainer | submissions | paid | epochs | began from version | claimed |", "|---|---|---|---|---|---|"]
    for each in outcome.members:
        lines.append(
            f"| {each.name} | {each.submissions} | {each.paid} | {each.first_epoch}-{each.last_epoch} "
            f"| {each.first_version} | {each.claimed_wei / 10**18:.2f} |"
        )
    if outcome.died_in is not None:
        died, seconds = outcome.died_in, outcome.epoch_seconds
        waited = seconds[died - 1]  # from the seal of the epoch before to its own
        usual = median([*seconds[: died - 1], *seconds[died:]])
        after = len(outcome.points) - 1 - outcome.version_then
        lines += [
            "",
            f"- {outcome.members[0].name} is killed in epoch {died} (version {outcome.version_then} is the newest), "
            f"{outcome.members[-1].name} joins; {after} versions follow, nobody intervenes",
            f"- the epoch of the death takes {waited / usual:.1f} times as long as the median epoch: its commit window "
            "passes",
        ]
    return lines


def traffic_table(outcome: Outcome) -> list[str]:
    """Bytes of a trainer, per outer step."""
    plan, submissions = outcome.plan, [each.traffic for each in outcome.members]
    made, got = sum(each.submissions for each in submissions), sum(each.policies for each in submissions)
    update, sent = sum(each.update for each in submissions) / made, sum(each.sent for each in submissions) / made
    rollouts = sum(each.rollouts for each in submissions) / made
    received = sum(each.received for each in submissions) / got
    ddp = data_parallel_bytes(outcome.parameters, plan.trainers, plan.inner_steps)
    rows = [
        (f"data-parallel: {plan.inner_steps} gradients, fp32, ring", ddp, ddp),
        (f"the update alone, {plan.codec}", update, None),
        ("a submission: update, rollouts with proofs, trace", sent, None),
        ("a policy version: weights and momentum, fp32", None, received),
        ("Assay, all in all", sent, received),
    ]
    lines = ["| per trainer and outer step | sent, MB | received, MB | fewer bytes |", "|---|---|---|---|"]
    for label, up, down in rows:
        both = (up or 0.0) + (down or 0.0)
        of = ddp * ((up is not None) + (down is not None))
        lines.append(f"| {label} | {_mb(up)} | {_mb(down)} | {of / both:,.0f}× |")
    lines += [
        "",
        f"- {outcome.parameters:,} parameters, {plan.trainers} trainers, {made} submissions, {got} versions fetched; "
        f"{rollouts / sent:.0%} of a submission are rollouts, which data-parallel training has nobody to show to",
    ]
    return lines


def totals_table(outcome: Outcome) -> list[str]:
    """Bytes of each trainer over the whole run."""
    plan = outcome.plan
    lines = ["| trainer | sent, MB | received, MB | data-parallel, each way, MB |", "|---|---|---|---|"]
    for each in outcome.members:
        ddp = data_parallel_bytes(outcome.parameters, plan.trainers, plan.inner_steps * each.submissions)
        lines.append(f"| {each.name} | {_mb(each.traffic.sent)} | {_mb(each.traffic.received)} | {_mb(ddp)} |")
    return lines


def _mb(size: float | None) -> str:
    return "" if size is None else f"{size / MB:.2f}"


def rehearsal_table(results: Sequence[tuple[Plan, Sequence[Point]]], samples: int) -> list[str]:
    """One line for each label, over its seeds; the first label is what the others are held against."""
    labels = list(dict.fromkeys(plan.label for plan, _ in results))
    base = fmean([reward_at(points, samples) for plan, points in results if plan.label == labels[0]])
    late_base = fmean([late_reward(points, samples) for plan, points in results if plan.label == labels[0]])
    lines = [
        "| rehearsal | outer steps | reward, by seed | mean | against one trainer | over the last quarter | against |",
        "|---|---|---|---|---|---|---|",
    ]
    for label in labels:
        runs = [points for plan, points in results if plan.label == label]
        plan = next(plan for plan, _ in results if plan.label == label)
        rewards = [reward_at(points, samples) for points in runs]
        late = fmean([late_reward(points, samples) for points in runs])
        spread = f" ± {stdev(rewards) / math.sqrt(len(rewards)):.3f}" if len(rewards) > 1 else ""
        lines.append(
            f"| {label} | {plan.epochs} | {', '.join(f'{reward:.3f}' for reward in rewards)} | {fmean(rewards):.3f}"
            f"{spread} | {fmean(rewards) / base - 1:+.1%} | {late:.3f} | {late / late_base - 1:+.1%} |"
        )
    return lines


def draw(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Reward against completions; where one died and another joined is marked."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    colors = ("#888888", "#1f6f5c", "#b3362b")
    for outcome, color in zip(outcomes, colors, strict=False):
        samples, rewards = [each.samples for each in outcome.points], [each.reward for each in outcome.points]
        axes.plot(samples, rewards, color=color, marker="o", markersize=3, label=outcome.plan.label)
        if outcome.died_in is not None:
            at = outcome.points[min(outcome.died_in, len(outcome.points) - 1)]
            axes.annotate("one dies, one joins", (at.samples, at.reward), xytext=(10, -30),
                          textcoords="offset points", arrowprops={"arrowstyle": "->", "color": color})  # fmt: skip
    axes.set(xlabel="completions", ylabel="reward on held-out prompts", ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    rcParams["svg.hashsalt"] = "diloco"  # the same results draw the same file
    figure.savefig(path, metadata={"Date": None})
