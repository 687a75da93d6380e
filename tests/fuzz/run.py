"""Fuzz parsers in this process: `python -m tests.fuzz.run [--seed N] [--examples N] [--seconds S] [NAME …]`.

A line of JSON per target on stdout. When the process dies, the input that did it is in `<folder>/<name>/last`.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # others reserve gigabytes of address space beforehand

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import HypothesisException

from tests.fuzz.confine import confined, used_bytes, watch
from tests.fuzz.target import Makers, Target

EXAMPLES = 20


class Trial:
    """One target under fuzz."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target, self._folder = target, folder
        self.examples = self.accepted = 0
        self.failed_on: Any = None
        self._last = (folder / "last").open("wb")
        for value in target.valid:  # also brings in what is imported late, before memory is measured
            target.read(value)
        self._baseline = used_bytes()

    def one(self, value: Any) -> None:
        """Raises whatever the reader should not have raised."""
        self._remember(value)
        self.examples += 1
        try:
            with confined(self._folder, self._baseline + self._target.allowed_bytes(value)):
                self._target.read(value)
            self.accepted += 1
        except self._target.typed:
            pass
        except BaseException as error:
            self.failed_on = value
            if isinstance(error, Exception):
                raise
            raise AssertionError(f"{type(error).__name__}: {error}") from error  # such as a panic, Escaped, TooSlow

    def _remember(self, value: Any) -> None:
        self._last.seek(0)
        self._last.write(value if isinstance(value, bytes) else repr(value).encode(errors="replace"))
        self._last.truncate()
        self._last.flush()


def fuzz(trial: Trial, target: Target, number: int, examples: int) -> None:
    """Raises the first failure, shrunk."""

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(target.inputs)
    def attempt(value: Any) -> None:
        trial.one(value)

    attempt()


def run_target(name: str, makers: Makers, folder: Path, number: int, examples: int, seconds: float) -> dict[str, Any]:
    """Fuzz one target for a number of examples, then on with further seeds until the seconds are over."""
    folder.mkdir(parents=True)
    os.chdir(folder)  # names that are taken as relative paths lead into it, too
    began = time.monotonic()
    target = makers[name](folder)
    trial = Trial(target, folder)
    result: dict[str, Any] = {"name": name, "seed": number}
    try:
        for value in target.always:
            trial.one(value)
        fuzz(trial, target, number, max(1, examples // target.cost))
        while time.monotonic() - began < seconds:
            number += 1
            result["seed"] = number
            fuzz(trial, target, number, max(1, examples // target.cost))
    except HypothesisException:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, it is the finding
        (folder / "failed").write_bytes(
            trial.failed_on if isinstance(trial.failed_on, bytes) else repr(trial.failed_on).encode(errors="replace")
        )
        result |= {"error": traceback.format_exc()[-4_000:], "input": repr(trial.failed_on)[:2_000]}
    return result | {"examples": trial.examples, "accepted": trial.accepted, "seconds": time.monotonic() - began}


def main() -> int:
    from tests.fuzz.targets import MAKERS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MAKERS)}; all without any")
    parser.add_argument("--seed", type=int, help="the same examples every time; random without it")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="per round of a cheap target")
    parser.add_argument("--seconds", type=float, default=0.0, help="at least so long per target, round after round")
    parser.add_argument("--folder", type=Path, help="where parsers may write, and failing inputs are left")
    options = parser.parse_args()
    folder: Path = (options.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))).resolve()
    number = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    watch()
    failed = False
    for name in options.names or MAKERS:
        print(json.dumps({"begins": name}), flush=True)
        result = run_target(name, MAKERS, folder / name, number, options.examples, options.seconds)
        failed = failed or "error" in result
        print(json.dumps(result), flush=True)
    if failed:
        print(f"failing inputs are in {folder}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
