"""Settings of a verifier: a TOML file, overridden by `ASSAY_*` environment variables, overridden by arguments."""

from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay_core.daemon.settings import Urls, load_settings
from assay_core.transport.choose import EngineName


class VerifierSettings(BaseSettings):
    """What `verifier work` needs. Keys stay in their keystore; here are only paths."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", frozen=True, extra="ignore")

    network: str = "local"  # name of a deployment, or the path of its JSON file
    rpc_url: str | None = None  # None: the deployment's
    task_id: int = Field(ge=1)
    keystore: Path
    password_file: Path | None = None  # None: asked for at the terminal
    state_dir: Path = Path(".assay/verifier")
    database_url: str | None = None  # None: SQLite in `state_dir`
    relays: Urls = ()  # none: the deployment's
    engine: EngineName = "relay"  # what moves bundles; `engines` are the tables [s3] and [swarm] of a settings file
    engines: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
    enlist: bool = True  # False: a juror only, that judges disputes it is drawn for
    weight_wei: int | None = Field(default=None, ge=1)  # of the bond, for this task; None: all that is free
    challenge: bool = True  # dispute what we can prove wrong, for as much as our key's account holds
    pass_on: bool = True  # works that we could fetch go to our relays, for verifiers that could not
    threads: int = Field(default=1, ge=1, le=256)
    poll_s: float = Field(default=0.5, gt=0, le=60)
    status_file: Path | None = None  # a line of JSON per change, for whoever watches

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.state_dir / 'verifier.db'}"


class ServeSettings(BaseSettings):
    """What `verifier serve` needs: the same database, nothing else."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", frozen=True, extra="ignore")

    state_dir: Path = Path(".assay/verifier")
    database_url: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.state_dir / 'verifier.db'}"


def load_verifier_settings(config: Path | None = None, **given: Any) -> VerifierSettings:
    """Arguments that are None count as not given. Raises Stop: a setting is missing or impossible."""
    return load_settings(VerifierSettings, config, given)


def load_serve_settings(config: Path | None = None, **given: Any) -> ServeSettings:
    """As `load_verifier_settings`."""
    return load_settings(ServeSettings, config, given)
