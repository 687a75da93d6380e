"""`assay config`: the settings in force, and where each comes from."""

import re
from typing import Any

import click
from click.core import ParameterSource

from assay_core.inspect.formatting import table
from assay_core.protocol.urls import masked
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.options import all_settings, command, pass_invocation
from assay_protocol.cli.settings import SETTINGS, Setting, SettingsFile, settings_file

KEY_IN_PATH = re.compile(r"(?<!/)/[\w-]{16,}")


@command("config", example="ASSAY_NETWORK=sepolia assay config")
@all_settings
@pass_invocation
@click.pass_context
def config(ctx: click.Context, invocation: Invocation) -> None:
    """Print the settings in force and where each comes from.

    A flag outranks the environment (ASSAY_*), which outranks the settings file (TOML: assay.toml here, else
    ~/.assay/config.toml, or the one given with --config), which outranks the default.
    """
    file = settings_file(ctx)
    shown: dict[str, dict[str, Any]] = {}
    for name, setting in SETTINGS.items():
        where = _where(ctx.get_parameter_source(name), setting, file)
        shown[name] = {"value": _shown(name, getattr(invocation, name)), "source": where, "env": setting.env}
    services = {
        f"{service}.{name}": _shown(name, value)
        for service, values in file.tables.items()
        for name, value in values.items()
    }
    rows = [(name, _text(entry["value"]), entry["source"]) for name, entry in shown.items()]
    rows += [(name, _text(value), str(file.path)) for name, value in services.items()]
    invocation.emit(
        {"file": file.path, "settings": shown, "services": services},
        [*table(rows, ("setting", "value", "from")), "", f"settings file: {file.path or 'none'}"],
    )


def _where(source: ParameterSource | None, setting: Setting, file: SettingsFile) -> str:
    if source is ParameterSource.COMMANDLINE:
        return setting.flag
    if source is ParameterSource.ENVIRONMENT:
        return setting.env
    return str(file.path) if source is ParameterSource.DEFAULT_MAP else "default"


def _shown(name: str, value: Any) -> Any:
    """Without what is secret in URLs; those of nodes and signers hold keys in their paths, too."""
    if isinstance(value, (list, tuple)):
        return [_shown(name, item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, str) or "//" not in value:
        return value
    return KEY_IN_PATH.sub("/***", masked(value)) if name in ("rpc_url", "signer") else masked(value)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "-"  # pyright: ignore[reportUnknownVariableType]
    return "-" if value is None else str(value)
