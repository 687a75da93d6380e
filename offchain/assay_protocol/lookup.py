"""What became of submissions and policies: explained, and fetched into folders of one's own."""

import shutil
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from assay_core.bundle.evidence import LIMITS as EVIDENCE_LIMITS
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.bundle.task import SPEC_NAME
from assay_core.inspect import explanation
from assay_core.inspect.epochs import committed_submission
from assay_core.inspect.evidence import statements
from assay_core.inspect.explanation import Explanation
from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.errors import ProtocolError, Stop
from assay_core.protocol.types import Epoch, Root
from assay_core.transport.engine import fetch_spec
from assay_protocol.network import Network, find_submission

if TYPE_CHECKING:
    from assay_core.chain.ledger import TaskLedger
    from assay_core.chain.records import PolicyRecord
    from assay_core.protocol.encoding import Json
    from assay_core.protocol.spec import TaskSpec


def explain(
    network: Network, submission: str, *, save: str | PathLike[str] | None = None, with_others: bool = False
) -> Explanation:
    """What became of a submission: its score, what was checked, what failed by how much, who said so.

    Args:
        submission: task/epoch/index, or the root of its manifest.
        save: fetch submission, policy, spec, case and evidence into this folder, for `reproduce`.
        with_others: and the submissions that it was compared with; of use where not all is drawn. Raises Stop: no such
    submission, or the folder is not empty. Unavailable: the node is down, or a bundle cannot be had.
    """
    ledger, submission_id = find_submission(network, submission)
    record, committed = committed_submission(ledger, submission_id)
    said = statements(network.open_transport, record, submission_id.index)
    told = explanation.explain(ledger, record, committed, said, network.chain.money())
    if save is not None:
        _save(network, told, Path(save), with_others=with_others)
    return told


def export_policy(
    network: Network, task_id: int, folder: str | PathLike[str], *, version: int | None = None
) -> "PolicyRecord":
    """Fetch a policy of a task, by default the newest, and copy its verified files into a new folder.

    `assay_core.policy.load_policy` loads it. Raises Stop: no such task or version, or the folder is not empty.
    Unavailable: the node is down, or no relay has the policy now.
    """
    ledger, target = network.task(task_id), Path(folder)
    _require_empty(target)
    known = {int(each.version): each for each in ledger.policies}
    found = ledger.newest_policy() if version is None else known.get(version)
    if found is None:
        raise Stop(f"task {task_id} has policy versions 0 to {max(known)}, and no {version}: choose one of those")
    with network.open_transport() as transport:
        spec = fetch_spec(transport, ledger.task.spec_hash)
        policy = transport.fetch(found.policy_root, BundleKind.POLICY, BundleLimits(spec.limits.policy_bytes))
        shutil.copytree(policy, target, dirs_exist_ok=True)
    return found


def spec_if_any(network: Network, ledger: "TaskLedger") -> "tuple[TaskSpec | None, str]":
    """A task's spec, or None and why nobody has it now: who only shows it goes on without."""
    try:
        with network.open_transport() as transport:
            return fetch_spec(transport, ledger.task.spec_hash), ""
    except ProtocolError as error:
        return None, str(error)


def _save(network: Network, told: Explanation, folder: Path, *, with_others: bool) -> None:
    """Everything that `reproduce` needs. Raises Unavailable: a bundle cannot be had. Stop: the folder is not empty."""
    _require_empty(folder)
    submission, ledger = told.committed.submission, told.ledger
    roots = {each.version: each.policy_root for each in ledger.policies}
    if submission.policy_version not in roots:
        raise Stop(f"the submission names policy version {submission.policy_version}, which was never published")
    with network.open_transport() as client:
        spec = fetch_spec(client, ledger.task.spec_hash)
        limits = spec.limits
        submission_dir = client.fetch(
            submission.manifest_root, BundleKind.SUBMISSION, BundleLimits(limits.submission_bytes)
        )
        policy = client.fetch(roots[submission.policy_version], BundleKind.POLICY, BundleLimits(limits.policy_bytes))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(submission_dir, folder / "submission")
        shutil.copytree(policy, folder / "policy")
        for each in told.statements:
            if each.verdict is not None:  # what was refused is of no use
                evidence = client.fetch(each.evidence_root, BundleKind.EVIDENCE, EVIDENCE_LIMITS)
                shutil.copytree(evidence, folder / "evidence" / each.evidence_root.hex(), dirs_exist_ok=True)
        for name, root in _others(told) if with_others else ():
            other = client.fetch(root, BundleKind.SUBMISSION, BundleLimits(limits.submission_bytes))
            shutil.copytree(other, folder / "others" / name)
    (folder / SPEC_NAME).write_bytes(spec.to_bytes())
    (folder / "case.json").write_bytes(canonical_json(_case(told, spec)))


def _require_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise Stop(f"{folder} is not empty: name a new folder")


def _others(told: Explanation) -> Iterator[tuple[str, Root]]:
    """EPOCH-INDEX and root of the submissions that this one was compared with: those of its epoch and of the one
    before.
    """
    for epoch in (told.submission_id.epoch - 1, told.submission_id.epoch):
        record = told.ledger.epochs.get(Epoch(epoch))
        for committed in record.submissions if record else ():
            if (epoch, committed.submission.index) != (told.submission_id.epoch, told.submission_id.index):
                yield f"{epoch}-{committed.submission.index}", committed.submission.manifest_root


def _case(told: Explanation, spec: "TaskSpec") -> "dict[str, Json]":
    """What the chain says about the submission: made here from the chain, not taken from anybody's evidence."""
    from assay_verifier.judging_queue import case_of

    return case_of(told.ledger, spec, told.record, told.committed).json()
