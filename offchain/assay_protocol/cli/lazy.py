"""Command groups that import a subcommand only when it is called, and turn foreseen errors into one line."""

import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from assay_core.inspect import wording as words
from assay_core.protocol.errors import ProtocolError, Reverted, Unavailable

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
        try:
            with _terminated_as_interrupted():
                return super().invoke(ctx)
        except Reverted as error:
            raise Failure(words.refusal(error.error, str(error)), EXIT_FAILED) from error
        except ProtocolError as error:
            code = EXIT_UNAVAILABLE if isinstance(error, Unavailable) else EXIT_FAILED
            raise Failure(str(error), code) from error
        except OSError as error:
            if (failure := _of_a_file(error)) is None:
                raise
            raise failure from error
        except KeyboardInterrupt:
            click.echo("assay: interrupted", file=sys.stderr)
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None


def _of_a_file(error: OSError) -> Failure | None:
    """What to tell about a file or folder that is another's, read-only, or on a full disk; None: it is no file's."""
    from assay_core.bundle.disk import disk_fault

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(f"{disk_fault(error)}: make room, then try again", EXIT_UNAVAILABLE)
    if not isinstance(error.filename, (str, bytes)):
        return None
    place = os.fsdecode(error.filename)
    advice = "make it yours, or name another place (HOME, --state-dir, --keys-dir)"
    return Failure(f"{place}: {error.strerror}; {advice}", EXIT_FAILED)


@contextmanager
def _terminated_as_interrupted() -> Generator[None]:
    """While it lasts, SIGTERM does what Ctrl-C does, so that supervisors and people stop a command alike."""
    is_main = threading.current_thread() is threading.main_thread()
    is_ours = is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if is_ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
