"""The leader's side of a group: offer the submission, then take its inner steps with anyone who comes, or alone."""

import hashlib
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from assay_core.aggregation.collective import SyncGroup, SyncLimits, SyncPlace, lighthouse_url, start_lighthouse
from assay_core.aggregation.division import Added, Adder, Alone
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.bundle.task import LIMITS
from assay_core.bundle.trajectory import Rollouts
from assay_core.daemon import stopping
from assay_core.daemon.status import Status
from assay_core.daemon.stopping import StopFlag
from assay_core.protocol.errors import Malformed, MalformedUpdate, Unavailable
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Root, Seed
from assay_core.training.inner import (
    InnerResult,
    Learner,
    OnState,
    OnStep,
    TrainablePolicy,
    borrowed,
    difference,
    plan_of,
)
from assay_core.training.trace import StepTrace
from assay_trainer.group.offer import Offer, Stack
from assay_trainer.group.server import Board, LeaderServer
from assay_trainer.group.steps import take_step
from assay_trainer.group.training import Training
from assay_trainer.inner import InnerSteps
from assay_trainer.submission_builder import Fetcher
from assay_trainer.tasks import Assignment

GATHER_S = 3.0  # at most so long the leader waits for assistants that are on their way
LOOK_S = 0.05
JOIN_S, BEAT_S = 1.0, 2.0  # of the lighthouse: how long it waits for who is late, and before it takes one for dead
SEATS = 1_000_000


class Leader:
    """Offers each submission to the assistants that ask, from `with` to its end."""

    def __init__(
        self,
        host: str,
        port: int,
        secret: bytes,
        fetcher: Fetcher,
        status: Status,
        stop: StopFlag,
        *,
        exchange_s: float,
    ) -> None:
        """Raises Stop: it cannot listen there."""
        self._host = host
        self._fetcher = fetcher
        self._status = status
        self._stop = stop
        self._exchange_s = exchange_s
        self._limits = SyncLimits(exchange_s=exchange_s, join_s=exchange_s, deadline_s=2 * exchange_s)
        self._board = Board()
        self._server = LeaderServer(host, port, secret, self._board)
        self._bundles: dict[Root, Path] = {}
        self._offer: Offer | None = None
        self._members = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def members(self) -> int:
        """How many took the last inner step."""
        return self._members

    def prepare(self, assignment: Assignment, spec: TaskSpec, spec_root: Root) -> None:
        """Let assistants fetch what the submission needs while we roll out. Raises Unavailable."""
        policy = self._fetcher.fetch(assignment.policy_root, BundleKind.POLICY, BundleLimits(spec.limits.policy_bytes))
        task = self._fetcher.fetch(spec_root, BundleKind.TASK, LIMITS)
        self._bundles = {assignment.policy_root: policy, spec_root: task}
        self._offer = Offer(
            submission=secrets.token_hex(16),
            epoch=assignment.epoch,
            seed=assignment.seed,
            spec_root=spec_root,
            policy_root=assignment.policy_root,
            exchange_ms=round(self._exchange_s * 1_000),
        )
        self._board.show(self._offer, self._bundles)

    def inner_steps(self, rollouts_file: Path) -> InnerSteps:
        """As `run_inner_steps`, with the assistants of the submission prepared last."""
        return partial(self._run_inner_steps, rollouts_file)

    def _run_inner_steps(
        self,
        rollouts_file: Path,
        policy: TrainablePolicy,
        rollouts: Rollouts,
        spec: TaskSpec,
        seed: Seed,
        on_step: OnStep | None = None,
        on_state: OnState | None = None,
    ) -> InnerResult:
        """All steps, whatever happens to the assistants. Raises MalformedUpdate, and what `on_step` raises."""
        trace: list[StepTrace] = []

        def took_step(number: int, step: StepTrace, learner: Learner) -> None:
            if number != len(trace):
                raise Malformed("the group took inner steps without its leader: their trace is lost")
            trace.append(step)
            if on_state is not None:
                on_state(number, learner.state())
            if on_step is not None:
                on_step(number, step)

        with borrowed(policy) as before:
            learner = Learner(policy, spec)
            training = Training(self._submission(), learner, plan_of(rollouts, spec, seed), took_step)
            tally = self._train(training, rollouts_file)
            pseudo_gradient = difference(before, learner.parameters)
        self._status("inner steps shared", **asdict(tally))
        return InnerResult(pseudo_gradient, tuple(trace))

    def _train(self, training: Training, rollouts_file: Path) -> "Tally":
        """All steps: in the group for as long as it works, then alone."""
        tally = Tally()
        try:
            with self._group(training, rollouts_file) as group:
                while not training.is_done:
                    self._take_step(training, group, tally)
        except MalformedUpdate:
            raise
        except (Unavailable, Malformed) as error:
            self._status("group given up for this submission, going on alone", step=training.step, why=str(error))
        self._board.clear()
        alone = Alone(lambda: training.step)
        while not training.is_done:
            self._take_step(training, alone, tally)
        return tally

    def _submission(self) -> bytes:
        return bytes.fromhex(self._offer.submission) if self._offer is not None else bytes(16)

    @contextmanager
    def _group(self, training: Training, rollouts_file: Path) -> Generator[SyncGroup]:
        """Call the assistants together, and send them away in the end. Raises Unavailable."""
        lighthouse = _start_lighthouse(self._host)
        try:
            place = SyncPlace(lighthouse_url(lighthouse, self._host), self._host, secrets.randbelow(SEATS))
            self._invite(rollouts_file, place.lighthouse)
            group = SyncGroup(place, training.state, training.load, limits=self._limits)
            try:
                yield group
            finally:
                group.close()
        finally:
            self._board.clear()
            lighthouse.shutdown()

    def _invite(self, rollouts_file: Path, lighthouse: str) -> None:
        """Complete the offer, and give assistants that are there a moment to fetch the rollouts."""
        if self._offer is None:
            raise Unavailable("no submission was prepared for the group")
        with rollouts_file.open("rb") as stream:
            stack = Stack(rollouts_file.stat().st_size, hashlib.file_digest(stream, "sha256").digest(), lighthouse)
        self._board.show(replace(self._offer, stack=stack), self._bundles, rollouts_file)
        until = time.monotonic() + GATHER_S
        while self._board.awaited() and time.monotonic() < until and not self._stop.wait(LOOK_S):
            pass

    def _take_step(self, training: Training, adder: Adder, tally: "Tally") -> None:
        def note(added: Added) -> None:
            tally.count(added)
            if added.peers != self._members:
                self._status("group changed", step=training.step, members=added.peers)
                self._members = added.peers
            if added.attempts > 1:
                self._status(
                    "inner step done again", step=training.step, members=added.peers, lost_s=round(added.lost_s, 2)
                )

        take_step(training, adder, is_leader=True, note=note, keep_on=lambda: stopping.check(self._stop))


@dataclass
class Tally:
    """What the group did for one submission."""

    steps: int = 0
    shared: int = 0  # by two members or more
    members: int = 1  # at most
    repeated: int = 0
    lost_s: float = 0.0

    def count(self, added: Added) -> None:
        self.steps += 1
        self.shared += added.peers > 1
        self.members = max(self.members, added.peers)
        self.repeated += added.attempts - 1
        self.lost_s = round(self.lost_s + added.lost_s, 2)


def _start_lighthouse(host: str) -> Any:
    try:
        return start_lighthouse(host, 0, join_s=JOIN_S, beat_s=BEAT_S)
    except RuntimeError as error:
        raise Unavailable(f"no lighthouse can listen on {host}: {error}") from error
