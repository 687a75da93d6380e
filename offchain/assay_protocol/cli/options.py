"""Options that many commands share, in one place, and the class of all commands."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from assay_core.protocol.errors import Stop
from assay_core.protocol.web import is_url, node_urls, public_url
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.settings import SETTINGS, settings_file

F = TypeVar("F", bound=Callable[..., Any])
BROKEN_FILE = "assay_protocol.cli.options.broken_file"


class AssayCommand(click.Command):
    """A command with an example in its help, `--json`, and defaults out of the settings file."""

    def __init__(self, *args: Any, example: str, has_json: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        if has_json:
            self.params.append(_stored("is_json", "--json", is_flag=True, help="Print one JSON document."))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            ctx.default_map = {**settings_file(ctx).values}
        except Stop as error:  # told when the command runs, so that --help submissions beside a broken file
            ctx.meta[BROKEN_FILE] = error
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        if BROKEN_FILE in ctx.meta:
            raise ctx.meta[BROKEN_FILE]
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"  {line}\n")


def command(
    name: str, *, example: str, has_json: bool = True, **kwargs: Any
) -> Callable[[Callable[..., Any]], AssayCommand]:
    """A command that stands at the top of the tree, or is added to a group by `group.add_command`."""
    return click.command(name, cls=AssayCommand, example=example, has_json=has_json, **kwargs)


class AssayGroup(click.Group):
    """A group of `AssayCommand`s."""

    def action(self, name: str, *, example: str, **kwargs: Any) -> Callable[[Callable[..., Any]], AssayCommand]:
        """Decorator: a command of this group."""

        def add(function: Callable[..., Any]) -> AssayCommand:
            made = command(name, example=example, **kwargs)(function)
            self.add_command(made)
            return made

        return add


def group(name: str) -> Callable[[Callable[..., Any]], AssayGroup]:
    """A group of commands whose actions take the options that all commands have."""
    return click.group(name, cls=AssayGroup)


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def _stored(name: str, *declarations: str, **kwargs: Any) -> click.Option:
    """An option whose value goes to the invocation rather than to the command's function."""

    def store(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if name == "rpc_url" and value is not None:
            _require_node_urls(value)
        if name == "signer" and value is not None:
            require_signer_url(value)
        setattr(ctx.ensure_object(Invocation), name, value)

    kind: type[click.Option] = kwargs.pop("cls", click.Option)
    return kind([*declarations, name], expose_value=False, callback=store, **kwargs)


def _require_node_urls(value: str) -> None:
    try:
        node_urls(value)
    except Stop as error:
        raise click.BadParameter(str(error)) from error


def require_signer_url(value: str) -> None:
    """Raises BadParameter: it is none."""
    if not is_url(value):
        raise click.BadParameter(f"the signer's URL is none ({public_url(value)!r}): write http://HOST:PORT")


class ListOption(click.Option):
    """A repeatable option whose variable holds a list: JSON, or divided by commas or spaces."""

    def value_from_envvar(self, ctx: click.Context) -> Any:
        text = self.resolve_envvar_value(ctx)
        if text is None:
            return None
        return tuple(part for part in re.split(r"[\s,\[\]\"']+", text) if part)


def _attach(*options: click.Option) -> Callable[[F], F]:
    """A decorator that gives a command these options."""

    def decorate(function: F) -> F:
        parameters: list[click.Parameter] = function.__dict__.setdefault("__click_params__", [])
        parameters.extend(reversed(options))
        return function

    return decorate


def _setting(name: str) -> click.Option:
    setting = SETTINGS[name]
    return _stored(
        name,
        setting.flag,
        cls=ListOption if setting.is_list else click.Option,
        metavar=setting.metavar,
        envvar=setting.env,
        multiple=setting.is_list,
        default=() if setting.is_list else setting.default,
        type=setting.kind,
        show_default=setting.default is not None,
        help=setting.help,
    )


def _settings(*names: str) -> Callable[[F], F]:
    return _attach(*(_setting(name) for name in names))


chain_options = _settings("network", "rpc_url")
"""For commands that read the chain."""

key_options = _settings("keystore", "signer", "password_file", "keys_dir")
"""For commands that sign."""

key_place_option = _settings("keys_dir")

password_options = _settings("password_file", "keys_dir")
"""For commands that make a key."""

relay_list_option = _settings("relays")

relay_options = _settings("relays", "engine")
"""For commands that move bundles."""

bundle_options = _settings("relays", "engine", "state_dir")
"""For commands that keep what they fetched, or built, too."""

state_option = _settings("state_dir")

database_options = _settings("state_dir", "database_url")
"""For the two processes of a verifier."""

worker_options = _settings("threads", "poll_s", "status_file")
"""For daemons."""

verifier_option = _settings("verifier_url")

all_settings = _settings(*SETTINGS)

listen_options = _settings("host", "port")


dry_run_option = _attach(
    _stored("is_dry_run", "--dry-run", is_flag=True, help="Simulate; print gas and cost; send nothing.")
)
"""For commands that send transactions."""


def transaction_options(function: F) -> F:
    """Chain, key and `--dry-run`."""
    return chain_options(key_options(dry_run_option(function)))


def address_options(function: F) -> F:
    """For commands that show what belongs to somebody: `--address` or a key, and the chain."""
    whose = click.option(
        "--address", metavar="ADDRESS", help="Whose; a worker key counts as its operator.  [default: the key's]"
    )
    return whose(chain_options(key_options(function)))


def task_option(help: str, *, is_required: bool = False) -> Callable[[F], F]:
    """`--task`, as `task_id`."""
    return click.option("--task", "task_id", metavar="ID", type=click.IntRange(min=1), required=is_required, help=help)


stale_option = click.option(
    "--stale-after", "stale_after_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    envvar="ASSAY_STALE_AFTER_S",
    help="Without a sign of life or a new block: unhealthy.  [default: 300]",
)  # fmt: skip
task_argument = click.argument("task_id", metavar="ID", type=click.IntRange(min=1))
submission_argument = click.argument("submission", metavar="SUBMISSION")
existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)
existing_folder = click.Path(exists=True, file_okay=False, path_type=Path)
