"""`assay config`: the settings in force, and where each comes from."""

from typing import Any

import click
from click.core import ParameterSource

from offchain.cli.invocation import Invocation
from offchain.cli.options import all_settings, command, pass_invocation
from offchain.cli.output import table
from offchain.cli.settings import SETTINGS, settings_file


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
    named = {
        ParameterSource.COMMANDLINE: lambda name: SETTINGS[name].flag,
        ParameterSource.ENVIRONMENT: lambda name: SETTINGS[name].env,
        ParameterSource.DEFAULT_MAP: lambda _: str(file.path),
    }
    shown: dict[str, dict[str, Any]] = {}
    for name in SETTINGS:
        source = ctx.get_parameter_source(name)
        where = named[source](name) if source in named else "default"
        shown[name] = {"value": getattr(invocation, name), "source": where, "env": SETTINGS[name].env}
    services = {f"{service}.{name}": value for service, values in file.tables.items() for name, value in values.items()}
    rows = [(name, _text(entry["value"]), entry["source"]) for name, entry in shown.items()]
    rows += [(name, _text(value), str(file.path)) for name, value in services.items()]
    invocation.emit(
        {"file": file.path, "settings": shown, "services": services},
        [*table(rows, ("setting", "value", "from")), "", f"settings file: {file.path or 'none'}"],
    )


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "-"  # pyright: ignore[reportUnknownVariableType]
    return "-" if value is None else str(value)
