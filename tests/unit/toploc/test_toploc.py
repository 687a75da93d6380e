"""TOPLOC: the reference's bytes, and no proof that passes without proving."""

import json
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.protocol.errors import MalformedProof
from assay_core.protocol.spec import ToplocSpec
from assay_core.toploc import (
    Bf16Bits,
    Distance,
    Hidden,
    build_all,
    build_proofs,
    check_all,
    check_proofs,
    distances_between,
    encode_proof,
    proof_count,
)
from tests.examples import examples

VECTORS = Path(__file__).parents[2] / "vectors" / "toploc_reference.json"
STRICT = ToplocSpec()
ONE, ONE_AND_AN_ULP, TWO, MINUS_ONE = 0x3F80, 0x3F81, 0x4000, 0xBF80
NULL_PROOF = bytes(258)


@cache
def vectors() -> dict[str, Any]:
    return json.loads(VECTORS.read_text())


def cases() -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in vectors()["cases"]]


def settings_of(case: dict[str, Any]) -> dict[str, Any]:
    return {
        "topk": case["topk"],
        "chunk_tokens": case["decode_batching_size"],
        "skip_prefill": case["skip_prefill"],
    }


def bits(text: str, hidden: int) -> Bf16Bits:
    return np.frombuffer(b64decode(text), "<u2").reshape(-1, hidden)


def sequence(case: dict[str, Any], prefix: str = "") -> tuple[Bf16Bits, int]:
    generated = bits(case[f"{prefix}generated_bf16"], case["hidden"])
    if case["skip_prefill"]:
        return generated, 0
    prompt = bits(case[f"{prefix}prefill_bf16"], case["hidden"])
    return np.concatenate([prompt, generated]), len(prompt)


def random_bits(tokens: int, hidden: int, seed: int = 0) -> Bf16Bits:
    values = torch.randn(tokens, hidden, generator=torch.Generator().manual_seed(seed))
    return values.to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)


def prove(bits_NH: Bf16Bits, prompt_tokens: int = 4) -> list[bytes]:
    return build_proofs(bits_NH, prompt_tokens, topk=128, chunk_tokens=32)


def check(bits_NH: Bf16Bits, proofs: list[bytes], prompt_tokens: int = 4) -> list[Distance]:
    return check_proofs(bits_NH, prompt_tokens, proofs, topk=128, chunk_tokens=32)


# ---- the reference


@pytest.mark.parametrize("case", cases())
def test_proofs_are_the_references_bytes(case: dict[str, Any]) -> None:
    assert build_proofs(*sequence(case), **settings_of(case)) == [b64decode(proof) for proof in case["proofs"]]


@pytest.mark.parametrize("prefix", ["noisy", "wrong"])
@pytest.mark.parametrize("case", cases())
def test_distances_are_the_references(case: dict[str, Any], prefix: str) -> None:
    proofs = [b64decode(proof) for proof in case["proofs"]]

    found = check_proofs(*sequence(case, f"{prefix}_"), proofs, **settings_of(case))

    assert [[d.exponent_mismatches, *_finite(d)] for d in found] == [
        pytest.approx(result) for result in case[f"{prefix}_results"]
    ]


def _finite(distance: Distance) -> tuple[float, float]:
    """The reference writes 2^64 where we write infinity."""
    return min(distance.mantissa_mean, 2.0**64), min(distance.mantissa_median, 2.0**64)


@pytest.mark.parametrize("point", [pytest.param(point, id=str(i)) for i, point in enumerate(vectors()["points"])])
def test_points_are_encoded_as_the_reference_does(point: dict[str, Any]) -> None:
    proof = encode_proof(point["indices"], point["values"])

    assert proof == b64decode(point["proof"])
    assert int.from_bytes(proof[:2], "big") == point["modulus"]


def test_vectors_hold_the_case_of_a_smaller_modulus() -> None:
    assert any(point["modulus"] < 65_497 for point in vectors()["points"])


def test_honest_proof_of_a_chunk_beyond_the_modulus_has_distance_zero() -> None:
    bits_NH = random_bits(4 + 32, 8_192)
    bits_NH[4:] &= 0x3FFF  # flat: below 2
    for position in (7, 7 + 65_497):  # a collision modulo 65497 among the largest
        bits_NH[4:].reshape(-1)[position] = 0x4300

    proofs = prove(bits_NH)

    assert int.from_bytes(proofs[1][:2], "big") < 65_497
    assert check(bits_NH, proofs) == [Distance(0, 0.0, 0.0)] * 2


# ---- decisions


@pytest.mark.parametrize(
    ("claimed", "accepted"),
    [
        pytest.param([ONE, TWO], True, id="same"),
        pytest.param([ONE_AND_AN_ULP, TWO], True, id="rounding noise of another machine"),
        pytest.param([MINUS_ONE, TWO], True, id="signs do not count, as in the reference"),
        pytest.param([ONE + 100, TWO + 100], False, id="mantissas are noise"),
        pytest.param([TWO, ONE], False, id="no exponent agrees"),
    ],
)
def test_distance_decides(claimed: list[int], accepted: bool) -> None:
    found = distances_between(np.array([claimed], np.uint16), np.array([[ONE, TWO]], np.uint16))

    assert found[0].within(STRICT) is accepted


@pytest.mark.parametrize(
    ("distance", "accepted"),
    [
        (Distance(38, 10.0, 8.0), True),
        (Distance(39, 10.0, 8.0), False),
        (Distance(38, 10.01, 8.0), False),
        (Distance(38, 10.0, 8.01), False),
        (Distance(0, float("nan"), 0.0), False),
    ],
)
def test_thresholds_are_inclusive(distance: Distance, accepted: bool) -> None:
    assert distance.within(STRICT) is accepted


def test_noise_of_another_machine_passes_and_another_model_fails() -> None:
    mine = random_bits(4 + 70, 64)
    noisy = mine + (random_bits(*mine.shape, seed=1) & np.uint16(1))  # a unit in the last place here and there

    assert all(distance.within(STRICT) for distance in check(noisy, prove(mine)))
    assert not any(distance.within(STRICT) for distance in check(random_bits(*mine.shape, seed=2), prove(mine)))


# ---- structure


@settings(max_examples=examples(30))
@given(
    shapes=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 21)), min_size=1, max_size=4),
    hidden=st.integers(1, 24),
    topk=st.integers(1, 40),
    chunk_tokens=st.integers(1, 9),
)
def test_many_sequences_at_once_are_proved_as_each_alone_and_found_at_distance_zero(
    shapes: list[tuple[int, int]], hidden: int, topk: int, chunk_tokens: int
) -> None:
    sequences = [Hidden(random_bits(p + t, hidden, seed=i), p) for i, (p, t) in enumerate(shapes)]

    together = build_all(sequences, topk=topk, chunk_tokens=chunk_tokens)
    distances = check_all(sequences, together, topk=topk, chunk_tokens=chunk_tokens)

    for one, proofs, found in zip(sequences, together, distances, strict=True):
        assert proofs == build_proofs(one.bits_NH, one.prompt_tokens, topk=topk, chunk_tokens=chunk_tokens)
        assert len(proofs) == proof_count(len(one.bits_NH), one.prompt_tokens, chunk_tokens)
        assert all(distance.exponent_mismatches == 0 for distance in found)
        assert all(distance.mantissa_mean == 0 for distance in found)


@settings(max_examples=examples(60))
@given(
    values=st.lists(st.integers(0, 0x7F7F) | st.integers(0x8000, 0xFF7F), min_size=1, max_size=9),
    prompt=st.integers(1, 5),
    generated=st.integers(0, 40),
    hidden=st.sampled_from([1, 3, 16, 64, 257]),
    topk=st.sampled_from([1, 2, 5, 16, 128]),
    seed=st.integers(0, 2**32 - 1),
)
def test_who_recomputes_the_same_finds_distance_zero_whatever_is_equal_or_zero(
    values: list[int], prompt: int, generated: int, hidden: int, topk: int, seed: int
) -> None:
    places_NH = np.random.default_rng(seed).integers(0, len(values), (prompt + generated, hidden))
    bits_NH = np.array(values, np.uint16)[places_NH]

    proofs = build_proofs(bits_NH, prompt, topk=topk, chunk_tokens=16)
    distances = check_proofs(bits_NH, prompt, proofs, topk=topk, chunk_tokens=16)

    sizes = [prompt, *(min(16, generated - start) for start in range(0, generated, 16))]
    assert [len(proof) for proof in proofs] == [2 + 2 * min(topk, size * hidden) for size in sizes]
    assert distances == [Distance(0, 0.0, 0.0)] * len(sizes)


@settings(max_examples=15)
@given(
    hidden=st.sampled_from([8_192, 12_000, 16_384]),
    tokens=st.integers(9, 16),
    distinct=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
)
def test_who_recomputes_the_same_finds_distance_zero_in_chunks_beyond_the_modulus(
    hidden: int, tokens: int, distinct: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, 0x7F80, distinct).astype(np.uint16)
    bits_NH = values[random.integers(0, distinct, (1 + tokens, hidden))]

    proofs = build_proofs(bits_NH, 1, topk=128, chunk_tokens=16)

    assert check_proofs(bits_NH, 1, proofs, topk=128, chunk_tokens=16) == [Distance(0, 0.0, 0.0)] * 2


def test_sequence_that_is_a_view_of_a_larger_array_is_proved_as_its_copy() -> None:
    padded = random_bits(3 * 80, 64).reshape(3, 80, 64)[:, :70, :48]

    assert prove(padded[1]) == prove(padded[1].copy())


def test_long_sequences_are_proved_in_parts_as_short_ones_are() -> None:
    """Many chunks: more than are worked on at once."""
    bits_NH = np.tile(random_bits(64, 4_096), (68, 1))

    proofs = build_proofs(bits_NH, 64, topk=16, chunk_tokens=64)

    assert len(proofs) == 68
    assert set(proofs) == set(build_proofs(bits_NH[:64], 64, topk=16, chunk_tokens=64))


@pytest.mark.parametrize("pattern", [0x7F80, 0xFF80, 0x7FC0, 0xFFFF], ids=["inf", "-inf", "nan", "-nan"])
def test_verifier_whose_own_activations_are_not_finite_finds_an_honest_proof_far_away(pattern: int) -> None:
    bits_NH = random_bits(4 + 32, 576)
    proofs = prove(bits_NH)
    bits_NH[4:, :8] = pattern

    found = check(bits_NH, proofs)

    assert found[0] == Distance(0, 0.0, 0.0)
    assert not found[1].within(STRICT)


def test_chunk_with_fewer_elements_than_topk_is_proved_by_all_of_them() -> None:
    proofs = prove(random_bits(1 + 3, 8), prompt_tokens=1)

    assert [len(proof) for proof in proofs] == [2 + 2 * 8, 2 + 2 * 24]


def test_full_chunk_takes_258_bytes() -> None:
    assert [len(proof) for proof in prove(random_bits(4 + 64, 64))] == [258, 258, 258]


def test_completion_of_one_token_has_the_prompts_proof_alone() -> None:
    assert len(prove(random_bits(4, 64))) == 1


def test_prompt_that_is_longer_than_the_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="prompt tokens"):
        prove(random_bits(3, 64))


# ---- what must never pass


@pytest.fixture(scope="module")
def honest() -> tuple[Bf16Bits, list[bytes]]:
    bits_NH = random_bits(4 + 40, 64)
    return bits_NH, prove(bits_NH)


def test_too_few_proofs_are_malformed(honest: tuple[Bf16Bits, list[bytes]]) -> None:
    with pytest.raises(MalformedProof, match="2 proofs for a sequence of 3"):
        check(honest[0], honest[1][:2])


def test_surplus_proof_is_malformed(honest: tuple[Bf16Bits, list[bytes]]) -> None:
    with pytest.raises(MalformedProof, match="4 proofs"):
        check(honest[0], [*honest[1], honest[1][0]])


def test_no_proofs_are_malformed(honest: tuple[Bf16Bits, list[bytes]]) -> None:
    with pytest.raises(MalformedProof, match="0 proofs"):
        check(honest[0], [])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        pytest.param(b"", "0 bytes", id="empty"),
        pytest.param(NULL_PROOF, "modulus", id="null proof"),
        pytest.param(NULL_PROOF[:-1], "257 bytes", id="truncated"),
        pytest.param(NULL_PROOF + b"\0\0", "260 bytes", id="a coefficient too many"),
        pytest.param((32_768).to_bytes(2, "big") + bytes(256), "modulus", id="modulus too small"),
        pytest.param((65_498).to_bytes(2, "big") + bytes(256), "modulus", id="modulus beyond the prime"),
        pytest.param((65_497).to_bytes(2, "big") + b"\xff\xff" * 128, "coefficient", id="coefficient beyond the prime"),
    ],
)
def test_impossible_proof_is_malformed(honest: tuple[Bf16Bits, list[bytes]], bad: bytes, message: str) -> None:
    with pytest.raises(MalformedProof, match=message):
        check(honest[0], [honest[1][0], bad, honest[1][2]])


def test_proofs_of_another_chunk_do_not_pass(honest: tuple[Bf16Bits, list[bytes]]) -> None:
    bits_NH = random_bits(4 + 64, 64)
    proofs = prove(bits_NH)

    found = check(bits_NH, [proofs[0], proofs[2], proofs[1]])

    assert [distance.within(STRICT) for distance in found] == [True, False, False]


def test_constant_polynomial_does_not_pass() -> None:
    """One bit pattern for all: its exponent is right most of the time, its mantissa is not."""
    bits_NH = random_bits(4 + 32, 576)
    guess = encode_proof([0], [0x4060])[2:]  # 3.5, in the midst of the largest of 18,432 normal numbers
    constant = (65_497).to_bytes(2, "big") + guess + bytes(254)

    found = check(bits_NH, [constant, constant])

    assert not any(distance.within(STRICT) for distance in found)


@pytest.mark.parametrize("pattern", [0x7F80, 0xFF80, 0x7FC0], ids=["inf", "-inf", "nan"])
def test_diverged_policy_cannot_be_proved(pattern: int) -> None:
    bits_NH = random_bits(4 + 32, 64)
    bits_NH[20, 3] = pattern

    with pytest.raises(ValueError, match="not finite"):
        prove(bits_NH)


@pytest.mark.parametrize(
    ("indices", "values"),
    [([], []), ([1, 1], [2, 3]), ([1, 2], [3]), ([-1], [3]), ([1], [65_536]), ([1], [-1])],
)
def test_points_that_make_no_proof_are_refused(indices: list[int], values: list[int]) -> None:
    with pytest.raises(ValueError, match="positions"):
        encode_proof(indices, values)


def test_more_positions_than_a_modulus_can_keep_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="no modulus"):
        encode_proof(range(65_498), [0] * 65_498)
