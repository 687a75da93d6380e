"""A work judged again from folders alone, and what came of it beside what verifiers attested."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay_core.protocol.errors import Malformed, Stop

if TYPE_CHECKING:
    from assay_core.bundle.evidence import Attested
    from assay_core.bundle.manifest import Manifest
    from assay_core.environments.interface import Environment
    from assay_core.policy.interface import Policy
    from assay_core.protocol.encoding import Json
    from assay_core.protocol.spec import TaskSpec
    from assay_core.protocol.types import Epoch, Root, WorkIndex
    from assay_verifier.case import Case
    from assay_verifier.checks.duplicates import Sketch
    from assay_verifier.verdict import Verdict

MAX_CASE_BYTES = 2**20
BELIEVED = "the work's own manifest was believed about task, epoch and seed (no case given)"
OTHER = re.compile(r"([0-9]{1,18})-([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a verifier attested beside what we found."""

    attested: "Attested"
    score: int
    is_same: bool  # the verdicts' canonical JSON, to the byte
    differs: tuple[str, ...]  # checks whose findings are not the same


@dataclass(frozen=True, slots=True)
class Again:
    """`verdict` is on what was drawn, `in_full` on everything, where that is more and was looked at."""

    verdict: "Verdict"
    in_full: "Verdict | None" = None
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_accepted(self) -> bool:
        return self.verdict.reason is None and (self.in_full is None or self.in_full.reason is None)


def judge(
    work_dir: str | PathLike[str],
    *,
    spec: "TaskSpec",
    policy_dir: str | PathLike[str],
    case: "Case | None" = None,
) -> "Verdict":
    """Every check of a verifier on one work; those that need other works of its epoch are left out.

    Args:
        policy_dir: the bundle of the policy that the work was made from.
        case: what the chain says about the work; without one its own manifest is believed, and everything is checked.
    Raises Stop: the policy is not the work's, or the spec cannot be used.
    """
    return _again(Path(work_dir), Path(policy_dir), spec, case, [], [], as_drawn=True).verdict


def reproduce(
    work_dir: str | PathLike[str],
    *,
    policy_dir: str | PathLike[str] | None = None,
    spec_file: str | PathLike[str] | None = None,
    case_file: str | PathLike[str] | None = None,
    evidence_dirs: Sequence[Path] = (),
    others_dir: str | PathLike[str] | None = None,
    as_drawn: bool = False,
    threads: int = 1,
) -> Again:
    """Repeat what verifiers checked of a work, and compare with what they attested; then check all there is.

    What is not named lies beside the work, as `explain` saves it: policy, spec.json, case.json, evidence, others.

    Args:
        as_drawn: check only what the epoch's seed has drawn.
        threads: as the verifier had: another number, other last digits.
    Raises Stop: a file is missing, or policy, case or evidence is not the work's.
    """
    import torch

    torch.set_num_threads(threads)
    work_dir = Path(work_dir)
    beside = work_dir.resolve().parent
    spec = _read_spec(Path(spec_file) if spec_file else _needed(beside / "spec.json", "--spec FILE"))
    policy_dir = Path(policy_dir) if policy_dir else _needed(beside / "policy", "--policy DIR")
    if case_file is None and (beside / "case.json").is_file():
        case_file = beside / "case.json"
    case = None if case_file is None else _read_case(Path(case_file), spec)
    evidence = [_open_evidence(each) for each in evidence_dirs or _inside(beside / "evidence")]
    others = _inside(Path(others_dir) if others_dir else beside / "others")
    result = _again(work_dir, policy_dir, spec, case, evidence, others, as_drawn=as_drawn)
    return result if case else replace(result, notes=(*result.notes, BELIEVED))


def _again(
    work_dir: Path,
    policy_dir: Path,
    spec: "TaskSpec",
    case: "Case | None",
    evidence: "Sequence[Attested]",
    others: "Sequence[Path]",
    *,
    as_drawn: bool,
) -> "Again":
    """Raises Stop: our policy, case or evidence is not the work's."""
    from assay_core.bundle.directory import open_bundle
    from assay_core.bundle.header import parse_work_header
    from assay_core.bundle.manifest import BundleLimits
    from assay_core.environments import make_environment
    from assay_core.protocol.errors import Rejected
    from assay_verifier.case import case_from_header
    from assay_verifier.judge import malformed

    try:
        manifest = open_bundle(work_dir, BundleLimits(spec.limits.work_bytes))
        case = case or case_from_header(parse_work_header(manifest.fields), spec, manifest.root)
    except Malformed as error:
        return Again(malformed(str(error)))
    if case.work.manifest_root != manifest.root:
        raise Stop(f"the case is about work {case.work.manifest_root.hex()}, the folder holds {manifest.root.hex()}")
    try:
        environment = make_environment(spec.environment)
    except Rejected as error:
        raise Stop(f"the spec cannot be used: {error}") from error
    context = FolderBench(policy_dir, BundleLimits(spec.limits.policy_bytes).bundle_bytes, environment)
    return judge_again(case, context, work_dir, manifest, evidence, others, as_drawn=as_drawn)


def _open_evidence(directory: Path) -> "Attested":
    """Raises Stop: a folder that is not named after the root that its bytes have."""
    from assay_core.bundle.evidence import open_attested
    from assay_core.bundle.manifest import HEX32
    from assay_core.protocol.errors import Unavailable
    from assay_core.protocol.types import Root

    if not HEX32.fullmatch(directory.name):
        raise Stop(f"{directory} should be named after its root on chain, 64 hex digits")
    try:
        return open_attested(directory, Root(bytes.fromhex(directory.name)))
    except (Malformed, Unavailable) as error:
        raise Stop(f"{directory} is not the evidence that its name says: {error}") from error


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _read_spec(path: Path) -> "TaskSpec":
    from assay_core.bundle.task import read_spec_file

    try:
        return read_spec_file(path)
    except Malformed as error:
        raise Stop(f"{path} is not a task's spec.json: {error}") from error
    except OSError as error:
        raise Stop(f"{path}: {error.strerror}") from error


def _read_case(path: Path, spec: "TaskSpec") -> "Case":
    """Raises Stop: not a case, or that of another spec."""
    from assay_core.protocol.encoding import parse_canonical_json
    from assay_verifier.case import parse_case

    try:
        if path.stat().st_size > MAX_CASE_BYTES:
            raise Stop(f"{path} is too large for a case")
        case = parse_case(parse_canonical_json(path.read_bytes()))
    except Malformed as error:
        raise Stop(f"{path} is not a case: {error}") from error
    except OSError as error:
        raise Stop(f"{path}: {error.strerror}") from error
    if case.spec != spec:
        raise Stop(f"{path} is about a task with another spec")
    return case


def _needed(path: Path, option: str) -> Path:
    if not path.exists():
        raise Stop(f"{path} is not there: add {option}, or fetch all with `assay explain WORK --save DIR`")
    return path


def judge_again(
    case: "Case",
    context: "FolderBench",
    work_dir: Path,
    manifest: "Manifest",
    evidence: "Sequence[Attested]",
    others: Sequence[Path],
    *,
    as_drawn: bool,
) -> Again:
    """Judge as a verifier does. Raises Stop: our policy or evidence is not the work's."""
    from assay_verifier.judge import compare_with

    ratio = case.spec.checks.max_update_norm_ratio
    sketches, notes = _sketches(case, context, work_dir, manifest, others)
    alone = _judge(case, context, work_dir, manifest, sketches)
    verdicts = [compare_with(alone, _norms(each), ratio) for each in evidence]
    comparisons = tuple(_compare(each, case, verdict) for each, verdict in zip(evidence, verdicts, strict=True))
    verdict = next(iter(verdicts), alone)
    if not evidence:
        notes = [*notes, "no evidence here: the update's size was not compared with that of the epoch's others"]
    in_full = None
    if verdict.reason is None and not as_drawn and not case.draws_everything:
        in_full = _judge(case.everything_checked(), context, work_dir, manifest, [])
        if evidence:
            in_full = compare_with(in_full, _norms(evidence[0]), ratio)
    return Again(verdict, in_full, comparisons, tuple(notes))


def _judge(
    case: "Case", context: "FolderBench", work_dir: Path, manifest: "Manifest", sketches: "Sequence[Sketch]"
) -> "Verdict":
    """As a verifier's docket does: a work that a check cannot digest is malformed."""
    from assay_core.protocol.errors import ProtocolError
    from assay_verifier.judge import judge, undigested

    try:
        return judge(case, context, work_dir, manifest, sketches).verdict
    except (ProtocolError, MemoryError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - libraries raise anything over a stranger's bytes
        return undigested(error).verdict


def _sketches(
    case: "Case", context: "FolderBench", work_dir: Path, manifest: "Manifest", others: Sequence[Path]
) -> "tuple[list[Sketch], list[str]]":
    """What the work was compared with, itself included as in a verifier's docket; and what to say about it."""
    from assay_core.bundle.directory import OWN_LIMITS, open_bundle
    from assay_verifier.judge import sketch_work

    if not case.depends_on_seed or case.epoch_seed is None or case.policy_root is None:
        return [], []
    if not others:
        return [], ["the epoch's other works are not here: likeness was not looked at (--save with --with-others)"]
    found: list[Sketch | None] = []
    policy = context.policy(case.policy_root)
    if not any(_epoch_and_index(path) == (case.epoch, case.work.index) for path in others):
        found.append(sketch_work(case, policy, work_dir, manifest, case.epoch_seed))
    for path in others:
        epoch, index = _epoch_and_index(path)
        other = replace(case, epoch=epoch, work=replace(case.work, index=index))
        try:
            bundle = open_bundle(path, OWN_LIMITS)
        except Malformed as error:
            raise Stop(f"{path} is no work: {error}") from error
        found.append(sketch_work(other, policy, path, bundle, case.epoch_seed))
    return [each for each in found if each is not None], []


def _epoch_and_index(path: Path) -> "tuple[Epoch, WorkIndex]":
    """Raises Stop: the folder is not named EPOCH-INDEX."""
    from assay_core.protocol.types import Epoch, WorkIndex

    if not (found := OTHER.fullmatch(path.name)):
        raise Stop(f"{path} should be named EPOCH-INDEX, such as 0-2")
    return Epoch(int(found[1])), WorkIndex(int(found[2]))


def _norms(attested: "Attested") -> list[float]:
    from assay_core.protocol.errors import Unavailable

    try:
        return attested.norms()
    except (Malformed, Unavailable) as error:
        raise Stop(f"{attested.directory}: {error}") from error


def _compare(attested: "Attested", case: "Case", verdict: "Verdict") -> Comparison:
    """Raises Stop: it is evidence about another work, or judged it by another case."""
    from assay_core.protocol.encoding import canonical_json
    from assay_core.protocol.errors import Unavailable

    try:
        document = attested.document(case.work.index)
        theirs = attested.verdict_bytes(case.work.index)
    except (Malformed, Unavailable) as error:
        raise Stop(f"{attested.directory}: {error}") from error
    if document.get("case") != case.json():
        raise Stop(f"{attested.directory} is about another work, or judged it by other facts than those of the case")
    ours = verdict.json()
    differs = _differing(document["verdict"], ours)
    return Comparison(attested, attested.report[case.work.index], theirs == canonical_json(ours), differs)


def _differing(theirs: "Json", ours: "Mapping[str, Json]") -> tuple[str, ...]:
    def by_check(verdict: "Json") -> dict[str, Any]:
        findings = verdict.get("findings") if isinstance(verdict, Mapping) else None
        listed = [each for each in findings if isinstance(each, Mapping)] if isinstance(findings, list) else []
        return {str(each.get("check")): each for each in listed}

    one, other = by_check(theirs), by_check(ours)
    return tuple(name for name in {**one, **other} if one.get(name) != other.get(name))


class FolderBench:
    """The judge's bench, out of one folder with the bundle of a policy."""

    def __init__(self, directory: Path, max_bytes: int, environment: "Environment") -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._environment = environment

    def policy(self, root: "Root") -> "Policy":
        """Raises Stop: the folder holds another policy than the work's, or none."""
        from assay_core.bundle.directory import open_bundle
        from assay_core.bundle.manifest import BundleLimits
        from assay_core.policy import load_policy

        try:
            open_bundle(self._directory, BundleLimits(self._max_bytes), root)
            return load_policy(self._directory)
        except Malformed as error:
            raise Stop(f"{self._directory} is not the policy {root.hex()} that the work names: {error}") from error

    def environment(self) -> "Environment":
        return self._environment
