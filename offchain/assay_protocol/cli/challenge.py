"""`assay challenge`: dispute a score, see how the appeal goes, claim what it owes.

A challenge is first committed to, so that nobody can copy it, and told when nobody can commit any more. What was meant
lies in the state folder before the commitment is sent: a lost terminal, or a crash, loses no bond.
"""

from typing import Any

import click

from assay_core.inspect import wording as words
from assay_core.inspect.formatting import fields, moment
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import (
    chain_options,
    group,
    pass_invocation,
    state_option,
    submission_argument,
    transaction_options,
)
from assay_protocol.cli.transact import transact

score_option = click.option(
    "--score",
    type=int,
    required=True,
    metavar="N",
    help="The score that would be right: 0 not paid, 1-100 percent of the price, 254 no bytes, 255 fraud.",
)


@group("challenge")
def challenge() -> None:
    """Dispute the score of a submission; see how the appeal goes; claim what it owes.

    A challenge has two steps: `commit` while the epoch's challenge window lasts, and `reveal` in the reveal window
    after it. Then a panel of jurors judges the submission.
    """


@challenge.action("commit", example="assay challenge commit 1/0/2 --score 255 --keystore watcher")
@submission_argument
@score_option
@transaction_options
@state_option
@pass_invocation
def commit(invocation: Invocation, submission: str, score: int) -> None:
    """Commit to a challenge, while the challenge window of the submission's epoch lasts. Nobody learns which submission
    is meant.

    Takes the task's challenge bond and the judging of one dispute. Come back with `assay challenge reveal` when the
    window is over: a challenge that is not revealed in time loses bond and judging. If the panel finds the score
    wrong the bond comes back, and who named the right score first pays the judging, and gets a part of what verifiers,
    or the cheat, lose.
    """
    from assay_core.protocol.economics import challenge_cost
    from assay_protocol.disputing import contested, objection_to

    found = contested(invocation.connected(), submission)
    objection, calls = objection_to(found, score, invocation.address_of())
    if not invocation.is_dry_run:
        found.kept.add(objection)
    late = f"submission {found.id} cannot be challenged any more: its challenge window has just ended"
    outcome = transact(invocation, calls, refusals={"WrongPhase": late})
    cost, standing = challenge_cost(found.ledger.task.params), found.record.score_of(found.id.index)
    start, end = found.reveal_window
    outcome.tell(
        f"committed to a challenge of {found.id}: {words.score(standing)}, should be {words.score(score)}; "
        f"{invocation.chain().money().show(cost)} put down. Reveal it from {moment(start)} to {moment(end)}: "
        f"`assay challenge reveal {found.id}`",
        submission=str(found.id),
        standing=standing,
        score=score,
        paid_wei=cost,
        reveal_from=start,
    )


@challenge.action("reveal", example="assay challenge reveal 1/0/2 --keystore watcher")
@submission_argument
@transaction_options
@state_option
@pass_invocation
def reveal(invocation: Invocation, submission: str) -> None:
    """Reveal what this state folder has committed to about a submission, in the reveal window after the challenge
    window.

    Any key may send it.
    """
    from assay_protocol.disputing import contested, due_reveals

    found = contested(invocation.connected(), submission)
    due = due_reveals(found)
    scores = [score for score, _ in due]
    shown = " or ".join(words.score(score) for score in scores)
    done = f"challenged {found.id}: it should be {shown}. Follow it with `assay challenge show {found.id}`"
    transact(invocation, [call for _, call in due]).tell(done, submission=str(found.id), scores=scores)


@challenge.action("show", example="assay challenge show 1/0/2")
@submission_argument
@chain_options
@state_option
@pass_invocation
def show(invocation: Invocation, submission: str) -> None:
    """Show the dispute about a submission: who disputes what, how the panel voted, what it cost whom."""
    from assay_core.inspect.dispute import dispute_json, dispute_pairs
    from assay_protocol.disputing import contested

    found, chain = contested(invocation.connected(), submission), invocation.chain()
    record, dispute = found.record, found.record.disputes.get(found.id.index)
    yours: list[dict[str, Any]] = [
        {"score": each.score, "state": challenge.state.name.lower()} for each, challenge in found.mine
    ]
    lines = [f"yours: {words.score(each['score'])}, {each['state']}" for each in yours]
    if dispute is None:
        unknown = len(record.unrevealed_challenges)
        lines.append(
            f"nobody has disputed submission {found.id}; {unknown} challenges of its epoch are not revealed yet"
        )
    else:
        lines += fields(dispute_pairs(record, dispute, chain.money()))
    data = {
        "submission": str(found.id),
        "phase": chain.appeals.phase_of(found.id.task_id, found.id.epoch, found.id.index),
        "dispute": None if dispute is None else dispute_json(record, dispute),
        "yours": yours,
    }
    invocation.emit(data, lines)


@challenge.action("claim", example="assay challenge claim 1/0/2 --keystore watcher")
@submission_argument
@transaction_options
@state_option
@pass_invocation
def claim(invocation: Invocation, submission: str) -> None:
    """Claim what a submission's decided dispute owes to anybody: bonds and winnings of challengers, fees of jurors.

    Each is paid to whom it belongs, anyone who sends it. Challenges of the epoch that were never revealed are ended, so
    that it can become final; what was prepaid for their judging goes back with the next claim.
    """
    from assay_protocol.disputing import contested, due_claims

    found = contested(invocation.connected(), submission)
    outcome = transact(invocation, due_claims(found, invocation.address_of()))
    outcome.tell(f"paid what the dispute of submission {found.id} owed", submission=str(found.id))
