"""`assay verify`: every check on one work again, with no chain and no service."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, existing_file, existing_folder, pass_invocation

if TYPE_CHECKING:
    from assay_protocol.reproduction import Again, Comparison
    from assay_verifier.verdict import Verdict


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
    from assay_protocol.reproduction import reproduce

    result = reproduce(
        work_dir,
        policy_dir=policy_dir,
        spec_file=spec_file,
        case_file=case_file,
        evidence_dirs=evidence_dirs,
        others_dir=others_dir,
        as_drawn=as_drawn,
        threads=threads,
    )
    invocation.emit(_json(result), _lines(result))
    if not result.is_accepted:
        raise click.exceptions.Exit(1)


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


def _lines(result: "Again") -> list[str]:
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
    return [*_marks(result.verdict), *result.notes, *compared, *more, _end(last)]


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
