"""`assay verify`: every check on one submission again, with no chain and no service."""

from pathlib import Path
from typing import Any

import click

from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import command, existing_file, existing_folder, pass_invocation


@command("verify", example="assay explain 1/0/2 --save /tmp/w\nassay verify /tmp/w/submission")
@click.argument("submission_dir", metavar="SUBMISSION_DIR", type=existing_folder)
@click.option(
    "--policy",
    "policy_dir",
    type=existing_folder,
    metavar="DIR",
    help="The policy that the submission was made from.  [default: ../policy beside SUBMISSION_DIR]",
)
@click.option(
    "--spec", "spec_file", type=existing_file, metavar="FILE", help="The task's spec.  [default: ../spec.json]"
)
@click.option(
    "--case",
    "case_file",
    type=existing_file,
    metavar="FILE",
    help="What the chain says about the submission; "
    "without it the submission's own manifest is believed.  [default: ../case.json, if there is one]",
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
    help="The submissions that it was compared with, as EPOCH-INDEX.  [default: ../others, if there are any]",
)
@click.option("--as-drawn", is_flag=True, help="Check only what the epoch's seed has drawn, as the verifiers did.")
@click.option(
    "--threads", type=click.IntRange(1, 256), default=1, help="As the verifier had: another number, other last digits."
)
@pass_invocation
def verify(invocation: Invocation, submission_dir: Path, **beside: Any) -> None:
    """Run the checks on the submission in SUBMISSION_DIR again and print what each found.

    First what the epoch's seed has drawn: this gives the score that verifiers attested, on the same machine to the
    byte. Then, if that was not all, everything, which is what a challenge would bring to light.
    Exit code 0: accepted; 1: not. Nothing but these files is read: no chain, no relay, no service.
    """
    from assay_protocol.reproduction import reproduce

    result = reproduce(submission_dir, **beside)
    invocation.emit(result.json(), result.lines())
    if not result.is_accepted:
        raise click.exceptions.Exit(1)
