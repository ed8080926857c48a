"""`Leaf`: a temporal chunk in the index, with its columns in the form that queries search."""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import numpy as np

from forebay.chunk import DamagedChunk, is_time_sorted
from forebay.chunk.arrays import are_valid
from forebay.chunk.damage import DAMAGE, is_of_chunk, open_fully
from forebay.limits import (
    CHUNK_SPLIT_BYTES_MAX,
    CHUNK_SPLIT_ROWS_MAX,
    CHUNK_SPLIT_ROWS_MAX_UNSORTED,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    import pyarrow as pa

    from forebay.chunk import Chunk, RowIdArray

T = TypeVar("T")

logger = logging.getLogger("forebay")

ColumnKey: TypeAlias = "tuple[str, str | None]"
"""A timeline and a component; the component `None` stands for all rows."""

FANOUT: Final = 64
"""The number of items of a full node, which is also the number of chunks merged at once."""

NO_ROW_IDS: Final = np.empty(0, "S16")

_ROW_ID: Final = struct.Struct("16s")
"""Reads a row id from a buffer.

Slicing is not an option: threads must not slice one `memoryview` at the same time, because its
count of views is not thread-safe without a GIL (python/cpython#127716).
"""


class Column:
    """The rows of one chunk that have one component, ordered by (time, row id).

    Attributes:
        chunk: The chunk.
        component: The component; `None` if the column stands for all rows.
        first: The least time.
        last: The greatest time.
        times: The times in order. Searched with `bisect`, so any sequence of integers is possible;
            usually a view of the Arrow buffer, which uses no memory.
        rows: For each entry of `times` the position of its row in the chunk; `None` if both are
            equal.
        is_whole: Whether every row of the chunk has a cell. Then `times` and `rows` equal those of
            all other whole columns of the chunk on that timeline.
    """

    __slots__ = (
        "_id_offset",
        "_ids",
        "chunk",
        "component",
        "first",
        "is_whole",
        "last",
        "rows",
        "times",
    )

    def __init__(
        self,
        chunk: Chunk,
        component: str | None,
        times: Sequence[int] | memoryview,
        rows: memoryview | None,
        *,
        is_whole: bool,
    ) -> None:
        self.chunk = chunk
        self.component = component
        self.is_whole = is_whole
        self.first: int = times[0]
        self.last: int = times[-1]
        self.times = times
        self.rows = rows
        self._ids: memoryview | None = None
        self._id_offset = 0

    def row_id(self, row: int) -> bytes:
        """Return the row id of a row of the chunk.

        Args:
            row: The position of the row.
        """
        ids = self._ids
        if ids is None:
            chunk = self.chunk
            if chunk.num_rows == 1:
                return bytes(chunk.row_id_at(0))
            column = chunk.batch.column(chunk.layout.row_ids)
            self._id_offset = 16 * column.offset
            ids = self._ids = memoryview(column.buffers()[1])
        row_id: bytes = _ROW_ID.unpack_from(ids, self._id_offset + 16 * row)[0]
        return row_id

    @property
    def last_row_id(self) -> bytes:
        """The row id of the last entry."""
        last = len(self.times) - 1
        return self.row_id(last if self.rows is None else self.rows[last])


class Leaf:
    """A temporal chunk in the index.

    Thread-safe for readers. Columns are derived when a query first needs them. The reader stores
    the complete column in a dict with one assignment; two threads that do so at once store equal
    columns. So no lock is needed, with or without the GIL. Sizes are measured when the writer first
    needs them, usually when it is about to merge the chunk.

    All code of the index opens a chunk through `attempt`. If that fails, the chunk is replaced by
    an empty `DamagedChunk`, so no other code needs to handle damage.

    Attributes:
        chunk: The rows.
        rows: The number of rows.
        sources: The ids of all inserted chunks of which it holds rows, concatenated.
        whole: The id of the chunk from which it was split and with which it shares buffers.
        size_bytes: The size of the columns in bytes; exact for large chunks, an upper bound for
            small ones.
        is_full: Whether the chunk is too large for further merging.
    """

    __slots__ = (
        "_columns",
        "_oldest",
        "chunk",
        "is_full",
        "rows",
        "size_bytes",
        "sources",
        "whole",
    )

    size_bytes: int
    is_full: bool
    _columns: dict[ColumnKey, Column | None]
    _oldest: bytes | None

    def __init__(self, chunk: Chunk, rows: int, sources: bytes, whole: bytes | None = None) -> None:
        self.chunk = chunk
        self.rows = rows
        self.sources = sources
        self.whole = whole

    def __getattr__(self, name: str) -> object:
        # Called for empty slots. Most chunks are merged before their slots are filled.
        value: object
        if name == "_columns":
            self._columns = value = {}
        elif name == "_oldest":
            self._oldest = value = None
        elif name == "size_bytes":
            self.size_bytes = value = self.attempt(self._measured, 0)
        elif name == "is_full":
            self.is_full = value = self.attempt(self._is_half_full, True)
        else:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        return value

    def attempt(self, look: Callable[[], T], otherwise: T) -> T:
        """Return the result of reading the chunk, or `otherwise` if the chunk cannot be opened.

        In that case the chunk is put aside for all users of this leaf. It keeps its place in the
        index, and its memory, until it is dropped or collected.

        Args:
            look: Reads from the chunk.
            otherwise: The result if the chunk is damaged.
        """
        try:
            return look()
        except DAMAGE as error:
            if not is_of_chunk(error):
                raise
            self._put_aside(error)
            return otherwise

    def _put_aside(self, error: Exception) -> None:
        chunk = self.chunk
        if type(chunk) is DamagedChunk:
            return
        # Two threads that do so at once make the same replacement.
        damaged = DamagedChunk(chunk, error)
        self.chunk = damaged
        self._columns = {}
        self._oldest = b""  # the first to be collected
        self.size_bytes = 0
        self.is_full = True
        logger.error(
            "%s: chunk %s with %d rows cannot be opened and is put aside: %s",
            damaged.entity_path,
            damaged.id,
            damaged.lost_rows,
            damaged.cause,
        )

    @property
    def is_put_aside(self) -> bool:
        """Whether the chunk was put aside because it could not be opened."""
        return type(self.chunk) is DamagedChunk

    def is_sound(self) -> bool:
        """Return whether the whole chunk can be opened; put it aside if not."""
        if not self.is_put_aside:
            chunk = self.chunk
            self.attempt(lambda: open_fully(chunk), None)
        return not self.is_put_aside

    @property
    def row_ids(self) -> RowIdArray:
        """The row ids of the chunk, shape `(rows,)`; empty if the chunk is put aside."""
        return self.attempt(lambda: self.chunk.row_ids, NO_ROW_IDS)

    def _measured(self) -> int:
        # The size of whole buffers is a cheap upper bound, so only chunks that might be large are
        # measured.
        size = self.chunk.byte_size_max
        return self.chunk.byte_size if size > CHUNK_SPLIT_BYTES_MAX // FANOUT else size

    def _is_half_full(self) -> bool:
        """Return whether the chunk has at least half of the maximum size of a chunk."""
        return (
            2 * self.rows > CHUNK_SPLIT_ROWS_MAX
            or 2 * self.size_bytes > CHUNK_SPLIT_BYTES_MAX
            or (2 * self.rows > CHUNK_SPLIT_ROWS_MAX_UNSORTED and not is_time_sorted(self.chunk))
        )

    @property
    def oldest(self) -> bytes:
        """The least row id."""
        oldest = self._oldest
        if oldest is None:
            oldest = self.attempt(lambda: bytes(self.chunk.row_id_at(0)), b"")
            self._oldest = oldest
        return oldest

    @property
    def newest(self) -> bytes:
        """The greatest row id."""
        return self.attempt(lambda: bytes(self.chunk.row_id_at(self.rows - 1)), b"")

    def names_with_nulls(self) -> set[str]:
        """Return the components that are null in some rows."""
        chunk = self.chunk
        names = chunk.layout.components
        return self.attempt(lambda: {name for name in names if chunk.null_count(name)}, set())

    def on_its_own(self) -> Leaf:
        """Return the same chunk in buffers of its own, so that it keeps no other data in memory."""
        if self.is_put_aside:
            return self
        alone = self.attempt(lambda: self.chunk.taken(np.arange(self.rows)), None)
        return self if alone is None else Leaf(alone, self.rows, self.sources)

    def column(self, key: ColumnKey) -> Column | None:
        """Return one component on one timeline; `None` if there is not a single cell.

        Args:
            key: The timeline and the component.
        """
        columns = self._columns
        if key in columns:  # Not `get` (docs/free-threading.md). No key is ever removed.
            return columns[key]
        column = self.attempt(lambda: self._open(*key), None)
        columns[key] = column
        return column

    def _open(self, timeline: str, component: str | None) -> Column | None:
        chunk = self.chunk
        layout = chunk.layout
        if (
            timeline not in layout.indexes
            or not (component is None or component in layout.components)
            or type(chunk) is DamagedChunk
        ):
            return None
        nulls = 0 if component is None else chunk.null_count(component)
        if nulls == self.rows:
            return None
        if self.rows == 1:
            return Column(chunk, component, (chunk.time_at(timeline, 0),), None, is_whole=True)
        if component is None:
            return _ordered(chunk, timeline)
        if nulls:
            return _ordered_part(chunk, timeline, component)
        every = self.column((timeline, None))  # `None` if its times cannot be read
        return every and Column(chunk, component, every.times, every.rows, is_whole=True)


def _ordered(chunk: Chunk, timeline: str) -> Column:
    """Return the column that stands for all rows."""
    _ = chunk.row_ids  # Row ids are read one by one later; a damaged column must be found now.
    times, rows = _by_time(chunk.times(timeline), None)
    return Column(chunk, None, _view(times), None if rows is None else _view(rows), is_whole=True)


def _ordered_part(chunk: Chunk, timeline: str, component: str) -> Column:
    """Return the column of a component that is null in some rows."""
    rows = np.flatnonzero(are_valid(chunk.component(component)))
    times, ordered = _by_time(chunk.times(timeline)[rows], rows)
    assert ordered is not None
    return Column(chunk, component, _view(times), _view(ordered), is_whole=False)


def _by_time(
    times: npt.NDArray[np.int64], rows: npt.NDArray[np.intp] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp] | None]:
    if bool(np.all(times[:-1] <= times[1:])):
        return times, rows
    # Rows are in the order of their ids; a stable sort keeps it within one time.
    order = np.argsort(times, kind="stable")
    return times[order], order if rows is None else rows[order]


def _view(numbers: npt.NDArray[np.int64]) -> memoryview:
    """Return a view for `bisect`: items are read as Python integers; the array is not copied."""
    return memoryview(np.ascontiguousarray(numbers, np.int64).data)


class Hit:
    """The latest row found so far, and the source of its cells."""

    __slots__ = ("_row_id", "column", "row", "time")

    def __init__(self, time: int, column: Column, row: int) -> None:
        self.time = time
        self.column = column
        self.row = row
        self._row_id: bytes | None = None

    @property
    def row_id(self) -> bytes:
        """The row's id. Read on demand, because it is seldom in the processor's cache."""
        row_id = self._row_id
        if row_id is None:
            row_id = self._row_id = self.column.row_id(self.row)
        return row_id

    def value(self, component: str) -> pa.Array:
        """Return the instances of a component in this row."""
        return self.column.chunk.component(component)[self.row].values
