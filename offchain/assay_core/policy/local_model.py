"""A model's folder on the initiator's disk, as save_pretrained or a download leaves it.

transformers fills what is missing with random numbers and drops what it does not know, with a warning. Here a model is
read whole or refused, and what is wrong with it is named: nobody else could load it later, or it would be another.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from assay_core.policy.weights import CONFIG_NAME, TOKENIZER_NAME
from assay_core.protocol.errors import Stop

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
LFS_POINTER = b"version https://git-lfs"
PLAIN_DTYPES = {"F64", "F32", "F16", "BF16"}
NAMES_SHOWN = 5


def read_local_model(folder: Path) -> Any:
    """The model in `folder`, float32. Raises Stop: it is not whole, or what only its own code or a quantiser reads."""
    if not folder.is_dir():
        raise Stop(f"policy.path: {folder} is no folder")
    _check_config(folder)
    _require_file(folder / TOKENIZER_NAME)
    for path in _weight_files(folder):
        _check_weights(path)
    transformers_logging.set_verbosity_error()  # what it would warn of is refused below
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # each architecture fails in its own way
        raise Stop(f"policy.path: {folder} holds no model that can be loaded: {line(error)}") from error
    model, found = loaded
    _check_loaded(folder, model, found)
    return model


def listed(names: Collection[str]) -> str:
    """The first names, and how many more there are."""
    shown, more = sorted(names)[:NAMES_SHOWN], len(names) - NAMES_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _check_config(folder: Path) -> None:
    config = _read_json(folder / CONFIG_NAME)
    if "auto_map" in config:
        raise Stop(
            f"policy.path: {folder / CONFIG_NAME} has auto_map, code of its own, which nobody else would run: remove "
            "it if transformers knows the architecture, else take another model"
        )
    if isinstance(quantisation := config.get("quantization_config"), dict):
        method = cast("dict[str, Any]", quantisation).get("quant_method", "an unknown method")
        raise Stop(f"policy.path: {folder} is quantised ({method}): take the model with plain weights")


def _weight_files(folder: Path) -> list[Path]:
    """Those that transformers would read."""
    if (folder / SINGLE_NAME).is_file() or not (folder / INDEX_NAME).is_file():
        return [folder / SINGLE_NAME]
    places = _read_json(folder / INDEX_NAME).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise Stop(f"policy.path: {folder / INDEX_NAME} has no weight_map: download it again")
    return [folder / str(name) for name in sorted(set(cast("dict[str, Any]", places).values()))]


def _check_weights(path: Path) -> None:
    _require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            dtypes = {name: str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise Stop(f"policy.path: {path} is cut off or no safetensors file ({error}): download it again") from error
    if odd := {name for name, dtype in dtypes.items() if _is_weight(name) and dtype not in PLAIN_DTYPES}:
        found = ", ".join(sorted({dtypes[name] for name in odd}))
        raise Stop(f"policy.path: {path} is quantised ({found}: {listed(odd)}): take the model with plain weights")


def _is_weight(name: str) -> bool:
    """Masks of old checkpoints, which are integers, are not: transformers passes over them."""
    return "weight" in name.rpartition(".")[2]


def _check_loaded(folder: Path, model: Any, found: dict[str, Any]) -> None:
    unexpected, missing = set(found["unexpected_keys"]), set(found["missing_keys"])
    if any("_orig_mod." in name for name in unexpected):
        raise Stop(
            f"policy.path: {folder} was saved from torch.compile ({listed(unexpected)}): strip _orig_mod. from the "
            "names, or save the model that was compiled"
        )
    if missing:
        raise Stop(f"policy.path: {folder} lacks weights of its model: {listed(missing)}")
    if unexpected:
        raise Stop(f"policy.path: {folder} has weights that its model has no place for: {listed(unexpected)}")
    numbers: dict[str, torch.Tensor] = model.state_dict()
    if odd := {name for name, value in numbers.items() if not torch.isfinite(value).all()}:
        raise Stop(f"policy.path: {folder} holds numbers that are not finite in {listed(odd)}")


def _read_json(path: Path) -> dict[str, Any]:
    _require_file(path)
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Stop(f"policy.path: {path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Stop(f"policy.path: {path} must be an object")
    return cast("dict[str, Any]", value)


def _require_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
    except OSError as error:
        raise Stop(f"policy.path: cannot read {path}: {error.strerror}") from error
    if start == LFS_POINTER:
        raise Stop(f"policy.path: {path} is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder")


def line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
