"""What codecs and aggregation rules do to training: `make bench-codecs`, `make bench-aggregation`.

    python -m benchmarks.outer codecs [--seed N]
    python -m benchmarks.outer aggregation [--seed N]

Eight trainers of a small character model, with the project's own codecs, rules and outer step. Prints its tables and,
for the default seed, writes them into docs/weights.md between their marks. The exit code is 1 when what the project
promises does not hold.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

import torch

from benchmarks.outer_aggregation import RULES, Attack, Attacked, aggregation_table, train_under_attack
from benchmarks.outer_codecs import (
    RUNS,
    Trained,
    codecs_table,
    draw_codecs,
    speed_table,
    train_data_parallel,
    train_through_codec,
)

PAGE = Path(__file__).parents[1] / "docs" / "weights.md"
SEED = 1
PROCESSES = 2  # each with one thread


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["codecs", "aggregation"])
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    what, seed = str(options.what), int(options.seed)
    started = time.monotonic()
    context = get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        lines, holds = _codecs(pool, seed) if what == "codecs" else _aggregation(pool, seed)
    print("\n".join(lines))
    print(f"\n{time.monotonic() - started:.0f} s")
    if seed == SEED:
        write_between_marks(PAGE, f"context-{what}", lines)
    return 0 if holds else 1


def _codecs(pool: ProcessPoolExecutor, seed: int) -> tuple[list[str], bool]:
    speeds = speed_table()  # before anything else wants the cores
    pending = [pool.submit(train_data_parallel, seed), *(pool.submit(train_through_codec, run, seed) for run in RUNS)]
    results: list[Trained] = []
    for each in pending:
        results.append(each.result())
        print(f"{results[-1].label}: {results[-1].loss:.3f}", file=sys.stderr)
    if seed == SEED:
        draw_codecs(PAGE.with_name("codecs.svg"), results)
    lines, holds = codecs_table(results)
    return [*lines, "", *speeds], holds


def _aggregation(pool: ProcessPoolExecutor, seed: int) -> tuple[list[str], bool]:
    cases = [Attacked(rule, attack) for attack in get_args(Attack) for rule in RULES]
    losses: dict[Attacked, float] = {}
    for case, loss in zip(cases, pool.map(train_under_attack, cases, [seed] * len(cases)), strict=True):
        losses[case] = loss
        print(f"{case.rule}, {case.attack}: {loss:.3f}", file=sys.stderr)
    return aggregation_table(losses)


def write_between_marks(page: Path, name: str, lines: Sequence[str]) -> None:
    """Replace what stands between the marks of that name. Raises ValueError: the page has no such marks."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no marks of {name}")
    page.write_text(before + begin + "\n".join(lines) + "\n" + end + after)


if __name__ == "__main__":
    sys.exit(main())
