"""The tables of what was played out."""

from collections.abc import Sequence

from assay_core.inspect.formatting import table
from assay_core.protocol.amounts import plain
from benchmarks.economics.trials import PANEL_SHARES, CollusionTrial, LazyTrial, PlantTrial, SlashTrial


def slash_trial_lines(trials: Sequence[SlashTrial], seed: int) -> list[str]:
    """What the simulation measured beside the formula."""
    rows = [
        (
            f"{plain(trial.sampling_bps, 2)} %",
            str(trial.in_flight),
            trial.strategy,
            f"{trial.submissions:,}",
            f"{trial.measured:.4f}",
            f"{trial.formula:.4f}",
            f"{trial.deviation:+.2%}",
            f"<- these terms: a rational trainer's choice: {trial.chosen}" if trial.chosen else "",
        )
        for trial in trials
    ]
    head = ("replayed", "in flight", "cheats", "submissions", "simulated", "formula", "apart", "")
    worst = max(abs(trial.deviation) for trial in trials)
    return [
        "",
        f"Simulated (seed {seed}): the slash of a submission with which cheating breaks even, in what it earns:",
        *table(rows, head, right=frozenset({0, 1, 3, 4, 5, 6})),
        f"simulation and formula are at most {worst:.2%} apart",
    ]


def lazy_trial_lines(trials: Sequence[LazyTrial]) -> list[str]:
    """What lazy verifiers did to scores, cheats and fees."""
    rows = [
        (
            str(trial.lazy),
            {255: "fraud"}.get(trial.score, str(trial.score)),
            f"{trial.cheat_earns:+.3f}",
            "-" if trial.checker_fee is None else f"{trial.checker_fee:.4f}",
            "-" if trial.lazy_fee is None else f"{trial.lazy_fee:.4f}",
        )
        for trial in trials
    ]
    head = ("lazy", "score of a fraud found", "a fraud earns", "fee: checker", "fee: lazy")
    return [
        "",
        "Simulated: one submission in ten is a fraud, some verifiers lazy; earnings in units of a submission's, fees",
        "as shares of the full fee:",
        *table(rows, head, right=frozenset(range(5))),
    ]


def plant_trial_lines(trials: Sequence[PlantTrial], count: int) -> list[str]:
    """What verifiers did who could choose."""
    if not trials:
        return []
    rows = [
        (
            str(trial.lazy),
            f"{trial.measured:.4%}",
            f"{trial.formula:.4%}",
            f"{trial.deviation:+.2%}",
            str(trial.checking_above),
            str(trial.checking_below),
        )
        for trial in trials
    ]
    head = ("lazy at first", "simulated", "formula", "apart", "check, 2 % above", "check, 2 % below")
    return [
        "",
        f"Simulated: {count} verifiers who choose, and nobody cheats: the share of plants from which on one of the",
        "lazy gains by checking; how many check in the end at a share above what is needed, and below:",
        *table(rows, head, right=frozenset(range(6))),
    ]


def collusion_trial_lines(trials: Sequence[CollusionTrial]) -> list[str]:
    """What a quorum that pays frauds of its own earned."""
    rows = [(f"{trial.challenged:.0%}", *(f"{profit:+.3f}" for profit in trial.profits)) for trial in trials]
    head = ("challenged", *(f"{share:.0%} of seats" for share in PANEL_SHARES))
    return [
        "",
        "Simulated: a quorum that weighs what the floor asks for fills epochs with frauds and pays them. What it earns",
        "per epoch, in what these would have paid, by the share of epochs that somebody challenges and by its part",
        "of the jurors' seats:",
        *table(rows, head, right=frozenset(range(len(head)))),
    ]
