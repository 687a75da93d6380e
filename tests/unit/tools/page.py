"""The examples of docs/library.md, to be run."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"^```(python[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(*kinds: str) -> list[str]:
    """Code of the blocks that are marked so, in order."""
    page = (ROOT / "docs" / "library.md").read_text()
    return [code for kind, code in BLOCK.findall(page) if kind in kinds]


def run(blocks: Sequence[str], folder: Path, seconds: float) -> str:
    """Run them as one program, in a process of its own in an empty folder; what it printed."""
    (folder / "program.py").write_text("\n".join(blocks))
    home = {"HOME": str(folder), "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join(str(ROOT / name) for name in ("offchain", "trainer", "verifier"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env=environment | home | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout
