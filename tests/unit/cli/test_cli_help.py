"""Every command explains itself, and explaining costs no time."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from assay_protocol.cli import main
from assay_protocol.cli.options import AssayCommand
from tests.unit.cli.conftest import Assay

HEAVY = ("torch", "web3", "trainer", "verifier", "sqlalchemy", "fastapi", "pydantic", "numpy", "transformers")
SENDING = {
    "deploy", "token transfer", "task open", "task fund", "task close", "task refund", "task upload", "stake bond",
    "stake unbond", "stake withdraw", "stake leave", "stake release", "stake worker-key", "stake renounce",
    "stake seats take", "stake seats leave", "challenge commit", "challenge reveal", "challenge claim",
    "rewards claim", "rewards claim-fees",
}  # fmt: skip


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None, name
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        else:
            yield (*path, name), found


ALL = dict(commands(main))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example_and_json(path: tuple[str, ...], assay: Assay) -> None:
    result = assay(*path, "--help")
    assert result.exit_code == 0, result.output
    assert "Example:\n  " in result.stdout
    assert "assay " + " ".join(path) in result.stdout.partition("Example:")[2]
    assert "--json" in result.stdout
    assert len(result.stdout.splitlines()) < 80


def test_every_command_is_of_our_class() -> None:
    assert all(isinstance(command, AssayCommand) for command in ALL.values())


@pytest.mark.parametrize("path", sorted(SENDING))
def test_everything_that_sends_can_be_tried_dry(path: str, assay: Assay) -> None:
    assert "--dry-run" in assay(*path.split(), "--help").stdout


def test_nothing_else_offers_a_dry_run(assay: Assay) -> None:
    dry = {" ".join(path) for path in ALL if "--dry-run" in assay(*path, "--help").stdout}
    assert dry == SENDING


@pytest.mark.parametrize("arguments", [["--help"], ["task", "--help"], ["task", "open", "--help"], ["config"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from assay_protocol.cli import main; main(sys.argv[1:], standalone_mode=False); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_the_top_lists_all_commands_without_importing_them(assay: Assay) -> None:
    shown = assay("--help").stdout
    assert all(f"  {path[0]} " in shown for path in ALL)


def test_an_unknown_command_is_a_usage_error(assay: Assay) -> None:
    result = assay("mine")
    assert result.exit_code == 2
    assert "No such command 'mine'" in result.stderr


def test_the_version_is_shown(assay: Assay) -> None:
    assert assay("--version").stdout.startswith("assay, version ")
