"""Fuzz targets: documents of text. Manifests, specs, headers, cases, evidence, traces, deployments, task files."""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.evidence import MAX_DOCUMENT_BYTES, open_attested
from assay_core.bundle.header import SubmissionHeader, parse_submission_header
from assay_core.bundle.manifest import (
    MAX_MANIFEST_BYTES,
    BundleKind,
    BundleLimits,
    FileEntry,
    Manifest,
    commits_to,
    digest_of_shards,
    parse_manifest,
)
from assay_core.chain.creations import CONTRACTS
from assay_core.chain.deployment import load_deployment
from assay_core.environments import make_environment
from assay_core.inspect.evidence import parse_document
from assay_core.protocol.encoding import canonical_json, parse_canonical_json
from assay_core.protocol.errors import Rejected, Stop, Unavailable
from assay_core.protocol.spec import EnvironmentSpec, TaskSpec, parse_spec
from assay_core.protocol.types import (
    Address,
    Epoch,
    PolicyVersion,
    Root,
    Seed,
    SubmissionIndex,
    TaskId,
)
from assay_core.training.trace import MAX_TRACE_BYTES, StepTrace, parse_trace, trace_bytes
from assay_protocol.task_file import load_task_file
from assay_verifier.case import parse_case
from assay_verifier.verdict import conclude, failed, passed
from tests.fuzz.mutate import HOSTILE_JSON, canonical, damaged, documents
from tests.fuzz.target import Makers, Target
from tests.submissions import case_of

HASH = bytes(range(32))
WHO = Address("0x00000000000000000000000000000000000000A1")
SPEC = TaskSpec(title="sort", environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}))
HEADER = SubmissionHeader(
    TaskId(1), Epoch(2), WHO, PolicyVersion(3), Root(HASH), Seed(HASH), Root(HASH), {"assay": "0.1", "torch": "2.13"}
)
FILES = tuple(
    FileEntry(name, size, digest_of_shards(shards), shards)
    for name, size, shards in (("rollouts.parquet", 9, (HASH,)), ("update/0000.safetensors", 5 * 2**20, (HASH, HASH)))
)
MANIFEST = Manifest(BundleKind.SUBMISSION, HEADER.fields(), FILES)
CASE = case_of(HEADER, SPEC, Root(HASH), Seed(HASH))
VERDICT = conclude(
    [passed("bytes", 0, 0, "well-formed"), failed("toploc", "proof_mismatch", float("inf"), 38, "x", evidence={"a": 1})]  # pyright: ignore[reportArgumentType]
)
TRACE = (StepTrace((0, 2), -0.125, 3.5e-05, HASH), StepTrace((1,), 1e22, 0.0, HASH))
LIMITS = BundleLimits(2**30, files=64)
LARGE = BundleLimits(2**62)


def manifest(folder: Path) -> Target:
    """Two readers: the one that all parties use, and the one that tells a trainer's fault from a relay's."""

    def read(data: bytes) -> None:
        commits_to(MANIFEST.root, data)
        found = parse_manifest(data, LIMITS)
        assert found.to_bytes() == data, "two encodings of one manifest"
        assert commits_to(found.root, data)
        assert all((folder / entry.name).resolve().is_relative_to(folder.resolve()) for entry in found.files)

    sample = json.loads(MANIFEST.to_bytes())
    bombs = (_filled(b'{"fields":{"a":[', b"[]", b']},"files":[],"kind":"submission"}', MAX_MANIFEST_BYTES),
             _filled(b'{"fields":{},"files":[', b"{}", b'],"kind":"submission"}', MAX_MANIFEST_BYTES))  # fmt: skip
    return Target(
        "manifest",
        documents([sample, {**sample, "files": []}], raw=HOSTILE_JSON),
        read,
        [MANIFEST.to_bytes()],
        [*HOSTILE_JSON, *bombs],
    )


def spec(_: Path) -> Target:
    """What is read is finite, and reads back the same."""

    def read(data: bytes) -> None:
        found = parse_spec(data)
        assert parse_spec(found.to_bytes()) == found

    sample = json.loads(SPEC.to_bytes())
    odd = ("1e400", "-1e400", "1e-400", "sNaN", True, None, [0, [1], 0], "1_0", "9" * 5_000, 2**53 - 1)
    rates = [canonical({**sample, "recipe": {**sample["recipe"], "lr": each}}) for each in odd]
    return Target("spec", documents([sample], raw=HOSTILE_JSON), read, [SPEC.to_bytes()], [*HOSTILE_JSON, *rates])


def environment(_: Path) -> Target:
    """An initiator chooses the environment's arguments."""

    def read(value: dict[str, Any]) -> None:
        found = make_environment(EnvironmentSpec(name="sorting", args=value))
        prompt = found.prompt(Seed(HASH), 1)
        assert 0 <= found.reward(prompt, "1" * 50) <= 1

    values = st.integers(-(2**53), 2**53) | st.booleans() | st.text(max_size=5) | st.integers(-1, 50)
    names = st.sampled_from(("digits", "partial", "seed", "")) | st.text(max_size=5)
    return Target("environment", st.dictionaries(names, values, max_size=3), read, [{"digits": 4}])


def header(_: Path) -> Target:
    def read(data: bytes) -> None:
        fields = parse_canonical_json(data)
        assert isinstance(fields, dict)
        assert canonical_json(parse_submission_header(fields).fields()) == data, "two encodings of one header"

    def objects(sample: bytes) -> bool:
        return sample.startswith(b"{")

    sample: Any = HEADER.fields()
    inputs = documents([sample]).filter(objects)
    return Target("header", inputs, read, [canonical_json(sample)])


def case(_: Path) -> Target:
    def read(data: bytes) -> None:
        found = parse_case(parse_canonical_json(data))
        found.completions_checked(64)
        assert parse_case(found.json()) == found

    sample: Any = json.loads(canonical_json(CASE.json()))
    return Target("case", documents([sample], raw=HOSTILE_JSON), read, [canonical_json(sample)], HOSTILE_JSON)


def evidence(folder: Path) -> Target:
    """A verifier's document, in a bundle that is true of it, as `assay explain` and `assay verify` read it."""
    bundle = folder / "bundle"
    (bundle / "submissions").mkdir(parents=True)
    (bundle / "report.bin").write_bytes(bytes([VERDICT.score]))

    def read(data: bytes) -> None:
        (bundle / "submissions" / "0.json").write_bytes(data)
        root = build_bundle(bundle, BundleKind.EVIDENCE, {"verifier": WHO}).root
        attested = open_attested(bundle, root)
        attested.norms()
        verdict = parse_document(attested.document(SubmissionIndex(0)))
        assert verdict.score == VERDICT.score
        assert all(line.isprintable() for each in verdict.findings for line in (each.check, each.detail))

    sample: Any = json.loads(canonical_json({"case": CASE.json(), "verdict": VERDICT.json()}))
    bomb = _filled(b'{"case":[', b"[]", b"]}", MAX_DOCUMENT_BYTES)
    return Target(
        "evidence",
        documents([sample], raw=HOSTILE_JSON),
        read,
        [canonical_json(sample)],
        [*HOSTILE_JSON, bomb],
        typed=(Rejected, Unavailable),
    )


def trace(_: Path) -> Target:
    def read(data: bytes) -> None:
        steps = parse_trace(data, max_steps=4, groups=8)
        assert trace_bytes(steps) == data, "two encodings of one trace"

    sample = json.loads(trace_bytes(TRACE))
    bombs = (_filled(b'{"steps":[', b"[]", b"]}", MAX_TRACE_BYTES), b'{"steps":[' + b"[" * 10_000)
    return Target("trace", documents([sample], raw=HOSTILE_JSON), read, [trace_bytes(TRACE)], [*HOSTILE_JSON, *bombs])


def deployment(folder: Path) -> Target:
    """A file that anyone who runs a network hands out."""
    sample: dict[str, Any] = {
        "network": "local", "chain_id": 31_337, "rpc_url": "http://127.0.0.1:8545", "block": 1, "git_commit": "unknown",
        **dict.fromkeys(CONTRACTS, "0x" + "a1" * 20), "unbonding_period_s": 9, "seal_delay": 2, "header_wait": 64,
        "seat_bond_wei": 10**18, "reporter_bps": 10, "creations": {"token": "0x" + "ab" * 32},
        "relays": ["http://127.0.0.1:9000"],
    }  # fmt: skip

    def read(data: bytes) -> None:
        path = folder / "network.json"
        path.write_bytes(data)
        found = load_deployment(path)
        assert (folder / f"{found.network}.json").parent == folder

    def encoded(value: Any) -> bytes:
        return json.dumps(value).encode()

    return Target(
        "deployment", documents([sample], raw=HOSTILE_JSON), read, [encoded(sample)], HOSTILE_JSON, typed=(Stop,)
    )


def task_file(folder: Path) -> Target:
    examples = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
    samples = [path.read_bytes() for path in examples]
    known = b'budget = "1"\n[task]\ntitle = "t"\n[task.environment]\nname = "sorting"\n'
    terms = samples[-1][samples[-1].index(b"[terms]") :]

    def read(data: bytes) -> None:
        path = folder / "task.toml"
        path.write_bytes(data)
        found = load_task_file(path)
        found.params(18)
        found.budget_wei(18)

    huge = b"0x" + b"f" * 4_000
    always = (
        *(b"a = " + text for text in (b"[" * 3_000, b"9" * 5_000, huge, b"inf", b"2020-99-99", b'"\\ud800"')),
        b"budget = " + huge + known[12:] + terms,
        known + b"args = {digits = " + huge + b"}\n" + terms,
        known + b"args = {digits = inf}\n" + terms,
        known + terms.replace(b"seed = 7", b"seed = " + huge),
        known + b"[task.recipe]\nlr = 1e400\n" + terms,
        known + b"[task.recipe]\nlr = " + huge + b"\n" + terms,
        known.replace(b'"t"', b'"' + b"t" * 100_000 + b'"') + terms,
    )
    values = st.sampled_from(
        (b"true", b"-1", b'""', b"[]", b"{}", b"1e400", b"nan", huge, b'"1e99"', b"1979-05-27", b'"x"')
    )

    @st.composite
    def inputs(draw: st.DrawFn) -> bytes:
        """Files in which one entry has another value."""
        if draw(st.booleans()):
            return draw(damaged(samples))
        lines = draw(st.sampled_from(samples)).splitlines()
        place = draw(st.sampled_from([n for n, line in enumerate(lines) if b" = " in line]))
        lines[place] = lines[place].split(b" = ")[0] + b" = " + draw(values)
        return b"\n".join(lines)

    return Target("task file", inputs(), read, samples, always, typed=(Stop,))


def _filled(head: bytes, item: bytes, tail: bytes, size: int) -> bytes:
    """As many items, separated by commas, as fit."""
    count = (size - len(head) - len(tail)) // (len(item) + 1)
    return head + b",".join([item] * count) + tail


DOCUMENTS: Makers = {
    "manifest": manifest,
    "spec": spec,
    "environment": environment,
    "header": header,
    "case": case,
    "evidence": evidence,
    "trace": trace,
    "deployment": deployment,
    "task file": task_file,
}
