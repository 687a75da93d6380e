"""The tables of `assay economics`, for people; `--json` has the same numbers exactly."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

from offchain.cli.amounts import Money, plain
from offchain.cli.output import duration, fields, table

if TYPE_CHECKING:
    from offchain.economics.outlook import Assumptions, Outlook
    from offchain.economics.trials import LazyTrial, SlashTrial
    from offchain.protocol.types import TaskParams

DIGITS = 5  # of an amount in a table


def describe(params: "TaskParams", outlook: "Outlook", assumed: "Assumptions", money: Money) -> list[str]:
    """Everything that an outlook holds."""
    return [
        *_free(assumed),
        *_rates(params, outlook, money),
        *_flights(params, outlook, money),
        *_attesting(outlook, assumed, money),
        *_lazy(params, outlook, assumed, money),
        *_challenge(params, outlook, money),
    ]


def _free(assumed: "Assumptions") -> list[str]:
    """Which costs nobody told us."""
    costs = {
        "works": (assumed.work_wei, "--work-cost"),
        "reading": (assumed.read_wei, "--read-cost"),
        "checks": (assumed.check_wei, "--check-cost"),
        "gas": (assumed.gas_price, "--gas-price"),
    }
    missing = {name: option for name, (cost, option) in costs.items() if not cost}
    if not missing:
        return []
    return [f"taken to cost nothing: {', '.join(missing)} ({', '.join(missing.values())})"]


def _rates(params: "TaskParams", outlook: "Outlook", money: Money) -> list[str]:
    k = outlook.in_flight
    rows = [
        (
            f"{plain(row.sampling_bps, 2)} %",
            _short(row.honest_earns_wei, money),
            _short(row.cheat_earns_wei, money),
            _short(row.cheat_in_flight_earns_wei, money),
            _short(row.needed_slash_wei, money, up=True),
            _short(row.needed_slash_in_flight_wei, money, up=True),
            _short(row.checking_costs_wei, money),
            "yes" if row.is_safe else "no",
            "<- these terms" if row.sampling_bps == params.sampling_bps else "",
        )
        for row in outlook.rates
    ]
    head = ("replayed", "honest", "cheat", f"{k} in flight", "safe slash", f"{k} in flight", "to check", "accepted", "")
    return [
        "",
        "Per work, at each sampling rate: what honesty earns; what a cheat earns if each work is judged before the",
        f"next, and with {k} in flight ({_why_in_flight(outlook)});",
        "the smallest safe slash, and that for as many works in flight behind a bond no larger; a verifier's cost;",
        "whether openTask accepts. A cheat loses "
        f"{money.show(params.fraud_slash)} of a bond of {money.show(params.trainer_bond)}.",
        *table(rows, head, right=frozenset(range(7))),
    ]


def _why_in_flight(outlook: "Outlook") -> str:
    return (
        f"an epoch every {duration(outlook.epoch_s)}, final {duration(outlook.judging_s)} after its seal at the latest"
    )


def _flights(params: "TaskParams", outlook: "Outlook", money: Money) -> list[str]:
    rows = [
        (
            str(row.works),
            _short(row.cheat_earns_wei, money),
            "none suffices" if row.needed_bond_wei is None else _short(row.needed_bond_wei, money, up=True),
            _short(row.needed_slash_wei, money, up=True),
            _short(row.needed_slash_at_once_wei, money, up=True),
            "yes" if row.is_safe else "NO",
            "<- these terms" if row.works == outlook.in_flight else "",
        )
        for row in outlook.flights
    ]
    head = ("in flight", "cheat earns", "trainer_bond needed", "or slash and bond", "(bursts only)", "safe", "")
    return [
        "",
        f"Works in flight behind one bond, {plain(params.sampling_bps, 2)} % replayed: the trainer_bond that is needed "
        f"for a fraud_slash of {money.show(params.fraud_slash)};",
        "or the fraud_slash, where trainer_bond is no larger.",
        *table(rows, head, right=frozenset(range(5))),
        *_advice(outlook, money),
    ]


def _advice(outlook: "Outlook", money: Money) -> list[str]:
    """What to change where the contracts accept terms on which works in flight make cheating pay."""
    row = next(row for row in outlook.flights if row.works == outlook.in_flight)
    if row.is_safe or row.needed_bond_wei is None:
        return []
    return [
        f"With {row.works} works in flight these terms are NOT safe: raise terms.trainer_bond to "
        f"{money.show(row.needed_bond_wei)}, raise terms.sampling, or shorten the windows."
    ]


def _attesting(outlook: "Outlook", assumed: "Assumptions", money: Money) -> list[str]:
    rows = [
        (
            str(row.works),
            _short(row.fee_wei, money),
            _short(row.gas_wei, money),
            _short(row.checking_wei, money),
            _short(row.verifier_keeps_wei, money),
            "<- a full epoch" if row.works == outlook.capacity else "",
        )
        for row in outlook.attesting
    ]
    head = ("works", "fee, all verifiers", "gas of one", "checks of one", "one keeps", "")
    return [
        "",
        f"Attesting, per work, in an epoch with so many works ({assumed.verifiers} verifiers of equal stake):",
        *table(rows, head, right=frozenset(range(5))),
    ]


def _lazy(params: "TaskParams", outlook: "Outlook", assumed: "Assumptions", money: Money) -> list[str]:
    lazy, count = outlook.lazy, assumed.verifiers
    share = (
        "never, by its fee alone" if lazy.fraud_share is None else f"from {lazy.fraud_share:.2%} fraudulent works on"
    )
    return [
        "",
        "A lazy verifier, which says yes to everything:",
        *fields(
            [
                ("  saves per full epoch", _short(lazy.saved_wei, money)),
                ("  its fee per epoch", _short(lazy.fee_wei, money)),
                ("  checking pays", share),
                ("  or if overturned scores cost", f"{_short(lazy.safe_verdict_slash_wei, money, up=True)} "
                    "(verdict slash that suffices for one fraud in an epoch)"),
                ("  frauds go unslashed", f"from {lazy.unslashed_from} lazy of {count} on"),
                ("  frauds are paid", f"from {lazy.paid_from} lazy of {count} on"),
            ]
        ),
    ]  # fmt: skip


def _challenge(params: "TaskParams", outlook: "Outlook", money: Money) -> list[str]:
    challenge = outlook.challenge
    hit = "nothing to win" if challenge.hit_rate is None else f"in {challenge.hit_rate:.2%} of what it checks"
    return [
        "",
        f"A challenger of a score that spares a fraud that was drawn, with {challenge.behind} verifiers behind it:",
        *fields(
            [
                ("  puts down", _short(challenge.bond_wei, money)),
                ("  wins", _short(challenge.reward_wei, money)),
                ("  must be sure to", f"{challenge.certainty:.2%}"),
                ("  must find one", hit),
            ]
        ),
    ]


def slash_trial_lines(trials: "Sequence[SlashTrial]", seed: int) -> list[str]:
    """What the simulation measured beside the formula."""
    rows = [
        (
            f"{plain(trial.sampling_bps, 2)} %",
            str(trial.in_flight),
            trial.strategy,
            f"{trial.works:,}",
            f"{trial.measured:.4f}",
            f"{trial.formula:.4f}",
            f"{trial.deviation:+.2%}",
            f"<- these terms: a rational trainer's choice: {trial.chosen}" if trial.chosen else "",
        )
        for trial in trials
    ]
    head = ("replayed", "in flight", "cheats", "works", "simulated", "formula", "apart", "")
    worst = max(abs(trial.deviation) for trial in trials)
    return [
        "",
        f"Simulated (seed {seed}): the slash (and bond) with which cheating breaks even, in what a work earns:",
        *table(rows, head, right=frozenset({0, 1, 3, 4, 5, 6})),
        f"simulation and formula are at most {worst:.2%} apart",
    ]


def lazy_trial_lines(trials: "Sequence[LazyTrial]") -> list[str]:
    """What lazy verifiers did to scores, cheats and fees."""
    rows = [
        (
            str(trial.lazy),
            {255: "fraud"}.get(trial.score, str(trial.score)),
            f"{trial.cheat_earns:+.3f}",
            "-" if trial.checker_fee is None else f"{trial.checker_fee:.4f}",
            "-" if trial.lazy_fee is None else f"{trial.lazy_fee:.4f}",
        )
        for trial in trials
    ]
    head = ("lazy", "score of a fraud found", "a fraud earns", "fee: checker", "fee: lazy")
    return [
        "",
        "Simulated: one work in ten is a fraud, some verifiers are lazy; a fraud's earnings in units of a work's, fees",
        "as shares of the full fee:",
        *table(rows, head, right=frozenset(range(5))),
    ]


def _short(wei: int | None, money: Money, *, up: bool = False) -> str:
    """A few digits of an amount; `up` never shows less than it is."""
    if wei is None:
        return "-"
    exact = Decimal(wei).scaleb(-money.decimals, Context(prec=100))
    rounded = Context(prec=DIGITS, rounding=ROUND_CEILING if up else ROUND_HALF_EVEN).plus(exact)
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
