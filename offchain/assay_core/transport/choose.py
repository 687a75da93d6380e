"""Which engine moves the bundles: one setting, `engine`, and what that engine needs to know.

`relay` (the default) takes the relays that are given or the deployment names; ASSAY_UPLOAD_* and the table [upload] say
where uploads go. `s3` reads ASSAY_S3_* and the table [s3]; its credentials are those of every S3 client, AWS_*. `swarm`
reads ASSAY_SWARM_* and the table [swarm].
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from eth_account import Account
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay_core.aggregation.policy_delta import PolicyRebuilder
from assay_core.daemon.settings import Urls
from assay_core.protocol.errors import Stop
from assay_core.transport.cache import Cache
from assay_core.transport.engine import Engine

if TYPE_CHECKING:
    from assay_core.chain.signers import Signer

EngineName = Literal["relay", "s3", "swarm"]
S = TypeVar("S", bound=BaseSettings)


class Transport(Engine, Protocol):
    """An engine with the cache that it fills."""

    @property
    def cache(self) -> Cache: ...


class UploadSettings(BaseSettings):
    """`ASSAY_UPLOAD_*`, or the table [upload]."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_UPLOAD_", frozen=True, extra="forbid")

    to: Literal["every", "first"] = "every"  # relay; first: where they mirror each other, the first that takes it


class BucketSettings(BaseSettings):
    """`ASSAY_S3_*`, or the table [s3]."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_S3_", frozen=True, extra="forbid")

    bucket: str = Field(min_length=1)
    endpoint: str | None = None  # None: AWS
    region: str | None = None
    prefix: str | None = None


class SwarmSettings(BaseSettings):
    """`ASSAY_SWARM_*`, or the table [swarm]. Others must reach `host` and `port` for us to serve what we publish."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_SWARM_", frozen=True, extra="forbid")

    trackers: Urls
    host: str = "0.0.0.0"
    port: int = Field(default=0, ge=0, le=65_535)  # 0: any
    upload_mbit: float = Field(default=0, ge=0)  # 0: no limit


def open_engine(
    name: str,
    *,
    relays: Sequence[str],
    cache: Path,
    chain_id: int,
    account: "Signer | None" = None,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
) -> "AbstractContextManager[Transport]":
    """The engine of that name; the context closes it. `tables`: [upload], [s3] and [swarm] of a settings file.

    `account` signs what a swarm's peer says about itself; without one it only reads. Raises Stop: an unknown name, an
    impossible setting, or a package that is not installed.
    """
    tables = tables or {}
    match name:
        case "relay":
            from assay_core.transport.relay.client import RelayClient

            upload = _read(UploadSettings, tables.get("upload", {}), "upload")
            return RelayClient(relays, cache, chain_id=chain_id, upload_to=upload.to, rebuilder=PolicyRebuilder())
        case "s3":
            bucket = _read(BucketSettings, tables.get("s3", {}), "s3")
            with _needing("s3"):
                from assay_core.transport.bucket import BucketClient
            return BucketClient(
                bucket.bucket,
                cache,
                endpoint=bucket.endpoint,
                region=bucket.region,
                prefix=bucket.prefix,
                rebuilder=PolicyRebuilder(),
            )
        case "swarm":
            swarm = _read(SwarmSettings, tables.get("swarm", {}), "swarm")
            with _needing("swarm"):
                from assay_core.transport.swarm.engine import SwarmClient, SwarmPlace
            place = SwarmPlace(
                swarm.host, swarm.port, cache.with_name(f"{cache.name}-swarm"), round(swarm.upload_mbit * 125_000)
            )
            return SwarmClient(swarm.trackers, cache, place, account or _nobody(), chain_id=chain_id)
        case _:
            raise Stop(f"no engine is named {name!r}: relay, s3 and swarm are")


def _read(kind: type[S], table: Mapping[str, Any], name: str) -> S:
    """The environment outranks the table."""
    prefix, named = f"ASSAY_{name.upper()}_", {variable.upper() for variable in os.environ}
    try:
        return kind(**{key: value for key, value in table.items() if f"{prefix}{key}".upper() not in named})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Stop(
            f"engine {name}: {place}: {first['msg']} ({prefix}{place.upper()}, or [{name}] in a file)"
        ) from error


class _needing:
    """Rotation a missing optional package into what to do about it."""

    def __init__(self, extra: str) -> None:
        self._extra = extra

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ImportError):
            raise Stop(f"this engine is not installed: pip install 'assay-protocol[{self._extra}]'") from error


def _nobody() -> "Signer":
    """A key that owns nothing: trackers refuse what it signs, and reading needs no signature."""
    return Account.create()
