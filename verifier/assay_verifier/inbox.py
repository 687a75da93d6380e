"""Gets what is to be judged: submissions, and the policies they were made from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from assay_core.bundle.directory import read_manifest
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.chain.ledger import TaskLedger
from assay_core.environments import Environment
from assay_core.policy.interface import Policy
from assay_core.protocol.errors import Malformed, Rejected, Stop
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Epoch, Root
from assay_core.transport.engine import Fetcher, fetch_spec

LOADED_POLICIES = 3


@dataclass(frozen=True, slots=True)
class Delivery:
    """A verified bundle in the cache."""

    directory: Path
    manifest: Manifest


def roots_in_use(ledger: TaskLedger) -> Iterator[Root]:
    """Bundles that a verifier may still need: the spec, recent policies, submissions that are to be judged, compared or
    aggregated."""
    yield ledger.task.spec_hash
    newest = ledger.newest_policy()
    for policy in ledger.policies:
        if newest.version - policy.version <= ledger.task.params.max_staleness + 1:  # and the one these follow from
            yield policy.policy_root
    for record in ledger.epochs.values():
        following = ledger.epochs.get(Epoch(record.epoch + 1))  # its submissions must not repeat those of this one
        is_judged = record.is_over and (following is None or following.is_over)
        if not is_judged or newest.epoch is None or record.epoch > newest.epoch:
            yield from (committed.submission.manifest_root for committed in record.submissions)


class Inbox:
    """All bundles of one task. Its methods raise Unavailable (retry) and Malformed (anyone who committed to it)."""

    def __init__(
        self, fetcher: Fetcher, spec: TaskSpec, is_cached: Callable[[Root], bool] = lambda root: False
    ) -> None:
        """`is_cached`: whether a whole bundle lies here already, for one that an earlier process fetched."""
        self._fetcher, self._spec, self._is_cached = fetcher, spec, is_cached
        self._held: set[Root] = set()

    def submission(self, root: Root) -> Delivery:
        delivery = self._deliver(root, BundleKind.SUBMISSION, BundleLimits(self._spec.limits.submission_bytes))
        self._held.add(root)
        return delivery

    def holds(self, root: Root) -> bool:
        """Whether the bytes of a submission have been here."""
        return root in self._held or self._is_cached(root)

    def policy(self, root: Root) -> Delivery:
        return self._deliver(root, BundleKind.POLICY, BundleLimits(self._spec.limits.policy_bytes))

    def _deliver(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Delivery:
        directory = self._fetcher.fetch(root, kind, limits)
        return Delivery(directory, read_manifest(directory, limits, root))


def judgeable_spec(fetcher: Fetcher, spec_root: Root) -> TaskSpec:
    """The spec of a task. Raises Unavailable. Stop: nobody can judge this task, and why."""
    try:
        return fetch_spec(fetcher, spec_root)
    except Rejected as error:
        raise Stop(f"nobody can verify this task: {error}; choose another one") from error


class JudgeContext:
    """The judge's context: policies by root, the last few of which stay loaded, and the task's environment."""

    def __init__(self, inbox: Inbox, environment: Environment, load_policy: Callable[[Path], Policy]) -> None:
        self._inbox = inbox
        self._environment = environment
        self._load = load_policy
        self._loaded: dict[Root, Policy] = {}

    def policy(self, root: Root) -> Policy:
        """Raises Unavailable: no relay has it now. Stop: what the chain names is no policy."""
        if (found := self._loaded.pop(root, None)) is None:
            try:
                found = self._load(self._inbox.policy(root).directory)
            except Malformed as error:
                raise Stop(
                    f"policy {root.hex()} of this task is broken, nothing can be judged by it: {error}"
                ) from error
        self._loaded[root] = found  # the newest last
        while len(self._loaded) > LOADED_POLICIES:
            self._loaded.pop(next(iter(self._loaded)))
        return found

    def environment(self) -> Environment:
        return self._environment
