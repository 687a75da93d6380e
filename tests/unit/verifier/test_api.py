"""The service: what it shows, what it refuses, and that it shows nothing but text that strangers wrote."""

import json
import re
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from assay_core.daemon.heartbeat import Account, Balances
from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.errors import Reason
from assay_core.protocol.types import Epoch, EpochPhase, Root
from assay_verifier.api import create_api
from assay_verifier.database import Sessions, migrate, open_database, session_factory
from assay_verifier.judging_queue import Judged
from assay_verifier.models import (
    AttestationRow,
    EpochRow,
    EvidenceRow,
    HeartbeatRow,
    PolicyRow,
    SubmissionRow,
    TransactionRow,
)
from assay_verifier.recorder import Recorder
from assay_verifier.verdict import conclude, failed, passed
from tests.submissions import TRAINER
from tests.unit.verifier.chronicle import Chronicle
from tests.unit.verifier.honest import SPEC, plain_case

ROOT = Root(b"\x05" * 32)
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    engine = open_database(f"sqlite:///{tmp_path / 'verifier.db'}")
    migrate(engine)
    return session_factory(engine)


@pytest.fixture
def client(sessions: Sessions) -> TestClient:
    """A task with one settled epoch: an accepted submission and a fraud."""
    chronicle = Chronicle(ROOT)
    chronicle.submission(TRAINER, ROOT)
    chronicle.submission(TRAINER, Root(b"\x06" * 32))
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
            submission = session.get_one(SubmissionRow, (1, 0, index))
            submission.score, submission.mean_reward, submission.judged_s = verdict.score, 0.5, 0.2
            submission.reason = None if verdict.reason is None else str(verdict.reason)
        session.add(AttestationRow(1, 0, bytes(32), bytes([100, 255]), bytes(32), ROOT, committed=True))
        session.get_one(PolicyRow, (1, 1)).own_root = b"\x08" * 32
        session.add(TransactionRow(1, 0, "settle", "sent"))
    return TestClient(create_api(sessions))


def beat(sessions: Sessions, *, block_at: float = 990.0, looked_at: float = 995.0, has_ended: bool = False) -> None:
    with sessions() as session, session.begin():
        session.merge(
            HeartbeatRow(1, 7, block_at, looked_at, "waits for submissions", 900.0, 1_100, "5", has_ended=has_ended)
        )


def at_1000(sessions: Sessions) -> TestClient:
    """The service as it answers at second 1000; what is 60 seconds old is stale."""
    return TestClient(create_api(sessions, stale_after_s=60, clock=lambda: 1_000.0))


def test_health_tells_how_old_the_last_look_and_block_of_the_daemon_are(sessions: Sessions) -> None:
    beat(sessions)
    answer = at_1000(sessions).get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["daemons"] == [
        {
            "task_id": 1,
            "block": 7,
            "block_age_s": 10.0,
            "look_age_s": 5.0,
            "has_ended": False,
            "doing": "waits for submissions",
            "since": 900.0,
            "deadline": 1_100,
            "earned_wei": "5",
        }
    ]


@pytest.mark.parametrize(("block_at", "looked_at"), [(990.0, 900.0), (900.0, 995.0)], ids=["daemon", "node"])
def test_health_is_503_where_daemon_or_node_stands_still(sessions: Sessions, block_at: float, looked_at: float) -> None:
    beat(sessions, block_at=block_at, looked_at=looked_at)
    answer = at_1000(sessions).get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "stale")


def test_nobody_expects_a_look_of_a_daemon_whose_task_is_over(sessions: Sessions) -> None:
    beat(sessions, looked_at=0.0, has_ended=True)
    assert at_1000(sessions).get("/health").status_code == 200


def test_health_is_503_before_the_first_daemon(sessions: Sessions) -> None:
    answer = at_1000(sessions).get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "no daemon")


def test_health_is_503_when_the_database_does_not_answer(sessions: Sessions) -> None:
    with sessions() as session, session.begin():
        session.execute(text("DROP TABLE tasks"))
    answer = TestClient(create_api(sessions)).get("/health")
    assert answer.status_code == 503 and "database" in answer.json()["detail"]


def test_metrics_tell_how_old_the_last_look_is(sessions: Sessions) -> None:
    beat(sessions)
    shown = at_1000(sessions).get("/metrics").text
    assert 'assay_look_age_seconds{task="1"} 5.0' in shown and 'assay_block_age_seconds{task="1"} 10.0' in shown


def test_metrics_tell_what_the_operator_has_and_where_it_differed(sessions: Sessions) -> None:
    beat(sessions)
    account = Account(
        "ASSAY", 18, earned_wei=5, slashed_wei=6, missed_epochs=1, differing_reports=2, differing_scores=3,
        balances=Balances(coin_wei=9, bond_wei=100, free_wei=40, locked_wei=60),
    )  # fmt: skip
    with sessions() as session, session.begin():
        session.get_one(HeartbeatRow, 1).account = json.dumps(asdict(account))
    shown = at_1000(sessions).get("/metrics").text
    for line in (
        'assay_coin_wei{task="1"} 9.0',
        'assay_bond_wei{state="locked",task="1"} 60.0',
        'assay_earned_wei{task="1"} 5.0',
        'assay_slashed_wei{task="1"} 6.0',
        'assay_epochs_missed{task="1"} 1.0',
        'assay_reports_differing{task="1"} 2.0',
        'assay_scores_differing{task="1"} 3.0',
    ):
        assert line in shown


def test_latencies_of_judging_are_a_histogram(client: TestClient) -> None:
    shown = client.get("/metrics").text
    for line in (
        'assay_judging_latency_seconds_bucket{le="0.1",task="1"} 0.0',
        'assay_judging_latency_seconds_bucket{le="0.3",task="1"} 2.0',
        'assay_judging_latency_seconds_bucket{le="+Inf",task="1"} 2.0',
        'assay_judging_latency_seconds_count{task="1"} 2.0',
    ):
        assert line in shown


@pytest.mark.parametrize("path", ["/", "/health", "/tasks", "/tasks/1", "/explorer/tasks/1", "/docs", "/metrics"])
def test_head_is_answered_as_get_without_a_body(client: TestClient, sessions: Sessions, path: str) -> None:
    beat(sessions, looked_at=time.time(), block_at=time.time())
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == client.get(path).headers["content-type"]


def test_docs_list_every_call_and_load_nothing(client: TestClient) -> None:
    shown = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in shown
    assert "<script" not in shown and "//" not in shown.replace("<!doctype html>", "")


@pytest.mark.parametrize("strips", [True, False], ids=["proxy strips the prefix", "proxy keeps it"])
def test_behind_a_prefix_every_link_starts_with_it(client: TestClient, sessions: Sessions, strips: bool) -> None:
    behind = TestClient(create_api(sessions, root_path="/assay"))
    for path in ("/", "/explorer/tasks/1", "/explorer/tasks/1/epochs/0", "/docs"):
        answer = behind.get(path if strips else f"/assay{path}")
        links = re.findall(r'href="([^"]*)"', answer.text)
        assert answer.status_code == 200 and links and all(link.startswith("/assay/") for link in links)


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/explorer/tasks/99", 404, "this verifier knows no task 99"),
        ("/nowhere", 404, "Not Found"),
        ("/explorer/tasks/zero", 422, "task_id"),
    ],
)
def test_errors_are_pages_in_a_browser_and_json_for_programs(
    client: TestClient, path: str, status: int, words: str
) -> None:
    page = client.get(path, headers=BROWSER)
    assert page.status_code == status and words in page.text
    assert page.headers["content-type"].startswith("text/html") and "<h1>" in page.text
    assert "detail" in client.get(path).json()


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


def test_phase_in_the_database_is_that_of_the_chain_where_it_was_asked_and_else_of_the_events(
    sessions: Sessions,
) -> None:
    chronicle, recorder = Chronicle(ROOT), Recorder(sessions, SPEC)
    chronicle.submission(TRAINER, ROOT)

    def phase(**asked: EpochPhase) -> str:
        recorder.record(chronicle.ledger, {Epoch(0): each for each in asked.values()})
        with sessions() as session:
            return session.get_one(EpochRow, (1, 0)).phase

    assert phase() == "COMMITTING"
    chronicle.seal()
    assert (phase(), phase(asked=EpochPhase.MISSED)) == ("ATTEST_COMMIT", "MISSED")


def test_submissions_with_score_reason_and_evidence(client: TestClient) -> None:
    good, bad = client.get("/tasks/1/epochs/0/submissions").json()
    assert (good["score"], good["reason"], good["settled_score"]) == (100, None, 100)
    assert (bad["score"], bad["reason"], bad["settled_score"]) == (255, "proof_mismatch", 255)
    detail = client.get("/tasks/1/epochs/0/submissions/1").json()
    finding = detail["evidence"]["verdict"]["findings"][-1]
    assert (finding["measured"], finding["threshold"], finding["evidence"]) == ("90.0", "38.0", {"group": 3})
    assert detail["evidence"]["case"]["submission"]["trainer"] == TRAINER


WORDS = ("proof_mismatch", "proof mismatch", "does not match", "0.5", "38.0", "64", f"{ROOT.hex()}</code>.")
VERDICTS = ("score", "reason", "mean_reward", "update_norm", "judged_s")


@pytest.mark.parametrize("phase", [EpochPhase.COMMITTING, EpochPhase.ATTEST_COMMIT, EpochPhase.ATTEST_REVEAL])
def test_nothing_of_a_verdict_is_told_before_the_report_is_revealed(
    client: TestClient, sessions: Sessions, phase: EpochPhase
) -> None:
    """Who could read it would commit to the same report without a look at the submissions."""
    unsettled(sessions, phase)
    epoch = client.get("/tasks/1/epochs/0").json()
    assert epoch == client.get("/tasks/1/epochs").json()[1]
    assert (epoch["submissions"], epoch["committed"], epoch["revealed"]) == (2, True, False)
    assert epoch["report"] is epoch["evidence_root"] is None
    for submission in (
        *client.get("/tasks/1/epochs/0/submissions").json(),
        client.get("/tasks/1/epochs/0/submissions/1").json(),
    ):
        assert submission["trainer"] == TRAINER and not any(submission[name] is not None for name in VERDICTS)
        assert submission.get("evidence") is None
    pages = "/explorer/tasks/1/epochs/0", "/explorer/tasks/1/epochs/0/submissions/1"
    for page in (*(client.get(path).text for path in pages), client.get("/metrics").text):
        assert not any(word in page for word in WORDS)
    assert client.get("/explorer/tasks/1").text.count("no score yet") == 2
    shown = client.get("/metrics").text
    assert "assay_submissions_judged_total{" not in shown and "assay_judging_seconds_total{" not in shown


def test_verdicts_are_told_once_revealed_or_too_late_for_anybody(client: TestClient, sessions: Sessions) -> None:
    def told() -> bool:
        return bool(client.get("/tasks/1/epochs/0").json()["report"]) and bool(
            client.get("/tasks/1/epochs/0/submissions/1").json()["evidence"]
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
        for submission in session.query(SubmissionRow).filter_by(task_id=1, epoch=0):
            submission.settled_score = None


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
        "/tasks/1/epochs/9/submissions",
        "/tasks/1/epochs/0/submissions/9",
        "/explorer/tasks/9",
        "/explorer/tasks/1/epochs/9",
        "/explorer/tasks/1/epochs/0/submissions/9",
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
        "/tasks/1/epochs/0/submissions/65536",
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
        'assay_submissions_judged_total{reason="accepted",task="1"} 1.0',
        'assay_submissions_judged_total{reason="proof_mismatch",task="1"} 1.0',
        'assay_judging_seconds_total{task="1"} 0.4',
        'assay_epochs{phase="CHALLENGEABLE",task="1"} 1.0',
        'assay_policy_version{task="1"} 1.0',
        'assay_policy_roots_differing{task="1"} 1.0',
        'assay_transactions_total{name="settle",outcome="sent",task="1"} 1.0',
    ):
        assert line in shown


def test_service_describes_itself(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/health", "/metrics", "/tasks/{task_id}/epochs/{epoch}/submissions/{index}", "/policies"} <= set(paths)
    assert not any(path.startswith("/explorer") for path in paths)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "Tasks"),
        ("/explorer/tasks/1", "differs"),
        ("/explorer/tasks/1/epochs/0", "proof mismatch"),
        ("/explorer/tasks/1/epochs/0/submissions/0", "Every check passed"),
        ("/explorer/tasks/1/epochs/0/submissions/1", "38.0"),
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
