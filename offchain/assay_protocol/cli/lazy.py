"""Command groups that import a subcommand only when it is called, and turn foreseen errors into one line."""

import importlib
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import click

EXIT_FAILED = 1  # we or somebody else must change something
EXIT_UNAVAILABLE = 75  # EX_TEMPFAIL of sysexits.h: the same command may succeed later
EXIT_INTERRUPTED = 130
FOLDED_LINES = 3  # a longer message quotes another program's output, which reads better as it is


class Failure(click.ClickException):
    """What a command could not do: one line on stderr, and an exit code that says whether to try again."""

    def __init__(self, message: str, exit_code: int) -> None:
        lines = message.splitlines()
        super().__init__(" ".join(lines) if len(lines) <= FOLDED_LINES else message)
        self.exit_code = exit_code  # pyright: ignore[reportAttributeAccessIssue] - click reads it from the instance

    def show(self, file: Any = None) -> None:
        click.echo(f"assay: {self.message}", file=file or sys.stderr)


class LazyGroup(click.Group):
    """The top of the tree. `lazy` maps a command's name to where it is ("module:attribute") and its short help."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return None
        module, attribute = self._lazy[cmd_name][0].split(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, short_help) for name, (_, short_help) in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Ctrl-C and SIGTERM end it with 130, unless it stops in its own way."""
        from assay_core.inspect import wording as words
        from assay_core.protocol.errors import ProtocolError, Reverted, Unavailable

        try:
            with _terminated_as_interrupted():
                return super().invoke(ctx)
        except Reverted as error:
            raise Failure(words.refusal(error.error, str(error)), EXIT_FAILED) from error
        except ProtocolError as error:
            code = EXIT_UNAVAILABLE if isinstance(error, Unavailable) else EXIT_FAILED
            raise Failure(str(error), code) from error
        except KeyboardInterrupt:
            click.echo("assay: interrupted", file=sys.stderr)
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None


class _terminated_as_interrupted:
    """While it lasts, SIGTERM does what Ctrl-C does, so that supervisors and people stop a command alike."""

    def __enter__(self) -> None:
        self._before: Callable[[int, FrameType | None], Any] | int | None = None
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and _in_main_thread():
            self._before = signal.signal(signal.SIGTERM, _interrupt)

    def __exit__(self, *exception: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _in_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()
