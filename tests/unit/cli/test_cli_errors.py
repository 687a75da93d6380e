"""What goes wrong before any chain is reached is one clear line and an exit code, never a traceback."""

import json
import socket
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from assay_core.chain import creations
from assay_core.chain.abis import CONTRACTS, entries
from assay_core.chain.reverts import OPENZEPPELIN_ERRORS
from assay_core.inspect.wording import HINTS
from assay_core.protocol.errors import ProtocolError, Rejected, Reverted, Stop, Unavailable
from assay_protocol.cli.invocation import Invocation
from assay_protocol.cli.lazy import EXIT_INTERRUPTED, EXIT_UNAVAILABLE, LazyGroup
from assay_protocol.cli.options import command
from assay_protocol.devnet.anvil import free_port
from assay_protocol.devnet.folder import fresh
from assay_protocol.devnet.standing_network import Plan
from tests.unit.cli.conftest import Assay

ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
DEPLOYMENT = json.dumps(
    {"network": "dead", "chain_id": 31_337, "rpc_url": "http://127.0.0.1:9", "block": 1, "git_commit": ""}
    | dict.fromkeys(creations.CONTRACTS, ADDRESS)
)


@pytest.fixture
def dead_network(home: Path) -> str:
    """A network whose node is down."""
    (home / "dead.json").write_text(DEPLOYMENT)
    return "dead.json"


@pytest.mark.parametrize(
    "arguments",
    [("task", "list"), ("token", "balance", "--address", ADDRESS), ("stake", "show", "--address", ADDRESS),
     ("rewards", "show", "--address", ADDRESS), ("explain", "1/0/0"), ("relay", "run", "--port", "0")],
    ids=" ".join,
)  # fmt: skip
def test_an_unknown_network_is_told_with_what_to_do(assay: Assay, arguments: tuple[str, ...]) -> None:
    result = assay(*arguments, "--network", "nowhere")
    assert result.exit_code == 1
    assert "no deployment 'nowhere'" in result.stderr
    assert "assay deploy" in result.stderr
    assert "Traceback" not in result.output


def test_a_node_that_is_down_can_be_tried_again(assay: Assay, dead_network: str) -> None:
    result = assay("task", "list", "--network", dead_network)
    assert (result.exit_code, "node did not answer" in result.stderr) == (EXIT_UNAVAILABLE, True)


@pytest.mark.parametrize(
    "arguments",
    [("stake", "bond", "--role", "trainer", "1"), ("task", "close", "1"), ("trainer", "run", "--task", "1"),
     ("verifier", "run", "--task", "1"), ("token", "balance")],
    ids=" ".join,
)  # fmt: skip
def test_a_missing_key_is_told(assay: Assay, dead_network: str, arguments: tuple[str, ...]) -> None:
    result = assay(*arguments, "--network", dead_network, "--keystore", "nobody")
    assert result.exit_code in (1, EXIT_UNAVAILABLE)  # whichever of key and node is asked for first
    if result.exit_code == 1:
        assert "no key 'nobody'" in result.stderr


def test_a_node_whose_url_is_none_is_told(assay: Assay, dead_network: str) -> None:
    for url in ("notaurl", "127.0.0.1:8545", "http://", "http://h:port", "http://ok:1,notaurl", ""):
        result = assay("task", "list", "--network", dead_network, "--rpc-url", url)
        assert result.exit_code == 2 and "the node's URL is" in result.stderr and "try again" not in result.stderr


def test_a_websocket_is_refused_with_what_to_give(assay: Assay, dead_network: str) -> None:
    result = assay("task", "list", "--network", dead_network, env={"ASSAY_RPC_URL": "wss://node.example/key"})
    assert result.exit_code == 2 and "not its ws:// one" in result.stderr and "key" not in result.stderr


def test_a_settings_file_may_list_nodes(assay: Assay, home: Path) -> None:
    (home / "assay.toml").write_text('rpc_url = ["http://a:1", "http://b:2"]')
    assert json.loads(assay("config", "--json").stdout)["settings"]["rpc_url"]["value"] == "http://a:1,http://b:2"


def test_who_cannot_name_an_address_is_not_told_to(assay: Assay, dead_network: str) -> None:
    assert "--address" in assay("stake", "show", "--network", dead_network).stderr
    with click.Context(click.Command("bond")), pytest.raises(Stop, match="whose") as refused:
        Invocation().address_of(None)
    assert "--address" not in str(refused.value)


def free_ports() -> list[str]:
    names = ("--chain-port", "--relay-port", "--explorer-port")
    return [word for name in names for word in (name, str(free_port()))]


def test_a_network_that_runs_is_not_replaced(assay: Assay, home: Path) -> None:
    with fresh(home / "net", "--folder"):
        (home / "net" / "keys").write_text("dear")
        result = assay("up", "--folder", "net", "--fresh", *free_ports())
    assert result.exit_code == 1 and "a network runs in" in result.stderr and "--folder" in result.stderr
    assert (home / "net" / "keys").read_text() == "dear"


def test_a_network_goes_on_as_it_was_or_not_at_all(assay: Assay, home: Path) -> None:
    with fresh(home / "net", "--folder"):
        Plan(free_port(), (free_port(), free_port()), free_port(), ("verifier-1",), 1).write(home / "net")
    result = assay("up", "--folder", "net", "--verifiers", "2", "--chain-port", "1")
    assert result.exit_code == 1 and "no choice of --chain-port, --verifiers" in result.stderr
    result = assay("up", "--folder", "net")
    assert result.exit_code == 1 and "the chain is lost: start over with --fresh" in result.stderr
    assert (home / "net" / "network.json").exists()


def test_ports_of_a_network_must_differ(assay: Assay, home: Path) -> None:
    port = str(free_port())
    result = assay("up", "--folder", "net", "--chain-port", port, "--relay-port", port)
    assert result.exit_code == 1 and "must differ" in result.stderr


def test_a_port_that_is_taken_is_told_before_anything_starts(assay: Assay, home: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        result = assay("up", "--folder", "net", "--chain-port", str(port))
    assert result.exit_code == 1 and "choose another --chain-port" in result.stderr
    assert not (home / "net").exists()


def test_no_key_at_all_is_told(assay: Assay, dead_network: str) -> None:
    result = assay("trainer", "run", "--task", "1", "--network", dead_network)
    assert (result.exit_code, "no key chosen" in result.stderr) == (1, True)


def test_an_address_that_is_none_is_told(assay: Assay) -> None:
    result = assay("token", "balance", "--address", "0x123")
    assert (result.exit_code, "not an address" in result.stderr) == (1, True)


def test_a_missing_task_file_is_a_usage_error(assay: Assay) -> None:
    assert assay("task", "open", "nowhere.toml").exit_code == 2


def test_a_task_number_below_one_is_a_usage_error(assay: Assay) -> None:
    assert assay("task", "show", "0").exit_code == 2


def test_deploying_under_a_path_is_refused(assay: Assay) -> None:
    result = assay("deploy", "--network", "a/b.json")
    assert (result.exit_code, "must be the name" in result.stderr) == (1, True)


def raised(error: BaseException) -> Result:
    """The outcome of a command that raises `error`."""

    @command("fail", example="assay fail")
    def fail() -> None:
        raise error

    class Group(LazyGroup):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return fail

    return CliRunner().invoke(Group("assay", lazy={"fail": ("", "")}), ["fail"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Stop("do this"), 1),
        (Rejected("do this"), 1),
        (ProtocolError("do this"), 1),
        (Reverted("Unheard", {"a": 1}, "do this"), 1),
        (Unavailable("do this"), EXIT_UNAVAILABLE),
        (KeyboardInterrupt(), EXIT_INTERRUPTED),
    ],
)
def test_exit_codes_say_whether_to_try_again(error: BaseException, code: int) -> None:
    result = raised(error)
    assert result.exit_code == code
    assert result.stderr.startswith("assay: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_message_of_several_lines_is_folded_into_one() -> None:
    assert raised(Stop("first\nsecond")).stderr == "assay: first second\n"


def test_a_revert_that_is_known_comes_with_what_to_do() -> None:
    assert "`assay stake bond`" in raised(Reverted("InsufficientBond", {}, "Commitments.enlist")).stderr


def test_what_to_do_is_told_about_errors_that_there_are() -> None:
    declared = {str(entry["name"]) for contract in CONTRACTS for entry in entries(contract, "error")}
    assert set(HINTS) <= declared | {str(entry["name"]) for entry in OPENZEPPELIN_ERRORS}


def test_what_nobody_foresaw_is_not_hidden() -> None:
    assert isinstance(raised(RuntimeError("a bug")).exception, RuntimeError)
