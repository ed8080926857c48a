"""The first rejections and the last are kept, each once, and in bounded memory; so are gaps."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

from forebay.errors import InvalidChunkError, LimitError
from forebay.ingest import Gap, IngestionWorker, RejectedMsg, rejections
from forebay.ingest.gaps import GapLog
from forebay.ingest.rejections import RejectionLog
from forebay.limits import (
    ERROR_TEXT_CHARS_MAX,
    GAP_TIMELINES_MAX,
    GAPS_KEPT_BYTES_MAX,
    REJECTIONS_KEPT_BYTES_MAX,
    REJECTIONS_KEPT_MAX,
)
from forebay.model import ArrowMsg, EntityPath
from forebay.runtime import InlineRuntime, Runtime
from tests.ingest.support import STORE, TIMEOUT_S
from tests.ingest.support import rejected as rejected_of


def rejected(seq: int) -> RejectedMsg:
    return RejectedMsg(seq, STORE, None, InvalidChunkError("no"))


def test_what_comes_again_after_a_ctrl_c_is_noted_once() -> None:
    log = RejectionLog()
    some = [rejected(seq) for seq in range(3)]
    log.extend(some[:2])
    log.extend(some)
    assert [one.seq for one in log] == [0, 1, 2]


def test_those_in_the_middle_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections, "REJECTIONS_KEPT_MAX", 4)
    log = RejectionLog()
    for seq in range(10):
        log.extend([rejected(seq)])
    assert [one.seq for one in log] == [0, 1, 8, 9]
    assert len(log) == 4


def test_long_texts_are_bounded_in_bytes() -> None:
    log = RejectionLog()
    for seq in range(2000):
        log.extend([RejectedMsg(seq, STORE, None, InvalidChunkError("x" * 100_000))])
        assert log.held_bytes <= REJECTIONS_KEPT_BYTES_MAX
    seqs = [one.seq for one in log]
    assert seqs[0] == 0
    assert seqs[-1] == 1999
    assert seqs == sorted(seqs)
    assert 300 < len(log) < 1000
    texts = sum(len(str(one.error)) for one in log)
    assert texts <= log.held_bytes


def test_errors_that_are_shared_are_kept_by_the_thousand() -> None:
    log = RejectionLog()
    error = LimitError("full", limit="memory_limit", is_shared=True)
    for seq in range(5000):
        log.extend([RejectedMsg(seq, STORE, None, error)])
    assert len(log) == REJECTIONS_KEPT_MAX
    assert log.held_bytes < 300 * REJECTIONS_KEPT_MAX


def test_forty_chunks_that_name_a_column_with_forty_megabytes(runtime: Runtime) -> None:
    """What is kept of them is text of a fixed length: it was 1.7 GB."""
    name = "n" * 4_000_000
    batch = pa.record_batch({name: pa.array([1])}, schema=pa.schema([pa.field(name, pa.int64())]))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    payload = sink.getvalue()
    worker = IngestionWorker(store_id=STORE, runtime=runtime)
    for _ in range(40):
        worker.submit(ArrowMsg(STORE, payload))
    assert worker.wait_processed(timeout=TIMEOUT_S)
    outcomes = rejected_of(worker.poll())
    assert len(outcomes) == 40
    for one in outcomes:
        assert len(str(one.error)) <= ERROR_TEXT_CHARS_MAX
        assert len(pickle.dumps(one.error)) < 3 * ERROR_TEXT_CHARS_MAX
        assert len(str(one.error.__cause__)) <= 2 * ERROR_TEXT_CHARS_MAX
    assert worker.kept_bytes < REJECTIONS_KEPT_BYTES_MAX


def test_gaps_of_very_many_timelines_and_long_paths_are_bounded_in_bytes() -> None:
    log = GapLog(InlineRuntime())
    for number in range(500):
        ranges = {f"{number}/{line}/" + "t" * 100: (0, 1) for line in range(GAP_TIMELINES_MAX)}
        path = EntityPath(f"/{number}/" + "p" * 1000)
        log.add(Gap(path, "drop_oldest", 1, 10, number, number, ranges))
        assert log.held_bytes <= GAPS_KEPT_BYTES_MAX
        if not number % 50:
            log.begin_episode()
    gaps = log.gaps()
    assert sum(gap.count for gap in gaps) == 500
    assert sum(gap.held_bytes for gap in gaps) == log.held_bytes
    assert max(len(gap.time_ranges) for gap in gaps) <= GAP_TIMELINES_MAX
