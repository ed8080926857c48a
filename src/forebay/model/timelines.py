"""Timelines, and conversion of time values to their 64-bit integers."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from forebay.errors import TimeTypeError

TimeLike: TypeAlias = (
    "int | dt.datetime | dt.timedelta | np.integer | np.datetime64 | np.timedelta64"
)
"""The types that the API accepts as a time; see `to_index_value`."""

TIME_MIN = -(2**63)
TIME_MAX = 2**63 - 1

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class TimeType(enum.StrEnum):
    """The meaning of a timeline's 64-bit integers: sequence numbers, durations or timestamps."""

    SEQUENCE = "sequence"
    DURATION = "duration"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True, order=True)
class Timeline:
    """An index of a recording: its name and the type of its times.

    Attributes:
        name: The name, unique within a recording.
        type: The meaning of its times.
    """

    name: str
    type: TimeType


def to_index_value(time: TimeLike, timeline: Timeline) -> int:
    """Convert a time to the 64-bit integer that `timeline` stores.

    The result is a sequence number or nanoseconds (since the Unix epoch for timestamps). A
    `datetime` without a time zone is interpreted as UTC, as in Rerun.

    Args:
        time: An integer, `datetime`, `timedelta` or NumPy value that fits the timeline.
        timeline: The timeline, whose type determines what is accepted.

    Raises:
        TimeTypeError: The kind of `time` does not fit the timeline, or the value is out of the
            64-bit range.
    """
    if type(time) is int:
        value = time
    elif isinstance(time, (bool, np.bool_)):
        raise _mismatch(time, timeline)
    elif isinstance(time, np.datetime64 | np.timedelta64):
        value = _from_numpy(time, timeline)
    elif isinstance(time, (int, np.integer)):
        value = int(time)
    elif isinstance(time, dt.datetime):
        if timeline.type is not TimeType.TIMESTAMP:
            raise _mismatch(time, timeline)
        aware = time if time.tzinfo is not None else time.replace(tzinfo=dt.UTC)
        value = _timedelta_ns(aware - _EPOCH) + getattr(time, "nanosecond", 0)
    elif isinstance(time, dt.timedelta):
        if timeline.type is not TimeType.DURATION:
            raise _mismatch(time, timeline)
        value = _timedelta_ns(time) + getattr(time, "nanoseconds", 0)
    else:
        raise _mismatch(time, timeline)
    if not TIME_MIN <= value <= TIME_MAX:
        msg = f"time {value} on timeline {timeline.name!r} does not fit into 64 bits"
        raise TimeTypeError(msg)
    return value


def _timedelta_ns(delta: dt.timedelta) -> int:
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000


def _from_numpy(time: np.datetime64 | np.timedelta64, timeline: Timeline) -> int:
    kind, wanted = (
        ("datetime64[ns]", TimeType.TIMESTAMP)
        if isinstance(time, np.datetime64)
        else ("timedelta64[ns]", TimeType.DURATION)
    )
    if timeline.type is not wanted:
        raise _mismatch(time, timeline)
    if np.isnat(time):
        msg = f"NaT is not a time on timeline {timeline.name!r}"
        raise TimeTypeError(msg)
    converted = time.astype(kind)
    # NumPy overflows without an error, except for units finer than nanoseconds and values without a
    # unit.
    unit = np.datetime_data(time.dtype)[0]
    fits = unit in ("ps", "fs", "as", "generic") or converted.astype(time.dtype) == time
    if not fits:
        msg = f"{time!r} on timeline {timeline.name!r} does not fit into 64 bits of nanoseconds"
        raise TimeTypeError(msg)
    return int(converted.astype(np.int64))


def _mismatch(time: object, timeline: Timeline) -> TimeTypeError:
    accepted = {
        TimeType.SEQUENCE: "an int",
        TimeType.DURATION: "nanoseconds as int, a timedelta or a numpy.timedelta64",
        TimeType.TIMESTAMP: "nanoseconds as int, a datetime or a numpy.datetime64",
    }[timeline.type]
    msg = (
        f"{time!r} ({type(time).__name__}) is not a time on the {timeline.type} timeline "
        f"{timeline.name!r}; give {accepted}"
    )
    return TimeTypeError(msg)
