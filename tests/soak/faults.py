"""What goes wrong in a soak, one thing at a time for each process, and never for longer than half of a window."""

import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from assay_core.protocol.errors import Stop
from assay_protocol.devnet.processes import Children
from tests.integration.fake_node import HANG_UP, Answer, Ask, FakeNode, Raw, Rule, error, pass_on, saying
from tests.machines import fill

SLOW_S = 2.0


def slow(method: str, params: list[Any], ask: Ask) -> Answer:
    """The real node's answer, after a while."""
    time.sleep(SLOW_S)
    return None


MOODS: dict[str, Rule] = {
    "over quota": saying(error(-32005, "daily request count exceeded, request rate limited")),
    "error page": saying(
        Raw(b"<html><body><h1>502 Bad Gateway</h1></body></html>", headers={"Content-Type": "text/html"})
    ),
    "slow": slow,
    "gone": saying(HANG_UP),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """A process that a supervisor starts again, the node that it talks to, and a disk of its own if it has one."""

    name: str
    arguments: tuple[str, ...]
    env: dict[str, str]
    node: FakeNode | None = None
    disk: Path | None = None

    def start(self, children: Children) -> None:
        children.assay(self.name, *self.arguments, env=self.env)


@dataclass(frozen=True, slots=True)
class Fault:
    """`begin` and `end` happen at these times, in seconds since the soak began."""

    actor: str
    kind: str
    at_s: float
    until_s: float
    begin: Callable[[], object]
    end: Callable[[], object]

    def __str__(self) -> str:
        return f"{self.actor}: {self.kind} for {self.until_s - self.at_s:.0f} s"


def kinds_of(actor: Actor, children: Children) -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    """All that can happen to an actor: what it is called, how it begins, how it ends."""
    yield "killed", lambda: _killed(actor, children), lambda: actor.start(children)
    yield (
        "stopped",
        lambda: children[actor.name].process.send_signal(signal.SIGSTOP),
        lambda: children[actor.name].process.send_signal(signal.SIGCONT),
    )
    if actor.node is not None:
        for mood, rule in MOODS.items():
            yield f"node {mood}", _set_rule(actor.node, rule), _set_rule(actor.node, pass_on)
    if (disk := actor.disk) is not None:
        filler = disk / "filler"
        yield "disk full", partial(fill, disk), lambda: filler.unlink(missing_ok=True)


def _killed(actor: Actor, children: Children) -> None:
    with suppress(Stop):  # a trainer whose task has ended
        children.kill(actor.name)


def _set_rule(node: FakeNode, rule: Rule) -> Callable[[], object]:
    def change() -> None:
        node.rule = rule

    return change


@dataclass(slots=True)
class Plan:
    """Draws faults: lasting up to `longest_s`; after one, an actor is left in peace for `peace_s`."""

    seed: int
    longest_s: float
    peace_s: float
    _random: random.Random = field(init=False)
    _free_from: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def draw(self, actors: Sequence[Actor], children: Children, at_s: float) -> Fault | None:
        """The next fault, at this time; None: everybody is in peace for now."""
        free = [each for each in actors if self._free_from.get(each.name, 0) <= at_s]
        if not free:
            return None
        actor = self._random.choice(free)
        kind, begin, end = self._random.choice(list(kinds_of(actor, children)))
        until_s = at_s + self._random.uniform(1, self.longest_s)
        self._free_from[actor.name] = until_s + self.peace_s
        return Fault(actor.name, kind, at_s, until_s, begin, end)
