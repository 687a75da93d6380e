"""The arithmetic of money off chain, as `contracts/libraries/Economics.sol` does it: same rounding, same margin."""

from offchain.protocol.types import BPS, TaskParams

MARGIN_BPS = 12_000  # a slash must outweigh the gain of cheating by this factor


def greatest_gain(params: TaskParams) -> int:
    """The most that one work can earn, in wei."""
    return params.max_work_units * params.unit_price


def needed_slash(gain_wei: int, sampling_bps: int) -> int:
    """Least slash with which cheating does not pay: gain x (1 - p) x margin / p, rounded up.

    Raises ValueError: nothing is ever replayed, so that no slash suffices.
    """
    if sampling_bps <= 0:
        raise ValueError("with a sampling rate of 0 cheating always pays")
    return -(-gain_wei * (BPS - sampling_bps) * MARGIN_BPS // (sampling_bps * BPS))


def needed_sampling_bps(gain_wei: int, slash_wei: int) -> int:
    """Least sampling rate with which `slash_wei` suffices, in basis points, at least 1."""
    if gain_wei == 0:
        return 1
    bps = -(-gain_wei * MARGIN_BPS * BPS // (slash_wei * BPS + gain_wei * MARGIN_BPS))
    return max(bps, 1)


def work_payout(units: int, unit_price_wei: int, score: int) -> int:
    """What a work with a score of 0 to 100 earns, rounded down; a fraud earns nothing."""
    return units * unit_price_wei * score // 100 if score <= 100 else 0


def epoch_cost(params: TaskParams) -> int:
    """The most that one epoch can cost: every unit at full score, and the verifiers' fee."""
    return params.max_epoch_units * params.unit_price + params.verifier_fee


def verifier_fee(fee_wei: int, weight: int, enlisted_weight: int, differences: int, works: int) -> int:
    """A verifier's fee for one epoch: its share by stake, less by the works on which it differed from the outcome."""
    if not enlisted_weight or not works:
        return 0
    return fee_wei * weight // enlisted_weight * (works - differences) // works
