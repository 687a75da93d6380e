"""How honest machines differ: precision, attention kernel, batches, padding, threads, libraries.

A condition wraps a policy's backbone, so that everything above it (sampling, prefill, training) is what everybody runs.
Shapes: B sequences, P prompt tokens, N positions, H hidden width, M rows.
"""

import contextlib
import copy
import warnings
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad

from assay_core.policy.causal import Backbone, CausalPolicy, Ids, Session

Precision = Literal["float32", "bfloat16", "float16", "bfloat16 weights"]
Attention = Literal["default", "math", "flash", "eager"]
AUTOCAST: dict[Precision, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16}
KERNELS: dict[Attention, SDPBackend] = {"math": SDPBackend.MATH, "flash": SDPBackend.FLASH_ATTENTION}


@dataclass(frozen=True, slots=True)
class Condition:
    """One machine's way to compute. `batch` 0 is the policy's own; `padding` is in tokens beside what is needed.

    `matmul` is `torch.set_float32_matmul_precision`; `is_onednn` whether torch may use oneDNN's kernels.
    """

    precision: Precision = "float32"
    attention: Attention = "default"
    batch: int = 0
    padding: int = 0
    threads: int = 1
    matmul: Literal["highest", "high", "medium"] = "highest"
    is_onednn: bool = True

    def training(self) -> "Condition":
        """The same machine where it trains.

        Recipes say float32, and no replay confirms a training in less: AdamW's first steps turn on the signs of
        gradients, which bfloat16 changes.
        """
        return replace(self, precision="float32", matmul="highest")

    def flags(self) -> "Condition":
        """What may surround a whole training, backward passes included: all but the precision."""
        return self.training()

    def __str__(self) -> str:
        parts = [
            self.precision,
            f"{self.attention} attention" if self.attention != "default" else "",
            f"batch {self.batch}" if self.batch else "",
            f"{self.padding} tokens of padding" if self.padding else "",
            f"{self.threads} threads" if self.threads > 1 else "",
            f"matmul precision {self.matmul}" if self.matmul != "highest" else "",
            "" if self.is_onednn else "no oneDNN",
        ]
        return ", ".join(part for part in parts if part)


FLOAT32 = (
    Condition(),
    Condition(batch=1),
    Condition(batch=3, padding=1),
    Condition(padding=3),
    Condition(attention="math"),
    Condition(attention="flash", batch=5),
    Condition(attention="eager"),
    Condition(threads=2),
    Condition(threads=2, batch=7, padding=2),
    Condition(is_onednn=False),
    Condition(is_onednn=False, attention="math", batch=2),
)
"""Machines that compute in float32 throughout."""

REDUCED = (
    Condition("bfloat16"),
    Condition("bfloat16", batch=3, padding=2),
    Condition("bfloat16", attention="math"),
    Condition("bfloat16", threads=2),
    Condition("bfloat16 weights"),
    Condition("bfloat16 weights", batch=1),
    Condition("float16"),
    Condition("float16", padding=3, attention="math"),
    Condition(matmul="high"),
    Condition(matmul="medium"),
)
"""Machines that roll out or prefill in less than float32."""


def offered(condition: Condition, policy: CausalPolicy) -> bool:
    """Whether the policy can be run like this."""
    return condition.attention != "eager" or hasattr(policy.backbone.module(), "set_attn_implementation")


def under(policy: CausalPolicy, condition: Condition) -> CausalPolicy:
    """The same policy as a machine under that condition computes it; it trains the weights of `policy` itself."""
    training = condition.training()
    if condition == training:
        return CausalPolicy(
            _Conditioned(policy.backbone, condition), policy.tokenizer, policy.config, policy.trainable()
        )
    return _Machine(policy, condition, under(policy, training))


class _Machine(CausalPolicy):
    """Rolls out and prefills in one precision, trains in another."""

    def __init__(self, policy: CausalPolicy, condition: Condition, trained: CausalPolicy) -> None:
        backbone = policy.backbone
        if condition.precision == "bfloat16 weights":
            backbone = copy.deepcopy(backbone)
            backbone.module().to(torch.bfloat16)
        super().__init__(_Conditioned(backbone, condition), policy.tokenizer, policy.config, policy.trainable())
        self._trained = trained

    def token_logprobs(self, prompts: Ids, completions: Ids, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        return self._trained.token_logprobs(prompts, completions, temperature)


class _Conditioned:
    """A `Backbone` that computes as its condition says and hands out float32."""

    def __init__(self, inner: Backbone, condition: Condition) -> None:
        self._inner, self._condition = inner, condition
        self.vocabulary, self.context_tokens = inner.vocabulary, inner.context_tokens
        self.batch = condition.batch or inner.batch
        self._dtype = next(inner.module().parameters()).dtype

    def module(self) -> torch.nn.Module:
        return self._inner.module()

    def session(self, capacity: int) -> Session:
        return _ConditionedSession(self._inner.session(capacity + self._condition.padding), self)

    def hidden(self, ids_BN: torch.Tensor) -> torch.Tensor:
        positions = ids_BN.shape[1]
        surplus = min(self._condition.padding, self.context_tokens - positions)
        with self.computing():
            return self._inner.hidden(pad(ids_BN, (0, surplus)))[:, :positions].float()

    def logits(self, hidden_MH: torch.Tensor) -> torch.Tensor:
        with self.computing():
            return self._inner.logits(hidden_MH.to(self._dtype)).float()

    def padded_left(self, ids_BP: torch.Tensor, real_BP: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        surplus = self._condition.padding
        return pad(ids_BP, (surplus, 0)), pad(real_BP, (surplus, 0), value=False)

    def computing(self) -> contextlib.AbstractContextManager[None]:
        return computing(self._condition, self.module())


class _ConditionedSession:
    def __init__(self, inner: Session, backbone: _Conditioned) -> None:
        self._inner, self._backbone = inner, backbone

    def start(self, ids_BP: torch.Tensor, real_BP: torch.Tensor) -> torch.Tensor:
        prompt = ids_BP.shape[1]
        with self._backbone.computing():
            return self._inner.start(*self._backbone.padded_left(ids_BP, real_BP))[:, -prompt:].float()

    def branch(self, rows_B: torch.Tensor) -> None:
        self._inner.branch(rows_B)

    def extend(self, ids_BT: torch.Tensor) -> torch.Tensor:
        with self._backbone.computing():
            return self._inner.extend(ids_BT).float()


@contextlib.contextmanager
def computing(condition: Condition, module: torch.nn.Module) -> Generator[None]:
    """The condition's settings for a while; they are torch's own, so the whole process has them.

    A policy `under` a condition sets them in its forward passes; a backward pass needs them around it.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_matmul_precision(condition.matmul))
        stack.enter_context(_threads(condition.threads))
        if not condition.is_onednn:
            stack.enter_context(_without_onednn())
        if condition.precision in AUTOCAST:
            stack.enter_context(torch.autocast("cpu", dtype=AUTOCAST[condition.precision]))
        if condition.attention in KERNELS:  # a kernel that cannot serve a mask falls back to the plain one
            stack.enter_context(sdpa_kernel([KERNELS[condition.attention], SDPBackend.MATH]))
        if condition.attention == "eager":
            stack.enter_context(_eager(module))
        yield


@contextlib.contextmanager
def _threads(threads: int) -> Generator[None]:
    before = torch.get_num_threads()
    if threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _without_onednn() -> Generator[None]:
    with warnings.catch_warnings():  # torch warns about Intel's GPUs while it sets the flag
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False):
            yield


@contextlib.contextmanager
def _matmul_precision(precision: str) -> Generator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def _eager(model: Any) -> Generator[None]:
    """transformers' attention in plain matrix products."""
    before: str = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
