"""Headers are those that block hashes are made of, or none: a contract takes nothing else."""

from typing import Any

import pytest
import rlp
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from assay_core.chain.headers import encode_header

# The genesis block of Ethereum. Source: eth_getBlockByNumber of any node; its hash is in every client.
GENESIS: dict[str, object] = {
    "parentHash": "0x" + "00" * 32,
    "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "miner": "0x" + "00" * 20,
    "stateRoot": "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
    "transactionsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "receiptsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "logsBloom": "0x" + "00" * 256,
    "difficulty": "0x400000000",
    "number": "0x0",
    "gasLimit": "0x1388",
    "gasUsed": "0x0",
    "timestamp": "0x0",
    "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
    "mixHash": "0x" + "00" * 32,
    "nonce": "0x0000000000000042",
    "hash": "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
}
LATER = {
    "baseFeePerGas": "0x7",
    "withdrawalsRoot": "0x" + "01" * 32,
    "blobGasUsed": "0x0",
    "excessBlobGas": "0x20000",
    "parentBeaconBlockRoot": "0x" + "02" * 32,
    "requestsHash": "0x" + "03" * 32,
}


def test_the_first_block_of_ethereum_has_the_header_that_its_hash_says() -> None:
    header = encode_header(GENESIS)
    assert header is not None and "0x" + keccak(header).hex() == GENESIS["hash"]


def number_or_data(text: str) -> bytes:
    """RLP's content: numbers have no leading zeros, and 0 is nothing."""
    number = int(text, 16)
    return bytes.fromhex(text[2:]) if len(text) == 66 else number.to_bytes((number.bit_length() + 7) // 8, "big")


@pytest.mark.parametrize("forks", range(len(LATER) + 1))
def test_fields_of_later_forks_follow_in_their_order(forks: int) -> None:
    """Beside a header made by hand: prevrandao is the fourteenth field, as the contracts read it."""
    later = dict(list(LATER.items())[:forks])
    block = {**GENESIS, "mixHash": "0x" + "ab" * 32, **later}
    fields = [bytes.fromhex(str(block[name])[2:]) for name in list(GENESIS)[:7]]
    fields += [bytes.fromhex("0400000000"), b"", bytes.fromhex("1388"), b"", b""]
    fields += [bytes.fromhex(str(block[name])[2:]) for name in ("extraData", "mixHash", "nonce")]
    fields += [number_or_data(value) for value in later.values()]
    header = bytes(rlp.encode(fields))  # pyright: ignore[reportUnknownMemberType]
    assert encode_header({**block, "hash": "0x" + keccak(header).hex()}) == header
    decoded: Any = rlp.decode(header)  # pyright: ignore[reportUnknownMemberType]
    assert decoded[13] == b"\xab" * 32


@pytest.mark.parametrize("name", list(GENESIS))
def test_a_header_that_its_hash_does_not_prove_is_none(name: str) -> None:
    for other in ("0x" + "12" * 32, None, 7, "0xzz", "no hex"):
        assert encode_header({**GENESIS, name: other}) is None
    assert encode_header({key: value for key, value in GENESIS.items() if key != name}) is None


@given(st.dictionaries(st.sampled_from([*GENESIS, *LATER]), st.one_of(st.none(), st.integers(), st.text(max_size=70))))
def test_whatever_a_node_tells_is_a_header_or_none(lies: dict[str, object]) -> None:
    header = encode_header({**GENESIS, **lies})
    assert header is None or "0x" + keccak(header).hex() == {**GENESIS, **lies}["hash"]
