"""What a demo run came to, and whether that is what the protocol promises. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from offchain.protocol.encoding import Json

MIN_RISE = 0.3


@dataclass(frozen=True, slots=True)
class TrainerOutcome:
    """One trainer, as the chain's events tell it. `owed_wei` is what its final scores are worth."""

    name: str
    honest: bool
    works: int
    accepted: int
    owed_wei: int
    claimed_wei: int
    slashed_wei: int


@dataclass(frozen=True, slots=True)
class GasUse:
    """Gas of one contract function over the run."""

    count: int
    mean: int


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """`derived_roots` holds, for each published version, the roots that the verifiers signed, by verifier name."""

    wall_seconds: float
    epochs: int
    rewards: tuple[float, ...]  # mean held-out reward of policy versions 0, 1, …
    trainers: tuple[TrainerOutcome, ...]
    policy_roots: tuple[str, ...]
    derived_roots: tuple[dict[str, str], ...]
    verifiers: int
    gas: dict[str, GasUse]

    def failures(self) -> list[str]:
        """The promises that this run broke, in words; none means success."""
        broken = list(_broken_by_trainers(self.trainers))
        rise = self.rewards[-1] - self.rewards[0]
        if rise < MIN_RISE:
            broken.append(f"the mean held-out reward rose by {rise:.3f}, less than {MIN_RISE}")
        if len(self.policy_roots) < 2:
            broken.append("no policy version was published")
        for version, signed in enumerate(self.derived_roots, start=1):
            if len(signed) < self.verifiers or set(signed.values()) != {self.policy_roots[version]}:
                broken.append(f"not all verifiers derived policy version {version}: {signed}")
        return broken

    def summary(self) -> dict[str, Json | float]:
        """The content of `summary.json`."""
        return {
            "wall_seconds": round(self.wall_seconds, 1),
            "epochs": self.epochs,
            "reward_first": self.rewards[0],
            "reward_last": self.rewards[-1],
            "rewards": [*self.rewards],  # pyright: ignore[reportReturnType]
            "trainers": [asdict(trainer) for trainer in self.trainers],
            "policy_roots": [*self.policy_roots],
            "gas": {name: asdict(use) for name, use in sorted(self.gas.items())},
            "failures": [*self.failures()],
        }


def _broken_by_trainers(trainers: Sequence[TrainerOutcome]) -> Sequence[str]:
    broken: list[str] = []
    for trainer in trainers:
        if trainer.honest:
            if trainer.slashed_wei:
                broken.append(f"honest {trainer.name} was slashed {trainer.slashed_wei} wei")
            if not trainer.accepted:
                broken.append(f"honest {trainer.name} had no work accepted")
            if trainer.claimed_wei != trainer.owed_wei:
                broken.append(f"{trainer.name} claimed {trainer.claimed_wei} wei and is owed {trainer.owed_wei}")
        else:
            if not trainer.slashed_wei:
                broken.append(f"cheating {trainer.name} was not slashed")
            if trainer.claimed_wei or trainer.owed_wei:
                broken.append(f"cheating {trainer.name} earned {max(trainer.claimed_wei, trainer.owed_wei)} wei")
    return broken
