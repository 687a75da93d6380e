"""A submission judged again from folders alone, and what came of it beside what verifiers attested."""

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from assay_core.bundle.directory import OWN_LIMITS, open_bundle
from assay_core.bundle.evidence import Attested, open_attested
from assay_core.bundle.header import parse_submission_header
from assay_core.bundle.manifest import HEX32, BundleLimits, Manifest
from assay_core.bundle.task import read_spec_file
from assay_core.environments import make_environment
from assay_core.environments.interface import Environment
from assay_core.inspect import wording as words
from assay_core.inspect.evidence import printable
from assay_core.policy import load_policy
from assay_core.policy.interface import Policy
from assay_core.protocol.encoding import Json, canonical_json, parse_canonical_json
from assay_core.protocol.errors import Malformed, ProtocolError, Rejected, Stop, Unavailable
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Epoch, Root, SubmissionIndex
from assay_verifier import judge as judging
from assay_verifier.case import Case, case_from_header, parse_case
from assay_verifier.checks.duplicates import Sketch
from assay_verifier.verdict import Verdict

MAX_CASE_BYTES = 2**20
BELIEVED = "the submission's own manifest was believed about task, epoch and seed (no case given)"
OTHER = re.compile(r"([0-9]{1,18})-([0-9]{1,5})")


@contextmanager
def _our_file(path: Path, wrong: str = "") -> Generator[None]:
    """Raises Stop: it cannot be read, or (in the words of `wrong`) is not what it should be."""
    try:
        yield
    except (Malformed, Unavailable) as error:
        raise Stop(f"{path}{wrong}: {error}") from error
    except OSError as error:
        raise Stop(f"{path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a verifier attested beside what we found."""

    attested: Attested
    score: int
    is_same: bool  # the verdicts' canonical JSON, to the byte
    differs: tuple[str, ...]  # checks whose findings are not the same

    def json(self) -> dict[str, Any]:
        return {
            "verifier": self.attested.verifier,
            "evidence_root": self.attested.root,
            "score": self.score,
            "is_same": self.is_same,
            "differs": self.differs,
        }

    def line(self, score: int) -> str:
        """Beside the score that we give."""
        who = printable(self.attested.verifier)
        if self.is_same:
            return f"the same verdict, to the byte, as {who} attested"
        differs = f"what was found differs in: {', '.join(words.check(printable(name)) for name in self.differs)}"
        if self.score == score:
            return f"the same score as {who} attested; {differs}"
        return f"ANOTHER SCORE than {who} attested, which is {words.score(self.score)}; {differs}"


@dataclass(frozen=True, slots=True)
class Again:
    """`verdict` is on what was drawn, `in_full` on everything, where that is more and was looked at."""

    verdict: Verdict
    in_full: Verdict | None = None
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_accepted(self) -> bool:
        return self.verdict.reason is None and (self.in_full is None or self.in_full.reason is None)

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "accepted": self.is_accepted,
            **self.verdict.json(),
            "verdict": self.verdict.json(),
            "in_full": None if self.in_full is None else self.in_full.json(),
            "attested": [each.json() for each in self.comparisons],
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """For people, the end last."""
        compared = [each.line(self.verdict.score) for each in self.comparisons]
        lines = [*self.verdict.lines(), *self.notes, *compared]
        if self.in_full is None:
            return [*lines, self.verdict.end()]
        more = [f"as drawn: {self.verdict.end()}", "", "with everything checked, drawn or not"]
        return [*lines, *more, *self.in_full.lines(), self.in_full.end()]


class FolderContext:
    """The judge's context, out of one folder with the bundle of a policy."""

    def __init__(self, directory: Path, max_bytes: int, environment: Environment) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._environment = environment

    def policy(self, root: Root) -> Policy:
        """Raises Stop: the folder holds another policy than the submission's, or none."""
        with _our_file(self._directory, f" is not the policy {root.hex()} that the submission names"):
            open_bundle(self._directory, BundleLimits(self._max_bytes), root)
            return load_policy(self._directory)

    def environment(self) -> Environment:
        return self._environment


def judge(
    submission_dir: str | PathLike[str],
    *,
    spec: TaskSpec,
    policy_dir: str | PathLike[str],
    case: Case | None = None,
) -> Verdict:
    """Every check of a verifier on one submission; those that need other submissions of its epoch are left out.

    Args:
        policy_dir: the bundle of the policy that the submission was made from.
        case: what the chain says about the submission; without one its own manifest is believed, and everything is
    checked. Raises Stop: the policy is not the submission's, or the spec cannot be used.
    """
    return _again(Path(submission_dir), Path(policy_dir), spec, case, [], [], as_drawn=True).verdict


def reproduce(
    submission_dir: str | PathLike[str],
    *,
    policy_dir: str | PathLike[str] | None = None,
    spec_file: str | PathLike[str] | None = None,
    case_file: str | PathLike[str] | None = None,
    evidence_dirs: Sequence[Path] = (),
    others_dir: str | PathLike[str] | None = None,
    as_drawn: bool = False,
    threads: int = 1,
) -> Again:
    """Repeat what verifiers checked of a submission, and compare with what they attested; then check all there is.

    What is not named lies beside the submission, as `explain` saves it: policy, spec.json, case.json, evidence, others.

    Args:
        as_drawn: check only what the epoch's seed has drawn.
        threads: as the verifier had: another number, other last digits.
    Raises Stop: a file is missing, or policy, case or evidence is not the submission's.
    """
    torch.set_num_threads(threads)
    submission_dir = Path(submission_dir)
    beside = submission_dir.resolve().parent
    spec = _read_spec(Path(spec_file) if spec_file else _needed(beside / "spec.json", "--spec FILE"))
    policy_dir = Path(policy_dir) if policy_dir else _needed(beside / "policy", "--policy DIR")
    if case_file is None and (beside / "case.json").is_file():
        case_file = beside / "case.json"
    case = None if case_file is None else _read_case(Path(case_file), spec)
    evidence = [_open_evidence(each) for each in evidence_dirs or _inside(beside / "evidence")]
    others = _inside(Path(others_dir) if others_dir else beside / "others")
    result = _again(submission_dir, policy_dir, spec, case, evidence, others, as_drawn=as_drawn)
    return result if case else replace(result, notes=(*result.notes, BELIEVED))


def _again(
    submission_dir: Path,
    policy_dir: Path,
    spec: TaskSpec,
    case: Case | None,
    evidence: Sequence[Attested],
    others: Sequence[Path],
    *,
    as_drawn: bool,
) -> Again:
    """Raises Stop: our policy, case or evidence is not the submission's."""
    try:
        manifest = open_bundle(submission_dir, BundleLimits(spec.limits.submission_bytes))
        case = case or case_from_header(parse_submission_header(manifest.fields), spec, manifest.root)
    except Malformed as error:
        return Again(judging.malformed(str(error)))
    if case.submission.manifest_root != manifest.root:
        raise Stop(
            f"the case is about submission {case.submission.manifest_root.hex()}, "
            f"the folder holds {manifest.root.hex()}"
        )
    try:
        environment = make_environment(spec.environment)
    except Rejected as error:
        raise Stop(f"the spec cannot be used: {error}") from error
    context = FolderContext(policy_dir, BundleLimits(spec.limits.policy_bytes).bundle_bytes, environment)
    return judge_again(case, context, submission_dir, manifest, evidence, others, as_drawn=as_drawn)


def _open_evidence(directory: Path) -> Attested:
    """Raises Stop: a folder that is not named after the root that its bytes have."""
    if not HEX32.fullmatch(directory.name):
        raise Stop(f"{directory} should be named after its root on chain, 64 hex digits")
    with _our_file(directory, " is not the evidence that its name says"):
        return open_attested(directory, Root(bytes.fromhex(directory.name)))


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _read_spec(path: Path) -> TaskSpec:
    with _our_file(path, " is not a task's spec.json"):
        return read_spec_file(path)


def _read_case(path: Path, spec: TaskSpec) -> Case:
    """Raises Stop: not a case, or that of another spec."""
    with _our_file(path, " is not a case"):
        if path.stat().st_size > MAX_CASE_BYTES:
            raise Stop(f"{path} is too large for a case")
        case = parse_case(parse_canonical_json(path.read_bytes()))
    if case.spec != spec:
        raise Stop(f"{path} is about a task with another spec")
    return case


def _needed(path: Path, option: str) -> Path:
    if not path.exists():
        raise Stop(f"{path} is not there: add {option}, or fetch all with `assay explain SUBMISSION --save DIR`")
    return path


def judge_again(
    case: Case,
    context: FolderContext,
    submission_dir: Path,
    manifest: Manifest,
    evidence: Sequence[Attested],
    others: Sequence[Path],
    *,
    as_drawn: bool,
) -> Again:
    """Judge as a verifier does. Raises Stop: our policy or evidence is not the submission's."""
    ratio = case.spec.checks.max_update_norm_ratio
    sketches, notes = _sketches(case, context, submission_dir, manifest, others)
    alone = _judge(case, context, submission_dir, manifest, sketches)
    verdicts = [judging.compare_with(alone, _norms(each), ratio) for each in evidence]
    comparisons = tuple(_compare(each, case, verdict) for each, verdict in zip(evidence, verdicts, strict=True))
    verdict = next(iter(verdicts), alone)
    if not evidence:
        notes = [*notes, "no evidence here: the update's size was not compared with that of the epoch's others"]
    in_full = None
    if verdict.reason is None and not as_drawn and not case.draws_everything:
        in_full = _judge(case.everything_checked(), context, submission_dir, manifest, [])
        if evidence:
            in_full = judging.compare_with(in_full, _norms(evidence[0]), ratio)
    return Again(verdict, in_full, comparisons, tuple(notes))


def _judge(
    case: Case, context: FolderContext, submission_dir: Path, manifest: Manifest, sketches: Sequence[Sketch]
) -> Verdict:
    """As a verifier's queue does: a submission that a check cannot digest is malformed."""
    try:
        return judging.judge(case, context, submission_dir, manifest, sketches).verdict
    except (ProtocolError, MemoryError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - libraries raise anything over a stranger's bytes
        return judging.undigested(error).verdict


def _sketches(
    case: Case, context: FolderContext, submission_dir: Path, manifest: Manifest, others: Sequence[Path]
) -> tuple[list[Sketch], list[str]]:
    """What the submission was compared with, itself included as in a verifier's queue; and what to say about it."""
    if not case.depends_on_seed or case.epoch_seed is None or case.policy_root is None:
        return [], []
    if not others:
        return [], [
            "the epoch's other submissions are not here: likeness was not looked at (--save with --with-others)"
        ]
    found: list[Sketch | None] = []
    policy = context.policy(case.policy_root)
    if not any(_epoch_and_index(path) == (case.epoch, case.submission.index) for path in others):
        found.append(judging.sketch_submission(case, policy, submission_dir, manifest, case.epoch_seed))
    for path in others:
        epoch, index = _epoch_and_index(path)
        other = replace(case, epoch=epoch, submission=replace(case.submission, index=index))
        with _our_file(path, " is no submission"):
            bundle = open_bundle(path, OWN_LIMITS)
        found.append(judging.sketch_submission(other, policy, path, bundle, case.epoch_seed))
    return [each for each in found if each is not None], []


def _epoch_and_index(path: Path) -> tuple[Epoch, SubmissionIndex]:
    """Raises Stop: the folder is not named EPOCH-INDEX."""
    if not (found := OTHER.fullmatch(path.name)):
        raise Stop(f"{path} should be named EPOCH-INDEX, such as 0-2")
    return Epoch(int(found[1])), SubmissionIndex(int(found[2]))


def _norms(attested: Attested) -> list[float]:
    with _our_file(attested.directory):
        return attested.norms()


def _compare(attested: Attested, case: Case, verdict: Verdict) -> Comparison:
    """Raises Stop: it is evidence about another submission, or judged it by another case."""
    with _our_file(attested.directory):
        document = attested.document(case.submission.index)
        theirs = attested.verdict_bytes(case.submission.index)
    if document.get("case") != case.json():
        raise Stop(
            f"{attested.directory} is about another submission, or judged it by other facts than those of the case"
        )
    ours = verdict.json()
    differs = _differing(document["verdict"], ours)
    return Comparison(attested, attested.report[case.submission.index], theirs == canonical_json(ours), differs)


def _differing(theirs: Json, ours: Mapping[str, Json]) -> tuple[str, ...]:
    def by_check(verdict: Json) -> dict[str, Any]:
        findings = verdict.get("findings") if isinstance(verdict, Mapping) else None
        listed = [each for each in findings if isinstance(each, Mapping)] if isinstance(findings, list) else []
        return {str(each.get("check")): each for each in listed}

    one, other = by_check(theirs), by_check(ours)
    return tuple(name for name in {**one, **other} if one.get(name) != other.get(name))
