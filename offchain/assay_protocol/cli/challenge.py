"""`assay challenge`: dispute a score, see how the appeal goes, claim what it owes.

A challenge is first committed to, so that nobody can copy it, and told when nobody can commit any more. What was meant
lies in the state folder before the commitment is sent: a lost terminal, or a crash, loses no bond.
"""

import secrets
from typing import TYPE_CHECKING

import click

from assay_core.inspect import wording as words
from assay_core.inspect.formatting import fields, moment
from assay_core.protocol.errors import Reverted, Stop
from assay_protocol.challenge_store import Objections
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import chain_options, group, pass_invocation, state_option, transaction_options
from assay_protocol.cli.transact import succeeds, transact
from assay_protocol.sending import approval

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.chain.contracts import Call
    from assay_core.chain.ledger import EpochRecord, TaskLedger
    from assay_core.protocol.types import WorkId

score_option = click.option(
    "--score",
    type=int,
    required=True,
    metavar="N",
    help="The score that would be right: 0 not paid, 1-100 percent of the price, 255 fraud.",
)


@group("challenge")
def challenge() -> None:
    """Dispute the score of a work; see how the appeal goes; claim what it owes.

    A challenge has two steps: `commit` while the epoch's challenge window lasts, and `reveal` in the reveal window
    after it. Then a panel of jurors judges the work.
    """


@challenge.action("commit", example="assay challenge commit 1/0/2 --score 255 --keystore watcher")
@click.argument("work", metavar="WORK")
@score_option
@transaction_options
@state_option
@pass_invocation
def commit(invocation: Invocation, work: str, score: int) -> None:
    """Commit to a challenge, while the challenge window of the work's epoch lasts. Nobody learns which work is meant.

    Takes the task's challenge bond and the judging of one dispute. Come back with `assay challenge reveal` when the
    window is over: a challenge that is not revealed in time loses bond and judging. If the panel finds the score
    wrong the bond comes back, and who named the right score first pays the judging, and gets a part of what verifiers,
    or the cheat, lose.
    """
    from assay_core.chain.challenging import Objection, cost_wei
    from assay_core.protocol.types import SCORE_FRAUD, SCORE_FULL

    if not (0 <= score <= SCORE_FULL or score == SCORE_FRAUD):
        raise Stop(f"--score {score} is no score: 0 not paid, 1-100 percent of the price, 255 fraud")
    chain = invocation.chain()
    ledger, record, work_id = _find(invocation, work)
    standing, challenger = record.score_of(work_id.index), invocation.address_of(None)
    if standing is None:
        raise Stop(f"work {work_id} has no score yet: see `assay explain {work_id}`")
    if record.is_over or (record.challenge_by or 0) <= chain.now():
        over = f" at {moment(record.challenge_by)}" if record.challenge_by else ""
        raise Stop(f"work {work_id} cannot be challenged any more: its challenge window ended{over}")
    if standing == score:
        raise Stop(f"work {work_id} has that score: {words.score(score)}")
    money, cost = chain.money(), cost_wei(ledger.task.params)
    kept = _kept(invocation, chain)
    if any(each.score == score and each.challenge_in(record) for each in kept.of(work_id)):
        raise Stop(f"that challenge of work {work_id} is committed already: see `assay challenge show {work_id}`")
    where = work_id.task_id, work_id.epoch, work_id.index
    objection = Objection(*where, score, challenger, secrets.token_bytes(32))
    calls = [
        *approval(chain, challenger, chain.appeals.address, cost),
        chain.appeals.commit_challenge(work_id.task_id, work_id.epoch, objection.commitment),
    ]
    if not invocation.is_dry_run:
        kept.add(objection)
    try:
        outcome = transact(invocation, chain, calls)
    except Reverted as error:
        if error.error != "WrongPhase":
            raise
        raise Stop(f"work {work_id} cannot be challenged any more: its challenge window has just ended") from error
    by = record.challenge_by or 0
    done = (
        f"committed to a challenge of work {work_id}: {words.score(standing)}, should be {words.score(score)}; "
        f"{money.show(cost)} put down. Reveal it from {moment(by)} to {moment(by + ledger.task.params.reveal_window)}: "
        f"`assay challenge reveal {work_id}`"
    )
    result = {"work": str(work_id), "standing": standing, "score": score, "paid_wei": cost, "reveal_from": by}
    invocation.emit(outcome.json(**result), outcome.lines(done))


@challenge.action("reveal", example="assay challenge reveal 1/0/2 --keystore watcher")
@click.argument("work", metavar="WORK")
@transaction_options
@state_option
@pass_invocation
def reveal(invocation: Invocation, work: str) -> None:
    """Reveal what this state folder has committed to about a work, in the reveal window after the challenge window.

    Any key may send it.
    """
    from assay_core.chain.challenging import next_call

    chain = invocation.chain()
    ledger, record, work_id = _find(invocation, work)
    params = ledger.task.params
    mine = [each for each in _kept(invocation, chain).of(work_id) if each.challenge_in(record) is not None]
    if not mine:
        raise Stop(f"nothing here was committed to about work {work_id}: name the --state-dir that did")
    due = [(each, next_call(each, record, params, chain.now(), chain.appeals)) for each in mine]
    calls = [call for _, call in due if call is not None]
    if not calls:
        by = record.challenge_by or 0
        when = f"from {moment(by)} to {moment(by + params.reveal_window)}"
        raise Stop(f"nothing about work {work_id} can be revealed now; it can be {when}, once")
    outcome = transact(invocation, chain, calls)
    scores = [each.score for each, call in due if call is not None]
    shown = " or ".join(words.score(score) for score in scores)
    done = f"challenged work {work_id}: it should be {shown}. Follow it with `assay challenge show {work_id}`"
    invocation.emit(outcome.json(work=str(work_id), scores=scores), outcome.lines(done))


@challenge.action("show", example="assay challenge show 1/0/2")
@click.argument("work", metavar="WORK")
@chain_options
@state_option
@pass_invocation
def show(invocation: Invocation, work: str) -> None:
    """Show the dispute about a work: who disputes what, how the panel voted, what it cost whom."""
    from assay_core.inspect.dispute import dispute_json, dispute_pairs

    chain = invocation.chain()
    _, record, work_id = _find(invocation, work)
    phase = chain.appeals.phase_of(work_id.task_id, work_id.epoch, work_id.index)
    mine = [
        (each.score, found.state.name.lower())
        for each in _kept(invocation, chain).of(work_id)
        if (found := each.challenge_in(record)) is not None
    ]
    dispute = record.disputes.get(work_id.index)
    lines = [f"yours: {words.score(score)}, {state}" for score, state in mine]
    if dispute is None:
        unknown = len(record.unrevealed_challenges)
        lines.append(f"nobody has disputed work {work_id}; {unknown} challenges of its epoch are not revealed yet")
    else:
        lines += fields(dispute_pairs(record, dispute, chain.money()))
    told = None if dispute is None else dispute_json(record, dispute)
    yours = [{"score": score, "state": state} for score, state in mine]
    data = {"work": str(work_id), "phase": phase.name.lower(), "dispute": told, "yours": yours}
    invocation.emit(data, lines)


@challenge.action("claim", example="assay challenge claim 1/0/2 --keystore watcher")
@click.argument("work", metavar="WORK")
@transaction_options
@state_option
@pass_invocation
def claim(invocation: Invocation, work: str) -> None:
    """Claim what a work's decided dispute owes to anybody: bonds and winnings of challengers, fees of jurors.

    Each is paid to whom it belongs, whoever sends it. Challenges of the epoch that were never revealed are ended, so
    that it can become final; what was prepaid for their judging goes back with the next claim.
    """
    chain = invocation.chain()
    ledger, record, work_id = _find(invocation, work)
    sender = invocation.address_of(None)
    candidates = [*_expiries(chain, ledger, record, work_id), *_claims(chain, record, work_id)]
    calls = [call for call in candidates if succeeds(chain, sender, call)]
    if not calls:
        raise Stop(f"the dispute of work {work_id} owes nobody anything now: see `assay challenge show {work_id}`")
    outcome = transact(invocation, chain, calls)
    invocation.emit(outcome.json(work=str(work_id)), outcome.lines(f"paid what the dispute of work {work_id} owed"))


def _expiries(chain: "Chain", ledger: "TaskLedger", record: "EpochRecord", work_id: "WorkId") -> "list[Call]":
    by = (record.challenge_by or 0) + ledger.task.params.reveal_window
    if record.challenge_by is None or chain.now() < by:
        return []
    where = work_id.task_id, work_id.epoch
    return [chain.appeals.expire_challenge(*where, each.id) for each in record.unrevealed_challenges]


def _claims(chain: "Chain", record: "EpochRecord", work_id: "WorkId") -> "list[Call]":
    """All that might be owed: whoever is owed nothing is refused."""
    where, dispute = (work_id.task_id, work_id.epoch), record.disputes.get(work_id.index)
    if dispute is None or dispute.is_open:
        return []
    return [
        *(chain.appeals.claim_challenge(*where, each) for each in dispute.challenges),
        *(chain.appeals.claim_vote(*where, work_id.index, juror) for juror in dispute.votes),
    ]


def _find(invocation: Invocation, work: str) -> "tuple[TaskLedger, EpochRecord, WorkId]":
    """Raises Stop: no such work."""
    from assay_core.inspect.epochs import committed_work
    from assay_protocol.network import named_work

    chain = invocation.chain()
    ledger, work_id = named_work(
        invocation.connected(chain), work, accepted="task/epoch/index, as in `assay rewards show`"
    )
    record, _ = committed_work(ledger, work_id)
    return ledger, record, work_id


def _kept(invocation: Invocation, chain: "Chain") -> Objections:
    at = chain.deployment
    return Objections(invocation.state_folder("challenges") / f"{at.network}-{at.chain_id}-{at.appeals[2:10].lower()}")
