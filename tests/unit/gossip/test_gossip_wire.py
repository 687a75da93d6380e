"""Gossip messages as bytes: nothing of a stranger, of another gossip, or of another length is ever mixed."""

import numpy as np
import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assay_core.aggregation.codecs import Float32, Fp32, codec_named
from assay_core.protocol.errors import Malformed, MalformedUpdate, Rejected
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from benchmarks.gossip.node import Message, Seat
from benchmarks.gossip.wire import HEAD, Wire, flatten, gossip_context, unflatten

MEMBER_KEYS = [Account.from_key(bytes([number]) * 32) for number in (1, 2)]
MEMBERS = [Address(account.address) for account in MEMBER_KEYS]
LENGTH = 10
CONTEXT = gossip_context(TaskId(1), Epoch(2), Root(bytes(32)), MEMBERS)
WIRE = Wire(CONTEXT, MEMBERS, LENGTH, codec_named("fp32"))
STATE = np.arange(LENGTH, dtype=np.float32)


def encoded(sender: int = 1, round_: int = 3) -> bytes:
    return WIRE.encode(Message(Seat(sender), round_, STATE), MEMBER_KEYS[sender])


def read(data: bytes, wire: Wire = WIRE) -> Message:
    return wire.read(wire.read_head(data[: HEAD.size]), data[HEAD.size :])


@settings(max_examples=20)
@given(arrays(np.float32, LENGTH, elements=st.floats(-1e6, 1e6, width=32)), st.integers(0, 2**64 - 1))
def test_message_survives_the_wire(state: np.ndarray, round_: int) -> None:  # pyright: ignore[reportMissingTypeArgument]
    message = read(WIRE.encode(Message(Seat(0), round_, state), MEMBER_KEYS[0]))
    assert (message.sender, message.round) == (0, round_)
    assert message.state_D.tobytes() == state.tobytes()


@pytest.mark.parametrize("name", ["fp32", "bf16", "int8", "int4"])
def test_every_dense_codec_has_a_length_known_beforehand(name: str) -> None:
    wire = Wire(CONTEXT, MEMBERS, LENGTH, codec_named(name))
    data = wire.encode(Message(Seat(0), 0, STATE), MEMBER_KEYS[0])
    assert len(data) == HEAD.size + wire.payload_bytes
    assert np.abs(read(data, wire).state_D - STATE).max() < 1


def test_head_of_another_gossip_is_rejected() -> None:
    others = [
        gossip_context(TaskId(2), Epoch(2), Root(bytes(32)), MEMBERS),
        gossip_context(TaskId(1), Epoch(3), Root(bytes(32)), MEMBERS),
        gossip_context(TaskId(1), Epoch(2), Root(bytes([1]) * 32), MEMBERS),
        gossip_context(TaskId(1), Epoch(2), Root(bytes(32)), MEMBERS[::-1]),
    ]
    for context in others:
        with pytest.raises(Rejected, match="another gossip"):
            Wire(context, MEMBERS, LENGTH, codec_named("fp32")).read_head(encoded()[: HEAD.size])


def test_message_signed_by_another_member_is_rejected() -> None:
    forged = WIRE.encode(Message(Seat(1), 3, STATE), MEMBER_KEYS[0])
    with pytest.raises(Rejected, match="not signed by peer 1"):
        WIRE.read_head(forged[: HEAD.size])


@pytest.mark.parametrize("position", [36, 47, HEAD.size - 70, HEAD.size - 1])
def test_changed_head_is_rejected(position: int) -> None:
    data = bytearray(encoded()[: HEAD.size])
    data[position] ^= 1
    with pytest.raises(Rejected):
        WIRE.read_head(bytes(data))


def test_nobody_sits_beyond_the_members() -> None:
    data = HEAD.pack(b"AGM1", CONTEXT, 9, 0, bytes(32), bytes(65))
    with pytest.raises(Rejected, match="nobody sits at 9"):
        WIRE.read_head(data)


@pytest.mark.parametrize("data", [b"", bytes(HEAD.size - 1), bytes(HEAD.size)])
def test_what_is_no_head_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        WIRE.read_head(data)


def test_payload_that_was_not_signed_is_malformed() -> None:
    data = encoded()
    head, payload = WIRE.read_head(data[: HEAD.size]), data[HEAD.size :]
    for damaged in (payload[:-1], payload + b"x", payload[:-1] + b"x"):
        with pytest.raises(Malformed, match="not what it signed"):
            WIRE.read(head, damaged)


def test_signed_nonsense_is_malformed() -> None:
    class Liar(Fp32):
        def encode(self, tensor: Float32) -> dict[str, Float32]:
            return {"": tensor}

    liar = Wire(CONTEXT, MEMBERS, LENGTH, Liar())
    data = liar.encode(Message(Seat(0), 0, np.full(LENGTH, np.nan, np.float32)), MEMBER_KEYS[0])
    with pytest.raises(Malformed, match=r"peer 0: .*NaN"):
        read(data)


def test_own_state_that_is_not_finite_is_not_sent() -> None:
    with pytest.raises(MalformedUpdate):
        WIRE.encode(Message(Seat(0), 0, np.full(LENGTH, np.inf, np.float32)), MEMBER_KEYS[0])


def test_tensors_become_one_state_and_back() -> None:
    tensors = {"b": np.ones((2, 3), np.float32), "a": np.zeros((), np.float32), "c": np.full(4, 2, np.float32)}
    back = unflatten(flatten(tensors), {name: array.shape for name, array in tensors.items()})
    assert all((back[name] == tensors[name]).all() and back[name].shape == tensors[name].shape for name in tensors)
    with pytest.raises(Malformed, match="10 elements, the tensors have 3"):
        unflatten(STATE, {"a": (3,)})
    assert flatten({}).size == 0
