"""What other machines do that a developer's does not: several commands at once in a fresh home, keys without coin."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assay_core.chain.connection import Chain
from assay_core.chain.deployment import Deployment
from assay_core.chain.keys import LOCAL_ROUNDS, new_keystore
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address
from assay_protocol.devnet.anvil import Anvil
from assay_protocol.devnet.faucet import pour
from tests.conftest import PASSWORD, SenderOf
from tests.integration.chain_walk import Walk
from tests.integration.test_cli_walk import Assay, assay
from tests.machines import start_assay

__all__ = ["assay"]  # the fixture
pytestmark = pytest.mark.chain

TOKEN = 10**18


def test_commands_that_start_at_the_same_moment_in_a_fresh_home_all_answer(
    chain: Chain, sender_of: SenderOf, anvil: Anvil, deployment: Deployment, tmp_path: Path
) -> None:
    walk = Walk(chain, sender_of)
    walk.open()
    walk.enlist()
    walk.commit_submissions()
    walk.seal(anvil)
    deployment.write(tmp_path)
    env = {
        "HOME": str(tmp_path / "fresh"),
        "ASSAY_NETWORK": str(tmp_path / f"{deployment.network}.json"),
        "ASSAY_RELAYS": "http://127.0.0.1:1",
    }
    started = [start_assay("explain", f"{walk.task_id}/0/0", "--json", env=env) for _ in range(3)]
    ended = [(*each.communicate(timeout=250), each.returncode) for each in started]
    assert [(code, "Traceback" in errors) for _, errors, code in ended] == [(0, False)] * 3, ended
    assert len({json.dumps(json.loads(out)) for out, _, _ in ended}) == 1


@pytest.fixture
def poor(tmp_path: Path) -> Address:
    """A key with nothing."""
    account = new_keystore(tmp_path / "keys" / "poor.json", PASSWORD, rounds=LOCAL_ROUNDS)
    return Address(account.address)


def test_a_dry_run_says_that_there_is_no_coin_for_fees(
    assay: Assay, anvil: Anvil, chain: Chain, sender_of: SenderOf, poor: Address
) -> None:
    bond = ("stake", "bond", "--role", "trainer", "10", "--keystore", "poor", "--dry-run")
    rich = sender_of("worker")
    rich.send(chain.token.transfer(poor, 10 * TOKEN))
    without = assay(*bond)
    assert (without.exit_code, f"{poor} holds 0 for fees" in without.stderr) == (1, True), without.output
    anvil.set_balance(poor, TOKEN)
    assert assay(*bond).exit_code == 0


def test_a_faucet_gives_tokens_and_coin_on_a_local_chain(assay: Assay, chain: Chain, poor: Address) -> None:
    result = assay("token", "faucet", "--keystore", "poor", "--amount", "12.5")
    assert (result.exit_code, "gave 12.5 ASSAY" in result.stdout) == (0, True), result.output
    assert chain.token.balance_of(poor) == 125 * TOKEN // 10
    assert chain.balance_wei(poor) > 0
    too_much = assay("token", "faucet", "--keystore", "poor", "--amount", "1000000000000")
    assert (too_much.exit_code, "ask for less" in too_much.stderr) == (1, True)


def test_a_faucet_is_for_local_chains(
    assay: Assay, deployment: Deployment, chain: Chain, poor: Address, keystore_of: Callable[[str], Path]
) -> None:
    public = replace(chain, deployment=at_sea(deployment))
    with pytest.raises(Stop, match="is no local chain"):
        pour(public, poor, 1)


def at_sea(deployment: Deployment) -> Deployment:
    return deployment.model_copy(update={"chain_id": 1, "network": "mainnet"})
