"""Rewards through the command line: what was earned is shown, claimed once, and a fraud is told as one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from assay_core.chain.connection import Chain
from assay_core.protocol.types import Role
from assay_protocol.devnet.anvil import Anvil
from tests.conftest import SenderOf
from tests.integration.chain_walk import FIRST, PARAMS, UNIT, Walk
from tests.integration.test_cli_walk import assay, told

__all__ = ["assay"]  # the fixture
pytestmark = pytest.mark.chain

Assay = Callable[..., Result]


@pytest.fixture
def settled(chain: Chain, sender_of: SenderOf, anvil: Anvil, keystore_of: Callable[[str], Path]) -> Walk:
    """A task whose only epoch is settled (80 percent for one trainer, fraud for the other), its window passed."""
    walk = Walk(chain, sender_of).settled(anvil, bytes([80, 255]))
    anvil.pass_time(PARAMS.challenge_window + 1)
    for role in ("trainer", "second trainer", "verifier 0", "verifier 1"):
        keystore_of(role)
    return walk


def rewards(assay: Assay, action: str, *arguments: str) -> dict[str, Any]:
    return told(assay("rewards", action, "--json", "--relay", "http://127.0.0.1:9", *arguments))


def test_a_trainer_sees_what_it_earned_and_claims_it_once(settled: Walk, assay: Assay, chain: Chain) -> None:
    me = ("--keystore", "trainer")
    [submission] = rewards(assay, "show", *me)["submissions"]
    assert (submission["submission"], submission["score"], submission["earned_wei"]) == (
        f"{settled.task_id}/0/0",
        80,
        str(8 * UNIT),
    )
    held = chain.token.balance_of(settled.trainers[0].address)
    dry = told(assay("rewards", "claim", "--dry-run", "--json", *me))
    assert [each["call"] for each in dry["transactions"]] == ["Attestations.finalise", "Payouts.claim"]
    assert chain.token.balance_of(settled.trainers[0].address) == held
    claimed = told(assay("rewards", "claim", "--json", *me))
    assert claimed["amount_wei"] == str(8 * UNIT)
    assert chain.token.balance_of(settled.trainers[0].address) - held == 8 * UNIT
    assert told(assay("rewards", "claim", "--json", *me))["transactions"] == []
    shown = rewards(assay, "show", *me)
    assert (shown["claimed_wei"], shown["claimable_wei"]) == (str(8 * UNIT), "0")


def test_a_cheat_earns_nothing_and_sees_what_it_lost(settled: Walk, assay: Assay, chain: Chain) -> None:
    me = ("--keystore", "second trainer")
    assert told(assay("rewards", "claim", "--json", *me))["transactions"] == []
    settled.initiator.send(chain.attestations.finalise(settled.task_id, FIRST))
    settled.initiator.send(chain.payouts.slash_fraud(settled.ref(1)))
    shown = rewards(assay, "show", *me)
    assert (shown["earned_wei"], shown["slashed_wei"]) == ("0", str(PARAMS.fraud_slash))
    assert shown["submissions"][0]["state"] == "slashed"
    text = assay("explain", f"{settled.task_id}/0/1", "--relay", "http://127.0.0.1:9").stdout
    assert "slashed, score fraud" in text
    assert "its trainer lost 50 ASSAY of its bond" in text
    assert "no evidence to be had" in text
    assert "3 of 3 verifiers revealed, 100 % of the weight" in text


def test_a_submission_that_earns_nothing_is_claimed_to_free_its_bond(
    chain: Chain, sender_of: SenderOf, anvil: Anvil, keystore_of: Callable[[str], Path], assay: Assay
) -> None:
    walk = Walk(chain, sender_of).settled(anvil, bytes([0, 254]))
    anvil.pass_time(PARAMS.challenge_window + 1)
    for role, sender in zip(("trainer", "second trainer"), walk.trainers, strict=True):
        keystore_of(role)
        told(assay("stake", "leave", "--task", str(walk.task_id), "--role", "trainer", "--json", "--keystore", role))
        assert chain.staking.bond_of(sender.address, Role.TRAINER).locked_wei == PARAMS.fraud_slash
        claimed = told(assay("rewards", "claim", "--json", "--keystore", role))
        assert claimed["amount_wei"] == "0" and claimed["transactions"][-1]["call"] == "Payouts.claim"
        assert chain.staking.bond_of(sender.address, Role.TRAINER).locked_wei == 0


def test_a_verifier_claims_its_fees(settled: Walk, assay: Assay, chain: Chain, sender_of: SenderOf) -> None:
    judge = sender_of("verifier 0").address
    me = ("--keystore", "verifier 0")
    assert told(assay("rewards", "claim-fees", "--json", *me))["transactions"] == []  # its policy is not there yet
    settled.publish()
    [epoch] = rewards(assay, "show", "--role", "verifier", *me)["epochs"]
    assert (epoch["revealed"], epoch["fee_wei"], epoch["claimable_wei"]) == (True, str(UNIT // 10), "0")
    held = chain.token.balance_of(judge)
    assert told(assay("rewards", "claim-fees", "--json", *me))["amount_wei"] == str(UNIT // 10)
    assert chain.token.balance_of(judge) - held == UNIT // 10
    told(assay("rewards", "claim", "--role", "verifier", "--json", "--keystore", "verifier 1"))
    assert told(assay("rewards", "claim-fees", "--json", *me))["transactions"] == []


def test_a_submission_is_found_by_its_manifest_root(settled: Walk, assay: Assay) -> None:
    root = settled.ref(0).submission.manifest_root.hex()
    found = json.loads(assay("explain", "0x" + root, "--json", "--relay", "http://127.0.0.1:9").stdout)
    assert (found["submission"], found["score"], found["phase"]) == (f"{settled.task_id}/0/0", 80, "challengeable")
    missing = assay("explain", f"{settled.task_id}/0/7")
    assert (missing.exit_code, "there is no submission" in missing.stderr) == (1, True)
