"""Row ids as NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

RowIdArray: TypeAlias = npt.NDArray[np.bytes_]
"""Row ids, shape `(rows,)`, dtype `S16`.

NumPy compares them byte by byte, which is Rerun's order. But reading a single item removes trailing
zero bytes: use `row_id_at` for that.
"""


def row_id_array(column: pa.Array) -> RowIdArray:
    """Return a NumPy view of a `FixedSizeBinary(16)` column, shape `(rows,)`; no copy.

    Args:
        column: The row-id column, without nulls.
    """
    data = column.buffers()[1]
    if data is None or len(column) == 0:
        return np.empty(0, dtype="S16")
    return np.frombuffer(data, dtype="S16", count=len(column), offset=16 * column.offset)


def row_id_halves(row_ids: RowIdArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return the nanoseconds and the counters of row ids as native integers.

    Returns:
        Two arrays, each of shape `(rows,)`.
    """
    halves = np.ascontiguousarray(row_ids).view(">u8").reshape(-1, 2).astype(np.uint64)
    return halves[:, 0], halves[:, 1]


def are_sorted(row_ids: RowIdArray) -> bool:
    """Return whether row ids never decrease."""
    return len(row_ids) < 2 or bool((row_ids[:-1] <= row_ids[1:]).all())


def are_rising(row_ids: RowIdArray) -> bool:
    """Return whether row ids strictly increase: they are sorted, and none occurs twice."""
    return len(row_ids) < 2 or bool((row_ids[:-1] < row_ids[1:]).all())


def latest_first(counts: Sequence[int]) -> npt.NDArray[np.intp]:
    """Return a sort key, shape `(rows,)`, that puts later chunks before earlier chunks.

    Of two rows with the same row id and time, the last one in sort order counts. Within a chunk
    this is the later row. Of two chunks it is, as in Rerun, the row of the chunk that arrived
    first. So among equal rows those of the first chunk must come last.

    Args:
        counts: The number of rows of each chunk, in order of arrival.
    """
    return np.repeat(-np.arange(len(counts), dtype=np.intp), counts)


def sorting(
    row_ids: RowIdArray, among_equals: npt.NDArray[np.intp] | None = None
) -> npt.NDArray[np.intp]:
    """Return the stable permutation that sorts row ids, shape `(rows,)`.

    Args:
        row_ids: The row ids.
        among_equals: A second sort key for equal row ids, shape `(rows,)`.
    """
    times, counters = row_id_halves(row_ids)
    keys = (counters, times) if among_equals is None else (among_equals, counters, times)
    return np.lexsort(keys)
