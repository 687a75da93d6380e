"""Settings of a trainer: a TOML file, overridden by `ASSAY_*` environment variables, overridden by arguments."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from offchain.protocol.errors import Stop


def listed(value: Any) -> Any:
    """A list as an environment variable writes it: divided by commas or spaces."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


class TrainerSettings(BaseSettings):
    """What `trainer run` needs. Keys stay in their keystore; here are only paths."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", frozen=True, extra="ignore")

    network: str = "local"  # name of a deployment, or the path of its JSON file
    rpc_url: str | None = None  # None: the deployment's
    task_id: int = Field(ge=1)
    keystore: Path  # of the operator or of its worker key
    password_file: Path | None = None  # None: asked for at the terminal
    state_dir: Path = Path(".assay/trainer")
    relays: Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)] = ()  # none: the deployment's
    threads: int = Field(default=1, ge=1, le=256)
    poll_s: float = Field(default=0.5, gt=0, le=60)
    status_file: Path | None = None  # a line of JSON per step, for whoever watches; None: `status.jsonl` in state_dir


def load_trainer_settings(config: Path | None = None, **given: Any) -> TrainerSettings:
    """Arguments that are None count as not given. Raises Stop: a setting is missing or impossible."""
    if config is not None and not config.is_file():
        raise Stop(f"there is no configuration file {config}")

    class WithFile(TrainerSettings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=config)

    try:
        settings = WithFile(**{name: value for name, value in given.items() if value is not None})
        return TrainerSettings.model_construct(**dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise Stop(f"setting {name}: {first['msg']}; give it as option, ASSAY_{name.upper()} or in TOML") from error
    except ValueError as error:  # unreadable TOML
        raise Stop(f"cannot read {config}: {error}") from error
