"""Attests: writes report, evidence and salt down, commits to the report, reveals it when the phase allows.

The report is in the database before its commitment is sent, and there is one row per epoch: a crash at any point sends
nothing twice and never a second, different report. What it takes to reveal is told with the commitment, for our key
alone, so that a verifier that loses its database reveals all the same. Evidence is published with the reveal, not
before, so that nobody can copy a verdict.
"""

import logging
import secrets
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from assay_core.bundle.directory import build_bundle, read_manifest
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.chain.contracts import AttestationsContract
from assay_core.chain.records import Commitment, EpochRecord
from assay_core.chain.sender import Receipt
from assay_core.protocol.encoding import attestation_commitment, canonical_json
from assay_core.protocol.errors import Malformed, Reverted, Stop, Unavailable
from assay_core.protocol.types import Epoch, Root, Seed
from assay_verifier.judging_queue import Judged
from assay_verifier.models import AttestationRow, EvidenceRow, SubmissionRow
from assay_verifier.node import Node
from assay_verifier.sealed import Envelope, Secret, Subject
from assay_verifier.verdict import report_bytes

log = logging.getLogger(__name__)

REPORT_NAME = "report.bin"


class Attester:
    """Attestations of one verifier (the operator) for one task."""

    def __init__(
        self,
        node: Node,
        contract: AttestationsContract,
        envelope: Envelope,
        folder: Path,
        new_salt: Callable[[], bytes] = lambda: secrets.token_bytes(32),
    ) -> None:
        self._node, self._contract, self._envelope = node, contract, envelope
        self._folder, self._new_salt = folder, new_salt
        self._published: set[Root] = set()
        self._foreign: set[bytes] = set()  # commitments in our name that we cannot open

    def written(self, record: EpochRecord) -> AttestationRow | None:
        """Our attestation of an epoch, sent or not; None also when a reorganisation has sealed it again since."""
        with self._node.sessions() as session:
            row = session.get(AttestationRow, (self._node.task_id, record.epoch))
        return row if row is not None and row.seed == record.seed else None

    def write(self, record: EpochRecord, judged: Sequence[Judged]) -> AttestationRow:
        """Write the judgement of a sealed epoch down, once and for all: a second call returns the first one's row."""
        if (found := self.written(record)) is not None:
            return found
        epoch = record.epoch
        if record.seed is None:
            raise ValueError(f"epoch {epoch} is not sealed")
        report = report_bytes([each.verdict for each in judged])
        documents = [evidence_document(each) for each in judged]
        manifest = self._build_evidence(epoch, report, documents)
        row = AttestationRow(self._node.task_id, epoch, record.seed, report, self._new_salt(), manifest.root)
        with self._node.sessions() as session, session.begin():
            session.merge(row)
            for each, document in zip(judged, documents, strict=True):
                key = (self._node.task_id, epoch, each.case.submission.index)
                submission = session.get_one(SubmissionRow, key)
                submission.score, submission.update_norm = each.verdict.score, each.verdict.update_norm
                submission.reason = None if each.verdict.reason is None else str(each.verdict.reason)
                submission.mean_reward, submission.judged_s = each.mean_reward, each.seconds
                session.merge(EvidenceRow(*key, document.decode()))
        self._node.status("epoch judged", epoch=epoch, report=report.hex(), submissions=len(report))
        return row

    def commit(self, record: EpochRecord) -> None:
        """Send our commitment unless the chain has one. Raises Reverted, Unavailable, Stop."""
        row = self.written(record)
        if row is None or self._node.verifier in record.commitments:
            return
        sealed = self._envelope.seal(Secret(row.report, row.salt, Root(row.evidence_root)), self._subject(row))
        call = self._contract.commit_attestation(self._node.task_id, record.epoch, self._commitment(row), sealed)
        try:
            self._node.transactions.send(call, record.epoch)
        except Reverted as error:
            if error.error != "AlreadyCommitted":  # ours, from before a crash: the ledger will show it
                raise
        self._mark(record.epoch, committed=True)
        self._node.status("attestation committed", epoch=record.epoch)

    def reveal(self, record: EpochRecord) -> Receipt | None:
        """Publish the evidence and reveal, unless the chain has our reveal. Raises Reverted, Unavailable, Stop."""
        committed = record.commitments.get(self._node.verifier)
        if committed is None or self._node.verifier in record.reveals:
            return None
        row = self.written(record)
        if row is None or committed.commitment != self._commitment(row):
            row = self._recover(record, committed)
        if row is None:
            return None
        self.publish_evidence(row)
        call = self._contract.reveal_attestation(
            self._node.task_id, record.epoch, row.report, row.salt, Root(row.evidence_root)
        )
        receipt = self._node.transactions.send(call, record.epoch)
        self._mark(record.epoch, revealed=True)
        self._node.status("attestation revealed", epoch=record.epoch, evidence=row.evidence_root.hex())
        return receipt

    def _recover(self, record: EpochRecord, committed: Commitment) -> AttestationRow | None:
        """What we had committed to, out of the chain: our database is another one. None: it is not of our key."""
        if record.seed is None or committed.commitment in self._foreign:
            return None
        subject = Subject(self._node.task_id, record.epoch, record.seed, self._node.verifier)
        try:
            secret = self._envelope.open(committed.sealed_report, subject)
        except Malformed as error:
            secret = None
            log.warning("a commitment in our name cannot be opened", extra={"epoch": record.epoch, "why": str(error)})
        if secret is None or committed.commitment != self._commitment_to(secret, record.seed):
            self._foreign.add(committed.commitment)
            log.error("the chain has another commitment than we wrote: is the key in use twice?")
            return None
        row = AttestationRow(
            self._node.task_id,
            record.epoch,
            record.seed,
            secret.report,
            secret.salt,
            secret.evidence_root,
            committed=True,
        )
        with self._node.sessions() as session, session.begin():
            row = session.merge(row)
        self._node.status("attestation recovered from the chain", epoch=record.epoch)
        return row

    def publish_evidence(self, row: AttestationRow) -> bool:
        """Give the evidence to the relays. Their trouble must not cost us the reveal, so it is only logged."""
        root = Root(row.evidence_root)
        if root in self._published:
            return True
        manifest = self._evidence(row)
        if manifest is None:  # lost with a database: the report itself is on chain
            return False
        try:
            self._node.board.publish(self._directory(Epoch(row.epoch)), manifest, self._node.account)
        except (Unavailable, Stop) as error:
            log.warning("evidence is not on any relay yet", extra={"epoch": row.epoch, "why": str(error)})
            return False
        self._published.add(root)
        return True

    def _commitment(self, row: AttestationRow) -> bytes:
        return attestation_commitment(Seed(row.seed), self._node.verifier, row.report, row.salt)

    def _commitment_to(self, secret: Secret, seed: Seed) -> bytes:
        return attestation_commitment(seed, self._node.verifier, secret.report, secret.salt)

    def _subject(self, row: AttestationRow) -> Subject:
        return Subject(self._node.task_id, Epoch(row.epoch), Seed(row.seed), self._node.verifier)

    def _directory(self, epoch: Epoch) -> Path:
        return self._folder / f"{self._node.task_id}-{epoch}"

    def _evidence(self, row: AttestationRow) -> Manifest | None:
        """The bundle on disk, made again from the database when somebody has tidied it away; None: that is lost too."""
        directory = self._directory(Epoch(row.epoch))
        if (directory / "manifest.json").is_file():
            with suppress(Malformed):  # of another report than the one that the chain knows
                return read_manifest(directory, expected_root=Root(row.evidence_root))
        with self._node.sessions() as session:
            mine = EvidenceRow.task_id == self._node.task_id, EvidenceRow.epoch == row.epoch
            documents = session.scalars(select(EvidenceRow).where(*mine).order_by(EvidenceRow.index)).all()
        manifest = self._build_evidence(Epoch(row.epoch), row.report, [each.document.encode() for each in documents])
        return manifest if manifest.root == row.evidence_root else None

    def _build_evidence(self, epoch: Epoch, report: bytes, documents: Sequence[bytes]) -> Manifest:
        directory = self._directory(epoch)
        shutil.rmtree(directory, ignore_errors=True)
        (directory / "submissions").mkdir(parents=True)
        (directory / REPORT_NAME).write_bytes(report)
        for index, document in enumerate(documents):
            (directory / "submissions" / f"{index}.json").write_bytes(document)
        fields = {"task": self._node.task_id, "epoch": epoch, "verifier": self._node.verifier}
        return build_bundle(directory, BundleKind.EVIDENCE, fields)

    def _mark(self, epoch: Epoch, *, committed: bool = False, revealed: bool = False) -> None:
        with self._node.sessions() as session, session.begin():
            row = session.get_one(AttestationRow, (self._node.task_id, epoch))
            row.committed, row.revealed = row.committed or committed, row.revealed or revealed


def evidence_document(judged: Judged) -> bytes:
    """`submissions/<index>.json`: the case and the verdict.

    All it takes to judge again, but for the bundles themselves.
    """
    return canonical_json({"case": judged.case.json(), "verdict": judged.verdict.json()})
