"""Evidence comes from strangers: it is checked, cut and cleaned before anything of it is shown."""

from pathlib import Path
from typing import Any

import pytest

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.evidence import MAX_DOCUMENT_BYTES
from assay_core.bundle.manifest import BundleKind
from assay_core.chain.creations import CONTRACTS
from assay_core.chain.ledger import CommittedSubmission, EpochRecord, Reveal
from assay_core.inspect.evidence import Statement, parse_document, printable, statement_of, statements
from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.errors import Malformed, Reason
from assay_core.protocol.types import Address, Epoch, PolicyVersion, Root, Submission, SubmissionIndex, SubmissionKind
from assay_protocol.cli.invocation import Invocation
from assay_verifier.verdict import conclude, failed, passed
from tests.fakes import Shelf

JUDGE = Address("0x" + "11" * 20)
VERDICT = conclude(
    [passed("bytes", 0, 0, "well-formed"), failed("rewards", Reason.WRONG_REWARD, 0.5, 1e-6, "differs by 0.5")]
)
DOCUMENT: dict[str, Any] = {"case": {"task": 1}, "verdict": VERDICT.json()}
FINDING: dict[str, Any] = DOCUMENT["verdict"]["findings"][0]


def test_what_a_verifier_writes_is_read_back() -> None:
    verdict = parse_document(DOCUMENT)
    assert (verdict.score, verdict.reason) == (255, "wrong_reward")
    assert [finding.check for finding in verdict.findings] == ["bytes", "rewards"]
    assert verdict.failed is not None and verdict.failed.measured == 0.5


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {},
        {"case": {}, "verdict": []},
        {"case": [], "verdict": DOCUMENT["verdict"]},
        {"case": {}, "verdict": {**DOCUMENT["verdict"], "score": 256}},
        {"case": {}, "verdict": {**DOCUMENT["verdict"], "score": True}},
        {"case": {}, "verdict": {**DOCUMENT["verdict"], "findings": {}}},
        {"case": {}, "verdict": {**DOCUMENT["verdict"], "findings": [1]}},
        {"case": {}, "verdict": {**DOCUMENT["verdict"], "findings": [{}]}},
        {"case": {}, "verdict": {**DOCUMENT["verdict"], "findings": [DOCUMENT["verdict"]["findings"][0]] * 101}},
        {"case": {}, "verdict": {**DOCUMENT["verdict"], "reason": 7}},
        {"case": {}, "verdict": {**DOCUMENT["verdict"], "findings": [{**FINDING, "measured": "much"}]}},
        {"case": {}, "verdict": {**DOCUMENT["verdict"], "findings": [{**FINDING, "measured": 1}]}},
    ],
)
def test_what_is_no_verdict_is_refused(broken: Any) -> None:
    with pytest.raises(Malformed):
        parse_document(broken)


def test_text_cannot_steer_the_terminal() -> None:
    assert printable("\x1b[2Jgone\r\n\u202ekcab") == "?[2Jgone???kcab"
    assert len(printable("x" * 10_000)) == 500


OTHER = Address("0x" + "22" * 20)
SUBMISSION = Submission(
    Address("0x" + "33" * 20), SubmissionIndex(0), SubmissionKind.FULL, 4, PolicyVersion(0), Root(b"w" * 32)
)
CASE: dict[str, Any] = {"submission": {"manifest_root": SUBMISSION.manifest_root.hex()}}


def evidence(folder: Path, *, report: bytes = b"\xff", case: dict[str, Any] | None = None, score: int = 255) -> Root:
    """A bundle as a verifier writes it."""
    (folder / "submissions").mkdir(parents=True)
    (folder / "report.bin").write_bytes(report)
    document = {"case": CASE if case is None else case, "verdict": {**VERDICT.json(), "score": score}}
    (folder / "submissions" / "0.json").write_bytes(canonical_json(document))
    return build_bundle(folder, BundleKind.EVIDENCE, {"task": 1, "epoch": 0, "verifier": JUDGE}).root


def said_by(folder: Path, root: Root, *, who: Address = JUDGE, report: bytes = b"\xff") -> Statement:
    record = EpochRecord(Epoch(0), 100)
    record.submissions.append(CommittedSubmission(SUBMISSION, (1, 0), bytes(32)))
    record.reveals[who] = Reveal(report, root, 1, (1, 0))
    return statement_of(Shelf({root: folder}), who, record, SubmissionIndex(0))


def test_evidence_with_the_root_on_chain_is_believed(tmp_path: Path) -> None:
    told = said_by(tmp_path, evidence(tmp_path))
    assert told.problem == ""
    assert told.verdict is not None and told.verdict.reason == "wrong_reward"


@pytest.mark.parametrize("name", ["submissions/0.json", "report.bin", "manifest.json"])
def test_evidence_whose_bytes_do_not_match_its_root_on_chain_is_refused(tmp_path: Path, name: str) -> None:
    root = evidence(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    told = said_by(tmp_path, root)
    assert told.verdict is None
    assert told.problem


def test_evidence_of_another_root_is_refused(tmp_path: Path) -> None:
    evidence(tmp_path)
    told = said_by(tmp_path, Root(b"v" * 32))
    assert told.verdict is None
    assert "has root" in told.problem


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"report": b"\x64"}, "another report than the one revealed", id="another report"),
        pytest.param({"score": 100}, "another score than the report", id="contradicts its report"),
        pytest.param(
            {"case": {"submission": {"manifest_root": "00" * 32}}}, "about another submission", id="another submission"
        ),
        pytest.param({"case": {"submission": 1}}, "about another submission", id="no submission"),
    ],
)
def test_evidence_that_contradicts_what_is_on_chain_is_refused(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    told = said_by(tmp_path, evidence(tmp_path, **changes))
    assert told.verdict is None
    assert complaint in told.problem


def test_evidence_of_another_verifier_is_refused(tmp_path: Path) -> None:
    assert "another verifier's" in said_by(tmp_path, evidence(tmp_path), who=OTHER).problem


def test_a_bundle_of_another_kind_is_no_evidence(tmp_path: Path) -> None:
    evidence(tmp_path)
    (tmp_path / "manifest.json").unlink()
    assert "not evidence" in said_by(tmp_path, build_bundle(tmp_path, BundleKind.SUBMISSION, {}).root).problem


@pytest.mark.parametrize("name", ["report.bin", "submissions/0.json"])
def test_what_is_missing_in_evidence_is_told(tmp_path: Path, name: str) -> None:
    evidence(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / "manifest.json").unlink()
    root = build_bundle(tmp_path, BundleKind.EVIDENCE, {"verifier": JUDGE}).root
    assert f"has no {name}" in said_by(tmp_path, root).problem


def test_a_document_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    evidence(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "submissions" / "0.json").write_bytes(b" " * (MAX_DOCUMENT_BYTES + 1))
    root = build_bundle(tmp_path, BundleKind.EVIDENCE, {"verifier": JUDGE}).root
    assert "exceeds" in said_by(tmp_path, root).problem


def test_a_document_must_be_canonical(tmp_path: Path) -> None:
    evidence(tmp_path)
    (tmp_path / "manifest.json").unlink()
    path = tmp_path / "submissions" / "0.json"
    path.write_bytes(path.read_bytes() + b"\n")
    root = build_bundle(tmp_path, BundleKind.EVIDENCE, {"verifier": JUDGE}).root
    assert "canonical" in said_by(tmp_path, root).problem


def test_evidence_that_nobody_has_is_told() -> None:
    record = EpochRecord(Epoch(0), 100)
    record.reveals[JUDGE] = Reveal(b"\xff", Root(b"v" * 32), 1, (1, 0))
    assert statement_of(Shelf({}), JUDGE, record, SubmissionIndex(0)).problem == "no relay has it"


def test_relays_that_are_down_are_a_problem_told_not_an_error(home: Path) -> None:
    judge = JUDGE
    record = EpochRecord(Epoch(0), 100)
    record.reveals[judge] = Reveal(b"\xff", Root(b"v" * 32), 1, (1, 0))
    (home / "dead.json").write_text(
        '{"network": "dead", "chain_id": 1, "rpc_url": "http://127.0.0.1:9", "block": 1, "git_commit": "",'
        + ", ".join(f'"{name}": "{judge}"' for name in CONTRACTS)
        + "}"
    )
    asking = Invocation(network="dead.json", relays=("http://127.0.0.1:9",))
    [told] = statements(asking.relay_client, record, SubmissionIndex(0))
    assert told.verdict is None
    assert told.problem
