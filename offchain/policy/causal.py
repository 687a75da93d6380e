"""A policy out of a backbone and a tokenizer: batching, sampling and bookkeeping that all architectures share.

Shapes: B completions, P longest prompt, T longest completion, N positions, H hidden width, V vocabulary.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from offchain.policy.interface import Bf16Bits, Finish, Float64s, Generation, Prefill
from offchain.policy.sampling import draw, interval, probabilities
from offchain.protocol.encoding import Json
from offchain.protocol.errors import Malformed
from offchain.protocol.spec import SamplerSpec

Ids = Sequence[Sequence[int]]
Choose = Callable[[torch.Tensor, int], torch.Tensor]  # (logits [B, V], step) -> ids [B]


class Tokenizer(Protocol):
    eos_id: int

    def encode(self, text: str) -> list[int]:
        """A prompt, in its template."""
        ...

    def encode_plain(self, text: str) -> list[int]: ...
    def decode(self, token_ids: Sequence[int]) -> str: ...


class Session(Protocol):
    """A batch of sequences in the making: the KV cache."""

    def start(self, ids_BP: torch.Tensor, real_BP: torch.Tensor) -> torch.Tensor:
        """Forward the prompts, padded on the left where `real_BP` is false. Final hidden states [B, P, H]."""
        ...

    def step(self, ids_B: torch.Tensor) -> torch.Tensor:
        """Forward one more token each. Final hidden states [B, H]."""
        ...


class Backbone(Protocol):
    """The only thing that knows an architecture."""

    vocabulary: int
    context_tokens: int
    batch: int  # most sequences that go through it at once

    def module(self) -> torch.nn.Module: ...

    def session(self, capacity: int) -> Session:
        """A cache for at most `capacity` positions."""
        ...

    def hidden(self, ids_BN: torch.Tensor) -> torch.Tensor:
        """Final hidden states [B, N, H] of sequences padded on the right: causality keeps padding out of sight."""
        ...

    def logits(self, hidden_MH: torch.Tensor) -> torch.Tensor:
        """The output head: [M, V]."""
        ...


@dataclass(slots=True)
class _Sampled:
    """What one generating batch yields: `hidden_BNH` counts from the padded prompt's first position."""

    ids_BT: torch.Tensor
    chosen_BT: torch.Tensor  # logprobs of the chosen ids
    hidden_BNH: torch.Tensor


class CausalPolicy:
    """`Policy` over any backbone."""

    def __init__(
        self,
        backbone: Backbone,
        tokenizer: Tokenizer,
        config: Mapping[str, Json],
        trainable: Mapping[str, torch.nn.Parameter],
    ) -> None:
        self.backbone = backbone
        self.tokenizer = tokenizer
        self._config = dict(config)
        self._trainable = dict(sorted(trainable.items()))

    @property
    def eos_id(self) -> int:
        return self.tokenizer.eos_id

    @property
    def vocabulary(self) -> int:
        return self.backbone.vocabulary

    @property
    def context_tokens(self) -> int:
        return self.backbone.context_tokens

    @property
    def config(self) -> Mapping[str, Json]:
        return self._config

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        self._check_ids(token_ids)
        return self.tokenizer.decode([token for token in token_ids if token != self.eos_id])

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        return dict(self._trainable)

    def frozen(self) -> dict[str, torch.nn.Parameter]:
        """All parameters but the trainable ones, in ascending order of name."""
        parameters = sorted(self.backbone.module().named_parameters())
        return {name: parameter for name, parameter in parameters if name not in self._trainable}

    def encode_completion(self, text: str) -> list[int]:
        """Token ids of a completion's text, without template and end of sequence."""
        return self.tokenizer.encode_plain(text)

    def generate(self, prompts: Ids, uniforms_BT: Float64s, sampler: SamplerSpec) -> list[Generation]:
        if uniforms_BT.shape != (len(prompts), sampler.max_new_tokens):
            raise ValueError(f"{len(prompts)} prompts need uniforms [B, {sampler.max_new_tokens}]")
        self._check_prompts(prompts, sampler.max_new_tokens)
        generations: list[Generation] = []
        for part in self._batches(len(prompts)):
            uniforms = torch.from_numpy(np.ascontiguousarray(uniforms_BT[part]))
            choose = _sample_with(uniforms, sampler.temperature)
            sampled = self._sample(prompts[part], sampler.max_new_tokens, choose, sampler.temperature)
            generations += [self._generation(prompt, sampled, row) for row, prompt in enumerate(prompts[part])]
        return generations

    def generate_greedy(self, prompts: Ids, max_new_tokens: int) -> list[tuple[int, ...]]:
        self._check_prompts(prompts, max_new_tokens)
        completions: list[tuple[int, ...]] = []
        for part in self._batches(len(prompts)):
            sampled = self._sample(prompts[part], max_new_tokens, lambda logits_BV, _: logits_BV.argmax(-1), 1.0)
            completions += [self._until_eos(row) for row in sampled.ids_BT.tolist()]
        return completions

    @torch.inference_mode()
    def prefill(self, prompts: Ids, completions: Ids, sampler: SamplerSpec) -> list[Prefill]:
        self._check_sequences(prompts, completions)
        prefills: list[Prefill] = []
        for part in self._batches(len(prompts)):
            sequences = _joined(prompts[part], completions[part])
            hidden_BNH = self.backbone.hidden(_pad_right(sequences))
            rows = zip(prompts[part], completions[part], hidden_BNH, strict=True)
            prefills += [self._prefill(len(prompt), ids, row_NH, sampler.temperature) for prompt, ids, row_NH in rows]
        return prefills

    def token_logprobs(self, prompts: Ids, completions: Ids, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        self._check_sequences(prompts, completions)
        hidden_BNH = self.backbone.hidden(_pad_right(_joined(prompts, completions)))
        longest = max(len(ids) for ids in completions)
        mask_BT = torch.tensor([[t < len(ids) for t in range(longest)] for ids in completions])
        firsts_B = torch.tensor([len(prompt) - 1 for prompt in prompts])
        ends_B = torch.tensor([len(ids) - 1 for ids in completions])
        places_BT = firsts_B[:, None] + torch.arange(longest).minimum(ends_B[:, None])
        ids_M = torch.tensor([token for ids in completions for token in ids])
        picked_MH = hidden_BNH[torch.arange(len(prompts))[:, None], places_BT][mask_BT]
        logprobs_MV = torch.log_softmax(self.backbone.logits(picked_MH) / temperature, dim=-1)
        logprobs_M = logprobs_MV.gather(-1, ids_M[:, None])[:, 0]
        return torch.zeros(mask_BT.shape).masked_scatter(mask_BT, logprobs_M), mask_BT.float()

    @torch.inference_mode()
    def _sample(self, prompts: Ids, max_new_tokens: int, choose: Choose, temperature: float) -> _Sampled:
        ids_BP, real_BP = _pad_left(prompts)
        session = self.backbone.session(ids_BP.shape[1] + max_new_tokens)
        hidden = [session.start(ids_BP, real_BP)]
        tokens: list[torch.Tensor] = []
        chosen: list[torch.Tensor] = []
        alive_B = torch.ones(len(prompts), dtype=torch.bool)
        for step in range(max_new_tokens):
            logits_BV = self.backbone.logits(hidden[-1][:, -1])
            ids_B = choose(logits_BV, step)
            tokens.append(ids_B)
            logprobs_BV = torch.log_softmax(logits_BV.double() / temperature, dim=-1)
            chosen.append(logprobs_BV.gather(-1, ids_B[:, None])[:, 0])
            alive_B &= ids_B != self.eos_id
            if step + 1 == max_new_tokens or not alive_B.any():
                break
            hidden.append(session.step(ids_B)[:, None])
        return _Sampled(torch.stack(tokens, 1), torch.stack(chosen, 1), torch.cat(hidden, 1))

    def _generation(self, prompt: Sequence[int], sampled: _Sampled, row: int) -> Generation:
        ids = self._until_eos(sampled.ids_BT[row].tolist())
        finish: Finish = "eos" if ids[-1] == self.eos_id else "length"
        padded = sampled.hidden_BNH.shape[1] - sampled.ids_BT.shape[1] + 1  # positions of the padded prompt
        hidden_NH = sampled.hidden_BNH[row, padded - len(prompt) : padded + len(ids) - 1]
        logprobs_T = sampled.chosen_BT[row, : len(ids)].float().numpy()
        return Generation(ids, logprobs_T, bf16_bits(hidden_NH), finish)

    def _prefill(self, prompt_tokens: int, ids: Sequence[int], row_NH: torch.Tensor, temperature: float) -> Prefill:
        hidden_NH = row_NH[: prompt_tokens + len(ids) - 1]
        probabilities_TV = probabilities(self.backbone.logits(hidden_NH[prompt_tokens - 1 :]), temperature)
        ids_T = torch.tensor(ids)
        drawn = interval(probabilities_TV, ids_T)
        chosen_T = probabilities_TV.gather(-1, ids_T[:, None])[:, 0]
        return Prefill(
            logprobs_T=chosen_T.log().numpy(),
            cdf_below_T=drawn.below_B.numpy(),
            cdf_upto_T=drawn.upto_B.numpy(),
            eos_probability_T=probabilities_TV[:, self.eos_id].numpy(),
            hidden_NH=bf16_bits(hidden_NH),
        )

    def _until_eos(self, ids: list[int]) -> tuple[int, ...]:
        return tuple(ids[: ids.index(self.eos_id) + 1]) if self.eos_id in ids else tuple(ids)

    def _batches(self, count: int) -> Iterator[slice]:
        for start in range(0, count, self.backbone.batch):
            yield slice(start, start + self.backbone.batch)

    def _check_prompts(self, prompts: Ids, max_new_tokens: int) -> None:
        for prompt in prompts:
            self._check_ids(prompt)
            if not 1 <= len(prompt) <= self.context_tokens - max_new_tokens:
                raise Malformed(
                    f"a prompt of {len(prompt)} tokens and {max_new_tokens} new ones do not fit the policy's context "
                    f"of {self.context_tokens}"
                )

    def _check_sequences(self, prompts: Ids, completions: Ids) -> None:
        for prompt, ids in zip(prompts, completions, strict=True):
            if not prompt or not ids:
                raise Malformed("a prompt and a completion need at least one token each")
            if len(prompt) + len(ids) > self.context_tokens:
                raise Malformed(f"{len(prompt)} + {len(ids)} tokens exceed the context of {self.context_tokens}")
            self._check_ids(prompt)
            self._check_ids(ids)

    def _check_ids(self, ids: Sequence[int]) -> None:
        if ids and not (min(ids) >= 0 and max(ids) < self.vocabulary):
            raise Malformed(f"a token id lies outside of the policy's vocabulary of {self.vocabulary}")


def bf16_bits(hidden_NH: torch.Tensor) -> Bf16Bits:
    """Round to bfloat16 and take the bit patterns."""
    return hidden_NH.to(torch.bfloat16).contiguous().view(torch.int16).numpy().view(np.uint16)


def _sample_with(uniforms_BT: torch.Tensor, temperature: float) -> Choose:
    def choose(logits_BV: torch.Tensor, step: int) -> torch.Tensor:
        return draw(probabilities(logits_BV, temperature), uniforms_BT[:, step].contiguous())

    return choose


def _joined(prompts: Ids, completions: Ids) -> list[list[int]]:
    """What goes through the model: all but the last token of each."""
    return [[*prompt, *ids][:-1] for prompt, ids in zip(prompts, completions, strict=True)]


def _pad_right(sequences: Ids) -> torch.Tensor:
    longest = max(len(ids) for ids in sequences)
    return torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in sequences])


def _pad_left(sequences: Ids) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(ids) for ids in sequences)
    ids_BP = torch.tensor([[*[0] * (longest - len(ids)), *ids] for ids in sequences])
    real_BP = torch.tensor([[p >= longest - len(ids) for p in range(longest)] for ids in sequences])
    return ids_BP, real_BP
