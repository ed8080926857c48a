"""Scalars over time, reduced for a plot to the minimum and maximum of each bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forebay.limits import WEB_SERIES_PER_COMPONENT_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Int64s = npt.NDArray[np.int64]
    Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Points:
    """One line of a plot.

    Attributes:
        times: Ascending, shape `(points,)`.
        least: Lower end of what is drawn at each time, shape `(points,)`.
        greatest: Upper end, shape `(points,)`; equal to `least` if there is one value.
    """

    times: Int64s
    least: Float64s
    greatest: Float64s


def is_plottable(cells: pa.DataType) -> bool:
    """Return whether a component of this (list) type consists of numbers."""
    kind = cells.value_type if pa.types.is_list(cells) else cells
    return bool(
        pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or (pa.types.is_integer(kind) and not pa.types.is_uint8(kind))
    )


def all_series(times: Int64s, cells: pa.ListArray, buckets: int) -> Iterator[Points]:
    """Yield one line for the first instance of each cell, one for the second, and so on.

    Args:
        times: Time of each cell, ascending, shape `(rows,)`.
        cells: Lists of numbers, `rows` of them; null and empty ones are gaps.
        buckets: Longer lines are reduced to this many times.
    """
    lengths = np.asarray(pc.fill_null(pc.list_value_length(cells), 0))
    longest = int(lengths.max(initial=0))
    values = cells.flatten().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    starts = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    for instance in range(min(longest, WEB_SERIES_PER_COMPONENT_MAX)):
        has = lengths > instance
        yield thinned(times[has], values[starts[has] + instance], buckets)


def thinned(times: Int64s, values: Float64s, buckets: int) -> Points:
    """Reduce a line to at most `buckets` points that keep every extreme value.

    Args:
        times: Ascending, shape `(rows,)`.
        values: Shape `(rows,)`.
        buckets: Number of equal intervals of time.
    """
    finite = np.isfinite(values)
    if not finite.all():
        times, values = times[finite], values[finite]
    if len(times) <= buckets:
        return Points(times, values, values)
    span = int(times[-1]) - int(times[0]) + 1
    # In floats, because the difference of two times may exceed 64 bits.
    part = (times.astype(np.float64) - float(times[0])) * (buckets / span)
    number = np.minimum(part.astype(np.int64), buckets - 1)
    begins = np.flatnonzero(np.diff(number, prepend=-1))
    return Points(
        times[begins],
        np.minimum.reduceat(values, begins),
        np.maximum.reduceat(values, begins),
    )
