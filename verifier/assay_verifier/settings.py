"""Settings of a verifier: a TOML file, overridden by `ASSAY_*` environment variables, overridden by arguments."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay_core.daemon.settings import NodeUrls, SignerUrl, Urls, load_settings
from assay_core.transport.choose import EngineName


def _rooted(path: str) -> str:
    """As `/prefix`, without a slash at its end; empty where there is none."""
    return f"/{stripped}" if (stripped := path.strip("/")) else ""


RootPath = Annotated[str, AfterValidator(_rooted)]


class VerifierSettings(BaseSettings):
    """What `verifier run` needs. Keys stay in their keystore; here are only paths."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", frozen=True, extra="ignore")

    network: str = "local"  # name of a deployment, or the path of its JSON file
    rpc_url: NodeUrls | None = None  # None: the deployment's
    task_id: int = Field(ge=1)
    keystore: Path | None = None  # of the operator or of its worker key; with a signer the address of its account
    signer: SignerUrl = None  # URL of an external signer; None: the key is in the keystore
    password_file: Path | None = None  # None: asked for at the terminal
    state_dir: Path = Path(".assay/verifier")
    database_url: str | None = None  # None: SQLite in `state_dir`
    relays: Urls = ()  # none: the deployment's
    engine: EngineName = "relay"  # what moves bundles; `engines` are the tables [s3] and [swarm] of a settings file
    engines: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
    enlist: bool = True  # False: a juror only, that judges disputes it is drawn for
    weight_wei: int | None = Field(default=None, ge=1)  # of the bond, for this task; None: all that is free
    challenge: bool = True  # dispute what we can prove wrong, for as much as our key's account holds
    pass_on: bool = True  # submissions that we could fetch go to our relays, for verifiers that could not
    threads: int = Field(default=1, ge=1, le=256)
    poll_s: float | None = Field(default=None, gt=0, le=60)  # None: as blocks come
    status_file: Path | None = None  # a line of JSON per change, for anyone who watches

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
    root_path: RootPath = ""  # the prefix that a proxy serves it under
    stale_after_s: float = Field(default=300.0, gt=0)  # without a look at the chain or a new block: unhealthy

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.state_dir / 'verifier.db'}"


def load_verifier_settings(config: Path | None = None, **given: Any) -> VerifierSettings:
    """Arguments that are None count as not given. Raises Stop: a setting is missing or impossible."""
    return load_settings(VerifierSettings, config, given)


def load_serve_settings(config: Path | None = None, **given: Any) -> ServeSettings:
    """As `load_verifier_settings`."""
    return load_settings(ServeSettings, config, given)
