"""Scalars over time, thinned to what a plot can show: the least and the greatest of each bucket."""

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
    """A line of a plot.

    Attributes:
        times: Ascending, shape `(points,)`.
        least: What to draw from at each time.
        greatest: What to draw to; the same as `least` where there is but one value.
    """

    times: Int64s
    least: Float64s
    greatest: Float64s


def is_plottable(cells: pa.DataType) -> bool:
    """Whether a component of this (list) type is a number, or several."""
    kind = cells.value_type if pa.types.is_list(cells) else cells
    return bool(
        pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or (pa.types.is_integer(kind) and not pa.types.is_uint8(kind))
    )


def all_series(times: Int64s, cells: pa.ListArray, buckets: int) -> Iterator[Points]:
    """One line for the first instance of each cell, one for the second, and so on.

    Args:
        times: Of each cell, ascending, shape `(rows,)`.
        cells: Lists of numbers; null and empty ones are gaps.
        buckets: Longer lines are thinned to this many times.
    """
    lengths = np.asarray(pc.fill_null(pc.list_value_length(cells), 0))
    longest = int(lengths.max(initial=0))
    values = cells.flatten().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    starts = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    for instance in range(min(longest, WEB_SERIES_PER_COMPONENT_MAX)):
        has = lengths > instance
        yield thinned(times[has], values[starts[has] + instance], buckets)


def thinned(times: Int64s, values: Float64s, buckets: int) -> Points:
    """At most `buckets` points that have every peak of the line."""
    finite = np.isfinite(values)
    if not finite.all():
        times, values = times[finite], values[finite]
    if len(times) <= buckets:
        return Points(times, values, values)
    span = int(times[-1]) - int(times[0]) + 1
    # In floats, as times may be further apart than 64 bits can say.
    part = (times.astype(np.float64) - float(times[0])) * (buckets / span)
    number = np.minimum(part.astype(np.int64), buckets - 1)
    begins = np.flatnonzero(np.diff(number, prepend=-1))
    return Points(
        times[begins],
        np.minimum.reduceat(values, begins),
        np.maximum.reduceat(values, begins),
    )
