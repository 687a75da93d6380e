"""`rollouts.parquet`: one row per completion, in order of group and member.

The schema is fixed, nothing is nullable, nothing is compressed: proofs and token ids hardly shrink, and a
reader cannot be made to expand anything. Equal rollouts give equal bytes with one version of pyarrow.
"""

import io
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from offchain.protocol.errors import Malformed
from offchain.protocol.spec import TaskSpec
from offchain.rollouts.footer import footer_of, require_same_shape
from offchain.rollouts.pages import count_values
from offchain.rollouts.trajectory import FINISHES, Completion, Rollouts

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
            file_bytes=spec.limits.work_bytes,
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
        columns = cast(dict[str, list[Any]], table.to_pydict())
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
        raise Malformed(f"rollouts: not a readable Parquet file: {str(error)[:200]}") from error
    rows = [_parse_row(dict(zip(columns, row, strict=True)), limits) for row in zip(*columns.values(), strict=True)]
    _check_order(rows, limits)
    return Rollouts(limits.group_size, tuple(rows))


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


def _parse_row(row: dict[str, Any], limits: RolloutLimits) -> Completion:
    prompt_ids, completion_ids = tuple(row["prompt_ids"]), tuple(row["completion_ids"])
    logprobs_T = np.array(row["logprobs"], dtype=np.float32)
    proofs = tuple(row["proofs"])
    if not 1 <= len(prompt_ids) <= MAX_PROMPT_TOKENS:
        _refuse(f"a prompt of {len(prompt_ids)} tokens; 1 to {MAX_PROMPT_TOKENS} are possible")
    if not 1 <= len(completion_ids) <= limits.completion_tokens:
        _refuse(f"a completion of {len(completion_ids)} tokens; the task allows 1 to {limits.completion_tokens}")
    if min(prompt_ids) < 0 or min(completion_ids) < 0:
        _refuse("a negative token id")
    if len(logprobs_T) != len(completion_ids) or not np.isfinite(logprobs_T).all():
        _refuse("logprobs must be one finite number per token of the completion")
    if not math.isfinite(row["reward"]):
        _refuse("a reward that is not a finite number")
    if row["finish"] not in FINISHES:
        _refuse(f"finish must be one of {', '.join(FINISHES)}")
    chunks = 2 + (len(prompt_ids) + len(completion_ids)) // limits.chunk_tokens
    if len(proofs) > chunks or any(len(proof) > limits.proof_bytes for proof in proofs):
        _refuse(f"more than {chunks} proofs, or one of more than {limits.proof_bytes} bytes, on a completion")
    return Completion(
        group=row["group"],
        prompt_index=row["prompt_index"],
        prompt_ids=prompt_ids,
        completion_ids=completion_ids,
        logprobs_T=logprobs_T,
        finish=row["finish"],
        reward=row["reward"],
        proofs=proofs,
    )


def _check_order(rows: list[Completion], limits: RolloutLimits) -> None:
    for position, row in enumerate(rows):
        group = position // limits.group_size
        if row.group != group or row.prompt_index != group:
            _refuse(f"row {position} must belong to group and prompt {group}")
        if row.prompt_ids != rows[group * limits.group_size].prompt_ids:
            _refuse(f"group {group} has more than one prompt")


def _refuse(what: str) -> NoReturn:
    raise Malformed(f"rollouts: {what}")
