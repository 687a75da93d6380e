"""The source tree that Assay runs from, if it does: what public deployments need lies there and in no wheel.

Standard library alone: ape imports it too (scripts/deploy.py).
"""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def source_tree() -> Path | None:
    """Its root; None where the packages are installed by themselves."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "foundry.toml").is_file() else None


def source_commit() -> str:
    """What the contracts of a deployment were built from: a commit, else a release."""
    root = source_tree()
    if root is None:
        return _release()
    try:
        head, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "contracts")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("-dirty" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def _release() -> str:
    try:
        return f"assay-protocol {version('assay-protocol')}"
    except PackageNotFoundError:
        return "unknown"
