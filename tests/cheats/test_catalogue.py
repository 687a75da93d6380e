"""Every cheat of the catalogue is caught by the check that is there for it; no honest submission is.

A few runs each; `make cheats` does it fifty times and writes the table in `docs/cheats.md`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from assay_verifier.verdict import SCORE_FULL, Verdict
from tests.cheats.catalogue import CHEATS
from tests.cheats.cheat import Cheat
from tests.cheats.limits import LIMITS
from tests.cheats.scene import Scene, make_scene, make_step_wise_scene

RUNS = 2


@pytest.fixture(scope="session")
def scene() -> Scene:
    return make_scene()


def verdict_on(scene: Scene, cheat: Cheat, run: int, folder: Path) -> Verdict:
    root = scene.write(cheat.make(scene, run), folder / f"submission-{run}")
    return scene.judge(folder / f"submission-{run}", root, run).verdict


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.name)
@pytest.mark.slow
def test_each_cheat_is_caught_by_its_check(cheat: Cheat, tmp_path: Path) -> None:
    for run in range(RUNS):
        verdict = verdict_on(cheat.scene(), cheat, run, tmp_path)
        assert (verdict.score, verdict.reason) == (cheat.score, cheat.reason), verdict.findings[-1]
        assert verdict.findings[-1].check in cheat.checks


@pytest.mark.parametrize("make", [make_scene, make_step_wise_scene], ids=["whole", "step by step"])
@pytest.mark.slow
def test_no_honest_submission_is_rejected(make: Callable[[], Scene], tmp_path: Path) -> None:
    scene = make()
    for run in range(10):
        root = scene.write(scene.honest(run), tmp_path / str(run))
        verdict = scene.judge(tmp_path / str(run), root, run).verdict
        assert (verdict.score, verdict.reason) == (SCORE_FULL, None), verdict.findings[-1]


def test_poison_within_the_tolerance_passes_and_is_documented(scene: Scene, tmp_path: Path) -> None:
    """A known limit: tighten it in `docs/known-limits.md` when this fails."""
    small_poison = LIMITS.cheats[0]
    assert verdict_on(scene, small_poison, 0, tmp_path).score == SCORE_FULL


def test_names_are_unique_and_each_says_what_it_does() -> None:
    known = [*CHEATS, *LIMITS.cheats]
    assert len({cheat.name for cheat in known}) == len(known)
    assert all(cheat.what.endswith(".") for cheat in known)
