"""`Leaf`: a temporal chunk in the index, and its columns as a latest-at query reads them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa

from forebay.store.cell import Cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from forebay.chunk import Chunk

ColumnKey: TypeAlias = "tuple[str, str | None]"
"""A timeline and a component; no component stands for all rows."""

_ROW_ID: Final = struct.Struct("16s")
"""Read so, and not as a slice: threads that slice one `memoryview` must not do so at once, because
without a GIL its count of views is not safe (python/cpython#127716)."""


class Column:
    """The rows of one chunk that have one component, ordered by (time, row id).

    Attributes:
        chunk: The chunk.
        first: The least time.
        last: The greatest time.
        times: Times in order. Looked up with `bisect`, so anything indexed by integers will do:
            mostly a view of the Arrow buffer, which costs no memory.
        rows: The row in the chunk of each entry of `times`; `None` if they are the same.
        cells: The Arrow column; `None` if the column stands for all rows.
    """

    __slots__ = ("_id_offset", "_ids", "cells", "chunk", "first", "last", "rows", "times")

    def __init__(
        self,
        chunk: Chunk,
        times: Sequence[int] | memoryview,
        rows: memoryview | None,
        cells: pa.ListArray | None,
    ) -> None:
        self.chunk = chunk
        self.first: int = times[0]
        self.last: int = times[-1]
        self.times = times
        self.rows = rows
        self.cells = cells
        ids = chunk.batch.column(chunk.layout.row_ids)
        self._ids = memoryview(ids.buffers()[1])
        self._id_offset = 16 * ids.offset

    def row_id(self, row: int) -> bytes:
        """The row id of a row of the chunk."""
        row_id: bytes = _ROW_ID.unpack_from(self._ids, self._id_offset + 16 * row)[0]
        return row_id

    @property
    def last_row_id(self) -> bytes:
        """The row id of the last entry."""
        last = len(self.times) - 1
        return self.row_id(last if self.rows is None else self.rows[last])


class Leaf:
    """A temporal chunk in the index.

    Columns are worked out when a query first needs them. Whoever does so stores the finished
    column with one assignment into a dict, and two threads that do so at once store the same
    twice; so readers need no lock, with or without the GIL.

    Attributes:
        chunk: The rows.
        rows: How many.
        size_bytes: Of the columns; exact for large chunks, for small ones an upper bound.
        sources: The ids of all inserted chunks that it holds rows of, packed.
        is_full: Whether merging it any further is pointless.
        whole: The id of the chunk that it was split from and shares its buffers with.
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

    def __init__(
        self,
        chunk: Chunk,
        rows: int,
        size_bytes: int,
        sources: bytes,
        *,
        is_full: bool,
        whole: bytes | None = None,
    ) -> None:
        self.chunk = chunk
        self.rows = rows
        self.size_bytes = size_bytes
        self.sources = sources
        self.is_full = is_full
        self.whole = whole
        self._columns: dict[ColumnKey, Column | None] = {}
        self._oldest: bytes | None = None

    @property
    def oldest(self) -> bytes:
        """The least row id."""
        oldest = self._oldest
        if oldest is None:
            oldest = self._oldest = bytes(self.chunk.row_id_at(0))
        return oldest

    def on_its_own(self) -> Leaf:
        """The same chunk in buffers of its own, so that it keeps nothing else alive."""
        alone = self.chunk.taken(np.arange(self.rows))
        return Leaf(alone, self.rows, self.size_bytes, self.sources, is_full=self.is_full)

    def column(self, key: ColumnKey) -> Column | None:
        """One component on one timeline; `None` if there is not a single cell."""
        try:
            return self._columns[key]
        except KeyError:
            column = self._columns[key] = _open(self.chunk, self.rows, *key)
            return column


def _open(chunk: Chunk, count: int, timeline: str, component: str | None) -> Column | None:
    layout = chunk.layout
    index = layout.indexes.get(timeline)
    if index is None:
        return None
    cells = None
    if component is not None:
        data = layout.components.get(component)
        if data is None:
            return None
        cells = chunk.batch.column(data.position)
        if cells.null_count == count:
            return None
    if count == 1:
        times = chunk.batch.column(index.position)
        time = memoryview(times.buffers()[1]).cast("q")[times.offset]
        return Column(chunk, (time,), None, cells)
    return _ordered(chunk, timeline, cells)


def _ordered(chunk: Chunk, timeline: str, cells: pa.ListArray | None) -> Column:
    times = chunk.times(timeline)
    rows = None
    if cells is not None and cells.null_count:
        rows = np.flatnonzero(cells.is_valid().to_numpy(zero_copy_only=False))
        times = times[rows]
    if not bool(np.all(times[:-1] <= times[1:])):
        # Rows stand in the order of their ids, which a stable sort keeps within one time.
        order = np.argsort(times, kind="stable")
        times = times[order]
        rows = order if rows is None else rows[order]
    return Column(chunk, _view(times), None if rows is None else _view(rows), cells)


def _view(numbers: npt.NDArray[np.int64]) -> memoryview:
    """What `bisect` looks through: items come out as Python integers, without a copy."""
    return memoryview(np.ascontiguousarray(numbers, np.int64).data)


class Hit:
    """The latest row found so far; less than a cell, and cheaper."""

    __slots__ = ("column", "row", "row_id", "time")

    def __init__(self, time: int, row_id: bytes, column: Column, row: int) -> None:
        self.time = time
        self.row_id = row_id
        self.column = column
        self.row = row

    def cell(self) -> Cell:
        """The cell found."""
        return Cell.lazy(self.column.cells, self.row, self.time, self.row_id)
