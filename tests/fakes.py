"""What many tests hand in for the world around: a transport, a status, a stop flag."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.chain.signers import Signer
from assay_core.daemon.status import Scalar
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Root


@dataclass
class Shelf:
    """A transport without a network: it gives the folder that was published under a root, checked or not."""

    bundles: dict[Root, Path] = field(default_factory=dict[Root, Path])

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        if root not in self.bundles:
            raise Unavailable("no relay has it")
        return self.bundles[root]

    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None:
        self.bundles[manifest.root] = directory

    def has(self, root: Root) -> bool:
        return root in self.bundles


@dataclass
class Notes:
    """The status that tests read; `on` may do something at a message, such as crash."""

    seen: list[tuple[str, dict[str, Scalar]]] = field(default_factory=list[tuple[str, dict[str, Scalar]]])
    on: dict[str, Callable[[], None]] = field(default_factory=dict[str, Callable[[], None]])

    def __call__(self, message: str, /, **fields: Scalar) -> None:
        self.seen.append((message, fields))
        self.on.get(message, lambda: None)()

    @property
    def messages(self) -> list[str]:
        return [message for message, _ in self.seen]

    def of(self, message: str) -> dict[str, Scalar]:
        return next(fields for seen, fields in reversed(self.seen) if seen == message)


class QuickStop(threading.Event):
    """A stop flag on which nobody waits long; `after` waits it sets itself, so that a loop ends.

    `on_wait` may do something meanwhile.
    """

    def __init__(self, after: int = 1_000) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self.on_wait: Callable[[], object] = lambda: None
        self._after = after

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        self.on_wait()
        if len(self.waits) >= self._after:
            self.set()
        return self.is_set()
