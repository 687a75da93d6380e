"""Every reader of strangers' bytes under fuzz, in processes of their own: an abort, too, is a failure told.

The same examples every time. `make fuzz` runs with random seeds for as long as you like.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.run import QUICK_EXAMPLES
from tests.fuzz.targets import MAKERS, QUICK

ROOT = Path(__file__).parents[2]
SLOW_EXAMPLES = 500
SEED = 20_261_125
Results = dict[str, dict[str, object]]


def fuzz(folder: Path, names: list[str], examples: int) -> Results:
    """What each target's fuzzing found; one that ends its process says so, and the others go on in another."""
    found: Results = {}
    while left := [name for name in names if name not in found]:
        attempt = folder / str(len(found))
        command = [sys.executable, "-m", "tests.fuzz.run", *left, "--seed", str(SEED), "--examples", str(examples)]
        command += ["--folder", str(attempt)]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        found |= {line["name"]: line for line in lines if "name" in line}
        begun = [line["begins"] for line in lines if "begins" in line]
        if died := [name for name in begun if name not in found]:
            found[died[0]] = {"error": f"the process ended with {done.returncode}: {done.stderr[-2_000:]}"}
        elif not begun:
            raise RuntimeError(done.stderr[-2_000:])
    return found


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return fuzz(tmp_path_factory.mktemp("fuzz"), list(QUICK), QUICK_EXAMPLES)


@pytest.mark.parametrize("name", QUICK)
def test_hostile_bytes_give_a_typed_error_and_nothing_else(quick: Results, name: str) -> None:
    assert "error" not in quick[name], f"{quick[name]['error']}\ninput: {quick[name].get('input')}"
    assert quick[name]["examples"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", MAKERS)
def test_hostile_bytes_at_length(tmp_path: Path, name: str) -> None:
    result = fuzz(tmp_path, [name], SLOW_EXAMPLES)[name]
    assert "error" not in result, f"{result['error']}\ninput: {result.get('input')}"
