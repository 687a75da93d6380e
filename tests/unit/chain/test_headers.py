"""Headers as their hashes are made of: the fourteenth field proves a block's prevrandao."""

import rlp

from offchain.chain.headers import encode_header

BLOCK = {
    "hash": b"\x99" * 32,  # is no part of a header, nor are the next
    "transactions": [],
    "size": 610,
    "parentHash": b"\x01" * 32,
    "sha3Uncles": b"\x02" * 32,
    "miner": "0x00000000000000000000000000000000000000AA",
    "stateRoot": b"\x03" * 32,
    "transactionsRoot": b"\x04" * 32,
    "receiptsRoot": b"\x05" * 32,
    "logsBloom": bytes(256),
    "difficulty": 0,
    "number": 258,
    "gasLimit": 30_000_000,
    "gasUsed": 0,
    "timestamp": 1_700_000_000,
    "extraData": b"",
    "mixHash": b"\x06" * 32,
    "nonce": bytes(8),
    "baseFeePerGas": 7,
}


def test_fields_stand_in_their_order_and_numbers_without_leading_zeros() -> None:
    encoded = encode_header(BLOCK)
    assert encoded is not None
    fields = rlp.decode(encoded)
    assert len(fields) == 16
    assert fields[2] == bytes(19) + b"\xaa" and fields[7] == b"" and fields[8] == b"\x01\x02"
    assert fields[13] == b"\x06" * 32 and fields[15] == b"\x07"


def test_later_forks_add_to_the_end() -> None:
    encoded = encode_header({**BLOCK, "withdrawalsRoot": b"\x07" * 32, "blobGasUsed": 0, "excessBlobGas": 0})
    assert encoded is not None and rlp.decode(encoded)[16:] == [b"\x07" * 32, b"", b""]


def test_extra_data_that_a_client_has_renamed_keeps_its_place() -> None:
    renamed = {**BLOCK, "proofOfAuthorityData": b"\x08" * 97}
    del renamed["extraData"]
    encoded = encode_header(renamed)
    assert encoded is not None and rlp.decode(encoded)[12] == b"\x08" * 97


def test_what_is_no_header_is_none() -> None:
    assert encode_header({**BLOCK, "miner": "nobody"}) is None
    assert encode_header({**BLOCK, "number": -1}) is None
