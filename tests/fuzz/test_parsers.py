"""Every reader of strangers' bytes under fuzz, in processes of their own: an abort, too, is a failure told.

The same examples every time. `make fuzz` runs with random seeds for as long as you like.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import MAKERS

ROOT = Path(__file__).parents[2]
EXAMPLES = 500
SEED = 20_261_125


def fuzz(folder: Path, name: str) -> dict[str, object]:
    """What came of one target's fuzzing; where its process ended, that."""
    command = [sys.executable, "-m", "tests.fuzz.run", name, "--seed", str(SEED), "--examples", str(EXAMPLES)]
    command += ["--folder", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if found := [line for line in lines if "name" in line]:
        return found[0]
    return {"error": f"the process ended with {done.returncode}: {done.stderr[-2_000:]}"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", MAKERS)
def test_hostile_bytes_give_a_typed_error_and_nothing_else(tmp_path: Path, name: str) -> None:
    result = fuzz(tmp_path, name)
    assert "error" not in result, f"{result['error']}\ninput: {result.get('input')}"
    assert result["examples"]
