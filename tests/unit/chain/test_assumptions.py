"""What the contracts rely on of a chain: known chains that are otherwise are named, others are looked at."""

from typing import Any

import pytest

from assay_core.chain.assumptions import OP_STACK_DELAY, SEEN_BLOCKS, doubts_about
from tests.unit.chain.test_headers import GENESIS

PLAIN = 1  # Ethereum


class FakeNode:
    """Web3's few members that are asked, over made-up blocks."""

    def __init__(self, blocks: list[dict[str, Any]]) -> None:
        self._blocks = blocks
        self.eth = self
        self.provider = self
        self.block_number = len(blocks) - 1

    def make_request(self, method: str, parameters: list[Any]) -> dict[str, Any]:
        assert method == "eth_getBlockByNumber" and parameters[1] is False
        return {"result": self._blocks[int(parameters[0], 16)]}


def doubts(chain_id: int, blocks: list[dict[str, Any]], seal_delay: int = 4) -> str:
    node: Any = FakeNode(blocks)
    return " ".join(doubts_about(node, chain_id, seal_delay))


def without_proof(number: int, randomness: int = 0) -> dict[str, Any]:
    return {**GENESIS, "mixHash": f"0x{randomness:064x}", "number": hex(number)}


PROVED = [dict(GENESIS)] * SEEN_BLOCKS


@pytest.mark.parametrize(
    ("chain_id", "told"),
    [
        (42_161, "Arbitrum: block.number is that of Ethereum"),
        (137, "Polygon PoS: prevrandao is always 0"),
        (56, "BNB Smart Chain"),
        (43_114, "Avalanche"),
        (324, "ZKsync"),
        (10, f"--seal-delay {OP_STACK_DELAY}"),
        (8_453, "everybody knows already when an epoch closes"),
    ],
)
def test_chains_that_are_known_to_be_otherwise_are_named(chain_id: int, told: str) -> None:
    assert told in doubts(chain_id, PROVED)


def test_a_long_delay_outlasts_the_lag_of_a_rollup() -> None:
    assert "OP stack" not in doubts(10, PROVED, seal_delay=OP_STACK_DELAY)


def test_a_prevrandao_that_stays_the_same_is_seen() -> None:
    assert "same prevrandao" in doubts(PLAIN, PROVED)
    changing = [without_proof(number, number // 2) for number in range(SEEN_BLOCKS)]
    assert "same prevrandao" not in doubts(PLAIN, changing)


def test_headers_of_another_form_are_seen() -> None:
    assert "Ethereum's form" in doubts(PLAIN, [without_proof(number, number) for number in range(SEEN_BLOCKS)])
    assert "Ethereum's form" not in doubts(PLAIN, PROVED)


def test_a_chain_of_few_blocks_is_no_reason_for_doubt() -> None:
    assert doubts(PLAIN, [dict(GENESIS)]) == ""


def test_a_local_chain_is_as_it_is() -> None:
    assert doubts(31_337, PROVED) == ""
