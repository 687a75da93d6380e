"""One report per epoch, in the database before it is sent; revealed together with its evidence."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account

from assay_core.protocol.encoding import attestation_commitment, parse_canonical_json
from assay_core.protocol.errors import Reason, Reverted
from assay_core.protocol.types import Address, Root, Seed
from assay_verifier.attester import REPORT_NAME, Attester
from assay_verifier.case import parse_case
from assay_verifier.database import Sessions, migrate, open_database, session_factory
from assay_verifier.judging_queue import Judged
from assay_verifier.models import AttestationRow, EvidenceRow, SubmissionRow, TransactionRow
from assay_verifier.recorder import Recorder
from assay_verifier.sealed import Envelope
from assay_verifier.verdict import conclude, failed, passed
from tests.fakes import Notes
from tests.submissions import TRAINER
from tests.unit.verifier.chronicle import CONTRACT, Chronicle
from tests.unit.verifier.fakes import Sent, ShardStore, attester_of, node_of
from tests.unit.verifier.honest import SPEC, plain_case

KEY = Account.from_key(b"\x01" * 32)
VERIFIER = Address(KEY.address)
ROOT = Root(b"\x05" * 32)


@dataclass
class Scene:
    chronicle: Chronicle
    shards: ShardStore
    sent: Sent
    sessions: Sessions
    folder: Path
    status: Notes

    def attester(self) -> Attester:
        """As a new process would build it."""
        node = node_of(VERIFIER, KEY, self.sent, self.shards, self.sessions, self.status)
        return attester_of(node, self.folder / "evidence")

    def lose_everything(self) -> None:
        """But for the key: another machine goes on."""
        self.sessions = new_database(self.folder / "another.db")
        self.folder = self.folder / "another"
        Recorder(self.sessions, SPEC).record(self.chronicle.ledger, {})


def new_database(path: Path) -> Sessions:
    engine = open_database(f"sqlite:///{path}")
    migrate(engine)
    return session_factory(engine)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A sealed epoch with one submission, recorded in the database."""
    sessions = new_database(tmp_path / "verifier.db")
    chronicle = Chronicle(ROOT)
    chronicle.verifier(VERIFIER)
    chronicle.submission(TRAINER, ROOT)
    chronicle.seal()
    Recorder(sessions, SPEC).record(chronicle.ledger, {})
    return Scene(chronicle, ShardStore(), Sent(), sessions, tmp_path, Notes())


def judged(score: int = 100) -> list[Judged]:
    finding = passed("bytes", 0, 0, "fine") if score else failed("rewards", Reason.MALFORMED, 1, 0, "not fine")
    return [Judged(plain_case(SPEC, ROOT, ROOT), conclude([finding], 0.5), 0.25, 0.1)]


def test_commitment_is_that_of_the_written_report(scene: Scene) -> None:
    attester = scene.attester()
    row = attester.write(scene.chronicle.record(), judged())
    attester.commit(scene.chronicle.record())
    expected = attestation_commitment(Seed(row.seed), VERIFIER, bytes([100]), row.salt)
    assert [call.arguments["commitment"] for call in scene.sent.calls] == [expected]
    with scene.sessions() as session:
        submission = session.get_one(SubmissionRow, (1, 0, 0))
        assert (submission.score, submission.reason, submission.mean_reward, submission.update_norm) == (
            100,
            None,
            0.25,
            0.5,
        )
        assert session.get_one(AttestationRow, (1, 0)).committed


def test_crash_between_writing_and_sending_keeps_report_and_salt(scene: Scene) -> None:
    before = scene.attester().write(scene.chronicle.record(), judged())
    after = scene.attester().write(scene.chronicle.record(), judged(0))  # another opinion comes too late
    assert (after.report, after.salt, after.evidence_root) == (before.report, before.salt, before.evidence_root)


def test_nothing_is_sent_that_the_chain_has(scene: Scene) -> None:
    attester = scene.attester()
    row = attester.write(scene.chronicle.record(), judged())
    attester.commit(scene.chronicle.record())
    scene.chronicle.commit(VERIFIER, commitment_to(row))
    scene.attester().commit(scene.chronicle.record())
    assert len(scene.sent.calls) == 1
    scene.attester().reveal(scene.chronicle.record())
    scene.chronicle.reveal(VERIFIER, row.report, Root(row.evidence_root))
    scene.attester().reveal(scene.chronicle.record())
    assert [call.function for call in scene.sent.calls] == ["commitAttestation", "revealAttestation"]


def test_commitment_that_was_mined_before_a_crash_is_no_trouble(scene: Scene) -> None:
    attester = scene.attester()
    attester.write(scene.chronicle.record(), judged())
    scene.sent.refusal = "AlreadyCommitted"
    attester.commit(scene.chronicle.record())
    scene.sent.refusal = "WrongPhase"
    with pytest.raises(Reverted):
        attester.commit(scene.chronicle.record())
    with scene.sessions() as session:
        assert [row.outcome for row in session.query(TransactionRow).order_by(TransactionRow.id)] == [
            "AlreadyCommitted",
            "WrongPhase",
        ]


def commitment_to(row: AttestationRow) -> bytes:
    return attestation_commitment(Seed(row.seed), VERIFIER, row.report, row.salt)


def commit(scene: Scene, attester: Attester) -> AttestationRow:
    """Written, sent, and told by the chain as it was sent."""
    row = attester.write(scene.chronicle.record(), judged())
    attester.commit(scene.chronicle.record())
    call = scene.sent.calls.pop()
    commitment, sealed = call.arguments["commitment"], call.arguments["sealedReport"]
    assert isinstance(commitment, bytes) and isinstance(sealed, bytes)
    scene.chronicle.commit(VERIFIER, commitment, sealed_report=sealed)
    return row


def test_evidence_is_published_with_the_reveal_and_not_before(scene: Scene) -> None:
    attester = scene.attester()
    row = commit(scene, attester)
    assert not scene.shards.bundles
    attester.reveal(scene.chronicle.record())
    call = scene.sent.calls[-1]
    assert call.arguments["evidenceRoot"] == row.evidence_root and call.arguments["report"] == row.report
    directory = scene.shards.bundles[Root(row.evidence_root)]
    document = parse_canonical_json((directory / "submissions/0.json").read_bytes())
    assert isinstance(document, dict) and parse_case(document["case"]) == judged()[0].case
    assert (directory / REPORT_NAME).read_bytes() == row.report


def test_relays_that_are_down_do_not_cost_the_reveal(scene: Scene) -> None:
    attester = scene.attester()
    row = commit(scene, attester)
    scene.shards.is_down = True
    assert attester.reveal(scene.chronicle.record()) is not None
    scene.shards.is_down = False
    assert attester.publish_evidence(row) and Root(row.evidence_root) in scene.shards.bundles


def test_evidence_that_was_tidied_away_is_made_again_from_the_database(scene: Scene) -> None:
    attester = scene.attester()
    row = commit(scene, attester)
    shutil.rmtree(scene.folder / "evidence")
    attester.reveal(scene.chronicle.record())
    assert (scene.shards.bundles[Root(row.evidence_root)] / REPORT_NAME).read_bytes() == row.report


def test_foreign_commitment_in_our_name_is_not_revealed(scene: Scene) -> None:
    attester = scene.attester()
    attester.write(scene.chronicle.record(), judged())
    scene.chronicle.commit(VERIFIER, b"\x01" * 32)
    assert attester.reveal(scene.chronicle.record()) is None and not scene.sent.calls


# ---- after a loss


def test_a_verifier_that_loses_its_database_after_committing_reveals_all_the_same(scene: Scene) -> None:
    row = commit(scene, scene.attester())
    scene.lose_everything()
    assert scene.attester().written(scene.chronicle.record()) is None
    assert scene.attester().reveal(scene.chronicle.record()) is not None
    (call,) = scene.sent.calls
    revealed = call.arguments["report"], call.arguments["salt"], call.arguments["evidenceRoot"]
    assert revealed == (row.report, row.salt, row.evidence_root)
    recovered = scene.attester().written(scene.chronicle.record())
    assert recovered is not None and recovered.committed and recovered.revealed
    assert not scene.shards.bundles  # its evidence is lost; the report is on chain


def test_what_another_judgement_has_written_since_gives_way_to_what_is_committed(scene: Scene) -> None:
    """A verifier that lost its database may have judged again before it saw its own commitment."""
    row = commit(scene, scene.attester())
    scene.lose_everything()
    scene.attester().write(scene.chronicle.record(), judged(0))
    assert scene.attester().reveal(scene.chronicle.record()) is not None
    (call,) = scene.sent.calls
    assert (call.arguments["report"], call.arguments["salt"]) == (row.report, row.salt)


def test_a_commitment_that_another_key_sealed_is_not_opened(scene: Scene) -> None:
    row = commit(scene, scene.attester())
    committed = scene.chronicle.record().commitments[VERIFIER]
    scene.lose_everything()
    attester = scene.attester()
    other = Envelope(Account.from_key(b"\x02" * 32), 31_337, CONTRACT)
    attester._envelope = other  # pyright: ignore[reportPrivateUsage]
    assert attester.reveal(scene.chronicle.record()) is None and not scene.sent.calls
    assert committed.commitment == commitment_to(row)


def test_epoch_that_a_reorganisation_sealed_again_is_judged_again(scene: Scene) -> None:
    attester = scene.attester()
    before = attester.write(scene.chronicle.record(), judged())
    scene.chronicle.record().seed = Seed(b"\x06" * 32)
    assert attester.written(scene.chronicle.record()) is None
    after = attester.write(scene.chronicle.record(), judged(0))
    assert after.report != before.report and after.salt != before.salt
    with scene.sessions() as session:
        assert session.query(AttestationRow).count() == 1 and session.query(EvidenceRow).count() == 1


def test_unsealed_epoch_has_no_report(scene: Scene) -> None:
    with pytest.raises(ValueError, match="not sealed"):
        scene.attester().write(scene.chronicle.record(1), [])
