"""What a poll tells of, when polls are rare."""

from __future__ import annotations

import pytest

from forebay.errors import StoreError
from forebay.hub import reports as reports_module
from forebay.hub.reports import Reports, WorkerOutput
from forebay.model import ChunkAddition, ChunkStoreEvent
from tests.chunks import make_chunk
from tests.hub.conftest import recording_id

CHUNK = make_chunk("/a", {"frame": [1]}, {"S:x": [[1.0]]})
REFUSED = WorkerOutput(CHUNK, False, StoreError("no"))
TAKEN = WorkerOutput(CHUNK, False, [ChunkStoreEvent(recording_id(), 1, 1, ChunkAddition(CHUNK))])


def test_the_last_report_is_kept_whatever_its_size() -> None:
    reports = Reports(recording_id(), 10)
    reports.keep(REFUSED, 1000)
    assert reports.num_lost == 0
    reports.keep(REFUSED, 1000)
    assert reports.num_lost == 1
    assert reports.take() == [REFUSED]
    assert reports.take() == []


def test_what_the_store_took_over_costs_nothing_here() -> None:
    reports = Reports(recording_id(), 10)
    for _ in range(5):
        reports.keep(TAKEN, 1000)
    assert (len(reports.take()), reports.num_lost) == (5, 0)


def test_bytes_that_went_count_no_more() -> None:
    reports = Reports(recording_id(), 10)
    for _ in range(50):
        reports.keep(REFUSED, 5)
    assert (len(reports.take()), reports.num_lost) == (2, 48)
    reports.keep(REFUSED, 5)
    reports.keep(REFUSED, 5)
    assert len(reports.take()) == 2


def test_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports_module, "REPORTS_KEPT_MAX", 3)
    reports = Reports(recording_id(), 10)
    for _ in range(5):
        reports.keep(TAKEN, 0)
    assert (len(reports.take()), reports.num_lost) == (3, 2)
