"""The confinement itself: what it is there to see, it sees."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "raise KeyError('x')": "KeyError",
    "open('/tmp/escaped-from-the-fuzzer', 'w')": "Escaped: open '/tmp/escaped-from-the-fuzzer'",
    "open('../../secret').read()": "Escaped: open '../../secret'",
    "open('/etc/passwd').read()": "Escaped: open '/etc/passwd'",
    "os.symlink('/etc', '/tmp/escaped-link')": "Escaped: os.symlink",
    "os.system('true')": "Escaped: os.system",
    "bytearray(2**28)": "MemoryError",
    "open('inside', 'w').close()": "",
}
PROGRAM = """
import json, os, pathlib, sys
from hypothesis import strategies as st
from tests.fuzz.confine import watch
from tests.fuzz.run import run_target
from tests.fuzz.target import Target
def target(act):
    return Target("t", st.binary(max_size=9), lambda data: data == b"valid" or eval(act), [b"valid"])
watch()
for number, act in enumerate(json.loads(sys.argv[1])):
    makers = {"t": lambda _: target(act)}
    print(json.dumps(run_target("t", makers, pathlib.Path(sys.argv[2]) / str(number), 1, 5, 0)))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of a reader that does each of these things."""
    arguments = [sys.executable, "-c", PROGRAM, json.dumps(list(FORBIDDEN)), str(tmp_path_factory.mktemp("confine"))]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    return {act: result.get("error", "") for act, result in zip(FORBIDDEN, results, strict=True)}


@pytest.mark.parametrize("act", FORBIDDEN)
@pytest.mark.slow
def test_what_a_reader_must_not_do_is_a_failure(told: dict[str, str], act: str) -> None:
    assert FORBIDDEN[act] in told[act]
    assert bool(FORBIDDEN[act]) == bool(told[act])
