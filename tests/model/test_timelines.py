from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.errors import TimeTypeError
from forebay.model import TimeLike, Timeline, TimeType, to_index_value

FRAME = Timeline("frame", TimeType.SEQUENCE)
ELAPSED = Timeline("elapsed", TimeType.DURATION)
STAMP = Timeline("stamp", TimeType.TIMESTAMP)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
int64 = st.integers(-(2**63), 2**63 - 1)


@given(int64, st.sampled_from([FRAME, ELAPSED, STAMP]))
def test_integers_are_what_they_are_on_every_timeline(value: int, timeline: Timeline) -> None:
    assert to_index_value(value, timeline) == value
    assert to_index_value(np.int64(value), timeline) == value


@given(int64.filter(lambda value: value != -(2**63)))
def test_numpy_s_kinds_are_nanoseconds(value: int) -> None:
    assert to_index_value(np.timedelta64(value, "ns"), ELAPSED) == value
    assert to_index_value(np.datetime64(value, "ns"), STAMP) == value


@given(st.timedeltas(min_value=dt.timedelta(days=-90_000), max_value=dt.timedelta(days=90_000)))
def test_python_s_kinds_are_exact(delta: dt.timedelta) -> None:
    nanoseconds = delta // dt.timedelta(microseconds=1) * 1000
    assert to_index_value(delta, ELAPSED) == nanoseconds
    assert to_index_value(EPOCH + delta, STAMP) == nanoseconds
    assert to_index_value((EPOCH + delta).replace(tzinfo=None), STAMP) == nanoseconds


def test_time_zones_count() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    assert to_index_value(dt.datetime(1970, 1, 1, 2, tzinfo=zone), STAMP) == 0


@pytest.mark.parametrize("unit", ["s", "ms", "us", "D"])
def test_coarser_numpy_units_are_converted(unit: str) -> None:
    expected = int(np.timedelta64(3, unit).astype("timedelta64[ns]").astype(np.int64))
    assert to_index_value(np.timedelta64(3, unit), ELAPSED) == expected
    assert to_index_value(np.datetime64(3, unit), STAMP) == expected


def test_finer_numpy_units_are_cut_off() -> None:
    assert to_index_value(np.timedelta64(3999, "ps"), ELAPSED) == 3
    assert to_index_value(np.datetime64(5000, "ps"), STAMP) == 5
    assert to_index_value(np.timedelta64(3), ELAPSED) == 3


@pytest.mark.parametrize(
    ("time", "timeline"),
    [
        (dt.timedelta(1), FRAME),
        (dt.timedelta(1), STAMP),
        (EPOCH, FRAME),
        (EPOCH, ELAPSED),
        (np.timedelta64(1, "ns"), STAMP),
        (np.datetime64(1, "ns"), ELAPSED),
        (np.timedelta64("NaT"), ELAPSED),
        (np.datetime64("NaT"), STAMP),
        (True, FRAME),
        (1.5, FRAME),
        ("1", FRAME),
        (None, FRAME),
        (2**63, FRAME),
        (-(2**63) - 1, ELAPSED),
        (dt.datetime(1, 1, 1, tzinfo=dt.UTC), STAMP),
        (dt.timedelta.max, ELAPSED),
        (np.datetime64("2500-01-01"), STAMP),
        (np.timedelta64(10**6, "D"), ELAPSED),
        (np.datetime64(2**60, "D"), STAMP),
    ],
)
def test_what_does_not_fit_is_refused(time: TimeLike, timeline: Timeline) -> None:
    with pytest.raises(TimeTypeError, match=timeline.name):
        to_index_value(time, timeline)
