"""`assay explain`: what became of a submission, and why."""

from pathlib import Path

import click

from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    chain_options,
    command,
    pass_invocation,
    relay_options,
    state_option,
    verifier_option,
)


@command("explain", example="assay explain 1/0/2\nassay explain 1/0/2 --save /tmp/submission-1-0-2")
@click.argument("submission", metavar="SUBMISSION")
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Fetch submission, policy, spec, case and evidence into DIR, for `assay verify`.",
)
@click.option(
    "--with-others",
    is_flag=True,
    help="Save the submissions that it was compared with, too; of use where not all is drawn.",
)
@chain_options
@relay_options
@state_option
@verifier_option
@pass_invocation
def explain(invocation: Invocation, submission: str, save: Path | None, with_others: bool) -> None:
    """Say in plain words what became of a submission: its score, what was checked, what failed by how much, who said
    so.

    SUBMISSION is task/epoch/index, as in `assay rewards show`, or the root of its manifest. The chain tells the
    outcome, the verifiers' evidence on the relays the reasons.
    """
    from assay_core.inspect.explanation import to_json, to_lines
    from assay_protocol.lookup import explain as explain_submission

    told = explain_submission(invocation.connected(), submission, save=save, with_others=with_others)
    saved = [] if save is None else ["", f"saved in {save}"]
    invocation.emit({**to_json(told), "saved": saved}, [*to_lines(told), *saved])
