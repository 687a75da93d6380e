"""An assistant: no key, no chain; it computes its share of each inner step of its leader's submissions, until told
to end.
"""

import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from assay_core.aggregation.collective import SyncGroup, SyncLimits, SyncPlace
from assay_core.aggregation.division import Added
from assay_core.bundle.manifest import BundleLimits
from assay_core.bundle.rollouts import RolloutLimits, parse_rollouts
from assay_core.bundle.task import LIMITS, read_spec
from assay_core.daemon import stopping
from assay_core.daemon.status import Status
from assay_core.daemon.stopping import Interrupted, StopFlag
from assay_core.policy.interface import Policy
from assay_core.protocol.errors import Malformed, Unavailable
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Root
from assay_core.training.inner import Learner, borrowed, plan_of
from assay_trainer.group.client import LeaderClient
from assay_trainer.group.leader import SEATS
from assay_trainer.group.offer import Offer, Stack
from assay_trainer.group.steps import take_step
from assay_trainer.group.training import Training

CACHED = 4  # bundles that stay on disk: two submissions' task and policy
JOIN_S = 60.0  # the others may be in the middle of a step of that length
ROOT = re.compile(r"[0-9a-f]{64}")


class Assistant:
    """Helps one leader."""

    def __init__(
        self,
        leader: LeaderClient,
        cache: Path,
        status: Status,
        stop: StopFlag,
        *,
        load_policy: Callable[[Path], Policy],
        host: str | None = None,
        poll_s: float = 0.5,
    ) -> None:
        """`host`: the address that the group reaches us at; None: that by which we reach the leader."""
        self._leader = leader
        self._cache = cache
        self._status = status
        self._stop = stop
        self._load_policy = load_policy
        self._host = host
        self._poll_s = poll_s
        self._held: tuple[Root, Policy] | None = None
        self._over: str | None = None  # the last submission that we are through with
        self._said: str | None = None

    def run(self) -> None:
        """Help until the stop flag is set. Raises Stop: the operator must act."""
        self._status("assistant started")
        while not self._stop.is_set():
            try:
                self.run_once()
            except Interrupted:
                break
            except Unavailable as error:
                self._say("waiting for the leader", why=str(error))
            self._stop.wait(self._poll_s)
        self._status("assistant stopped")

    def run_once(self) -> None:
        """One look at what there is to do, and all of it. Raises Unavailable, Stop, Interrupted."""
        offer = self._leader.offer()
        if offer is None or offer.submission == self._over:
            self._say("waiting for work")
            return
        try:
            spec, policy = self._fetched(offer)
            if offer.stack is None:
                self._say("ready for work")
                return
            self._help(offer, offer.stack, spec, policy)
        except Malformed as error:
            self._status("work refused", epoch=offer.epoch, why=str(error))
        self._over = offer.submission

    def _fetched(self, offer: Offer) -> tuple[TaskSpec, Policy]:
        """What can be fetched before there are rollouts. Raises Malformed: not what the roots stand for."""
        task = self._leader.fetch(offer.spec_root, self._cache, LIMITS)
        spec = read_spec(task)
        if self._held is None or self._held[0] != offer.policy_root:
            folder = self._leader.fetch(offer.policy_root, self._cache, BundleLimits(spec.limits.policy_bytes))
            self._held = (offer.policy_root, self._load_policy(folder))
            self._tidy({offer.spec_root.hex(), offer.policy_root.hex()})
        return spec, self._held[1]

    def _help(self, offer: Offer, stack: Stack, spec: TaskSpec, policy: Policy) -> None:
        rollouts = parse_rollouts(
            self._leader.rollouts(offer.submission, stack, spec.limits.submission_bytes), RolloutLimits.of(spec)
        )
        place = SyncPlace(stack.lighthouse, self._host or self._leader.own_host(), secrets.randbelow(SEATS))
        self._said = None
        with borrowed(policy):
            training = Training(
                bytes.fromhex(offer.submission), Learner(policy, spec), plan_of(rollouts, spec, offer.seed)
            )
            group = SyncGroup(place, training.state, training.load, limits=_limits_of(offer.exchange_ms / 1_000))
            try:
                self._leader.ready(offer.submission)
                self._share(offer, training, group)
            finally:
                group.close()

    def _share(self, offer: Offer, training: Training, group: SyncGroup) -> None:
        """Raises Unavailable: the leader is gone before the submission is done."""
        self._status("joined", epoch=offer.epoch)
        steps = 0

        def note(added: Added) -> None:
            nonlocal steps
            steps += 1
            self._status("inner step shared", epoch=offer.epoch, step=training.step, members=added.peers)

        while not training.is_done:
            take_step(training, group, is_leader=False, note=note, keep_on=self._still_wanted(offer))
        self._status("submission done", epoch=offer.epoch, steps=steps)

    def _still_wanted(self, offer: Offer) -> Callable[[], None]:
        """Called before each attempt at a step: after one that failed, the leader says whether it goes on."""
        attempts = 0

        def check() -> None:
            nonlocal attempts
            stopping.check(self._stop)
            attempts += 1
            if attempts > 1:
                now = self._leader.offer()
                if now is None or now.submission != offer.submission:
                    raise Unavailable("the leader's submission is over")

        return check

    def _tidy(self, used: set[str]) -> None:
        """Remove bundles that no submission has needed lately."""
        others = [path for path in self._cache.iterdir() if ROOT.fullmatch(path.name) and path.name not in used]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in others[CACHED - len(used) :]:
            shutil.rmtree(path)

    def _say(self, message: str, **fields: str) -> None:
        if message != self._said:
            self._said = message
            self._status(message, **fields)


def _limits_of(exchange_s: float) -> SyncLimits:
    return SyncLimits(exchange_s=exchange_s, join_s=max(JOIN_S, exchange_s), deadline_s=2 * exchange_s)
