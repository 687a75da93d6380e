"""A model's folder that is not whole stops its initiator, with what is wrong in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.policy.local_model import INDEX_NAME, SINGLE_NAME, listed
from assay_core.policy.weights import CONFIG_NAME, TOKENIZER_NAME
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Seed
from tests.unit.policy.models import llama, start, word_tokenizer, write_model

SEED = Seed(bytes(32))
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_model(folder, llama())
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return copytree(published, tmp_path / "model")


def refused(folder: Path, message: str) -> None:
    with pytest.raises(Stop, match=message) as raised:
        initial_policy(start(folder), SEED)
    assert "\n" not in str(raised.value) and str(folder) in str(raised.value)


Tensors = dict[str, torch.Tensor]


def compiled(tensors: Tensors) -> Tensors:
    return {f"_orig_mod.{name}": value for name, value in tensors.items()}


def without_a_layer(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if "layers.1." not in name}


def with_surplus(tensors: Tensors) -> Tensors:
    return {**tensors, "model.value_head.weight": torch.zeros(2)}


def with_nan_in_an_unused_row(tensors: Tensors) -> Tensors:
    tensors["model.embed_tokens.weight"][5] = torch.nan
    return tensors


def in_8_bits(tensors: Tensors) -> Tensors:
    return {**tensors, "model.layers.0.mlp.up_proj.weight": torch.zeros(48, 32, dtype=torch.float8_e4m3fn)}


def in_packed_integers(tensors: Tensors) -> Tensors:
    return {**tensors, "model.layers.0.mlp.up_proj.qweight": torch.zeros(4, 32, dtype=torch.int32)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (compiled, r"torch\.compile \(_orig_mod\.lm_head\.weight"),
        (without_a_layer, r"lacks weights .*model\.layers\.1\.input_layernorm\.weight.* and 4 more"),
        (with_surplus, r"no place for: model\.value_head\.weight"),
        (with_nan_in_an_unused_row, r"not finite in model\.embed_tokens\.weight"),
        (in_8_bits, r"quantised \(F8_E4M3: model\.layers\.0\.mlp\.up_proj\.weight\)"),
        (in_packed_integers, r"quantised \(I32: model\.layers\.0\.mlp\.up_proj\.qweight\)"),
    ],
)
def test_weights_that_are_not_the_models_are_named(
    folder: Path, change: Callable[[Tensors], Tensors], message: str
) -> None:
    save_file(change(load_file(folder / SINGLE_NAME)), folder / SINGLE_NAME, {"format": "pt"})
    refused(folder, message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"auto_map": {"AutoModelForCausalLM": "modeling.Mine"}}, "has auto_map"),
        (
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            r"quantised \(bitsandbytes\)",
        ),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"quantised \(gptq\)"),
        ({"quantization_config": {"quant_method": "fp8"}}, r"quantised \(fp8\)"),
        ({"model_type": "no-such-architecture"}, "no model that can be loaded"),
        ({"hidden_size": 40}, "no model that can be loaded"),
    ],
    ids=str,
)
def test_config_that_others_could_not_follow_is_refused(folder: Path, fields: dict[str, Any], message: str) -> None:
    config = json.loads((folder / CONFIG_NAME).read_bytes())
    (folder / CONFIG_NAME).write_text(json.dumps({**config, **fields}))
    refused(folder, message)


@pytest.mark.parametrize("name", [CONFIG_NAME, SINGLE_NAME, TOKENIZER_NAME])
def test_a_pointer_in_a_files_place_is_told(folder: Path, name: str) -> None:
    (folder / name).write_bytes(POINTER)
    refused(folder, f"{name} is a Git LFS pointer")


@pytest.mark.parametrize("name", [CONFIG_NAME, SINGLE_NAME, TOKENIZER_NAME])
def test_a_file_that_is_not_there_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, f"cannot read .*{name}: No such file")


@pytest.mark.parametrize("kept", [0, 4, 300, -1])
def test_weights_that_were_cut_off_are_told(folder: Path, kept: int) -> None:
    (folder / SINGLE_NAME).write_bytes((folder / SINGLE_NAME).read_bytes()[:kept])
    refused(folder, f"{SINGLE_NAME} is cut off")


@pytest.mark.parametrize(("data", "message"), [(b"{", "is not JSON"), (b"[]", "must be an object")])
def test_a_config_that_is_none_is_told(folder: Path, data: bytes, message: str) -> None:
    (folder / CONFIG_NAME).write_bytes(data)
    refused(folder, message)


def test_each_of_several_weight_files_is_looked_at(folder: Path) -> None:
    names = sorted(load_file(folder / SINGLE_NAME))
    (folder / SINGLE_NAME).rename(folder / "first.safetensors")
    (folder / "second.safetensors").write_bytes(POINTER)
    places = {name: "second.safetensors" if name == names[-1] else "first.safetensors" for name in names}
    (folder / INDEX_NAME).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    refused(folder, r"second\.safetensors is a Git LFS pointer")
    (folder / INDEX_NAME).write_text("{}")
    refused(folder, "has no weight_map")


def test_many_names_are_cut_short() -> None:
    assert listed({"b", "a"}) == "a, b"
    assert listed(list("gfedcba")) == "a, b, c, d, e and 2 more"


def test_a_tokenizer_with_an_id_beyond_the_embedding_is_refused(folder: Path) -> None:
    tokenizer = word_tokenizer()
    tokenizer.add_tokens(["six"])
    tokenizer.save(str(folder / TOKENIZER_NAME))
    refused(folder, "gives 'six' the id 8, the model knows ids below 8")


def test_a_tokenizers_truncation_and_padding_are_switched_off(folder: Path, tmp_path: Path) -> None:
    tokenizer = word_tokenizer()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=6)
    tokenizer.save(str(folder / TOKENIZER_NAME))
    policy = initial_policy(start(folder), SEED)
    assert policy.encode("one") == [2, 3]
    assert policy.encode("one two three four five") == [2, 3, 4, 5, 6, 7]
    save_policy(policy, tmp_path / "bundle")
    written = json.loads((tmp_path / "bundle" / TOKENIZER_NAME).read_bytes())
    assert (written["truncation"], written["padding"]) == (None, None)
    (tmp_path / "bundle" / TOKENIZER_NAME).write_bytes((folder / TOKENIZER_NAME).read_bytes())
    assert load_policy(tmp_path / "bundle").encode("one") == [2, 3]
