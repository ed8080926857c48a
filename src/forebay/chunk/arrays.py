"""Between Arrow and NumPy without `pa.array` and `to_numpy`.

Both import pandas where there is one: half a second, at the first call of a process, and maybe
with a store's lock held.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bools = npt.NDArray[np.bool_]


def positions(rows: npt.NDArray[np.integer]) -> pa.Int64Array:
    """Positions as `take` wants them, shape `(len(rows),)`."""
    data = np.ascontiguousarray(rows, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(data), [None, pa.py_buffer(data)], 0)


def truths(flags: pa.BooleanArray) -> Bools:
    """The values of a boolean array (anything where one is null), shape `(len(flags),)`."""
    bits = flags.buffers()[1]
    if bits is None or not len(flags):
        return np.zeros(0, np.bool_)
    first, stop = flags.offset, flags.offset + len(flags)
    octets = np.frombuffer(bits, np.uint8, (stop + 7) // 8 - first // 8, first // 8)
    unpacked = np.unpackbits(octets, count=first % 8 + len(flags), bitorder="little")
    return unpacked[first % 8 :].view(np.bool_)


def are_valid(column: pa.Array) -> Bools:
    """Which values are not null, shape `(len(column),)`."""
    return truths(column.is_valid())
