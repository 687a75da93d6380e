"""A policy out of a backbone and a tokenizer: batching, sampling and bookkeeping that all architectures share.

Completions of one prompt share its pass through the model, when they are generated as when they are prefilled.
Shapes: B completions, A of them not yet ended, U different prompts, P longest prompt, T longest completion, N
positions, E tokens that end one, H hidden width, V vocabulary, R rows of hidden states, M tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from assay_core.policy.batching import Batch, Ids, batches, pad_left, pad_right, within
from assay_core.policy.interface import Bf16Bits, Finish, Float64s, Generation, Prefill
from assay_core.policy.sampling import distributions
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import SamplerSpec

LOGITS_AT_ONCE = 2**22  # most numbers in one block of logits: bounds memory where vocabularies are large

# (logits [A, V], rows [A] of the batch, step) -> ids [A] and their logprobs [A]
Choose = Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]


class Tokenizer(Protocol):
    eos_ids: tuple[int, ...]  # each ends a completion

    def encode(self, text: str) -> list[int]:
        """A prompt, in its template."""
        ...

    def encode_plain(self, text: str) -> list[int]: ...
    def decode(self, token_ids: Sequence[int]) -> str: ...


class Session(Protocol):
    """A batch of sequences in the making: the KV cache."""

    def start(self, ids_UP: torch.Tensor, real_UP: torch.Tensor, /) -> torch.Tensor:
        """Forward the prompts, padded on the left where `real_UP` is false. Final hidden states [U, P, H]."""
        ...

    def branch(self, rows_B: torch.Tensor) -> None:
        """Go on with these of the rows, each as often as it is named."""
        ...

    def extend(self, ids_BT: torch.Tensor) -> torch.Tensor:
        """Forward T more tokens each, padding on the right included. Final hidden states [B, T, H]."""
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


@dataclass(frozen=True, slots=True)
class _Sampled:
    """What one generating batch yields; places past an end of sequence hold anything."""

    ids_BT: torch.Tensor
    logprobs_BT: torch.Tensor
    prompt_UPH: Bf16Bits  # prompts end at the last place
    later_BTH: Bf16Bits  # of the tokens that were fed back: all but the last


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
    def eos_ids(self) -> tuple[int, ...]:
        return self.tokenizer.eos_ids

    @property
    def eos_id(self) -> int:
        return self.eos_ids[0]

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
        return self.tokenizer.decode([token for token in token_ids if token not in self.eos_ids])

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
        for batch in self._batches(prompts, [sampler.max_new_tokens] * len(prompts)):
            uniforms = torch.from_numpy(np.ascontiguousarray(uniforms_BT[batch.rows]))
            sampled = self._sample(batch, sampler.max_new_tokens, _sample_with(uniforms, sampler.temperature))
            generations += self._generations(batch, sampled)
        return generations

    def generate_greedy(self, prompts: Ids, max_new_tokens: int) -> list[tuple[int, ...]]:
        self._check_prompts(prompts, max_new_tokens)
        completions: list[tuple[int, ...]] = []
        for batch in self._batches(prompts, [max_new_tokens] * len(prompts)):
            sampled = self._sample(batch, max_new_tokens, _likeliest)
            completions += [self._until_eos(row) for row in sampled.ids_BT.tolist()]
        return completions

    @torch.inference_mode()
    def prefill(self, prompts: Ids, completions: Ids, sampler: SamplerSpec) -> list[Prefill]:
        self._check_sequences(prompts, completions)
        prefills: list[Prefill] = []
        for batch in self._batches(prompts, [len(ids) for ids in completions]):
            prefills += self._prefill(batch, completions[batch.rows], sampler.temperature)
        return prefills

    def token_logprobs(self, prompts: Ids, completions: Ids, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        self._check_sequences(prompts, completions)
        hidden_BNH = self.backbone.hidden(pad_right(_joined(prompts, completions)))
        longest = max(len(ids) for ids in completions)
        mask_BT = within([len(ids) for ids in completions])
        firsts_B = torch.tensor([len(prompt) - 1 for prompt in prompts])
        ends_B = torch.tensor([len(ids) - 1 for ids in completions])
        places_BT = firsts_B[:, None] + torch.arange(longest).minimum(ends_B[:, None])
        ids_M = torch.tensor([token for ids in completions for token in ids])
        picked_MH = hidden_BNH[torch.arange(len(prompts))[:, None], places_BT][mask_BT]
        logprobs_MV = torch.log_softmax(self.backbone.logits(picked_MH) / temperature, dim=-1)
        logprobs_M = logprobs_MV.gather(-1, ids_M[:, None])[:, 0]
        return torch.zeros(mask_BT.shape).masked_scatter(mask_BT, logprobs_M), mask_BT.float()

    @torch.inference_mode()
    def _sample(self, batch: Batch, max_new_tokens: int, choose: Choose) -> _Sampled:
        ids_UP, real_UP = pad_left(batch.prompts)
        session = self.backbone.session(ids_UP.shape[1] + max_new_tokens)
        prompt_UPH = session.start(ids_UP, real_UP)
        logits_AV = self.backbone.logits(prompt_UPH[:, -1])[batch.owners_B]
        rows = len(batch.owners_B)
        ids_BT = torch.zeros(rows, max_new_tokens, dtype=torch.long)
        logprobs_BT = torch.zeros(rows, max_new_tokens, dtype=torch.float64)
        later_BTH = np.zeros((rows, max_new_tokens - 1, prompt_UPH.shape[-1]), np.uint16)
        eos_E = torch.tensor(self.eos_ids)
        rows_A, alive_A, going_on = torch.arange(rows), torch.ones(rows, dtype=torch.bool), batch.owners_B
        for step in range(max_new_tokens):
            ids_A, logprobs_BT[rows_A, step] = choose(logits_AV, rows_A, step)
            ids_BT[rows_A, step] = ids_A
            alive_A &= ~torch.isin(ids_A, eos_E)
            if step + 1 == max_new_tokens or not alive_A.any():
                break
            if 2 * int(alive_A.sum()) <= len(rows_A):  # from time to time those that have ended drop out
                left = alive_A.nonzero()[:, 0]
                rows_A, ids_A, alive_A = rows_A[left], ids_A[left], alive_A[left]
                going_on = left if going_on is None else going_on[left]
            if going_on is not None:
                session.branch(going_on)
                going_on = None
            hidden_AH = session.extend(ids_A[:, None])[:, 0]
            later_BTH[rows_A.numpy(), step] = bf16_bits(hidden_AH)
            logits_AV = self.backbone.logits(hidden_AH)
        return _Sampled(ids_BT, logprobs_BT, bf16_bits(prompt_UPH), later_BTH)

    def _generations(self, batch: Batch, sampled: _Sampled) -> Iterator[Generation]:
        logprobs_BT = sampled.logprobs_BT.float().numpy()
        owners = batch.owners_B.tolist()
        for row, (owner, ids) in enumerate(zip(owners, map(self._until_eos, sampled.ids_BT.tolist()), strict=True)):
            finish: Finish = "eos" if ids[-1] in self.eos_ids else "length"
            hidden_NH = _joined_hidden(batch, owner, sampled.prompt_UPH, sampled.later_BTH[row, : len(ids) - 1])
            yield Generation(ids, logprobs_BT[row, : len(ids)], hidden_NH, finish)

    def _prefill(self, batch: Batch, completions: Ids, temperature: float) -> Iterator[Prefill]:
        """One pass over the different prompts, one over what follows them."""
        ids_UP, real_UP = pad_left(batch.prompts)
        ids_BT, real_BT = pad_right(completions), within([len(ids) for ids in completions])
        session = self.backbone.session(ids_UP.shape[1] + ids_BT.shape[1] - 1)
        prompt_UPH = session.start(ids_UP, real_UP)
        odds_BT4 = torch.zeros(*ids_BT.shape, 4, dtype=torch.float64)
        odds_BT4[:, 0] = self._odds(prompt_UPH[:, -1], batch.owners_B, ids_BT[:, 0], temperature)
        later_BTH = prompt_UPH.new_zeros(len(completions), 0, prompt_UPH.shape[-1])
        if ids_BT.shape[1] > 1:
            session.branch(batch.owners_B)
            later_BTH = session.extend(ids_BT[:, :-1])
            hidden_MH, ids_M = later_BTH[real_BT[:, 1:]], ids_BT[:, 1:][real_BT[:, 1:]]
            odds_BT4[:, 1:][real_BT[:, 1:]] = self._odds(hidden_MH, torch.arange(len(ids_M)), ids_M, temperature)
        prompt_bits_UPH, later_bits_BTH = bf16_bits(prompt_UPH), bf16_bits(later_BTH)
        odds_4BT = odds_BT4.permute(2, 0, 1).contiguous().numpy()
        for row, (owner, ids) in enumerate(zip(batch.owners_B.tolist(), completions, strict=True)):
            logprobs_T, below_T, upto_T, eos_T = odds_4BT[:, row, : len(ids)]
            hidden_NH = _joined_hidden(batch, owner, prompt_bits_UPH, later_bits_BTH[row, : len(ids) - 1])
            yield Prefill(logprobs_T, below_T, upto_T, eos_T, hidden_NH)

    def _odds(
        self, hidden_RH: torch.Tensor, rows_M: torch.Tensor, ids_M: torch.Tensor, temperature: float
    ) -> torch.Tensor:
        """What `Prefill` says of tokens that follow the hidden states of `rows_M`, which ascend: float64, [M, 4]."""
        step = max(1, LOGITS_AT_ONCE // self.vocabulary)
        found: list[torch.Tensor] = []
        for start in range(0, len(hidden_RH), step):
            drawn = distributions(self.backbone.logits(hidden_RH[start : start + step]), temperature)
            first, last = torch.searchsorted(rows_M, torch.tensor([start, start + step])).tolist()
            rows, ids = rows_M[first:last] - start, ids_M[first:last]
            interval = drawn.interval(rows, ids)
            ends = sum(drawn.logprobs(rows, torch.full_like(ids, token)).exp() for token in self.eos_ids)
            eos_M = torch.as_tensor(ends)
            found.append(torch.stack([drawn.logprobs(rows, ids), interval.below_M, interval.upto_M, eos_M], dim=1))
        return torch.cat(found)

    def _until_eos(self, ids: list[int]) -> tuple[int, ...]:
        end = next((place for place, token in enumerate(ids, 1) if token in self.eos_ids), len(ids))
        return tuple(ids[:end])

    def _batches(self, prompts: Ids, new_tokens: Sequence[int]) -> Iterator[Batch]:
        return batches(prompts, new_tokens, self.backbone.batch, self.context_tokens)

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
        if prompts:
            self._check_ids([*map(min, prompts), *map(min, completions), *map(max, prompts), *map(max, completions)])

    def _check_ids(self, ids: Sequence[int]) -> None:
        if ids and not (min(ids) >= 0 and max(ids) < self.vocabulary):
            raise Malformed(f"a token id lies outside of the policy's vocabulary of {self.vocabulary}")


def bf16_bits(hidden_NH: torch.Tensor) -> Bf16Bits:
    """Round to bfloat16 and take the bit patterns."""
    return hidden_NH.to(torch.bfloat16).contiguous().view(torch.int16).numpy().view(np.uint16)


def _sample_with(uniforms_BT: torch.Tensor, temperature: float) -> Choose:
    def choose(logits_AV: torch.Tensor, rows_A: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = distributions(logits_AV, temperature)
        ids_A = drawn.draw(uniforms_BT[rows_A, step])
        return ids_A, drawn.logprobs(torch.arange(len(ids_A)), ids_A)

    return choose


def _likeliest(logits_AV: torch.Tensor, rows_A: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Greedy; nobody asks for its logprobs."""
    return logits_AV.argmax(-1), torch.zeros(len(rows_A), dtype=torch.float64)


def _joined(prompts: Ids, completions: Ids) -> list[list[int]]:
    """What goes through the model: all but the last token of each."""
    return [[*prompt, *ids][:-1] for prompt, ids in zip(prompts, completions, strict=True)]


def _joined_hidden(batch: Batch, owner: int, prompt_UPH: Bf16Bits, later_TH: Bf16Bits) -> Bf16Bits:
    """Hidden states [N, H] of one completion: its prompt's, then its own."""
    return np.concatenate([prompt_UPH[owner, -len(batch.prompts[owner]) :], later_TH])
