"""Row ids as NumPy sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

RowIdArray: TypeAlias = npt.NDArray[np.bytes_]
"""Shape `(rows,)`, dtype `S16`. NumPy compares it byte by byte, which is Rerun's order; only
taking out a single item strips trailing zeros, so use `row_id_at` for that."""


def row_id_array(column: pa.Array) -> RowIdArray:
    """View a `FixedSizeBinary(16)` column without copying."""
    data = column.buffers()[1]
    if data is None or len(column) == 0:
        return np.empty(0, dtype="S16")
    return np.frombuffer(data, dtype="S16", count=len(column), offset=16 * column.offset)


def row_id_halves(row_ids: RowIdArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The nanoseconds and the counters, each of shape `(rows,)`, in native byte order."""
    halves = np.ascontiguousarray(row_ids).view(">u8").reshape(-1, 2).astype(np.uint64)
    return halves[:, 0], halves[:, 1]


def are_sorted(row_ids: RowIdArray) -> bool:
    """Whether row ids never decrease."""
    return len(row_ids) < 2 or bool((row_ids[:-1] <= row_ids[1:]).all())


def are_rising(row_ids: RowIdArray) -> bool:
    """Whether each row id is greater than the one before: sorted, and none twice."""
    return len(row_ids) < 2 or bool((row_ids[:-1] < row_ids[1:]).all())


def latest_first(counts: Sequence[int]) -> npt.NDArray[np.intp]:
    """A sort key that puts rows of a later chunk before those of an earlier one.

    Of two rows with one row id at one time the last one counts, wherever they lie: in one chunk
    the later row, of two chunks (as in Rerun) that of the chunk that came first. So among equal
    rows the first chunk's come last.

    Args:
        counts: The rows of each chunk, in the order of arrival.
    """
    return np.repeat(-np.arange(len(counts), dtype=np.intp), counts)


def sorting(
    row_ids: RowIdArray, among_equals: npt.NDArray[np.intp] | None = None
) -> npt.NDArray[np.intp]:
    """The stable permutation that sorts row ids, equal ones by `among_equals` if it is given."""
    times, counters = row_id_halves(row_ids)
    keys = (counters, times) if among_equals is None else (among_equals, counters, times)
    return np.lexsort(keys)
