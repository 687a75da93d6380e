"""Settings that commands share, and where each comes from: flag, then `ASSAY_*`, then the settings file, then default.

The file is TOML: settings by name, and the tables `[relay]` with those of a relay, `[upload]`, `[s3]` and `[swarm]` of
engines.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from assay_core.bundle.disk import expanded
from assay_core.protocol.errors import Stop
from assay_protocol.cli.variables import require_known

TABLES = ("relay", "upload", "s3", "swarm")
PLACES = ("assay.toml", "~/.assay/config.toml")
Scalar = str | int | float


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: `--name-with-dashes`, ASSAY_NAME in the environment, `name` in the file."""

    name: str
    default: Scalar | None
    help: str
    metavar: str
    kind: type = str
    is_list: bool = False
    is_joined: bool = False  # several are one string, divided by commas; the file may list them

    @property
    def env(self) -> str:
        return f"ASSAY_{self.name.upper()}"

    @property
    def flag(self) -> str:
        return "--relay" if self.name == "relays" else f"--{self.name.replace('_', '-')}"

    def accepts(self, value: Any) -> bool:
        """Whether a value from the file is of the right type."""
        if self.is_joined and isinstance(value, list):
            return all(isinstance(item, str) for item in value)  # pyright: ignore
        if self.is_list:
            return isinstance(value, list) and all(isinstance(item, str) for item in value)  # pyright: ignore
        kinds = (int, float) if self.kind is float else (self.kind,)
        return isinstance(value, kinds) and not isinstance(value, bool)

    @property
    def wanted(self) -> str:
        return (
            "a list of strings" if self.is_list else {str: "a string", int: "an integer", float: "a number"}[self.kind]
        )


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("network", "local", "Network to work on: deployments/NAME.json, or the path of such a file.", "NAME"),
        Setting(
            "rpc_url",
            None,
            "Node to talk to; several, divided by commas, stand in for each other.  "
            "[default: the deployment's, else http://127.0.0.1:8545]",
            "URL",
            is_joined=True,
        ),
        Setting("keystore", None, "Key to sign with: a name in the keys' folder, or a path.", "NAME|FILE"),
        Setting("signer", None, "External signer to sign with; --keystore may be one of its addresses.", "URL"),
        Setting("password_file", None, "File with the keystore's password.  [default: ask]", "FILE"),
        Setting("keys_dir", "~/.assay/keys", "Folder of keystores.", "DIR"),
        Setting("relays", None, "Relay to use; may be repeated.  [default: the deployment's]", "URL", is_list=True),
        Setting("engine", "relay", "What moves policies and submissions: relay, s3 or swarm.", "NAME"),
        Setting("state_dir", None, "Folder for what must outlive a restart.  [default: below ~/.assay]", "DIR"),
        Setting("database_url", None, "The verifier's database.  [default: SQLite in its state folder]", "URL"),
        Setting("verifier_url", None, "A verifier's service, asked for reasons that the relays do not have.", "URL"),
        Setting("threads", 1, "Processor threads for the model.", "N", int),
        Setting("poll_s", None, "Seconds between two looks at the chain.  [default: as blocks come]", "SECONDS", float),
        Setting("status_file", None, "Append a line of JSON for each step.", "FILE"),
        Setting("host", "127.0.0.1", "Address to listen on.", "HOST"),
        Setting("port", 8080, "Port to listen on.", "PORT", int),
    )
}


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A parsed settings file; `path` is None when there is none."""

    path: Path | None
    values: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, Any]]


def settings_file(ctx: click.Context) -> SettingsFile:
    """The settings file of this invocation, read once.

    Raises Stop: named but absent, or not valid; or a variable of the environment is none of ours.
    """
    root = ctx.find_root()
    found: SettingsFile | None = root.meta.get(__name__)
    if found is None:
        require_known(os.environ, (setting.env for setting in SETTINGS.values()))
        found = root.meta[__name__] = read_settings_file(_choose(root.params.get("config")))
    return found


def read_settings_file(path: Path | None) -> SettingsFile:
    """Raises Stop: unreadable, not TOML, an unknown setting or one of a wrong type."""
    if path is None:
        return SettingsFile(None, {}, {})
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise Stop(f"settings file {path}: {error.strerror}; name another with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Stop(f"settings file {path} is not TOML: {error}") from error
    known = (*SETTINGS, *TABLES)
    if unknown := sorted(set(content) - set(known)):
        raise Stop(f"settings file {path}: unknown setting {unknown[0]!r}; it may hold {', '.join(known)}")
    for name, value in content.items():
        if name in TABLES and not isinstance(value, dict):
            raise Stop(f"settings file {path}: {name} must be a table")
        if name in SETTINGS and not SETTINGS[name].accepts(value):
            raise Stop(f"settings file {path}: {name} must be {SETTINGS[name].wanted}")
    values = {name: _joined(value, SETTINGS[name]) for name, value in content.items() if name in SETTINGS}
    return SettingsFile(path, values, {name: content[name] for name in TABLES if name in content})


def _joined(value: Any, setting: Setting) -> Any:
    return ",".join(value) if setting.is_joined and isinstance(value, list) else value  # pyright: ignore


def _choose(named: str | None) -> Path | None:
    """Raises Stop: the one named needs a home that is not there, or one may not be looked for."""
    if named is not None:
        return expanded(named)
    for place in PLACES:
        try:
            if (path := Path(place).expanduser()).is_file():
                return path
        except RuntimeError:  # no home, so nothing in it
            continue
        except OSError as error:
            raise Stop(f"settings file {place}: {error.strerror}; make its folder yours, or set HOME") from error
    return None


def service_values(table: Mapping[str, Any], prefix: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for a service's pydantic settings: the file's table, which the environment outranks, then flags.

    (pydantic-settings itself ranks arguments above the environment, so what the environment names is left out.)
    """
    named = {name.upper() for name in os.environ}
    from_file = {name: value for name, value in table.items() if f"{prefix}{name}".upper() not in named}
    return from_file | {name: value for name, value in flags.items() if value is not None}
