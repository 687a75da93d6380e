"""Aggregates: the accepted updates of a settled epoch become the next policy, which is signed and published.

Everybody who starts from the same policy and the same scores gets the same bundle, to the byte; so honest verifiers
sign the same root, and anyone who holds the signatures of a quorum publishes it. Policies stand in a line, in order of
their epochs. One that comes too late is skipped on chain, which leaves it out for everybody: nobody goes on to the next
epoch by the clock alone.
"""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay_core.aggregation.aggregate import Aggregate, Contribution
from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.optimizer import MOMENTUM_NAME, WEIGHTS_NAME, OuterStep, open_momentum, write_step
from assay_core.aggregation.policy_delta import terms_of, write_aggregate
from assay_core.aggregation.rules import Rule
from assay_core.aggregation.updates import UpdateReader
from assay_core.bundle.directory import build_bundle, read_manifest
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.bundle.named_tensors import Float32File
from assay_core.chain.contracts import PoliciesContract
from assay_core.chain.keys import PolicyWord, recover_policy_signer, sign_policy
from assay_core.chain.ledger import CommittedSubmission, EpochRecord, PolicyRecord, TaskLedger
from assay_core.policy.weights import carry_over
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import MalformedUpdate, Rejected, Reverted, Stop, Unavailable
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import (
    BPS,
    Address,
    Epoch,
    PolicyState,
    PolicyVersion,
    Root,
    SubmissionIndex,
    TaskId,
    is_paid,
)
from assay_core.transport.engine import PolicySignature
from assay_verifier.inbox import Delivery, Inbox
from assay_verifier.models import PolicyRow
from assay_verifier.node import Node

log = logging.getLogger(__name__)

KEPT_VERSIONS = 3


@dataclass(frozen=True, slots=True)
class SigningDomain:
    """What a signature is for: one deployment, in which each key acts for an operator."""

    chain_id: int
    policies: Address
    operator_of: Callable[[Address], Address]


def accepted(record: EpochRecord) -> list[tuple[CommittedSubmission, int]]:
    """Submissions of a settled epoch whose score pays, with it, in order of index."""
    # As settled: an appeal moves money, but a policy that follows from an epoch is signed before it is decided. So does
    # opening a plant, which changes no score.
    scored = ((each, record.settled_score_of(each.submission.index) or 0) for each in record.submissions)
    return [(each, score) for each, score in scored if is_paid(score)]


def base_of(ledger: TaskLedger, epoch: Epoch) -> PolicyRecord:
    """The policy that an epoch's aggregate is added to: the newest that follows from an earlier epoch, or version 0."""
    return [each for each in ledger.policies if each.epoch is None or each.epoch < epoch][-1]


def next_epoch(ledger: TaskLedger, is_done: Callable[[EpochRecord], bool]) -> EpochRecord | None:
    """The first epoch that still has to become a policy; None while there is none, or an earlier one is undecided.

    Epochs without an accepted submission become none, nor does one whose policy was skipped.
    """
    for epoch in sorted(ledger.epochs):
        record = ledger.epochs[epoch]
        if record.is_void or (record.is_settled and not accepted(record)):
            continue
        if not record.is_settled:
            return None
        if record.policy_state is not PolicyState.SKIPPED and not is_done(record):
            return record
    return None


def write_next(
    spec: TaskSpec, base: Delivery, submissions: Sequence[tuple[SubmissionIndex, int, Delivery]], target: Path
) -> None:
    """Write the files of the policy that follows from `base` and the updates of submissions, given index, weight and
    bundle.

    The same bytes on every machine, in whatever order submissions come. All is read and written in pieces, so a policy
    of many gigabytes takes a few hundred megabytes of memory. Raises MalformedUpdate: an update is not one of this
    policy's, or the step leaves numbers that are not finite. Raises Stop: the base is no policy.
    """
    weights = _open_weights(base)
    momentum = open_momentum(base.directory, base.manifest, weights.shapes)
    codec, outer = codec_named(spec.codec), spec.outer
    aggregate = Aggregate(
        (
            Contribution(index, weight, UpdateReader(submission.directory, submission.manifest, weights.shapes, codec))
            for index, weight, submission in submissions
        ),
        Rule(outer.rule, outer.clip_norm_ratio, outer.hostile_share),
    )
    carry_over(base.directory, target)
    terms = terms_of(outer)
    gradient = aggregate if terms is None else write_aggregate(aggregate, terms, target)
    step = OuterStep(weights, momentum, gradient, outer.lr, outer.momentum)
    write_step(step, target / WEIGHTS_NAME, target / MOMENTUM_NAME, aggregate.piece)


def _open_weights(base: Delivery) -> Float32File:
    try:
        return Float32File(base.directory / WEIGHTS_NAME)
    except (MalformedUpdate, OSError) as error:
        raise Stop(f"policy {base.manifest.root.hex()} is broken, nothing can follow from it: {error}") from error


class Aggregator:
    """Policies of one task. Methods raise Unavailable (retry) and Stop."""

    def __init__(
        self,
        node: Node,
        spec: TaskSpec,
        signer: SigningDomain,
        contract: PoliciesContract,
        inbox: Inbox,
        folder: Path,
    ) -> None:
        self._node, self._spec, self._signer = node, spec, signer
        self._contract, self._inbox, self._folder = contract, inbox, folder
        self._given_up: set[tuple[Epoch, Root]] = set()
        self._compared: Root | None = None

    def advance(self, ledger: TaskLedger) -> bool:
        """Take one epoch one step further; whether anything was done."""
        self._compare(ledger)
        record = next_epoch(ledger, lambda each: self._is_done(ledger, each))
        if record is None or self._node.verifier not in record.members:  # others publish it, or nobody
            return False
        base = base_of(ledger, record.epoch)
        if (record.epoch, base.policy_root) in self._given_up:  # until it is skipped, or others publish it
            return False
        row = self._own(ledger, record)
        if row is None:
            self._try_to_derive(ledger, record, base)
            return True
        if not row.posted:
            self._post(ledger, record, row)
            return True
        if record.policy is None and self._node.rotation.is_ours(("publish", record.epoch), ledger, record.epoch):
            return self._publish(ledger, record, Root(row.own_root or b""))
        return False

    def _is_done(self, ledger: TaskLedger, record: EpochRecord) -> bool:
        """Nothing is left for us to add: ours is posted and published, or cannot be, or the epoch is old history."""
        if record.policy is None:
            return False
        if (record.epoch, base_of(ledger, record.epoch).policy_root) in self._given_up:
            return True
        if ledger.newest_policy().version - record.policy.version >= KEPT_VERSIONS:
            return True
        row = self._own(ledger, record)
        return self._node.verifier not in record.members or (row is not None and row.posted)

    def _compare(self, ledger: TaskLedger) -> None:
        """Say so, loudly and once, when a quorum publishes another policy than ours. We go on from theirs."""
        newest = ledger.newest_policy()
        if newest.policy_root == self._compared:
            return
        self._compared = newest.policy_root
        with self._node.sessions() as session:
            row = session.get(PolicyRow, (ledger.task_id, newest.version))
        if row is not None and row.own_root is not None and row.own_root != newest.policy_root:
            roots = {"published": newest.policy_root.hex(), "ours": row.own_root.hex()}
            log.error("the published policy is not the one we derived", extra={"version": newest.version, **roots})
            self._node.status("policy differs from ours", version=newest.version, **roots)

    def _own(self, ledger: TaskLedger, record: EpochRecord) -> PolicyRow | None:
        """What we derived for an epoch from the present base."""
        base = base_of(ledger, record.epoch)
        with self._node.sessions() as session:
            row = session.get(PolicyRow, (ledger.task_id, base.version + 1))
        is_ours = row is not None and row.epoch == record.epoch and row.own_root is not None
        return row if row is not None and is_ours and row.parent_root == base.policy_root else None

    def _try_to_derive(self, ledger: TaskLedger, record: EpochRecord, base: PolicyRecord) -> None:
        """Derive our own policy.

        When what was accepted makes none, which everybody finds alike, its policy is waited for until it is skipped.
        When we lack the submissions but a quorum has published, we go on from what it published; else raises
        Unavailable.
        """
        try:
            self._derive(ledger, record, base)
        except Rejected as error:
            log.error("the accepted submissions make no policy", extra={"epoch": record.epoch, "why": str(error)})
        except Unavailable as error:
            if record.policy is None:
                raise
            log.error("no policy of our own", extra={"epoch": record.epoch, "why": str(error)})
        else:
            return
        self._given_up.add((record.epoch, base.policy_root))

    def _derive(self, ledger: TaskLedger, record: EpochRecord, base: PolicyRecord) -> None:
        """Aggregate, and write root and signature down before anybody hears of them."""
        version = PolicyVersion(base.version + 1)
        manifest = self.build(ledger.task_id, record, base)
        signer = self._signer
        word = _word(ledger.task_id, record, manifest.root)
        signature = sign_policy(self._node.account, signer.chain_id, signer.policies, word)
        with self._node.sessions() as session, session.begin():
            row = session.get(PolicyRow, (ledger.task_id, version)) or PolicyRow(ledger.task_id, version)
            row.epoch, row.own_root, row.parent_root = record.epoch, manifest.root, base.policy_root
            row.signature, row.posted = signature, False
            session.add(row)
        self._node.status("policy derived", epoch=record.epoch, version=version, root=manifest.root.hex())
        self._compared = None

    def build(self, task_id: TaskId, record: EpochRecord, base: PolicyRecord) -> Manifest:
        """Write the bundle of the policy that follows from a settled epoch.

        Raises Unavailable: a submission or the base cannot be had. Rejected: an accepted submission holds no update.
        """
        previous = self._inbox.policy(base.policy_root)
        submissions = [
            (
                each.submission.index,
                each.submission.units * score,
                self._inbox.submission(each.submission.manifest_root),
            )
            for each, score in accepted(record)
        ]
        version = base.version + 1
        directory = self._directory(task_id, version)
        shutil.rmtree(directory, ignore_errors=True)
        write_next(self._spec, previous, submissions, directory)
        terms = terms_of(self._spec.outer)
        fields: dict[str, Json] = {
            "task": task_id,
            "epoch": record.epoch,
            "version": version,
            "parent": base.policy_root.hex(),
            **(terms.fields() if terms is not None else {}),
        }
        manifest = build_bundle(directory, BundleKind.POLICY, fields)
        shutil.rmtree(self._directory(task_id, version - KEPT_VERSIONS), ignore_errors=True)
        return manifest

    def _post(self, ledger: TaskLedger, record: EpochRecord, row: PolicyRow) -> None:
        """First the bundle, then the signature: anyone who can publish a root can also fetch it.

        Raises Unavailable, also when relays refuse us for now: one that lags behind the chain does.
        """
        root = Root(row.own_root or b"")
        try:
            self._hand_out(ledger, record, row, root)
        except Stop as error:
            raise Unavailable(f"the relays do not take our policy: {error}") from error
        with self._node.sessions() as session, session.begin():
            session.get_one(PolicyRow, (ledger.task_id, row.version)).posted = True
        self._node.status("policy signed", epoch=record.epoch, version=row.version, root=root.hex())

    def _hand_out(self, ledger: TaskLedger, record: EpochRecord, row: PolicyRow, root: Root) -> None:
        directory = self._directory(ledger.task_id, row.version)
        if record.policy is None or record.policy.policy_root == root:
            if not (directory / "manifest.json").is_file():  # tidied away: the same bytes again
                self.build(ledger.task_id, record, base_of(ledger, record.epoch))
            self._node.board.publish(directory, read_manifest(directory, expected_root=root), self._node.account)
        signed = PolicySignature(self._node.verifier, root, row.signature or b"")
        self._node.board.post_signature(ledger.task_id, record.epoch, signed)

    def _publish(self, ledger: TaskLedger, record: EpochRecord, root: Root) -> bool:
        """Hand in the signatures of a quorum, if there is one; whether the policy was published."""
        signatures = self._valid_signatures(ledger.task_id, record, root)
        weight = sum(record.weights[operator] for operator in signatures)
        if weight * BPS < ledger.task.params.quorum_bps * record.weight_at_seal:
            return False
        ordered = [signatures[operator] for operator in sorted(signatures, key=lambda address: int(address, 16))]
        call = self._contract.publish_policy(ledger.task_id, record.epoch, root, f"assay:0x{root.hex()}", ordered)
        try:
            self._node.transactions.send(call, record.epoch)
        except Reverted:  # somebody was faster, or an earlier epoch's policy is still due
            self._node.rotation.refused(("publish", record.epoch))
            return False
        self._node.status("policy published", epoch=record.epoch, root=root.hex())
        return True

    def _valid_signatures(self, task_id: TaskId, record: EpochRecord, root: Root) -> dict[Address, bytes]:
        """Signatures of our root by the epoch's verifiers; the board is not believed."""
        valid: dict[Address, bytes] = {}
        signer, epoch = self._signer, record.epoch
        for each in self._node.board.signatures(task_id, epoch):
            if each.policy_root != root or each.operator not in record.members:
                continue
            try:
                word = _word(task_id, record, root)
                key = recover_policy_signer(each.signature, signer.chain_id, signer.policies, word)
            except Rejected:
                continue
            if signer.operator_of(key) == each.operator:
                valid[each.operator] = each.signature
        return valid

    def _directory(self, task_id: TaskId, version: int) -> Path:
        return self._folder / f"{task_id}-{version}"


def _word(task_id: TaskId, record: EpochRecord, root: Root) -> PolicyWord:
    if record.seed is None:
        raise ValueError(f"epoch {record.epoch} is not sealed")
    return PolicyWord(task_id, record.epoch, record.seed, root)
