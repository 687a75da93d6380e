"""Bonds, and what they earn: what each submission and each attestation is worth, and claiming it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from assay_core.chain.keys import WorkerConsent, parse_address, sign_worker_key
from assay_core.inspect.earnings import (
    Earnings,
    FeeEarning,
    SubmissionEarning,
    fees_of,
    ready_to_finalise,
    submissions_of,
)
from assay_core.protocol.amounts import parse_amount
from assay_core.protocol.types import SCORE_FRAUD, Address, Role
from assay_protocol.network import Network
from assay_protocol.sending import send_all

if TYPE_CHECKING:
    from assay_core.chain.connection import Chain
    from assay_core.chain.contracts import Call
    from assay_core.chain.ledger import TaskLedger
    from assay_core.chain.signers import Signer

BATCH = 50  # submissions, or epochs, claimed in one transaction
CONSENT_S = 3_600  # for so long a worker key's consent may be used
RoleName = Literal["trainer", "verifier"]
Due = TypeVar("Due")


@dataclass(frozen=True, slots=True)
class Claim:
    """Calls that claim what is due, what they pay, and for which submissions (or epochs)."""

    operator: Address
    calls: "tuple[Call, ...]"
    amount_wei: int
    claimed: tuple[str, ...]


def bond(network: Network, account: "Signer", amount: str, *, role: RoleName) -> int:
    """Bond an amount in tokens ("100") or wei ("7 wei") as a trainer or verifier. Returns it in wei.

    Raises Stop: no amount, or the account does not hold it. Reverted: the contracts refuse. Unavailable: try again.
    """
    chain = network.chain
    wei = parse_amount(amount, chain.token.decimals())
    bonding = chain.staking.bond(Role[role.upper()], wei)
    send_all(chain, account, chain.paying(Address(account.address), wei, bonding))
    return wei


def worker_key_call(chain: "Chain", operator: Address, worker: "Signer") -> "tuple[Address, Call]":
    """A worker key's address, and the operator's call that lets it act, with its consent. Raises Unavailable."""
    hot, deadline = Address(worker.address), chain.now() + CONSENT_S
    consent = WorkerConsent(operator, hot, chain.staking.worker_nonce_of(hot), deadline)
    signature = sign_worker_key(worker, chain.deployment.chain_id, chain.staking.address, consent)
    return hot, chain.staking.set_worker_key(hot, deadline, signature)


def earnings(network: Network, who: str, *, task_id: int | None = None) -> Earnings:
    """What an operator (or the operator of a worker key) has earned, in one task or in all.

    Raises Stop: no address, or no such task. Unavailable: the node is down.
    """
    operator, ledgers = network.chain.staking.operator_of(parse_address(who)), _ledgers_of(network, task_id)
    submissions = tuple(each for ledger in ledgers for each in submissions_of(ledger, operator))
    fees = tuple(each for ledger in ledgers for each in fees_of(ledger, operator))
    return Earnings(operator, ledgers, submissions, fees)


def claim(network: Network, account: "Signer", *, role: RoleName = "trainer", task_id: int | None = None) -> Claim:
    """Claim all that is due to the account's operator; epochs whose windows are over are finalised on the way.

    Sends nothing where nothing is due. Raises Stop: no such task, or no coin for fees. Reverted. Unavailable.
    """
    due = plan_claim(network, Address(account.address), role=role, task_id=task_id)
    send_all(network.chain, account, due.calls)
    return due


def plan_claim(network: Network, who: Address, *, role: RoleName, task_id: int | None) -> Claim:
    """What `claim` would send."""
    chain = network.chain
    operator, now = chain.staking.operator_of(who), chain.now()
    calls: list[Call] = []
    due: list[SubmissionEarning | FeeEarning] = []
    for ledger in _ledgers_of(network, task_id):
        ready = ready_to_finalise(ledger, now)
        if role == "trainer":
            submissions = [each for each in submissions_of(ledger, operator) if _is_due(each, ready)]
            claims = [chain.payouts.claim([each.ref for each in part]) for part in _batches(submissions)]
            early = sorted({each.submission_id.epoch for each in submissions if not each.is_over})
            due += submissions
        else:
            fees = [each for each in fees_of(ledger, operator) if _is_fee_due(each, ready)]
            epochs = [each.epoch for each in fees]
            claims = [chain.payouts.claim_fees(ledger.task_id, part, operator) for part in _batches(epochs)]
            early = [each.epoch for each in fees if not each.is_final]
            due += fees
        calls += [chain.attestations.finalise(ledger.task_id, epoch) for epoch in early]
        calls += claims
    return Claim(operator, tuple(calls), sum(each.earned_wei for each in due), tuple(each.name for each in due))


def _ledgers_of(network: Network, task_id: int | None) -> "tuple[TaskLedger, ...]":
    """The histories of one task, or of all. Raises Stop: no such task."""
    return tuple(network.task(number) for number in ([task_id] if task_id else range(1, network.task_count + 1)))


def _is_due(each: SubmissionEarning, ready: Sequence[int]) -> bool:
    is_ready = each.is_open and each.submission_id.epoch in ready and each.score != SCORE_FRAUD
    return each.is_releasable or is_ready


def _is_fee_due(each: FeeEarning, ready: Sequence[int]) -> bool:
    is_ready = each.epoch in ready and each.is_claimable_once_final
    return bool(each.earned_wei) and (each.is_claimable or is_ready)


def _batches(due: list[Due]) -> Iterator[list[Due]]:
    return (due[first : first + BATCH] for first in range(0, len(due), BATCH))
