"""TOPLOC beside its reference: milliseconds to build and to check the proofs of one sequence.

One thread on one processor, processor time, medians of runs that take turns. The reference is the package `toploc`
0.1.6, compiled against the installed torch; where that cannot be, its recorded times stand in, as multiples of
torch.topk's. Run by `make bench-toploc`, which sees to the single thread.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import ModuleType

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from assay_core.toploc import Bf16Bits, Distance, build_proofs, check_proofs

REFERENCE = Path(__file__).parents[1] / ".build" / "toploc-reference"
HIDDEN = (576, 2_048, 4_096)
PROMPT, GENERATED, CHUNK, TOPK = 128, 1_024, 32, 128
RUNS = 25
# build, check and torch.topk in ms, by this benchmark where the reference could be compiled
RECORDED = {576: (17.7, 9.6, 2.4), 2_048: (22.1, 13.5, 4.8), 4_096: (26.8, 18.4, 7.8)}
EXACT = Distance(0, 0.0, 0.0)

Job = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds; of the reference, measured or derived from what is on record."""

    build: float
    check: float
    topk: float
    reference_build: float
    reference_check: float
    check_tensor: float | None = None  # one tensor without a prompt: what the reference checks in C++
    reference_check_tensor: float | None = None


def main() -> None:
    if os.environ.get("OMP_THREAD_LIMIT") != "1":  # the reference sets the number of threads by itself
        sys.exit("OMP_THREAD_LIMIT must be 1 from the start: use `make bench-toploc`")
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # the reference starts as many threads as there are processors
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    reference = _reference()
    times = {hidden: _measure(hidden, reference) for hidden in HIDDEN}
    print(f"{PROMPT} prompt and {GENERATED:,} generated tokens, top {TOPK}, chunks of {CHUNK}; milliseconds")
    Console().print(_table(times))
    if reference is None:
        print("The reference's times are recorded ones, scaled by torch.topk's.")
    for line in _remarks(times):
        print(line)


def _reference() -> ModuleType | None:
    sys.path.insert(0, str(REFERENCE))
    try:
        import toploc  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:
        print(f"the reference package cannot be loaded ({error}): its recorded times stand in")
        return None
    return toploc


def _measure(hidden: int, reference: ModuleType | None) -> Times:
    numbers = torch.randn(PROMPT + GENERATED, hidden, generator=torch.Generator().manual_seed(hidden)).bfloat16()
    prompt, generated = numbers[:PROMPT], numbers[PROMPT:]
    bits = numbers.view(torch.int16).numpy().view(np.uint16)
    proofs = build(bits)
    if check(bits, proofs) != [EXACT] * len(proofs):
        sys.exit("what was proved is not what was found")
    magnitudes = prompt.abs().reshape(1, -1), generated.abs().reshape(GENERATED // CHUNK, -1)
    jobs: dict[str, Job] = {
        "build": lambda: build(bits),
        "check": lambda: check(bits, proofs),
        "topk": lambda: [each.topk(TOPK) for each in magnitudes],
    }
    if reference is None:
        found = _medians(jobs)
        recorded_build, recorded_check, recorded_topk = RECORDED[hidden]
        scale = found["topk"] / recorded_topk
        return Times(**found, reference_build=recorded_build * scale, reference_check=recorded_check * scale)
    activations = [prompt, *generated.split(1)]
    if reference.build_proofs_bytes(activations, CHUNK, TOPK) != proofs:
        sys.exit("the reference builds other proofs")
    jobs |= {
        "reference_build": lambda: reference.build_proofs_bytes(activations, CHUNK, TOPK),
        "reference_check": lambda: reference.verify_proofs_bytes(activations, proofs, CHUNK, TOPK),
        "check_tensor": lambda: check_proofs(
            bits[PROMPT:], 0, proofs[1:], topk=TOPK, chunk_tokens=CHUNK, skip_prefill=True
        ),
        "reference_check_tensor": lambda: reference.verify_proofs_bytes(
            generated, proofs[1:], CHUNK, TOPK, skip_prefill=True
        ),
    }
    return Times(**_medians(jobs))


def build(bits: Bf16Bits) -> list[bytes]:
    return build_proofs(bits, PROMPT, topk=TOPK, chunk_tokens=CHUNK)


def check(bits: Bf16Bits, proofs: Sequence[bytes]) -> list[Distance]:
    return check_proofs(bits, PROMPT, proofs, topk=TOPK, chunk_tokens=CHUNK)


def _medians(jobs: Mapping[str, Job]) -> dict[str, float]:
    """Milliseconds of processor time of each job; they take turns, so that what disturbs one disturbs all."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for run in range(RUNS + 1):  # the first warms up
        for name, job in jobs.items():
            start = time.process_time()
            job()
            if run:
                taken[name].append((time.process_time() - start) * 1e3)
    return {name: median(times) for name, times in taken.items()}


def _table(times: Mapping[int, Times]) -> Table:
    table = Table()
    for name in ("hidden", "torch.topk", "", "Assay", "of topk", "reference", "of topk", "faster"):
        table.add_column(name, justify="right")
    for hidden, each in times.items():
        for step, ours, theirs in (
            ("build", each.build, each.reference_build),
            ("check", each.check, each.reference_check),
        ):
            ratios = (
                f"{ours / each.topk:.2f} ×",
                f"{theirs:.2f}",
                f"{theirs / each.topk:.2f} ×",
                f"{theirs / ours:.1f} ×",
            )
            table.add_row(f"{hidden:,}", f"{each.topk:.2f}", step, f"{ours:.2f}", *ratios)
    return table


def _remarks(times: Mapping[int, Times]) -> list[str]:
    slowest = min(min(t.reference_build / t.build, t.reference_check / t.check) for t in times.values())
    lines = [f"At least {slowest:.1f} times as fast as the reference."]
    in_cpp = [
        f"{each.reference_check_tensor / each.check_tensor:.1f} × at {hidden:,}"
        for hidden, each in times.items()
        if each.check_tensor and each.reference_check_tensor
    ]
    if in_cpp:
        lines.append(f"Against its check in C++, which takes one tensor without a prompt: {', '.join(in_cpp)}.")
    return lines


if __name__ == "__main__":
    main()
