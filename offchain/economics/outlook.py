"""What the terms of a task mean for each of those who act on it: the rows of the tables that `assay economics` prints.

Amounts are wei of the task's token, expectations exact fractions of them. What a number rests on is in `Assumptions`.
"""

from dataclasses import dataclass
from fractions import Fraction

from offchain.protocol.economics import (
    cheat_earns,
    greatest_gain,
    judging_s,
    needed_slash,
    needed_slash_at_once,
    needed_slash_in_flight,
    needed_trainer_bond,
    works_in_flight,
)
from offchain.protocol.types import BPS, TaskParams

RATES_BPS = (100, 200, 500, 1_000, 2_000, 3_000, 5_000, 7_000, 9_000, 10_000)
IN_FLIGHT = (1, 2, 3, 4, 8, 16)
WORKS = (1, 3, 10, 30, 100, 300, 1_000, 3_000)

# The bounds that the contracts' gas tests assert, in steady state.
COMMIT_GAS = 70_000
ATTEST_GAS = 150_000  # commit and reveal: per verifier and epoch
SETTLE_GAS = 2_000  # per work
CLAIM_GAS = 85_000


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a task file does not say. Costs are 0 unless somebody says otherwise: then nobody has costs.

    `work_wei`: an honest work, for its trainer. `read_wei`: to fetch a work and prefill it, for a verifier;
    `check_wei`: to replay one that was drawn. `gas_price`: wei of the token per gas. `verifiers` of equal stake attest.
    `epoch_s` lies between one seal and the next; None: as long as it may, the commit window. `reporter_bps` is the
    deployment's.
    """

    work_wei: int = 0
    read_wei: int = 0
    check_wei: int = 0
    gas_price: Fraction = Fraction(0)
    verifiers: int = 3
    epoch_s: int | None = None
    reporter_bps: int = 1_000

    def gas_wei(self, gas: int) -> Fraction:
        return gas * self.gas_price


@dataclass(frozen=True, slots=True)
class RateRow:
    """One sampling rate, all other terms as they are. `needed_…` None: no slash suffices."""

    sampling_bps: int
    honest_earns_wei: int
    cheat_earns_wei: int
    cheat_in_flight_earns_wei: int
    needed_slash_wei: int | None
    needed_slash_in_flight_wei: int | None
    checking_costs_wei: int  # a verifier, per work
    is_safe: bool


@dataclass(frozen=True, slots=True)
class InFlightRow:
    """So many works in flight behind one bond, all terms as they are.

    `needed_slash_wei` and `needed_slash_at_once_wei` are for a bond that is no larger than the slash, against cheats
    that go on until they are drawn, and against cheats that commit so many works and wait. `needed_bond_wei` is for the
    slash of the terms; None: no bond suffices.
    """

    works: int
    cheat_earns_wei: int
    needed_slash_at_once_wei: int | None
    needed_slash_wei: int | None
    needed_bond_wei: int | None
    is_safe: bool


@dataclass(frozen=True, slots=True)
class AttestingRow:
    """An epoch with so many works: what attesting costs the task, and what it costs and leaves a verifier, per work."""

    works: int
    fee_wei: int  # of all verifiers together
    gas_wei: int  # of one verifier, settling shared
    checking_wei: int
    verifier_keeps_wei: int


@dataclass(frozen=True, slots=True)
class LazyOutlook:
    """Verifiers that vote yes to everything, with equal stakes and a full epoch.

    `fraud_share` None: checking never pays by fees alone. Fraud goes unslashed from `unslashed_from` lazy verifiers on,
    and is paid from `paid_from` on; None where even all but one do not suffice.
    """

    saved_wei: int  # per epoch, by not checking
    fee_wei: int  # of one verifier, per epoch
    fraud_share: float | None  # of works; above it checking earns more than it costs
    unslashed_from: int
    paid_from: int
    safe_verdict_slash_wei: int | None  # what one overturned score must cost, where one work in an epoch is a fraud


@dataclass(frozen=True, slots=True)
class ChallengeOutlook:
    """Whoever disputes a score that spares a fraud which was drawn, so that no verifier behind it is excused.

    Behind a score that pays a fraud stand at least `behind` equal verifiers.
    """

    bond_wei: int
    behind: int
    reward_wei: int
    certainty: float  # the least probability of being right with which a challenge pays
    hit_rate: float | None  # the least share of checked works that must be such frauds; None: nothing to be won


@dataclass(frozen=True, slots=True)
class Outlook:
    """All of it. `in_flight` is how many works of one trainer can await judgement under these terms."""

    gain_wei: int
    in_flight: int
    epoch_s: int
    judging_s: int
    capacity: int  # works of full size in one epoch
    rates: tuple[RateRow, ...]
    flights: tuple[InFlightRow, ...]
    attesting: tuple[AttestingRow, ...]
    lazy: LazyOutlook
    challenge: ChallengeOutlook


def look(params: TaskParams, budget_wei: int, assumed: Assumptions) -> Outlook:
    """Everything that the terms, and what is assumed beside them, say about who earns what."""
    gain = greatest_gain(params)
    epoch_s = assumed.epoch_s or params.commit_window
    in_flight = works_in_flight(params, epoch_s, budget_wei)
    capacity = params.max_epoch_units // params.max_work_units
    rates = sorted({*RATES_BPS, params.sampling_bps} - {0})
    return Outlook(
        gain_wei=gain,
        in_flight=in_flight,
        epoch_s=epoch_s,
        judging_s=judging_s(params),
        capacity=capacity,
        rates=tuple(rate_row(params, bps, in_flight, assumed) for bps in rates),
        flights=tuple(flight_row(params, works, assumed) for works in sorted({*IN_FLIGHT, in_flight})),
        attesting=tuple(
            attesting_row(params, works, assumed) for works in sorted({*WORKS, capacity}) if works <= capacity
        ),
        lazy=lazy_outlook(params, capacity, assumed),
        challenge=challenge_outlook(params, assumed),
    )


def honest_earns(params: TaskParams, assumed: Assumptions) -> Fraction:
    """A full work at full score, less what it cost to make, commit and claim."""
    return greatest_gain(params) - assumed.work_wei - assumed.gas_wei(COMMIT_GAS + CLAIM_GAS)


def dishonest_earns(params: TaskParams, sampling_bps: int, in_flight: int, assumed: Assumptions) -> Fraction:
    """A full work that was not done, by a cheat that does its best with the draws it sees and reports itself."""
    earned = cheat_earns(
        greatest_gain(params), params.trainer_bond, params.fraud_slash, sampling_bps, in_flight, assumed.reporter_bps
    )
    claims = Fraction(BPS - sampling_bps, BPS)
    return earned - assumed.gas_wei(COMMIT_GAS) - claims * assumed.gas_wei(CLAIM_GAS)


def rate_row(params: TaskParams, sampling_bps: int, in_flight: int, assumed: Assumptions) -> RateRow:
    gain = greatest_gain(params)
    needed = needed_slash(gain, sampling_bps)
    return RateRow(
        sampling_bps=sampling_bps,
        honest_earns_wei=_wei(honest_earns(params, assumed)),
        cheat_earns_wei=_wei(dishonest_earns(params, sampling_bps, 1, assumed)),
        cheat_in_flight_earns_wei=_wei(dishonest_earns(params, sampling_bps, in_flight, assumed)),
        needed_slash_wei=needed,
        needed_slash_in_flight_wei=needed_slash_in_flight(gain, sampling_bps, in_flight),
        checking_costs_wei=_wei(_checking(sampling_bps, assumed)),
        is_safe=params.fraud_slash >= needed,
    )


def flight_row(params: TaskParams, works: int, assumed: Assumptions) -> InFlightRow:
    gain, bps = greatest_gain(params), params.sampling_bps
    bond = needed_trainer_bond(gain, params.fraud_slash, bps, works) if bps else None
    return InFlightRow(
        works=works,
        cheat_earns_wei=_wei(dishonest_earns(params, bps, works, assumed)),
        needed_slash_at_once_wei=needed_slash_at_once(gain, bps, works) if bps else None,
        needed_slash_wei=needed_slash_in_flight(gain, bps, works) if bps else None,
        needed_bond_wei=bond,
        is_safe=bond is not None and params.trainer_bond >= bond,
    )


def attesting_row(params: TaskParams, works: int, assumed: Assumptions) -> AttestingRow:
    fee = Fraction(params.verifier_fee, works)
    gas = assumed.gas_wei(ATTEST_GAS) / works + assumed.gas_wei(SETTLE_GAS) / assumed.verifiers
    checking = _checking(params.sampling_bps, assumed)
    return AttestingRow(
        works=works,
        fee_wei=_wei(fee),
        gas_wei=_wei(gas),
        checking_wei=_wei(checking),
        verifier_keeps_wei=_wei(fee / assumed.verifiers - gas - checking),
    )


def lazy_outlook(params: TaskParams, works: int, assumed: Assumptions) -> LazyOutlook:
    """A lazy verifier saves the checking, and loses its fee for each fraud that the others find."""
    saved = works * _checking(params.sampling_bps, assumed)
    fee = Fraction(params.verifier_fee, assumed.verifiers)
    at_risk = fee * params.sampling_bps / BPS
    share = saved / at_risk if at_risk else None
    return LazyOutlook(
        saved_wei=_wei(saved),
        fee_wei=_wei(fee),
        fraud_share=float(share) if share is not None and share <= 1 else None,
        unslashed_from=_lazy_that_block(params, assumed.verifiers),
        paid_from=assumed.verifiers // 2 + 1,
        safe_verdict_slash_wei=-(-saved.numerator * BPS // (saved.denominator * params.sampling_bps))
        if params.sampling_bps
        else None,
    )


def challenge_outlook(params: TaskParams, assumed: Assumptions) -> ChallengeOutlook:
    """The winner gets half of each verdict slash, and the reporter's share of the trainer's."""
    behind = assumed.verifiers // 2 + 1
    reward = behind * (params.verdict_slash // 2) + params.fraud_slash * assumed.reporter_bps // BPS
    at_stake = params.challenge_bond + reward
    checking = assumed.read_wei + assumed.check_wei
    return ChallengeOutlook(
        bond_wei=params.challenge_bond,
        behind=behind,
        reward_wei=reward,
        certainty=params.challenge_bond / at_stake if at_stake else 1.0,
        hit_rate=checking / reward if reward else None,
    )


def _checking(sampling_bps: int, assumed: Assumptions) -> Fraction:
    """What one work costs a verifier: reading it, and replaying it if it is drawn."""
    return assumed.read_wei + Fraction(assumed.check_wei * sampling_bps, BPS)


def _lazy_that_block(params: TaskParams, verifiers: int) -> int:
    """The fewest of so many equal verifiers without whom there is no quorum for a fraud."""
    return next(lazy for lazy in range(verifiers + 1) if (verifiers - lazy) * BPS < params.quorum_bps * verifiers)


def _wei(value: Fraction) -> int:
    """Rounded to the nearest wei."""
    return round(value)
