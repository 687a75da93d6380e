"""Dispute a score: what stands in the way of a challenge, what of it is due, and what a decided dispute owes."""

import secrets
from dataclasses import dataclass

from assay_core.chain.challenging import Objection, next_call
from assay_core.chain.contracts import Call
from assay_core.chain.ledger import ChallengeRecord, EpochRecord, TaskLedger
from assay_core.inspect import wording as words
from assay_core.inspect.epochs import committed_submission
from assay_core.inspect.formatting import moment
from assay_core.protocol.economics import challenge_cost
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import SCORE_FRAUD, SCORE_FULL, SCORE_UNAVAILABLE, Address, SubmissionId
from assay_protocol.challenge_store import Objections
from assay_protocol.network import Network, named_submission
from assay_protocol.sending import succeeds


@dataclass(frozen=True, slots=True)
class Contested:
    """A submission whose score is, or may be, disputed; `kept` is what this user has committed to."""

    network: Network
    ledger: TaskLedger
    record: EpochRecord
    id: SubmissionId
    kept: Objections

    @property
    def mine(self) -> list[tuple[Objection, ChallengeRecord]]:
        """This user's challenges that the chain has. Raises Stop: a file of theirs cannot be read."""
        found = ((each, each.challenge_in(self.record)) for each in self.kept.of(self.id))
        return [(each, challenge) for each, challenge in found if challenge is not None]

    @property
    def reveal_window(self) -> tuple[int, int]:
        """Unix times between which challenges are revealed; 0: the epoch is not settled."""
        start = self.record.challenge_by or 0
        return start, start + self.ledger.task.params.reveal_window

    def next_call(self, objection: Objection) -> Call | None:
        """The commitment or the reveal, when it is time for it."""
        chain = self.network.chain
        return next_call(objection, self.record, self.ledger.task.params, chain.now(), chain.appeals)


def contested(network: Network, submission: str) -> Contested:
    """The submission task/epoch/index. Raises Stop: there is none. Unavailable: the node is down."""
    accepted = "task/epoch/index, as in `assay rewards show`"
    ledger, submission_id = named_submission(network, submission, accepted=accepted)
    record, _ = committed_submission(ledger, submission_id)
    at = network.chain.deployment
    folder = network.state_dir / "challenges" / f"{at.network}-{at.chain_id}-{at.appeals[2:10].lower()}"
    return Contested(network, ledger, record, submission_id, Objections(folder))


def objection_to(found: Contested, score: int, challenger: Address) -> tuple[Objection, list[Call]]:
    """A challenge, and the calls that commit to it. Raises Stop: no such score, too early or late, or done already."""
    if not (0 <= score <= SCORE_FULL or score in (SCORE_FRAUD, SCORE_UNAVAILABLE)):
        raise Stop(f"--score {score} is no score: 0 not paid, 1-100 percent of the price, 254 no bytes, 255 fraud")
    standing = found.record.score_of(found.id.index)
    if standing is None:
        raise Stop(f"submission {found.id} has no score yet: see `assay explain {found.id}`")
    where = found.id.task_id, found.id.epoch, found.id.index
    objection = Objection(*where, score, challenger, secrets.token_bytes(32))
    committing = found.next_call(objection)
    if committing is None:
        over = f" at {moment(found.record.challenge_by)}" if found.record.challenge_by else ""
        raise Stop(f"submission {found.id} cannot be challenged any more: its challenge window ended{over}")
    if standing == score:
        raise Stop(f"submission {found.id} has that score: {words.score(score)}")
    if any(each.score == score for each, _ in found.mine):
        raise Stop(f"that challenge of {found.id} is committed already: see `assay challenge show {found.id}`")
    return objection, found.network.chain.paying(challenger, challenge_cost(found.ledger.task.params), committing)


def due_reveals(found: Contested) -> list[tuple[int, Call]]:
    """Scores that can be revealed now, and the calls that do. Raises Stop: there are none."""
    if not found.mine:
        raise Stop(f"nothing here was committed to about submission {found.id}: name the --state-dir that did")
    due = [(each.score, found.next_call(each)) for each, _ in found.mine]
    if calls := [(score, call) for score, call in due if call is not None]:
        return calls
    start, end = map(moment, found.reveal_window)
    raise Stop(f"nothing about submission {found.id} can be revealed now; it can be from {start} to {end}, once")


def due_claims(found: Contested, sender: Address) -> list[Call]:
    """Calls that pay what a decided dispute owes to anybody, and end what was never revealed.

    Raises Stop: nothing is owed now. Unavailable.
    """
    appeals, record = found.network.chain.appeals, found.record
    where, index = (found.id.task_id, found.id.epoch), found.id.index
    calls: list[Call] = []
    if record.challenge_by is not None and found.network.chain.now() >= found.reveal_window[1]:
        calls += [appeals.expire_challenge(*where, each.id) for each in record.unrevealed_challenges]
    dispute = record.disputes.get(index)
    if dispute is not None and not dispute.is_open:
        calls += [appeals.claim_challenge(*where, each) for each in dispute.challenges]
        calls += [appeals.claim_vote(*where, index, juror) for juror in dispute.votes]
    # who is owed nothing is refused
    if due := [call for call in calls if succeeds(found.network.chain, sender, call)]:
        return due
    raise Stop(f"the dispute of {found.id} owes nobody anything now: see `assay challenge show {found.id}`")
