"""What a policy is: the model being trained, as everybody but its own module sees it.

Shapes: B completions, P tokens of a prompt, T tokens of a completion, N = P + T - 1 positions that went through the
model, H width of the hidden states. Logprobs and probabilities are those of softmax(logits / temperature), which is
what the sampler draws from.

Hidden states are the input of the output head (after the final norm), as bfloat16 bit patterns in uint16: row i is
that of position i of prompt + completion. The last token of a completion is never fed back, so it has no row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from assay_core.protocol.encoding import Json
from assay_core.protocol.spec import SamplerSpec

Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Bf16Bits = npt.NDArray[np.uint16]
Finish = Literal["eos", "length"]


@dataclass(frozen=True, slots=True)
class Generation:
    """One sampled completion. `token_ids` ends with an end-of-sequence token if and only if `finish` is "eos"."""

    token_ids: tuple[int, ...]
    logprobs_T: Float32s
    hidden_NH: Bf16Bits
    finish: Finish


@dataclass(frozen=True, slots=True)
class Prefill:
    """What the policy says about a completion that somebody claims to have sampled from it.

    A token that inverse-CDF sampling drew with u has `cdf_below <= u < cdf_upto`, up to the noise of another machine.
    """

    logprobs_T: Float64s
    cdf_below_T: Float64s
    cdf_upto_T: Float64s
    eos_probability_T: Float64s  # that any of the tokens that end a completion is drawn
    hidden_NH: Bf16Bits


class Policy(Protocol):
    """A causal language model in evaluation mode, float32."""

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Tokens that end a completion, each of them; one at least."""
        ...

    @property
    def eos_id(self) -> int:
        """The first of them."""
        ...

    @property
    def vocabulary(self) -> int:
        """Number of token ids: valid ones are 0 .. vocabulary - 1."""
        ...

    @property
    def context_tokens(self) -> int:
        """Most tokens that prompt and completion may have together."""
        ...

    @property
    def config(self) -> Mapping[str, Json]:
        """What `policy.json` holds."""
        ...

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt (wrapped in the policy's template, if it has one)."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of a completion, without special tokens. Raises Malformed: an id outside of the vocabulary."""
        ...

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that inner steps change, in ascending order of name. All others are frozen."""
        ...

    def generate(
        self, prompts: Sequence[Sequence[int]], uniforms_BT: Float64s, sampler: SamplerSpec
    ) -> list[Generation]:
        """Sample one completion per prompt by inverse CDF.

        Args:
            prompts: B lists of token ids, each of at least one token.
            uniforms_BT: [B, max_new_tokens] in [0, 1): the t-th token is the first id whose cumulative probability
                exceeds the t-th uniform. A completion depends on its own row alone, up to float noise.
        """
        ...

    def generate_greedy(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[tuple[int, ...]]:
        """The most likely token each time: for evaluation, where nothing is proved."""
        ...

    def prefill(
        self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], sampler: SamplerSpec
    ) -> list[Prefill]:
        """Recompute, in one forward pass, what `generate` must have seen.

        Raises Malformed: empty prompt or completion, an id outside of the vocabulary, or longer than the context.
        """
        ...

    def token_logprobs(
        self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """For training: logprobs [B, T] with gradient, and a float mask [B, T] that is 0 past a completion's end."""
        ...
