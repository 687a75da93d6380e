"""An initiator's, a trainer's and a verifier's errands through the command line, on a real chain with a real relay."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from assay_core.chain.connection import Chain
from assay_core.chain.deployment import Deployment
from assay_core.protocol.types import Address, Role, Root, TaskId
from assay_protocol.cli import main
from assay_protocol.devnet.anvil import Anvil, free_port
from assay_protocol.devnet.processes import Children, wait_for_port
from tests.conftest import SenderOf

pytestmark = pytest.mark.chain

SORTING = Path(__file__).parents[2] / "examples" / "sorting.toml"
TOKEN = 10**18
QUICK = {
    "commit_window = 600": "commit_window = 60",
    "attest_window = 600": "attest_window = 60",
    "reveal_window = 300": "reveal_window = 60",
    "appeal_window = 600": "appeal_window = 60",
    'warmup = { steps = 32, batch = 128, lr = "0.001" }': "warmup = { steps = 2, batch = 8 }",
    "max_epoch_units = 512": "max_epoch_units = 64",
}

Assay = Callable[..., Result]


@pytest.fixture
def assay(
    chain: Chain, deployment: Deployment, tmp_path: Path, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Assay:
    """Run `assay` on the test network, in a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_DEPLOYMENTS", str(tmp_path))
    deployment.write(tmp_path)
    monkeypatch.setenv("ASSAY_NETWORK", deployment.network)
    monkeypatch.setenv("ASSAY_PASSWORD_FILE", str(password_file))
    monkeypatch.setenv("ASSAY_KEYS_DIR", str(tmp_path / "keys"))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), prog_name="assay")

    return run


@pytest.fixture
def relay(assay: Assay, tmp_path: Path) -> Iterator[str]:
    """A relay in a process of its own, started as a user does."""
    port = free_port()
    with Children(tmp_path / "logs") as children:
        arguments = ("relay", "run", "--port", str(port), "--store", str(tmp_path / "store"))
        wait_for_port(children.assay("relay", *arguments), port)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def quick_task(tmp_path: Path) -> Path:
    """The sorting example, with windows that fit the test network's short unbonding, and hardly any warm-up."""
    text = SORTING.read_text()
    for old, new in QUICK.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "quick.toml"
    path.write_text(text)
    return path


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_task_is_opened_shown_funded_closed_and_refunded(
    assay: Assay, relay: str, anvil: Anvil, chain: Chain, keystore_of: Callable[[str], Path], quick_task: Path
) -> None:
    keystore_of("initiator")
    owner = ("--keystore", "initiator")
    before = told(assay("token", "balance", "--json", *owner))
    dry = told(assay("task", "open", str(quick_task), "--dry-run", "--json", *owner))
    assert dry["dry_run"] and [each["call"] for each in dry["transactions"]] == [
        "AssayToken.approve",
        "TaskRegistry.openTask",
    ]
    assert all(each["gas"] > 21_000 and each["tx_hash"] is None for each in dry["transactions"])
    assert told(assay("token", "balance", "--json", *owner)) == before

    opened = told(assay("task", "open", str(quick_task), "--json", "--relay", relay, *owner))
    assert opened["task_id"] == 1
    shown = told(assay("task", "show", "1", "--json", "--relay", relay))
    assert (shown["status"], shown["spec"]["title"]) == ("open", "Sort four digits")
    assert shown["spec_root"] == opened["spec_root"]
    assert [epoch["phase"] for epoch in shown["epochs"]] == ["committing"]
    assert chain.policies.policy_of(TaskId(1)).policy_root == Root(bytes.fromhex(opened["policy_root"]))
    assert "Sort four digits" in assay("task", "show", "1", "--relay", relay).stdout
    assert told(assay("task", "upload", "1", "--json", "--relay", relay, *owner))["task_id"] == 1

    told(assay("task", "fund", "1", "10.5", "--json", *owner))
    [listed] = told(assay("task", "list", "--json"))["tasks"]
    assert int(listed["budget_wei"]) + int(listed["reserved_wei"]) == 2105 * TOKEN // 10

    # One submission pays 0.64, costs 0.5 for verifiers and can be slashed 5: two thirds have to outweigh that.
    assert -(-int(opened["needed_weight_wei"]) * 6_666 // 10_000) == 614 * TOKEN // 100
    assert "to judge an epoch of" in assay("task", "show", "1", "--relay", relay).stdout

    told(assay("task", "close", "1", "--json", *owner))
    anvil.pass_time(61)  # nobody committed a submission in the last window
    refunded = told(assay("task", "refund", "1", "--json", *owner))
    assert [each["call"] for each in refunded["transactions"]] == [
        "Commitments.abandonEpoch",
        "TaskRegistry.refundTask",
    ]
    assert int(refunded["amount_wei"]) == 2105 * TOKEN // 10
    assert told(assay("token", "balance", "--json", *owner))["balance_wei"] == before["balance_wei"]


def test_a_bond_is_made_shown_unbonded_and_withdrawn(
    assay: Assay, anvil: Anvil, chain: Chain, keystore_of: Callable[[str], Path]
) -> None:
    keystore_of("worker")
    me = ("--keystore", "worker")
    assert told(assay("stake", "bond", "--role", "trainer", "100", "--dry-run", "--json", *me))["dry_run"]
    told(assay("stake", "bond", "--role", "trainer", "100", "--json", *me))
    shown = told(assay("stake", "show", "--json", *me))
    assert (shown["trainer"]["bonded_wei"], shown["verifier"]["bonded_wei"]) == (str(100 * TOKEN), "0")
    assert (shown["trainer"]["locked_wei"], shown["trainer"]["free_wei"]) == ("0", str(100 * TOKEN))
    told(assay("stake", "unbond", "--role", "trainer", "40.5", "--json", *me))
    too_much = assay("stake", "unbond", "--role", "trainer", "60", *me)
    assert (too_much.exit_code, "59.5 ASSAY are free" in too_much.stderr) == (1, True)
    early = assay("stake", "withdraw", "--role", "trainer", *me)
    assert (early.exit_code, "still unbonding: withdraw after" in early.stderr) == (1, True)
    anvil.pass_time(chain.staking.unbonding_period_s() + 1)
    withdrawn = told(assay("stake", "withdraw", "--role", "trainer", "--json", *me))
    assert int(withdrawn["amount_wei"]) == 405 * TOKEN // 10
    assert "59.5 ASSAY bonded, 59.5 ASSAY of it free" in assay("stake", "show", *me).stdout
    again = assay("stake", "withdraw", "--role", "trainer", *me)
    assert (again.exit_code, "nothing of" in again.stderr) == (1, True)


def test_a_worker_key_consents_and_then_stands_for_its_operator(
    assay: Assay, chain: Chain, keystore_of: Callable[[str], Path], sender_of: SenderOf
) -> None:
    keystore_of("operator")
    keystore_of("hot")
    told(assay("stake", "bond", "--role", "verifier", "50", "--json", "--keystore", "operator"))
    told(assay("stake", "worker-key", "hot", "--json", "--keystore", "operator"))
    operator, hot = sender_of("operator").address, sender_of("hot").address
    assert told(assay("stake", "show", "--json", "--keystore", "hot"))["operator"] == operator
    assert chain.staking.free_bond(Role.VERIFIER, hot).amount_wei == 50 * TOKEN
    told(assay("stake", "worker-key", "none", "--json", "--keystore", "operator"))
    assert chain.staking.operator_of(hot) == hot
    told(assay("stake", "worker-key", "hot", "--json", "--keystore", "operator"))  # with another nonce
    assert told(assay("stake", "renounce", "--json", "--keystore", "hot"))["operator"] == operator
    assert chain.staking.operator_of(hot) == hot
    again = assay("stake", "renounce", "--keystore", "hot")
    assert (again.exit_code, "nobody's worker key" in again.stderr) == (1, True)


def test_seats_are_taken_shown_and_left(
    assay: Assay, chain: Chain, keystore_of: Callable[[str], Path], sender_of: SenderOf
) -> None:
    keystore_of("judge")
    me, pool = ("--keystore", "judge"), ("--class", "general")
    poor = assay("stake", "seats", "take", "3", *pool, *me)
    assert (poor.exit_code, "3 seats lock 30 ASSAY, and 0 ASSAY" in poor.stderr) == (1, True)
    told(assay("stake", "bond", "--role", "verifier", "35", "--json", *me))
    assert told(assay("stake", "seats", "take", "3", "--json", *pool, *me))["seats"] == [0, 1, 2]
    assert "5 ASSAY of it free" in assay("stake", "show", *me).stdout
    judge = sender_of("judge").address
    shown = told(assay("stake", "seats", "show", "--json", *pool, *me))
    assert (shown["jurors"], shown["yours"]) == ({judge: [0, 1, 2]}, [0, 1, 2])
    assert told(assay("stake", "seats", "leave", "--count", "1", "--json", *pool, *me))["kept"] == 2
    assert told(assay("stake", "seats", "leave", "--json", *pool, *me))["left"] == 2
    assert chain.staking.bond_of(judge, Role.VERIFIER).locked_wei == 0
    for arguments in (("leave", *pool), ("leave",), ("take", "1")):
        assert assay("stake", "seats", *arguments, *me).exit_code == 1


def test_tokens_are_handed_out(assay: Assay, chain: Chain, keystore_of: Callable[[str], Path]) -> None:
    keystore_of("donor")
    newcomer = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
    held = chain.token.balance_of(newcomer)
    told(assay("token", "transfer", newcomer, "10.5", "--json", "--keystore", "donor"))
    assert chain.token.balance_of(newcomer) - held == 105 * TOKEN // 10


def test_unknown_tasks_are_told(assay: Assay, keystore_of: Callable[[str], Path]) -> None:
    keystore_of("worker")
    for arguments in (
        ("task", "show", "7"),
        ("task", "fund", "7", "1", "--keystore", "worker"),
        ("task", "close", "7", "--keystore", "worker"),
        ("trainer", "run", "--task", "7", "--keystore", "worker"),
        ("verifier", "run", "--task", "7", "--keystore", "worker"),
        ("rewards", "show", "--task", "7", "--keystore", "worker"),
        ("explain", "7/0/0"),
    ):
        result = assay(*arguments)
        assert (result.exit_code, "no task 7 on network" in result.stderr) == (1, True), arguments


def test_the_wrong_chain_is_told(assay: Assay, deployment: Deployment, tmp_path: Path) -> None:
    deployment.model_copy(update={"network": "other", "chain_id": 5}).write(tmp_path)
    result = assay("task", "list", "--network", "other")
    assert (result.exit_code, "serves chain 31337" in result.stderr) == (1, True)


def test_an_empty_balance_is_told(assay: Assay) -> None:
    told(assay("keys", "new", "poor", "--light", "--json"))
    penniless = assay("stake", "bond", "--role", "trainer", "1", "--keystore", "poor")
    assert (penniless.exit_code, "holds 0 ASSAY but 1 ASSAY are needed" in penniless.stderr) == (1, True)
    without_coin = assay("stake", "worker-key", "none", "--keystore", "poor")
    assert (without_coin.exit_code, "holds 0" in without_coin.stderr) == (1, True), without_coin.stderr


def test_the_wrong_password_is_told(assay: Assay, keystore_of: Callable[[str], Path], tmp_path: Path) -> None:
    keystore_of("worker")
    (tmp_path / "wrong").write_text("wrong\n")
    arguments = ("stake", "bond", "--role", "trainer", "1", "--keystore", "worker")
    result = assay(*arguments, "--password-file", str(tmp_path / "wrong"))
    assert (result.exit_code, "password does not open" in result.stderr) == (1, True)


def test_a_relay_that_is_down_is_told_before_money_moves(
    assay: Assay, chain: Chain, keystore_of: Callable[[str], Path], quick_task: Path
) -> None:
    keystore_of("initiator")
    arguments = ("task", "open", str(quick_task), "--keystore", "initiator")
    result = assay(*arguments, "--relay", "http://127.0.0.1:9")
    assert result.exit_code == 75, result.output
    nowhere = assay(*arguments)
    assert (nowhere.exit_code, "names no relay" in nowhere.stderr) == (1, True)
    assert chain.registry.task_count() == 0


def test_cheating_that_pays_and_windows_that_outlast_bonds_are_explained(
    assay: Assay, keystore_of: Callable[[str], Path], quick_task: Path, relay: str
) -> None:
    keystore_of("initiator")
    arguments = ("--keystore", "initiator", "--relay", relay)
    long = assay("task", "open", str(SORTING), *arguments)
    assert (long.exit_code, "shorten terms.*_window" in long.stderr) == (1, True)
    quick_task.write_text(quick_task.read_text().replace('fraud_slash = "5"', 'fraud_slash = "0.5"'))
    cheap = assay("task", "open", str(quick_task), *arguments)
    assert (cheap.exit_code, "Raise terms.fraud_slash" in cheap.stderr) == (1, True)


def test_submissions_and_rewards_of_a_newcomer_are_empty(assay: Assay, keystore_of: Callable[[str], Path]) -> None:
    keystore_of("worker")
    for role in ("trainer", "verifier"):
        shown = told(assay("rewards", "show", "--role", role, "--json", "--keystore", "worker"))
        assert shown["claimable_wei"] == "0"
        claimed = told(assay("rewards", "claim", "--role", role, "--json", "--keystore", "worker"))
        assert claimed["transactions"] == []


def test_a_submission_that_is_none_is_told(assay: Assay) -> None:
    for name in ("nonsense", "1/2", "1/0/x"):
        result = assay("explain", name)
        assert (result.exit_code, "names no submission" in result.stderr) == (1, True), name
    unknown = assay("explain", "ab" * 32)
    assert (unknown.exit_code, "has the manifest root" in unknown.stderr) == (1, True)
