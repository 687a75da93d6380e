"""A Parquet file's footer, compared with the one that our own writer makes before any library reads it.

Readers trust footers: an unknown enumerator in one aborts the whole process, and a trainer could so end every verifier
that judges its submission. Ours are all alike but for counts, sizes and offsets (64-bit integers), the number of a
column's pages, and the writer's version.
Source: Apache Parquet format 2.x, parquet.thrift (FileMetaData); Thrift compact protocol.
"""

import re
from typing import NoReturn

from assay_core.protocol.errors import Malformed

TRUE, FALSE, I16, I32, I64, BINARY, LIST, STRUCT = 1, 2, 4, 5, 6, 8, 9, 12  # types of the compact protocol
CREATED_BY = 6  # field of FileMetaData
WRITER = re.compile(rb"parquet-cpp-arrow version \d{1,3}\.\d{1,3}\.\d{1,3}")
PAGES = (4, 0, 1, 0, 3, 13, 0, 3)  # FileMetaData.row_groups[].columns[].meta_data.encoding_stats[].count
MAX_DEPTH = 12
MAX_ITEMS = 1_000

Tree = tuple[int, "int | bytes | tuple[Tree, ...] | dict[int, Tree] | None"]


def footer_of(data: bytes) -> bytes:
    """Raises Malformed: there is none."""
    size = int.from_bytes(data[-8:-4], "little")
    if data[:4] != b"PAR1" or data[-4:] != b"PAR1" or size + 12 > len(data):
        _refuse("not a Parquet file")
    return data[-8 - size : -8]


def require_same_shape(footer: bytes, own: bytes) -> None:
    """That `footer` differs from `own` in counts, sizes and offsets (none negative) and the writer's version alone.

    Raises Malformed.
    """
    if _tree(footer) != _tree(own):
        _refuse("the footer is not one that the protocol's writer makes")


def _tree(footer: bytes) -> Tree:
    reader = _Reader(footer)
    tree = reader.value(STRUCT, ())
    fields = tree[1]
    if reader.position != len(footer) or not isinstance(fields, dict):
        _refuse("bytes after the footer's end")
    _, writer = fields.get(CREATED_BY, (BINARY, b""))
    if not isinstance(writer, bytes) or not WRITER.fullmatch(writer):
        _refuse("the footer names another writer")
    fields[CREATED_BY] = (BINARY, None)
    return tree


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def value(self, kind: int, path: tuple[int, ...]) -> Tree:
        """The value that lies at `path` (fields' numbers, 0 for any item); counts are only looked at, not kept."""
        if len(path) > MAX_DEPTH:
            _refuse("the footer is nested too deeply")
        if kind in (TRUE, FALSE):
            return kind, None
        if kind in (I16, I32) and path != PAGES:
            return kind, self._zigzag()
        if kind in (I32, I64):
            if self._zigzag() < 0:
                _refuse("the footer has a negative count, size or offset")
            return kind, None
        if kind == BINARY:
            return kind, self._bytes(self._varint())
        if kind == LIST:
            return kind, self._items(path)
        if kind == STRUCT:
            return kind, self._fields(path)
        _refuse("the footer has a field of a type that is not expected")

    def _fields(self, path: tuple[int, ...]) -> dict[int, Tree]:
        fields: dict[int, Tree] = {}
        number = 0
        while (head := self._bytes(1)[0]) != 0:
            if head < 16:
                _refuse("the footer is not in canonical form")
            number += head >> 4
            fields[number] = self.value(head & 15, (*path, number))
        return fields

    def _items(self, path: tuple[int, ...]) -> tuple[Tree, ...]:
        head = self._bytes(1)[0]
        count = head >> 4 if head >> 4 < 15 else self._varint()
        if count > MAX_ITEMS or head & 15 in (TRUE, FALSE):
            _refuse("the footer has a list that is not expected")
        return ((head & 15, None), *(self.value(head & 15, (*path, 0)) for _ in range(count)))

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._bytes(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        _refuse("an integer in the footer is too long")

    def _bytes(self, count: int) -> bytes:
        if count > len(self._data) - self.position:
            _refuse("the footer ends too early")
        self.position += count
        return self._data[self.position - count : self.position]


def _refuse(what: str) -> NoReturn:
    raise Malformed(f"rollouts: {what}")
