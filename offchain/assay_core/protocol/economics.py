"""The arithmetic of money off chain, as `contracts/libraries/Economics.sol` does it: same rounding, same margin."""

from fractions import Fraction

from assay_core.protocol.types import (
    BPS,
    FINDER_BPS,
    FINDER_CAP,
    PANEL_SEATS,
    SCORE_FULL,
    SubmissionKind,
    TaskParams,
    pay_of,
)

MARGIN_BPS = 12_000  # a slash must outweigh the gain of cheating by this factor


def gain_of(params: TaskParams, kind: SubmissionKind) -> int:
    """The most that one submission of a kind can earn, in wei."""
    return params.max_submission_units * params.kinds[kind].unit_price


def greatest_gain(params: TaskParams) -> int:
    """The most that one submission of any kind can earn, in wei."""
    return params.max_submission_units * max(kind.unit_price for kind in params.kinds)


def needed_slash(gain_wei: int, sampling_bps: int, detection_bps: int = BPS) -> int:
    """Least slash with which cheating does not pay: gain x (1 - p) x margin / p, rounded up; p = sampling x detection.

    It holds for each submission, however many are in flight: each has a slash of its own locked. Raises ValueError:
    nothing is ever found, so that no slash suffices.
    """
    found = sampling_bps * detection_bps
    if found <= 0:
        raise ValueError("with a sampling rate of 0 cheating always pays")
    return -(-gain_wei * (BPS * BPS - found) * MARGIN_BPS // (found * BPS))


def needed_slash_of(params: TaskParams) -> int:
    """Least slash for all kinds of submission that the terms ask for. Raises ValueError: nothing is ever found."""
    return max(
        needed_slash(gain_of(params, kind), params.sampling_bps, params.kinds[kind].detection_bps)
        for kind in params.kinds_asked_for
    )


def cheat_earns(
    gain_wei: int, slash_wei: int, sampling_bps: int, detection_bps: int = BPS, reporter_bps: int = 0
) -> Fraction:
    """What one cheat earns in expected wei: (1 - p) x gain - p x slash, less what comes back to who reports itself."""
    p = Fraction(sampling_bps * detection_bps, BPS * BPS)
    return (1 - p) * gain_wei - p * slash_wei * Fraction(BPS - reporter_bps, BPS)


def needed_sampling_bps(gain_wei: int, slash_wei: int, detection_bps: int = BPS) -> int | None:
    """Least sampling rate with which `slash_wei` suffices, in basis points, at least 1; None: not even all suffices."""
    if gain_wei == 0:
        return 1
    p = Fraction(gain_wei * MARGIN_BPS, slash_wei * BPS + gain_wei * MARGIN_BPS)
    bps = -(-p.numerator * BPS * BPS // (p.denominator * detection_bps))
    return max(bps, 1) if bps <= BPS else None


def judging_s(params: TaskParams) -> int:
    """Seconds from an epoch's seal until its scores are final at the latest, if every call comes in time.

    A challenge may be revealed for one reveal window more; then its panel is drawn, commits and reveals, in one appeal
    window each.
    """
    appeal = params.reveal_window + 3 * params.appeal_window if params.challenge_window else 0
    return params.attest_window + params.reveal_window + params.challenge_window + appeal


def epochs_in_flight(params: TaskParams, epoch_s: int) -> int:
    """Epochs of which submissions may be unjudged at once: one that is open, and those whose scores are not final.

    `epoch_s` is the time from seal to seal.
    """
    epochs = 1 + -(-judging_s(params) // epoch_s)
    return min(epochs, params.max_epochs or epochs)


def epoch_submissions(params: TaskParams) -> int:
    """Submissions of full size that fit into an epoch."""
    return params.max_epoch_units // params.max_submission_units


def stake_of(params: TaskParams, units: int) -> int:
    """What so many units can be slashed: `fraud_slash` for a submission of full size, rounded up as the contracts
    do.
    """
    return -(-units * params.fraud_slash // params.max_submission_units)


def needed_weight(params: TaskParams, units: int) -> int:
    """Least weight of a quorum that may judge submissions of so many units: all that it could have paid, or slashed."""
    price = max(kind.unit_price for kind in params.kinds)
    return units * price + params.verifier_fee + stake_of(params, units)


def needed_electorate(params: TaskParams, units: int) -> int:
    """Least weight of all verifiers together with which such an epoch is judged, and not void."""
    return (needed_weight(params, units) - 1) * BPS // params.quorum_bps + 1


def quorum_of(weight: int, quorum_bps: int) -> int:
    """The least weight that is a quorum of `weight`."""
    return -(-weight * quorum_bps // BPS)


def plant_deposit(params: TaskParams) -> int:
    """What committing to a planted fraud takes: more than any submission can earn."""
    return share_up(greatest_gain(params), MARGIN_BPS)


def share_up(amount: int, bps: int) -> int:
    """`bps` of an amount, rounded up, as every slash is."""
    return -(-amount * bps // BPS)


def finders_part(params: TaskParams, taken_wei: int, slashes: int = 1) -> int:
    """What of so many slashes of verifiers goes to who found or planted a submission; the rest is burnt.

    `taken_wei`: by each of them. All that concern one submission are capped together.
    """
    return min(slashes * (taken_wei * FINDER_BPS // BPS), FINDER_CAP * params.challenge_bond)


def challenge_cost(params: TaskParams) -> int:
    """What a challenger puts down: its bond, and the judging of one dispute."""
    return params.challenge_bond + PANEL_SEATS * params.juror_fee


def submission_payout(units: int, unit_price_wei: int, score: int) -> int:
    """What a submission with a score of 0 to 100 earns, rounded down; any other score earns nothing."""
    return units * unit_price_wei * pay_of(score) // SCORE_FULL


def epoch_cost(params: TaskParams) -> int:
    """The most that one epoch can cost: every unit at full score, and the verifiers' fee."""
    return params.max_epoch_units * max(kind.unit_price for kind in params.kinds) + params.verifier_fee


def epoch_fee(params: TaskParams, paid_submissions: int) -> int:
    """What the verifiers of an epoch share: of a full epoch's fee, as much as there are submissions that were paid."""
    counted = min(paid_submissions * params.max_submission_units, params.max_epoch_units)
    return params.verifier_fee * counted // params.max_epoch_units


def verifier_fee(fee_wei: int, weight: int, enlisted_weight: int, differences: int, paid: int) -> int:
    """A verifier's part of an epoch's fee: its share by stake, less what one that is paid earns for each difference."""
    if not enlisted_weight or not paid:
        return 0
    return fee_wei * weight // enlisted_weight * max(0, paid - differences) // paid
