"""What a Parquet file really holds, page by page, before a reader allocates anything for it.

A footer may lie, dictionaries and run lengths expand without bound, and readers trust both. Our writer uses neither
compression nor dictionaries, so that every value takes its own bytes; this walk refuses files in which that is not so.
Source: Apache Parquet format 2.x, parquet.thrift (PageHeader, DataPageHeader); Thrift compact protocol.
"""

from typing import NoReturn

from assay_core.protocol.errors import Malformed

DATA_PAGE, PLAIN, RLE = 0, 0, 3
I32, STRUCT = 5, 12  # types of fields in the compact protocol
MAX_PAGES = 10_000
# Field numbers in parquet.thrift
TYPE, UNCOMPRESSED_BYTES, COMPRESSED_BYTES, DATA_PAGE_HEADER = 1, 2, 3, 5
VALUES, ENCODING, DEFINITION_LEVELS, REPETITION_LEVELS, STATISTICS = 1, 2, 3, 4, 5

Struct = dict[int, "int | Struct"]


def count_values(data: bytes, start: int, size_bytes: int) -> int:
    """Values (an empty list counts as one) in the column chunk of `size_bytes` at `start`, by its page headers.

    Raises Malformed: pages outside of the chunk, of another kind or encoding, or more of them than is sensible.
    """
    end = start + size_bytes
    if start < 4 or size_bytes < 0 or end > len(data):
        _refuse("a column lies outside of the file")
    values = 0
    for _ in range(MAX_PAGES):
        if start == end:
            return values
        in_page, start = _read_page(data, start, end)
        values += in_page
    _refuse(f"a column has more than {MAX_PAGES} pages")


def _read_page(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Values in the page at `start`, and where it ends."""
    reader = _Compact(data, start, end)
    header = reader.struct()
    body, page = header.get(COMPRESSED_BYTES), header.get(DATA_PAGE_HEADER)
    if not isinstance(body, int) or not isinstance(page, dict) or body < 0:
        _refuse("a column page has no data page header")
    if header != {TYPE: DATA_PAGE, UNCOMPRESSED_BYTES: body, COMPRESSED_BYTES: body, DATA_PAGE_HEADER: page}:
        _refuse("a column page is not an uncompressed data page")
    values = page.get(VALUES)
    page.setdefault(STATISTICS, {})  # some writers leave them empty, some out
    plain: Struct = {ENCODING: PLAIN, DEFINITION_LEVELS: RLE, REPETITION_LEVELS: RLE, STATISTICS: {}}
    if not isinstance(values, int) or values < 0 or page != {VALUES: values, **plain}:
        _refuse("a column page is not encoded PLAIN with RLE levels")
    if reader.position + body > end:
        _refuse("a column page ends outside of its column")
    return values, reader.position + body


class _Compact:
    """Reader of structs that hold 32-bit integers and such structs; Malformed at anything else."""

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self._data = data
        self.position = position
        self._end = end

    def struct(self, depth: int = 3) -> Struct:
        fields: Struct = {}
        number = 0
        while (head := self._byte()) != 0:
            number += head >> 4
            if head < 16 or depth == 0:
                _refuse("a page header is not in canonical form")
            if head & 15 == I32:
                fields[number] = self._zigzag()
            elif head & 15 == STRUCT:
                fields[number] = self.struct(depth - 1)
            else:
                _refuse("a page header has a field of a type that is not expected")
        return fields

    def _zigzag(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
        _refuse("an integer in a page header is too long")

    def _byte(self) -> int:
        if self.position >= self._end:
            _refuse("a page header ends outside of its column")
        self.position += 1
        return self._data[self.position - 1]


def _refuse(what: str) -> NoReturn:
    raise Malformed(f"rollouts: {what}")
