"""Errors say what to do next: reject the other party's data, retry later, or stop and let the operator act."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a submission is not accepted: the machine-readable code in reports, evidence and APIs."""

    UNAVAILABLE = "unavailable"  # never fraud: score 0
    MALFORMED = "malformed"
    WRONG_IDENTITY = "wrong_identity"
    STALE_POLICY = "stale_policy"
    WRONG_PROMPTS = "wrong_prompts"
    BAD_TERMINATION = "bad_termination"
    WRONG_REWARD = "wrong_reward"
    PROOF_MISMATCH = "proof_mismatch"
    SAMPLING_MISMATCH = "sampling_mismatch"
    BAD_UPDATE = "bad_update"
    REPLAY_MISMATCH = "replay_mismatch"


class ProtocolError(Exception):
    """Any failure that Assay foresees. The message is one sentence that says what to do next."""


class Rejected(ProtocolError):
    """What another party sent is wrong and will never be right: do not retry, hold it against its sender."""

    def __init__(self, message: str, reason: Reason = Reason.MALFORMED) -> None:
        super().__init__(message)
        self.reason = reason


class Malformed(Rejected):
    """Bytes that break the format: size, hash, schema or encoding."""


class MalformedManifest(Malformed):
    """A manifest that is not canonical, names impossible files or exceeds a limit."""


class MalformedProof(Malformed):
    """A TOPLOC proof that is short, surplus, null or of the wrong length."""


class MalformedUpdate(Malformed):
    """A pseudo-gradient with the wrong tensors, shapes or numbers."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Reason.BAD_UPDATE)


class Unavailable(ProtocolError):
    """A peer, relay or node did not answer, or not in time: retry; nobody is at fault yet."""


class Reverted(ProtocolError):
    """A transaction that the contracts refuse, found by simulating it. `error` is the custom error's name."""

    def __init__(self, error: str, arguments: dict[str, object], call: str) -> None:
        shown = ", ".join(f"{name}={value}" for name, value in arguments.items())
        super().__init__(f"{call} reverts with {error}({shown})")
        self.error = error
        self.arguments = arguments
        self.call = call


class Stop(ProtocolError):
    """Our own set-up is wrong (network, key, balance, settings): a person must act before anything can go on."""
