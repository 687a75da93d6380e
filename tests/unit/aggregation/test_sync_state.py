"""What a peer that joins a synchronous group takes over: tensors and counters, and never a pickle."""

import pickle
from datetime import timedelta

import numpy as np
import pytest

pytest.importorskip("torchft")

from assay_core.aggregation.collective import SafetensorsTransport, decode_state, encode_state
from assay_core.protocol.errors import Malformed

STATE = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "momentum": np.ones(2, np.float32)}
COUNTERS = {"step": 7, "batches_committed": 21}
SECOND = timedelta(seconds=2)


def offered(state: dict[str, np.ndarray]) -> dict[str, object]:  # pyright: ignore[reportMissingTypeArgument]
    return {"user": {"default": state}, "torchft": COUNTERS}


def transport(max_bytes: int = 10_000) -> SafetensorsTransport:
    return SafetensorsTransport("127.0.0.1", 0.3, lambda: max_bytes)


def test_state_survives() -> None:
    state, counters = decode_state(encode_state(STATE, COUNTERS))
    assert counters == COUNTERS
    assert {name: array.tolist() for name, array in state.items()} == {n: a.tolist() for n, a in STATE.items()}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        pickle.dumps(STATE),
        encode_state(STATE, COUNTERS)[:-1],
        encode_state(STATE, {"step": "seven"}),  # pyright: ignore[reportArgumentType]
        b"\xff" * 64,
        (2).to_bytes(8, "little") + b"{}",
    ],
)
def test_anything_else_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_state(data)


def test_state_goes_from_peer_to_peer() -> None:
    giver, taker = transport(), transport()
    giver.send_checkpoint([1], 7, offered(STATE), SECOND)
    received = taker.recv_checkpoint(0, giver.metadata(), 7, SECOND)
    assert received["torchft"] == COUNTERS
    assert received["user"]["default"]["weights"].tolist() == STATE["weights"].tolist()
    giver.shutdown()
    taker.shutdown()


def test_state_of_another_step_or_after_the_offer_is_not_given() -> None:
    giver, taker = transport(), transport()
    giver.send_checkpoint([1], 7, offered(STATE), SECOND)
    with pytest.raises(RuntimeError, match="does not offer its state of step 8"):
        taker.recv_checkpoint(0, giver.metadata(), 8, SECOND)
    giver.disallow_checkpoint()
    with pytest.raises(RuntimeError, match="does not offer"):
        taker.recv_checkpoint(0, giver.metadata(), 7, SECOND)
    giver.shutdown()
    taker.shutdown()


def test_state_larger_than_our_own_is_not_read() -> None:
    giver, taker = transport(), transport(max_bytes=50)
    giver.send_checkpoint([1], 7, offered(STATE), SECOND)
    with pytest.raises(RuntimeError, match="more than 50 bytes"):
        taker.recv_checkpoint(0, giver.metadata(), 7, SECOND)
    giver.shutdown()
    taker.shutdown()
