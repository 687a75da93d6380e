"""A work judged again from folders alone, and what came of it beside what verifiers attested."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay_core.protocol.errors import Malformed, Stop

if TYPE_CHECKING:
    from assay_core.bundle.evidence import Attested
    from assay_core.bundle.manifest import Manifest
    from assay_core.environments.interface import Environment
    from assay_core.policy.interface import Policy
    from assay_core.protocol.encoding import Json
    from assay_core.protocol.types import Epoch, Root, WorkIndex
    from assay_verifier.case import Case
    from assay_verifier.checks.duplicates import Sketch
    from assay_verifier.verdict import Verdict

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
