"""Chunks of one row that are kept as the few bytes in which they differ from their kin.

Whoever logs row by row sends chunks that are alike but for a row id, times and numbers. As a
record batch each would cost microseconds to open and kilobytes to hold, and the store would merge
most of them away before anybody looked. So such a chunk is its numbers, end to end, and a
`RowForm` that says what they mean; Arrow is built when it is asked for, of many rows at once where
they are merged.
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
"""Types of which any bytes are a valid value."""


@dataclass(frozen=True, slots=True)
class NumberForm:
    """`size` bytes at `begin` of a packed row are `count` values of a type."""

    type: pa.DataType
    count: int
    begin: int
    size: int

    def build(self, packed: Rows) -> pa.Array:
        """The values of all rows."""
        values = np.ascontiguousarray(packed[:, self.begin : self.begin + self.size])
        return pa.Array.from_buffers(
            self.type, len(packed) * self.count, [None, pa.py_buffer(values)], 0
        )


@dataclass(frozen=True, slots=True, eq=False)
class ListForm:
    """Lists whose lengths are the same in each row; `ends` has where each ends, within its row."""

    type: pa.DataType
    ends: npt.NDArray[np.int32]
    child: Form

    def build(self, packed: Rows) -> pa.Array:
        """The lists of all rows."""
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
    """Structs or fixed-size lists: `count` in each row, without data of their own."""

    type: pa.DataType
    count: int
    children: tuple[Form, ...]

    def build(self, packed: Rows) -> pa.Array:
        """The values of all rows."""
        children = [child.build(packed) for child in self.children]
        return pa.Array.from_buffers(
            self.type, len(packed) * self.count, [None], 0, children=children
        )


Form: TypeAlias = NumberForm | ListForm | NestedForm


class RowForm:
    """What the bytes of a packed row mean: row id first, then the times, then all else.

    Attributes:
        layout: The layout of the chunks.
        schema: Of their batches.
        times: Where the times on each timeline stand, 8 bytes each.
        packed_bytes: The length of a packed row.
        byte_size: Bytes of the Arrow buffers of one row.
        spans: Where the bytes of a packed row stand in the message of its chunk, begin and end.
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
        """The form of a chunk of one row in a message at `address`.

        `None` if the chunk has other data than numbers.
        """
        found = _forms_of(chunk)
        if found is None:
            return None
        columns, spans = found
        spans = [(begin - address, end - address) for begin, end in spans]
        in_order = tuple(columns[position] for position in range(len(columns)))
        return cls(chunk.layout, chunk.batch.schema, in_order, tuple(spans))

    def build(self, packed: bytes, rows: int) -> pa.RecordBatch:
        """The record batch of rows that are packed end to end."""
        matrix = np.frombuffer(packed, np.uint8).reshape(rows, self.packed_bytes)
        arrays = [column.build(matrix) for column in self.columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def number_spans(chunk: Chunk) -> list[tuple[int, int]] | None:
    """Begin and end of all numbers in memory; `None` if the chunk has nulls or other data."""
    found = _forms_of(chunk)
    return None if found is None else found[1]


def _forms_of(chunk: Chunk) -> tuple[dict[int, Form], list[tuple[int, int]]] | None:
    """The form of each column by its position, and where their numbers stand in memory."""
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
    """The form of a column; adds where its numbers stand."""
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
    """A temporal chunk of one row; its record batch is made when it is asked for.

    Attributes:
        form: What the packed bytes mean.
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
        """One."""
        return 1

    @property
    def row_ids(self) -> RowIdArray:
        """Row ids, shape `(1,)`."""
        return np.frombuffer(self.packed, "S16", 1)

    def row_id_at(self, row: int) -> RowId:
        """The row id of the row, which is number 0."""
        if row not in (0, -1):
            msg = f"a chunk of one row has no row {row}"
            raise IndexError(msg)
        return RowId(self.packed[:ROW_ID_BYTES])

    def time_at(self, timeline: str, row: int) -> int:
        """The time of the row; raises KeyError if there is no such timeline."""
        begin = self.form.times[timeline] + TIME_BYTES * row
        return int.from_bytes(self.packed[begin : begin + TIME_BYTES], sys.byteorder, signed=True)

    def null_count(self, component: str) -> int:  # noqa: ARG002
        """None: a row with a null is not packed."""
        return 0

    def times(self, timeline: str) -> npt.NDArray[np.int64]:
        """Times on one timeline, shape `(1,)`; raises KeyError if there is no such timeline."""
        return np.frombuffer(self.packed, np.int64, 1, self.form.times[timeline])


def batches(chunks: Sequence[Chunk]) -> list[pa.RecordBatch]:
    """The rows of chunks, in their order; neighbours of one form become one batch."""
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
