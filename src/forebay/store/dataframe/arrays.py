"""Arrow list arrays from runs of cells: offsets buffers, validity bitmaps and instances.

All of it is vectorized: there is no Python loop over rows.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.chunk.arrays import positions
from forebay.limits import DATAFRAME_PIECE_BYTES_MAX
from forebay.store.dataframe.cells import Cells
from forebay.store.dataframe.memory import Memory, bitmap_after, empty, repeat, spread
from forebay.store.dataframe.rows import Int64s
from forebay.store.dataframe.runs import NULL, Runs


class CellColumn:
    """A component column whose cells come from logged rows."""

    def __init__(
        self, cells: Cells, runs: Runs, num_empty: int, num_rows: int, list_type: pa.DataType
    ) -> None:
        """Make a column of `num_rows` rows.

        Args:
            cells: The logged cells.
            runs: The rows in which they are shown.
            num_empty: The number of clears. In `runs` they are numbered after the cells, as empty
                cells.
            num_rows: The number of rows of the dataframe.
            list_type: The type of the column.
        """
        self.num_rows = num_rows
        self._cells = cells
        self._runs = runs
        self._list_type = list_type
        self._num_empty = num_empty
        self._is_plain = cells.is_plain and not num_empty and runs.cells is None
        self._bytes: Int64s | None = None

    @functools.cached_property
    def _starts(self) -> Int64s:
        starts = self._cells.starts
        # Empty cells start at position 0, so that they do not interrupt the range of instances.
        return np.append(starts, np.zeros(self._num_empty, np.int32)) if self._num_empty else starts

    @functools.cached_property
    def _lengths(self) -> npt.NDArray[np.int32]:
        lengths = self._cells.lengths
        nothing = np.zeros(self._num_empty, np.int32)
        return np.append(lengths, nothing) if self._num_empty else lengths

    def size_bytes(self, first: int, stop: int) -> int:
        """Return the approximate size of rows `first` to `stop` (exclusive) in bytes."""
        begin, end = self._span(first, stop)
        sizes, spans = self._sizes()[begin:end], self._spans(begin, end, first, stop)
        return int((sizes * spans).sum()) + 4 * (stop - first)

    def pieces(self, memory: Memory) -> list[pa.Array]:
        """Return the whole column; as several arrays only if one array would be very large.

        Args:
            memory: Where buffers are allocated.
        """
        if not self.num_rows:
            return [self.piece(0, 0, memory)]
        cuts = [0, *self._cuts(), self.num_rows]
        return [self.piece(first, stop, memory) for first, stop in itertools.pairwise(cuts)]

    def piece(self, first: int, stop: int, memory: Memory) -> pa.Array:
        """Return rows `first` to `stop` (exclusive) as one array.

        Args:
            first: The first row.
            stop: The row after the last one.
            memory: Where buffers are allocated.
        """
        begin, end = self._span(first, stop)
        if end <= begin:
            return pa.nulls(stop - first, self._list_type)
        make = self._filled if self._runs.filled else self._scattered
        return make(begin, end, first, stop, memory)

    def _span(self, first: int, stop: int) -> tuple[int, int]:
        """Return the range of runs that overlap the rows."""
        rows = self._runs.rows
        if first == 0 and stop == self.num_rows:
            return 0, len(rows)
        begin, end = np.searchsorted(rows, [first, stop])
        if self._runs.filled and begin > 0 and (begin == len(rows) or rows[begin] > first):
            begin -= 1
        return int(begin), int(end)

    def _spans(self, begin: int, end: int, first: int, stop: int) -> Int64s:
        """Return the number of the rows that each run covers."""
        if not self._runs.filled:
            return np.ones(end - begin, np.int64)
        starts = self._runs.rows[begin:end]
        return _distances(np.maximum(starts, first) if first else starts, stop)

    def _scattered(self, begin: int, end: int, first: int, stop: int, memory: Memory) -> pa.Array:
        num_rows = stop - first
        ends, instances = self._taken(begin, end, memory)
        if end - begin == num_rows:
            offsets = empty(num_rows + 1, np.int32)
            offsets[0] = 0
            offsets[1:] = ends
            return _list_array(self._list_type, offsets, None, instances)
        rows = self._runs.rows[begin:end]
        rows = rows - first if first else rows
        validity = memory.bitmap(rows, num_rows)
        offsets = memory.empty(num_rows + 1, np.int32)
        begun = int(rows[0]) + 1
        offsets[:begun] = 0
        spread(ends, _distances(rows, num_rows), offsets[begun:])
        return _list_array(self._list_type, offsets, validity, instances)

    def _taken(
        self, begin: int, end: int, memory: Memory
    ) -> tuple[npt.NDArray[np.int32], pa.Array]:
        """Return the end offset of each run's instances, and the instances that the runs show."""
        if self._is_plain:
            return memory.rising(0, end - begin)[1:], self._cells.plain(begin, end)
        shown = self._runs.shown(begin, end)
        lengths = self._lengths[shown]
        instances = self._cells.instances(self._starts[shown], lengths)
        return np.cumsum(lengths, dtype=np.int32), instances

    def _filled(self, begin: int, end: int, first: int, stop: int, memory: Memory) -> pa.Array:
        spans = self._spans(begin, end, first, stop)
        num_rows = stop - first
        lead = max(int(self._runs.rows[begin]) - first, 0)
        if self._is_plain:
            filled = repeated(self._cells.plain(begin, end), spans, memory)
            validity = bitmap_after(lead, num_rows) if lead else None
            return _list_array(self._list_type, memory.rising(lead, num_rows), validity, filled)
        shown = self._runs.shown(begin, end)
        lengths = self._lengths[shown]
        present = None if isinstance(shown, slice) or bool((shown > NULL).all()) else shown > NULL
        if present is not None:
            lengths = np.where(present, lengths, 0)
        validity = None
        if lead:
            validity = bitmap_after(lead, num_rows)
        if present is not None:
            valid = np.zeros(num_rows, np.bool_)
            valid[lead:] = repeat(present, spans)
            validity = pa.py_buffer(np.packbits(valid, bitorder="little"))
        instances = self._cells.instances(self._starts[shown], lengths)
        if bool((lengths == 1).all()):
            offsets = memory.rising(lead, num_rows)
            filled = repeated(instances, spans, memory)
            return _list_array(self._list_type, offsets, validity, filled)
        offsets = empty(num_rows + 1, np.int32)
        offsets[: lead + 1] = 0
        by_row = repeat(lengths, spans)
        np.cumsum(by_row, out=offsets[lead + 1 :])
        starts = repeat(np.cumsum(lengths) - lengths, spans) - offsets[lead:-1]
        taken = repeat(starts, by_row) + np.arange(int(offsets[-1]))
        return _list_array(self._list_type, offsets, validity, instances.take(positions(taken)))

    def _sizes(self) -> Int64s:
        """Return the size of one row of each run in bytes."""
        if self._bytes is None:
            shown = self._runs.shown(0, len(self._runs.rows))
            of_cell = np.zeros(len(self._starts), np.int64)
            of_cell[: len(self._cells)] = self._cells.size_bytes()
            sizes = of_cell[shown] if len(of_cell) else np.zeros(len(self._runs.rows), np.int64)
            self._bytes = sizes if isinstance(shown, slice) else np.where(shown > NULL, sizes, 0)
        return self._bytes

    def _cuts(self) -> list[int]:
        """Return the rows at which to split, so that no piece exceeds Arrow's 32-bit offsets."""
        values = self._cells.values
        if not self._runs.filled and len(values) <= 1:
            return []
        begin, end = 0, len(self._runs.rows)
        if not end:
            return []
        longest = self._cells.cell_bytes_max()
        if longest is not None and longest * self.num_rows <= DATAFRAME_PIECE_BYTES_MAX:
            return []
        sizes = self._sizes()
        if not self._runs.filled:
            total = np.cumsum(sizes) // DATAFRAME_PIECE_BYTES_MAX
            return [int(row) for row in self._runs.rows[1:][total[1:] != total[:-1]]]
        spans = self._spans(begin, end, 0, self.num_rows)
        total = np.cumsum(sizes * spans)
        cuts: list[int] = []
        # Only runs that cross a limit are split, at equal distances.
        for run in np.flatnonzero(np.diff(total // DATAFRAME_PIECE_BYTES_MAX, prepend=0)):
            row, rows = int(self._runs.rows[run]), int(spans[run])
            step = max(1, DATAFRAME_PIECE_BYTES_MAX // max(1, int(sizes[run])))
            cuts += range(row, row + rows, step)
        return [cut for cut in cuts if cut]


class ConstantColumn:
    """A component column of static data: the same cell in every row."""

    def __init__(self, value: pa.Array | None, num_rows: int, list_type: pa.DataType) -> None:
        self.num_rows = num_rows
        self._value = value
        self._list_type = list_type
        self._row_bytes = 4 + (0 if value is None else int(value.nbytes))

    def size_bytes(self, first: int, stop: int) -> int:
        """Return the approximate size of rows `first` to `stop` (exclusive) in bytes."""
        return self._row_bytes * (stop - first)

    def pieces(self, memory: Memory) -> list[pa.Array]:
        """Return the whole column; as several arrays only if one array would be very large.

        Args:
            memory: Where buffers are allocated.
        """
        step = max(1, DATAFRAME_PIECE_BYTES_MAX // self._row_bytes)
        whole = self.piece(0, min(step, self.num_rows), memory)
        full, rest = divmod(self.num_rows, step)
        return [whole] * full + ([whole.slice(0, rest)] if rest or not full else [])

    def piece(self, first: int, stop: int, memory: Memory) -> pa.Array:
        """Return rows `first` to `stop` (exclusive) as one array.

        Args:
            first: The first row.
            stop: The row after the last one.
            memory: Where buffers are allocated.
        """
        num_rows = stop - first
        if self._value is None:
            return pa.nulls(num_rows, self._list_type)
        length = len(self._value)
        offsets = np.arange(0, length * num_rows + 1, max(length, 1), dtype=np.int32)
        if not length:
            offsets = np.zeros(num_rows + 1, np.int32)
        if length == 1:
            instances = repeated(self._value, np.array([num_rows]), memory)
        else:
            instances = self._value.take(positions(np.tile(np.arange(length), num_rows)))
        return _list_array(self._list_type, offsets, None, instances)


def repeated(values: pa.Array, times: Int64s, memory: Memory) -> pa.Array:
    """Return an array with each value repeated; by NumPy if values have a fixed width in bytes.

    Args:
        values: The values.
        times: The number of repetitions of each value, shape `(len(values),)`.
        memory: Where buffers are allocated.
    """
    dtype = _fixed_width(values)
    if dtype is None:
        return values.take(positions(repeat(np.arange(len(values)), times)))
    flat, width = values, 1
    while pa.types.is_fixed_size_list(flat.type):
        width *= flat.type.list_size
        flat = flat.flatten()
    if not len(values):
        return values
    data = np.frombuffer(
        flat.buffers()[1], dtype, len(values) * width, flat.offset * dtype.itemsize
    )
    if width > 1:
        data = data.reshape(-1, width)
    count = int(times.sum())
    out = memory.empty(count * width, dtype)
    spread(data, times, out.reshape(-1, width) if width > 1 else out)
    return _wrapped(values.type, out, count)


def _fixed_width(values: pa.Array) -> np.dtype[np.void] | None:
    """Return a dtype for one innermost item; `None` if there are nulls or values are bit-packed."""
    while pa.types.is_fixed_size_list(values.type):
        if values.null_count or not values.type.list_size:
            return None
        values = values.flatten()
    kind = values.type
    plain = pa.types.is_primitive(kind) and not pa.types.is_boolean(kind)
    if values.null_count or not plain or kind.bit_width % 8:
        return None
    return np.dtype(
        f"u{kind.bit_width // 8}" if kind.bit_width <= 64 else f"V{kind.bit_width // 8}"
    )


def _wrapped(kind: pa.DataType, data: npt.NDArray[np.void], length: int) -> pa.Array:
    if pa.types.is_fixed_size_list(kind):
        child = _wrapped(kind.value_type, data, length * kind.list_size)
        return pa.Array.from_buffers(kind, length, [None], 0, children=[child])
    return pa.Array.from_buffers(kind, length, [None, pa.py_buffer(data)], 0)


def _distances(starts: Int64s, stop: int) -> Int64s:
    """Return the distance from each start to the next one, and from the last one to `stop`."""
    distances = np.empty(len(starts), np.int64)
    np.subtract(starts[1:], starts[:-1], out=distances[:-1])
    distances[-1:] = stop - starts[-1:]
    return distances


def _list_array(
    list_type: pa.DataType,
    offsets: npt.NDArray[np.int32],
    validity: pa.Buffer | None,
    instances: pa.Array,
) -> pa.Array:
    return pa.Array.from_buffers(
        list_type,
        len(offsets) - 1,
        [validity, pa.py_buffer(offsets)],
        -1 if validity is not None else 0,
        children=[instances],
    )
