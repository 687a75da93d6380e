"""What a demo run came to, and whether that is what the protocol promises. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from assay_core.protocol.encoding import Json

MIN_RISE = 0.3
KILLED = -9
FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class TrainerOutcome:
    """One trainer, as the chain's events tell it. `owed_wei` is what its final scores are worth."""

    name: str
    honest: bool
    submissions: int
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
class Traffic:
    """What one trainer's submissions weigh, and what its part of data-parallel training would have.

    `update_bytes`: the updates as sent; `submission_bytes`: with rollouts, proofs and traces.
    """

    name: str
    parameters: int
    submissions: int = 0
    inner_steps: int = 0
    update_bytes: int = 0
    submission_bytes: int = 0

    @property
    def data_parallel_bytes(self) -> int:
        """A float32 gradient of all trained parameters for every inner step."""
        return FLOAT32_BYTES * self.parameters * self.inner_steps

    @property
    def times_fewer(self) -> float:
        return self.data_parallel_bytes / self.update_bytes if self.update_bytes else 0.0

    def summary(self) -> dict[str, Json | float]:
        return {
            **asdict(self),
            "update_bytes_per_inner_step": round(self.update_bytes / self.inner_steps) if self.inner_steps else 0,
            "data_parallel_bytes": self.data_parallel_bytes,
            "times_fewer": round(self.times_fewer, 1),
        }


@dataclass(frozen=True, slots=True)
class Spread:
    """Policy versions after the first, as somebody fetched them who had the version before: sizes of their bundles.

    `made_bytes`: of these, what was made from the version before, so that nobody sent it.
    """

    versions: int = 0
    bundle_bytes: int = 0
    made_bytes: int = 0
    is_by_step: bool = False  # the task says that its policies travel so

    @property
    def fetched_bytes(self) -> int:
        return self.bundle_bytes - self.made_bytes

    def summary(self) -> dict[str, Json]:
        return {**asdict(self), "fetched_bytes": self.fetched_bytes}


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What followed on the death of a process: policies published since, submissions committed since by those it
    served.

    `at_s`, `exit_code`: None where it never happened. `accepted`: of `submissions`, those with a score that pays.
    """

    name: str
    at_s: float | None
    exit_code: int | None
    policies: int
    submissions: int
    accepted: int


@dataclass(frozen=True, slots=True)
class GroupSubmission:
    """Inner steps of a trainer with an assistant, and how many of them the two took together."""

    leader: str
    assistant: str
    inner_steps: int
    shared: int


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """`derived_roots` holds, for each published version, the roots that the verifiers signed, by verifier name."""

    wall_seconds: float
    engine: str
    epochs: int
    rewards: tuple[float, ...]  # mean held-out reward of policy versions 0, 1, …
    trainers: tuple[TrainerOutcome, ...]
    policy_roots: tuple[str, ...]
    derived_roots: tuple[dict[str, str], ...]
    verifiers: int
    gas: dict[str, GasUse]
    traffic: tuple[Traffic, ...]
    spread: Spread
    aftermath: tuple[Aftermath, ...]
    group: GroupSubmission | None  # None: no trainer has an assistant
    min_rise: float = MIN_RISE

    def failures(self) -> list[str]:
        """The promises that this run broke, in words; none means success."""
        broken = [*_broken_by_trainers(self.trainers), *_broken_by_deaths(self.aftermath)]
        broken += _broken_by_traffic(self.trainers, self.traffic)
        if self.spread.is_by_step and self.engine != "swarm" and not self.spread.made_bytes:
            broken.append("policies were fetched whole, though the task sends them as steps")
        if self.group is not None and not self.group.shared:
            broken.append(f"{self.group.leader} shared none of its inner steps with {self.group.assistant}")
        rise = self.rewards[-1] - self.rewards[0]
        if rise < self.min_rise:
            broken.append(f"the mean held-out reward rose by {rise:.3f}, less than {self.min_rise}")
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
            "engine": self.engine,
            "epochs": self.epochs,
            "reward_first": self.rewards[0],
            "reward_last": self.rewards[-1],
            "rewards": [*self.rewards],  # pyright: ignore[reportReturnType]
            "trainers": [asdict(trainer) for trainer in self.trainers],
            "policy_roots": [*self.policy_roots],
            "traffic": [each.summary() for each in self.traffic],  # pyright: ignore[reportReturnType]
            "policies": self.spread.summary(),
            "killed": [asdict(each) for each in self.aftermath],
            "group": None if self.group is None else asdict(self.group),
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
                broken.append(f"honest {trainer.name} had no submission accepted")
            elif trainer.accepted < trainer.submissions:
                broken.append(
                    f"only {trainer.accepted} of {trainer.submissions} submissions of "
                    f"honest {trainer.name} were accepted"
                )
            if trainer.claimed_wei != trainer.owed_wei:
                broken.append(f"{trainer.name} claimed {trainer.claimed_wei} wei and is owed {trainer.owed_wei}")
        else:
            if not trainer.slashed_wei:
                broken.append(f"cheating {trainer.name} was not slashed")
            if trainer.claimed_wei or trainer.owed_wei:
                broken.append(f"cheating {trainer.name} earned {max(trainer.claimed_wei, trainer.owed_wei)} wei")
    return broken


def _broken_by_deaths(aftermath: Sequence[Aftermath]) -> Sequence[str]:
    broken: list[str] = []
    for each in aftermath:
        if each.at_s is None:
            broken.append(f"{each.name} was to be killed and never was")
            continue
        if each.exit_code != KILLED:
            broken.append(f"{each.name} was not killed: it ended with exit code {each.exit_code}")
        if not each.policies:
            broken.append(f"no policy version was published after {each.name} was killed")
        if not each.submissions or each.accepted < each.submissions:
            broken.append(
                f"after {each.name} was killed, {each.accepted} of {each.submissions} submissions were accepted"
            )
    return broken


def _broken_by_traffic(trainers: Sequence[TrainerOutcome], traffic: Sequence[Traffic]) -> Sequence[str]:
    """Updates must be smaller than the gradients that they replace by more than the number of inner steps."""
    broken: list[str] = []
    measured = {each.name: each for each in traffic}
    for trainer in (each for each in trainers if each.honest):
        sent = measured.get(trainer.name)
        if sent is None or sent.submissions < trainer.accepted:
            found = sent.submissions if sent else 0
            broken.append(
                f"{trainer.accepted} submissions of {trainer.name} were accepted, but {found} could be fetched"
            )
        elif sent.submissions and sent.times_fewer <= sent.inner_steps / sent.submissions:
            broken.append(f"the updates of {trainer.name} are only {sent.times_fewer:.0f} times smaller than gradients")
    return broken
