"""One trainer of the demo on two machines: an assistant shares its inner steps, until it is killed amid a
submission's.
"""

import importlib.util
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay_core.protocol.types import TaskId
from assay_protocol.devnet.anvil import free_port
from assay_protocol.devnet.demo.outcome import GroupSubmission
from assay_protocol.devnet.localnet import Party
from assay_protocol.devnet.processes import Children

HOST = "127.0.0.1"
LAST_BYTES = 1_024  # of the status file: its last line is in there


@dataclass(frozen=True, slots=True)
class Group:
    """The trainer that leads, and where it says what it does. Its assistant needs no key and no chain."""

    leader: Party
    port: int
    secret: Path
    status_file: Path

    @property
    def assistant(self) -> str:
        return f"{self.leader.name}-assistant"

    @property
    def leaders_options(self) -> tuple[str, ...]:
        return ("--group", f"{HOST}:{self.port}", "--group-secret", str(self.secret))

    def start_assistant(self, children: Children, env: Mapping[str, str]) -> None:
        place = ("--leader", f"http://{HOST}:{self.port}", "--group-secret", str(self.secret))
        children.assay(self.assistant, "trainer", "assist", *place, env=env)

    def is_amid_steps(self) -> bool:
        """Whether the last that the leader said is that it took an inner step together with its assistant."""
        try:
            with self.status_file.open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - LAST_BYTES))
                lines = stream.read().splitlines()
            last = json.loads(lines[-1]) if lines else {}
        except (OSError, ValueError):  # not begun, or being written
            return False
        return last.get("message") == "inner step" and last.get("members", 1) > 1

    def submission(self) -> GroupSubmission:
        """What the two did together, as the leader counted it."""
        done = [said for said in self._said() if said.get("message") == "inner steps shared"]
        return GroupSubmission(
            leader=self.leader.name,
            assistant=self.assistant,
            inner_steps=sum(each["steps"] for each in done),
            shared=sum(each["shared"] for each in done),
        )

    def _said(self) -> Iterator[dict[str, Any]]:
        if not self.status_file.exists():
            return
        for line in self.status_file.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # it is being written
                return


def make_group(leader: Party, folder: Path, task_id: TaskId) -> Group | None:
    """`folder`: the leader's state. None: the package that groups need is not installed."""
    if importlib.util.find_spec("torchft") is None:
        return None
    from assay_trainer.group.secret import make_secret

    secret = folder / "group.secret"
    make_secret(secret)
    return Group(leader, free_port(), secret, folder / f"task-{task_id}" / "status.jsonl")
