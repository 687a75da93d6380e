"""Evidence comes from strangers: it is checked, cut and cleaned before anything of it is shown."""

from pathlib import Path
from typing import Any

import pytest

from offchain.chain.ledger import EpochRecord, Reveal
from offchain.cli.evidence import MAX_DOCUMENT_BYTES, parse_document, printable, read_document, statements
from offchain.cli.invocation import Invocation
from offchain.protocol.encoding import canonical_json
from offchain.protocol.errors import Malformed, Reason, Unavailable
from offchain.protocol.types import Address, Epoch, Root, WorkIndex
from verifier.verdict import conclude, failed, passed

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


def test_a_document_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_bytes(b" " * (MAX_DOCUMENT_BYTES + 1))
    with pytest.raises(Malformed, match="exceeds"):
        read_document(tmp_path / "0.json")


def test_a_missing_document_is_nobodys_fault(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        read_document(tmp_path / "0.json")


def test_a_document_must_be_canonical(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_bytes(canonical_json(DOCUMENT) + b"\n")
    with pytest.raises(Malformed, match="canonical"):
        read_document(tmp_path / "0.json")


def test_relays_that_are_down_are_a_problem_told_not_an_error(home: Path) -> None:
    judge = Address("0x" + "11" * 20)
    record = EpochRecord(Epoch(0), 100)
    record.reveals[judge] = Reveal(b"r" * 32, Root(b"v" * 32), (1, 0))
    (home / "dead.json").write_text(
        '{"network": "dead", "chain_id": 1, "rpc_url": "http://127.0.0.1:9", "block": 1, "git_commit": "",'
        + ", ".join(
            f'"{name}": "{judge}"' for name in ("token", "staking", "registry", "payouts", "challenges", "attestations")
        )
        + "}"
    )
    asking = Invocation(network="dead.json", relays=("http://127.0.0.1:9",))
    [told] = statements(asking, record, WorkIndex(0))
    assert told.verdict is None
    assert told.problem
