"""Events as types: all that the contracts emit, and nothing that somebody else does."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.chain.abis import AbiEntry, canonical_type, entries, signature
from assay_core.chain.event_store import Checkpoint, EventStore
from assay_core.chain.events import (
    ENUMERATIONS,
    EVENT_TYPES,
    Event,
    Log,
    PolicyPublished,
    SubmissionCommitted,
    TaskOpened,
    decode_log,
    decode_logs,
    field_names,
    python_name,
    readable,
)
from assay_core.protocol.errors import Malformed, Stop
from assay_core.protocol.types import Address, TaskParams
from tests.examples import examples
from tests.unit.chain.places import AT, DEPLOYMENT

NOT_FOLLOWED = {"EIP712DomainChanged"}


def abi_of(kind: type[Event]) -> AbiEntry:
    return next(entry for entry in entries(kind.CONTRACT, "event") if entry["name"] == kind.__name__)


def value_of(part: AbiEntry, draw: st.DataObject) -> Any:
    kind = part["type"]
    if part["internalType"] in ENUMERATIONS:
        return int(draw.draw(st.sampled_from(list(ENUMERATIONS[part["internalType"]]))))
    if "[" in kind:
        inner, length = kind.removesuffix("]").rsplit("[", 1)
        element = {**part, "type": inner, "internalType": part["internalType"].rsplit("[", 1)[0]}
        return tuple(value_of(element, draw) for _ in range(int(length or draw.draw(st.integers(0, 3)))))
    if kind == "tuple":
        return tuple(value_of(each, draw) for each in part["components"])
    if kind == "bool":
        return draw.draw(st.booleans())
    if kind.startswith("uint"):
        return draw.draw(st.integers(0, 2 ** int(kind[4:]) - 1))
    if kind == "address":
        return "0x" + draw.draw(st.binary(min_size=20, max_size=20)).hex()
    if kind == "bytes32":
        return draw.draw(st.binary(min_size=32, max_size=32))
    return draw.draw(st.text(max_size=40) if kind == "string" else st.binary(max_size=40))


def log_of(kind: type[Event], values: dict[str, Any]) -> Log:
    entry = abi_of(kind)
    indexed = [part for part in entry["inputs"] if part["indexed"]]
    plain = [part for part in entry["inputs"] if not part["indexed"]]
    topics = [encode([canonical_type(part)], [values[part["name"]]]) for part in indexed]
    data = encode([canonical_type(part) for part in plain], [values[part["name"]] for part in plain])
    place = AT[kind.CONTRACT]
    return Log(place, (keccak(text=signature(entry)), *topics), data, 7, b"h" * 32, 3, b"t" * 32)


def test_every_event_of_the_contracts_has_its_type() -> None:
    followed = AT.keys() - {"AssayToken"}
    declared = {(contract, entry["name"]) for contract in followed for entry in entries(contract, "event")}
    declared = {each for each in declared if each[1] not in NOT_FOLLOWED}
    assert declared == {(kind.CONTRACT, kind.__name__) for kind in EVENT_TYPES}


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_fields_are_those_of_the_event(kind: type[Event]) -> None:
    assert set(field_names(kind)) == {python_name(part["name"]) for part in abi_of(kind)["inputs"]}


def test_task_params_are_the_struct_in_order() -> None:
    parameter = next(part for part in abi_of(TaskOpened)["inputs"] if part["name"] == "params")
    assert [each.name for each in fields(TaskParams)] == [python_name(part["name"]) for part in parameter["components"]]


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=15)
@given(data=st.data())
def test_an_event_survives_log_and_store(kind: type[Event], data: st.DataObject) -> None:
    values = {part["name"]: value_of(part, data) for part in abi_of(kind)["inputs"]}
    event = decode_log(log_of(kind, values), DEPLOYMENT)
    assert isinstance(event, kind) and event.position == (7, 3) and event.tx_hash == b"t" * 32
    for name, value in values.items():
        found = getattr(event, python_name(name))
        if isinstance(found, TaskParams):
            assert found == TaskParams.from_abi(value)
        elif name in LISTS_OF_ADDRESSES:
            assert [each.lower() for each in found] == list(value)
        elif isinstance(value, bytes) or not isinstance(found, str):
            assert found == value
        else:
            assert found.lower() == value if name in ADDRESSES else found == readable(value.encode())
    store = EventStore(None, DEPLOYMENT)
    store.append([event], Checkpoint(7, b"h" * 32))
    assert list(store.events()) == [event]
    store.close()


def named(kind: str) -> set[str]:
    return {part["name"] for each in EVENT_TYPES for part in abi_of(each)["inputs"] if part["type"] == kind}


ADDRESSES, LISTS_OF_ADDRESSES = named("address"), named("address[]")


def test_a_strangers_look_alike_does_not_count() -> None:
    log = committed()
    assert isinstance(decode_log(log, DEPLOYMENT), SubmissionCommitted)
    assert decode_log(replace(log, address=Address("0x" + "99" * 20)), DEPLOYMENT) is None
    assert decode_log(replace(log, address=DEPLOYMENT.staking), DEPLOYMENT) is None
    assert decode_log(replace(log, topics=()), DEPLOYMENT) is None


def test_a_log_that_does_not_decode_says_so() -> None:
    log = committed()
    for broken in (replace(log, data=log.data[:-1]), replace(log, topics=log.topics[:-1])):
        with pytest.raises(Malformed, match="SubmissionCommitted at 7/3"):
            decode_log(broken, DEPLOYMENT)


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=examples(30))
@given(data=st.data())
def test_any_log_of_a_known_event_is_read_or_left_out(kind: type[Event], data: st.DataObject) -> None:
    """Short, long, or of words as large as they come: nothing but Malformed, and so nothing that stops a reader."""
    word = st.sampled_from((bytes(32), b"\xff" * 32, bytes(31) + b"\x20", bytes(24) + b"\x7f" + bytes(7)))
    words = st.lists(st.one_of(word, st.binary(min_size=32, max_size=32)), max_size=25).map(b"".join)
    topics = st.lists(st.one_of(word, st.binary(max_size=40)), max_size=4)
    topic = keccak(text=signature(abi_of(kind)))
    place = AT[kind.CONTRACT]
    junk = st.one_of(words, st.binary(max_size=100))
    log = Log(place, (topic, *data.draw(topics)), data.draw(junk), 7, b"h" * 32, 2, b"t" * 32)
    good = replace(committed(), log_index=3)
    assert [each.position for each in decode_logs([log, good], DEPLOYMENT)][-1] == (7, 3)


def test_a_log_that_is_left_out_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    log = committed()
    (event,) = decode_logs([replace(log, data=log.data[:-1]), replace(log, log_index=4)], DEPLOYMENT)
    assert event.position == (7, 4)
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.getMessage() == "a log is left out"
    assert vars(record)["why"] == "SubmissionCommitted at 7/3 does not decode"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"assay:0x73", "assay:0x73"),
        ("schön, 漢字".encode(), "schön, 漢字"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"a\x1b[2J\x00\r\nb", "a\ufffd[2J\ufffd\ufffd\ufffdb"),  # clears a terminal; NUL stops PostgreSQL
        ("\u202egpj.exe".encode(), "\ufffdgpj.exe"),  # right to left
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),  # half a surrogate pair
        (b"x" * 100_000, "x" * 2_048),
    ],
)
def test_what_a_policy_calls_itself_is_text_that_may_be_printed(written: bytes, read: str) -> None:
    """And never keeps it from being read: anyone who publishes what a quorum has signed chooses the URI alone."""
    values = {"taskId": 1, "epoch": 0, "version": 1, "policyRoot": b"p" * 32, "uri": ""}
    log = log_of(PolicyPublished, values)
    data = encode(["bytes32", "bytes"], [values["policyRoot"], written])
    event = decode_log(replace(log, data=data), DEPLOYMENT)
    assert isinstance(event, PolicyPublished) and event.uri == read


def committed() -> Log:
    values = {
        "taskId": 1,
        "epoch": 2,
        "trainer": "0x" + "44" * 20,
        "index": 0,
        "kind": 0,
        "units": 16,
        "policyVersion": 3,
        "manifestRoot": b"m" * 32,
    }
    return log_of(SubmissionCommitted, values)


def test_a_store_belongs_to_one_deployment(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    EventStore(path, DEPLOYMENT).close()
    EventStore(path, DEPLOYMENT).close()
    with pytest.raises(Stop, match="another deployment"):
        EventStore(path, DEPLOYMENT.model_copy(update={"payouts": Address("0x" + "99" * 20)}))


def test_a_store_is_read_by_a_second_process_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    writer, reader = EventStore(path, DEPLOYMENT), EventStore(path, DEPLOYMENT)
    event = decode_log(committed(), DEPLOYMENT)
    assert event is not None
    writer.append([event], Checkpoint(7, b"h" * 32))
    assert list(reader.events()) == [event] and reader.cursor() == Checkpoint(7, b"h" * 32)
    assert list(reader.events(after=(7, 2))) == [event] and list(reader.events(after=(7, 3))) == []


def test_old_checkpoints_are_forgotten() -> None:
    store = EventStore(None, DEPLOYMENT)
    for number in range(600):
        store.append([], Checkpoint(number, number.to_bytes(32, "big")))
    kept = store.checkpoints(limit=10_000)
    assert kept[0].block_number == 599 and 256 <= len(kept) <= 512
