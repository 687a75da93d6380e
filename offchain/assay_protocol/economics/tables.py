"""The tables of `assay economics`, for people; `--json` has the same numbers exactly."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

from assay_core.inspect.formatting import duration, fields, table
from assay_core.protocol.amounts import Money, plain

if TYPE_CHECKING:
    from assay_core.protocol.types import TaskParams
    from assay_protocol.economics.assumptions import Assumptions
    from assay_protocol.economics.outlook import Outlook
    from assay_protocol.economics.panel import Capture

DIGITS = 5  # of an amount in a table


def describe(params: "TaskParams", outlook: "Outlook", assumed: "Assumptions", money: Money) -> list[str]:
    """Everything that an outlook holds."""
    return [
        *_free(assumed),
        *_rates(params, outlook, money),
        *_kinds(outlook, money),
        *_flight(params, outlook, money),
        *_electorate(outlook, assumed, money),
        *_attesting(outlook, assumed, money),
        *_lazy(outlook, assumed, money),
        *_plants(outlook, assumed, money),
        *_challenge(outlook, money),
        *_grief(outlook, assumed, money),
    ]


def _free(assumed: "Assumptions") -> list[str]:
    """Which costs nobody told us."""
    costs = {
        "submissions": (assumed.submission_wei, "--submission-cost"),
        "reading": (assumed.read_wei, "--read-cost"),
        "checks": (assumed.check_wei, "--check-cost"),
        "gas": (assumed.gas_price, "--gas-price"),
    }
    missing = {name: option for name, (cost, option) in costs.items() if not cost}
    if not missing:
        return []
    return [f"taken to cost nothing: {', '.join(missing)} ({', '.join(missing.values())})"]


def _rates(params: "TaskParams", outlook: "Outlook", money: Money) -> list[str]:
    rows = [
        (
            f"{plain(row.sampling_bps, 2)} %",
            _short(row.honest_earns_wei, money),
            _short(row.cheat_earns_wei, money),
            _short(row.needed_slash_wei, money, up=True),
            _short(row.checking_costs_wei, money),
            "yes" if row.is_safe else "no",
            "<- these terms" if row.sampling_bps == params.sampling_bps else "",
        )
        for row in outlook.rates
    ]
    head = ("drawn", "honest", "cheat", "safe slash", "to check", "accepted", "")
    return [
        "",
        "Per submission, by sampling rate: what honesty earns, and what a cheat; the smallest safe slash; a verifier's",
        "cost; whether openTask accepts. Locked for each submission of full size, and lost by a cheat: "
        f"{money.show(params.fraud_slash)}.",
        *table(rows, head, right=frozenset(range(5))),
    ]


def _kinds(outlook: "Outlook", money: Money) -> list[str]:
    """Where several kinds of submission are asked for, or some cheats are missed."""
    if len(outlook.kinds) == 1 and outlook.kinds[0].detection_bps == 10_000:
        return []
    rows = [
        (
            row.kind,
            _short(row.gain_wei, money),
            f"{plain(row.detection_bps, 2)} %",
            f"{row.found:.2%}",
            _short(row.cheat_earns_wei, money),
            _short(row.needed_slash_wei, money, up=True),
            "yes" if row.is_safe else "no",
        )
        for row in outlook.kinds
    ]
    head = ("kind", "a submission pays", "found if drawn", "found", "cheat", "safe slash", "accepted")
    return ["", "Kinds of submission that the terms ask for:", *table(rows, head, right=frozenset(range(1, 6)))]


def _flight(params: "TaskParams", outlook: "Outlook", money: Money) -> list[str]:
    flight = outlook.flight
    return [
        "",
        f"An epoch every {duration(outlook.epoch_s)}, final {duration(outlook.judging_s)} after its seal at the "
        f"latest: {flight.submissions} full submissions of a trainer in flight,",
        f"each with {money.show(params.fraud_slash)} locked for it. A trainer that is never to wait bonds "
        f"{_short(flight.bond_wei, money, up=True)}.",
    ]


def _electorate(outlook: "Outlook", assumed: "Assumptions", money: Money) -> list[str]:
    rows = [
        (
            str(row.submissions),
            _short(row.quorum_wei, money, up=True),
            _short(row.all_wei, money, up=True),
            _short(row.each_wei, money, up=True),
            "yes" if row.is_met else "NO",
            "<- a full epoch" if row.submissions == outlook.capacity else "",
        )
        for row in outlook.electorate
    ]
    head = ("submissions", "quorum", "all verifiers", f"each of {assumed.verifiers}", "met", "")
    return [
        "",
        f"What verifiers must lock, or an epoch is void; met if {assumed.verifiers} lock "
        f"{_short(outlook.weight_wei, money)} each:",
        *table(rows, head, right=frozenset(range(4))),
        *_too_light(outlook, assumed, money),
    ]


def _too_light(outlook: "Outlook", assumed: "Assumptions", money: Money) -> list[str]:
    full = outlook.electorate[-1]
    if full.is_met:
        return []
    return [
        f"WARNING: {assumed.verifiers} verifiers with {_short(outlook.weight_wei, money)} each would not do for a full "
        "epoch: it would be void, and nobody paid.",
        f"Raise terms.verifier_bond to {_short(full.each_wei, money, up=True)}, have more verifiers, or lower "
        "terms.max_epoch_units.",
    ]


def _attesting(outlook: "Outlook", assumed: "Assumptions", money: Money) -> list[str]:
    rows = [
        (
            str(row.submissions),
            _short(row.fee_wei, money),
            _short(row.gas_wei, money),
            _short(row.checking_wei, money),
            _short(row.verifier_keeps_wei, money),
            "<- a full epoch" if row.submissions == outlook.capacity else "",
        )
        for row in outlook.attesting
    ]
    head = ("submissions", "fee, if paid", "gas of one", "checks of one", "one keeps", "")
    return [
        "",
        f"Attesting, per submission, in an epoch with so many ({assumed.verifiers} verifiers of equal stake):",
        *table(rows, head, right=frozenset(range(5))),
    ]


def _lazy(outlook: "Outlook", assumed: "Assumptions", money: Money) -> list[str]:
    lazy, count = outlook.lazy, assumed.verifiers
    share = "never" if lazy.fraud_share is None else f"from {lazy.fraud_share:.2%} fraudulent submissions on"
    return [
        "",
        "A lazy verifier, which says yes to everything:",
        *fields(
            [
                ("  saves per full epoch", _short(lazy.saved_wei, money)),
                ("  its fee per epoch", _short(lazy.fee_wei, money)),
                ("  checking pays by its fee", share),
                ("  loses for a paid plant", f"{_short(lazy.slash_wei, money)}, likewise for an overturned score"),
                ("  frauds go unslashed", f"from {lazy.unslashed_from} lazy of {count} on, until somebody appeals"),
                ("  frauds are paid", f"from {lazy.paid_from} lazy of {count} on, until somebody appeals"),
            ]
        ),
    ]


def _plants(outlook: "Outlook", assumed: "Assumptions", money: Money) -> list[str]:
    plants = outlook.plants
    if plants.check_wei == 0:
        return ["", "Planted frauds: checking is taken to cost nothing; say --read-cost and --check-cost."]
    if plants.rate is None or plants.per_epoch is None:
        return [
            "",
            "Planted frauds: NONE suffice, because paying one costs a verifier less than checking does: raise",
            "terms.verifier_bond or terms.verdict_slash.",
        ]
    outsiders = "never" if plants.lazy_share is None else f"from {plants.lazy_share:.2%} lazy stake on"
    return [
        "",
        "Planted frauds, with which checking is the best that a verifier can do, even where nobody cheats:",
        *fields(
            [
                ("  least share of submissions", f"{plants.rate:.4%}, that is one of {1 / plants.rate:,.0f}, "
                    f"or {plants.per_epoch:.4f} in a full epoch"),
                ("  if reports are kept back", "no share will do" if plants.rate_if_withheld is None
                    else f"{plants.rate_if_withheld:.4%}: raise terms.absence_slash if that is too much"),
                ("  checking a drawn submission", _short(plants.check_wei, money)),
                ("  paying a plant costs", _short(plants.slash_wei, money)),
                ("  the planter puts down", f"{_short(plants.deposit_wei, money)} and, as a trainer, "
                    f"{_short(plants.locked_wei, money)}: both come back"),
                ("  a plant costs it", f"{_short(plants.plant_wei, money)}: "
                    f"{_short(plants.per_submission_wei, money)} for each other submission"),
                ("  a lazy verifier yields", _short(plants.planter_gets_wei, money)),
                ("  an appeal costs, yields", f"{_short(plants.appeal_wei, money)}, "
                    f"{_short(plants.appeal_gets_wei, money)} if all {assumed.verifiers} had paid"),
                ("  planting pays others", outsiders),
            ]
        ),
    ]  # fmt: skip


def _challenge(outlook: "Outlook", money: Money) -> list[str]:
    challenge = outlook.challenge
    hit = "nothing to win" if challenge.hit_rate is None else f"in {challenge.hit_rate:.2%} of what it checks"
    return [
        "",
        f"A challenger of a score that spares a fraud that was drawn, with {challenge.behind} verifiers behind it:",
        *fields(
            [
                ("  puts down", _short(challenge.down_wei, money)),
                ("  wins", _short(challenge.reward_wei, money)),
                ("  must be sure to", f"{challenge.certainty:.2%}"),
                ("  must find one", hit),
            ]
        ),
    ]


def _grief(outlook: "Outlook", assumed: "Assumptions", money: Money) -> list[str]:
    grief = outlook.grief
    blockers = f"{grief.blockers} of {assumed.verifiers} verifiers"
    return [
        "",
        "What being in the way costs:",
        *fields(
            [
                ("  a challenge for nothing", f"{_short(grief.challenge_wei, money)}; it delays an epoch by at most "
                    f"{duration(grief.challenge_delay_s)}"),
                ("  … that is not revealed", f"{_short(grief.silent_wei, money)}; {duration(grief.silent_delay_s)}"),
                ("  … that nobody decides", f"{_short(grief.undecided_wei, money)}, and the fees of jurors who voted"),
                ("  an epoch made void", f"{_short(grief.void_wei, money)}, by {blockers} who stay silent"),
                ("  a policy not signed", f"{_short(grief.unsigned_wei, money)}, by {blockers}, and "
                    f"{_short(grief.others_lose_wei, money)} by the others"),
                ("  … which is skipped", f"{duration(grief.skipped_after_s)} after the challenge window"),
            ]
        ),
    ]  # fmt: skip


def panel_lines(found: "Sequence[Capture]", pool: int | None) -> list[str]:
    """Three tables: size of the panel by share of the seats."""
    from assay_protocol.economics.panel import majority_seats, quorum_seats, veto_seats

    sizes = sorted({each.size for each in found})
    shares = sorted({each.share_percent for each in found})
    chances = {(each.size, each.share_percent): each for each in found}
    where = "a large pool" if pool is None else f"a pool of {pool} seats"
    lines = [f"An attacker with a share of the seats of {where}: how probable it is that it gets so much of a panel."]
    for title, name, seats in (
        ("Two thirds: it calls fraud, and blames verifiers", "quorum", quorum_seats),
        ("More than half: it gives any score from 0 to 100", "majority", majority_seats),
        ("A veto: the others can call nothing fraud", "veto", veto_seats),
    ):
        head = ("share", *(f"{seats(size)} of {size}" for size in sizes))
        rows = [(f"{share} %", *(_chance(getattr(chances[size, share], name)) for size in sizes)) for share in shares]
        lines += ["", f"{title}:", *table(rows, head, right=frozenset(range(len(head))))]
    return lines


def _chance(probability: float) -> str:
    """Three digits, also of what is rare."""
    percent = 100 * probability
    return f"{percent:.1e} %" if 0 < percent < 0.001 else f"{percent:.3g} %"


def _short(wei: int | None, money: Money, *, up: bool = False) -> str:
    """A few digits of an amount; `up` never shows less than it is."""
    if wei is None:
        return "-"
    exact = Decimal(wei).scaleb(-money.decimals, Context(prec=100))
    rounded = Context(prec=DIGITS, rounding=ROUND_CEILING if up else ROUND_HALF_EVEN).plus(exact)
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
