"""The JSON bodies between client and relay, validated by whichever side reads them."""

from typing import Annotated

from pydantic import BaseModel, Field

WAIT_HEADER = "X-Assay-Wait"
"""Seconds for which a relay may wait for a shard that is on its way to it, before it says so."""
COMING_HEADER = "X-Assay-Coming"
"""With 503: the shard is on its way here."""
HOPS_HEADER = "X-Assay-Hops"
"""Through how many mirrors a request has come; 0, or none: it is a client's."""
TRAIL_HEADER = "X-Assay-Trail"
"""Which mirrors a request for a manifest has come through, each by a random name: one that finds its own is asked in
a circle, and has nothing to add."""

Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Missing(BaseModel):
    """SHA-256 of the shards that are still to be uploaded; none: the bundle is complete."""

    missing: list[Hex32]


class ListedBundle(BaseModel):
    root: Hex32
    added_at: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Listed(BaseModel):
    """Bundles, whole or still coming in, oldest first. Those after the last one: ask for what came after it."""

    bundles: Annotated[list[ListedBundle], Field(max_length=256)]


class Held(BaseModel):
    """For how long a relay has had all of a bundle, by its own clock."""

    held_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]


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
