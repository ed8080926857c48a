"""Row ids as NumPy sees them."""

from __future__ import annotations

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


def sorting(row_ids: RowIdArray) -> npt.NDArray[np.intp]:
    """The stable permutation that sorts row ids."""
    times, counters = row_id_halves(row_ids)
    return np.lexsort((counters, times))
