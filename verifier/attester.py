"""Attests: writes report, evidence and salt down, commits to the report, reveals it when the phase allows.

The report is in the database before its commitment is sent, and there is one row per epoch: a crash at any point sends
nothing twice and never a second, different report. Evidence is published with the reveal, not before, so that nobody
can copy a verdict.
"""

import logging
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from eth_account.signers.local import LocalAccount
from sqlalchemy import select

from offchain.chain.contracts import AttestationsContract
from offchain.chain.ledger import EpochRecord
from offchain.chain.sender import Receipt
from offchain.daemon.status import Status
from offchain.protocol.encoding import attestation_commitment, canonical_json, report_hash
from offchain.protocol.errors import Reverted, Stop, Unavailable
from offchain.protocol.manifest import BundleKind, Manifest
from offchain.protocol.types import Address, Epoch, Root, TaskId
from offchain.shardcast.store import build_bundle, read_manifest
from verifier.database import Sessions
from verifier.docket import Judged
from verifier.inbox import REPORT_NAME
from verifier.models import AttestationRow, EvidenceRow, WorkRow
from verifier.transactions import Transactions
from verifier.verdict import report_bytes

log = logging.getLogger(__name__)


class Publisher(Protocol):
    """The part of a transport engine that gives bundles; see offchain/shardcast/engine.py."""

    def publish(self, directory: Path, manifest: Manifest, account: LocalAccount) -> None: ...


class Attester:
    """Attestations of one verifier (the operator) for one task."""

    def __init__(
        self,
        task_id: TaskId,
        verifier: Address,
        account: LocalAccount,
        contract: AttestationsContract,
        transactions: Transactions,
        publisher: Publisher,
        sessions: Sessions,
        folder: Path,
        status: Status,
        new_salt: Callable[[], bytes] = lambda: secrets.token_bytes(32),
    ) -> None:
        self._task_id, self._verifier, self._account = task_id, verifier, account
        self._contract, self._transactions, self._publisher = contract, transactions, publisher
        self._sessions, self._folder, self._status, self._new_salt = sessions, folder, status, new_salt
        self._published: set[Root] = set()

    def written(self, record: EpochRecord) -> AttestationRow | None:
        """Our attestation of an epoch, sent or not; None also when a reorganisation has sealed it anew since."""
        with self._sessions() as session:
            row = session.get(AttestationRow, (self._task_id, record.epoch))
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
        row = AttestationRow(self._task_id, epoch, record.seed, report, self._new_salt(), manifest.root)
        with self._sessions() as session, session.begin():
            session.merge(row)
            for each, document in zip(judged, documents, strict=True):
                key = (self._task_id, epoch, each.case.work.index)
                work = session.get_one(WorkRow, key)
                work.score, work.update_norm = each.verdict.score, each.verdict.update_norm
                work.reason = None if each.verdict.reason is None else str(each.verdict.reason)
                work.mean_reward, work.judged_s = each.mean_reward, each.seconds
                session.merge(EvidenceRow(*key, document.decode()))
        self._status("epoch judged", epoch=epoch, report=report.hex(), works=len(report))
        return row

    def commit(self, record: EpochRecord) -> None:
        """Send our commitment unless the chain has one. Raises Reverted, Unavailable, Stop."""
        row = self.written(record)
        if row is None or self._verifier in record.commitments:
            return
        try:
            self._transactions.send(
                self._contract.commit_attestation(self._task_id, record.epoch, self._commitment(row)), record.epoch
            )
        except Reverted as error:
            if error.error != "AlreadyAttested":  # ours, from before a crash: the ledger will show it
                raise
        self._mark(record.epoch, committed=True)
        self._status("attestation committed", epoch=record.epoch)

    def reveal(self, record: EpochRecord) -> Receipt | None:
        """Publish the evidence and reveal, unless the chain has our reveal. Raises Reverted, Unavailable, Stop."""
        row = self.written(record)
        commitment = record.commitments.get(self._verifier)
        if row is None or commitment is None or self._verifier in record.reveals:
            return None
        if commitment != self._commitment(row):
            log.error("the chain has another commitment than we wrote: is the key in use twice?")
            return None
        self.publish_evidence(row)
        call = self._contract.reveal_attestation(
            self._task_id, record.epoch, report_hash(row.report), row.salt, Root(row.evidence_root)
        )
        receipt = self._transactions.send(call, record.epoch)
        self._mark(record.epoch, revealed=True)
        self._status("attestation revealed", epoch=record.epoch, evidence=row.evidence_root.hex())
        return receipt

    def publish_evidence(self, row: AttestationRow) -> bool:
        """Give the evidence to the relays. Their trouble must not cost us the reveal, so it is only logged."""
        root = Root(row.evidence_root)
        if root in self._published:
            return True
        try:
            manifest = self._evidence(row)
            self._publisher.publish(self._directory(Epoch(row.epoch)), manifest, self._account)
        except (Unavailable, Stop) as error:
            log.warning("evidence is not on any relay yet", extra={"epoch": row.epoch, "why": str(error)})
            return False
        self._published.add(root)
        return True

    def _commitment(self, row: AttestationRow) -> bytes:
        return attestation_commitment(self._task_id, Epoch(row.epoch), self._verifier, row.report, row.salt)

    def _directory(self, epoch: Epoch) -> Path:
        return self._folder / f"{self._task_id}-{epoch}"

    def _evidence(self, row: AttestationRow) -> Manifest:
        """The bundle on disk, made again from the database when somebody has tidied it away."""
        directory = self._directory(Epoch(row.epoch))
        if (directory / "manifest.json").is_file():
            return read_manifest(directory, expected_root=Root(row.evidence_root))
        with self._sessions() as session:
            mine = EvidenceRow.task_id == self._task_id, EvidenceRow.epoch == row.epoch
            documents = session.scalars(select(EvidenceRow).where(*mine).order_by(EvidenceRow.index)).all()
        return self._build_evidence(Epoch(row.epoch), row.report, [each.document.encode() for each in documents])

    def _build_evidence(self, epoch: Epoch, report: bytes, documents: Sequence[bytes]) -> Manifest:
        directory = self._directory(epoch)
        shutil.rmtree(directory, ignore_errors=True)
        (directory / "works").mkdir(parents=True)
        (directory / REPORT_NAME).write_bytes(report)
        for index, document in enumerate(documents):
            (directory / "works" / f"{index}.json").write_bytes(document)
        fields = {"task": self._task_id, "epoch": epoch, "verifier": self._verifier}
        return build_bundle(directory, BundleKind.EVIDENCE, fields)

    def _mark(self, epoch: Epoch, *, committed: bool = False, revealed: bool = False) -> None:
        with self._sessions() as session, session.begin():
            row = session.get_one(AttestationRow, (self._task_id, epoch))
            row.committed, row.revealed = row.committed or committed, row.revealed or revealed


def evidence_document(judged: Judged) -> bytes:
    """`works/<index>.json`: the case and the verdict. All it takes to judge again, but for the bundles themselves."""
    return canonical_json({"case": judged.case.json(), "verdict": judged.verdict.json()})
