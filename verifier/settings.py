"""Settings of a verifier: a TOML file, overridden by `ASSAY_*` environment variables, overridden by arguments."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from offchain.protocol.errors import Stop

S = TypeVar("S", bound=BaseSettings)


def _split(value: Any) -> Any:
    return value.replace(",", " ").split() if isinstance(value, str) else value


Urls = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]  # in a variable: separated by spaces or commas


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
    return _load(VerifierSettings, config, given)


def load_serve_settings(config: Path | None = None, **given: Any) -> ServeSettings:
    """As `load_verifier_settings`."""
    return _load(ServeSettings, config, given)


def _load(kind: type[S], config: Path | None, given: dict[str, Any]) -> S:
    if config is not None and not config.is_file():
        raise Stop(f"there is no configuration file {config}")

    class WithFile(kind):
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
        return kind.model_construct(**dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise Stop(f"setting {name}: {first['msg']}; give it as option, ASSAY_{name.upper()} or in TOML") from error
    except ValueError as error:  # unreadable TOML
        raise Stop(f"cannot read {config}: {error}") from error
