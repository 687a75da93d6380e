"""What attackers do to training under each aggregation rule: eight trainers of a small character model, two hostile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from assay_core.aggregation.aggregate import Contribution, aggregate
from assay_core.aggregation.optimizer import outer_step
from assay_core.aggregation.rules import Rule, RuleName
from assay_core.bundle.numbers import Float32
from assay_core.protocol.types import SubmissionIndex
from benchmarks.character_model import Trainers, Weights, initial_weights, load_text, validation_loss

TRAINERS = 8
Attack = Literal["none", "sign flip", "noise", "scaling", "small shift"]
ATTACKERS = (2, 5)
ATTACK_STEPS, ATTACK_INNER = 360, 24
NOISE_NORM = 5.0  # in norms of the honest update
SCALING = 100.0
SHIFT_DEVIATIONS = 1.5  # Baruch et al. 2019, arXiv:1902.06156: less than honest trainers differ by themselves


RULES: tuple[RuleName | Literal["plain mean"], ...] = ("plain mean", *get_args(RuleName))
DIVERGED = 4.7  # nats per character of a model that has learned nothing


@dataclass(frozen=True)
class Attacked:
    """Training with two attackers under one rule."""

    rule: RuleName | Literal["plain mean"]
    attack: Attack


def train_under_attack(case: Attacked, seed: int) -> float:
    """The held-out loss in the end."""
    text = load_text()
    weights = initial_weights(text.alphabet, seed)
    rule = Rule(clip_norm_ratio=1e9) if case.rule == "plain mean" else Rule(case.rule)
    momentum = {name: np.zeros_like(array) for name, array in weights.items()}
    trainers, random = Trainers(text, weights, TRAINERS, seed), np.random.default_rng(seed + 6)
    for _ in range(ATTACK_STEPS // ATTACK_INNER):
        trainers.run(ATTACK_INNER)
        updates = attacked(trainers.pseudo_gradients(weights), case.attack, random)
        state = outer_step(weights, momentum, _aggregated(updates, rule), lr=0.7, momentum_decay=0.6)
        weights, momentum = state.weights, state.momentum
        trainers.load(weights)
    return validation_loss(text, weights)


def attacked(updates: list[Weights], attack: Attack, random: np.random.Generator) -> list[Weights]:
    """The updates with those of the attackers replaced. All attackers know all that is honest."""
    honest = [update for number, update in enumerate(updates) if number not in ATTACKERS]
    for number in ATTACKERS:
        update = updates[number]
        match attack:
            case "none":
                pass
            case "sign flip":
                updates[number] = {name: -array for name, array in update.items()}
            case "noise":
                updates[number] = {name: _noise(array, random) for name, array in update.items()}
            case "scaling":
                updates[number] = {name: array * np.float32(-SCALING) for name, array in update.items()}
            case "small shift":
                updates[number] = {name: _shifted([each[name] for each in honest]) for name in update}
    return updates


def _noise(array: Float32, random: np.random.Generator) -> Float32:
    noise = random.normal(size=array.shape)
    return (noise * NOISE_NORM * np.linalg.norm(array) / np.linalg.norm(noise)).astype(np.float32)


def _shifted(honest: Sequence[Float32]) -> Float32:
    stacked = np.stack(honest)
    return (stacked.mean(axis=0) - SHIFT_DEVIATIONS * stacked.std(axis=0)).astype(np.float32)


def _aggregated(updates: Sequence[Weights], rule: Rule) -> Weights:
    return aggregate((Contribution(SubmissionIndex(n), 1, update) for n, update in enumerate(updates)), rule)


def aggregation_table(losses: Mapping[Attacked, float]) -> tuple[list[str], bool]:
    """Lines of the table, and whether every robust rule holds against what it is made for."""
    attacks = get_args(Attack)
    lines = ["| rule | " + " | ".join(attacks) + " |", "|---" * (len(attacks) + 1) + "|"]
    for rule in RULES:
        cells = (losses[Attacked(rule, attack)] for attack in attacks)
        lines.append(f"| {rule.replace('_', ' ')} | " + " | ".join(_cell(loss) for loss in cells) + " |")
    plain = losses[Attacked("plain mean", "none")]
    worst = {rule: max(losses[Attacked(rule, attack)] for attack in attacks) for rule in RULES}
    best = min(worst, key=lambda rule: worst[rule])
    lines += [
        "",
        f"- without an attack the plain mean reaches {plain:.3f}; the best of the worst cases is that of "
        f"{best.replace('_', ' ')}: {_cell(worst[best])}",
    ]
    return lines, all(np.isfinite(worst[rule]) for rule in RULES if rule != "plain mean")


def _cell(loss: float) -> str:
    return f"{loss:.3f}" if loss < DIVERGED else "diverges"
