"""The rows of a dataframe: its index values, and the row to which a time belongs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.chunk import ARROW_TIME_TYPES
from forebay.errors import ExpressionError, TimeTypeError
from forebay.model import TimeLike, Timeline, TimeType, to_index_value
from forebay.model.timelines import TIME_MAX
from forebay.store.dataframe.rows import MISSING, Int64s, Positions

IndexValues: TypeAlias = "Sequence[TimeLike] | npt.NDArray[np.generic] | pa.Array | pa.ChunkedArray"
"""Index values to sample at, in any order."""

_FINER_UNITS: Final = frozenset({"ps", "fs", "as", "generic"})

DENSE_SPAN_MAX = 8
"""Up to this ratio of range to count, index values are found with a table instead of sorting."""


def merged_index(times: Iterable[Int64s]) -> Int64s:
    """Return all distinct times in ascending order, shape `(distinct times,)`.

    Args:
        times: Arrays of times, each in ascending order.
    """
    distinct = {id(array): array for array in times if len(array)}
    arrays = list(distinct.values())
    if len(arrays) <= 1:
        return arrays[0] if arrays else np.empty(0, np.int64)
    first = min(int(array[0]) for array in arrays)
    span = max(int(array[-1]) for array in arrays) - first + 1
    if span <= DENSE_SPAN_MAX * sum(map(len, arrays)):
        seen = np.zeros(span, np.bool_)
        for array in arrays:
            seen[array - first if first else array] = True
        if bool(seen.all()):
            return np.arange(first, first + span, dtype=np.int64)
        found = np.flatnonzero(seen).astype(np.int64, copy=False)
        found += first
        return found
    merged = np.concatenate(arrays)
    merged.sort(kind="stable")  # Timsort, for which each ascending array is one run
    fresh = np.empty(len(merged), np.bool_)
    fresh[0] = True
    np.not_equal(merged[1:], merged[:-1], out=fresh[1:])
    return merged[fresh]


class RowIndex:
    """The index values of a dataframe, and the search for the row of a time.

    Attributes:
        values: Distinct and ascending, shape `(rows,)`.
    """

    def __init__(self, values: Int64s) -> None:
        self.values = values
        self._table: npt.NDArray[np.int32] | None = None
        if len(values) > 1 and len(values) < 2**31 - 1:
            span = int(values[-1]) - int(values[0]) + 1
            if len(values) < span <= DENSE_SPAN_MAX * len(values):
                # Entry i: the number of index values less than `values[0] + i`.
                seen = np.zeros(span + 1, np.int32)
                seen[values - values[0] + 1] = 1
                self._table = np.cumsum(seen, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.values)

    def at_or_after(self, times: Int64s) -> Positions:
        """Return the first row at or after each time; the number of rows if there is none.

        Args:
            times: Times in ascending order, shape `(times,)`.
        """
        values = self.values
        if not len(values) or not len(times):
            return np.zeros(len(times), np.intp)
        first, last = int(values[0]), int(values[-1])
        inside = int(times[0]) >= first and int(times[-1]) <= last
        if inside and last - first + 1 == len(values):
            return (times - first).astype(np.intp, copy=False)
        if inside and self._table is not None:
            return self._table[times - first].astype(np.intp)
        return np.searchsorted(values, times)


def parsed_index_values(values: IndexValues, timeline: Timeline) -> Int64s:
    """Convert index values given by a caller to ascending integers.

    Args:
        values: The index values, in any order. Nulls of an Arrow array are removed.
        timeline: The timeline of the index.

    Raises:
        TimeTypeError: The values are of a kind that does not fit the timeline.
        ExpressionError: A value is repeated (a `ValueError`, as in Rerun).
    """
    parsed = np.sort(_integers(values, timeline))
    repeated = parsed[1:][parsed[1:] == parsed[:-1]]
    if len(repeated):
        msg = (
            f"using_index_values has {int(repeated[0])} on timeline {timeline.name!r} more than "
            "once; give every index value once"
        )
        raise ExpressionError(msg)
    return np.maximum(parsed, MISSING + 1)


def _integers(values: IndexValues, timeline: Timeline) -> Int64s:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return _from_arrow(values, timeline)
    if isinstance(values, (str, bytes, set, frozenset, dict)) or not isinstance(values, Iterable):
        raise _mismatch(values, timeline)
    if isinstance(values, np.ndarray):
        return _from_numpy(values, timeline)
    return np.array([to_index_value(value, timeline) for value in values], dtype=np.int64)


def _from_arrow(values: pa.Array, timeline: Timeline) -> Int64s:
    kind = values.type
    fits = (
        pa.types.is_integer(kind)
        or (pa.types.is_timestamp(kind) and timeline.type is TimeType.TIMESTAMP)
        or (pa.types.is_duration(kind) and timeline.type is TimeType.DURATION)
    )
    if not fits and not pa.types.is_null(kind):
        raise _mismatch(kind, timeline)
    present = values.drop_null()
    try:
        if pa.types.is_temporal(kind):
            present = present.cast(ARROW_TIME_TYPES[timeline.type])
        integers: Int64s = present.cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise _too_large(timeline) from error
    return integers


def _from_numpy(values: npt.NDArray[np.generic], timeline: Timeline) -> Int64s:
    if values.ndim != 1:
        msg = f"index values have one dimension, not {values.ndim}"
        raise TimeTypeError(msg)
    if values.dtype.kind in "iu":
        if values.dtype.kind == "u" and len(values) and int(values.max()) > TIME_MAX:
            raise _too_large(timeline)
        return values.astype(np.int64)
    unit = {TimeType.TIMESTAMP: "datetime64[ns]", TimeType.DURATION: "timedelta64[ns]"}
    wanted = unit.get(timeline.type)
    if wanted is None or values.dtype.kind != np.dtype(wanted).kind:
        raise _mismatch(values.dtype, timeline)
    if np.isnat(values).any():
        msg = f"NaT is not a time on timeline {timeline.name!r}"
        raise TimeTypeError(msg)
    nanoseconds = values.astype(wanted)
    # NumPy overflows without an error. Units finer than nanoseconds cannot overflow, but lose their
    # fraction.
    is_finer = np.datetime_data(values.dtype)[0] in _FINER_UNITS  # type: ignore[arg-type]
    if not is_finer and not (nanoseconds.astype(values.dtype) == values).all():
        raise _too_large(timeline)
    return nanoseconds.astype(np.int64)


def _too_large(timeline: Timeline) -> TimeTypeError:
    msg = f"index values on timeline {timeline.name!r} do not fit into 64 bits"
    if timeline.type is not TimeType.SEQUENCE:
        msg += " of nanoseconds"
    return TimeTypeError(msg)


def _mismatch(what: object, timeline: Timeline) -> TimeTypeError:
    accepted = {
        TimeType.SEQUENCE: "integers",
        TimeType.DURATION: "nanoseconds as integers, timedelta or timedelta64",
        TimeType.TIMESTAMP: "nanoseconds as integers, datetime or datetime64",
    }[timeline.type]
    msg = (
        f"{what!r} are not index values on the {timeline.type} timeline {timeline.name!r}; "
        f"give a sequence, NumPy or Arrow array of {accepted}"
    )
    return TimeTypeError(msg)


def restricted(
    values: Int64s, start: TimeLike | None, end: TimeLike | None, timeline: Timeline
) -> Int64s:
    """Return the index values in `[start, end]`.

    Args:
        values: Index values, ascending.
        start: The least value, inclusive; `None` means no bound.
        end: The greatest value, inclusive; `None` means no bound.
        timeline: The timeline of the index.

    Raises:
        TimeTypeError: A bound does not fit the timeline.
    """
    low = 0 if start is None else np.searchsorted(values, to_index_value(start, timeline))
    high = (
        len(values)
        if end is None
        else np.searchsorted(values, to_index_value(end, timeline), side="right")
    )
    return values[low : max(low, high)]
