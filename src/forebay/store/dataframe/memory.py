"""Memory for the arrays of a dataframe.

First-touch page faults cost more than filling the arrays. Arrow's memory pool keeps freed memory
and uses huge pages if available. So arrays are allocated there, several columns in one slab to fill
whole huge pages, and columns share arrays that are equal.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.limits import DATAFRAME_SLAB_BYTES

ALIGNMENT: Final = 64
"""In bytes; Arrow's recommendation for buffers."""

ALONE_BYTES_MAX: Final = 1 << 16
"""Arrays up to this size cause few page faults and are allocated separately."""


def empty(count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an uninitialized array of shape `(count,)`, allocated from Arrow's memory pool.

    Args:
        count: The number of values.
        dtype: Their type.
    """
    kind = np.dtype(dtype)
    if not count:
        return np.empty(0, kind)
    return np.frombuffer(pa.allocate_buffer(count * kind.itemsize), kind)


def spread(values: npt.NDArray[Any], times: npt.NDArray[np.int64], out: npt.NDArray[Any]) -> None:
    """Write each value repeatedly into an existing array.

    Args:
        values: The values, shape `(n, …)`.
        times: The number of repetitions of each value, shape `(n,)`.
        out: The destination, shape `(sum of times, …)`.
    """
    last = len(times) - 1
    if last < 0:
        return
    each = int(times[0])
    if not last or bool((times[:last] == each).all()):
        # Equal repetitions: a broadcast needs no second array and is limited by memory bandwidth
        # only.
        inner = values.shape[1:]
        out[: last * each].reshape(last, each, *inner)[:] = values[:last, np.newaxis]
        out[last * each :] = values[last]
    else:
        # NumPy allocates a temporary array; the next column reuses its memory.
        out[:] = repeat(values, times)


def repeat(values: npt.NDArray[Any], counts: npt.ArrayLike) -> npt.NDArray[Any]:
    """`np.repeat` along the first axis that accepts 64-bit counts.

    NumPy requires 32-bit counts in WebAssembly.

    Args:
        values: The values, shape `(n, …)`.
        counts: The number of repetitions of each value, shape `(n,)` or scalar.
    """
    return np.repeat(values, np.asarray(counts, np.intp), axis=0)


class Memory:
    """Allocator and shared arrays for the columns of one dataframe.

    A slab is freed when no array in it is referenced any more. So a reference to a single column
    may keep up to `DATAFRAME_SLAB_BYTES` of other columns in memory.
    """

    __slots__ = ("_columns", "_flags", "_lead", "_rising", "_slab", "_taken")

    def __init__(self, columns: int) -> None:
        """Make an allocator for a number of columns; see `expect`."""
        self._flags = np.empty(0, np.bool_)
        self._lead = 0
        self._rising = np.empty(0, np.int32)
        self._slab: pa.Buffer | None = None
        self._taken = 0
        self._columns = columns

    def expect(self, columns: int) -> None:
        """Announce that up to `columns` arrays of similar size follow; it limits the size of slabs.

        Args:
            columns: The number of arrays.
        """
        self._columns = columns

    def empty(self, count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an uninitialized array of shape `(count,)` for one column.

        Args:
            count: The number of values.
            dtype: Their type.
        """
        kind = np.dtype(dtype)
        size = -(-count * kind.itemsize // ALIGNMENT) * ALIGNMENT
        alike, self._columns = max(self._columns, 1), self._columns - 1
        if size <= ALONE_BYTES_MAX or 2 * size > DATAFRAME_SLAB_BYTES:
            return empty(count, kind)
        if self._slab is None or self._taken + size > self._slab.size:
            self._slab = pa.allocate_buffer(size * min(alike, DATAFRAME_SLAB_BYTES // size))
            self._taken = 0
        start = self._taken
        self._taken += size
        return np.frombuffer(self._slab, kind, count, start)

    def bitmap(self, rows: npt.NDArray[np.intp], count: int) -> pa.Buffer:
        """Return an Arrow validity bitmap in which only some rows are valid.

        Args:
            rows: The positions of the valid rows.
            count: The number of rows.
        """
        if len(self._flags) != count:
            self._flags = np.zeros(count, np.bool_)
        self._flags[rows] = True
        packed = np.packbits(self._flags, bitorder="little")
        self._flags[rows] = False
        return pa.py_buffer(packed)

    def rising(self, lead: int, count: int) -> npt.NDArray[np.int32]:
        """Return the offsets of lists: some empty lists, followed by lists with one item each.

        The array is shared; the caller must not change it.

        Args:
            lead: The number of empty lists.
            count: The number of all lists; the result has shape `(count + 1,)`.
        """
        if lead > self._lead or len(self._rising) - self._lead < count + 1:
            self._lead = min(max(lead, 2 * self._lead, 1024), max(lead, count))
            self._rising = empty(self._lead + count + 1, np.int32)
            self._rising[: self._lead] = 0
            _count_up(self._rising[self._lead :])
        start = self._lead - lead
        return self._rising[start : start + count + 1]


def bitmap_after(lead: int, count: int) -> pa.Buffer:
    """Return an Arrow validity bitmap in which all rows after the first `lead` are valid.

    Args:
        lead: The number of null rows.
        count: The number of rows.
    """
    bits = np.full(-(-count // 8), 0xFF, np.uint8)
    whole, rest = divmod(lead, 8)
    bits[:whole] = 0
    if rest:
        bits[whole] = 0xFF << rest & 0xFF
    if count % 8:
        bits[-1] &= 0xFF >> (8 - count % 8)
    return pa.py_buffer(bits)


def _count_up(out: npt.NDArray[np.int32]) -> None:
    """Fill an array with 0, 1, 2, … without a temporary array of the same size."""
    known = min(len(out), 1024)
    out[:known] = np.arange(known, dtype=np.int32)
    while known < len(out):
        stop = min(2 * known, len(out))
        np.add(out[: stop - known], np.int32(known), out=out[known:stop])
        known = stop
