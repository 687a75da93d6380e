"""`assay verify`: every check on one work again, with no chain and no service."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offchain.cli.invocation import Invocation
from offchain.cli.options import command, existing_file, existing_folder, pass_invocation
from offchain.protocol.errors import Malformed, Stop

if TYPE_CHECKING:
    from offchain.environments.interface import Environment
    from offchain.policy.interface import Policy
    from offchain.protocol.manifest import Manifest
    from offchain.protocol.spec import TaskSpec
    from offchain.protocol.types import Root
    from verifier.case import Case
    from verifier.verdict import Verdict

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
@pass_invocation
def verify(
    invocation: Invocation, work_dir: Path, policy_dir: Path | None, spec_file: Path | None, case_file: Path | None
) -> None:
    """Run every check on the work in WORK_DIR, replay included, and print what each found.

    Exit code 0: accepted; 1: not. Nothing but these files is read: no chain, no relay, no service.
    """
    beside = work_dir.resolve().parent
    spec = _read_spec(spec_file or _needed(beside / "spec.json", "--spec FILE"))
    policy_dir = policy_dir or _needed(beside / "policy", "--policy DIR")
    if case_file is None and (beside / "case.json").is_file():
        case_file = beside / "case.json"
    verdict = _judge(work_dir, policy_dir, spec, case_file)
    invocation.emit({"accepted": verdict.reason is None, **_json(verdict)}, _lines(verdict, case_file))
    if verdict.reason is not None:
        raise click.exceptions.Exit(1)


def _judge(work_dir: Path, policy_dir: Path, spec: "TaskSpec", case_file: Path | None) -> "Verdict":
    """Judge as a verifier does, but everything is checked. Raises Stop: our policy or case is not the work's."""
    from offchain.environments import make_environment
    from offchain.protocol.errors import Rejected
    from offchain.protocol.header import parse_work_header
    from offchain.protocol.manifest import BundleLimits
    from offchain.shardcast.store import open_bundle
    from verifier.case import case_from_header
    from verifier.judge import judge, malformed

    try:
        manifest = open_bundle(work_dir, BundleLimits(spec.limits.work_bytes))
        header = parse_work_header(manifest.fields)
    except Malformed as error:
        return malformed(str(error))
    case = case_from_header(header, spec, manifest.root) if case_file is None else _read_case(case_file, spec, manifest)
    try:
        environment = make_environment(spec.environment)
    except Rejected as error:
        raise Stop(f"the spec cannot be used: {error}") from error
    bench = FolderBench(policy_dir, BundleLimits(spec.limits.policy_bytes).bundle_bytes, environment)
    return judge(case.everything_checked(), bench, work_dir, manifest).verdict


class FolderBench:
    """The judge's bench, out of one folder with the bundle of a policy."""

    def __init__(self, directory: Path, max_bytes: int, environment: "Environment") -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._environment = environment

    def policy(self, root: "Root") -> "Policy":
        """Raises Stop: the folder holds another policy than the work's, or none."""
        from offchain.policy import load_policy
        from offchain.protocol.manifest import BundleLimits
        from offchain.shardcast.store import open_bundle

        try:
            open_bundle(self._directory, BundleLimits(self._max_bytes), root)
            return load_policy(self._directory)
        except Malformed as error:
            raise Stop(f"{self._directory} is not the policy {root.hex()} that the work names: {error}") from error

    def environment(self) -> "Environment":
        return self._environment


def _read_spec(path: Path) -> "TaskSpec":
    from offchain.protocol.spec import parse_spec

    try:
        return parse_spec(path.read_bytes())
    except Malformed as error:
        raise Stop(f"{path} is not a task's spec.json: {error}") from error
    except OSError as error:
        raise Stop(f"{path}: {error.strerror}") from error


def _read_case(path: Path, spec: "TaskSpec", manifest: "Manifest") -> "Case":
    """Raises Stop: not a case, or that of another work or spec."""
    from offchain.protocol.encoding import parse_canonical_json
    from verifier.case import parse_case

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


def _json(verdict: "Verdict") -> dict[str, Any]:
    return dict(verdict.json())


def _lines(verdict: "Verdict", case_file: Path | None) -> list[str]:
    from offchain.cli import words

    marks = [
        words.finding(each.check, each.measured, each.threshold, each.detail, has_passed=each.reason is None)
        for each in verdict.findings
    ]
    end = "accepted" if verdict.reason is None else f"not accepted: {words.reason(str(verdict.reason))}"
    believed = (
        [] if case_file else ["the work's own manifest was believed about task, epoch and seed (no --case given)"]
    )
    return [*marks, *believed, f"{end}; score {words.score(verdict.score)}"]
