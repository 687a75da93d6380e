"""What the leader of a group tells its assistants to work on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from assay_core.protocol.encoding import Json, canonical_json, parse_canonical_json
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import Root, Seed

HEX16, HEX32 = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")
LIGHTHOUSE = re.compile(r"http://[A-Za-z0-9.:\[\]-]{1,255}")
MAX_OFFER_BYTES = 4_096
NAMES = {"epoch", "exchange_ms", "lighthouse", "policy_root", "rollouts", "seed", "spec_root", "submission"}


@dataclass(frozen=True, slots=True)
class Stack:
    """The rollouts that are trained on: size and SHA-256 of their file, and the lighthouse of those who train."""

    size_bytes: int
    sha256: bytes
    lighthouse: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One submission of the leader's. `stack` is None until it has rolled out: the policy can be fetched meanwhile."""

    submission: str  # 32 hex digits, new at each attempt
    epoch: int
    seed: Seed
    spec_root: Root
    policy_root: Root
    exchange_ms: int
    stack: Stack | None = None

    def to_bytes(self) -> bytes:
        stack: Json = None
        if self.stack is not None:
            stack = {"bytes": self.stack.size_bytes, "sha256": self.stack.sha256.hex()}
        return canonical_json(
            {
                "epoch": self.epoch,
                "exchange_ms": self.exchange_ms,
                "lighthouse": None if self.stack is None else self.stack.lighthouse,
                "policy_root": self.policy_root.hex(),
                "rollouts": stack,
                "seed": self.seed.hex(),
                "spec_root": self.spec_root.hex(),
                "submission": self.submission,
            }
        )


def parse_offer(data: bytes) -> Offer | None:
    """None: the leader has no submission for now. Raises Malformed: not what `to_bytes` writes."""
    if not data:
        return None
    if len(data) > MAX_OFFER_BYTES:
        _refuse(f"{len(data)} bytes exceed {MAX_OFFER_BYTES}")
    value = parse_canonical_json(data)
    if not isinstance(value, Mapping) or set(value) != NAMES:
        _refuse(f"it must have exactly {', '.join(sorted(NAMES))}")
    submission = value["submission"]
    if not isinstance(submission, str) or not HEX16.fullmatch(submission):
        _refuse("a submission must be 32 lower-case hex digits")
    return Offer(
        submission=submission,
        epoch=_integer(value["epoch"]),
        seed=Seed(_hash(value["seed"])),
        spec_root=Root(_hash(value["spec_root"])),
        policy_root=Root(_hash(value["policy_root"])),
        exchange_ms=_integer(value["exchange_ms"]),
        stack=_parse_stack(value["rollouts"], value["lighthouse"]),
    )


def _parse_stack(rollouts: Json, lighthouse: Json) -> Stack | None:
    if rollouts is None and lighthouse is None:
        return None
    if not isinstance(rollouts, Mapping) or set(rollouts) != {"bytes", "sha256"}:
        _refuse("rollouts must have exactly bytes and sha256")
    if not isinstance(lighthouse, str) or not LIGHTHOUSE.fullmatch(lighthouse):
        _refuse("a lighthouse must be http://HOST:PORT")
    return Stack(_integer(rollouts["bytes"]), _hash(rollouts["sha256"]), lighthouse)


def _hash(value: Json) -> bytes:
    if not isinstance(value, str) or not HEX32.fullmatch(value):
        _refuse("hashes must be 64 lower-case hex digits")
    return bytes.fromhex(value)


def _integer(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        _refuse("numbers must be integers from 0 to 2^53")
    return value


def _refuse(what: str) -> NoReturn:
    raise Malformed(f"offer of a group's leader: {what}")
