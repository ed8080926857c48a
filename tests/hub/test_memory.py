"""Memory limits: what is counted, what is collected, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.chunk import BatchForm, Chunk, EncodedChunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.errors import LimitError
from forebay.hub import App, EntityDb, Event, StoreHub
from forebay.hub.guarded_store import GuardedStore
from forebay.hub.memory import MemoryLimit, to_free, water_level
from forebay.limits import GC_TARGET_FRACTION, REPORT_COST_BYTES, STORE_COST_BYTES
from forebay.model import (
    ArrowMsg,
    ChunkDeletion,
    Compression,
    DeletionReason,
    SetStoreInfo,
    StoreId,
    StoreInfo,
    StoreSource,
    StoreSourceKind,
)
from forebay.runtime import InlineRuntime, NativeRuntime, Runtime, run_in_parallel
from forebay.store import ledger
from tests.chunks import make_chunk
from tests.hub.conftest import (
    PATIENCE_S,
    blueprint_id,
    broken,
    message,
    numbers,
    recording_id,
)

SIZE = 100_000


def bulky(
    number: int, store_id: StoreId | None = None, static: bool = False, entity: str = "/image"
) -> ArrowMsg:
    """A chunk of about 100 kB at frame `number`, the same every time but for its ids."""
    values = pa.array(np.arange(SIZE, dtype=np.uint8))
    cells = pa.ListArray.from_arrays(pa.array([0, SIZE], pa.int32()), values)
    timelines = None if static else {"frame": [number]}
    chunk = make_chunk(entity, timelines, {"Image:buffer": cells})
    return encode_chunk(store_id or recording_id(), chunk)


def limited(hub: StoreHub, limit_bytes: int, runtime: Runtime) -> MemoryLimit:
    """A limit for the stores that there are; it acts when it is told to."""
    limit = MemoryLimit(limit_bytes, runtime)
    for db in hub:
        db.join_hub(hub._subscribers, limit)
    return limit


def frames(db: EntityDb) -> list[int]:
    return db.range("frame", -(2**63), 2**63 - 1, "/image")["frame"].to_pylist()


class TestFairness:
    @given(st.lists(st.integers(0, 10_000), max_size=20), st.integers(0, 50_000))
    def test_water_level(self, sizes: list[int], total: int) -> None:
        level = water_level(sizes, total)
        if sum(sizes) <= total:
            assert level == float("inf")
        else:
            assert sum(min(size, level) for size in sizes) == pytest.approx(total)

    @given(
        st.dictionaries(st.text(max_size=3), st.integers(0, 10_000), max_size=10),
        st.integers(0, 20_000),
        st.integers(0, 50_000),
    )
    def test_nobody_gives_more_than_it_has_and_the_larger_gives_first(
        self, sizes: dict[str, int], fixed: int, target: int
    ) -> None:
        free = to_free(sizes, fixed, target)
        left = {key: size - free.get(key, 0) for key, size in sizes.items()}
        assert all(0 <= left[key] <= size for key, size in sizes.items())
        assert sum(left.values()) + fixed <= max(target, fixed) or not free
        for key in free:
            assert all(left[key] >= left[other] - 1 or other in free for other in sizes) or (
                max(left.values()) - left[key] <= 1
            )


def test_a_store_over_its_limit_gives_up_its_oldest_rows(runtime: Runtime) -> None:
    db = EntityDb(recording_id(), runtime=runtime, memory_limit=10 * SIZE, commits_itself=True)
    events: list[Event] = []
    db.subscribe(events.append)
    for number in range(50):
        db.submit_arrow_msg(bulky(number))
        db.flush(PATIENCE_S)
        assert db.byte_size <= 10 * SIZE
    kept = frames(db)
    assert kept == list(range(50 - len(kept), 50))
    assert len(kept) >= 7
    assert db.subscriptions[0].wait_idle(PATIENCE_S)
    gone = [e.diff for e in events if isinstance(e.diff, ChunkDeletion)]
    assert len(gone) == 50 - len(kept)
    assert {diff.reason for diff in gone} == {DeletionReason.GARBAGE_COLLECTION}


@pytest.mark.parametrize("commits_itself", [True, False])
def test_when_nothing_may_be_dropped_what_comes_is_rejected(
    runtime: Runtime, commits_itself: bool
) -> None:
    limit = 3 * SIZE
    db = EntityDb(
        recording_id(), runtime=runtime, memory_limit=limit, commits_itself=commits_itself
    )
    for number in range(10):
        db.submit_arrow_msg(bulky(number, static=True, entity=f"/still/{number}"))
        db.flush(PATIENCE_S)
        assert db.held_bytes <= limit + 1.1 * SIZE
    for number in range(5):
        db.submit_arrow_msg(message(number))
    db.flush(PATIENCE_S)
    stats = db.ingestion_stats()
    assert stats.accepted == stats.committed + stats.rejected == 15
    assert stats.rejected_by_reason == {"memory_limit": stats.rejected}
    assert stats.rejected >= 11
    last = db.rejections()[-1]
    assert (last.reason, last.seq, last.store_id) == ("memory_limit", 14, db.store_id)
    assert "allow a larger memory_limit" in str(last.error)
    assert "Image:buffer" in db.latest_at(None, None, "/still/0"), "what is in stays"
    with pytest.raises(LimitError, match="memory limit"):
        db.add_log_msg(message(9))
    db.drop_entity("/still/0")
    db.drop_entity("/still/1")
    db.add_log_msg(message(9))
    assert numbers(db) == [9.0], "there is room again"


def test_collection_by_hand_and_within_a_time_budget(runtime: Runtime) -> None:
    db = EntityDb(recording_id(), runtime=runtime)
    for number in range(10):
        db.add_log_msg(bulky(number))
    snapshot = db.snapshot()
    assert len(db.gc(3 * SIZE)) in {3, 4}
    assert len(db.gc(time_budget_s=0)) == 1
    db.gc()
    assert frames(db) == [9], "the latest value is protected"
    assert snapshot.num_rows == 10, "a snapshot keeps what it saw"


def test_dropping_an_entity_and_a_time_range(runtime: Runtime) -> None:
    db = EntityDb(recording_id(), runtime=runtime)
    for number in range(10):
        db.add_log_msg(message(number))
        db.add_log_msg(message(number, entity="/other"))
    db.drop_time_range("frame", 3, 7)
    assert numbers(db) == numbers(db, "/other") == [0.0, 1.0, 2.0, 8.0, 9.0]
    events = db.drop_entity("/other")
    assert {event.diff.reason for event in events} == {DeletionReason.EXPLICIT_DROP}
    assert db.entity_paths() == ["/numbers"]


def test_a_flooding_recording_pays_for_its_flood(runtime: Runtime) -> None:
    limit = 20 * SIZE
    hub = StoreHub(runtime=runtime, memory_limit=limit)
    first, flood, last = (recording_id(name) for name in ("first", "flood", "last"))
    for number in range(4):
        hub.receive_log_msg(bulky(number, first))
    hub.receive_log_msg(bulky(0, blueprint_id()))
    for number in range(100):
        hub.receive_log_msg(bulky(number, flood))
        hub.flush(PATIENCE_S)
    for number in range(4):
        hub.receive_log_msg(bulky(number, last))
    hub.flush(PATIENCE_S)
    assert sum(db.byte_size for db in hub) <= limit + SIZE
    assert frames(hub[first]) == frames(hub[last]) == [0, 1, 2, 3]
    assert frames(hub[blueprint_id()]) == [0]
    kept = frames(hub[flood])
    assert kept == list(range(100 - len(kept), 100))
    assert len(kept) >= 20 * GC_TARGET_FRACTION - 4 - 4 - 1 - 2


def test_equal_floods_are_left_equal(runtime: Runtime) -> None:
    hub = StoreHub(runtime=runtime, memory_limit=20 * SIZE)
    for number in range(40):
        for name in "ab":
            hub.receive_log_msg(bulky(number, recording_id(name)))
        hub.flush(PATIENCE_S)
    sizes = [hub.recording(name).byte_size for name in "ab"]
    assert max(sizes) - min(sizes) <= 2 * SIZE * 1.1


def test_each_recording_may_have_a_limit_of_its_own(runtime: Runtime) -> None:
    hub = StoreHub(runtime=runtime, store_memory_limit=5 * SIZE)
    for number in range(20):
        hub.receive_log_msg(bulky(number))
        hub.receive_log_msg(bulky(number, blueprint_id()))
    hub.flush(PATIENCE_S)
    assert hub.recording("rec").byte_size <= 5 * SIZE
    assert hub[blueprint_id()].num_rows == 20


def test_a_limit_counts_the_objects_around_small_chunks(runtime: Runtime) -> None:
    """Two rows a chunk are some hundred bytes of data, and ten times that in objects."""
    limit = 200_000
    db = EntityDb(recording_id(), runtime=runtime, memory_limit=limit)
    for number in range(60):
        times = [2 * number, 2 * number + 1]
        cells = [[float(time)] for time in times]
        db.add_chunk(make_chunk("/numbers", {"frame": times}, {"Scalars:scalars": cells}))
        assert db.held_bytes <= limit
    assert db.byte_size < limit / 20
    assert db.num_chunks < 60
    assert numbers(db)[-1] == 119.0
    db.shrink(0)
    assert numbers(db) == [118.0, 119.0], "the latest value is protected"


def test_what_one_store_cannot_give_the_others_must(runtime: Runtime) -> None:
    hub = StoreHub(runtime=runtime)
    stores = [recording_id(name) for name in ("stuck", "a", "b")]
    for number in range(6):
        still = bulky(number, stores[0], static=True, entity=f"/image/{number}")
        hub.entity_db(stores[0]).add_log_msg(still)
    for frame in range(5):
        for number, store_id in enumerate(stores[1:]):
            hub.entity_db(store_id).add_log_msg(bulky(10 * number + frame, store_id))
    held = [db.held_bytes for db in hub]
    limit = int(0.9 * sum(held))
    limited(hub, limit, runtime).enforce()
    assert sum(db.held_bytes for db in hub) <= limit * GC_TARGET_FRACTION
    assert hub[stores[0]].held_bytes == held[0]


def test_a_limit_that_is_full_looks_for_garbage_no_more(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = EntityDb(recording_id(), runtime=runtime, memory_limit=90_000, commits_itself=True)
    tries: list[int] = []
    shrink = db._store.shrink

    def counted(held_bytes_max: int) -> list[Event]:
        tries.append(held_bytes_max)
        return shrink(held_bytes_max)

    monkeypatch.setattr(GuardedStore, "shrink", lambda _, level: counted(level))
    db.submit_arrow_msg(bulky(0, static=True))
    db.flush(PATIENCE_S)
    assert len(tries) == 1
    for number in range(20):
        db.submit_arrow_msg(message(number))
    db.flush(PATIENCE_S)
    assert len(tries) == 1
    assert db.ingestion_stats().rejected == 20


def test_one_thread_collects_at_a_time_and_none_waits_for_itself(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = StoreHub(runtime=runtime)
    for number in range(5):
        hub.entity_db(recording_id()).add_log_msg(bulky(number))
    limit = limited(hub, 4 * SIZE, runtime)
    tries: list[int] = []
    collect = limit._collect

    def counted() -> list[Event]:
        tries.append(1)
        assert limit.enforce() == [], "a subscriber may be called from within"
        return collect()

    monkeypatch.setattr(limit, "_collect", counted)
    assert limit.enforce()
    assert tries == [1]
    assert hub.held_bytes <= 4 * SIZE


def test_blueprints_count_but_give_nothing(runtime: Runtime) -> None:
    hub = StoreHub(runtime=runtime)
    for number in range(5):
        hub.entity_db(blueprint_id()).add_log_msg(bulky(number, blueprint_id()))
        hub.entity_db(recording_id()).add_log_msg(bulky(number))
    before = hub[blueprint_id()].held_bytes
    limited(hub, 8 * SIZE, runtime).enforce()
    assert hub[blueprint_id()].held_bytes == before
    assert sum(db.held_bytes for db in hub) <= 8 * SIZE * GC_TARGET_FRACTION


def test_a_chunk_that_cannot_be_opened_stops_neither_the_limit_nor_the_counts(
    runtime: Runtime,
) -> None:
    """Whatever a decoder lets through: all is counted, collected and told of."""

    def lenient() -> Callable[[ArrowMsg], Chunk]:
        decode = ChunkDecoder().decode

        def damaging(msg: ArrowMsg) -> Chunk:
            chunk = decode(msg)
            if chunk.times("frame")[0] % 7 != 3:
                return chunk
            form = BatchForm(chunk.layout, chunk.batch.schema, 0, 1, SIZE)
            return EncodedChunk(chunk.id, form, pa.py_buffer(b"no message"))

        return damaging

    limit = 10 * SIZE
    db = EntityDb(recording_id(), runtime=runtime, commits_itself=True, decoder_factory=lenient)
    for number in range(20):
        db.submit_arrow_msg(bulky(number))
    db.flush(PATIENCE_S)
    assert frames(db) == [number for number in range(20) if number % 7 != 3]
    assert db.latest_at("frame", 17, "/image")["Image:buffer"].time == 16
    assert [damaged.lost_rows for damaged in db.put_aside()] == [1, 1, 1]
    assert len(db.clone_with_new_id(recording_id("b")).put_aside()) == 3
    db.memory_limit = limit
    for number in range(20, 60):
        db.submit_arrow_msg(bulky(number))
        db.flush(PATIENCE_S)
        assert db.byte_size <= limit
    stats = db.ingestion_stats()
    assert (stats.accepted, stats.committed, stats.rejected) == (60, 60, 0)
    kept = frames(db)
    assert kept == [number for number in range(kept[0], 60) if number % 7 != 3]
    assert {damaged.id for damaged in db.put_aside()} <= {
        chunk.id for event in db.gc() for chunk in [event.diff.chunk]
    }
    assert db.put_aside() == []


IMAGE_BYTES = 921_600
LIMIT = 8_000_000


def image(number: int, store_id: StoreId | None = None) -> ArrowMsg:
    values = pa.array(np.full(IMAGE_BYTES, number % 251, np.uint8))
    cells = pa.ListArray.from_arrays(pa.array([0, IMAGE_BYTES], pa.int32()), values)
    chunk = make_chunk("/camera", {"frame": [number]}, {"Image:buffer": cells})
    return encode_chunk(store_id or recording_id(), chunk)


class TestRightAfterFlush:
    """46 MB of images into a limit of 8: never more than the limit and one message each."""

    def test_one_stream(self, runtime: Runtime) -> None:
        hub = StoreHub(runtime=runtime, memory_limit=LIMIT)
        for number in range(50):
            hub.receive_log_msg(image(number))
            assert hub.held_bytes <= LIMIT + 1.1 * IMAGE_BYTES
        hub.flush(PATIENCE_S)
        assert hub.held_bytes <= LIMIT
        kept = hub.recording("rec").range("frame", -(2**63), 2**63 - 1, "/camera")["frame"]
        assert kept.to_pylist() == list(range(50 - len(kept), 50))
        assert len(kept) >= 5
        assert hub.ingestion_stats().total.rejected == 0

    def test_several_streams_and_an_observer(self, native: NativeRuntime) -> None:
        hub = StoreHub(runtime=native, memory_limit=LIMIT)
        names = "abc"
        ends: list[int] = []
        seen: list[int] = []

        def stream(name: str) -> None:
            for number in range(25):
                hub.receive_log_msg(image(number, recording_id(name)))
            hub.flush(PATIENCE_S)
            seen.append(hub.held_bytes)
            ends.append(1)

        def observe() -> None:
            while len(ends) < len(names):
                seen.append(hub.held_bytes)

        run_in_parallel([observe, *(partial(stream, name) for name in names)], "test", 4)
        assert max(seen) <= LIMIT + len(names) * 1.1 * IMAGE_BYTES
        assert hub.held_bytes <= LIMIT


class TestManyStores:
    """What a limit costs is in proportion to what comes, not to the stores there are."""

    def steps(self, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
        counts: Counter[str] = Counter()
        for name in ("shrink", "count_exactly", "_tell"):
            plain = getattr(GuardedStore, name)

            def counted(*args: Any, _name: str = name, _plain: Any = plain, **more: Any) -> Any:
                counts[_name] += 1
                return _plain(*args, **more)

            monkeypatch.setattr(GuardedStore, name, counted)
        return counts

    def test_far_below_the_limit_no_store_but_its_own_is_looked_at(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub = StoreHub(runtime=InlineRuntime(), memory_limit=1 << 40)
        counts = self.steps(monkeypatch)
        opened: list[int] = []
        monkeypatch.setattr(ledger, "buffers", lambda _: opened.append(1) or [])
        for number in range(500):
            hub.receive_log_msg(message(0, recording_id(str(number))))
        hub.flush()
        assert counts["shrink"] == counts["count_exactly"] == 0
        assert counts["_tell"] <= 4 * 500
        assert not opened, "an upper bound is enough"
        assert hub._memory is not None
        assert hub._memory.held_bytes >= 500 * STORE_COST_BYTES

    def test_at_the_limit_each_store_is_tried_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hub = StoreHub(runtime=InlineRuntime(), memory_limit=200 * (STORE_COST_BYTES + 1000))
        counts = self.steps(monkeypatch)
        for number in range(800):
            hub.receive_log_msg(message(0, recording_id(str(number))))
        hub.flush()
        assert 100 < len(hub) < 300
        assert counts["shrink"] <= 3 * len(hub)
        assert counts["count_exactly"] <= 3 * len(hub)
        total = hub.ingestion_stats().total
        assert total.accepted == 800
        assert total.committed + total.rejected == 800
        assert total.rejected_by_reason == {"memory_limit": total.rejected}
        assert len(hub.refusals()) == total.rejected - sum(
            db.ingestion_stats().rejected for db in hub
        )
        assert hub.held_bytes - hub._refusals.held_bytes <= 200 * (STORE_COST_BYTES + 1000) + 10_000
        assert hub._refusals.held_bytes <= 200 * total.rejected

    def test_a_latest_value_replaced_over_and_over_needs_no_look_at_the_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub = StoreHub(runtime=InlineRuntime())
        stores = [recording_id(str(number)) for number in range(200)]
        for store_id in stores:
            hub.receive_log_msg(message(0, store_id))
        held = hub.held_bytes
        limit = limited(hub, int(held * 1.05), InlineRuntime())
        counts = self.steps(monkeypatch)
        for number in range(1, 400):
            hub.receive_log_msg(message(number, stores[number % 200]))
            assert limit.held_bytes <= limit.limit_bytes + 10_000
        assert hub.ingestion_stats().total.rejected == 0
        assert counts["shrink"] <= 3 * 400 + 200


class TestWhatCounts:
    def test_infos(self, runtime: Runtime) -> None:
        hub = StoreHub(runtime=runtime, memory_limit=1_000_000)
        source = StoreSource(StoreSourceKind.OTHER, bytes(60_000))
        for number in range(100):
            store_id = recording_id(str(number))
            hub.receive_log_msg(SetStoreInfo(StoreInfo(store_id, source)))
        assert hub.held_bytes <= 1_000_000 + 200_000
        assert len(hub) < 20
        refused = hub.refusals()
        assert len(refused) == 100 - len(hub)
        assert {one.reason for one in refused} == {"memory_limit"}

    def test_rejections_gaps_and_reports(self, runtime: Runtime) -> None:
        db = EntityDb(recording_id(), runtime=runtime)
        before = db.held_bytes
        for _ in range(50):
            db.submit_arrow_msg(broken())
        db.flush(PATIENCE_S)
        assert db.held_bytes >= before + 50 * 500
        before = db.held_bytes
        assert len(db.poll_worker_output()) == 50
        assert db.held_bytes <= before - 50 * REPORT_COST_BYTES

    def test_what_lives_with_the_hub(self, runtime: Runtime) -> None:
        class Relay:
            held_bytes = 5 * SIZE

        relay = Relay()
        hub = StoreHub(runtime=runtime, memory_limit=10 * SIZE)
        hub.count_in_memory(relay)
        for number in range(20):
            hub.receive_log_msg(bulky(number))
        hub.flush(PATIENCE_S)
        assert hub.held_bytes <= 5 * SIZE
        del relay
        for number in range(20, 40):
            hub.receive_log_msg(bulky(number))
        hub.flush(PATIENCE_S)
        assert hub.held_bytes > 6 * SIZE, "it counts as long as it is there"

    def test_a_store_that_is_removed_counts_no_more(self, runtime: Runtime) -> None:
        hub = StoreHub(runtime=runtime, memory_limit=1_000_000)
        for number in range(5):
            hub.receive_log_msg(bulky(number, recording_id(str(number))))
        hub.flush(PATIENCE_S)
        assert hub._memory is not None
        for db in hub:
            hub.remove(db.store_id)
        assert hub._memory.held_bytes == 0


@pytest.mark.parametrize("limit", [1, 50_000, 5_000_000])
def test_one_thread_that_submits_and_polls_is_never_locked_out(
    runtime: Runtime, limit: int
) -> None:
    """Whatever the limit: each message gets in or is rejected, and the writer goes on."""
    hub = StoreHub(runtime=runtime, memory_limit=limit)
    app = App(hub)
    for number in range(30):
        for name in "ab":
            app.receive_log_msg(bulky(number, recording_id(name)))
            app.receive_log_msg(message(number, recording_id(name)))
    app.close()
    total = hub.ingestion_stats().total
    assert total.accepted == total.committed + total.rejected + total.dropped == 120


@pytest.mark.parametrize(("junk_bytes", "count"), [(1_000_000, 12), (20_000, 400)])
def test_names_and_metadata_of_a_schema_count(
    runtime: Runtime, junk_bytes: int, count: int
) -> None:
    """200 messages of 8 kB on the wire held 874 MB, of which 1.3 were counted."""
    hub = StoreHub(runtime=runtime, memory_limit=8_000_000)
    for number in range(count):
        batch = make_chunk("/a", {"frame": [number]}, {"S:x": [[1.0]]}).batch
        junk = {"junk": f"{number:08}" * (junk_bytes // 8)}
        schema = batch.schema.with_metadata({**(batch.schema.metadata or {}), **junk})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
        payload = sink.getvalue().to_pybytes()
        hub.receive_log_msg(ArrowMsg(recording_id(), payload, Compression.NONE, len(payload), None))
        hub.flush(PATIENCE_S)
        db = hub.recording("rec")
        assert db.held_bytes >= db.snapshot().num_chunks * junk_bytes
        assert all(
            buffer.size < 10_000
            for chunk in db.snapshot().chunks("/a")
            for column in chunk.batch.columns
            for buffer in column.buffers()
            if buffer is not None
        )
    assert 0 < db.snapshot().num_chunks < 8_000_000 / junk_bytes
