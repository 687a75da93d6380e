"""`assay verify` gives the verdict that a verifier attested, to the byte: for honest submissions and for cheats.

The verdicts are those of a real queue over an epoch in which half of the submissions are replayed and a quarter of
their completions prefilled; the evidence is the bundle that a real attester writes.
"""

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from assay_core.bundle.directory import build_bundle, read_manifest
from assay_core.bundle.manifest import MANIFEST_NAME, BundleKind
from assay_core.policy import save_policy
from assay_core.protocol.encoding import canonical_json, must_replay
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Address, PolicyVersion
from assay_verifier.database import migrate, open_database, session_factory
from assay_verifier.judging_queue import case_of
from assay_verifier.recorder import Recorder
from tests.cheats.catalogue import CHEATS
from tests.cheats.scene import COLLEAGUE, Scene, make_scene, make_step_wise_scene
from tests.fakes import Notes
from tests.submissions import POLICY_ROOT, Draft
from tests.unit.cli.conftest import Assay
from tests.unit.verifier.chronicle import PARAMS, Chronicle
from tests.unit.verifier.fakes import Sent, ShardStore, attester_of, judging_queue, node_of
from tests.unit.verifier.honest import Bundle

pytestmark = pytest.mark.slow

PREFILLED = 16  # completions, a quarter of them
SAMPLING_BPS = 5_000
KEY = Account.from_key(b"\x01" * 32)
JUDGE = Address(KEY.address)
HONEST = ("honest", "honest, of a colleague")
CAUGHT = (
    "another model",
    "a wrong codec scale",
    "not a number in the update",
    "a zero update",
    "forged rewards",
    "somebody else's rollouts",
)
CAUGHT_BY_STEPS = ("poisoned first moments", "a state missing", "gradients of noise", "one step against the gradient")


@dataclass(frozen=True)
class Attestation:
    """An epoch that was judged: a folder per submission, and the evidence, named after its root."""

    folder: Path
    evidence: Path
    names: tuple[str, ...]

    def document(self, index: int) -> dict[str, Any]:
        return json.loads((self.evidence / "submissions" / f"{index}.json").read_bytes())

    def arguments(self, index: int) -> list[str]:
        own, common = self.folder / "others" / f"0-{index}", self.folder
        files = ["--policy", common / "policy", "--spec", common / "spec.json", "--case", common / f"case-{index}.json"]
        return [str(each) for each in (own, *files, "--evidence", self.evidence, "--others", common / "others")]


def drafts(scene: Scene, caught: Sequence[str]) -> dict[str, Draft]:
    """Each cheat is a trainer of its own: a trainer's second submission of an epoch would have another seed."""
    known = {cheat.name: cheat.make for cheat in CHEATS}
    made: dict[str, Callable[[], Draft]] = {
        HONEST[0]: lambda: scene.honest(0),
        HONEST[1]: lambda: scene.honest(0, COLLEAGUE),
        **{
            name: (lambda make=known[name], own=own: make(own, 0))
            for name, own in zip(caught, _each_their_own(scene), strict=False)
        },
    }
    return {name: make() for name, make in made.items()}


def _each_their_own(scene: Scene) -> Iterator[Scene]:
    """The same scene for ever new trainers."""
    for number in count(0xC0):
        yield replace(scene, trainer=Address(to_checksum_address(f"0x{number:040x}")))


@pytest.fixture(scope="module")
def attested(tmp_path_factory: pytest.TempPathFactory) -> Attestation:
    return attest(tmp_path_factory.mktemp("epoch"), make_scene(), CAUGHT, "a wrong codec scale")


@pytest.fixture(scope="module")
def step_wise(tmp_path_factory: pytest.TempPathFactory) -> Attestation:
    return attest(tmp_path_factory.mktemp("step-wise"), make_step_wise_scene(), CAUGHT_BY_STEPS, "gradients of noise")


def attest(folder: Path, scene: Scene, caught: Sequence[str], found: str) -> Attestation:
    """`found`: a cheat that a replay finds, and is to."""
    checks = scene.spec.checks.model_copy(update={"completions_checked": PREFILLED})
    spec, shards = scene.spec.model_copy(update={"checks": checks}), ShardStore()
    save_policy(scene.policy, folder / "policy")
    policy = build_bundle(folder / "policy", BundleKind.POLICY, {"version": 0})
    shards.add(Bundle(folder / "policy", policy))
    chronicle = Chronicle(policy.root, replace(PARAMS, sampling_bps=SAMPLING_BPS))
    made = drafts(scene, caught)
    for index, draft in enumerate(made.values()):
        header = draft.header
        if header.policy_root == POLICY_ROOT:
            header = replace(header, policy_root=policy.root, policy_version=PolicyVersion(0))
        directory = folder / "others" / f"0-{index}"
        root = scene.write(replace(draft, header=header), directory)
        shards.bundles[root] = directory
        chronicle.submission(draft.header.trainer, root, units=spec.rollout.groups)
    chronicle.verifier(JUDGE)
    seal_with_luck(chronicle, list(made).index(found))
    evidence = judge_all(chronicle, shards, folder, spec)
    (folder / "spec.json").write_bytes(spec.to_bytes())
    for committed in chronicle.record().submissions:
        case = case_of(chronicle.ledger, spec, chronicle.record(), committed)
        (folder / f"case-{committed.submission.index}.json").write_bytes(canonical_json(case.json()))
    return Attestation(folder, evidence, tuple(made))


def seal_with_luck(chronicle: Chronicle, found: int) -> None:
    """Seal when the seed draws the one honest submission, not the other, and of the cheats some, `found` among them."""
    while True:
        trial = copy.deepcopy(chronicle)
        trial.seal()
        seed, submissions = trial.record().seed, len(trial.record().submissions)
        assert seed is not None
        drawn = [must_replay(seed, index, SAMPLING_BPS) for index in range(submissions)]
        if drawn[:2] == [True, False] and drawn[found] and not all(drawn[2:]):
            break
        chronicle.trainer(COLLEAGUE)  # a block more
    chronicle.seal()


def judge_all(chronicle: Chronicle, shards: ShardStore, folder: Path, spec: TaskSpec) -> Path:
    """As the verifier's worker does; the evidence that it would publish."""
    engine = open_database(f"sqlite:///{folder / 'verifier.db'}")
    migrate(engine)
    sessions, record = session_factory(engine), chronicle.record()
    Recorder(sessions, spec).record(chronicle.ledger, {})
    queue = judging_queue(shards, spec)
    while queue.judge_next(chronicle.ledger, record):
        pass
    judged = queue.judgements(chronicle.ledger, record, give_up=False)
    assert judged is not None
    attester = attester_of(node_of(JUDGE, KEY, Sent(), shards, sessions, Notes()), folder / "verifier")
    row = attester.write(record, judged)
    named = folder / "evidence" / row.evidence_root.hex()
    return Path(shutil.copytree(folder / "verifier" / "1-0", named))


@pytest.mark.parametrize("index", range(len(HONEST) + len(CAUGHT)), ids=(*HONEST, *CAUGHT))
def test_the_verdict_is_the_attested_one_to_the_byte(attested: Attestation, assay: Assay, index: int) -> None:
    assert_repeated(attested, assay, index)


@pytest.mark.parametrize("index", range(len(HONEST) + len(CAUGHT_BY_STEPS)), ids=(*HONEST, *CAUGHT_BY_STEPS))
def test_so_it_is_where_training_is_replayed_step_by_step(step_wise: Attestation, assay: Assay, index: int) -> None:
    assert_repeated(step_wise, assay, index)


def test_that_epoch_tries_what_it_is_there_for_too(step_wise: Attestation) -> None:
    """Steps of an honest submission were taken again, and steps of cheats, and one of these was found by it."""
    findings = [step_wise.document(index)["verdict"]["findings"] for index in range(len(step_wise.names))]
    replayed = [any("step" in each["evidence"] for each in found) for found in findings]
    assert replayed[0] and not replayed[1]
    assert {found[-1]["check"] for found in findings} >= {"replay direction", "training steps", "bytes"}


def assert_repeated(attested: Attestation, assay: Assay, index: int) -> None:
    result = assay("verify", *attested.arguments(index), "--as-drawn", "--json")
    told, document = json.loads(result.stdout), attested.document(index)
    assert canonical_json(told["verdict"]) == canonical_json(document["verdict"])
    assert [(each["verifier"], each["is_same"]) for each in told["attested"]] == [(JUDGE, True)]
    assert result.exit_code == (0 if document["verdict"]["reason"] is None else 1)


def test_honest_submissions_are_paid_and_everything_else_is_found_once_all_is_checked(
    attested: Attestation, assay: Assay
) -> None:
    """What luck let pass, a full judgement finds: this is what a challenge would bring to light."""
    passed = [
        name for index, name in enumerate(attested.names) if assay("verify", *attested.arguments(index)).exit_code == 0
    ]
    assert passed == list(HONEST)


def test_the_epoch_tries_what_it_is_there_for(attested: Attestation) -> None:
    """Some submissions were replayed and some not, and all were compared with the others."""
    checks = [
        [finding["check"] for finding in attested.document(index)["verdict"]["findings"]]
        for index in range(len(attested.names))
    ]
    assert len({any(name.startswith("replay") for name in names) for names in checks}) == 2
    assert any("duplicates" in names for names in checks)
    assert checks[0][-1] == "update against others"


def test_other_numbers_than_attested_are_told(attested: Attestation, assay: Assay, tmp_path: Path) -> None:
    """As from other hardware: the score is the same, and what differs is named."""
    result = assay(
        "verify", *altered(attested, tmp_path, lambda finding: {**finding, "measured": "0.125"}), "--as-drawn"
    )
    assert result.exit_code == 0, result.output
    assert f"the same score as {JUDGE} attested; what was found differs in: files, sizes and format" in result.stdout


def test_without_evidence_or_others_what_was_not_compared_is_told(attested: Attestation, assay: Assay) -> None:
    result = assay("verify", *attested.arguments(0)[:-4], "--as-drawn", "--others", str(attested.folder / "evidence"))
    assert "should be named EPOCH-INDEX" in result.stderr
    lonely = assay(
        "verify", *attested.arguments(0)[:-4], "--as-drawn", "--others", str(attested.evidence / "submissions")
    )
    assert "likeness was not looked at" in lonely.stdout
    assert lonely.exit_code == 0


@pytest.mark.parametrize("name", ["submissions/0.json", "report.bin", MANIFEST_NAME])
def test_evidence_with_other_bytes_than_its_root_is_refused(
    attested: Attestation, assay: Assay, tmp_path: Path, name: str
) -> None:
    copy = Path(shutil.copytree(attested.evidence, tmp_path / attested.evidence.name))
    path = copy / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2") if name != "report.bin" else b"\x64" * 8)
    arguments = [str(copy) if each == str(attested.evidence) else each for each in attested.arguments(0)]
    result = assay("verify", *arguments, "--as-drawn")
    assert (result.exit_code, result.stdout) == (1, "")
    assert copy.name in result.stderr


def altered(attested: Attestation, folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> list[str]:
    """Arguments with evidence of another root, in which the first finding on the first submission is changed."""
    copy = Path(shutil.copytree(attested.evidence, folder / "evidence"))
    document = attested.document(0)
    document["verdict"]["findings"][0] = change(document["verdict"]["findings"][0])
    (copy / "submissions" / "0.json").write_bytes(canonical_json(document))
    fields = read_manifest(copy).fields
    (copy / MANIFEST_NAME).unlink()
    named = copy.rename(folder / build_bundle(copy, BundleKind.EVIDENCE, fields).root.hex())
    return [str(named) if each == str(attested.evidence) else each for each in attested.arguments(0)]
