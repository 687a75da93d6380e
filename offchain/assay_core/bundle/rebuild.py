"""A bundle of which some files need not be fetched, because they follow from its others and from another bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assay_core.bundle.manifest import Manifest
from assay_core.protocol.types import Root


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Which files of a bundle can be made from its others and from another bundle."""

    base: Root
    made: frozenset[str]


class Rebuilder(Protocol):
    """Makes what need not be fetched. It is not believed: what it makes counts for its hashes."""

    def plan(self, manifest: Manifest) -> Rebuild | None:
        """None: all of this bundle has to be fetched. Raises Rejected: the manifest is odd."""
        ...

    def make(self, manifest: Manifest, directory: Path, base: Path, target: Path) -> None:
        """Write the files below `target`, from the others in `directory` and a whole bundle. Raises Rejected."""
        ...
