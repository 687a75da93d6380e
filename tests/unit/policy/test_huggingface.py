"""Hugging Face policies: a small random Llama in the fast tests, SmolLM2 in the slow ones."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch

from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.policy import Policy, initial_policy, load_policy, save_policy
from assay_core.policy.huggingface import BASES
from assay_core.policy.interface import Generation, Prefill
from assay_core.policy.weights import CONFIG_NAME, FROZEN_NAME, POLICY_NAME, TOKENIZER_NAME, read_tensors
from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.errors import Malformed, Stop
from assay_core.protocol.spec import SamplerSpec, ToplocSpec
from assay_core.protocol.types import Seed
from assay_core.toploc import Hidden, build_all, check_all
from tests.unit.policy.models import WORDS, llama, start, word_tokenizer, write_model
from tests.unit.policy.successor import write_successor

SEED = Seed(bytes(32))
NOISE = 1e-4


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as its maker would publish it."""
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, llama())
    return folder


@pytest.fixture(scope="module")
def policy(model_folder: Path) -> Policy:
    return initial_policy(start(model_folder), SEED)


@pytest.fixture
def directory(model_folder: Path, tmp_path: Path) -> Path:
    save_policy(initial_policy(start(model_folder), SEED), tmp_path / "bundle")
    return tmp_path / "bundle"


def agree(
    policy: Policy, verifier: Policy, texts: list[str], sampler: SamplerSpec
) -> list[tuple[Generation, Prefill, bool]]:
    """Generate with one, prefill with the other; the last item says whether TOPLOC passes."""
    prompts = [policy.encode(text) for text in texts]
    uniforms_BT = np.random.default_rng(1).random((len(texts), sampler.max_new_tokens))
    generations = policy.generate(prompts, uniforms_BT, sampler)
    prefills = verifier.prefill(prompts, [generation.token_ids for generation in generations], sampler)
    pairs = list(zip(prompts, generations, prefills, uniforms_BT, strict=True))
    made = [Hidden(generation.hidden_NH, len(prompt)) for prompt, generation, _, _ in pairs]
    seen = [Hidden(prefill.hidden_NH, len(prompt)) for prompt, _, prefill, _ in pairs]
    distances = check_all(seen, build_all(made, topk=64, chunk_tokens=16), topk=64, chunk_tokens=16)
    thresholds = ToplocSpec(max_exponent_mismatches=19)
    passes = [all(distance.within(thresholds) for distance in row) for row in distances]
    return [(generation, prefill, ok) for (_, generation, prefill, _), ok in zip(pairs, passes, strict=True)]


def test_prefill_agrees_with_generation_over_unequal_prompts(policy: Policy) -> None:
    texts = ["one two three", "four", "five one", "two two two two two"]

    for generation, prefill, passes in agree(policy, policy, texts, SamplerSpec(max_new_tokens=8)):
        assert np.allclose(generation.logprobs_T, prefill.logprobs_T, atol=NOISE)
        assert generation.hidden_NH.shape == prefill.hidden_NH.shape
        assert passes


def test_prompts_are_wrapped_in_the_template(policy: Policy) -> None:
    assert policy.encode("one") == [2, 3]
    assert policy.decode([3, 4, 1]) == "one two"
    assert policy.context_tokens == 64


def test_training_logprobs_agree_with_prefill(policy: Policy) -> None:
    prompts, completions = [[2, 3], [2]], [[4, 5, 1], [6]]

    logprobs_BT, mask_BT = policy.token_logprobs(prompts, completions, 1.0)
    prefills = policy.prefill(prompts, completions, SamplerSpec())

    assert mask_BT.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert np.allclose(logprobs_BT[0].detach().numpy(), prefills[0].logprobs_T, atol=NOISE)
    assert np.allclose(logprobs_BT[1, 0].item(), prefills[1].logprobs_T[0], atol=NOISE)
    assert all(name.startswith("model.layers.1.") for name in policy.trainable())


def test_bundle_holds_all_that_loading_takes(directory: Path, policy: Policy) -> None:
    loaded = load_policy(directory)

    names = {POLICY_NAME, WEIGHTS_NAME, FROZEN_NAME, CONFIG_NAME, TOKENIZER_NAME}
    assert {path.name for path in directory.iterdir()} == names
    for generation, prefill, passes in agree(policy, loaded, ["one two", "five"], SamplerSpec(max_new_tokens=8)):
        assert np.allclose(generation.logprobs_T, prefill.logprobs_T, atol=NOISE)
        assert passes


def test_successor_carries_tokenizer_and_frozen_weights(directory: Path, tmp_path: Path) -> None:
    policy = load_policy(directory)
    weights = {name: value.detach().numpy() * np.float32(1.5) for name, value in policy.trainable().items()}

    write_successor(directory, weights, tmp_path / "next")

    successor = load_policy(tmp_path / "next")
    assert all(np.array_equal(value.detach().numpy(), weights[name]) for name, value in successor.trainable().items())
    assert successor.encode("one") == policy.encode("one")


def test_changed_weights_are_told_apart(directory: Path, tmp_path: Path) -> None:
    policy = load_policy(directory)
    noise = torch.Generator().manual_seed(3)
    weights = {
        name: (value + torch.randn(value.shape, generator=noise)).detach().numpy()
        for name, value in policy.trainable().items()
    }
    write_successor(directory, weights, tmp_path / "other")

    compared = agree(policy, load_policy(tmp_path / "other"), ["one two", "five"], SamplerSpec(max_new_tokens=8))

    assert not any(passes for _, _, passes in compared)


# ---- several tokens that end a completion

ENDS = (WORDS.index("<end>"), WORDS.index("five"))


def test_each_of_several_ends_ends_a_completion_and_both_are_what_the_verifier_expects(
    model_folder: Path, tmp_path: Path
) -> None:
    policy = initial_policy(start(model_folder, eos=["<end>", "five"]), SEED)
    save_policy(policy, tmp_path)
    loaded = load_policy(tmp_path)
    assert policy.eos_ids == loaded.eos_ids == ENDS and policy.eos_id == ENDS[0]

    made = agree(policy, loaded, ["one two", "four", "three", "one"] * 8, SamplerSpec(max_new_tokens=12))

    assert {generation.token_ids[-1] for generation, _, _ in made if generation.finish == "eos"} == set(ENDS)
    for generation, prefill, passes in made:
        assert not set(generation.token_ids[:-1]) & set(ENDS) and passes
        assert (generation.token_ids[-1] in ENDS) == (generation.finish == "eos")
        if generation.finish == "eos":
            assert prefill.eos_probability_T[-1] > np.exp(prefill.logprobs_T[-1])
    assert policy.decode([3, 4, 7]) == "one two"
    greedy = policy.generate_greedy([policy.encode("four")], 40)[0]
    assert not set(greedy[:-1]) & set(ENDS)


def test_one_end_is_written_as_it_always_was(policy: Policy) -> None:
    assert policy.config["eos"] == "<end>"


def test_special_tokens_that_a_model_ends_with_by_its_configuration_are_added(
    model_folder: Path, tmp_path: Path
) -> None:
    folder = copytree(model_folder, tmp_path / "model")
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens(["five"])
    tokenizer.save(str(folder / TOKENIZER_NAME))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 1, 3, 99]}))  # 3 is a plain word

    assert initial_policy(start(folder), SEED).config["eos"] == ["<end>", "five"]


# ---- adapters

LORA = {"rank": 4, "alpha": 8, "targets": ["*.q_proj", "*.v_proj", "lm_head"]}


@pytest.fixture
def adapted(model_folder: Path) -> Any:
    return initial_policy(start(model_folder, trainable=None, adapter=LORA), SEED)


def test_an_adapter_leaves_the_model_as_it_is_until_it_is_trained(model_folder: Path, adapted: Any) -> None:
    base = initial_policy(start(model_folder), SEED)
    prompts, completions = [[2, 3], [2]], [[4, 5, 1], [6]]
    assert torch.equal(*(each.token_logprobs(prompts, completions, 1.0)[0] for each in (adapted, base)))
    assert len(adapted.trainable()) == 2 * (2 * 2 + 1)
    assert set(adapted.frozen()) == {*base.trainable(), *base.frozen()}  # pyright: ignore[reportAttributeAccessIssue]


def test_an_adapted_model_is_loaded_as_it_was_saved_and_proves_what_it_generates(adapted: Any, tmp_path: Path) -> None:
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in adapted.trainable().values():
            value += 0.3 * torch.randn(value.shape, generator=noise)
    save_policy(adapted, tmp_path / "bundle")
    names = {POLICY_NAME, WEIGHTS_NAME, FROZEN_NAME, CONFIG_NAME, TOKENIZER_NAME}
    assert {path.name for path in (tmp_path / "bundle").iterdir()} == names
    loaded = load_policy(tmp_path / "bundle")
    assert all(torch.equal(value, loaded.trainable()[name]) for name, value in adapted.trainable().items())
    compared = agree(adapted, loaded, ["one two three", "four"], SamplerSpec(max_new_tokens=8))
    assert all(passes for _, _, passes in compared)


@pytest.mark.parametrize(
    "adapter",
    [{**LORA, "rank": 33}, {**LORA, "targets": ["*.q_proj"]}, {**LORA, "targets": ["*layernorm"]}],
    ids=["rank beyond the layers", "fewer layers", "no linear layer"],
)
def test_adapter_that_does_not_fit_is_malformed(adapted: Any, tmp_path: Path, adapter: Any) -> None:
    save_policy(adapted, tmp_path)
    config = json.loads((tmp_path / POLICY_NAME).read_bytes())
    (tmp_path / POLICY_NAME).write_bytes(canonical_json({**config, "adapter": adapter}))
    with pytest.raises(Malformed):
        load_policy(tmp_path)


# ---- what an initiator may get wrong


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": None}, "give either base .* or path .*: neither is there"),
        ({"base": "smollm2-135m-instruct"}, "give either base .* or path .*: both are there"),
        ({"path": "/nowhere/at/all"}, "policy.path: /nowhere/at/all"),
    ],
    ids=["neither base nor path", "both", "no such folder"],
)
def test_impossible_start_stops_the_initiator(model_folder: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Stop, match=message):
        initial_policy(start(model_folder, **changes), SEED)


def test_end_token_that_the_tokenizer_lacks_stops_the_initiator(model_folder: Path) -> None:
    with pytest.raises(Stop, match=r"^policy\.path: /.*: the tokenizer has no token '<stop>'"):
        initial_policy(start(model_folder, eos="<stop>"), SEED)


# ---- hostile bundles


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base", "gpt-5"),
        ("base", 7),
        ("eos", None),
        ("eos", "<stop>"),
        ("eos", []),
        ("eos", ["<end>"]),
        ("eos", ["<end>", "<end>"]),
        ("eos", ["<end>", 7]),
        ("eos", ["<end>", "<stop>"]),
        ("template", "no place"),
        ("template", "{prompt}{prompt}"),
        ("template", 3),
        ("trainable", []),
        ("trainable", ["(a+)+"]),
        ("trust_remote_code", True),
    ],
    ids=str,
)
def test_impossible_policy_config_is_malformed(directory: Path, field: str, value: Any) -> None:
    config = json.loads((directory / POLICY_NAME).read_bytes())
    (directory / POLICY_NAME).write_bytes(canonical_json({**config, field: value}))

    with pytest.raises(Malformed):
        load_policy(directory)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("auto_map", {"AutoModelForCausalLM": "evil.Model"}),
        ("quantization_config", {"quant_method": "gptq"}),
        ("model_type", "no-such-architecture"),
        ("model_type", None),
        ("model_type", "vit"),
        ("num_hidden_layers", 10**9),
        ("num_hidden_layers", 3),
        ("hidden_size", 10**7),
        ("hidden_size", "wide"),
        ("vocab_size", 2**31),
        ("num_attention_heads", 0),
        ("rms_norm_eps", None),
    ],
    ids=str,
)
def test_impossible_model_config_is_malformed(directory: Path, field: str, value: Any) -> None:
    config = json.loads((directory / CONFIG_NAME).read_bytes())
    (directory / CONFIG_NAME).write_text(json.dumps({**config, field: value}))

    with pytest.raises(Malformed):
        load_policy(directory)


def test_tokenizer_that_lacks_what_it_says_it_has_is_malformed(directory: Path) -> None:
    path = directory / TOKENIZER_NAME
    tokenizer = json.loads(path.read_bytes())
    del tokenizer["model"]["vocab"]["<unk>"]
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(Malformed, match="cannot read"):
        load_policy(directory).encode("something else")


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b'{"model":{"type":"Evil"}}', b"\xff"])
@pytest.mark.parametrize("name", [CONFIG_NAME, TOKENIZER_NAME])
def test_damaged_file_is_malformed(directory: Path, name: str, data: bytes) -> None:
    (directory / name).write_bytes(data)

    with pytest.raises(Malformed):
        load_policy(directory)


@pytest.mark.parametrize("name", [CONFIG_NAME, TOKENIZER_NAME, WEIGHTS_NAME, FROZEN_NAME])
def test_missing_file_is_malformed(directory: Path, name: str) -> None:
    (directory / name).unlink()

    with pytest.raises(Malformed):
        load_policy(directory)


# ---- SmolLM2


@pytest.mark.slow
def test_smollm2_generates_proves_and_is_told_from_a_changed_copy(tmp_path: Path) -> None:
    sampler = SamplerSpec(max_new_tokens=24, temperature=0.8)
    texts = ["What is 2 + 2?", "Say hello to Bob.", "Name three colours, separated by commas."]
    start_table = {"kind": "hf", "base": "smollm2-135m-instruct", "trainable": ["model.layers.29.*"]}
    policy = initial_policy(start_table, SEED)
    save_policy(policy, tmp_path / "v0")

    assert sum(path.stat().st_size for path in (tmp_path / "v0").iterdir()) < 16 * 2**20
    loaded = load_policy(tmp_path / "v0")
    for generation, prefill, passes in agree(policy, loaded, texts, sampler):
        assert np.allclose(generation.logprobs_T, prefill.logprobs_T, atol=1e-3)
        assert passes
    assert "4" in policy.decode(policy.generate_greedy([policy.encode(texts[0])], 32)[0])

    shapes = {name: tuple(value.shape) for name, value in policy.trainable().items()}
    weights = read_tensors(tmp_path / "v0" / WEIGHTS_NAME, shapes)
    write_successor(tmp_path / "v0", {name: array * np.float32(0.5) for name, array in weights.items()}, tmp_path / "x")
    assert not any(passes for _, _, passes in agree(policy, load_policy(tmp_path / "x"), texts, sampler))


def test_base_is_pinned_by_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    name, base = next(iter(BASES.items()))
    other = type(base)(base.package, base.file, "0" * 64)
    monkeypatch.setitem(BASES, f"{name}-other", other)

    with pytest.raises(Stop, match="pinned"):
        initial_policy({"kind": "hf", "base": f"{name}-other"}, SEED)


def test_base_that_is_not_installed_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    base = next(iter(BASES.values()))
    monkeypatch.setitem(BASES, "absent", type(base)("no_such_package", base.file, base.sha256))

    with pytest.raises(Stop, match="install it"):
        initial_policy({"kind": "hf", "base": "absent"}, SEED)
