"""A policy as files. Bundles come from the network, so nothing in them is believed before it is checked.

policy.json          canonical JSON: kind, what is trained (`trainable` or `adapter`) and what the kind needs
weights.safetensors  the trainable parameters: those that `trainable` matches, or the adapter's
frozen.safetensors   the others and what a model keeps beside its parameters, unless an installed package has them
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.policy.adapter import Adapter, attach, parse_adapter
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.patterns import matches, parse_patterns
from assay_core.policy.tiny import CharTokenizer, TinyDecoder, TinyShape, parse_shape
from assay_core.policy.weights import FROZEN_NAME, POLICY_NAME, read_tensors, write_tensors
from assay_core.protocol.encoding import Json, canonical_json, parse_canonical_json
from assay_core.protocol.errors import Malformed, Unavailable

MAX_CONFIG_BYTES = 2**20

Learning = tuple[str, ...] | Adapter  # what is trained: parameters that patterns match, or an adapter


def load_policy(directory: Path) -> CausalPolicy:
    """Load the policy in a verified bundle's directory, offline, running none of its bytes as code.

    Raises Malformed: the files do not make a policy. Raises Unavailable: they cannot be read.
    """
    config = read_config(directory / POLICY_NAME)
    kind = config.get("kind")
    if kind == "tiny":
        return _load_tiny(directory, config)
    if kind == "hf":
        from assay_core.policy.huggingface import load_hf  # slow to import

        return load_hf(directory, config)
    raise Malformed(f"policy.json: unknown kind {str(kind)[:80]!r}, know tiny and hf")


def save_policy(policy: CausalPolicy, directory: Path) -> None:
    """Write the policy's files, but for the outer momentum, which is not its business."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / POLICY_NAME).write_bytes(canonical_json(dict(policy.config)))
    write_tensors(
        directory / WEIGHTS_NAME, {name: value.detach().numpy() for name, value in policy.trainable().items()}
    )
    if policy.config["kind"] == "hf":
        from assay_core.policy.huggingface import save_hf  # slow to import

        save_hf(policy, directory)
    elif frozen := policy.frozen():
        write_tensors(directory / FROZEN_NAME, {name: value.detach().numpy() for name, value in frozen.items()})


def tiny_policy(
    decoder: TinyDecoder, shape: TinyShape, learning: Learning, trainable: Mapping[str, torch.nn.Parameter]
) -> CausalPolicy:
    """Wrap a decoder whose weights are in place; `trainable` is what `prepare` gave."""
    config: dict[str, Json] = {"architecture": shape.json(), "kind": "tiny", **learning_json(learning)}
    decoder.eval()
    return CausalPolicy(decoder, CharTokenizer(shape.alphabet), config, trainable)


def prepare(module: torch.nn.Module, learning: Learning) -> dict[str, torch.nn.Parameter]:
    """Freeze all but what is trained, which is returned by name; an adapter is added, its numbers not set yet.

    Raises Malformed: nothing matches, or the adapter does not fit.
    """
    return attach(module, learning) if isinstance(learning, Adapter) else freeze_others(module, learning)


def freeze_others(module: torch.nn.Module, patterns: Sequence[str]) -> dict[str, torch.nn.Parameter]:
    """The parameters whose name one of the patterns matches; all others stop requiring gradients.

    Raises Malformed: the patterns match nothing.
    """
    chosen = {name: parameter for name, parameter in module.named_parameters() if matches(name, patterns)}
    if not chosen:
        raise Malformed(f"no parameter of the policy matches {', '.join(patterns)}: nothing could be trained")
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in chosen)
    return chosen


def parse_learning(config: Mapping[str, Json]) -> Learning:
    """Read `trainable` or `adapter` of a `policy.json`. Raises Malformed: both, neither, or an impossible one."""
    if ("adapter" in config) == ("trainable" in config):
        raise Malformed("policy.json must have either trainable or adapter")
    return parse_adapter(config["adapter"]) if "adapter" in config else parse_patterns(config["trainable"])


def learning_json(learning: Learning) -> dict[str, Json]:
    """What of a policy is trained, as its `policy.json` says it."""
    if isinstance(learning, Adapter):
        return {"adapter": learning.json()}
    return {"trainable": list(learning)}


def read_config(path: Path) -> Mapping[str, Json]:
    """Read `policy.json`. Raises Malformed: absent, too large, not a canonical JSON object."""
    try:
        if not path.is_file():
            raise Malformed(f"policy has no file {path.name}")
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise Malformed(f"{path.name} exceeds {MAX_CONFIG_BYTES} bytes")
        config = parse_canonical_json(path.read_bytes())
    except OSError as error:
        raise Unavailable(f"cannot read {path.name}: {error}") from error
    if not isinstance(config, Mapping):
        raise Malformed(f"{path.name} must be an object")
    return config


def _load_tiny(directory: Path, config: Mapping[str, Json]) -> CausalPolicy:
    if set(config) - {"adapter", "trainable"} != {"architecture", "kind"}:
        raise Malformed("policy.json of a tiny policy must have exactly architecture, kind and trainable or adapter")
    shape, learning = parse_shape(config["architecture"]), parse_learning(config)
    with torch.device("meta"):  # no memory yet: the declared sizes may be absurd
        decoder = TinyDecoder(shape)
        chosen = prepare(decoder, learning)
    shapes = {name: tuple(value.shape) for name, value in decoder.named_parameters()}
    tensors = read_tensors(directory / WEIGHTS_NAME, {name: shapes[name] for name in chosen})
    if frozen := {name: size for name, size in shapes.items() if name not in chosen}:
        tensors |= read_tensors(directory / FROZEN_NAME, frozen)
    decoder.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()}, assign=True)
    loaded = dict(decoder.named_parameters())  # the numbers have taken the places of the empty ones
    return tiny_policy(decoder, shape, learning, {name: loaded[name] for name in chosen})
