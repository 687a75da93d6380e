"""`assay challenge`: dispute a score, see how the appeal goes, claim what it owes."""

from typing import TYPE_CHECKING

import click

from offchain.cli import words
from offchain.cli.dispute import challenge_json, challenge_pairs
from offchain.cli.invocation import Invocation, money_of
from offchain.cli.options import (
    address_option,
    chain_options,
    group,
    pass_invocation,
    state_option,
    transaction_options,
)
from offchain.cli.output import fields
from offchain.cli.transact import approval, transact
from offchain.protocol.errors import Stop

if TYPE_CHECKING:
    from offchain.chain.ledger import ChallengeRecord, EpochRecord, TaskLedger
    from offchain.protocol.types import WorkId


@group("challenge")
def challenge() -> None:
    """Dispute the score of a work; see how the appeal goes; claim what it owes."""


@challenge.action("open", example="assay challenge open 1/0/2 --score 255 --keystore watcher")
@click.argument("work", metavar="WORK")
@click.option(
    "--score",
    type=int,
    required=True,
    metavar="N",
    help="The score that would be right: 0 not paid, 1-100 percent of the price, 255 fraud.",
)
@transaction_options
@state_option
@pass_invocation
def open_challenge(invocation: Invocation, work: str, score: int) -> None:
    """Put a work before all verifiers of its epoch again, while its challenge window lasts.

    Takes the task's challenge bond: lost if the score stands, else given back, with half of what verifiers lose who
    were behind it if your score was the right one. `assay verify` tells you beforehand what a full judgement gives.
    """
    from offchain.protocol.types import SCORE_FRAUD, SCORE_FULL, Address

    if not (0 <= score <= SCORE_FULL or score == SCORE_FRAUD):
        raise Stop(f"--score {score} is no score: 0 not paid, 1-100 percent of the price, 255 fraud")
    chain = invocation.chain()
    ledger, record, work_id = _find(invocation, work)
    standing = record.score_of(work_id.index)
    if standing is None or record.is_over:
        raise Stop(f"work {work_id} has no score that could be challenged now: see `assay explain {work_id}`")
    money, bond = money_of(chain), ledger.task.params.challenge_bond
    sender = invocation.account().address
    calls = [
        *approval(chain, Address(sender), chain.registry.address, bond),
        chain.challenges.challenge(work_id.task_id, work_id.epoch, work_id.index, score),
    ]
    outcome = transact(invocation, chain, calls)
    done = (
        f"challenged work {work_id}: {words.score(standing)}, should be {words.score(score)}; {money.show(bond)} put "
        f"down. Follow it with `assay challenge show {work_id}`"
    )
    result = {"work": str(work_id), "standing": standing, "score": score, "bond_wei": bond}
    invocation.emit(outcome.json(**result), outcome.lines(done))


@challenge.action("show", example="assay challenge show 1/0/2")
@click.argument("work", metavar="WORK")
@chain_options
@state_option
@pass_invocation
def show(invocation: Invocation, work: str) -> None:
    """Show a challenge: who disputes what, how the verifiers voted, what it cost whom."""
    chain = invocation.chain()
    _, record, work_id = _find(invocation, work)
    dispute = _challenge(record, work_id)
    phase = chain.challenges.phase_of(work_id.task_id, work_id.epoch, work_id.index)
    data = {"work": str(work_id), "phase": phase.name.lower(), **challenge_json(dispute)}
    invocation.emit(data, fields(challenge_pairs(dispute, money_of(chain))))


@challenge.action("claim", example="assay challenge claim 1/0/2 --keystore watcher")
@click.argument("work", metavar="WORK")
@address_option
@transaction_options
@state_option
@pass_invocation
def claim(invocation: Invocation, work: str, address: str | None) -> None:
    """Claim what a decided challenge owes: the challenger's bond and winnings, or a verifier's share of a lost bond."""
    from offchain.chain.events import ChallengeClaimed

    chain = invocation.chain()
    _, record, work_id = _find(invocation, work)
    _challenge(record, work_id)
    money, key = money_of(chain), invocation.address_of(address)
    where = work_id.task_id, work_id.epoch, work_id.index
    candidates = (key, chain.staking.operator_of(key))
    to = next((each for each in candidates if chain.challenges.owed_to(*where, each)), None)
    if to is None:
        raise Stop(f"the challenge of work {work_id} owes {key} nothing now: see `assay challenge show {work_id}`")
    outcome = transact(invocation, chain, [chain.challenges.claim(*where, to)])
    wei = None if outcome.last is None else outcome.last.event(ChallengeClaimed).amount
    result = {"work": str(work_id), "to": to, "amount_wei": wei}
    invocation.emit(outcome.json(**result), outcome.lines(f"claimed {money.show(wei or 0)} for {to}"))


def _find(invocation: Invocation, work: str) -> "tuple[TaskLedger, EpochRecord, WorkId]":
    """Raises Stop: no such work."""
    from offchain.cli.following import committed_work, named_work

    chain = invocation.chain()
    ledger, work_id = named_work(invocation, chain, work, accepted="task/epoch/index, as in `assay rewards show`")
    record, _ = committed_work(ledger, work_id)
    return ledger, record, work_id


def _challenge(record: "EpochRecord", work_id: "WorkId") -> "ChallengeRecord":
    dispute = record.challenges.get(work_id.index)
    if dispute is None:
        raise Stop(f"nobody has challenged work {work_id}: `assay challenge open {work_id} --score N` does")
    return dispute
