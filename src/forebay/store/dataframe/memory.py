"""Memory for a dataframe's arrays.

First-touch page faults cost more than filling the arrays of a dataframe does. Arrow's pool keeps
what was freed and takes huge pages where there are any, so arrays come from there; and what
columns have in common they share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def empty(count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An uninitialised array of shape `(count,)` in Arrow's pool."""
    kind = np.dtype(dtype)
    if not count:
        return np.empty(0, kind)
    return np.frombuffer(pa.allocate_buffer(count * kind.itemsize), kind)


class Memory:
    """What the columns of one dataframe share."""

    __slots__ = ("_flags", "_lead", "_rising")

    def __init__(self) -> None:
        self._flags = np.empty(0, np.bool_)
        self._lead = 0
        self._rising = np.empty(0, np.int32)

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
            self._rising[self._lead :] = np.arange(count + 1, dtype=np.int32)
        start = self._lead - lead
        return self._rising[start : start + count + 1]
