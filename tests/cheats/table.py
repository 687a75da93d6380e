"""`make cheats`: every cheat many times, honest submissions too, and the table of it in docs/cheats.md.

Exit code 0 only if every cheat was caught every time by the check that is there for it, and no honest submission
rejected.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

from assay_core.inspect import wording as words
from assay_core.protocol.spec import CheckSpec, ToplocSpec
from assay_core.protocol.types import PANEL_SEATS
from assay_verifier.verdict import SCORE_FULL, Verdict
from tests.cheats.catalogue import CHAPTERS, CHEATS
from tests.cheats.cheat import Cheat, Seen
from tests.cheats.limits import LIMITS
from tests.cheats.panels import CHEATING_JURORS, try_jurors
from tests.cheats.scene import COLLEAGUE, Scene, make_scene, make_step_wise_scene
from tests.cheats.verifiers import CHEATING_VERIFIERS, try_verifiers
from tests.submissions import Draft

DOCUMENT = Path("docs/cheats.md")
BEGIN, END = "<!-- made by `make cheats`: begin -->", "<!-- made by `make cheats`: end -->"
SCENES = 2  # policies on which cheats are tried, turn about
DEFAULTS_EVERY = 5  # runs, of which one is judged under the default thresholds as well


@dataclass
class Tally:
    """Outcomes of one cheat, or of honest submissions, over all runs. Times are CPU seconds."""

    runs: int = 0
    caught: int = 0
    caught_in_a_quarter: int = 0
    runs_by_defaults: int = 0
    caught_by_defaults: int = 0
    checks: Counter[str] = field(default_factory=Counter[str])
    misses: list[str] = field(default_factory=list[str])
    judging_s: float = 0.0
    making_s: float = 0.0

    def add(self, other: "Tally") -> None:
        self.runs += other.runs
        self.caught += other.caught
        self.caught_in_a_quarter += other.caught_in_a_quarter
        self.runs_by_defaults += other.runs_by_defaults
        self.caught_by_defaults += other.caught_by_defaults
        self.checks += other.checks
        self.misses += other.misses
        self.judging_s += other.judging_s
        self.making_s += other.making_s


Tallies = dict[str, Tally]
HONEST, HONEST_STEP_WISE = "honest", "honest, step by step"
TRIED: list[Cheat] = [*CHEATS, *LIMITS.cheats]
NAMES = (HONEST, HONEST_STEP_WISE, *(cheat.name for cheat in TRIED))


def try_runs(runs: Sequence[int], honest_runs: Sequence[int]) -> Tallies:
    """All cheats, in each run of `runs`; honest submissions in `honest_runs`."""
    tallies = {name: Tally() for name in NAMES}
    with tempfile.TemporaryDirectory(prefix="cheats-") as folder:
        for run in runs:
            for make in (make_scene, make_step_wise_scene):
                make(run % SCENES).drafts.clear()
            for cheat in TRIED:
                _try_cheat(cheat.scene(run % SCENES), cheat, run, Path(folder) / "run", tallies[cheat.name])
        for run in honest_runs:
            for name, make in ((HONEST, make_scene), (HONEST_STEP_WISE, make_step_wise_scene)):
                _try_honest(make(run % SCENES), run, Path(folder) / "run", tallies[name])
    return tallies


def _try_cheat(scene: Scene, cheat: Cheat, run: int, folder: Path, tally: Tally) -> None:
    root = scene.write(cheat.make(scene, run), folder / "own")
    others = [_write_other(scene, cheat.steals(scene, run), folder)] if cheat.steals else []
    began = time.process_time()
    verdict = scene.judge(folder / "own", root, run).verdict
    tally.judging_s += time.process_time() - began
    drawn = scene.judge(folder / "own", root, run, quarter=True, others=others).verdict
    tally.runs += 1
    tally.caught_in_a_quarter += _is_caught(cheat, drawn)
    if run % DEFAULTS_EVERY == 0:
        by_defaults = (
            verdict if cheat.seen is Seen.ALWAYS else with_defaults(scene).judge(folder / "own", root, run).verdict
        )  # checks that look at every submission have the same thresholds in both
        tally.runs_by_defaults += 1
        tally.caught_by_defaults += _is_caught(cheat, by_defaults)
    if _is_caught(cheat, verdict):
        tally.caught += 1
        tally.checks[verdict.findings[-1].check] += 1
    else:
        tally.misses.append(f"run {run}: score {verdict.score}, {verdict.findings[-1].detail}")
    shutil.rmtree(folder)


def _try_honest(scene: Scene, run: int, folder: Path, tally: Tally) -> None:
    """Judged in full and by the draw, beside a colleague's submission; `caught` counts rejections."""
    began = time.process_time()
    root = scene.write(scene.draft(run), folder / "own")
    tally.making_s += time.process_time() - began
    others = [_write_other(scene, scene.honest(run, COLLEAGUE), folder)]
    began = time.process_time()
    verdict = scene.judge(folder / "own", root, run).verdict
    tally.judging_s += time.process_time() - began
    drawn = scene.judge(folder / "own", root, run, quarter=True, others=others).verdict
    tally.runs += 1
    for each in (verdict, drawn):
        if each.score != SCORE_FULL:
            tally.caught += 1
            tally.misses.append(f"run {run}: score {each.score}, {each.findings[-1].detail}")
    shutil.rmtree(folder)


def _write_other(scene: Scene, draft: Draft, folder: Path) -> Path:
    scene.write(draft, folder / "other")
    return folder / "other"


def with_defaults(scene: Scene) -> Scene:
    """The same scene under the default thresholds, which let trainers compute in bfloat16."""
    checks = CheckSpec(replay=scene.spec.checks.replay, steps_replayed=scene.spec.checks.steps_replayed)
    return replace(scene, spec=scene.spec.model_copy(update={"toploc": ToplocSpec(), "checks": checks}))


def _is_caught(cheat: Cheat, verdict: Verdict) -> bool:
    expected = (cheat.score, cheat.reason)
    return (verdict.score, verdict.reason) == expected and verdict.findings[-1].check in cheat.checks


def try_all(runs: int, honest_runs: int, jobs: int) -> Tallies:
    """Spread over processes; honest submissions are of other epochs than those of the cheats."""
    parts = [(range(job, runs, jobs), range(10_000 + job, 10_000 + honest_runs, jobs)) for job in range(jobs)]
    total = {name: Tally() for name in NAMES}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for tallies in pool.map(try_runs, *zip(*parts, strict=True)):
            for name, tally in tallies.items():
                total[name].add(tally)
    return total


# ---- what is written


def percent(count: float, of: float) -> str:
    return f"{100 * count / of:.0f} %"


def cost(tally: Tally, honest: Tally) -> str:
    return percent(tally.judging_s / tally.runs, honest.making_s / honest.runs)


def table_lines(tallies: Tallies) -> Iterable[str]:
    yield "| cheat | caught by | of | caught | a quarter drawn | default thresholds | score | cost |"
    yield "|---|---|---|---|---|---|---|---|"
    for chapter, cheats in (*CHAPTERS.items(), ("Within the tolerances", LIMITS.cheats)):
        yield f"| **{chapter}** | | | | | | | |"
        for cheat in cheats:
            yield _row(cheat, tallies[cheat.name], tallies[HONEST_STEP_WISE if cheat.is_step_wise else HONEST])
    for kind, name in (("", HONEST), (" replayed step by step", HONEST_STEP_WISE)):
        honest = tallies[name]
        rejected = percent(honest.caught, honest.runs)
        yield (
            f"| **Honest submissions{kind}, rejected** | | {honest.runs} submissions | {rejected} | | | 100 | "
            f"{cost(honest, honest)} |"
        )


def _row(cheat: Cheat, tally: Tally, honest: Tally) -> str:
    checks = ", ".join(name for name, _ in tally.checks.most_common()) or "nothing"
    rates = [(tally.caught, tally.runs), (tally.caught_in_a_quarter, tally.runs)]
    rates += [(tally.caught_by_defaults, max(1, tally.runs_by_defaults))]
    shown = " | ".join(percent(*rate) for rate in rates)
    score = cheat.score if tally.caught else SCORE_FULL
    return f"| {cheat.name} | {checks} | {cheat.seen} | {shown} | {score} | {cost(tally, honest)} |"


def verifier_lines(runs: int) -> Iterable[str]:
    yield "| verifiers | what they do | of | outcome is the truth | fee, of an honest one's | frauds they would pay |"
    yield "|---|---|---|---|---|---|"
    for cheat in CHEATING_VERIFIERS:
        result = try_verifiers(cheat, runs)
        yield (
            f"| {cheat.name} | {cheat.what} | {cheat.count} of {cheat.of} | {percent(result.truth_rate, 1)} | "
            f"{percent(result.fee_share, 1)} | {percent(result.paid_frauds, 1)} |"
        )


def juror_lines() -> Iterable[str]:
    yield "| jurors | seats | the submission is | verifiers had said | what holds | verifiers pay |"
    yield "|---|---|---|---|---|---|"
    for cheat in CHEATING_JURORS:
        ruling = try_jurors(cheat)
        told = (words.score(cheat.truth), words.score(cheat.standing), words.score(ruling.score))
        pay = "yes" if ruling.is_against_verifiers else "no"
        yield f"| {cheat.name} | {cheat.count} of {PANEL_SEATS} | {' | '.join(told)} | {pay} |"


def section_lines(tallies: Tallies) -> Iterable[str]:
    for chapter, cheats in (*CHAPTERS.items(), ("Within the tolerances", LIMITS.cheats)):
        yield from ("", f"## {chapter}")
        for cheat in cheats:
            yield from ("", f"### {cheat.name[0].upper()}{cheat.name[1:]}", "", cheat.what, "")
            yield _found(cheat, tallies[cheat.name])


def _found(cheat: Cheat, tally: Tally) -> str:
    checks = " or ".join(f"`{name}`" for name in cheat.checks)
    how = {
        Seen.ALWAYS: "which looks at every submission",
        Seen.PREFILL: "which looks at the completions that the epoch's seed draws",
        Seen.REPLAY: "which looks at the submissions that the epoch's seed draws for a replay",
        Seen.STEP: "which looks at the steps that the epoch's seed draws, of submissions that it draws for a replay",
    }[cheat.seen]
    return (
        f"Caught by {checks}, {how}: `{cheat.reason}`, score {cheat.score}. In {tally.caught} of {tally.runs} runs "
        f"where all is drawn, in {tally.caught_in_a_quarter} where a quarter is."
    )


VERIFIERS = """
## Verifiers

Stake decides first: a submission is fraud if the quorum (two thirds) says so, unavailable if half of what was
revealed does, else its score is the median by stake, and who differs from the outcome loses a share of its fee.
Each fraud that a verifier
pays costs it a slash where it was planted. A third of the stake or more can make an epoch void by silence,
half can call submissions unavailable, a quorum decides anything that nobody challenges; see
[known limits](known-limits.md).
"""

JURORS = """
A challenge puts a score before jurors who are none of these verifiers, fifteen seats drawn by lot.
"""


def people_lines(runs: int) -> Iterable[str]:
    yield from (VERIFIERS, *verifier_lines(runs), JURORS, *juror_lines())


def report(tallies: Tallies, runs: int) -> str:
    return "\n".join([*table_lines(tallies), *section_lines(tallies), *people_lines(runs)])


def write_into(document: Path, text: str) -> None:
    before, _, rest = document.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise SystemExit(f"{document} lacks the marks between which the table belongs")
    document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def failures(tallies: Tallies) -> list[str]:
    honest = [tallies[name] for name in (HONEST, HONEST_STEP_WISE)]
    found = [f"an honest submission was rejected, {miss}" for each in honest for miss in each.misses]
    for cheat in CHEATS:
        found += [f"{cheat.name} was not caught, {miss}" for miss in tallies[cheat.name].misses]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--honest", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"put the result into {DOCUMENT}")
    chosen = parser.parse_args()
    began = time.monotonic()
    tallies = try_all(chosen.runs, chosen.honest, chosen.jobs)
    print("\n".join([*table_lines(tallies), "", *verifier_lines(chosen.runs), "", *juror_lines()]))
    took_s = time.monotonic() - began
    print(
        f"\n{len(CHEATS)} cheats × {chosen.runs} runs, {chosen.honest} honest submissions of each kind, {took_s:.0f} s"
    )
    if chosen.write:
        write_into(DOCUMENT, report(tallies, chosen.runs))
    for failure in failures(tallies):
        print(failure, file=sys.stderr)
    sys.exit(bool(failures(tallies)))


if __name__ == "__main__":
    main()
