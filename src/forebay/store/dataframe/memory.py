"""Memory for a dataframe's arrays.

First-touch page faults cost more than filling the arrays of a dataframe does. Arrow's pool keeps
what was freed and takes huge pages where there are any, so arrays come from there, several columns
in one slab that leaves no huge page half used; and what columns have in common they share.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.limits import DATAFRAME_SLAB_BYTES

ALIGNMENT: Final = 64
"""Bytes; what Arrow recommends for buffers."""

ALONE_BYTES_MAX: Final = 1 << 16
"""Arrays up to this size fault in few pages, wherever they are."""


def empty(count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An uninitialised array of shape `(count,)` in Arrow's pool."""
    kind = np.dtype(dtype)
    if not count:
        return np.empty(0, kind)
    return np.frombuffer(pa.allocate_buffer(count * kind.itemsize), kind)


def spread(values: npt.NDArray[Any], times: npt.NDArray[np.int64], out: npt.NDArray[Any]) -> None:
    """Write each of `values` that many times, one after another; `out` has room for just that."""
    last = len(times) - 1
    if last < 0:
        return
    each = int(times[0])
    if not last or bool((times[:last] == each).all()):
        # Rows at equal distances: a broadcast needs no second array and is bound by memory only.
        inner = values.shape[1:]
        out[: last * each].reshape(last, each, *inner)[:] = values[:last, np.newaxis]
        out[last * each :] = values[last]
    else:
        # NumPy repeats into an array of its own, whose memory the next column reuses.
        out[:] = repeat(values, times)


def repeat(values: npt.NDArray[Any], counts: npt.ArrayLike) -> npt.NDArray[Any]:
    """`np.repeat` along the first axis; NumPy's counts are of 32 bits in WebAssembly."""
    return np.repeat(values, np.asarray(counts, np.intp), axis=0)


class Memory:
    """What the columns of one dataframe share.

    A slab is free once no array in it is referred to any more, so whoever keeps a single column
    keeps up to `DATAFRAME_SLAB_BYTES` of its neighbours.
    """

    __slots__ = ("_columns", "_flags", "_lead", "_rising", "_slab", "_taken")

    def __init__(self, columns: int) -> None:
        """`columns` are still to be made; see `expect`."""
        self._flags = np.empty(0, np.bool_)
        self._lead = 0
        self._rising = np.empty(0, np.int32)
        self._slab: pa.Buffer | None = None
        self._taken = 0
        self._columns = columns

    def expect(self, columns: int) -> None:
        """So many arrays of like size may follow; slabs are not made any larger than that."""
        self._columns = columns

    def empty(self, count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An uninitialised array of shape `(count,)` for one column."""
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
        """An Arrow validity bitmap of `count` rows, of which `rows` are valid."""
        if len(self._flags) != count:
            self._flags = np.zeros(count, np.bool_)
        self._flags[rows] = True
        packed = np.packbits(self._flags, bitorder="little")
        self._flags[rows] = False
        return pa.py_buffer(packed)

    def rising(self, lead: int, count: int) -> npt.NDArray[np.int32]:
        """Offsets of `count` lists: `lead` empty ones, then lists of one; do not change them."""
        if lead > self._lead or len(self._rising) - self._lead < count + 1:
            self._lead = min(max(lead, 2 * self._lead, 1024), max(lead, count))
            self._rising = empty(self._lead + count + 1, np.int32)
            self._rising[: self._lead] = 0
            _count_up(self._rising[self._lead :])
        start = self._lead - lead
        return self._rising[start : start + count + 1]


def bitmap_after(lead: int, count: int) -> pa.Buffer:
    """An Arrow validity bitmap of `count` rows, all valid but the first `lead`."""
    bits = np.full(-(-count // 8), 0xFF, np.uint8)
    whole, rest = divmod(lead, 8)
    bits[:whole] = 0
    if rest:
        bits[whole] = 0xFF << rest & 0xFF
    if count % 8:
        bits[-1] &= 0xFF >> (8 - count % 8)
    return pa.py_buffer(bits)


def _count_up(out: npt.NDArray[np.int32]) -> None:
    """Fill with 0, 1, 2, …, with no second array of that size."""
    known = min(len(out), 1024)
    out[:known] = np.arange(known, dtype=np.int32)
    while known < len(out):
        stop = min(2 * known, len(out))
        np.add(out[: stop - known], np.int32(known), out=out[known:stop])
        known = stop
