"""Cheats with money: frauds that their author has a way out of, played by the rules of the contracts, in wei."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from assay_core.protocol.economics import cheat_earns, finders_part, greatest_gain, plant_deposit, share_up
from assay_core.protocol.types import BPS, TaskParams


@dataclass(frozen=True)
class Luck:
    """Of one fraud: whether the epoch's seed drew it and the check found it."""

    is_found: bool


@dataclass(frozen=True)
class Scheme:
    """What a party that cheats has left after one fraud, all its accounts together."""

    name: str
    what: str
    earns: Callable[[TaskParams, Luck], int]


def bare(params: TaskParams, luck: Luck) -> int:
    return -params.fraud_slash if luck.is_found else greatest_gain(params)


def hedged(params: TaskParams, luck: Luck) -> int:
    """Opens what is found, and gets its deposit back; claims what is not, and can never open it again."""
    deposit = plant_deposit(params)
    return (deposit if luck.is_found else greatest_gain(params)) - deposit


def self_reported(params: TaskParams, luck: Luck, reporter_bps: int) -> int:
    return bare(params, luck) + luck.is_found * (params.fraud_slash * reporter_bps // BPS)


def fed_to_a_friend(params: TaskParams, luck: Luck) -> int:
    """A plant that a verifier of its own pays: the slash comes back in part."""
    taken = share_up(params.verifier_bond, params.verdict_slash_bps)
    return (finders_part(params, taken) - taken) * luck.is_found


def challenged_by_a_friend(params: TaskParams, luck: Luck) -> int:
    """Own verifiers, a quorum, pay a fraud of its own, and a friend challenges: the slash comes back in part."""
    return fed_to_a_friend(params, luck) + bare(params, luck) * luck.is_found


def schemes(reporter_bps: int) -> tuple[Scheme, ...]:
    return (
        Scheme("a fraud", "Hopes not to be drawn.", bare),
        Scheme("a fraud committed to as a plant", "Opens it if it is found, claims it if it is not.", hedged),
        Scheme(
            "a fraud that its author reports",
            "Gets the reporter's share of its own slash.",
            lambda params, luck: self_reported(params, luck, reporter_bps),
        ),
        Scheme("a plant that a friend pays", "Gets the planter's share of a verifier's slash.", fed_to_a_friend),
        Scheme("a fraud that a friend challenges", "Gets the finder's share.", challenged_by_a_friend),
    )


def mean_earned(scheme: Scheme, params: TaskParams, detection: float, *, runs: int, seed: int = 0) -> float:
    """In wei per fraud. `detection`: probability that a fraud which was drawn is found."""
    generator = np.random.default_rng(seed)
    found = generator.random(runs) < params.sampling_bps / BPS * detection
    by_luck = {is_found: scheme.earns(params, Luck(is_found)) for is_found in (False, True)}
    return sum(by_luck[bool(each)] for each in found) / runs


def expected(params: TaskParams, detection_bps: int, reporter_bps: int = 0) -> float:
    """The formula that `openTask` relies on."""
    found = cheat_earns(greatest_gain(params), params.fraud_slash, params.sampling_bps, detection_bps, reporter_bps)
    return float(found)
