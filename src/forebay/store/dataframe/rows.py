"""The rows of several chunks on one index as NumPy arrays; the first step of a dataframe query."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.chunk import Chunk, ChunkLayout
from forebay.chunk.row_ids import row_id_halves
from forebay.store.dataframe.memory import repeat

Int64s = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]

MISSING: Final = np.int64(np.iinfo(np.int64).min)
"""Represents a missing time.

No real time has this value: Rerun reserves it for static data and converts a logged one to the next
greater value (`TimeInt::new_temporal`).
"""


class ChunkRows:
    """The concatenated rows of the chunks that have the index, in order of first times.

    Chunks are given in order of arrival, which decides between rows with the same row id and time
    (`latest_first`).

    Attributes:
        chunks: The chunks in the order of their rows.
        times: Times on the index, shape `(rows,)`.
    """

    def __init__(self, chunks: Sequence[Chunk], index: str) -> None:
        having = [chunk for chunk in chunks if index in chunk.layout.indexes]
        self._hold(having)
        self._arrived = self.chunks
        self.times = self._joined_times(index)
        if len(having) > 1:
            counts = np.array([chunk.num_rows for chunk in having])
            if not counts.all():
                having = [chunk for chunk in having if chunk.num_rows]
                counts = counts[counts > 0]
            first = self.times[np.cumsum(counts) - counts]
            order = np.argsort(first, kind="stable")
            if bool((first[1:] < first[:-1]).any()) or len(having) != len(self.chunks):
                self._hold([having[number] for number in order])
                self.times = self._joined_times(index)

    def _hold(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = tuple(chunks)
        self._others: dict[str, Int64s | None] = {}
        self._table = None
        if len(chunks) > 1:
            first = chunks[0]
            # Chunks of one layout form a table: Arrow concatenates its columns without Python
            # objects for each chunk.
            if all(chunk.layout is first.layout for chunk in chunks):
                batches = [chunk.batch for chunk in chunks]
                try:
                    self._table = pa.Table.from_batches(batches, first.batch.schema)
                except pa.ArrowException:  # equal except for a field's name or nullability
                    self._table = None

    def column(self, position_of: Callable[[ChunkLayout], int]) -> pa.ChunkedArray | None:
        """Return a column that all chunks have, one array per chunk; `None` if types differ.

        Args:
            position_of: Returns the number of the column in a layout.
        """
        if self._table is not None:
            return self._table.column(position_of(self.chunks[0].layout))
        arrays = [chunk.batch.column(position_of(chunk.layout)) for chunk in self.chunks]
        try:
            return pa.chunked_array(arrays)
        except pa.ArrowException:
            return None

    def _joined_times(self, timeline: str) -> Int64s:
        """Return the times on a timeline that all chunks have."""
        if len(self.chunks) < 2:
            return _real(_concatenated([chunk.times(timeline) for chunk in self.chunks]))
        if self._table is not None:
            # Concatenation as a table needs no Python object per chunk. Not by `to_numpy`, which
            # imports pandas if it is installed.
            position = self.chunks[0].layout.indexes[timeline].position
            return _real(_integers(self._table.select([position]).combine_chunks().column(0)))
        return _real(_concatenated([chunk.times(timeline) for chunk in self.chunks]))

    @functools.cached_property
    def row_id_halves(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """The nanoseconds and the counters of the row ids, each of shape `(rows,)`."""
        if not self.chunks:
            return np.empty(0, np.uint64), np.empty(0, np.uint64)
        return row_id_halves(np.concatenate([chunk.row_ids for chunk in self.chunks]))

    def other(self, timeline: str) -> Int64s | None:
        """Return the times on another timeline, shape `(rows,)`; `None` if no chunk has it.

        Args:
            timeline: The name of the timeline. Rows of chunks without it have the time `MISSING`.
        """
        if timeline not in self._others:
            self._others[timeline] = self._gather(timeline)
        return self._others[timeline]

    def _gather(self, timeline: str) -> Int64s | None:
        if self._table is not None:
            having = [timeline in self.chunks[0].layout.indexes]
        else:
            having = [timeline in chunk.layout.indexes for chunk in self.chunks]
        if all(having):
            return self._joined_times(timeline)
        if not any(having):
            return None
        return _concatenated(
            [
                _real(chunk.times(timeline)) if has else np.full(chunk.num_rows, MISSING)
                for chunk, has in zip(self.chunks, having, strict=True)
            ]
        )

    @functools.cached_property
    def latest(self) -> LatestRows:
        """For each time the row that was logged last."""
        return self.latest_of(None)

    def latest_of(self, rows: Positions | None) -> LatestRows:
        """Return for each time the row that was logged last, among some of the rows.

        Args:
            rows: Positions in ascending order; `None` means all rows.
        """
        times = self.times if rows is None else self.times[rows]
        if len(times) < 2 or bool((times[1:] > times[:-1]).all()):
            return LatestRows(self, rows, times)
        order = self._by_time_and_row_id(times, rows)
        by_time = times[order]
        last = np.append(by_time[1:] != by_time[:-1], True)
        order = order[last]
        return LatestRows(self, order if rows is None else rows[order], by_time[last])

    def _by_time_and_row_id(self, times: Int64s, rows: Positions | None) -> Positions:
        order = np.argsort(times, kind="stable")
        by_time = times[order]
        ties = np.flatnonzero(by_time[1:] == by_time[:-1])
        if len(ties):
            high, low = self.row_id_halves
            if rows is not None:
                high, low = high[rows], low[rows]
            first, second = order[ties], order[ties + 1]
            in_order = (high[first] < high[second]) | (
                (high[first] == high[second]) & (low[first] <= low[second])
            )
            if not in_order.all():
                order = np.lexsort((low, high, times))
                first, second = order[ties], order[ties + 1]
            if len(self.chunks) > 1:
                equal = (low[first] == low[second]) & (high[first] == high[second])
                if equal.any():
                    arrival = self._latest_first if rows is None else self._latest_first[rows]
                    order = np.lexsort((arrival, low, high, times))
        return order

    @functools.cached_property
    def _latest_first(self) -> Positions:
        """The sort key of `latest_first` for these rows, shape `(rows,)`."""
        ranks = {id(chunk): rank for rank, chunk in enumerate(self._arrived)}
        order = np.array([ranks[id(chunk)] for chunk in self.chunks], np.intp)
        return repeat(-order, [chunk.num_rows for chunk in self.chunks])


class LatestRows:
    """Some rows of a `ChunkRows` in ascending order of time, one row per time.

    Attributes:
        of: The rows from which they were selected.
        rows: Positions in `of`; `None` if these are all rows in order.
        times: Strictly increasing, shape `(len(self),)`.
    """

    __slots__ = ("of", "rows", "times")

    def __init__(self, of: ChunkRows, rows: Positions | None, times: Int64s) -> None:
        self.of = of
        self.rows = rows
        self.times = times

    def __len__(self) -> int:
        return len(self.times)

    def other(self, timeline: str) -> Int64s | None:
        """Return the times on another timeline, shape `(len(self),)`; `None` if no chunk has it.

        Args:
            timeline: The name of the timeline.
        """
        times = self.of.other(timeline)
        return times if times is None or self.rows is None else times[self.rows]

    def row_id_halves(
        self, which: npt.NDArray[np.bool_] | Positions | slice
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """Return the nanoseconds and the counters of the row ids of some of these rows.

        Args:
            which: An index, mask or slice of these rows.

        Returns:
            Two arrays, each of shape `(selected rows,)`.
        """
        high, low = self.of.row_id_halves
        if self.rows is None:
            return high[which], low[which]
        return high[self.rows[which]], low[self.rows[which]]


def _real(times: Int64s) -> Int64s:
    """Replace the reserved value by the next greater one, as Rerun does."""
    if len(times) and times.min() == MISSING:
        return np.maximum(times, MISSING + 1)
    return times


def _integers(column: pa.ChunkedArray) -> Int64s:
    """Return a column of times that has one chunk or none as a NumPy array."""
    if not len(column):
        return np.empty(0, np.int64)
    joined = column.chunk(0)
    return np.frombuffer(joined.buffers()[1], np.int64, len(joined), 8 * joined.offset)


def _concatenated(arrays: Sequence[Int64s]) -> Int64s:
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate(arrays) if arrays else np.empty(0, np.int64)
