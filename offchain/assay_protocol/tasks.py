"""Task files that come with the package: examples to start from, and the tasks of the local networks."""

from importlib.resources import files
from pathlib import Path

from assay_core.chain.checkout import source_tree
from assay_core.protocol.errors import Stop


def example_task(name: str) -> Path:
    """The path of an example, such as "sorting", to load or to copy. Raises Stop: there is none of that name."""
    path = _examples() / f"{name}.toml"
    if path.name not in (known := {each.name: each for each in example_tasks()}):
        raise Stop(f"no example is named {name!r}: {', '.join(each.stem for each in known.values())} are")
    return path


def example_tasks() -> list[Path]:
    """Task files that come with the distribution, by name."""
    return sorted(_examples().glob("*.toml"))


def network_task(name: str) -> Path:
    """A task of the local networks: "sorting" or "real"."""
    return _folder("assay_protocol.devnet", "demo") / f"{name}.toml"


def _examples() -> Path:
    """Inside a built package, else at the top of the source tree: see setup.py."""
    root = source_tree()
    return _folder("assay_protocol", "examples") if root is None else root / "examples"


def _folder(package: str, name: str) -> Path:
    return Path(str(files(package) / name))
