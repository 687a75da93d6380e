"""OpenDiLoCo end to end: four trainers that exchange every H steps beside one, at equal samples: `make bench-diloco`.

    python -m benchmarks.diloco rehearse             in one process: several seeds, minutes
    python -m benchmarks.diloco run [--only four]    real networks of processes; one trainer dies, one joins
    python -m benchmarks.diloco report               print and write what both have left in runs/diloco

`run` and `rehearse` report too. The exit code is 1 when four trainers stay more than 5 % below one.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import TypeAdapter
from pydantic_core import to_json

from assay_protocol.devnet.folder import fresh
from benchmarks.diloco_network import Outcome, run_network
from benchmarks.diloco_plan import Plan
from benchmarks.diloco_rehearsal import Point, rehearse
from benchmarks.diloco_report import (
    draw,
    members_table,
    rehearsal_table,
    rewards_table,
    totals_table,
    traffic_table,
)
from benchmarks.outer import PAGE, write_between_marks

T = TypeVar("T")
RUNS = Path(__file__).parents[1] / "runs" / "diloco"
PROMPTS = 4_096
GROUP_SIZE = 8  # the demo's
EPOCHS = 20
SECONDS = 1_500.0  # at most, for one network
SEEDS = (7, 8, 9)
PROCESSES = 2  # each with one thread

# What one trainer does that sees all samples: submissions and the batch of every step are four times as large, the
# steps in a row as many. That is what data-parallel training on four machines computes.
ONE = Plan("one trainer, batches 4 times as large", trainers=1, epochs=EPOCHS, groups=256, groups_per_step=64,
           momentum="0.6")  # fmt: skip
# The same without DiLoCo's outer step: the next policy is what the trainer's own steps have made.
ONE_PLAIN = replace(ONE, label=f"{ONE.label}, no outer step", outer_lr="1.0", momentum="0.0")
# The same samples one after the other: four times as many steps in a row, four times the time.
PATIENT = replace(ONE_PLAIN, label="one trainer, 4 times as many steps, no outer step", epochs=4 * EPOCHS,
                  groups=64, groups_per_step=16)  # fmt: skip
FOUR = Plan("four trainers, one dies, one joins", trainers=4, epochs=EPOCHS, momentum="0.6", dies_in=EPOCHS // 2)
FOUR_IN_PEACE = replace(FOUR, label="four trainers", dies_in=None)
# Submissions that lie one version behind, as where trainers go on while verifiers judge.
LATE = replace(FOUR_IN_PEACE, label="four trainers, one version behind", lag=1)
LATE_CALM = replace(LATE, label=f"{LATE.label}, momentum 0.3", momentum="0.3")
REHEARSED = [
    *(replace(plan, seed=seed) for seed in SEEDS for plan in (ONE, FOUR)),
    *(LATE, LATE_CALM, FOUR_IN_PEACE, ONE_PLAIN, PATIENT),
]
NETWORKS = {"one": ONE, "four": FOUR}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rehearse", "run", "report"])
    parser.add_argument("--only", choices=list(NETWORKS), help="one of the networks")
    options = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    if options.what == "rehearse":
        _rehearse()
    elif options.what == "run":
        for name in [options.only] if options.only else NETWORKS:
            _save(f"network-{name}", _run(name, NETWORKS[name]))
    return _report()


def _run(name: str, plan: Plan) -> Outcome:
    torch.set_num_threads(1)
    with fresh(RUNS / name, "--only"):
        return run_network(
            plan,
            RUNS / name,
            prompts=PROMPTS,
            seconds=SECONDS,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )


def _rehearse() -> None:
    """Keeps what there is after each run: a context that is cut short has something to report."""
    results: list[tuple[Plan, list[Point]]] = []
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        pending = [pool.submit(rehearse, plan, PROMPTS, 2 * plan.epochs // EPOCHS) for plan in REHEARSED]
        for plan, each in zip(REHEARSED, pending, strict=True):
            results.append((plan, each.result()))
            _save("rehearsals", results)


def _report() -> int:
    samples = FOUR.samples(GROUP_SIZE)
    holds = True
    if outcomes := [found for name in NETWORKS if (found := _load(f"network-{name}", Outcome)) is not None]:
        lines, holds = rewards_table(outcomes, samples, PROMPTS)
        four = outcomes[-1]
        lines += ["", *members_table(four), "", *traffic_table(four), "", *totals_table(four)]
        draw(PAGE.with_name("diloco.svg"), outcomes)
        _tell("bench-diloco", lines)
    if (rehearsals := _load("rehearsals", list[tuple[Plan, list[Point]]])) is not None:
        _tell("bench-diloco-rehearsal", rehearsal_table(rehearsals, samples))
    return 0 if holds else 1


def _tell(name: str, lines: Sequence[str]) -> None:
    print("\n".join(lines), "\n")
    write_between_marks(PAGE, name, lines)


def _save(name: str, value: object) -> None:
    (RUNS / f"{name}.json").write_bytes(to_json(value, indent=1))


def _load(name: str, kind: type[T]) -> T | None:
    """What an earlier run has left; None: it was not made."""
    path = RUNS / f"{name}.json"
    return TypeAdapter(kind).validate_json(path.read_bytes()) if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
