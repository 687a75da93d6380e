"""A gossip message as bytes: a head of fixed length, then exactly as many bytes as the codec needs for a state.

Head: magic (4), context (32), sender (4), round (8), SHA-256 of the payload (32), signature (65); integers big-endian.
The context names task, epoch, policy and members, so that nothing of another gossip is mixed into this one. A reader
knows before the payload how long it is, whether its sender has a seat here, and whether that peer signed it.
"""

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from assay_core.aggregation.codecs import Codec, Float32, Shape
from assay_core.aggregation.layout import part_specs
from assay_core.bundle.tensor_files import DTYPES, TensorSpec, element_count
from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.errors import Malformed, MalformedUpdate, Rejected
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from benchmarks.gossip.node import Message, Seat

MAGIC = b"AGM1"
HEAD = struct.Struct(">4s32sIQ32s65s")


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a message before its payload is read."""

    sender: Seat
    round: int
    payload_sha256: bytes


def gossip_context(task_id: TaskId, epoch: Epoch, policy_root: Root, members: Sequence[Address]) -> bytes:
    """32 bytes that tell this gossip from all others; `members` by seat."""
    words = {"epoch": epoch, "members": list(members), "policy": policy_root.hex(), "task": str(task_id)}
    return hashlib.sha256(b"assay gossip" + canonical_json(words)).digest()


class Wire:
    """Encodes and checks the messages of one gossip. `members` by seat; states have `length` float32 elements."""

    def __init__(self, context: bytes, members: Sequence[Address], length: int, codec: Codec) -> None:
        self._context = context
        self._members = list(members)
        self._length = length
        self._codec = codec
        self._parts = part_specs(codec.layout, "", (length,))
        self.payload_bytes = sum(spec.size_bytes for spec in self._parts.values())

    def encode(self, message: Message, account: LocalAccount) -> bytes:
        """Raises MalformedUpdate: the state is not finite."""
        parts = self._codec.encode(message.state_D.astype(np.float32, copy=False))
        payload = b"".join(parts[suffix].tobytes() for suffix in self._parts)
        digest = hashlib.sha256(payload).digest()
        signature = bytes(
            account.sign_message(encode_defunct(self._signed(message.sender, message.round, digest))).signature
        )
        return HEAD.pack(MAGIC, self._context, message.sender, message.round, digest, signature) + payload

    def read_head(self, data: bytes) -> Head:
        """Raises Malformed: not a head. Raises Rejected: of another gossip, or not signed by who sits there."""
        try:
            magic, context, sender, round_, digest, signature = HEAD.unpack(data)
        except struct.error as error:
            raise Malformed(f"a message's head has {HEAD.size} bytes, not {len(data)}") from error
        if magic != MAGIC:
            raise Malformed("not a gossip message")
        if context != self._context:
            raise Rejected("a message of another gossip: other task, epoch, policy or members")
        if sender >= len(self._members):
            raise Rejected(f"nobody sits at {sender}")
        head = Head(Seat(sender), round_, digest)
        if _signer(self._signed(head.sender, head.round, digest), signature) != self._members[sender]:
            raise Rejected(f"the message is not signed by peer {sender}")
        return head

    def read(self, head: Head, payload: bytes) -> Message:
        """Raises Malformed: not the signed bytes, or impossible numbers."""
        if len(payload) != self.payload_bytes or hashlib.sha256(payload).digest() != head.payload_sha256:
            raise Malformed(f"the payload of peer {head.sender} is not what it signed")
        arrays: dict[str, npt.NDArray[Any]] = {}
        offset = 0
        for suffix, spec in self._parts.items():
            arrays[suffix] = _array(payload, offset, spec)
            offset += spec.size_bytes
        try:
            return Message(head.sender, head.round, self._codec.decode(arrays, (self._length,)))
        except MalformedUpdate as error:
            raise Malformed(f"peer {head.sender}: {error}") from error

    def _signed(self, sender: int, round_: int, digest: bytes) -> bytes:
        return MAGIC + self._context + struct.pack(">IQ", sender, round_) + digest


def flatten(tensors: Mapping[str, Float32]) -> Float32:
    """[D]: all tensors in order of name."""
    return np.concatenate([tensors[name].reshape(-1) for name in sorted(tensors)] or [np.zeros(0, np.float32)])


def unflatten(state_D: Float32, shapes: Mapping[str, Shape]) -> dict[str, Float32]:
    """The tensors of a state. Raises Malformed: the shapes need another length."""
    if (length := sum(math.prod(shape) for shape in shapes.values())) != state_D.size:
        raise Malformed(f"a state of {state_D.size} elements, the tensors have {length}")
    tensors: dict[str, Float32] = {}
    offset = 0
    for name in sorted(shapes):
        size = math.prod(shapes[name])
        tensors[name] = state_D[offset : offset + size].reshape(shapes[name])
        offset += size
    return tensors


def _array(payload: bytes, offset: int, spec: TensorSpec) -> npt.NDArray[Any]:
    return np.frombuffer(payload, DTYPES[spec.dtype], element_count(spec.shape), offset).reshape(spec.shape)


def _signer(signed: bytes, signature: bytes) -> str | None:
    try:
        return str(Account.recover_message(encode_defunct(signed), signature=signature))
    except Exception:  # noqa: BLE001 - eth-keys, eth-account and eth-utils each raise their own
        return None
