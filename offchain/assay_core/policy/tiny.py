"""A small decoder trained from scratch, on characters: learns in seconds on one CPU core.

Pre-norm transformer (RMSNorm, learned positions, GELU), as in GPT-2 but for the norm and the absent biases.
Shapes: B sequences, P prompt tokens, N positions, K positions in the cache, W width, D width of a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Malformed

MAX_LAYERS = 64
MAX_WIDTH = 4_096
MAX_CONTEXT = 32_768
MAX_ALPHABET = 4_096
INIT_STD = 0.02


@dataclass(frozen=True, slots=True)
class TinyShape:
    """The architecture, as `policy.json` has it. One end-of-sequence token follows the alphabet's ids."""

    layers: int
    width: int
    heads: int
    context: int
    alphabet: str

    @property
    def vocabulary(self) -> int:
        return len(self.alphabet) + 1

    def json(self) -> dict[str, Json]:
        return {
            "alphabet": self.alphabet,
            "context": self.context,
            "heads": self.heads,
            "layers": self.layers,
            "width": self.width,
        }


def parse_shape(value: Json) -> TinyShape:
    """Raises Malformed: missing or unknown fields, wrong types, or sizes that nobody means."""
    names = {"alphabet", "context", "heads", "layers", "width"}
    if not isinstance(value, Mapping) or set(value) != names:
        raise Malformed(f"a tiny policy's architecture must have exactly {', '.join(sorted(names))}")
    alphabet = value["alphabet"]
    if not isinstance(alphabet, str) or not 1 <= len(alphabet) <= MAX_ALPHABET or len(set(alphabet)) != len(alphabet):
        raise Malformed(f"alphabet must be 1 to {MAX_ALPHABET} different characters")
    shape = TinyShape(
        layers=_size(value, "layers", MAX_LAYERS),
        width=_size(value, "width", MAX_WIDTH),
        heads=_size(value, "heads", MAX_WIDTH),
        context=_size(value, "context", MAX_CONTEXT),
        alphabet=alphabet,
    )
    if shape.width % shape.heads:
        raise Malformed(f"width {shape.width} is not a multiple of {shape.heads} heads")
    return shape


def _size(value: Mapping[str, Json], name: str, most: int) -> int:
    number = value[name]
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most:
        raise Malformed(f"{name} must be an integer from 1 to {most}")
    return number


class CharTokenizer:
    """Ids are positions in the alphabet."""

    def __init__(self, alphabet: str) -> None:
        self._alphabet = alphabet
        self._ids = {character: place for place, character in enumerate(alphabet)}
        self.eos_ids = (len(alphabet),)

    def encode(self, text: str) -> list[int]:
        """Raises Malformed: a character that the alphabet lacks."""
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            raise Malformed(f"the policy's alphabet lacks {error.args[0]!r}: it cannot read this task") from error

    def encode_plain(self, text: str) -> list[int]:
        """The same: characters have no template."""
        return self.encode(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        return "".join(self._alphabet[token] for token in token_ids)


class Block(nn.Module):
    """Attention and MLP of one layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.RMSNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.RMSNorm(width, eps=1e-6)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def heads_of(self, x_BNW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values, each [B, heads, N, D]."""
        batch, positions, width = x_BNW.shape
        qkv = self.qkv(self.attention_norm(x_BNW)).view(batch, positions, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return q, k, v

    def finish(self, x_BNW: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Add what attention ([B, heads, N, D]) and then the MLP have to say."""
        x_BNW = x_BNW + self.out(attended.transpose(1, 2).flatten(2))
        return x_BNW + self.down(functional.gelu(self.up(self.mlp_norm(x_BNW))))


class TinyDecoder(nn.Module):
    """`Backbone` of the tiny policy."""

    batch = 1_024

    def __init__(self, shape: TinyShape) -> None:
        super().__init__()
        self.vocabulary = shape.vocabulary
        self.context_tokens = shape.context
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=1e-6)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)

    def module(self) -> nn.Module:
        return self

    def layers(self) -> list[Block]:
        return [cast(Block, block) for block in self.blocks]

    def session(self, capacity: int) -> "TinySession":
        return TinySession(self, capacity)

    def hidden(self, ids_BN: torch.Tensor) -> torch.Tensor:
        x_BNW = self.tokens(ids_BN) + self.positions.weight[: ids_BN.shape[1]]
        for block in self.layers():
            q, k, v = block.heads_of(x_BNW)
            x_BNW = block.finish(x_BNW, functional.scaled_dot_product_attention(q, k, v, is_causal=True))
        return self.norm(x_BNW)

    def logits(self, hidden_MH: torch.Tensor) -> torch.Tensor:
        return self.head(hidden_MH)

    def initialise(self, generator: torch.Generator) -> None:
        """Fill the weights in order of name, so that a seed names one network."""
        residual_std = INIT_STD / (2 * len(self.blocks)) ** 0.5
        for name, parameter in sorted(self.named_parameters()):
            if "norm" in name:
                nn.init.ones_(parameter)
            else:
                std = residual_std if name.endswith(("out.weight", "down.weight")) else INIT_STD
                nn.init.normal_(parameter, std=std, generator=generator)


class TinySession:
    """KV cache of `TinyDecoder`: per layer keys and values [B, heads, capacity, D], filled from the left."""

    def __init__(self, decoder: TinyDecoder, capacity: int) -> None:
        self._decoder = decoder
        self._capacity = capacity
        self._cache: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._filled = 0
        self._positions_B = torch.empty(0, dtype=torch.long)
        self._visible: torch.Tensor | None = None  # [B, 1, 1, capacity], true where attention may look

    def start(self, ids_BP: torch.Tensor, real_BP: torch.Tensor) -> torch.Tensor:
        batch, prompt = ids_BP.shape
        positions_BP = (real_BP.long().cumsum(1) - 1).clamp_min(0)
        self._positions_B = positions_BP[:, -1]
        mask = None
        if not real_BP.all():
            visible = torch.ones(batch, self._capacity, dtype=torch.bool)
            visible[:, :prompt] = real_BP
            self._visible = visible[:, None, None]
            causal = torch.ones(prompt, prompt, dtype=torch.bool).tril()
            # padding looks at itself: a row without any key would be NaN
            mask = causal & (self._visible[..., :prompt] | torch.eye(prompt, dtype=torch.bool))
        x_BPW = self._decoder.tokens(ids_BP) + self._decoder.positions(positions_BP)
        for block in self._decoder.layers():
            q, k, v = block.heads_of(x_BPW)
            self._cache.append((self._reserve(k), self._reserve(v)))
            attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
            x_BPW = block.finish(x_BPW, attended)
        self._filled = prompt
        return self._decoder.norm(x_BPW)

    def branch(self, rows_B: torch.Tensor) -> None:
        self._cache = [(keys[rows_B], values[rows_B]) for keys, values in self._cache]
        self._positions_B = self._positions_B[rows_B]
        if self._visible is not None:
            self._visible = self._visible[rows_B]

    def extend(self, ids_BT: torch.Tensor) -> torch.Tensor:
        more = ids_BT.shape[1]
        positions_BT = self._positions_B[:, None] + torch.arange(1, more + 1)
        x_BTW = self._decoder.tokens(ids_BT) + self._decoder.positions(positions_BT)
        until = self._filled + more
        mask = None if self._visible is None else self._visible[..., :until]
        if more > 1:
            causal = torch.ones(more, until, dtype=torch.bool).tril(self._filled)
            mask = causal if mask is None else causal & mask
        for block, (keys, values) in zip(self._decoder.layers(), self._cache, strict=True):
            q, k, v = block.heads_of(x_BTW)
            keys[:, :, self._filled : until] = k
            values[:, :, self._filled : until] = v
            attended = functional.scaled_dot_product_attention(q, keys[:, :, :until], values[:, :, :until], mask)
            x_BTW = block.finish(x_BTW, attended)
        self._filled, self._positions_B = until, positions_BT[:, -1]
        return self._decoder.norm(x_BTW)

    def _reserve(self, filled: torch.Tensor) -> torch.Tensor:
        batch, heads, prompt, width = filled.shape
        cache = filled.new_empty(batch, heads, self._capacity, width)
        cache[:, :, :prompt] = filled
        return cache
