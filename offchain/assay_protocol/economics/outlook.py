"""What the terms of a task mean for each of those who act on it: the rows of the tables that `assay economics` prints.

Amounts are wei of the task's token, expectations exact fractions of them. What a number rests on is in `Assumptions`.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from assay_core.protocol.economics import (
    challenge_cost,
    cheat_earns,
    epoch_submissions,
    epochs_in_flight,
    finders_part,
    gain_of,
    greatest_gain,
    judging_s,
    needed_electorate,
    needed_slash,
    needed_slash_of,
    needed_weight,
    share_up,
    stake_of,
)
from assay_core.protocol.types import BPS, PANEL_SEATS, SubmissionKind, TaskParams
from assay_protocol.economics.assumptions import ATTEST_GAS, CLAIM_GAS, COMMIT_GAS, SETTLE_GAS, Assumptions
from assay_protocol.economics.plants import PlantOutlook, plant_outlook

RATES_BPS = (100, 200, 500, 1_000, 2_000, 3_000, 5_000, 7_000, 9_000, 10_000)
SUBMISSIONS = (1, 3, 10, 30, 100, 300, 1_000)


@dataclass(frozen=True, slots=True)
class RateRow:
    """One sampling rate, all other terms as they are, and the kind of submission in which cheating tempts most.

    `needed_slash_wei` None: no slash suffices.
    """

    sampling_bps: int
    honest_earns_wei: int
    cheat_earns_wei: int
    needed_slash_wei: int | None
    checking_costs_wei: int  # a verifier, per submission
    is_safe: bool


@dataclass(frozen=True, slots=True)
class KindRow:
    """One kind of submission that the terms ask for."""

    kind: str
    gain_wei: int
    detection_bps: int
    found: float  # probability that a cheat is
    cheat_earns_wei: int
    needed_slash_wei: int | None
    is_safe: bool


@dataclass(frozen=True, slots=True)
class FlightOutlook:
    """Submissions of full size of one trainer that may await judgement at once, and the bond that answers for them."""

    epochs: int
    submissions: int
    bond_wei: int  # with less the trainer has to wait, or to work less; nobody has to fear it


@dataclass(frozen=True, slots=True)
class ElectorateRow:
    """An epoch with so many submissions of full size: what its verifiers must put up, or it is void."""

    submissions: int
    quorum_wei: int
    all_wei: int
    each_wei: int  # of the assumed number of equal ones
    is_met: bool  # with the assumed weight


@dataclass(frozen=True, slots=True)
class AttestingRow:
    """An epoch with so many submissions: what attesting costs the task, and what it costs and leaves a verifier,
    per submission.
    """

    submissions: int
    fee_wei: int  # of all verifiers together
    gas_wei: int  # of one verifier, settling shared
    checking_wei: int
    verifier_keeps_wei: int


@dataclass(frozen=True, slots=True)
class LazyOutlook:
    """Verifiers that vote yes to everything, with equal stakes and a full epoch.

    `fraud_share` None: checking never pays by fees alone. Fraud goes unslashed from `unslashed_from` lazy verifiers on,
    and is paid from `paid_from` on, until somebody appeals.
    """

    saved_wei: int  # per epoch, by not checking
    fee_wei: int  # of one verifier, per epoch
    slash_wei: int  # for each score that an appeal overturns, and for each plant that was paid
    fraud_share: float | None  # of submissions; above it checking earns more than it costs by fees alone
    unslashed_from: int
    paid_from: int


@dataclass(frozen=True, slots=True)
class ChallengeOutlook:
    """Who disputes a score that pays a fraud of full size that was drawn: `behind` equal verifiers stand behind it."""

    down_wei: int  # bond, and the judging
    behind: int
    reward_wei: int  # less what judging costs
    certainty: float  # the least probability of being right with which a challenge pays
    hit_rate: float | None  # the least share of checked submissions that must be such frauds; None: nothing to be won


@dataclass(frozen=True, slots=True)
class GriefOutlook:
    """What it costs to be in the way, and for how long one is."""

    challenge_delay_s: int
    challenge_wei: int
    silent_delay_s: int  # by a challenge that is not revealed
    silent_wei: int
    undecided_wei: int  # by a challenge that no panel decides; the fees of jurors who voted are on top
    blockers: int  # of the assumed verifiers, without whom there is no quorum
    void_wei: int  # what their absence costs them, for an epoch
    unsigned_wei: int  # what they lose for a policy that they do not sign
    others_lose_wei: int  # what the others lose then
    skipped_after_s: int  # from the end of the challenge window


@dataclass(frozen=True, slots=True)
class Outlook:
    """All of it."""

    gain_wei: int
    epoch_s: int
    judging_s: int
    capacity: int  # submissions of full size in one epoch
    weight_wei: int  # of one verifier, as assumed
    rates: tuple[RateRow, ...]
    kinds: tuple[KindRow, ...]
    flight: FlightOutlook
    electorate: tuple[ElectorateRow, ...]
    attesting: tuple[AttestingRow, ...]
    lazy: LazyOutlook
    plants: PlantOutlook
    challenge: ChallengeOutlook
    grief: GriefOutlook


def look(params: TaskParams, assumed: Assumptions) -> Outlook:
    """Everything that the terms, and what is assumed beside them, say about who earns what."""
    capacity = epoch_submissions(params)
    sizes = [submissions for submissions in sorted({*SUBMISSIONS, capacity}) if submissions <= capacity]
    rates = sorted({*RATES_BPS, params.sampling_bps} - {0})
    return Outlook(
        gain_wei=greatest_gain(params),
        epoch_s=assumed.epoch_of(params),
        judging_s=judging_s(params),
        capacity=capacity,
        weight_wei=assumed.weight_of(params),
        rates=tuple(rate_row(params, bps, assumed) for bps in rates),
        kinds=tuple(kind_row(params, kind, assumed) for kind in params.kinds_asked_for),
        flight=flight_outlook(params, assumed),
        electorate=tuple(electorate_row(params, submissions, assumed) for submissions in sizes),
        attesting=tuple(attesting_row(params, submissions, assumed) for submissions in sizes),
        lazy=lazy_outlook(params, capacity, assumed),
        plants=plant_outlook(params, capacity, assumed),
        challenge=challenge_outlook(params, assumed),
        grief=grief_outlook(params, assumed),
    )


def honest_earns(params: TaskParams, assumed: Assumptions) -> Fraction:
    """A full submission of the dearest kind at full score, less what it cost to make, commit and claim."""
    return greatest_gain(params) - assumed.submission_wei - assumed.gas_wei(COMMIT_GAS + CLAIM_GAS)


def dishonest_earns(params: TaskParams, kind: SubmissionKind, sampling_bps: int, assumed: Assumptions) -> Fraction:
    """A full submission that was not done, by a cheat that reports itself."""
    terms = params.kinds[kind]
    earned = cheat_earns(
        gain_of(params, kind), params.fraud_slash, sampling_bps, terms.detection_bps, assumed.reporter_bps
    )
    claims = 1 - Fraction(sampling_bps * terms.detection_bps, BPS * BPS)
    return earned - assumed.gas_wei(COMMIT_GAS) - claims * assumed.gas_wei(CLAIM_GAS)


def most_tempting(params: TaskParams, sampling_bps: int, assumed: Assumptions) -> Fraction:
    """What a cheat earns in the kind of submission in which it earns most."""
    return max(dishonest_earns(params, kind, sampling_bps, assumed) for kind in params.kinds_asked_for)


def rate_row(params: TaskParams, sampling_bps: int, assumed: Assumptions) -> RateRow:
    """What honesty and a cheat earn per submission, and the least safe slash, at one sampling rate."""
    needed = needed_slash_of(replace(params, sampling_bps=sampling_bps)) if sampling_bps else None
    return RateRow(
        sampling_bps=sampling_bps,
        honest_earns_wei=_wei(honest_earns(params, assumed)),
        cheat_earns_wei=_wei(most_tempting(params, sampling_bps, assumed)),
        needed_slash_wei=needed,
        checking_costs_wei=_wei(_checking(sampling_bps, assumed)),
        is_safe=needed is not None and params.fraud_slash >= needed,
    )


def kind_row(params: TaskParams, kind: SubmissionKind, assumed: Assumptions) -> KindRow:
    """The same for one kind of submission, at the task's own rate."""
    gain, detection = gain_of(params, kind), params.kinds[kind].detection_bps
    found = params.sampling_bps * detection
    needed = needed_slash(gain, params.sampling_bps, detection) if found else None
    return KindRow(
        kind=kind.name.lower(),
        gain_wei=gain,
        detection_bps=detection,
        found=found / BPS**2,
        cheat_earns_wei=_wei(dishonest_earns(params, kind, params.sampling_bps, assumed)),
        needed_slash_wei=needed,
        is_safe=needed is not None and params.fraud_slash >= needed,
    )


def flight_outlook(params: TaskParams, assumed: Assumptions) -> FlightOutlook:
    """Each submission in flight has a slash locked for its units: the bond bounds them, and no number of them is
    unsafe.
    """
    epochs = epochs_in_flight(params, assumed.epoch_of(params))
    submissions = epochs * min(params.max_submissions_each, epoch_submissions(params))
    units = epochs * min(params.max_submissions_each * params.max_submission_units, params.max_epoch_units)
    return FlightOutlook(epochs, submissions, max(params.trainer_bond, stake_of(params, units)))


def electorate_row(params: TaskParams, submissions: int, assumed: Assumptions) -> ElectorateRow:
    """The last submissions of a full epoch may be smaller ones, and count by their units."""
    units = (
        params.max_epoch_units
        if submissions == epoch_submissions(params)
        else submissions * params.max_submission_units
    )
    needed = needed_electorate(params, units)
    return ElectorateRow(
        submissions=submissions,
        quorum_wei=needed_weight(params, units),
        all_wei=needed,
        each_wei=-(-needed // assumed.verifiers),
        is_met=assumed.verifiers * assumed.weight_of(params) >= needed,
    )


def attesting_row(params: TaskParams, submissions: int, assumed: Assumptions) -> AttestingRow:
    """What judging one submission of an epoch with so many brings and costs a verifier."""
    fee = Fraction(params.verifier_fee * params.max_submission_units, params.max_epoch_units)
    gas = assumed.gas_wei(ATTEST_GAS) / submissions + assumed.gas_wei(SETTLE_GAS) / assumed.verifiers
    checking = _checking(params.sampling_bps, assumed)
    return AttestingRow(
        submissions=submissions,
        fee_wei=_wei(fee),
        gas_wei=_wei(gas),
        checking_wei=_wei(checking),
        verifier_keeps_wei=_wei(fee / assumed.verifiers - gas - checking),
    )


def lazy_outlook(params: TaskParams, submissions: int, assumed: Assumptions) -> LazyOutlook:
    """A lazy verifier saves the checking, and loses its fee for each fraud that the others find."""
    saved = submissions * _checking(params.sampling_bps, assumed)
    fee = Fraction(params.verifier_fee, assumed.verifiers)
    at_risk = fee * params.sampling_bps / BPS
    share = saved / at_risk if at_risk else None
    return LazyOutlook(
        saved_wei=_wei(saved),
        fee_wei=_wei(fee),
        slash_wei=share_up(assumed.weight_of(params), params.verdict_slash_bps),
        fraud_share=float(share) if share is not None and share <= 1 else None,
        unslashed_from=_lazy_that_block(params, assumed.verifiers),
        paid_from=assumed.verifiers // 2 + 1,
    )


def challenge_outlook(params: TaskParams, assumed: Assumptions) -> ChallengeOutlook:
    """The winner gets half of the verdict slashes up to ten bonds, and the reporter's share of the trainer's."""
    behind = assumed.verifiers // 2 + 1
    slash = share_up(assumed.weight_of(params), params.verdict_slash_bps)
    found = finders_part(params, slash, behind)
    reward = found + params.fraud_slash * assumed.reporter_bps // BPS - PANEL_SEATS * params.juror_fee
    down, checking = challenge_cost(params), assumed.read_wei + assumed.check_wei
    return ChallengeOutlook(
        down_wei=down,
        behind=behind,
        reward_wei=reward,
        certainty=down / (down + reward) if reward > 0 else 1.0,
        hit_rate=checking / reward if reward > 0 else None,
    )


def grief_outlook(params: TaskParams, assumed: Assumptions) -> GriefOutlook:
    """What it costs to be in the way, and what it costs others."""
    blockers = _lazy_that_block(params, assumed.verifiers)
    fee = Fraction(params.verifier_fee, assumed.verifiers)
    return GriefOutlook(
        challenge_delay_s=params.reveal_window + 3 * params.appeal_window,
        challenge_wei=challenge_cost(params),
        silent_delay_s=params.reveal_window,
        silent_wei=challenge_cost(params),
        undecided_wei=params.challenge_bond - params.challenge_bond // 2,
        blockers=blockers,
        void_wei=_absence(params, blockers, assumed),
        unsigned_wei=_wei(blockers * fee),
        others_lose_wei=_wei((assumed.verifiers - blockers) * fee),
        skipped_after_s=params.reveal_window,
    )


def _absence(params: TaskParams, absent: int, assumed: Assumptions) -> int:
    """What so many verifiers lose who stay silent: nothing, where those who do not weigh too little to be witnesses."""
    is_witnessed = 2 * (assumed.verifiers - absent) > assumed.verifiers
    return absent * share_up(assumed.weight_of(params), params.absence_slash_bps) if is_witnessed else 0


def _checking(sampling_bps: int, assumed: Assumptions) -> Fraction:
    """What one submission costs a verifier: reading it, and replaying it if it is drawn."""
    return assumed.read_wei + Fraction(assumed.check_wei * sampling_bps, BPS)


def _lazy_that_block(params: TaskParams, verifiers: int) -> int:
    """The fewest of so many equal verifiers without whom there is no quorum for a fraud."""
    return next(lazy for lazy in range(verifiers + 1) if (verifiers - lazy) * BPS < params.quorum_bps * verifiers)


def _wei(value: Fraction) -> int:
    """Rounded to the nearest wei."""
    return round(value)
