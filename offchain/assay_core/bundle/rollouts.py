"""`rollouts.parquet`: one row per completion, in order of group and member.

The schema is fixed, nothing is nullable, nothing is compressed: proofs and token ids hardly shrink, and a
reader cannot be made to expand anything. Equal rollouts give equal bytes with one version of pyarrow.
"""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from assay_core.bundle.parquet_footer import footer_of, require_same_shape
from assay_core.bundle.parquet_pages import count_values
from assay_core.bundle.trajectory import FINISHES, Completion, Rollouts
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import TaskSpec

T = TypeVar("T")

ROLLOUTS_NAME = "rollouts.parquet"
MAX_PROMPT_TOKENS = 32_768
MAX_FOOTER_BYTES = 65_536


def _list_of(kind: Any) -> Any:
    return pa.list_(pa.field("element", kind, nullable=False))


SCHEMA = pa.schema(
    [
        pa.field("group", pa.int32(), nullable=False),
        pa.field("prompt_index", pa.int32(), nullable=False),
        pa.field("prompt_ids", _list_of(pa.int32()), nullable=False),
        pa.field("completion_ids", _list_of(pa.int32()), nullable=False),
        pa.field("logprobs", _list_of(pa.float32()), nullable=False),
        pa.field("finish", pa.string(), nullable=False),
        pa.field("reward", pa.float64(), nullable=False),
        pa.field("proofs", _list_of(pa.binary()), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class RolloutLimits:
    """What a task's rollouts may hold at most; rows and groups exactly."""

    file_bytes: int
    groups: int
    group_size: int
    completion_tokens: int
    proof_bytes: int
    chunk_tokens: int

    @property
    def rows(self) -> int:
        return self.groups * self.group_size

    @property
    def row_proofs(self) -> int:
        return 2 + (MAX_PROMPT_TOKENS + self.completion_tokens) // self.chunk_tokens

    def column_values(self) -> tuple[int, ...]:
        """The most values of each column, in the order of SCHEMA."""
        most = {
            "prompt_ids": MAX_PROMPT_TOKENS,
            "completion_ids": self.completion_tokens,
            "logprobs": self.completion_tokens,
            "proofs": self.row_proofs,
        }
        return tuple(self.rows * most.get(name, 1) for name in SCHEMA.names)

    @classmethod
    def of(cls, spec: TaskSpec) -> "RolloutLimits":
        return cls(
            file_bytes=spec.limits.submission_bytes,
            groups=spec.rollout.groups,
            group_size=spec.rollout.group_size,
            completion_tokens=spec.sampler.max_new_tokens,
            proof_bytes=2 + 2 * spec.toploc.topk,  # modulus, then one coefficient per value
            chunk_tokens=spec.toploc.chunk_tokens,
        )


def rollouts_bytes(rollouts: Rollouts) -> bytes:
    """The file's content."""
    rows = rollouts.completions
    columns: dict[str, list[Any]] = {
        "group": [row.group for row in rows],
        "prompt_index": [row.prompt_index for row in rows],
        "prompt_ids": [row.prompt_ids for row in rows],
        "completion_ids": [row.completion_ids for row in rows],
        "logprobs": [row.logprobs_T for row in rows],
        "finish": [row.finish for row in rows],
        "reward": [row.reward for row in rows],
        "proofs": [row.proofs for row in rows],
    }
    sink = io.BytesIO()
    pq.write_table(
        pa.table(columns, schema=SCHEMA),
        sink,
        row_group_size=max(1, len(rows)),
        version="2.6",
        data_page_version="1.0",
        compression="none",
        use_dictionary=False,
        column_encoding="PLAIN",
        write_statistics=False,
        store_schema=False,
    )
    return sink.getvalue()


def read_rollouts(path: Path, limits: RolloutLimits) -> Rollouts:
    """Read a stranger's file.

    Raises Malformed: over a limit, another schema or layout, wrong rows, a number that is not finite, or lengths that
    contradict each other. Whether the content is *true* is for the verifier's checks to say.
    """
    if path.stat().st_size > limits.file_bytes:
        _refuse(f"file of {path.stat().st_size} bytes exceeds {limits.file_bytes}")
    return parse_rollouts(path.read_bytes(), limits)


def parse_rollouts(data: bytes, limits: RolloutLimits) -> Rollouts:
    """As `read_rollouts`, from bytes."""
    if len(data) > limits.file_bytes:
        _refuse(f"file of {len(data)} bytes exceeds {limits.file_bytes}")
    if len(data) < 12 or int.from_bytes(data[-8:-4], "little") > MAX_FOOTER_BYTES:
        _refuse("not a Parquet file, or one with too large a footer")
    require_same_shape(footer_of(data), _own_footer())
    try:
        file = pq.ParquetFile(
            pa.BufferReader(data),
            thrift_string_size_limit=MAX_FOOTER_BYTES,
            thrift_container_size_limit=1_000,
        )
        _check_layout(data, file, limits)
        table = file.read(use_threads=False)
        table.validate(full=True)
        if table.num_rows != limits.rows:
            _refuse(f"{table.num_rows} rows where the footer says {limits.rows}")
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
        raise Malformed(f"rollouts: not a readable Parquet file: {str(error)[:200]}") from error
    return Rollouts(limits.group_size, tuple(_completions(table, limits)))


@cache
def _own_footer() -> bytes:
    """What a footer looks like: that of a file with one row."""
    row = Completion(0, 0, (0,), (0,), np.zeros(1, np.float32), FINISHES[0], 0.0, (b"",))
    return footer_of(rollouts_bytes(Rollouts(1, (row,))))


def _check_layout(data: bytes, file: pq.ParquetFile, limits: RolloutLimits) -> None:
    """All that must hold before any value is read."""
    metadata = file.metadata
    if metadata.metadata is not None:  # may carry an Arrow schema of its own, with extension types
        _refuse("file carries metadata of its own")
    if metadata.num_columns != len(SCHEMA) or not file.schema_arrow.equals(SCHEMA):
        _refuse("another schema than the one fixed for rollouts")
    if metadata.num_rows != limits.rows or metadata.num_row_groups != 1:
        _refuse(f"{metadata.num_rows} rows in {metadata.num_row_groups} groups; expected {limits.rows} rows in one")
    for index, most in enumerate(limits.column_values()):
        column = metadata.row_group(0).column(index)
        if column.compression != "UNCOMPRESSED" or column.has_dictionary_page or column.file_path:
            _refuse("a column is compressed, has a dictionary or lies in another file")
        values = count_values(data, column.data_page_offset, column.total_compressed_size)
        # one value is at least 4 bytes (a number, or the length of a string), an empty list none but a row each
        if values != column.num_values or values > limits.rows + column.total_compressed_size // 4:
            _refuse("a column holds another number of values than it has bytes for")
        if values > most:
            name = SCHEMA.names[index]
            _refuse(f"column {name} has more values than its rows may hold: {values}, the task allows {most}")


@dataclass(frozen=True, slots=True)
class _Lists:
    """A column of lists: row r has the values from offset r up to the next one."""

    offsets: npt.NDArray[np.int32]
    values: Any

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        return np.diff(self.offsets)

    def cut(self, values: Sequence[T]) -> list[Sequence[T]]:
        return [values[start:stop] for start, stop in pairwise(self.offsets.tolist())]


def _lists(table: Any, name: str) -> _Lists:
    column = table.column(name).combine_chunks()
    return _Lists(column.offsets.to_numpy(), column.values)


def _completions(table: Any, limits: RolloutLimits) -> Iterator[Completion]:
    """The rows. Checked column by column: row by row it costs more than most other checks of a small submission."""
    prompts, completions, logprobs, proofs = (
        _lists(table, name) for name in ("prompt_ids", "completion_ids", "logprobs", "proofs")
    )
    flat_logprobs, flat_proofs = logprobs.values.to_numpy().copy(), proofs.values.to_pylist()
    plain = {name: table.column(name).to_pylist() for name in ("group", "prompt_index", "finish", "reward")}
    _check_ids(prompts, "prompt", MAX_PROMPT_TOKENS, "1 to {} are possible")
    _check_ids(completions, "completion", limits.completion_tokens, "the task allows 1 to {}")
    if not np.array_equal(logprobs.lengths, completions.lengths) or not np.isfinite(flat_logprobs).all():
        _refuse("logprobs must be one finite number per token of the completion")
    if not all(map(math.isfinite, plain["reward"])):
        _refuse("a reward that is not a finite number")
    if not {*plain["finish"]} <= {*FINISHES}:
        _refuse(f"finish must be one of {', '.join(FINISHES)}")
    _check_proofs(proofs.lengths, flat_proofs, prompts.lengths + completions.lengths, limits)
    ids = [[tuple(part) for part in column.cut(column.values.to_pylist())] for column in (prompts, completions)]
    _check_order(plain["group"], plain["prompt_index"], ids[0], limits)
    columns = (
        plain["group"], plain["prompt_index"], *ids, logprobs.cut(flat_logprobs), plain["finish"], plain["reward"],
        map(tuple, proofs.cut(flat_proofs)),
    )  # fmt: skip
    return map(Completion, *columns)


def _check_ids(ids: _Lists, what: str, most: int, allowed: str) -> None:
    for length in (ids.lengths.min(), ids.lengths.max()):
        if not 1 <= length <= most:
            _refuse(f"a {what} of {length} tokens; {allowed.format(most)}")
    if ids.values.to_numpy().min() < 0:
        _refuse("a negative token id")


def _check_proofs(
    counts: npt.NDArray[np.int32], proofs: Sequence[bytes], tokens: npt.NDArray[np.int32], limits: RolloutLimits
) -> None:
    surplus = np.flatnonzero(counts > 2 + tokens // limits.chunk_tokens)
    if surplus.size:
        _refuse(f"more than {2 + tokens[surplus[0]] // limits.chunk_tokens} proofs on a completion")
    if max(map(len, proofs), default=0) > limits.proof_bytes:
        _refuse(f"one of the proofs has more than {limits.proof_bytes} bytes")


def _check_order(
    groups: Sequence[int], prompt_indices: Sequence[int], prompts: Sequence[tuple[int, ...]], limits: RolloutLimits
) -> None:
    for position, (group, index, prompt) in enumerate(zip(groups, prompt_indices, prompts, strict=True)):
        expected = position // limits.group_size
        if group != expected or index != expected:
            _refuse(f"row {position} must belong to group and prompt {expected}")
        if prompt != prompts[expected * limits.group_size]:
            _refuse(f"group {expected} has more than one prompt")


def _refuse(what: str) -> NoReturn:
    raise Malformed(f"rollouts: {what}")
