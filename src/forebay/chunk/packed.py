"""Chunks of one row, stored as only the bytes in which they differ from similar chunks.

A program that logs row by row sends chunks that are equal except for a row id, times and numbers.
As a record batch each of them would take microseconds to open and kilobytes of memory, and the
store merges most of them before any query reads them. So such a chunk is stored as its concatenated
numbers, and a `RowForm` that describes them. Arrow arrays are built on demand, for many rows at
once when chunks are merged.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import lib

from forebay.chunk.unopened import UnopenedChunk
from forebay.model import ChunkId, RowId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.chunk.chunk import Chunk
    from forebay.chunk.layout import ChunkLayout
    from forebay.chunk.row_ids import RowIdArray

Rows: TypeAlias = npt.NDArray[np.uint8]
"""Packed rows, shape `(rows, bytes of a row)`."""

ROW_ID_BYTES = 16
TIME_BYTES = 8

_NUMBER_NAMES = """
UINT8 INT8 UINT16 INT16 UINT32 INT32 UINT64 INT64 HALF_FLOAT FLOAT DOUBLE TIMESTAMP DURATION
FIXED_SIZE_BINARY
"""
_NUMBERS = frozenset(getattr(lib, f"Type_{name}") for name in _NUMBER_NAMES.split())
"""Ids of the Arrow types for which every bit pattern is a valid value."""


@dataclass(frozen=True, slots=True)
class NumberForm:
    """A column of numbers in packed rows: `count` values per row.

    Attributes:
        begin: The position of the values in a packed row, in bytes.
        size: Their size in bytes.
    """

    type: pa.DataType
    count: int
    begin: int
    size: int

    def build(self, packed: Rows) -> pa.Array:
        """Return the values of all rows as an Arrow array.

        Args:
            packed: The packed rows, shape `(rows, bytes of a row)`.
        """
        values = np.ascontiguousarray(packed[:, self.begin : self.begin + self.size])
        return pa.Array.from_buffers(
            self.type, len(packed) * self.count, [None, pa.py_buffer(values)], 0
        )


@dataclass(frozen=True, slots=True, eq=False)
class ListForm:
    """A column of lists whose lengths are the same in each row.

    Attributes:
        ends: The end offset of each list within its row.
    """

    type: pa.DataType
    ends: npt.NDArray[np.int32]
    child: Form

    def build(self, packed: Rows) -> pa.Array:
        """Return the lists of all rows as an Arrow array.

        Args:
            packed: The packed rows, shape `(rows, bytes of a row)`.
        """
        rows, count = len(packed), len(self.ends)
        offsets = np.zeros(rows * count + 1, np.int32)
        if count:
            total = int(self.ends[-1])
            firsts = np.arange(rows, dtype=np.int32) * np.int32(total)
            np.add(firsts[:, None], self.ends, out=offsets[1:].reshape(rows, count))
        return pa.Array.from_buffers(
            self.type,
            rows * count,
            [None, pa.py_buffer(offsets)],
            0,
            children=[self.child.build(packed)],
        )


@dataclass(frozen=True, slots=True)
class NestedForm:
    """A column of structs or fixed-size lists: `count` values per row, no data of its own."""

    type: pa.DataType
    count: int
    children: tuple[Form, ...]

    def build(self, packed: Rows) -> pa.Array:
        """Return the values of all rows as an Arrow array.

        Args:
            packed: The packed rows, shape `(rows, bytes of a row)`.
        """
        children = [child.build(packed) for child in self.children]
        return pa.Array.from_buffers(
            self.type, len(packed) * self.count, [None], 0, children=children
        )


Form: TypeAlias = NumberForm | ListForm | NestedForm


class RowForm:
    """The meaning of the bytes of a packed row: row id first, then the times, then all other data.

    Attributes:
        layout: The layout of the chunks.
        schema: The Arrow schema of their record batches.
        times: The position of the time on each timeline in a packed row; a time has 8 bytes.
        packed_bytes: The length of a packed row in bytes.
        byte_size: The size of the Arrow buffers of one row in bytes.
        spans: Begin and end of the packed bytes in the message of a chunk.
    """

    __slots__ = ("byte_size", "columns", "layout", "packed_bytes", "schema", "spans", "times")

    def __init__(
        self,
        layout: ChunkLayout,
        schema: pa.Schema,
        columns: tuple[Form, ...],
        spans: tuple[tuple[int, int], ...],
    ) -> None:
        self.layout = layout
        self.schema = schema
        self.columns = columns
        self.spans = spans
        self.packed_bytes = sum(end - begin for begin, end in spans)
        self.times = {
            name: ROW_ID_BYTES + TIME_BYTES * number for number, name in enumerate(layout.indexes)
        }
        self.byte_size = int(self.build(bytes(self.packed_bytes), 1).nbytes)

    @classmethod
    def of(cls, chunk: Chunk, address: int) -> RowForm | None:
        """Return the form of a chunk of one row; `None` if the chunk has other data than numbers.

        Args:
            chunk: The chunk, opened in place.
            address: The memory address at which its message begins.
        """
        found = _forms_of(chunk)
        if found is None:
            return None
        columns, spans = found
        spans = [(begin - address, end - address) for begin, end in spans]
        in_order = tuple(columns[position] for position in range(len(columns)))
        return cls(chunk.layout, chunk.batch.schema, in_order, tuple(spans))

    def build(self, packed: bytes, rows: int) -> pa.RecordBatch:
        """Return the record batch of packed rows.

        Args:
            packed: The rows, concatenated.
            rows: Their number.
        """
        matrix = np.frombuffer(packed, np.uint8).reshape(rows, self.packed_bytes)
        arrays = [column.build(matrix) for column in self.columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def number_spans(chunk: Chunk) -> list[tuple[int, int]] | None:
    """Return begin and end of all numbers of a chunk, as memory addresses.

    Returns `None` if the chunk has nulls or data that is not numbers.
    """
    found = _forms_of(chunk)
    return None if found is None else found[1]


def _forms_of(chunk: Chunk) -> tuple[dict[int, Form], list[tuple[int, int]]] | None:
    """Return the form of each column by its position, and the memory spans of their numbers."""
    layout = chunk.layout
    spans: list[tuple[int, int]] = []
    columns: dict[int, Form] = {}
    positions = [layout.row_ids, *(index.position for index in layout.indexes.values())]
    positions += [data.position for data in layout.components.values()]
    for position in positions:
        form = _form_of(chunk.batch.column(position), spans)
        if form is None:
            return None
        columns[position] = form
    return columns, spans


def _form_of(array: pa.Array, spans: list[tuple[int, int]]) -> Form | None:
    """Return the form of a column, and append the memory spans of its numbers to `spans`."""
    type_ = array.type
    buffers = array.buffers()
    if buffers[0] is not None or array.offset:
        return None
    if type_.id in _NUMBERS:
        size = len(array) * type_.bit_width // 8
        begin = sum(end - begin for begin, end in spans)
        if size:
            address = buffers[1].address
            spans.append((address, address + size))
        return NumberForm(type_, len(array), begin, size)
    if type_.id == lib.Type_LIST:
        return _list_form_of(array, spans)
    values: Sequence[pa.Array] | None = None
    if type_.id == lib.Type_FIXED_SIZE_LIST:
        values = [array.values] if len(array.values) == len(array) * type_.list_size else None
    elif type_.id == lib.Type_STRUCT:
        values = [array.field(number) for number in range(type_.num_fields)]
    children = [_form_of(one, spans) for one in values or ()]
    known = tuple(child for child in children if child is not None)
    if values is None or len(known) < len(children):
        return None
    return NestedForm(type_, len(array), known)


def _list_form_of(array: pa.ListArray, spans: list[tuple[int, int]]) -> ListForm | None:
    ends = np.zeros(0, np.int32)
    if len(array):
        offsets = np.frombuffer(array.buffers()[1], np.int32, len(array) + 1)
        if offsets[0] or offsets[-1] != len(array.values):
            return None
        ends = offsets[1:].copy()
    child = _form_of(array.values, spans)
    return None if child is None else ListForm(array.type, ends, child)


class PackedChunk(UnopenedChunk):
    """A temporal chunk of one row; its record batch is built on first access.

    Attributes:
        form: The meaning of the packed bytes.
        packed: The row.
    """

    __slots__ = ("packed",)

    form: RowForm

    def __init__(self, id: ChunkId, form: RowForm, packed: bytes) -> None:  # noqa: A002
        self.id = id
        self.layout = form.layout
        self.form = form
        self.packed = packed

    def _opened(self) -> pa.RecordBatch:
        return self.form.build(self.packed, 1)

    @property
    def num_rows(self) -> int:
        """The number of rows, always 1."""
        return 1

    @property
    def row_ids(self) -> RowIdArray:
        """The row ids, shape `(1,)`."""
        return np.frombuffer(self.packed, "S16", 1)

    def row_id_at(self, row: int) -> RowId:
        """Return the row id of the only row, whose position is 0.

        Raises:
            IndexError: `row` is another position.
        """
        if row not in (0, -1):
            msg = f"a chunk of one row has no row {row}"
            raise IndexError(msg)
        return RowId(self.packed[:ROW_ID_BYTES])

    def time_at(self, timeline: str, row: int) -> int:
        """Return the time of the row, without building the record batch.

        Raises:
            KeyError: The chunk has no such timeline.
        """
        begin = self.form.times[timeline] + TIME_BYTES * row
        return int.from_bytes(self.packed[begin : begin + TIME_BYTES], sys.byteorder, signed=True)

    def null_count(self, component: str) -> int:  # noqa: ARG002
        """Return 0: a row with a null is never packed.

        Raises:
            KeyError: The chunk has no such component.
        """
        return 0

    def times(self, timeline: str) -> npt.NDArray[np.int64]:
        """Return the times on one timeline, shape `(1,)`, without building the record batch.

        Raises:
            KeyError: The chunk has no such timeline.
        """
        return np.frombuffer(self.packed, np.int64, 1, self.form.times[timeline])


def batches(chunks: Sequence[Chunk]) -> list[pa.RecordBatch]:
    """Return the rows of chunks as record batches, in the given order.

    Adjacent packed chunks with the same form become one batch.
    """
    found: list[pa.RecordBatch] = []
    form: RowForm | None = None
    rows: list[bytes] = []
    for chunk in chunks:
        packed = chunk if type(chunk) is PackedChunk else None
        if rows and form is not None and (packed is None or packed.form is not form):
            found.append(form.build(b"".join(rows), len(rows)))
            rows = []
        if packed is None:
            found.append(chunk.batch)
        else:
            form = packed.form
            rows.append(packed.packed)
    if rows and form is not None:
        found.append(form.build(b"".join(rows), len(rows)))
    return found
