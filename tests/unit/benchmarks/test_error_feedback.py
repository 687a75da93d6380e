"""Error feedback: nothing is lost, only late; and a crash between rounds changes nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay_core.aggregation.codecs import Codec, Int4, TopK
from assay_core.protocol.errors import MalformedUpdate, Stop
from benchmarks.error_feedback import ErrorFeedback

SHAPES = {"w": (40, 30), "b": (7,)}


def update(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def residual(folder: Path, round_number: int) -> Mapping[str, Any]:
    return ErrorFeedback(folder, TopK(4), SHAPES)._read(round_number)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("codec", [TopK(4), TopK(20), Int4()], ids=lambda codec: codec.name)
def test_what_was_sent_and_what_is_left_is_all_there_was(codec: Codec, tmp_path: Path) -> None:
    feedback = ErrorFeedback(tmp_path, codec, SHAPES)
    wanted, sent = np.zeros((40, 30)), np.zeros((40, 30))
    for number in range(6):
        wanted += update(number)["w"]
        sent += feedback.compress(number, update(number))["w"]
    np.testing.assert_allclose(sent + residual(tmp_path, 5)["w"], wanted, atol=1e-4)


def test_small_elements_get_their_turn(tmp_path: Path) -> None:
    """Without feedback the four large ones would be sent for ever, and the small one never."""
    constant = {"w": np.zeros((40, 30), np.float32), "b": np.array([1, 1, 1, 1, 0.4, 0, 0], np.float32)}
    feedback = ErrorFeedback(tmp_path, TopK(4), SHAPES)
    total = np.sum([feedback.compress(number, constant)["b"] for number in range(40)], axis=0)
    assert total[4] == pytest.approx(16, abs=4)


def test_round_that_was_interrupted_is_repeated_with_the_same_bytes(tmp_path: Path) -> None:
    feedback = ErrorFeedback(tmp_path, TopK(4), SHAPES)
    feedback.compress(0, update(0))
    first = feedback.compress(1, update(1))
    again = ErrorFeedback(tmp_path, TopK(4), SHAPES).compress(1, update(1))  # after a crash before it was sent
    assert {name: array.tobytes() for name, array in again.items()} == {n: a.tobytes() for n, a in first.items()}


def test_half_written_residual_is_not_read(tmp_path: Path) -> None:
    feedback = ErrorFeedback(tmp_path, TopK(4), SHAPES)
    feedback.compress(0, update(0))
    expected = feedback.compress(1, update(1))
    (tmp_path / "residual-00000001.part").write_bytes(b"half")
    assert feedback.compress(1, update(1))["w"].tobytes() == expected["w"].tobytes()


def test_only_the_last_two_residuals_are_kept(tmp_path: Path) -> None:
    feedback = ErrorFeedback(tmp_path, TopK(4), SHAPES)
    for number in range(5):
        feedback.compress(number, update(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"residual-0000000{n}.safetensors" for n in (3, 4)]


def test_decay_forgets(tmp_path: Path) -> None:
    feedback = ErrorFeedback(tmp_path, TopK(4), SHAPES, decay=0.0)
    feedback.compress(0, update(0))
    fresh = ErrorFeedback(tmp_path / "fresh", TopK(4), SHAPES).compress(0, update(1))
    assert feedback.compress(1, update(1))["w"].tobytes() == fresh["w"].tobytes()


def test_damaged_residual_stops(tmp_path: Path) -> None:
    (tmp_path / "residual-00000000.safetensors").write_bytes(b"noise")
    with pytest.raises(Stop, match="delete it"):
        ErrorFeedback(tmp_path, TopK(4), SHAPES).compress(1, update(1))


def test_update_that_is_not_finite_is_refused_and_leaves_the_residual(tmp_path: Path) -> None:
    feedback = ErrorFeedback(tmp_path, TopK(4), SHAPES)
    feedback.compress(0, update(0))
    with pytest.raises(MalformedUpdate):
        feedback.compress(1, {**update(1), "b": np.full(7, np.nan, np.float32)})
    assert residual(tmp_path, 0) and not residual(tmp_path, 1)
