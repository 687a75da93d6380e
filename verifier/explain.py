"""Why a work has its score, in plain words; and the same judgement again from two directories, with no chain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from offchain.environments import Environment, make_environment
from offchain.policy import load_policy
from offchain.policy.interface import Policy
from offchain.protocol.encoding import parse_canonical_json
from offchain.protocol.errors import Malformed, Stop
from offchain.protocol.header import parse_work_header
from offchain.protocol.manifest import BundleLimits
from offchain.protocol.spec import TaskSpec
from offchain.protocol.types import SCORE_FRAUD, Root
from offchain.shardcast.store import open_bundle
from verifier.case import Case, case_from_header, parse_case
from verifier.judge import Judgement, compare_with, judge, malformed
from verifier.verdict import Finding, Verdict, parse_verdict

MAX_DOCUMENT_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Document:
    """`works/<index>.json` of an evidence bundle: a case, and what its verifier made of it."""

    case: Case
    verdict: Verdict


def read_document(data: bytes) -> Document:
    """Read somebody's evidence. Raises Malformed."""
    if len(data) > MAX_DOCUMENT_BYTES:
        raise Malformed(f"evidence of {len(data)} bytes exceeds {MAX_DOCUMENT_BYTES}")
    value = parse_canonical_json(data)
    if not isinstance(value, dict) or set(value) != {"case", "verdict"}:
        raise Malformed("evidence must be an object with exactly case and verdict")
    return Document(parse_case(value["case"]), parse_verdict(value["verdict"]))


@dataclass(frozen=True, slots=True)
class _LocalBench:
    """One policy, from a directory of ours or of anybody's."""

    directory: Path
    root: Root
    spec: TaskSpec
    load: Callable[[Path], Policy]

    def policy(self, root: Root) -> Policy:
        if root != self.root:
            raise Stop(f"the work was made from policy {root.hex()}, {self.directory} holds {self.root.hex()}")
        return self.load(self.directory)

    def environment(self) -> Environment:
        return make_environment(self.spec.environment)


def verify_directory(
    work_dir: Path, policy_dir: Path, spec: TaskSpec, case: Case | None = None, norms: Sequence[float] = ()
) -> Judgement:
    """Judge a work as the attesting verifier did: the same checks, the same score.

    Args:
        work_dir: the work's bundle, its manifest included; from anywhere, all hashes are checked.
        policy_dir: the bundle of the policy version that the work was made from.
        case: what the chain says, e.g. from somebody's evidence. None takes the work's header at its word, and checks
            every completion and the whole update.
        norms: those of the epoch's acceptable updates, for the last check; without them it is left out.
    Raises Stop: the policy's directory is not what the work was made from.
    """
    try:
        limits = BundleLimits(spec.limits.work_bytes)
        manifest = open_bundle(work_dir, limits, case.work.manifest_root if case else None)
        case = case or case_from_header(parse_work_header(manifest.fields), spec, manifest.root)
    except Malformed as error:
        return Judgement(malformed(str(error)))
    try:
        policy = open_bundle(policy_dir, BundleLimits(spec.limits.policy_bytes))
    except Malformed as error:
        raise Stop(f"{policy_dir} is not a policy bundle: {error}") from error
    judgement = judge(case, _LocalBench(policy_dir, policy.root, spec, load_policy), work_dir, manifest)
    if not norms:
        return judgement
    verdict = compare_with(judgement.verdict, norms, spec.checks.max_update_norm_ratio)
    return Judgement(verdict, judgement.mean_reward)


def explain(verdict: Verdict) -> list[str]:
    """One line for the outcome, one for each check, and what it takes to see a failure again."""
    return [headline(verdict), *(_line(finding) for finding in verdict.findings), *_evidence(verdict)]


def headline(verdict: Verdict) -> str:
    """The outcome in one sentence."""
    if verdict.reason is None:
        return f"Accepted: worth {verdict.score} % of its price. Every check passed."
    name = str(verdict.reason).replace("_", " ")
    if verdict.score == SCORE_FRAUD:
        return f"Fraud ({name}): earns nothing and costs its trainer the task's slash."
    return f"Not paid ({name}): earns nothing, and costs nothing."


def _line(finding: Finding) -> str:
    sign = "passed" if finding.reason is None else "FAILED"
    if finding.threshold == 0:  # a yes or no
        return f"{sign}  {finding.check}: {finding.detail}"
    compared = f"{finding.measured:.6g} of at most {finding.threshold:.6g}"
    return f"{sign}  {finding.check}: {finding.detail} ({compared})"


def _evidence(verdict: Verdict) -> list[str]:
    found = [finding for finding in verdict.findings if finding.reason is not None]
    return [f"        {name}: {value}" for finding in found for name, value in sorted(finding.evidence.items())]
