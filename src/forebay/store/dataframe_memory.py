"""Memory for a dataframe's arrays, cut from few large blocks.

First-touch page faults cost more than filling the arrays of a dataframe does; NumPy asks for huge
pages for allocations of 4 MiB and more, so many arrays share one. A block lives as long as any
array that was cut from it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.limits import DATAFRAME_BLOCK_BYTES, MIB

_ALIGNMENT_BYTES = 64  # as Arrow recommends
_HUGE_BYTES_MIN = 4 * MIB


class Memory:
    """Gives out uninitialised arrays, and validity bitmaps."""

    __slots__ = ("_block", "_expected", "_flags", "_used")

    def __init__(self, expected_bytes: int = 0) -> None:
        """`expected_bytes` is about what will be asked for; little is not worth a block."""
        self._expected = expected_bytes
        self._block = np.empty(0, np.uint8)
        self._used = 0
        self._flags = np.empty(0, np.bool_)

    def empty(self, count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array of shape `(count,)`."""
        kind = np.dtype(dtype)
        size = count * kind.itemsize
        if size >= DATAFRAME_BLOCK_BYTES or self._expected < _HUGE_BYTES_MIN:
            return np.empty(count, kind)
        if self._used + size > len(self._block):
            self._block = np.empty(
                max(_HUGE_BYTES_MIN, size, min(self._expected, DATAFRAME_BLOCK_BYTES)), np.uint8
            )
            self._used = -self._block.ctypes.data % _ALIGNMENT_BYTES
            if self._used + size > len(self._block):
                return np.empty(count, kind)
        start = self._used
        self._used += -(-size // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
        self._expected -= size
        return self._block[start : start + size].view(kind)

    def bitmap(self, rows: npt.NDArray[np.intp], count: int) -> pa.Buffer:
        """An Arrow validity bitmap of `count` rows, of which `rows` are valid."""
        if len(self._flags) != count:
            self._flags = np.zeros(count, np.bool_)
        self._flags[rows] = True
        packed = np.packbits(self._flags, bitorder="little")
        self._flags[rows] = False
        return pa.py_buffer(packed)
