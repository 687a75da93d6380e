"""Settings of a daemon: a TOML file, overridden by `ASSAY_*` environment variables, overridden by arguments."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, TomlConfigSettingsSource

from assay_core.protocol.errors import Stop

S = TypeVar("S", bound=BaseSettings)


def _listed(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Urls = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]  # in a variable: divided by commas or spaces


def _joined(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value  # pyright: ignore


NodeUrls = Annotated[str, BeforeValidator(_joined)]  # divided by commas; TOML may list them


def _keyed(signer: str | None, info: ValidationInfo) -> str | None:
    if not signer and info.data.get("keystore") is None:
        raise ValueError("a keystore or a signer is needed")
    return signer or None


# URL of an external signer, in a field below one named `keystore`: one of both must be there.
SignerUrl = Annotated[str | None, Field(validate_default=True), AfterValidator(_keyed)]


def load_settings(kind: type[S], config: Path | None, given: dict[str, Any]) -> S:
    """Arguments that are None count as not given. Raises Stop: a setting is missing or impossible."""
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
