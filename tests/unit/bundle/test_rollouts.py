"""The rollouts file: what we write we read, and whatever else comes is refused before it costs anything."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.bundle.parquet_pages import count_values
from assay_core.bundle.rollouts import (
    MAX_PROMPT_TOKENS,
    SCHEMA,
    RolloutLimits,
    parse_rollouts,
    read_rollouts,
    rollouts_bytes,
)
from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import EnvironmentSpec, LimitSpec, RolloutSpec, SamplerSpec, TaskSpec, ToplocSpec
from tests.examples import examples

SPEC = TaskSpec(
    title="table",
    environment=EnvironmentSpec(name="sorting"),
    sampler=SamplerSpec(max_new_tokens=6),
    rollout=RolloutSpec(groups=2, group_size=3),
    toploc=ToplocSpec(topk=4, chunk_tokens=4),
    limits=LimitSpec(submission_bytes=200_000),
)
LIMITS = RolloutLimits.of(SPEC)
PLAIN: dict[str, Any] = {
    "compression": "none",
    "use_dictionary": False,
    "column_encoding": "PLAIN",
    "write_statistics": False,
    "store_schema": False,
}


def float32s(*values: float) -> npt.NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def completion(group: int, tokens: int = 3, **changes: Any) -> Completion:
    honest = Completion(
        group=group,
        prompt_index=group,
        prompt_ids=(5, 6, 7 + group),
        completion_ids=tuple(range(tokens)),
        logprobs_T=np.full(tokens, -0.25, dtype=np.float32),
        finish="eos",
        reward=0.5,
        proofs=(b"\x01" * 10,),
    )
    return replace(honest, **changes)


def honest() -> Rollouts:
    return Rollouts(3, tuple(completion(group, 1 + member) for group in range(2) for member in range(3)))


def with_row(position: int, **changes: Any) -> bytes:
    rows = list(honest().completions)
    rows[position] = replace(rows[position], **changes)
    return rollouts_bytes(Rollouts(3, tuple(rows)))


def table(schema: Any = SCHEMA) -> Any:
    read = pq.read_table(pa.BufferReader(rollouts_bytes(honest())))
    return pa.table({name: read[name].to_pylist() for name in schema.names}, schema=schema)


def written(content: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(content, sink, **{**PLAIN, **options})
    return sink.getvalue()


def as_tuples(rollouts: Rollouts) -> list[tuple[Any, ...]]:
    return [
        (
            row.group,
            row.prompt_index,
            row.prompt_ids,
            row.completion_ids,
            row.logprobs_T.tobytes(),
            row.finish,
            row.reward,
            row.proofs,
        )
        for row in rollouts.completions
    ]


TOKENS = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6).map(tuple)


@st.composite
def any_rollouts(draw: st.DrawFn) -> Rollouts:
    rows: list[Completion] = []
    for group in range(2):
        prompt_ids = draw(TOKENS)
        for _ in range(3):
            ids = draw(TOKENS)
            logprobs = draw(st.lists(st.floats(-(2.0**99), 0, width=32), min_size=len(ids), max_size=len(ids)))
            rows.append(
                Completion(
                    group=group,
                    prompt_index=group,
                    prompt_ids=prompt_ids,
                    completion_ids=ids,
                    logprobs_T=np.array(logprobs, dtype=np.float32),
                    finish=draw(st.sampled_from(["eos", "length"])),
                    reward=draw(st.floats(allow_nan=False, allow_infinity=False)),
                    proofs=tuple(draw(st.lists(st.binary(max_size=10), max_size=2))),
                )
            )
    return Rollouts(3, tuple(rows))


@settings(max_examples=examples(50))
@given(any_rollouts())
def test_what_is_written_is_read_back_bit_for_bit(rollouts: Rollouts) -> None:
    data = rollouts_bytes(rollouts)
    assert as_tuples(parse_rollouts(data, LIMITS)) == as_tuples(rollouts)
    assert rollouts_bytes(parse_rollouts(data, LIMITS)) == data


def test_a_file_is_read_by_group_and_member(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.parquet"
    path.write_bytes(rollouts_bytes(honest()))
    read = read_rollouts(path, LIMITS)
    assert (read.groups, read.tokens, read.mean_reward) == (2, 12, 0.5)
    assert [len(row.completion_ids) for row in read.group(1)] == [1, 2, 3]


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.parquet"
    path.write_bytes(rollouts_bytes(honest()))
    small = replace(LIMITS, file_bytes=100)
    with pytest.raises(Malformed, match="exceeds 100"):
        read_rollouts(path, small)
    with pytest.raises(Malformed, match="exceeds 100"):
        parse_rollouts(path.read_bytes(), small)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"reward": float("nan")}, "not a finite number", id="reward is not a number"),
        pytest.param({"reward": float("inf")}, "not a finite number", id="infinite reward"),
        pytest.param({"logprobs_T": float32s(-1, np.nan)}, "logprobs", id="logprob is not a number"),
        pytest.param({"logprobs_T": float32s(-1, -np.inf)}, "logprobs", id="infinite logprob"),
        pytest.param({"logprobs_T": float32s(-1)}, "logprobs", id="a logprob is missing"),
        pytest.param({"completion_ids": ()}, "completion of 0 tokens", id="empty completion"),
        pytest.param({"completion_ids": (1,) * 7}, "completion of 7 tokens", id="completion longer than allowed"),
        pytest.param({"completion_ids": (1, -1)}, "negative", id="negative token"),
        pytest.param({"prompt_ids": ()}, "prompt of 0 tokens", id="empty prompt"),
        pytest.param({"prompt_ids": (1, 2, 3)}, "more than one prompt", id="another prompt within the group"),
        pytest.param({"finish": "stop"}, "finish must be", id="unknown finish"),
        pytest.param({"proofs": (b"", b"", b"", b"")}, "proofs", id="too many proofs"),
        pytest.param({"proofs": (b"x" * 11,)}, "proofs", id="too long a proof"),
        pytest.param({"group": 1}, "must belong to group", id="group out of order"),
        pytest.param({"prompt_index": 4}, "must belong to group", id="prompt that was not given"),
    ],
)
def test_a_malformed_row_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        parse_rollouts(with_row(1, **change), LIMITS)


def retyped(name: str, kind: Any, nullable: bool = False) -> Any:
    return pa.schema([pa.field(name, kind, nullable) if field.name == name else field for field in SCHEMA])


def nullable_elements(kind: Any) -> Any:
    return pa.list_(pa.field("element", kind, nullable=True))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: table(retyped("reward", pa.float32())), id="another type"),
        pytest.param(lambda: table(retyped("reward", pa.float64(), nullable=True)), id="nullable column"),
        pytest.param(lambda: table(retyped("proofs", nullable_elements(pa.binary()))), id="nullable elements"),
        pytest.param(lambda: table().rename_columns([*SCHEMA.names[:-1], "proof"]), id="another name"),
        pytest.param(lambda: table().drop_columns(["proofs"]), id="missing column"),
        pytest.param(lambda: table().append_column("more", pa.array([1] * 6)), id="surplus column"),
        pytest.param(lambda: table().select(SCHEMA.names[::-1]), id="another order"),
    ],
)
def test_another_schema_is_refused(content: Callable[[], Any]) -> None:
    with pytest.raises(Malformed, match=r"schema|footer"):
        parse_rollouts(written(content()), LIMITS)


@pytest.mark.parametrize("rows", [5, 0])
def test_a_group_that_is_not_whole_is_refused(rows: int) -> None:
    with pytest.raises(Malformed, match=r"expected 6 rows|footer"):
        parse_rollouts(written(table().slice(0, rows)), LIMITS)


def test_more_rows_than_the_task_has_are_refused_by_the_footer_alone() -> None:
    with pytest.raises(Malformed, match="expected 6 rows"):
        parse_rollouts(written(pa.concat_tables([table(), table()])), LIMITS)


def test_several_row_groups_are_refused() -> None:
    with pytest.raises(Malformed, match="footer"):
        parse_rollouts(written(table(), row_group_size=3), LIMITS)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        pytest.param({"compression": "zstd"}, "compressed", id="compressed"),
        pytest.param({"use_dictionary": True, "column_encoding": None}, "dictionary", id="dictionary"),
        pytest.param({"write_statistics": True}, "PLAIN|canonical|type that is not expected", id="statistics"),
        pytest.param({"data_page_version": "2.0"}, "no data page header|type that is not expected", id="pages of v2"),
        pytest.param({"store_schema": True}, "metadata of its own", id="an Arrow schema of its own"),
        pytest.param({"write_page_checksum": True}, "not an uncompressed data page", id="checksums"),
        pytest.param({"column_encoding": {"group": "DELTA_BINARY_PACKED"}}, "PLAIN", id="delta encoding"),
    ],
)
def test_a_layout_that_could_expand_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Malformed, match=f"footer|{complaint}"):
        parse_rollouts(written(table(), **options), LIMITS)


def test_a_compression_bomb_is_refused_before_it_expands() -> None:
    rows = table().to_pydict()
    rows["logprobs"][0] = [0.0] * 2_000_000
    bomb = written(pa.table(rows, schema=SCHEMA), compression="zstd")
    assert len(bomb) < 20_000
    with pytest.raises(Malformed, match="footer"):
        parse_rollouts(bomb, LIMITS)


def test_a_footer_that_hides_a_dictionary_is_found_out_by_the_pages() -> None:
    """The page type of every first page is changed in place, as a forged footer would leave it."""
    data = bytearray(rollouts_bytes(honest()))
    assert data[4:6] == b"\x15\x00"
    data[5] = 4  # zigzag of DICTIONARY_PAGE
    with pytest.raises(Malformed, match="not an uncompressed data page"):
        parse_rollouts(bytes(data), LIMITS)


def test_a_page_that_claims_more_values_than_it_has_bytes_for_is_refused() -> None:
    data = bytearray(rollouts_bytes(honest()))
    start = data.index(b"\x2c\x15\x0c", 4)  # data page header: 6 values, zigzag
    data[start + 2] = 0x7E
    with pytest.raises(Malformed, match="another number of values"):
        parse_rollouts(bytes(data), LIMITS)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(b"\x15\x00\x15\x08\x15\x08\x2c\x15\x02\x15\x00\x15\x06\x15\x06\x00\x00", id="body is missing"),
        pytest.param(b"\x15\x00\x15\x08\x15", id="header breaks off"),
        pytest.param(b"\x15" + b"\xff" * 8, id="endless integer"),
        pytest.param(b"\x05\x00\x00", id="field number written in full"),
        pytest.param(b"\x15\x00\x15\x01\x15\x01\x2c\x15\x02\x15\x00\x15\x06\x15\x06\x00\x00", id="negative size"),
        pytest.param(b"\x15\x00\x15\x00\x15\x00\x2c\x15\x01\x15\x00\x15\x06\x15\x06\x00\x00", id="negative count"),
        pytest.param(b"\x1c\x1c\x1c\x1c\x1c\x00\x00\x00\x00\x00", id="nested without end"),
        pytest.param(b"\x00", id="empty header"),
    ],
)
def test_a_broken_page_header_is_refused(page: bytes) -> None:
    with pytest.raises(Malformed):
        count_values(b"PAR1" + page, 4, len(page))


def test_endless_empty_pages_are_refused() -> None:
    page = b"\x15\x00\x15\x00\x15\x00\x2c\x15\x00\x15\x00\x15\x06\x15\x06\x00\x00"
    assert count_values(b"PAR1" + page * 10, 4, len(page) * 10) == 0
    with pytest.raises(Malformed, match="more than 10000 pages"):
        count_values(b"PAR1" + page * 10_001, 4, len(page) * 10_001)


@pytest.mark.parametrize(("start", "size"), [(0, 4), (4, 100), (4, -1)])
def test_a_column_outside_of_the_file_is_refused(start: int, size: int) -> None:
    with pytest.raises(Malformed, match="outside of the file"):
        count_values(bytes(20), start, size)


@pytest.mark.parametrize("data", [b"", b"PAR1", bytes(100), b"PAR1" + bytes(8) + b"\xff\xff\xff\x7fPAR1"])
def test_what_is_no_parquet_file_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_rollouts(data, LIMITS)


def test_columns_of_many_pages_are_read() -> None:
    limits = replace(LIMITS, file_bytes=2**24)
    prompt = tuple(range(MAX_PROMPT_TOKENS))
    rows = tuple(replace(each, prompt_ids=prompt) for _ in range(8) for each in honest().completions)
    rows = tuple(replace(each, group=i // 3, prompt_index=i // 3) for i, each in enumerate(rows))
    data = rollouts_bytes(Rollouts(3, rows))
    assert len(data) > 5 * 2**20
    assert len(parse_rollouts(data, replace(limits, groups=16)).completions) == 48


@pytest.mark.slow  # reads thousands of files
def test_no_changed_byte_of_the_footer_reaches_a_reader_that_would_abort() -> None:
    """An unknown enumerator in a footer ends pyarrow's process, and with it a verifier's."""
    whole = rollouts_bytes(honest())
    size = int.from_bytes(whole[-8:-4], "little")
    refused = 0
    for position in range(len(whole) - 8 - size, len(whole) - 8):
        for changed in (0, 1, 5, 0x10, 0x7F, 0xFF):
            try:
                parse_rollouts(whole[:position] + bytes([changed]) + whole[position + 1 :], LIMITS)
            except Malformed:
                refused += 1
    assert refused > 3_000


@settings(max_examples=examples(300))
@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(rollouts_bytes(honest()))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(whole), data.draw(st.integers(0, len(whole)))]))
    try:
        parse_rollouts(bytes(whole[:cut]), LIMITS)
    except Malformed:
        return


@pytest.mark.parametrize("column", ["prompt_ids", "completion_ids", "logprobs", "proofs"])
def test_more_values_than_any_row_may_hold_are_refused_before_they_are_read(column: str) -> None:
    """As Python numbers they would take ten times the memory of the file."""
    many = MAX_PROMPT_TOKENS if column == "prompt_ids" else 12_000
    values: Any = (b"",) * many if column == "proofs" else (1,) * many
    limits = replace(LIMITS, file_bytes=2**24)
    field, value = ("logprobs_T", float32s(*values)) if column == "logprobs" else (column, values * 2)
    rows = tuple(replace(each, **{field: value}) for each in honest().completions)
    with pytest.raises(Malformed, match="more values than its rows may hold"):
        parse_rollouts(rollouts_bytes(Rollouts(3, rows)), limits)
