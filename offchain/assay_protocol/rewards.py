"""Bonds, and what they earn: what each work and each attestation is worth, and claiming it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from assay_core.inspect.earnings import FeeEarning, WorkEarning, fees_of, ready_to_finalise, works_of
from assay_core.protocol.amounts import parse_amount
from assay_core.protocol.types import SCORE_FRAUD, Address, Role
from assay_protocol.network import Network
from assay_protocol.sending import approval, send_all

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from assay_core.chain.connection import Chain
    from assay_core.chain.contracts import Call
    from assay_core.chain.ledger import TaskLedger

BATCH = 50  # works, or epochs, claimed in one transaction
RoleName = Literal["trainer", "verifier"]


@dataclass(frozen=True, slots=True)
class Earnings:
    """What an operator's works (as a trainer) and attestations (as a verifier) are worth."""

    operator: Address
    works: tuple[WorkEarning, ...]
    fees: tuple[FeeEarning, ...]

    @property
    def earned_wei(self) -> int:
        """Whether or not it can be claimed already."""
        return sum(each.earned_wei for each in (*self.works, *self.fees))

    @property
    def claimable_wei(self) -> int:
        fees = sum(each.earned_wei for each in self.fees if each.is_claimable)
        return fees + sum(each.claimable_wei for each in self.works)

    @property
    def claimed_wei(self) -> int:
        return sum(each.claimed_wei or 0 for each in (*self.works, *self.fees))

    @property
    def slashed_wei(self) -> int:
        return sum(each.slashed_wei for each in (*self.works, *self.fees))


@dataclass(frozen=True, slots=True)
class Claim:
    """Calls that claim what is due, what they pay, and for which works (or epochs)."""

    operator: Address
    calls: "tuple[Call, ...]"
    amount_wei: int
    claimed: tuple[str, ...]


def bond(network: Network, account: "LocalAccount", amount: str, *, role: RoleName) -> int:
    """Bond an amount in tokens ("100") or wei ("7 wei") as a trainer or verifier. Returns it in wei.

    Raises Stop: no amount, or the account does not hold it. Reverted: the contracts refuse. Unavailable: try again.
    """
    from assay_core.chain.sender import Sender

    chain, operator = network.chain, Address(account.address)
    wei = parse_amount(amount, chain.token.decimals())
    calls = approval(chain, operator, chain.staking.address, wei)
    for _ in send_all(Sender(chain, account), [*calls, chain.staking.bond(Role[role.upper()], wei)]):
        pass
    return wei


def earnings(network: Network, who: str, *, task_id: int | None = None) -> Earnings:
    """What an operator (or the operator of a worker key) has earned, in one task or in all.

    Raises Stop: no address, or no such task. Unavailable: the node is down.
    """
    from assay_core.chain.keys import parse_address

    operator, ledgers = network.chain.staking.operator_of(parse_address(who)), ledgers_of(network, task_id)
    works = tuple(each for ledger in ledgers for each in works_of(ledger, operator))
    return Earnings(operator, works, tuple(each for ledger in ledgers for each in fees_of(ledger, operator)))


def claim(
    network: Network, account: "LocalAccount", *, role: RoleName = "trainer", task_id: int | None = None
) -> Claim:
    """Claim all that is due to the account's operator; epochs whose windows are over are finalised on the way.

    Sends nothing where nothing is due. Raises Stop: no such task, or no coin for fees. Reverted. Unavailable.
    """
    from assay_core.chain.sender import Sender

    due = plan_claim(network, Address(account.address), role=role, task_id=task_id)
    for _ in send_all(Sender(network.chain, account), due.calls):
        pass
    return due


def plan_claim(network: Network, who: Address, *, role: RoleName, task_id: int | None) -> Claim:
    """What `claim` would send."""
    chain = network.chain
    operator, now = chain.staking.operator_of(who), chain.now()
    calls: list[Call] = []
    expected, parts = 0, list[str]()
    for ledger in ledgers_of(network, task_id):
        ready = ready_to_finalise(ledger, now)
        claims, amount, named = (_work_claims if role == "trainer" else _fee_claims)(chain, ledger, operator, ready)
        calls += claims
        expected += amount
        parts += named
    return Claim(operator, tuple(calls), expected, tuple(parts))


def ledgers_of(network: Network, task_id: int | None) -> "list[TaskLedger]":
    """The histories of one task, or of all. Raises Stop: no such task."""
    return [network.task(number) for number in ([task_id] if task_id else range(1, network.task_count + 1))]


def _work_claims(
    chain: "Chain", ledger: "TaskLedger", operator: Address, ready: Sequence[int]
) -> "tuple[list[Call], int, list[str]]":
    """Calls, what they pay, and which works they are for."""
    due = [
        each
        for each in works_of(ledger, operator)
        if each.is_releasable or (each.is_open and each.work_id.epoch in ready and each.score != SCORE_FRAUD)
    ]
    epochs = sorted({each.work_id.epoch for each in due if not each.is_over})
    calls = [chain.attestations.finalise(ledger.task_id, epoch) for epoch in epochs]
    for first in range(0, len(due), BATCH):
        calls.append(chain.payouts.claim([each.ref for each in due[first : first + BATCH]]))
    return calls, sum(each.earned_wei for each in due), [str(each.work_id) for each in due]


def _fee_claims(
    chain: "Chain", ledger: "TaskLedger", operator: Address, ready: Sequence[int]
) -> "tuple[list[Call], int, list[str]]":
    """Calls, what they pay, and which epochs they are for."""
    due = [
        each
        for each in fees_of(ledger, operator)
        if each.earned_wei and (each.is_claimable or (each.epoch in ready and each.is_claimable_once_final))
    ]
    calls = [chain.attestations.finalise(ledger.task_id, each.epoch) for each in due if not each.is_final]
    for first in range(0, len(due), BATCH):
        epochs = [each.epoch for each in due[first : first + BATCH]]
        calls.append(chain.payouts.claim_fees(ledger.task_id, epochs, operator))
    named = [f"{ledger.task_id}/{each.epoch}" for each in due]
    return calls, sum(each.earned_wei for each in due), named
