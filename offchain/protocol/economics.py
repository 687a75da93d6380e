"""The arithmetic of money off chain, as `contracts/libraries/Economics.sol` does it: same rounding, same margin."""

from fractions import Fraction

from offchain.protocol.types import BPS, TaskParams

MARGIN_BPS = 12_000  # a slash must outweigh the gain of cheating by this factor
SEARCHED_WORKS = 64  # the search for the least bond takes time with the square of the works in flight


def greatest_gain(params: TaskParams) -> int:
    """The most that one work can earn, in wei."""
    return params.max_work_units * params.unit_price


def needed_slash(gain_wei: int, sampling_bps: int) -> int:
    """Least slash with which cheating does not pay: gain x (1 - p) x margin / p, rounded up.

    Raises ValueError: nothing is ever replayed, so that no slash suffices.
    """
    _require_sampling(sampling_bps)
    return -(-gain_wei * (BPS - sampling_bps) * MARGIN_BPS // (sampling_bps * BPS))


def needed_slash_at_once(gain_wei: int, sampling_bps: int, works: int) -> int:
    """Least slash where a bond worth one slash answers for `works` works that are committed, then judged together.

    slash x (1 - (1 - p)^works) >= works x (1 - p) x gain x margin, rounded up. A cheat can do better than that, see
    `needed_slash_in_flight`. Raises ValueError: nothing is ever replayed.
    """
    _require_sampling(sampling_bps)
    spared, all_spared = BPS - sampling_bps, (BPS - sampling_bps) ** works
    found = BPS**works - all_spared
    return -(-works * spared * gain_wei * MARGIN_BPS * BPS**works // (found * BPS * BPS))


def needed_slash_in_flight(gain_wei: int, sampling_bps: int, works: int) -> int:
    """Least slash where a bond worth one slash answers for a stream of works, `works` of them unjudged at any time.

    The cheat goes on until the first of its works is drawn: 1 / p works on average, and `works` - 1 more before that
    one is slashed, for which nothing is left to take. slash >= (1 - p) x gain x margin x (1 / p + works - 1), rounded
    up. Raises ValueError: nothing is ever replayed.
    """
    _require_sampling(sampling_bps)
    works_per_bond = BPS + (works - 1) * sampling_bps  # times sampling_bps: works that a cheat commits per bond
    return -(-gain_wei * (BPS - sampling_bps) * MARGIN_BPS * works_per_bond // (sampling_bps * BPS * BPS))


def free_ride(gain_wei: int, left_wei: int, slash_wei: int, sampling_bps: int, works: int) -> Fraction:
    """The most that a cheat can expect of `works` further works, when its first slash is certain and on its way.

    The seed of an epoch tells everybody which works are drawn before the next is committed. So it knows what is left of
    its bond, `left_wei`, and gambles with that for as long as it pays; once nothing is left, every work that is not
    drawn is a present.
    """
    spared = BPS - sampling_bps
    levels = min(works, -(-left_wei // slash_wei) if slash_wei else 0)
    left = [max(left_wei - drawn * slash_wei, 0) for drawn in range(levels + 1)]
    # best[drawn]: after so many further draws, times BPS^(works so far). With slash 0 there is nothing to lose.
    best, unit = [0] * (levels + 1), 1
    for _ in range(works):
        after = [*best[1:], best[-1]]
        best = [
            max(
                best[drawn] * BPS,
                (spared * gain_wei - sampling_bps * min(slash_wei, left[drawn])) * unit
                + spared * best[drawn]
                + sampling_bps * after[drawn],
            )
            for drawn in range(levels + 1)
        ]
        unit *= BPS
    return Fraction(best[0], unit)


def cheat_earns(
    gain_wei: int, bond_wei: int, slash_wei: int, sampling_bps: int, works: int = 1, reporter_bps: int = 0
) -> Fraction:
    """The most that cheating earns, in expected wei per epoch, with `works` works in flight behind one bond.

    The cheat goes on until a work is drawn, makes the best of the works that it can commit before the slash, and comes
    back with another bond. `reporter_bps` is the part of a slash that goes to whoever reports it: the cheat itself, if
    it is quick.
    """
    if sampling_bps == 0:
        return Fraction(gain_wei)
    kept = BPS - reporter_bps
    # The reporter's part comes back, so that bond and slash weigh so much less.
    bond_wei, slash_wei, gain_wei = bond_wei * kept, slash_wei * kept, gain_wei * BPS
    first = min(slash_wei, bond_wei)
    until_drawn = Fraction(gain_wei * (BPS - sampling_bps), sampling_bps)
    ride = free_ride(gain_wei, bond_wei - first, slash_wei, sampling_bps, works - 1)
    return (until_drawn - first + ride) / (Fraction(BPS, sampling_bps) + works - 1) / BPS


def needed_trainer_bond(gain_wei: int, slash_wei: int, sampling_bps: int, works: int) -> int | None:
    """Least bond, at least one slash, with which cheating does not pay though `works` works in flight share it.

    One slash for each always suffices, and is what is asked for above `SEARCHED_WORKS`. None: not even that does,
    because one slash does not outweigh the gain of one work. Raises ValueError: nothing is ever replayed.
    """
    if slash_wei < needed_slash(gain_wei, sampling_bps):
        return None
    low, high = slash_wei, works * slash_wei
    if works > SEARCHED_WORKS:
        return high
    while low < high:
        middle = (low + high) // 2
        if cheat_earns(gain_wei * MARGIN_BPS, middle * BPS, slash_wei * BPS, sampling_bps, works) <= 0:
            high = middle
        else:
            low = middle + 1
    return low


def judging_s(params: TaskParams) -> int:
    """Seconds from an epoch's seal until its scores are final at the latest.

    Reports may be held back for one more reveal window each from `settle` and, in an appeal, from `decide`; an appeal
    has one window to commit and one to reveal.
    """
    appeal = 2 * params.appeal_window + params.reveal_window if params.challenge_window else 0
    return params.attest_window + 2 * params.reveal_window + params.challenge_window + appeal


def works_in_flight(params: TaskParams, epoch_s: int, budget_wei: int) -> int:
    """Works that one trainer may have committed before the first of them is final; at least 1.

    It has one work in each epoch, and the next epoch opens with a seal. `epoch_s` is the time from seal to seal. There
    are no more than the budget can pay for (each holds its price and its epoch's verifier fee back) or than epochs.
    """
    works = 1 + -(-judging_s(params) // epoch_s)
    works = min(works, budget_wei // (greatest_gain(params) + params.verifier_fee))
    return max(min(works, params.max_epochs or works), 1)


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


def _require_sampling(sampling_bps: int) -> None:
    if sampling_bps <= 0:
        raise ValueError("with a sampling rate of 0 cheating always pays")
