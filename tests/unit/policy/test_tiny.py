"""The tiny policy: what it generates, it recognises; what a stranger made up, it does not."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from assay_core.environments.sorting import Sorting
from assay_core.policy import Policy, evaluate, initial_policy
from assay_core.policy.initial import parse_start
from assay_core.protocol.errors import Malformed, Stop
from assay_core.protocol.spec import SamplerSpec, ToplocSpec
from assay_core.protocol.types import Seed
from assay_core.toploc import build_proofs, check_proofs

SEED = Seed(bytes(range(32)))
SMALL = {"kind": "tiny", "layers": 2, "width": 32, "heads": 2, "warmup": {"steps": 0}}
SAMPLER = SamplerSpec(max_new_tokens=6)
NOISE = 1e-5


@pytest.fixture(scope="module")
def policy() -> Policy:
    return initial_policy(SMALL, SEED)


def uniforms(rows: int, columns: int = 6, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).random((rows, columns))


def prompts_of(policy: Policy, texts: Sequence[str]) -> list[list[int]]:
    return [policy.encode(text) for text in texts]


EQUAL = ["314159=", "271828=", "141421="]
UNEQUAL = ["3=", "314159=", "27=", "2718281828=", "1414="]


@pytest.mark.parametrize("texts", [EQUAL, UNEQUAL], ids=["equal lengths", "unequal lengths"])
def test_prefill_agrees_with_generation(policy: Policy, texts: list[str]) -> None:
    prompts, uniforms_BT = prompts_of(policy, texts), uniforms(len(texts))
    generations = policy.generate(prompts, uniforms_BT, SAMPLER)

    prefills = policy.prefill(prompts, [generation.token_ids for generation in generations], SAMPLER)

    for prompt, generation, prefill, row in zip(prompts, generations, prefills, uniforms_BT, strict=True):
        drawn = row[: len(generation.token_ids)]
        assert np.allclose(generation.logprobs_T, prefill.logprobs_T, atol=NOISE)
        assert (prefill.cdf_below_T - NOISE <= drawn).all()
        assert (drawn <= prefill.cdf_upto_T + NOISE).all()
        assert generation.hidden_NH.shape == (len(prompt) + len(generation.token_ids) - 1, 32)
        assert generation.hidden_NH.dtype == np.uint16
        proofs = build_proofs(generation.hidden_NH, len(prompt), topk=16, chunk_tokens=2)
        distances = check_proofs(prefill.hidden_NH, len(prompt), proofs, topk=16, chunk_tokens=2)
        assert all(distance.within(ToplocSpec(max_exponent_mismatches=4)) for distance in distances)


def test_another_policy_is_told_apart_by_its_proofs_and_its_tokens(policy: Policy) -> None:
    impostor = initial_policy(SMALL, Seed(bytes(32)))
    prompts, uniforms_BT = prompts_of(policy, EQUAL * 8), uniforms(24)
    forged = impostor.generate(prompts, uniforms_BT, SAMPLER)

    prefills = policy.prefill(prompts, [generation.token_ids for generation in forged], SAMPLER)

    outside = 0
    for prompt, generation, prefill, row in zip(prompts, forged, prefills, uniforms_BT, strict=True):
        drawn = row[: len(generation.token_ids)]
        outside += int(((drawn < prefill.cdf_below_T - 0.02) | (drawn > prefill.cdf_upto_T + 0.02)).sum())
        proofs = build_proofs(generation.hidden_NH, len(prompt), topk=128, chunk_tokens=32)
        distances = check_proofs(prefill.hidden_NH, len(prompt), proofs, topk=128, chunk_tokens=32)
        assert not all(distance.within(ToplocSpec()) for distance in distances)
    assert outside > 0


def test_completion_depends_on_its_own_prompt_and_uniforms_alone(policy: Policy) -> None:
    prompts, uniforms_BT = prompts_of(policy, UNEQUAL), uniforms(len(UNEQUAL))
    together = policy.generate(prompts, uniforms_BT, SAMPLER)

    for row, prompt in enumerate(prompts):
        alone = policy.generate([prompt], uniforms_BT[row : row + 1], SAMPLER)[0]
        assert alone.token_ids == together[row].token_ids
        assert np.allclose(alone.logprobs_T, together[row].logprobs_T, atol=NOISE)


def test_generation_ends_at_the_end_of_sequence_or_at_the_limit(policy: Policy) -> None:
    generations = policy.generate(prompts_of(policy, EQUAL * 20), uniforms(60), SAMPLER)

    assert {generation.finish for generation in generations} == {"eos", "length"}
    for generation in generations:
        assert (generation.token_ids[-1] == policy.eos_id) == (generation.finish == "eos")
        assert policy.eos_id not in generation.token_ids[:-1]
        assert generation.finish == "eos" or len(generation.token_ids) == 6
        assert len(generation.logprobs_T) == len(generation.token_ids)


def test_temperature_is_part_of_the_logprobs(policy: Policy) -> None:
    prompt, completion = policy.encode("12="), [1, 2, policy.eos_id]
    cold = SamplerSpec(temperature=0.5, max_new_tokens=4)

    prefill = policy.prefill([prompt], [completion], cold)[0]
    logprobs_BT, mask_BT = policy.token_logprobs([prompt], [completion], 0.5)

    assert np.allclose(prefill.logprobs_T, logprobs_BT[0].detach().numpy(), atol=NOISE)
    assert mask_BT.tolist() == [[1, 1, 1]]
    assert not np.allclose(prefill.logprobs_T, policy.prefill([prompt], [completion], SAMPLER)[0].logprobs_T)


def test_intervals_and_end_of_sequence_are_probabilities(policy: Policy) -> None:
    prefill = policy.prefill([policy.encode("12=")], [[1, policy.eos_id]], SAMPLER)[0]

    assert np.allclose(prefill.cdf_upto_T - prefill.cdf_below_T, np.exp(prefill.logprobs_T), atol=1e-9)
    assert np.allclose(prefill.eos_probability_T[-1], np.exp(prefill.logprobs_T[-1]), atol=1e-9)


def test_training_logprobs_are_masked_past_each_end_and_carry_gradients() -> None:
    policy = initial_policy(SMALL, SEED)
    prompts = prompts_of(policy, ["12=", "3141="])
    completions = [[1, 2, policy.eos_id], [4]]

    logprobs_BT, mask_BT = policy.token_logprobs(prompts, completions, 1.0)
    (logprobs_BT * mask_BT).sum().backward()

    assert mask_BT.tolist() == [[1, 1, 1], [1, 0, 0]]
    alone = policy.token_logprobs(prompts[1:], completions[1:], 1.0)[0]
    assert torch.allclose(logprobs_BT[1, 0], alone[0, 0], atol=NOISE)
    assert all(parameter.grad is not None for parameter in policy.trainable().values())


def test_only_what_the_patterns_name_is_trained() -> None:
    policy = initial_policy({**SMALL, "trainable": ["blocks.1.*", "norm.*"]}, SEED)

    assert list(policy.trainable()) == sorted(policy.trainable())
    assert all(name.startswith(("blocks.1.", "norm.")) for name in policy.trainable())
    assert not any(parameter.requires_grad for parameter in policy.frozen().values())


def test_greedy_takes_the_likeliest_token(policy: Policy) -> None:
    prompts = prompts_of(policy, UNEQUAL)

    completions = policy.generate_greedy(prompts, 3)

    for prompt, ids in zip(prompts, completions, strict=True):
        rivals = [policy.prefill([prompt], [[other]], SAMPLER)[0].logprobs_T[0] for other in range(policy.vocabulary)]
        assert ids[0] == int(np.argmax(rivals))


def test_text_survives_encoding(policy: Policy) -> None:
    ids = policy.encode("0123456789=")

    assert policy.decode([*ids, policy.eos_id]) == "0123456789="
    assert policy.vocabulary == 12


# ---- the first version


def test_a_seed_names_one_policy_and_warm_up_repeats_itself() -> None:
    start = {**SMALL, "warmup": {"steps": 2, "batch": 4}}
    first, second = (initial_policy(start, SEED, Sorting(3)) for _ in range(2))
    other = initial_policy(start, Seed(bytes(32)), Sorting(3))

    for name, parameter in first.trainable().items():
        assert torch.equal(parameter, second.trainable()[name])
    assert not torch.equal(first.trainable()["head.weight"], other.trainable()["head.weight"])


def test_warm_up_teaches_something_that_evaluation_sees() -> None:
    environment = Sorting(2)
    start = {"kind": "tiny", "layers": 1, "width": 64, "heads": 2, "warmup": {"steps": 60, "batch": 64, "lr": 0.005}}
    taught, untaught = initial_policy(start, SEED, environment), initial_policy(SMALL, SEED)
    sampler = SamplerSpec(max_new_tokens=3)

    assert evaluate(taught, environment, SEED, 64, sampler) > 0.5
    assert evaluate(taught, environment, SEED, 64, sampler) == evaluate(taught, environment, SEED, 64, sampler)
    assert evaluate(untaught, environment, SEED, 64, sampler) < 0.2


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"kind": "huge"},
        {"kind": "tiny", "layers": "two"},
        {"kind": "tiny", "colour": "red"},
        {"kind": "tiny", "warmup": {"steps": -1}},
    ],
    ids=str,
)
def test_impossible_start_stops_the_initiator(config: dict[str, object]) -> None:
    with pytest.raises(Stop, match="policy"):
        parse_start(config)


class Unsolvable:
    """An environment without solutions."""

    def prompt(self, seed: Seed, index: int) -> object:
        return Sorting(3).prompt(seed, index)

    def reward(self, prompt: object, completion: str) -> float:
        return 0.0


@pytest.mark.parametrize("environment", [None, Unsolvable()])
def test_warm_up_without_solutions_stops_the_initiator(environment: object) -> None:
    with pytest.raises(Stop, match="knows solutions"):
        initial_policy({"kind": "tiny"}, SEED, environment)  # pyright: ignore[reportArgumentType]


# ---- strangers' tokens


def test_text_outside_of_the_alphabet_is_malformed(policy: Policy) -> None:
    with pytest.raises(Malformed, match="alphabet lacks 'a'"):
        policy.encode("12a=")


@pytest.mark.parametrize("token", [-1, 12, 2**40])
def test_token_outside_of_the_vocabulary_is_malformed(policy: Policy, token: int) -> None:
    with pytest.raises(Malformed, match="vocabulary"):
        policy.prefill([[1]], [[token]], SAMPLER)
    with pytest.raises(Malformed, match="vocabulary"):
        policy.token_logprobs([[token]], [[1]], 1.0)
    with pytest.raises(Malformed, match="vocabulary"):
        policy.decode([token])


@pytest.mark.parametrize(("prompt", "completion"), [([], [1]), ([1], [])])
def test_empty_sequence_is_malformed(policy: Policy, prompt: list[int], completion: list[int]) -> None:
    with pytest.raises(Malformed, match="at least one token"):
        policy.prefill([prompt], [completion], SAMPLER)


def test_sequence_beyond_the_context_is_malformed(policy: Policy) -> None:
    with pytest.raises(Malformed, match="context"):
        policy.prefill([[1] * 20], [[1] * 13], SAMPLER)


@pytest.mark.parametrize("prompt", [[], [1] * 27])
def test_prompt_that_leaves_no_room_is_malformed(policy: Policy, prompt: list[int]) -> None:
    with pytest.raises(Malformed, match="context"):
        policy.generate([prompt], uniforms(1), SAMPLER)


def test_wrong_number_of_uniforms_is_refused(policy: Policy) -> None:
    with pytest.raises(ValueError, match="uniforms"):
        policy.generate([[1]], uniforms(1, 5), SAMPLER)
