"""The service: what it shows, what it refuses, and that it shows nothing but text that strangers wrote."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.errors import Reason
from assay_core.protocol.types import EpochPhase, Root
from assay_verifier.api import create_api
from assay_verifier.database import Sessions, migrate, open_database, session_factory
from assay_verifier.judging_queue import Judged
from assay_verifier.models import AttestationRow, EpochRow, EvidenceRow, PolicyRow, TransactionRow, WorkRow
from assay_verifier.recorder import Recorder
from assay_verifier.verdict import conclude, failed, passed
from tests.unit.verifier.chronicle import Chronicle
from tests.unit.verifier.honest import SPEC, TRAINER, plain_case

ROOT = Root(b"\x05" * 32)
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    engine = open_database(f"sqlite:///{tmp_path / 'verifier.db'}")
    migrate(engine)
    return session_factory(engine)


@pytest.fixture
def client(sessions: Sessions) -> TestClient:
    """A task with one settled epoch: an accepted work and a fraud."""
    chronicle = Chronicle(ROOT)
    chronicle.work(TRAINER, ROOT)
    chronicle.work(TRAINER, Root(b"\x06" * 32))
    chronicle.seal()
    chronicle.settle(bytes([100, 255]))
    chronicle.publish(Root(b"\x07" * 32))
    spec = SPEC.model_copy(update={"title": NASTY})
    Recorder(sessions, spec).record(chronicle.ledger, {chronicle.record().epoch: EpochPhase.CHALLENGEABLE})
    fraud = failed("toploc", Reason.PROOF_MISMATCH, 90, 38, f"does not match {NASTY}", evidence={"group": 3})
    verdicts = [conclude([passed("bytes", 0, 0, "fine")]), conclude([passed("bytes", 0, 0, "fine"), fraud])]
    with sessions() as session, session.begin():
        for index, verdict in enumerate(verdicts):
            judged = Judged(plain_case(SPEC, ROOT, ROOT), verdict, 0.5, 0.2)
            document = canonical_json({"case": judged.case.json(), "verdict": verdict.json()}).decode()
            session.add(EvidenceRow(1, 0, index, document))
            work = session.get_one(WorkRow, (1, 0, index))
            work.score, work.mean_reward, work.judged_s = verdict.score, 0.5, 0.2
            work.reason = None if verdict.reason is None else str(verdict.reason)
        session.add(AttestationRow(1, 0, bytes(32), bytes([100, 255]), bytes(32), ROOT, committed=True))
        session.get_one(PolicyRow, (1, 1)).own_root = b"\x08" * 32
        session.add(TransactionRow(1, 0, "settle", "sent"))
    return TestClient(create_api(sessions))


def test_health_tells_that_the_database_answers(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok", "tasks": 1}


def test_health_is_503_when_the_database_does_not_answer(sessions: Sessions) -> None:
    with sessions() as session, session.begin():
        session.execute(text("DROP TABLE tasks"))
    assert TestClient(create_api(sessions)).get("/health").status_code == 503


def test_tasks_and_their_specs(client: TestClient) -> None:
    (task,) = client.get("/tasks").json()
    assert (task["task_id"], task["epochs"], task["newest_policy"], task["is_closed"]) == (1, 2, 1, False)
    assert client.get("/tasks/1").json()["spec"]["environment"]["name"] == "sorting"


def test_epochs_with_scores_and_our_report(client: TestClient) -> None:
    newest, oldest = client.get("/tasks/1/epochs").json()
    assert (newest["epoch"], newest["phase"], newest["scores"]) == (1, "COMMITTING", None)
    assert oldest == client.get("/tasks/1/epochs/0").json()
    assert (oldest["phase"], oldest["scores"], oldest["report"]) == ("CHALLENGEABLE", [100, 255], [100, 255])
    assert oldest["committed"] and not oldest["revealed"] and oldest["evidence_root"] == ROOT.hex()
    assert [each["epoch"] for each in client.get("/tasks/1/epochs?limit=1&offset=1").json()] == [0]


def test_works_with_score_reason_and_evidence(client: TestClient) -> None:
    good, bad = client.get("/tasks/1/epochs/0/works").json()
    assert (good["score"], good["reason"], good["settled_score"]) == (100, None, 100)
    assert (bad["score"], bad["reason"], bad["settled_score"]) == (255, "proof_mismatch", 255)
    detail = client.get("/tasks/1/epochs/0/works/1").json()
    finding = detail["evidence"]["verdict"]["findings"][-1]
    assert (finding["measured"], finding["threshold"], finding["evidence"]) == ("90.0", "38.0", {"group": 3})
    assert detail["evidence"]["case"]["work"]["trainer"] == TRAINER


WORDS = ("proof_mismatch", "proof mismatch", "does not match", "0.5", "38.0", "64", f"{ROOT.hex()}</code>.")
VERDICTS = ("score", "reason", "mean_reward", "update_norm", "judged_s")


@pytest.mark.parametrize("phase", [EpochPhase.COMMITTING, EpochPhase.ATTEST_COMMIT, EpochPhase.ATTEST_REVEAL])
def test_nothing_of_a_verdict_is_told_before_the_report_is_revealed(
    client: TestClient, sessions: Sessions, phase: EpochPhase
) -> None:
    """Who could read it would commit to the same report without a look at the works."""
    unsettled(sessions, phase)
    epoch = client.get("/tasks/1/epochs/0").json()
    assert epoch == client.get("/tasks/1/epochs").json()[1]
    assert (epoch["works"], epoch["committed"], epoch["revealed"]) == (2, True, False)
    assert epoch["report"] is epoch["evidence_root"] is None
    for work in (*client.get("/tasks/1/epochs/0/works").json(), client.get("/tasks/1/epochs/0/works/1").json()):
        assert work["trainer"] == TRAINER and not any(work[name] is not None for name in VERDICTS)
        assert work.get("evidence") is None
    pages = "/explorer/tasks/1/epochs/0", "/explorer/tasks/1/epochs/0/works/1"
    for page in (*(client.get(path).text for path in pages), client.get("/metrics").text):
        assert not any(word in page for word in WORDS)
    assert client.get("/explorer/tasks/1").text.count("no score yet") == 2
    shown = client.get("/metrics").text
    assert "assay_works_judged_total{" not in shown and "assay_judging_seconds_total{" not in shown


def test_verdicts_are_told_once_revealed_or_too_late_for_anybody(client: TestClient, sessions: Sessions) -> None:
    def told() -> bool:
        return bool(client.get("/tasks/1/epochs/0").json()["report"]) and bool(
            client.get("/tasks/1/epochs/0/works/1").json()["evidence"]
        )

    for phase in EpochPhase:
        unsettled(sessions, phase)
        assert told() == (phase not in (EpochPhase.COMMITTING, EpochPhase.ATTEST_COMMIT, EpochPhase.ATTEST_REVEAL))
    unsettled(sessions, EpochPhase.ATTEST_REVEAL, revealed=True)
    assert told()
    unsettled(sessions, EpochPhase.ATTEST_COMMIT, revealed=True, seed=b"\x09" * 32)  # the chain took the reveal back
    assert not told()


def unsettled(sessions: Sessions, phase: EpochPhase, *, revealed: bool = False, seed: bytes | None = None) -> None:
    """Epoch 0 before it was settled."""
    with sessions() as session, session.begin():
        epoch = session.get_one(EpochRow, (1, 0))
        attestation = session.get_one(AttestationRow, (1, 0))
        epoch.phase, epoch.scores, attestation.revealed = phase.name, None, revealed
        attestation.seed = epoch.seed if seed is None and epoch.seed is not None else seed or bytes(32)
        for work in session.query(WorkRow).filter_by(task_id=1, epoch=0):
            work.settled_score = None


def test_policies_beside_what_we_derived(client: TestClient) -> None:
    first, second = client.get("/policies").json()
    assert (first["version"], first["epoch"], first["root"]) == (0, None, ROOT.hex())
    assert (second["root"], second["own_root"]) == ("07" * 32, "08" * 32)
    assert client.get("/policies?task_id=2").json() == []


@pytest.mark.parametrize(
    "path",
    [
        "/tasks/9",
        "/tasks/9/epochs",
        "/tasks/1/epochs/9",
        "/tasks/1/epochs/9/works",
        "/tasks/1/epochs/0/works/9",
        "/explorer/tasks/9",
        "/explorer/tasks/1/epochs/9",
        "/explorer/tasks/1/epochs/0/works/9",
    ],
)
def test_what_this_verifier_does_not_know_is_404(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 and "knows no" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/tasks/0",
        "/tasks/x",
        f"/tasks/{2**64}",
        "/tasks/1/epochs/-1",
        "/tasks/1/epochs/0/works/65536",
        "/tasks?limit=0",
        "/tasks?limit=100000",
        "/policies?task_id=0",
    ],
)
def test_impossible_input_is_422(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 422


def test_metrics_count_what_an_operator_watches(client: TestClient) -> None:
    shown = client.get("/metrics").text
    for line in (
        'assay_works_judged_total{reason="accepted",task="1"} 1.0',
        'assay_works_judged_total{reason="proof_mismatch",task="1"} 1.0',
        'assay_judging_seconds_total{task="1"} 0.4',
        'assay_epochs{phase="CHALLENGEABLE",task="1"} 1.0',
        'assay_policy_version{task="1"} 1.0',
        'assay_policy_roots_differing{task="1"} 1.0',
        'assay_transactions_total{name="settle",outcome="sent",task="1"} 1.0',
    ):
        assert line in shown


def test_service_describes_itself(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/health", "/metrics", "/tasks/{task_id}/epochs/{epoch}/works/{index}", "/policies"} <= set(paths)
    assert not any(path.startswith("/explorer") for path in paths)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "Tasks"),
        ("/explorer/tasks/1", "differs"),
        ("/explorer/tasks/1/epochs/0", "proof mismatch"),
        ("/explorer/tasks/1/epochs/0/works/0", "Every check passed"),
        ("/explorer/tasks/1/epochs/0/works/1", "38.0"),
    ],
)
def test_pages_show_the_words_and_escape_what_strangers_wrote(client: TestClient, path: str, words: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200 and words in answer.text
    assert NASTY not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "http://" not in answer.text and "https://" not in answer.text  # nothing is loaded from elsewhere


def test_empty_verifier_says_how_to_start(sessions: Sessions) -> None:
    assert "assay verifier run" in TestClient(create_api(sessions)).get("/").text
