"""Turns: handed over in time, several at once with the same answer, and what statistics say."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from forebay.hub import EntityDb, StoreHub, load, read_messages
from forebay.ingest import IngestionWorker, ProcessedChunk, Spill
from forebay.limits import PARALLEL_MSG_BYTES_MIN, SHORT_TURN_MSGS_MAX, TURN_SLICE_S
from forebay.model import ArrowMsg, ChunkId, RowId, StoreId
from forebay.runtime import (
    InlineRuntime,
    NativeRuntime,
    WebWorkerRuntime,
    processors,
)
from forebay.store.running import running
from tests.chunks import make_chunk
from tests.corpus import RECORDINGS, recording
from tests.ingest.support import (
    STORE,
    TIMEOUT_S,
    ManualClock,
    OneAtATime,
    decode_number,
    numbered,
    numbers,
)


def test_a_turn_ends_after_its_time_slice() -> None:
    """63 finished messages do not wait for a slow one."""
    runtime = ManualClock()
    handed: list[list[int]] = []

    def decode(msg: ArrowMsg) -> object:
        runtime.now_s += 0.9 * TURN_SLICE_S
        return decode_number(msg)

    worker = IngestionWorker(
        runtime=runtime,
        on_output=lambda: handed.append(numbers(worker.poll())),
        decoder_factory=lambda: decode,  # type: ignore[arg-type, return-value]
    )
    worker.submit_many([numbered(number) for number in range(7)])
    assert handed == [[0, 1], [2, 3], [4, 5], [6]]
    worker.validate()


def test_workers_of_small_messages_make_room_while_queries_run() -> None:
    rests: list[float] = []

    class Noting(ManualClock):
        def make_room(self, worked_s: float) -> None:
            rests.append(worked_s)

    def decode(msg: ArrowMsg) -> object:
        runtime.now_s += 1.0
        return decode_number(msg)

    runtime = Noting()
    worker = IngestionWorker(runtime=runtime, decoder_factory=lambda: decode)  # type: ignore[arg-type, return-value]
    small = [numbered(number) for number in range(3)]
    bulky = [numbered(number, 2 * PARALLEL_MSG_BYTES_MIN) for number in range(3)]
    worker.submit_many(small)
    assert rests == []
    running(worker.submit_many)(bulky)
    assert rests == []
    running(worker.submit_many)(small)
    assert rests == [1.0, 1.0], "after the last turn there is nothing to rest from"


def test_bulky_messages_are_decoded_side_by_side_when_nobody_else_is_busy() -> None:
    runtime = NativeRuntime()
    if processors() < 2:
        pytest.skip("one processor")
    together = threading.Barrier(2)

    def decode(msg: ArrowMsg) -> object:
        together.wait(TIMEOUT_S)
        return decode_number(msg)

    worker = OneAtATime(runtime=runtime, turns_max=None, decoder_factory=lambda: decode)  # type: ignore[arg-type, return-value]
    worker.submit_many([numbered(number, 2 * PARALLEL_MSG_BYTES_MIN) for number in range(8)])
    worker.close(TIMEOUT_S)
    assert numbers(worker.poll()) == list(range(8))
    assert runtime.join(TIMEOUT_S)


def test_what_comes_at_once_is_decoded_by_as_many_turns_as_allowed() -> None:
    """Whoever submitted need not come again, nor wait, for the second turn to begin."""
    runtime = NativeRuntime()
    together = threading.Barrier(3 + 1)

    def decode(msg: ArrowMsg) -> object:
        together.wait(TIMEOUT_S)
        return decode_number(msg)

    worker = OneAtATime(runtime=runtime, turns_max=3, decoder_factory=lambda: decode)  # type: ignore[arg-type, return-value]
    worker.submit_many([numbered(number) for number in range(6)])
    together.wait(TIMEOUT_S)
    together.wait(TIMEOUT_S)
    worker.close(TIMEOUT_S)
    assert numbers(worker.poll()) == list(range(6))
    assert runtime.join(TIMEOUT_S)


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_store_is_the_same_however_it_is_filled(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.ingest.turns.TURN_MSGS_MAX", 3)
    path = recording(name)
    plain = load(path)
    ways: list[dict[str, object]] = [
        {"turns_max": 1},
        {"turns_max": 4},
        {"turns_max": 4, "capacity": 2, "policy": Spill(tmp_path)},
        {"turns_max": 2, "capacity": 1, "policy": "deadline(60000)"},
        {"turns_max": 2, "runtime": InlineRuntime()},
    ]
    for way in ways:
        hub = StoreHub(**way)  # type: ignore[arg-type]
        for msg in read_messages(path):
            hub.receive_log_msg(msg)
        hub.flush(TIMEOUT_S)
        assert [db.store_id for db in hub.recordings()] == [
            db.store_id for db in plain.recordings()
        ]
        for db in plain.recordings():
            same(hub[db.store_id], db)
        assert hub.ingestion_stats().total.dropped == 0


def same(one: EntityDb, other: EntityDb) -> None:
    assert one.num_rows == other.num_rows
    assert one.entity_paths() == other.entity_paths()
    for timeline in (None, *other.timelines()):
        table = other.dataframe(timeline)
        assert one.dataframe(timeline).equals(table), timeline


def test_latency_by_stage_from_the_ids_and_stamps() -> None:
    from forebay.codec import encode_chunk

    second = 1_000_000_000
    chunk = make_chunk(
        "/a",
        {"frame": [1]},
        {"S:s": [[1.0]]},
        row_ids=[RowId.from_parts(100 * second, 1)],
        id=ChunkId.from_parts(103 * second, 1),
    )
    metadata = {
        b"rerun:timestamp_sdk_ipc_encoded": b"104.500000000",
        b"rerun:timestamp_sdk_grpc_sink": b"105.000000000",
    }
    batch = chunk.batch.replace_schema_metadata({**(chunk.batch.schema.metadata or {}), **metadata})
    from forebay.chunk import Chunk, ChunkLayout

    stamped = Chunk(chunk.id, ChunkLayout.from_schema(batch.schema), batch)
    runtime = ManualClock()
    runtime.wall_ns = iter([106 * second, 110 * second])
    worker = IngestionWorker(store_id=STORE, runtime=runtime)
    worker.submit(encode_chunk(STORE, stamped))
    [outcome] = worker.poll()
    assert isinstance(outcome, ProcessedChunk)
    latency = {name: stage.p50_s for name, stage in worker.stats().latency.items() if stage.samples}
    assert (
        latency.items()
        >= {
            "logged_to_batched": 3.0,
            "batched_to_encoded": 1.5,
            "encoded_to_sent": 0.5,
            "sent_to_decoded": 1.0,
            "decoded_to_committed": 4.0,
            "end_to_end": 10.0,
        }.items()
    )


def test_rates_of_the_last_second() -> None:
    runtime = ManualClock()
    worker = IngestionWorker(
        runtime=runtime,
        decoder_factory=lambda: decode_number,  # type: ignore[arg-type, return-value]
    )
    for _ in range(300):
        runtime.now_s += 0.01
        worker.submit(numbered(0, 1000))
        worker.poll()
    stats = worker.stats()
    assert stats.settle_rate.msgs_per_s == pytest.approx(100, rel=0.05)
    assert stats.accept_rate.bytes_per_s == pytest.approx(100_000, rel=0.05)
    runtime.now_s += 5
    assert worker.stats().settle_rate.msgs_per_s == 0


def test_a_hub_sums_up_its_stores() -> None:
    hub = StoreHub(runtime=InlineRuntime())
    from forebay.codec import encode_chunk

    for name, count in (("a", 3), ("b", 5)):
        for frame in range(count):
            chunk = make_chunk("/e", {"frame": [frame]}, {"S:s": [[1.0]]})
            hub.receive_log_msg(encode_chunk(StoreId.recording("app", name), chunk))
    hub.entity_db(StoreId.recording("app", "empty"))
    stats = hub.ingestion_stats()
    assert {one.recording_id: part.committed for one, part in stats.stores.items()} == {
        "a": 3,
        "b": 5,
    }
    assert (stats.total.accepted, stats.total.committed, stats.total.in_flight) == (8, 8, 0)
    assert stats.total.latency["decode"].samples == 8
    assert stats.total.latency["end_to_end"].samples == 8
    assert stats.budget_used_bytes == 0


def test_a_turn_is_short_while_another_store_waits() -> None:
    runtime = WebWorkerRuntime(can_wait=False)
    workers = [
        IngestionWorker(runtime=runtime, decoder_factory=lambda: decode_number) for _ in range(2)
    ]
    count = SHORT_TURN_MSGS_MAX + 10
    for worker in workers:
        worker.submit_many([numbered(number) for number in range(count)])
    assert runtime.run_turn()
    assert workers[0].stats().queue_depth == count - SHORT_TURN_MSGS_MAX
    runtime.run_all()
    assert numbers(workers[0].poll()) == numbers(workers[1].poll()) == list(range(count))


def test_a_few_bulky_messages_are_no_brief_turn() -> None:
    runtime = WebWorkerRuntime(can_wait=False)
    worker = IngestionWorker(runtime=runtime, decoder_factory=lambda: decode_number)
    worker.submit(numbered(0))
    assert worker._turns.is_brief
    worker.submit(numbered(1, 4 * PARALLEL_MSG_BYTES_MIN))
    assert not worker._turns.is_brief


def test_a_turn_that_nobody_asked_for_changes_nothing() -> None:
    worker = IngestionWorker(runtime=InlineRuntime(), decoder_factory=lambda: decode_number)
    assert not worker._turns.run_turn()
    worker.validate()
    worker.submit(numbered(0))
    assert not worker._turns.run_turn()
    worker.validate()
    assert numbers(worker.poll()) == [0]
