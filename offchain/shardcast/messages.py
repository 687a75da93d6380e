"""The JSON bodies between client and relay, validated by whichever side reads them."""

from typing import Annotated

from pydantic import BaseModel, Field

Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Missing(BaseModel):
    """SHA-256 of the shards that are still to be uploaded; none: the bundle is complete."""

    missing: list[Hex32]


class SignatureIn(BaseModel):
    """What is put on the policy board."""

    policy_root: Hex32
    signature: Annotated[str, Field(pattern="^[0-9a-f]{130}$")]


class SignatureOut(SignatureIn):
    operator: Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$")]


class Board(BaseModel):
    signatures: list[SignatureOut]


class Health(BaseModel):
    status: str
    bundles: int
    shard_bytes: int
    free_bytes: int
