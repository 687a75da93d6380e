"""A policy as files. Bundles come from the network, so nothing in them is believed before it is checked.

policy.json          canonical JSON: kind, trainable and what the kind needs
weights.safetensors  the trainable parameters
frozen.safetensors   the others, unless there are none or an installed package has them
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast

import torch

from offchain.policy.causal import CausalPolicy
from offchain.policy.tiny import CharTokenizer, TinyDecoder, TinyShape, parse_shape
from offchain.policy.weights import FROZEN_NAME, POLICY_NAME, WEIGHTS_NAME, read_tensors, write_tensors
from offchain.protocol.encoding import Json, canonical_json, parse_canonical_json
from offchain.protocol.errors import Malformed, Unavailable

MAX_CONFIG_BYTES = 2**20
MAX_PATTERNS = 64
PATTERN = re.compile(r"[A-Za-z0-9_.*?\[\]-]{1,200}")


def load_policy(directory: Path) -> CausalPolicy:
    """Load the policy in a verified bundle's directory, offline, running none of its bytes as code.

    Raises Malformed: the files do not make a policy. Raises Unavailable: they cannot be read.
    """
    config = read_config(directory / POLICY_NAME)
    kind = config.get("kind")
    if kind == "tiny":
        return _load_tiny(directory, config)
    if kind == "hf":
        from offchain.policy.huggingface import load_hf  # slow to import

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
        from offchain.policy.huggingface import save_hf  # slow to import

        save_hf(policy, directory)
    elif frozen := policy.frozen():
        write_tensors(directory / FROZEN_NAME, {name: value.detach().numpy() for name, value in frozen.items()})


def tiny_policy(decoder: TinyDecoder, shape: TinyShape, patterns: Sequence[str]) -> CausalPolicy:
    """Wrap a decoder whose weights are in place."""
    config: dict[str, Json] = {"architecture": shape.json(), "kind": "tiny", "trainable": list(patterns)}
    trainable = freeze_others(decoder, patterns)
    decoder.eval()
    return CausalPolicy(decoder, CharTokenizer(shape.alphabet), config, trainable)


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


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a parameter of that name is trainable."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def parse_patterns(value: Json) -> tuple[str, ...]:
    """Shell patterns (`blocks.1.*`), not regular expressions: those of a stranger can take for ever to match."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_PATTERNS:
        raise Malformed(f"policy.json: trainable must be a list of 1 to {MAX_PATTERNS} patterns")
    for pattern in value:
        if not isinstance(pattern, str) or not PATTERN.fullmatch(pattern) or pattern.count("*") > 4:
            raise Malformed("policy.json: a trainable pattern may hold letters, digits, '._-?[]' and up to 4 '*'")
    return tuple(cast(list[str], value))


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
    if set(config) != {"architecture", "kind", "trainable"}:
        raise Malformed("policy.json of a tiny policy must have exactly architecture, kind and trainable")
    shape, patterns = parse_shape(config["architecture"]), parse_patterns(config["trainable"])
    with torch.device("meta"):  # no memory yet: the declared sizes may be absurd
        decoder = TinyDecoder(shape)
    chosen = freeze_others(decoder, patterns)
    shapes = {name: tuple(value.shape) for name, value in decoder.named_parameters()}
    tensors = read_tensors(directory / WEIGHTS_NAME, {name: shapes[name] for name in chosen})
    if frozen := {name: size for name, size in shapes.items() if name not in chosen}:
        tensors |= read_tensors(directory / FROZEN_NAME, frozen)
    decoder.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()}, assign=True)
    return tiny_policy(decoder, shape, patterns)
