"""Trackers in threads, and who may write on them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import uvicorn

from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.swarm.tracker import create_tracker
from tests.unit.transport.swarm_peer import CHAIN_ID


@dataclass
class Members:
    """`Authoriser` and `SignatureChecker`: those whose keys are listed."""

    keys: set[Address] = field(default_factory=set[Address])

    def payer_of(self, key: Address) -> Address | None:
        return key if key in self.keys else None

    def is_signed_by(
        self, task_id: TaskId, epoch: Epoch, operator: Address, policy_root: Root, signature: bytes
    ) -> bool:
        return operator in self.keys


class RunningTracker:
    """A tracker that listens on `port` until `stop`."""

    def __init__(self, port: int, members: Members, clock: Callable[[], float] = time.time) -> None:
        self.url = f"http://127.0.0.1:{port}"
        app = create_tracker(members, members, chain_id=CHAIN_ID, clock=clock)
        self._server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
