"""Policy version 0, as its initiator asks for it in the task file's `[policy]` table."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from assay_core.environments.interface import Environment, Solvable
from assay_core.environments.sorting import ALPHABET
from assay_core.policy.adapter import Adapter, initialise, parse_adapter
from assay_core.policy.bundle import Learning, prepare, tiny_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.patterns import parse_patterns
from assay_core.policy.tiny import TinyDecoder, TinyShape, parse_shape
from assay_core.protocol.encoding import derive
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Seed


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Warmup(Part):
    """Supervised steps on the environment's own solutions, so that reinforcement has something to reinforce."""

    steps: Annotated[int, Field(ge=0)] = 60
    batch: Annotated[int, Field(ge=1)] = 128
    lr: Annotated[float, Field(gt=0)] = 3e-3


class AdapterStart(Part):
    """Low-rank adapters of the linear layers that `targets` name; see offchain/assay_core/policy/adapter.py."""

    rank: int
    alpha: int
    targets: tuple[str, ...]


class TinyStart(Part):
    """A small decoder from scratch; `trainable` are shell patterns of parameter names, all without an `adapter`."""

    kind: Literal["tiny"]
    layers: int = 2
    width: int = 96
    heads: int = 4
    context: int = 32
    alphabet: str = ALPHABET
    trainable: tuple[str, ...] | None = None
    adapter: AdapterStart | None = None
    warmup: Warmup = Warmup()


class HFStart(Part):
    """A Hugging Face causal LM: `base` names one that a package ships, or `path` is a local model's folder.

    `template` wraps a prompt's text, `eos` is the token that ends a completion, or several. Special tokens that a local
    model ends with by its own configuration are added.
    """

    kind: Literal["hf"]
    base: str | None = None
    path: str | None = None
    template: str = "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    eos: str | tuple[str, ...] = "<|im_end|>"
    trainable: tuple[str, ...] | None = None
    adapter: AdapterStart | None = None


PolicyStart = Annotated[TinyStart | HFStart, Field(discriminator="kind")]


def parse_start(config: Mapping[str, Any]) -> TinyStart | HFStart:
    """Read our own `[policy]` table. Raises Stop: unknown or impossible entries."""
    try:
        return TypeAdapter[TinyStart | HFStart](PolicyStart).validate_python(dict(config))
    except ValidationError as error:
        first = error.errors()[0]
        raise Stop(f"policy.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def initial_policy(config: Mapping[str, Any], seed: Seed, environment: Environment | None = None) -> CausalPolicy:
    """Build policy version 0. A tiny one is drawn from `seed` and warmed up on `environment`, before it is adapted.

    Raises Stop: impossible configuration, or a warm-up on an environment that knows no solutions.
    """
    start = parse_start(config)
    learning, adapter_seed = _learning(start), _generator(derive(seed, "adapter"))
    if isinstance(start, HFStart):
        from assay_core.policy.huggingface import start_hf  # slow to import

        eos = (start.eos,) if isinstance(start.eos, str) else start.eos
        return start_hf(start.base, start.path, start.template, eos, learning, adapter_seed)
    shape = parse_shape(TinyShape(start.layers, start.width, start.heads, start.context, start.alphabet).json())
    decoder = TinyDecoder(shape)
    decoder.initialise(_generator(derive(seed, "weights")))
    trained_first = ("*",) if isinstance(learning, Adapter) else learning
    policy = tiny_policy(decoder, shape, trained_first, prepare(decoder, trained_first))
    if start.warmup.steps:
        if not isinstance(environment, Solvable):
            raise Stop("policy.warmup needs an environment that knows solutions: set policy.warmup.steps = 0")
        warm_up(policy, environment, start.warmup, derive(seed, "warm-up"))
    if not isinstance(learning, Adapter):
        return policy
    adapters = prepare(decoder, learning)
    initialise(adapters, adapter_seed)
    return tiny_policy(decoder, shape, learning, adapters)


def _learning(start: TinyStart | HFStart) -> Learning:
    """Raises Stop: both are given. Malformed: an impossible one."""
    if start.adapter is None:
        return parse_patterns(list(start.trainable or ("*",)))
    if start.trainable is not None:
        raise Stop("policy: give either trainable or adapter, which is all that is trained then")
    adapter = start.adapter
    return parse_adapter(Adapter(adapter.rank, adapter.alpha, adapter.targets).json())


def _generator(seed: Seed) -> torch.Generator:
    return torch.Generator().manual_seed(int.from_bytes(seed[:8], "big"))


def warm_up(policy: CausalPolicy, environment: Environment, warmup: Warmup, seed: Seed) -> None:
    """AdamW on the log-likelihood of solutions to fresh prompts, in place."""
    assert isinstance(environment, Solvable)
    optimizer = torch.optim.AdamW(policy.trainable().values(), lr=warmup.lr, weight_decay=0.0)
    for step in range(warmup.steps):
        prompts = [environment.prompt(seed, step * warmup.batch + row) for row in range(warmup.batch)]
        solutions = [[*policy.encode_completion(environment.solution(prompt)), policy.eos_id] for prompt in prompts]
        logprobs_BT, mask_BT = policy.token_logprobs([policy.encode(prompt.text) for prompt in prompts], solutions, 1.0)
        loss = -(logprobs_BT * mask_BT).sum() / mask_BT.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
