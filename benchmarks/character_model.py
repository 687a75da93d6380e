"""A small character model, and several trainers that train it side by side in one process.

The text is the language reference that CPython carries for `help()` (pydoc_data.topics, PSF License 2.0): 0.46 MB of
English, on every machine, without internet. The model is a decoder with one block; loss is in nats per character.

All trainers are computed at once: each parameter has a leading dimension R, one slice per trainer, and AdamW, which is
element-wise, updates them as R separate models. Shapes: R trainers, B sequences, T characters, D width, H heads,
V characters of the alphabet.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pydoc_data.topics import topics

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, npt.NDArray[np.float32]]  # of one model

WIDTH, HEADS, HIDDEN = 64, 4, 192
CONTEXT, SEQUENCES = 32, 8
LR, CLIP = 3e-3, 1.0
HELD_OUT = 0.1
VALIDATION_SEQUENCES = 256


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """Character ids, [N]; the last tenth is held out."""

    training: Tensor
    held_out: Tensor
    alphabet: int


def load_text() -> Text:
    text = "\n".join(topics[name] for name in sorted(topics))
    table = {character: number for number, character in enumerate(sorted(set(text)))}
    ids = torch.tensor([table[character] for character in text])
    cut = int(len(ids) * (1 - HELD_OUT))
    return Text(ids[:cut], ids[cut:], len(table))


def initial_weights(alphabet: int, seed: int) -> Weights:
    """Named and shaped as those of one model."""
    random = np.random.default_rng(seed)
    shapes = {
        "embed": ((alphabet, WIDTH), 0.05),
        "position": ((CONTEXT, WIDTH), 0.05),
        "attention.qkv": ((WIDTH, 3 * WIDTH), WIDTH**-0.5),
        "attention.out": ((WIDTH, WIDTH), 0.5 * WIDTH**-0.5),
        "mlp.in": ((WIDTH, HIDDEN), WIDTH**-0.5),
        "mlp.out": ((HIDDEN, WIDTH), 0.5 * HIDDEN**-0.5),
        "head": ((WIDTH, alphabet), 0.5 * WIDTH**-0.5),
    }
    return {name: random.normal(0, scale, shape).astype(np.float32) for name, (shape, scale) in shapes.items()}


def loss_R(weights: Mapping[str, Tensor], ids_RBT: Tensor) -> Tensor:
    """Mean loss of each trainer's model in predicting each character but the first."""
    inputs, targets = ids_RBT[..., :-1], ids_RBT[..., 1:]
    trainers, sequences, length = inputs.shape
    rows = torch.arange(trainers)[:, None, None]
    x = weights["embed"][rows, inputs] + weights["position"][:, None, :length]
    x = x.reshape(trainers, sequences * length, WIDTH)
    qkv = torch.bmm(_normed(x), weights["attention.qkv"])
    q, k, v = qkv.reshape(trainers * sequences, length, 3 * HEADS, -1).transpose(1, 2).chunk(3, dim=1)
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + torch.bmm(mixed.transpose(1, 2).reshape(x.shape), weights["attention.out"])
    x = x + torch.bmm(functional.relu(torch.bmm(_normed(x), weights["mlp.in"])).square(), weights["mlp.out"])
    logits = torch.bmm(_normed(x), weights["head"])
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.reshape(-1), reduction="none")
    return losses.reshape(trainers, -1).mean(dim=1)


def _normed(x: Tensor) -> Tensor:
    return functional.rms_norm(x, x.shape[-1:])


class Trainers:
    """R trainers, each with its own data and its own AdamW, whose state outlives a round (as in DiLoCo)."""

    def __init__(self, text: Text, start: Weights, trainers: int, seed: int) -> None:
        self._text = text
        self._count = trainers
        self._random = np.random.default_rng(seed)
        self._weights = {
            name: torch.from_numpy(np.repeat(array[None], trainers, axis=0)).requires_grad_()
            for name, array in start.items()
        }
        self._optimizer = torch.optim.AdamW(self._weights.values(), lr=LR, betas=(0.9, 0.99), weight_decay=0.0)

    def run(self, steps: int) -> None:
        """Each trainer takes its own steps."""
        for _ in range(steps):
            self._backward()
            self._descend()

    def run_data_parallel(self, steps: int) -> None:
        """Every step on the mean of all trainers' gradients."""
        for _ in range(steps):
            self._backward()
            for weight in self._weights.values():
                assert weight.grad is not None
                weight.grad.copy_(weight.grad.mean(dim=0, keepdim=True).expand_as(weight))
            self._descend()

    def _descend(self) -> None:
        _clip_each(self._weights.values())
        self._optimizer.step()

    def weights(self, trainer: int) -> Weights:
        return {name: weight[trainer].detach().numpy().copy() for name, weight in self._weights.items()}

    def pseudo_gradients(self, before: Weights) -> list[Weights]:
        """θ before − θ now of each trainer."""
        now = {name: weight.detach().numpy() for name, weight in self._weights.items()}
        return [{name: before[name] - now[name][trainer] for name in before} for trainer in range(self._count)]

    def load(self, weights: Weights) -> None:
        """Everybody goes on from the same weights, each with its own optimizer state."""
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(torch.from_numpy(weights[name])[None].expand_as(weight))

    def _backward(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        starts = self._random.integers(0, len(self._text.training) - CONTEXT - 1, (self._count, SEQUENCES))
        ids_RBT = self._text.training[torch.from_numpy(starts)[..., None] + torch.arange(CONTEXT + 1)]
        loss_R(self._weights, ids_RBT).sum().backward()


def _clip_each(weights: Iterable[Tensor]) -> None:
    """Each trainer's gradient to a norm of at most CLIP."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norm_R = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
    factor_R = (CLIP / norm_R).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor_R.reshape(-1, *[1] * (gradient.ndim - 1)))


def validation_loss(text: Text, weights: Weights) -> float:
    """Loss on the held-out text, the same sequences always."""
    starts = np.linspace(0, len(text.held_out) - CONTEXT - 1, VALIDATION_SEQUENCES, dtype=np.int64)
    ids_BT = text.held_out[torch.from_numpy(starts)[:, None] + torch.arange(CONTEXT + 1)]
    with torch.no_grad():
        stacked = {name: torch.from_numpy(array)[None] for name, array in weights.items()}
        loss = float(loss_R(stacked, ids_BT[None])[0])
    return loss if math.isfinite(loss) else math.inf
