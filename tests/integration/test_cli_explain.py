"""`assay explain` against evidence whose root is on chain: what has that root is told, what has not is refused."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from click.testing import Result

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import MANIFEST_NAME, BundleKind
from assay_core.chain.connection import Chain
from assay_core.protocol.encoding import attestation_commitment, canonical_json
from assay_core.protocol.errors import Reason
from assay_core.protocol.types import Root
from assay_protocol.devnet.anvil import Anvil, free_port
from assay_verifier.verdict import conclude, failed, passed
from tests.conftest import SenderOf
from tests.integration.chain_walk import FIRST, SALT, Walk
from tests.integration.test_cli_walk import assay
from tests.unit.relay.relays import Observed, RunningRelay, StaticRelay, run_in_thread

__all__ = ["assay"]  # the fixture
pytestmark = pytest.mark.chain

Assay = Callable[..., Result]
REPORT = bytes([80, 255])
FRAUD = conclude(
    [passed("bytes", 0, 0, "well-formed"), failed("replay direction", Reason.REPLAY_MISMATCH, 0.93, 0.01, "elsewhere")]
)


@pytest.fixture
def walk(chain: Chain, sender_of: SenderOf, anvil: Anvil) -> Walk:
    made = Walk(chain, sender_of)
    made.open()
    made.enlist()
    made.commit_submissions()
    made.seal(anvil)
    return made


def attest(walk: Walk, folder: Path) -> dict[str, bytes]:
    """All verifiers attest, each with evidence of its own; what a relay would answer of it."""
    attestations, answers = walk.chain.attestations, dict[str, bytes]()
    for verifier in walk.verifiers:
        commitment = attestation_commitment(walk.seed(), verifier.address, REPORT, SALT)
        verifier.send(attestations.commit_attestation(walk.task_id, FIRST, commitment, b""))
    for number, verifier in enumerate(walk.verifiers):
        root = write_evidence(walk, folder / str(number), verifier.address, answers)
        verifier.send(attestations.reveal_attestation(walk.task_id, FIRST, REPORT, SALT, root))
    walk.settle()
    return answers


def write_evidence(walk: Walk, folder: Path, verifier: str, answers: dict[str, bytes]) -> Root:
    (folder / "submissions").mkdir(parents=True)
    (folder / "report.bin").write_bytes(REPORT)
    case = {"submission": {"manifest_root": walk.ref(1).submission.manifest_root.hex()}}
    (folder / "submissions" / "1.json").write_bytes(canonical_json({"case": case, "verdict": FRAUD.json()}))
    manifest = build_bundle(folder, BundleKind.EVIDENCE, {"task": walk.task_id, "epoch": FIRST, "verifier": verifier})
    answers[f"/v1/manifests/{manifest.root.hex()}"] = (folder / MANIFEST_NAME).read_bytes()
    for entry in manifest.files:
        answers[f"/v1/shards/{entry.sha256.hex()}"] = (folder / entry.name).read_bytes()
    return manifest.root


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, bytes]], str]]:
    """A relay that answers whatever it was told to."""
    running: list[RunningRelay] = []

    def start(answers: dict[str, bytes]) -> str:
        observed = Observed(StaticRelay(answers))
        config = uvicorn.Config(
            observed, host="127.0.0.1", port=free_port(), log_config=None, lifespan="off", ws="none"
        )
        running.append(run_in_thread(config, observed, Path()))
        return running[-1].url

    yield start
    for each in running:
        each.server.should_exit = True


def test_evidence_is_told_when_it_has_the_root_on_chain_and_refused_when_not(
    walk: Walk, assay: Assay, serve: Callable[[dict[str, bytes]], str], tmp_path: Path
) -> None:
    answers = attest(walk, tmp_path / "evidence")
    submission = f"{walk.task_id}/0/1"
    forged = {path: data.replace(b"elsewhere", b"somewhere") for path, data in answers.items()}
    refused = assay("explain", submission, "--relay", serve(forged))
    assert refused.exit_code == 0, refused.output
    assert "no evidence to be had" in refused.stdout
    assert "somewhere" not in refused.stdout

    told = assay("explain", submission, "--relay", serve(answers)).stdout
    assert "FAILED training repeated, direction of the update: elsewhere (measured 0.93, allowed 0.01)" in told
    assert "measured 0.93 where at most 0.01 is allowed, 93 times as much" in told
    assert told.count("said fraud, replay_mismatch") == len(walk.verifiers)

    [cached, *_] = (tmp_path / ".assay").rglob("submissions/1.json")  # not even our own cache has to be believed
    cached.unlink()  # a name of a shard that other bundles share
    cached.write_bytes(canonical_json({"case": {}, "verdict": {**FRAUD.json(), "score": 100}}))
    again = assay("explain", submission, "--relay", serve(answers)).stdout
    assert again.count("said fraud, replay_mismatch") >= len(walk.verifiers) - 1
    assert "said 100 %" not in again
