"""What is counted and timed of a message's way."""

from __future__ import annotations

import pytest

from forebay.ingest.counts import Counts, Stamps
from forebay.ingest.samples import STAGES

S = 1_000_000_000


def test_every_stage_takes_what_passed_since_the_one_before() -> None:
    counts = Counts()
    counts.note_committed(0.0, Stamps(1 * S, 2 * S, 4 * S, 7 * S, 11 * S), 16 * S)
    took = counts.latency.values(0.0)
    found = [took[name] for name in STAGES]
    assert found == [[], [], [], [1.0], [2.0], [3.0], [4.0], [5.0], [15.0]]


def test_a_stage_that_nobody_noted_is_left_out() -> None:
    counts = Counts()
    counts.note_committed(0.0, Stamps(1 * S, 0, 0, 7 * S, 11 * S), 16 * S)
    took = counts.latency.values(0.0)
    assert [took[name] for name in STAGES[3:]] == [[], [], [6.0], [4.0], [5.0], [15.0]]
    counts = Counts()
    counts.note_committed(0.0, Stamps(0, 0, 0, 0, 0), 16 * S)
    assert not any(counts.latency.values(0.0).values()), "nobody knows when it was logged"


def test_peaks_are_the_most_there_ever_was() -> None:
    counts = Counts()
    for depth, size in ((3, 10), (1, 40), (2, 20)):
        counts.note_peaks(depth, size)
    assert (counts.depth_peak, counts.bytes_peak) == (3, 40)


@pytest.mark.parametrize("reasons", [("a",), ("a", "b", "a")])
def test_drops_are_counted_by_reason(reasons: tuple[str, ...]) -> None:
    counts = Counts()
    for reason in reasons:
        counts.drop(2, 100, reason)
    assert counts.dropped == 2 * len(reasons) == sum(counts.dropped_by_reason.values())
    assert counts.dropped_bytes == 100 * len(reasons)
