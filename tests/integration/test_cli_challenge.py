"""Challenges through the command line: committed, revealed, heard by a panel, and what they owe is claimed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from assay_core.chain.connection import Chain
from assay_core.chain.sender import Sender
from assay_core.protocol.economics import challenge_cost
from assay_core.protocol.types import SubmissionIndex
from assay_protocol.devnet.anvil import Anvil
from tests.conftest import SenderOf
from tests.integration.chain_walk import FIRST, PARAMS, Walk
from tests.integration.test_cli_walk import assay, told

__all__ = ["assay"]  # the fixture
pytestmark = pytest.mark.chain

Assay = Callable[..., Result]
WATCHER = ("--keystore", "watcher")
REPORT = bytes([80, 255])


@pytest.fixture
def jurors(chain: Chain, sender_of: SenderOf) -> list[Sender]:
    """Who judges disputes and nothing else: 16 seats."""
    seated = [sender_of(f"juror {number}") for number in range(4)]
    Walk(chain, sender_of).seat(seated, 4)
    return seated


@pytest.fixture
def settled(
    chain: Chain, sender_of: SenderOf, jurors: list[Sender], anvil: Anvil, keystore_of: Callable[[str], Path]
) -> Walk:
    """A task whose first epoch is settled: 80 percent for one trainer, fraud for the other."""
    assert len(jurors) == 4
    walk = Walk(chain, sender_of).settled(anvil, REPORT)
    keystore_of("watcher")
    return walk


def test_a_watcher_challenges_wins_and_claims_bond_and_winnings(
    settled: Walk, jurors: list[Sender], assay: Assay, chain: Chain, sender_of: SenderOf, anvil: Anvil, tmp_path: Path
) -> None:
    submission, watcher = f"{settled.task_id}/0/1", sender_of("watcher").address
    held, cost = settled.balance(watcher), challenge_cost(PARAMS)
    dry = told(assay("challenge", "commit", submission, "--score", "70", "--dry-run", "--json", *WATCHER))
    assert [each["call"] for each in dry["transactions"]] == ["AssayToken.approve", "Appeals.commitChallenge"]
    assert not list(tmp_path.rglob("challenges/*/*.json"))
    told(assay("challenge", "commit", submission, "--score", "70", "--json", *WATCHER))
    assert settled.balance(watcher) == held - cost
    [kept] = tmp_path.rglob("challenges/*/*.json")
    assert os.stat(kept).st_mode & 0o777 == 0o600
    shown = told(assay("challenge", "show", submission, "--json"))
    assert (shown["dispute"], shown["yours"]) == (None, [{"score": 70, "state": "committed"}])
    again = assay("challenge", "commit", submission, "--score", "70", *WATCHER)
    assert (again.exit_code, "committed already" in again.stderr) == (1, True)
    early = assay("challenge", "reveal", submission, *WATCHER)
    assert (early.exit_code, "can be revealed now" in early.stderr) == (1, True)

    anvil.pass_time(PARAMS.challenge_window + 1)
    assert told(assay("challenge", "reveal", submission, "--json", *WATCHER))["scores"] == [70]
    settled.draw(anvil, 1)
    settled.vote(jurors, 1, 70)
    for sender in settled.verifiers:
        slash = chain.appeals.slash_verdict(settled.task_id, FIRST, SubmissionIndex(1), sender.address, REPORT)
        settled.initiator.send(slash)
    shown = told(assay("challenge", "show", submission, "--json"))["dispute"]
    assert (shown["outcome"], shown["score"], len(shown["votes"])) == ("overturned", 70, len(jurors))
    claimed = told(assay("challenge", "claim", submission, "--json", *WATCHER))
    assert len(claimed["transactions"]) == 1 + len(jurors)  # and a fee for each juror
    lost = PARAMS.verifier_bond * PARAMS.verdict_slash_bps // 10_000
    won = min(len(settled.verifiers) * lost // 2, 10 * PARAMS.challenge_bond)
    judging = cost - PARAMS.challenge_bond
    assert settled.balance(watcher) == held - judging + won
    again = assay("challenge", "claim", submission, *WATCHER)
    assert (again.exit_code, "owes nobody" in again.stderr) == (1, True)


def test_a_bond_is_burnt_with_a_score_that_stands(
    settled: Walk, jurors: list[Sender], assay: Assay, sender_of: SenderOf, anvil: Anvil
) -> None:
    submission, watcher = f"{settled.task_id}/0/1", sender_of("watcher").address
    held = settled.balance(watcher)
    told(assay("challenge", "commit", submission, "--score", "100", "--json", *WATCHER))
    anvil.pass_time(PARAMS.challenge_window + 1)
    told(assay("challenge", "reveal", submission, "--json", *WATCHER))
    settled.draw(anvil, 1)
    settled.vote(jurors, 1, 255)
    told(assay("challenge", "claim", submission, "--json", *WATCHER))
    assert settled.balance(watcher) == held - challenge_cost(PARAMS)


def test_a_challenge_that_is_forgotten_loses_what_was_put_down_and_ends(
    settled: Walk, assay: Assay, sender_of: SenderOf, anvil: Anvil
) -> None:
    submission, watcher = f"{settled.task_id}/0/1", sender_of("watcher").address
    held = settled.balance(watcher)
    told(assay("challenge", "commit", submission, "--score", "100", "--json", *WATCHER))
    anvil.pass_time(PARAMS.challenge_window + PARAMS.reveal_window + 1)
    late = assay("challenge", "reveal", submission, *WATCHER)
    assert late.exit_code == 1
    told(assay("challenge", "claim", submission, "--json", *WATCHER))  # ends it
    assert settled.balance(watcher) == held - challenge_cost(PARAMS)
    assert not settled.record().unrevealed_challenges


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(("commit", "1/0/1", "--score", "101", *WATCHER), "is no score", id="no score"),
        pytest.param(("commit", "1/0/1", "--score", "253", *WATCHER), "is no score", id="no score either"),
        pytest.param(("commit", "1/0/1", "--score", "255", *WATCHER), "has that score", id="same score"),
        pytest.param(("commit", "1/0/9", "--score", "1", *WATCHER), "there is no submission", id="no such submission"),
        pytest.param(("commit", "submission", "--score", "1", *WATCHER), "names no submission", id="no name"),
        pytest.param(("reveal", "1/0/1", *WATCHER), "nothing here was committed", id="nothing committed"),
        pytest.param(("claim", "1/0/1", *WATCHER), "owes nobody", id="no dispute"),
    ],
)
def test_each_mistake_is_told(settled: Walk, assay: Assay, arguments: tuple[str, ...], complaint: str) -> None:
    result = assay("challenge", *(each.replace("1/0/", f"{settled.task_id}/0/") for each in arguments))
    assert result.exit_code == 1
    assert complaint in result.stderr
