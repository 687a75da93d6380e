"""Low-rank adapters (LoRA): a policy learns by a few small matrices beside frozen weights.

y = W x + alpha / rank * B (A x). A is drawn at random, B is zero, so version 0 computes what its base does.
Names of parameters: those of the base stay as they are, `<layer>.lora_a` [rank, in] and `<layer>.lora_b` [out, rank]
come beside `<layer>.weight` [out, in].
Shapes: M rows, I inputs and O outputs of a layer, R rank.
Source: Hu et al. 2021, arXiv:2106.09685 §4.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from assay_core.policy.patterns import matches, parse_patterns
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Malformed

MAX_RANK = 1_024
MAX_ALPHA = 65_536
FIELDS = {"alpha", "rank", "targets"}


@dataclass(frozen=True, slots=True)
class Adapter:
    """`targets` are shell patterns of linear layers' names (`model.layers.*.self_attn.q_proj`)."""

    rank: int
    alpha: int
    targets: tuple[str, ...]

    def json(self) -> dict[str, Json]:
        return {"alpha": self.alpha, "rank": self.rank, "targets": list(self.targets)}


def parse_adapter(value: Json) -> Adapter:
    """Read a stranger's adapter. Raises Malformed: missing or unknown fields, wrong types, absurd sizes."""
    if not isinstance(value, Mapping) or set(value) != FIELDS:
        raise Malformed(f"policy.json: an adapter must have exactly {', '.join(sorted(FIELDS))}")
    return Adapter(
        rank=_count(value, "rank", MAX_RANK),
        alpha=_count(value, "alpha", MAX_ALPHA),
        targets=parse_patterns(value["targets"], "adapter.targets"),
    )


def _count(value: Mapping[str, Json], name: str, most: int) -> int:
    number = value[name]
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= most:
        raise Malformed(f"policy.json: adapter.{name} must be an integer from 1 to {most}")
    return number


class AdaptedLinear(nn.Linear):
    """A linear layer and its adapter. The weight is the layer's own, shared and not copied."""

    lora_a: nn.Parameter
    lora_b: nn.Parameter

    def __init__(self, layer: nn.Linear, adapter: Adapter) -> None:
        """The adapter's numbers are not set yet; they lie where the layer's are."""
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight = layer.weight
        self.register_parameter("bias", cast(nn.Parameter | None, layer.bias))
        self.scale = adapter.alpha / adapter.rank
        self.lora_a = nn.Parameter(layer.weight.new_empty(adapter.rank, layer.in_features))
        self.lora_b = nn.Parameter(layer.weight.new_empty(layer.out_features, adapter.rank))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        rows_MI = input.reshape(-1, self.in_features)
        plain_MO = functional.linear(rows_MI, self.weight, self.bias)
        low_MR = functional.linear(rows_MI, self.lora_a)
        # one pass over the outputs, which for small ranks is most of what an adapter costs
        adapted_MO = torch.addmm(plain_MO, low_MR, self.lora_b.t(), alpha=self.scale)
        return adapted_MO.reshape(*input.shape[:-1], self.out_features)


def attach(module: nn.Module, adapter: Adapter) -> dict[str, nn.Parameter]:
    """Adapt the layers that `adapter` names, freeze all else; the adapter's parameters, not set yet, by name.

    Raises Malformed: no linear layer has such a name, or one is smaller than the rank.
    """
    layers = {name: layer for name, layer in _linear_layers(module).items() if matches(name, adapter.targets)}
    if not layers:
        raise Malformed(f"no linear layer of the policy matches {', '.join(adapter.targets)}: nothing could be trained")
    module.requires_grad_(False)
    for name, layer in layers.items():
        if adapter.rank > (most := min(layer.in_features, layer.out_features)):
            raise Malformed(f"an adapter of rank {adapter.rank} is none for {name}: it has no more than {most}")
        parent, _, place = name.rpartition(".")
        setattr(module.get_submodule(parent), place, AdaptedLinear(layer, adapter))
    return {name: parameter for name, parameter in module.named_parameters() if name.endswith((".lora_a", ".lora_b"))}


@torch.no_grad()
def initialise(parameters: Mapping[str, nn.Parameter], generator: torch.Generator) -> None:
    """A uniform within 1 / sqrt(in), in order of name, so that a seed names one adapter; B zero."""
    for name, parameter in sorted(parameters.items()):
        if name.endswith("lora_b"):
            parameter.zero_()
        else:
            bound = parameter.shape[1] ** -0.5
            nn.init.uniform_(parameter, -bound, bound, generator=generator)


def _linear_layers(module: nn.Module) -> dict[str, nn.Linear]:
    """By name; a layer that has two names has its first."""
    # not its subclasses, which may compute something else
    return {name: layer for name, layer in module.named_modules() if type(layer) is nn.Linear}
