"""Settings of a trainer: a TOML file, overridden by `ASSAY_*` environment variables, overridden by arguments."""

from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay_core.daemon.settings import Urls, load_settings
from assay_core.transport.choose import EngineName


class TrainerSettings(BaseSettings):
    """What `trainer run` needs. Keys stay in their keystore; here are only paths."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", frozen=True, extra="ignore")

    network: str = "local"  # name of a deployment, or the path of its JSON file
    rpc_url: str | None = None  # None: the deployment's
    task_id: int = Field(ge=1)
    keystore: Path  # of the operator or of its worker key
    password_file: Path | None = None  # None: asked for at the terminal
    state_dir: Path = Path(".assay/trainer")
    relays: Urls = ()  # none: the deployment's
    engine: EngineName = "relay"  # what moves bundles; `engines` are the tables [s3] and [swarm] of a settings file
    engines: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
    works_each: int = Field(default=1, ge=1, le=1_024)  # works that we commit to an epoch, as far as the task lets us
    threads: int = Field(default=1, ge=1, le=256)
    poll_s: float = Field(default=0.5, gt=0, le=60)
    plant_rate: float = Field(default=0.0, ge=0, le=1)  # of our works, frauds that we have committed to as such
    decoys: bool = True  # where we plant, each other work gets a commitment to nothing
    planter_keystore: Path | None = None  # of the account that pays deposits and challenges; None: our own key
    planter_password_file: Path | None = None  # None: that of our own key
    group: str | None = None  # [HOST:]PORT where assistants find us; None: we train alone
    group_secret: Path | None = None  # what the group's members prove to know; None: `group.secret` in state_dir
    group_wait_s: float = Field(default=30.0, ge=1, le=3_600)  # for an assistant that hangs
    status_file: Path | None = None  # a line of JSON per step, for whoever watches; None: `status.jsonl` in state_dir


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
