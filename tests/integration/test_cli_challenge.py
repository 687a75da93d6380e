"""Challenges through the command line: a score is disputed, voted on again, and what it owes is claimed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from offchain.chain.anvil import Anvil
from offchain.chain.connection import Chain
from offchain.protocol.encoding import appeal_commitment
from offchain.protocol.types import WorkIndex
from tests.conftest import SenderOf
from tests.integration.test_chain_walk import FIRST, PARAMS, Walk
from tests.integration.test_cli_walk import assay, told

__all__ = ["assay"]  # the fixture
pytestmark = pytest.mark.chain

Assay = Callable[..., Result]
SALT = b"\x03" * 32
WATCHER = ("--keystore", "watcher")


@pytest.fixture
def settled(chain: Chain, sender_of: SenderOf, keystore_of: Callable[[str], Path]) -> Walk:
    """A task whose first epoch is settled: 80 percent for one trainer, fraud for the other."""
    walk = Walk(chain, sender_of)
    walk.open()
    walk.enlist()
    walk.commit_works()
    walk.initiator.send(chain.attestations.seal_epoch(walk.task_id))
    report = bytes([80, 255])
    walk.attest(report)
    walk.initiator.send(chain.attestations.settle(walk.task_id, FIRST, [report]))
    for role in ("watcher", "verifier 0"):
        keystore_of(role)
    return walk


def vote(walk: Walk, chain: Chain, score: int) -> None:
    where = walk.task_id, FIRST, WorkIndex(1)
    for sender in walk.verifiers:
        commitment = appeal_commitment(*where, sender.address, score, SALT)
        sender.send(chain.challenges.commit_appeal(*where, commitment))
    for sender in walk.verifiers:
        sender.send(chain.challenges.reveal_appeal(*where, score, SALT))
    walk.initiator.send(chain.challenges.decide(*where, [bytes([80, 255])]))


def test_a_watcher_challenges_wins_and_claims_bond_and_winnings(
    settled: Walk, assay: Assay, chain: Chain, sender_of: SenderOf, anvil: Anvil
) -> None:
    work, watcher = f"{settled.task_id}/0/1", sender_of("watcher").address
    held = chain.token.balance_of(watcher)
    opened = told(assay("challenge", "open", work, "--score", "70", "--json", *WATCHER))
    assert [each["call"] for each in opened["transactions"]] == ["AssayToken.approve", "Challenges.challenge"]
    assert chain.token.balance_of(watcher) == held - PARAMS.challenge_bond
    shown = told(assay("challenge", "show", work, "--json"))
    assert (shown["phase"], shown["standing"], shown["claimed_score"]) == ("appeal_commit", 255, 70)

    vote(settled, chain, 70)
    for sender in settled.verifiers:
        settled.initiator.send(
            chain.challenges.slash_verdict(settled.task_id, FIRST, WorkIndex(1), sender.address, bytes([80, 255]))
        )
    shown = told(assay("challenge", "show", work, "--json"))
    assert (shown["outcome"], shown["score"], len(shown["votes"])) == ("overturned", 70, len(settled.verifiers))
    claimed = told(assay("challenge", "claim", work, "--json", *WATCHER))
    won = len(settled.verifiers) * PARAMS.verdict_slash // 2
    assert claimed["amount_wei"] == str(PARAMS.challenge_bond + won)
    assert chain.token.balance_of(watcher) == held + won
    again = assay("challenge", "claim", work, "--json", *WATCHER)
    assert again.exit_code == 1 and "owes" in again.stderr


def test_a_lost_bond_is_shared_by_those_who_upheld_the_score(settled: Walk, assay: Assay, chain: Chain) -> None:
    work = f"{settled.task_id}/0/1"
    told(assay("challenge", "open", work, "--score", "100", "--json", *WATCHER))
    vote(settled, chain, 255)
    claimed = told(assay("challenge", "claim", work, "--json", "--keystore", "verifier 0"))
    assert int(claimed["amount_wei"]) == PARAMS.challenge_bond // len(settled.verifiers)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(("open", "1/0/1", "--score", "101", *WATCHER), "is no score", id="no score"),
        pytest.param(("open", "1/0/1", "--score", "255", *WATCHER), "that is the score it has", id="same score"),
        pytest.param(("open", "1/0/9", "--score", "1", *WATCHER), "there is no work", id="no such work"),
        pytest.param(("open", "work", "--score", "1", *WATCHER), "names no work", id="no name"),
        pytest.param(("show", "1/0/0"), "nobody has challenged", id="not challenged"),
    ],
)
def test_each_mistake_is_told(settled: Walk, assay: Assay, arguments: tuple[str, ...], complaint: str) -> None:
    result = assay("challenge", *(each.replace("1/0/", f"{settled.task_id}/0/") for each in arguments))
    assert result.exit_code == 1
    assert complaint in result.stderr
