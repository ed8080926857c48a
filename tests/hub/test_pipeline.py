"""How messages get into a store, and what is told of them."""

from __future__ import annotations

import pytest

from forebay.chunk import Chunk
from forebay.errors import (
    FlushTimeoutError,
    InvalidChunkError,
    QueueFullError,
    StoreError,
    WorkerClosedError,
)
from forebay.hub import EntityDb, WorkerOutput
from forebay.ingest import rejections
from forebay.model import ChunkStoreEvent, SetStoreInfo, StoreInfo
from forebay.runtime import NativeRuntime, Runtime, run_in_parallel
from tests.chunks import make_chunk
from tests.hub.conftest import (
    PATIENCE_S,
    Gate,
    added,
    broken,
    collect,
    message,
    numbers,
    recording_id,
)


def conserved(db: EntityDb) -> bool:
    stats = db.ingestion_stats()
    settled = stats.committed + stats.rejected + stats.dropped
    return stats.accepted == settled + stats.in_flight


def test_one_message(db: EntityDb) -> None:
    assert db.poll_worker_output() == []
    db.submit_arrow_msg(message(7))
    (output,) = collect(db)
    assert output.was_empty
    assert isinstance(output.result, list)
    assert added(output.result) == [7.0]
    assert output.chunk is not None
    assert output.chunk.num_rows == 1
    assert db.poll_worker_output() == []


def test_500_messages_arrive_in_order(db: EntityDb) -> None:
    for number in range(500):
        db.submit_arrow_msg(message(number))
    outputs = collect(db)
    assert [n for out in outputs for n in added(out.result)] == list(range(500))
    assert [out.was_empty for out in outputs] == [True] + [False] * 499
    event_ids = [event.event_id for out in outputs for event in out.result]
    assert event_ids == sorted(event_ids)


def test_a_broken_message_is_reported_in_its_place(db: EntityDb) -> None:
    for msg in [message(0), broken(), message(1)]:
        db.submit_arrow_msg(msg)
    first, second, third = collect(db)
    assert isinstance(second.result, InvalidChunkError)
    assert second.result.store_id == db.store_id
    assert second.chunk is None
    assert added(first.result) + added(third.result) == [0.0, 1.0]
    (rejection,) = db.rejections()
    assert rejection.error is second.result
    stats = db.ingestion_stats()
    assert (stats.accepted, stats.committed, stats.rejected) == (3, 2, 1)


def test_a_chunk_that_the_store_refuses_is_a_rejection(
    db: EntityDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No chunk is known that the store refuses, so its insertion is made to fail for one.
    insert = db._store._store.insert

    def failing(chunk: Chunk) -> list[ChunkStoreEvent[Chunk]]:
        if chunk.times("frame")[0] == 1:
            raise MemoryError
        return insert(chunk)

    monkeypatch.setattr(db._store._store, "insert", failing)
    for number in range(3):
        db.submit_arrow_msg(message(number))
    outputs = collect(db)
    assert isinstance(outputs[1].result, StoreError)
    assert isinstance(outputs[1].result.__cause__, MemoryError)
    assert numbers(db) == [0.0, 2.0]
    stats = db.ingestion_stats()
    assert (stats.committed, stats.rejected, stats.in_flight) == (2, 1, 0)
    assert [rejected.chunk_id for rejected in db.rejections()] == [outputs[1].result.chunk_id]


def test_a_thread_that_submits_and_polls_never_waits_for_itself(runtime: Runtime) -> None:
    size = message(0).size_bytes
    db = EntityDb(recording_id(), runtime=runtime, byte_budget=20 * size)
    for number in range(1000):
        db.submit_arrow_msg(message(number), timeout=PATIENCE_S)
    outputs = collect(db)
    assert [n for out in outputs for n in added(out.result)] == list(range(1000))
    assert db.ingestion_stats().in_flight_bytes_peak <= 20 * size + size


def test_a_full_queue_refuses_and_then_blocks(gate: Gate, native: NativeRuntime) -> None:
    db = EntityDb(recording_id(), runtime=native, capacity=10, decoder_factory=gate)
    gate.held.add(db.store_id)
    for number in range(10):
        assert db.try_submit_arrow_msg(message(number))
    assert not db.try_submit_arrow_msg(message(10))
    with pytest.raises(QueueFullError, match="10 of 10"):
        db.submit_arrow_msg(message(10), timeout=0.01)
    with pytest.raises(FlushTimeoutError, match="10 of 10"):
        db.flush(timeout=0.01)
    assert conserved(db)
    gate.open.set()
    db.submit_arrow_msg(message(10), timeout=PATIENCE_S)
    assert len(collect(db)) == 11
    assert numbers(db) == list(range(11))


def test_add_log_msg_comes_after_what_was_submitted(db: EntityDb) -> None:
    for number in range(50):
        db.submit_arrow_msg(message(number))
    assert added(db.add_log_msg(message(50))) == [50.0]
    assert numbers(db) == list(range(51))
    assert len(db.poll_worker_output()) == 50
    stats = db.ingestion_stats()
    assert (stats.accepted, stats.committed) == (51, 51)
    with pytest.raises(InvalidChunkError) as caught:
        db.add_log_msg(broken())
    assert conserved(db)
    assert db.ingestion_stats().rejected == 1
    [rejected] = db.rejections()
    assert (type(rejected.error), str(rejected.error)) == (type(caught.value), str(caught.value))
    assert rejected.error.__traceback__ is None, "what is kept holds no frames"
    assert db.ingestion_stats().rejected_by_reason == {rejected.reason: 1}


def test_a_store_that_commits_itself_needs_no_poll(runtime: Runtime) -> None:
    db = EntityDb(recording_id(), runtime=runtime, commits_itself=True)
    for number in range(100):
        db.submit_arrow_msg(message(number))
    db.flush(PATIENCE_S)
    assert numbers(db) == list(range(100))
    assert db.poll_worker_output() == []


def test_what_waited_is_committed_when_a_store_begins_to_commit_itself(db: EntityDb) -> None:
    db.submit_arrow_msg(message(1))
    db.commits_itself = True
    db.flush(PATIENCE_S)
    assert numbers(db) == [1.0]


def test_flush_reports_with_the_next_poll(db: EntityDb) -> None:
    db.submit_arrow_msg(message(1))
    db.flush(PATIENCE_S)
    assert numbers(db) == [1.0]
    assert len(db.poll_worker_output()) == 1


def test_close_finishes_what_was_accepted(db: EntityDb) -> None:
    for number in range(100):
        db.submit_arrow_msg(message(number))
    db.close(PATIENCE_S)
    assert numbers(db) == list(range(100))
    with pytest.raises(WorkerClosedError):
        db.submit_arrow_msg(message(100))


def test_a_closed_store_takes_nothing_directly_either(db: EntityDb) -> None:
    db.close()
    with pytest.raises(WorkerClosedError):
        db.add_log_msg(message(0))
    with pytest.raises(WorkerClosedError):
        db.add_chunk(make_chunk("/a", {"frame": [0]}, {"Scalars:scalars": [[0.0]]}))
    assert db.num_rows == 0


def test_what_is_no_arrow_message_is_refused(db: EntityDb) -> None:
    info = SetStoreInfo(StoreInfo(db.store_id))
    for give in (db.submit_arrow_msg, db.try_submit_arrow_msg):
        with pytest.raises(TypeError, match="receive_log_msg"):
            give(info)
    assert db.ingestion_stats().accepted == 0


def test_a_store_closed_before_its_first_message_takes_none(db: EntityDb) -> None:
    db.close()
    with pytest.raises(WorkerClosedError):
        db.submit_arrow_msg(message(0))


def test_many_submitters_and_pollers_lose_nothing(native: NativeRuntime) -> None:
    db = EntityDb(recording_id(), runtime=native, capacity=50)
    outputs: list[WorkerOutput] = []
    count, submitters = 300, 4

    def submit(which: int) -> None:
        for number in range(count):
            db.submit_arrow_msg(message(number, entity=f"/by/{which}"), timeout=PATIENCE_S)

    def poll() -> None:
        while len(outputs) < submitters * count:
            with lock:
                outputs.extend(db.poll_worker_output())
            assert conserved(db)

    lock = native.lock()
    jobs = [lambda which=which: submit(which) for which in range(submitters)]
    run_in_parallel([*jobs, poll, poll], "test", 8)
    assert len(outputs) == submitters * count
    for which in range(submitters):
        mine = [o for o in outputs if o.chunk and o.chunk.entity_path == f"/by/{which}"]
        assert [n for out in mine for n in added(out.result)] == list(range(count))


def test_actions_in_order_wait_for_what_was_submitted_before(
    gate: Gate, native: NativeRuntime
) -> None:
    db = EntityDb(recording_id(), runtime=native, decoder_factory=gate, commits_itself=True)
    seen: list[list[float]] = []
    db.call_in_order(lambda: seen.append([]))
    assert seen == [[]], "with nothing in flight it happens at once"
    gate.held.add(db.store_id)
    db.submit_arrow_msg(message(0))
    db.submit_arrow_msg(message(1))
    db.call_in_order(lambda: seen.append(numbers(db)))
    db.submit_arrow_msg(message(2))
    assert len(seen) == 1
    gate.open.set()
    db.flush(PATIENCE_S)
    assert seen[1:] == [[0.0, 1.0]], "after all earlier chunks and before any later one"


def test_an_interrupted_commit_goes_on_where_it_stopped(
    db: EntityDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = db._store._store.insert
    interrupts = iter([False, True, False, False])

    def interrupted(chunk: Chunk) -> list[ChunkStoreEvent[Chunk]]:
        if next(interrupts):
            raise KeyboardInterrupt
        return insert(chunk)

    monkeypatch.setattr(db._store._store, "insert", interrupted)
    for number in range(3):
        db.submit_arrow_msg(message(number))
    assert db._pipeline._worker is not None
    assert db._pipeline._worker.wait_processed(timeout=PATIENCE_S)
    with pytest.raises(KeyboardInterrupt):
        db.poll_worker_output()
    assert conserved(db)
    assert db.ingestion_stats().in_flight == 3
    outputs = db.poll_worker_output()
    assert [n for out in outputs for n in added(out.result)] == [0.0, 1.0, 2.0]
    assert numbers(db) == [0.0, 1.0, 2.0]
    assert db.ingestion_stats().committed == 3


def test_reports_that_nobody_polls_are_bounded(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("forebay.hub.reports.REPORTS_KEPT_MAX", 10)
    db = EntityDb(recording_id(), runtime=runtime)
    for number in range(100):
        db.submit_arrow_msg(message(number))
    db.flush(PATIENCE_S)
    assert numbers(db) == list(range(100)), "the data is all there"
    assert [n for out in db.poll_worker_output() for n in added(out.result)] == list(range(90, 100))
    assert db._pipeline.num_reports_lost == 90
    assert sum("never polled" in record.message for record in caplog.records) == 1


def test_reports_of_nothing_new_are_bounded_in_bytes(runtime: Runtime) -> None:
    again = message(0)
    db = EntityDb(recording_id(), runtime=runtime, byte_budget=20 * again.uncompressed_size)
    for _ in range(200):
        db.submit_arrow_msg(again)
    db.flush(PATIENCE_S)
    assert len(db.poll_worker_output()) <= 20
    assert db.ingestion_stats().committed == 200


def test_a_message_of_another_store_is_taken_and_told_of_once(
    db: EntityDb, caplog: pytest.LogCaptureFixture
) -> None:
    other = recording_id("other")
    db.submit_arrow_msgs([message(0), message(1, other)])
    db.submit_arrow_msg(message(2, other))
    assert db.add_log_msg(message(3, other))[0].store_id == db.store_id
    assert numbers(db) == [0.0, 1.0, 2.0, 3.0]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "hub.receive_log_msg() hands each message to the store that it names" in caplog.text


def test_of_many_rejections_the_first_and_the_last_are_kept(
    db: EntityDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejections, "REJECTIONS_KEPT_MAX", 4)
    for number in range(7):
        with pytest.raises(InvalidChunkError):
            db.add_log_msg(broken()._replace(byte_offset=number))
    assert [one.error.byte_offset for one in db.rejections()] == [0, 1, 5, 6]
    assert (db.ingestion_stats().rejected, db.ingestion_stats().accepted) == (7, 7)
    assert conserved(db)
