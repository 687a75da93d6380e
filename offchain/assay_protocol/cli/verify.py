"""`assay verify`: every check on one work again, with no chain and no service."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_core.protocol.errors import Malformed, Stop
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, existing_file, existing_folder, pass_invocation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay_core.bundle.evidence import Attested
    from assay_core.bundle.manifest import Manifest
    from assay_core.protocol.spec import TaskSpec
    from assay_protocol.reproduction import Again, Comparison
    from assay_verifier.case import Case
    from assay_verifier.verdict import Verdict

MAX_CASE_BYTES = 2**20


@command("verify", example="assay explain 1/0/2 --save /tmp/w\nassay verify /tmp/w/work")
@click.argument("work_dir", metavar="WORK_DIR", type=existing_folder)
@click.option(
    "--policy",
    "policy_dir",
    type=existing_folder,
    metavar="DIR",
    help="The policy that the work was made from.  [default: ../policy beside WORK_DIR]",
)
@click.option(
    "--spec", "spec_file", type=existing_file, metavar="FILE", help="The task's spec.  [default: ../spec.json]"
)
@click.option(
    "--case",
    "case_file",
    type=existing_file,
    metavar="FILE",
    help="What the chain says about the work; "
    "without it the work's own manifest is believed.  [default: ../case.json, if there is one]",
)
@click.option(
    "--evidence",
    "evidence_dirs",
    type=existing_folder,
    multiple=True,
    metavar="DIR",
    help="A verifier's evidence, named after its root, to compare with; may be given again.  [default: all of "
    "../evidence]",
)
@click.option(
    "--others",
    "others_dir",
    type=existing_folder,
    metavar="DIR",
    help="The works that it was compared with, as EPOCH-INDEX.  [default: ../others, if there are any]",
)
@click.option("--as-drawn", is_flag=True, help="Check only what the epoch's seed has drawn, as the verifiers did.")
@click.option(
    "--threads", type=click.IntRange(1, 256), default=1, help="As the verifier had: another number, other last digits."
)
@pass_invocation
def verify(
    invocation: Invocation,
    work_dir: Path,
    policy_dir: Path | None,
    spec_file: Path | None,
    case_file: Path | None,
    evidence_dirs: tuple[Path, ...],
    others_dir: Path | None,
    as_drawn: bool,
    threads: int,
) -> None:
    """Run the checks on the work in WORK_DIR again and print what each found.

    First what the epoch's seed has drawn: this gives the score that verifiers attested, on the same machine to the
    byte. Then, if that was not all, everything, which is what a challenge would bring to light.
    Exit code 0: accepted; 1: not. Nothing but these files is read: no chain, no relay, no service.
    """
    import torch

    torch.set_num_threads(threads)
    beside = work_dir.resolve().parent
    spec = _read_spec(spec_file or _needed(beside / "spec.json", "--spec FILE"))
    policy_dir = policy_dir or _needed(beside / "policy", "--policy DIR")
    if case_file is None and (beside / "case.json").is_file():
        case_file = beside / "case.json"
    evidence = [_open_evidence(each) for each in evidence_dirs or _inside(beside / "evidence")]
    others = _inside(others_dir or beside / "others")
    result = _again(work_dir, policy_dir, spec, case_file, evidence, others, as_drawn=as_drawn)
    invocation.emit(_json(result), _lines(result, case_file))
    if not result.is_accepted:
        raise click.exceptions.Exit(1)


def _again(
    work_dir: Path,
    policy_dir: Path,
    spec: "TaskSpec",
    case_file: Path | None,
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
    from assay_protocol.reproduction import Again, FolderBench, judge_again
    from assay_verifier.case import case_from_header
    from assay_verifier.judge import malformed

    try:
        manifest = open_bundle(work_dir, BundleLimits(spec.limits.work_bytes))
        if case_file is not None:
            case = _read_case(case_file, spec, manifest)
        else:
            case = case_from_header(parse_work_header(manifest.fields), spec, manifest.root)
    except Malformed as error:
        return Again(malformed(str(error)))
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


def _read_case(path: Path, spec: "TaskSpec", manifest: "Manifest") -> "Case":
    """Raises Stop: not a case, or that of another work or spec."""
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
    if case.work.manifest_root != manifest.root:
        raise Stop(f"{path} is about work {case.work.manifest_root.hex()}, the folder holds {manifest.root.hex()}")
    if case.spec != spec:
        raise Stop(f"{path} is about a task with another spec")
    return case


def _needed(path: Path, option: str) -> Path:
    if not path.exists():
        raise Stop(f"{path} is not there: add {option}, or fetch all with `assay explain WORK --save DIR`")
    return path


def _json(result: "Again") -> dict[str, Any]:
    return {
        "accepted": result.is_accepted,
        **result.verdict.json(),
        "verdict": dict(result.verdict.json()),
        "in_full": None if result.in_full is None else dict(result.in_full.json()),
        "attested": [
            {
                "verifier": each.attested.verifier,
                "evidence_root": each.attested.root,
                "score": each.score,
                "is_same": each.is_same,
                "differs": each.differs,
            }
            for each in result.comparisons
        ],
        "notes": result.notes,
    }


def _lines(result: "Again", case_file: Path | None) -> list[str]:
    believed = (
        [] if case_file else ["the work's own manifest was believed about task, epoch and seed (no --case given)"]
    )
    last = result.in_full or result.verdict
    more: list[str] = []
    if result.in_full is not None:
        more = [
            f"as drawn: {_end(result.verdict)}",
            "",
            "with everything checked, drawn or not",
            *_marks(result.in_full),
        ]
    compared = [_compared(each, result.verdict.score) for each in result.comparisons]
    return [*_marks(result.verdict), *result.notes, *believed, *compared, *more, _end(last)]


def _marks(verdict: "Verdict") -> list[str]:
    from assay_core.inspect import wording as words

    return [
        words.finding(each.check, each.measured, each.threshold, each.detail, has_passed=each.reason is None)
        for each in verdict.findings
    ]


def _end(verdict: "Verdict") -> str:
    from assay_core.inspect import wording as words

    end = "accepted" if verdict.reason is None else f"not accepted: {words.reason(str(verdict.reason))}"
    return f"{end}; score {words.score(verdict.score)}"


def _compared(each: "Comparison", score: int) -> str:
    from assay_core.inspect import wording as words
    from assay_core.inspect.evidence import printable

    who = printable(each.attested.verifier)
    if each.is_same:
        return f"the same verdict, to the byte, as {who} attested"
    differs = ", ".join(words.check(printable(name)) for name in each.differs)
    if each.score == score:
        return f"the same score as {who} attested; what was found differs in: {differs}"
    return (
        f"ANOTHER SCORE than {who} attested, which is {words.score(each.score)}; what was found differs in: {differs}"
    )
