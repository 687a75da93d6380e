"""`assay explain`: what became of a work, and why."""

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Epoch
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    chain_options,
    command,
    pass_invocation,
    relay_options,
    state_option,
    verifier_option,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay_core.chain.connection import Chain
    from assay_core.chain.ledger import TaskLedger
    from assay_core.inspect.explanation import Explanation
    from assay_core.protocol.spec import TaskSpec
    from assay_core.protocol.types import Root, WorkId

ROOT = re.compile(r"(0x)?[0-9a-f]{64}")


@command("explain", example="assay explain 1/0/2\nassay explain 1/0/2 --save /tmp/work-1-0-2")
@click.argument("work", metavar="WORK")
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Fetch work, policy, spec, case and evidence into DIR, for `assay verify`.",
)
@click.option(
    "--with-others", is_flag=True, help="Save the works that it was compared with, too; of use where not all is drawn."
)
@chain_options
@relay_options
@state_option
@verifier_option
@pass_invocation
def explain(invocation: Invocation, work: str, save: Path | None, with_others: bool) -> None:
    """Say in plain words what became of a work: its score, what was checked, what failed by how much, who said so.

    WORK is task/epoch/index, as in `assay rewards show`, or the root of its manifest. The chain tells the outcome, the
    verifiers' evidence on the relays the reasons.
    """
    from assay_core.inspect.epochs import committed_work
    from assay_core.inspect.evidence import statements
    from assay_core.inspect.explanation import explain as told_by
    from assay_core.inspect.explanation import to_json, to_lines

    chain = invocation.chain()
    ledger, work_id = _find(invocation, chain, work)
    record, committed = committed_work(ledger, work_id)
    told = told_by(ledger, record, committed, statements(invocation.relay_client, record, work_id.index), chain.money())
    saved = _save(invocation, told, save, with_others=with_others) if save else []
    invocation.emit({**to_json(told), "saved": save}, [*to_lines(told), *saved])


def _find(invocation: Invocation, chain: "Chain", work: str) -> "tuple[TaskLedger, WorkId]":
    """Raises Stop: neither a work's name nor the root of one."""
    from assay_core.protocol.types import WorkId
    from assay_protocol.cli.history import named_work, task_ledger

    if not ROOT.fullmatch(work.lower()):
        accepted = "task/epoch/index, such as 1/0/2, or a manifest root"
        return named_work(invocation, chain, work, accepted=accepted)
    root = bytes.fromhex(work.lower().removeprefix("0x"))
    for number in range(1, chain.registry.task_count() + 1):
        ledger = task_ledger(invocation, chain, number)
        for record in ledger.epochs.values():
            for committed in record.works:
                if committed.work.manifest_root == root:
                    return ledger, WorkId(ledger.task_id, record.epoch, committed.work.index)
    raise Stop(f"no work on network {chain.deployment.network!r} has the manifest root {root.hex()}")


def _save(invocation: Invocation, told: "Explanation", folder: Path, *, with_others: bool) -> list[str]:
    """Everything that `assay verify` needs. Raises Unavailable: a bundle cannot be had. Stop: DIR is not empty."""
    from assay_core.bundle.evidence import LIMITS as EVIDENCE_LIMITS
    from assay_core.bundle.manifest import BundleKind, BundleLimits
    from assay_core.bundle.task import SPEC_NAME
    from assay_core.protocol.encoding import canonical_json
    from assay_core.transport.engine import fetch_spec

    if folder.exists() and any(folder.iterdir()):
        raise Stop(f"{folder} is not empty: name a new folder")
    work, ledger = told.committed.work, told.ledger
    roots = {each.version: each.policy_root for each in ledger.policies}
    if work.policy_version not in roots:
        raise Stop(f"the work names policy version {work.policy_version}, which was never published")
    with invocation.relay_client() as client:
        spec = fetch_spec(client, ledger.task.spec_hash)
        limits = spec.limits
        work_dir = client.fetch(work.manifest_root, BundleKind.WORK, BundleLimits(limits.work_bytes))
        policy = client.fetch(roots[work.policy_version], BundleKind.POLICY, BundleLimits(limits.policy_bytes))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(work_dir, folder / "work")
        shutil.copytree(policy, folder / "policy")
        for each in told.statements:
            if each.verdict is not None:  # what was refused is of no use
                evidence = client.fetch(each.evidence_root, BundleKind.EVIDENCE, EVIDENCE_LIMITS)
                shutil.copytree(evidence, folder / "evidence" / each.evidence_root.hex(), dirs_exist_ok=True)
        for name, root in _others(told) if with_others else ():
            other = client.fetch(root, BundleKind.WORK, BundleLimits(limits.work_bytes))
            shutil.copytree(other, folder / "others" / name)
    (folder / SPEC_NAME).write_bytes(spec.to_bytes())
    (folder / "case.json").write_bytes(canonical_json(_case(told, spec)))
    return ["", f"saved in {folder}"]


def _others(told: "Explanation") -> "Iterator[tuple[str, Root]]":
    """EPOCH-INDEX and root of the works that this one was compared with: those of its epoch and of the one before."""
    for epoch in (told.work_id.epoch - 1, told.work_id.epoch):
        record = told.ledger.epochs.get(Epoch(epoch))
        for committed in record.works if record else ():
            if (epoch, committed.work.index) != (told.work_id.epoch, told.work_id.index):
                yield f"{epoch}-{committed.work.index}", committed.work.manifest_root


def _case(told: "Explanation", spec: "TaskSpec") -> "dict[str, Json]":
    """What the chain says about the work: made here from the chain, not taken from anybody's evidence."""
    from assay_verifier.judging_queue import case_of

    return case_of(told.ledger, spec, told.record, told.committed).json()


if TYPE_CHECKING:
    from assay_core.protocol.encoding import Json
