"""Settings of a trainer: a TOML file, overridden by `ASSAY_*` environment variables, overridden by arguments."""

from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay_core.daemon.health import STALE_AFTER_S
from assay_core.daemon.settings import NodeUrls, SignerUrl, Urls, load_settings
from assay_core.transport.choose import EngineName


class TrainerSettings(BaseSettings):
    """What `trainer run` needs. Keys stay in their keystore; here are only paths."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", frozen=True, extra="ignore")

    network: str = "local"  # name of a deployment, or the path of its JSON file
    rpc_url: NodeUrls | None = None  # None: the deployment's
    task_id: int = Field(ge=1)
    keystore: Path | None = None  # of the operator or of its worker key; with a signer the address of its account
    signer: SignerUrl = None  # URL of an external signer; None: the key is in the keystore
    password_file: Path | None = None  # None: asked for at the terminal
    state_dir: Path = Path(".assay/trainer")
    relays: Urls = ()  # none: the deployment's
    engine: EngineName = "relay"  # what moves bundles; `engines` are the tables [s3] and [swarm] of a settings file
    engines: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
    submissions_each: int = Field(
        default=1, ge=1, le=1_024
    )  # submissions that we commit to an epoch, as far as the task lets us
    threads: int = Field(default=1, ge=1, le=256)
    poll_s: float | None = Field(default=None, gt=0, le=60)  # None: as blocks come
    plant_rate: float = Field(default=0.0, ge=0, le=1)  # of our submissions, frauds that we have committed to as such
    decoys: bool = True  # where we plant, each other submission gets a commitment to nothing
    planter_keystore: Path | None = None  # of who pays deposits and challenges, as `keystore`; None: our own key
    planter_password_file: Path | None = None  # None: that of our own key
    group: str | None = None  # [HOST:]PORT where assistants find us; None: we train alone
    group_secret: Path | None = None  # what the group's members prove to know; None: `group.secret` in state_dir
    group_wait_s: float = Field(default=30.0, ge=1, le=3_600)  # for an assistant that hangs
    status_file: Path | None = (
        None  # a line of JSON per step, for anyone who watches; None: `status.jsonl` in state_dir
    )
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)  # of /health and /metrics; None: not served
    stale_after_s: float = Field(default=STALE_AFTER_S, gt=0)  # without a sign of life or a new block: unhealthy


class AssistantSettings(BaseSettings):
    """What `trainer assist` needs: no key, no chain."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", frozen=True, extra="ignore")

    leader: str  # http://HOST:PORT
    group_secret: Path
    group_host: str | None = None  # where the group's members reach us; None: the address that we reach the leader by
    state_dir: Path = Path(".assay/assistant")
    threads: int = Field(default=1, ge=1, le=256)
    poll_s: float = Field(default=0.5, gt=0, le=60)
    status_file: Path | None = None


def load_trainer_settings(config: Path | None = None, **given: Any) -> TrainerSettings:
    """Arguments that are None count as not given. Raises Stop: a setting is missing or impossible."""
    return load_settings(TrainerSettings, config, given)


def load_assistant_settings(config: Path | None = None, **given: Any) -> AssistantSettings:
    """As `load_trainer_settings`."""
    return load_settings(AssistantSettings, config, given)
