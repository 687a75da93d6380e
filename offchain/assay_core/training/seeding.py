"""What a trainer's seed dictates: its prompts and the uniform numbers behind each token it samples.

Shapes: M = completions of one group (`group_size`), R = any completions, T = most tokens of one (`max_new_tokens`).
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from numpy.random.bit_generator import ISeedSequence

from assay_core.protocol.encoding import derive
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Seed

P_co = TypeVar("P_co", covariant=True)


class PromptSource(Protocol[P_co]):
    """The part of an environment that names prompts."""

    def prompt(self, seed: Seed, index: int) -> P_co: ...


def seed_of_nth(seed: Seed, number: int) -> Seed:
    """Seed of one of the submissions that a trainer commits to the same epoch, numbered from 0; `seed` is its
    `trainer_seed`.

    The first has that itself; what follows must be other rollouts.
    """
    return seed if number == 0 else derive(seed, "submission", number)


def submission_prompts(source: PromptSource[P_co], seed: Seed, groups: int) -> list[P_co]:
    """The prompts of a submission, one per group; `seed` is the submission's: see `seed_of_nth`."""
    return [source.prompt(seed, index) for index in range(groups)]


def group_uniforms(seed: Seed, group: int, spec: TaskSpec) -> npt.NDArray[np.float64]:
    """Uniforms in [0, 1) for each token that the completions of one group may sample, [M, T].

    Member m's row depends on (seed, group, m) alone, so one completion can be checked without the others.
    """
    return sample_uniforms(seed, [(group, member) for member in range(spec.rollout.group_size)], spec)


def sample_uniforms(seed: Seed, members: Sequence[tuple[int, int]], spec: TaskSpec) -> npt.NDArray[np.float64]:
    """The same for any completions, each named by its group and its place there: [R, T]."""
    return uniforms([derive(seed, "sample", group, member) for group, member in members], spec.sampler.max_new_tokens)


def uniforms(seeds: Sequence[Seed], count: int) -> npt.NDArray[np.float64]:
    """`count` uniforms in [0, 1) per seed, [R, count], with 53 random bits each, the same with every NumPy.

    Philox4x64-10 in counter mode, keyed by the first 16 bytes of `seed`. NumPy guarantees the raw stream of a bit
    generator; of its distributions it guarantees nothing, so the conversion is written out.
    """
    return (raw_streams(seeds, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed: Seed, items: Sequence[int]) -> list[int]:
    """`items` in an order drawn from `seed`: sorted by 64-bit random keys, ties by position."""
    keys = raw_stream(seed, len(items))
    return [items[position] for position in np.argsort(keys, kind="stable").tolist()]


def raw_stream(seed: Seed, count: int) -> npt.NDArray[np.uint64]:
    """The first `count` words of the Philox stream that `seed` keys."""
    return _generator(seed).random_raw(count)


def raw_streams(seeds: Sequence[Seed], count: int) -> npt.NDArray[np.uint64]:
    """The same for many seeds, [R, count]: one generator is given one key after the other, which takes a third."""
    words = np.empty((len(seeds), count), np.uint64)
    generator = _generator(Seed(bytes(32)))
    state: Any = generator.state
    for row, seed in enumerate(seeds):
        state["state"]["key"] = _key(seed)
        generator.state = state
        words[row] = generator.random_raw(count)
    return words


def _generator(seed: Seed) -> np.random.Philox:
    return np.random.Philox(_Key(seed))  # pyright: ignore[reportArgumentType]  # stubs lack ISeedSequence


def _key(seed: Seed) -> npt.NDArray[np.uint64]:
    return np.frombuffer(seed[:16], dtype="<u8").astype(np.uint64)


class _Key(ISeedSequence):
    """The key as it is, handed in where generators take seeds: as `key` it would cost fresh entropy, which is slow."""

    def __init__(self, seed: Seed) -> None:
        self._words = _key(seed)

    def generate_state(self, n_words: int, dtype: npt.DTypeLike = np.uint64) -> npt.NDArray[np.uint64]:
        if n_words != len(self._words) or np.dtype(dtype) != np.uint64:
            raise ValueError("this key is for Philox4x64")
        return self._words
