"""The cells of one column: their positions in the logged arrays, and methods to extract them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.chunk import converted
from forebay.chunk.arrays import are_valid
from forebay.chunk.arrays import positions as as_positions
from forebay.limits import DATAFRAME_JOIN_BYTES_MAX
from forebay.store.dataframe.columns import ComponentColumn, has_cells, list_offsets
from forebay.store.dataframe.memory import repeat
from forebay.store.dataframe.rows import ChunkRows, Int64s, Positions


class Cells:
    """The cells of one column in ascending order of time, as ranges of concatenated child arrays.

    Attributes:
        rows: The logged rows of the cells.
        values: The child arrays.
        bases: The position of each child array in their concatenation, shape `(len(values) + 1,)`.
        is_plain: Whether cell i is instance i of the only child array, the usual case for scalars.
            Then `starts` and `lengths` need not be computed.
    """

    def __init__(self, column: ComponentColumn, rows: ChunkRows) -> None:
        self.value_type = column.value_type
        arrays = self._arrays(column, rows)
        self.values = [self._trimmed(array, column) for array in arrays]
        self.bases = np.cumsum([0, *map(len, self.values)], dtype=np.int64)
        self._offsets = [list_offsets(array) for array in arrays]
        valid = _valid(arrays)
        self.rows = rows.latest if valid is None else rows.latest_of(valid)
        self.is_plain = (
            len(arrays) == 1 and self.rows.rows is None and _are_single(self._offsets[0])
        )

    @functools.cached_property
    def starts(self) -> Int64s:
        """The position of each cell's first instance, shape `(cells,)`."""
        bases = zip(self._offsets, self.bases, strict=False)
        starts = _concatenated([offsets[:-1] + (base - offsets[0]) for offsets, base in bases])
        taken = self.rows.rows
        return starts if taken is None else starts[taken]

    @functools.cached_property
    def lengths(self) -> npt.NDArray[np.int32]:
        """The number of instances of each cell, shape `(cells,)`."""
        lengths = _concatenated([np.diff(offsets) for offsets in self._offsets])
        taken = self.rows.rows
        return lengths if taken is None else lengths[taken]

    def _arrays(self, column: ComponentColumn, rows: ChunkRows) -> list[pa.ListArray]:
        """Return the column as logged, concatenated if it is small."""
        name = column.component
        if len(rows.chunks) < 2:
            return [chunk.component(name) for chunk in rows.chunks]
        chunked = rows.column(lambda layout: layout.components[name].position)
        if chunked is None:  # logged with several types
            typed = [self._typed(chunk.component(name), column) for chunk in rows.chunks]
            chunked = pa.chunked_array(typed)
        # The size of whole buffers is an upper bound of the bytes in use, and a hundred times
        # faster to compute.
        if (
            chunked.get_total_buffer_size() > DATAFRAME_JOIN_BYTES_MAX
            and chunked.nbytes > DATAFRAME_JOIN_BYTES_MAX
        ):
            return list(chunked.chunks)
        joined = chunked.combine_chunks()
        return list(joined.chunks) if isinstance(joined, pa.ChunkedArray) else [joined]

    def _typed(self, array: pa.ListArray, column: ComponentColumn) -> pa.ListArray:
        if array.type == pa.list_(self.value_type):
            return array
        values = self._instances(array, 0, int(list_offsets(array)[-1]), column)
        return pa.Array.from_buffers(
            pa.list_(self.value_type),
            len(array),
            array.buffers()[:2],
            null_count=array.null_count,
            offset=array.offset,
            children=[values],
        )

    def _trimmed(self, array: pa.ListArray, column: ComponentColumn) -> pa.Array:
        offsets = list_offsets(array)
        return self._instances(array, int(offsets[0]), int(offsets[-1]), column)

    def _instances(
        self, array: pa.ListArray, first: int, stop: int, column: ComponentColumn
    ) -> pa.Array:
        values = array.values.slice(first, stop - first)
        if values.type != self.value_type and not has_cells(array):
            # Types that no cell has do not influence the type of the column.
            return pa.nulls(len(values), self.value_type)
        return as_typed(values, column)

    def __len__(self) -> int:
        return len(self.rows)

    def plain(self, first: int, stop: int) -> pa.Array:
        """Return the instances of cells `first` to `stop` (exclusive); `is_plain` must be true."""
        return self.values[0].slice(first, stop - first)

    def instances(self, starts: Int64s, lengths: npt.NDArray[np.integer]) -> pa.Array:
        """Return the concatenated instances of some cells.

        Args:
            starts: The position of each cell's first instance, shape `(some cells,)`.
            lengths: The number of instances of each cell, shape `(some cells,)`.
        """
        present = lengths > 0
        if not present.all():
            starts, lengths = starts[present], lengths[present]
        if not len(starts):
            return self.values[0].slice(0, 0) if self.values else pa.nulls(0, self.value_type)
        ends = starts + lengths
        if bool((starts[1:] == ends[:-1]).all()):
            return _joined(self._stretches(int(starts[0]), int(ends[-1])))
        if bool((lengths == 1).all()):
            return self._take(starts)
        out = np.cumsum(lengths)
        return self._take(repeat(starts - out + lengths, lengths) + np.arange(out[-1]))

    def cell_bytes_max(self) -> int | None:
        """Return the size of the longest cell in bytes; `None` if instances have no fixed width."""
        try:
            width = self.value_type.bit_width
        except ValueError:
            return None
        longest = 1 if self.is_plain else int(self.lengths.max(initial=0))
        return longest * -(-width // 8)

    def size_bytes(self) -> Int64s:
        """Return the approximate size of each cell in bytes, shape `(cells,)`."""
        sizes = np.zeros(len(self), np.int64)
        order = np.flatnonzero(self.lengths > 0)
        owners = np.searchsorted(self.bases, self.starts[order], side="right") - 1
        if len(self.values) > 1:
            by_owner = np.argsort(owners, kind="stable")
            order, owners = order[by_owner], owners[by_owner]
        cuts = [*np.flatnonzero(np.diff(owners, prepend=-1)), len(owners)]
        for first, stop in itertools.pairwise(cuts):
            mine, owner = order[first:stop], owners[first]
            starts = self.starts[mine] - self.bases[owner]
            sizes[mine] = nested_bytes(self.values[owner], starts, starts + self.lengths[mine])
        return sizes

    def _stretches(self, start: int, end: int) -> list[pa.Array]:
        first = int(np.searchsorted(self.bases, start, side="right")) - 1
        stretches = []
        while start < end:
            stop = min(end, int(self.bases[first + 1]))
            if stop > start:
                stretches.append(
                    self.values[first].slice(start - int(self.bases[first]), stop - start)
                )
            start, first = stop, first + 1
        return stretches

    def _take(self, positions: Int64s) -> pa.Array:
        if len(self.values) == 1:
            return self.values[0].take(as_positions(positions))
        # Of each needed array, the range from its first to its last needed position.
        owners = np.searchsorted(self.bases, positions, side="right") - 1
        needed, inverse = np.unique(owners, return_inverse=True)
        low = np.full(len(needed), np.iinfo(np.int64).max)
        high = np.zeros(len(needed), np.int64)
        np.minimum.at(low, inverse, positions)
        np.maximum.at(high, inverse, positions + 1)
        stretches = [
            self.values[owner].slice(int(a - self.bases[owner]), int(b - a))
            for owner, a, b in zip(needed, low, high, strict=True)
        ]
        joined_at = np.cumsum(high - low) - (high - low)
        return _joined(stretches).take(as_positions(positions - low[inverse] + joined_at[inverse]))


def _are_single(offsets: npt.NDArray[np.int32]) -> bool:
    """Return whether every list has exactly one item."""
    return int(offsets[-1] - offsets[0]) == len(offsets) - 1 and bool(
        (offsets[1:] > offsets[:-1]).all()
    )


def _valid(arrays: Sequence[pa.ListArray]) -> Positions | None:
    """Return the positions of the rows that are not null; `None` if no row is null."""
    if not any(array.null_count for array in arrays):
        return None
    return np.flatnonzero(np.concatenate([are_valid(array) for array in arrays]))


def as_typed(values: pa.Array, column: ComponentColumn) -> pa.Array:
    """Convert logged instances to the type of their column.

    Args:
        values: The instances.
        column: The column; its type is settled.

    Raises:
        QueryError: A value does not fit the type.
    """
    return converted(values, column.value_type, column.entity_path, column.component)


def _joined(arrays: Sequence[pa.Array]) -> pa.Array:
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)


def _concatenated(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate(arrays) if arrays else np.empty(0, np.int64)


def nested_bytes(values: pa.Array, starts: Int64s, ends: Int64s) -> Int64s:  # noqa: PLR0911
    """Return the approximate size of ranges of an array in bytes, one number per range.

    Args:
        values: The array.
        starts: The first position of each range, shape `(ranges,)`.
        ends: The position after each range, shape `(ranges,)`.
    """
    kind = values.type
    count = ends - starts
    if pa.types.is_list(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind):
        buffer = values.buffers()[1]
        if buffer is None or not len(values):
            return count
        offsets = np.frombuffer(buffer, np.int32, len(values) + 1, 4 * values.offset)
        inner_starts = offsets[starts].astype(np.int64)
        inner_ends = offsets[ends].astype(np.int64)
        if pa.types.is_list(kind):
            return 4 * count + nested_bytes(values.values, inner_starts, inner_ends)
        return 4 * count + inner_ends - inner_starts
    if pa.types.is_fixed_size_list(kind):
        offset, size = values.offset, kind.list_size
        return count + nested_bytes(values.values, (starts + offset) * size, (ends + offset) * size)
    if pa.types.is_struct(kind):
        total = count
        for number in range(kind.num_fields):
            total = total + nested_bytes(values.field(number), starts, ends)
        return total
    try:
        return np.maximum(count * kind.bit_width // 8, count)
    except ValueError:  # no fixed width: unions, run ends, large and view types
        return count * max(1, -(-values.nbytes // max(1, len(values))))
