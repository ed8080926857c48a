from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.chunk import BatchForm, Chunk, EncodedChunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.hub import EntityDb, Event, StoreHub
from forebay.hub.memory import MemoryLimit, to_free, water_level
from forebay.limits import GC_TARGET_FRACTION
from forebay.model import ArrowMsg, ChunkDeletion, DeletionReason, StoreId
from forebay.runtime import Runtime
from tests.chunks import make_chunk
from tests.hub.conftest import PATIENCE_S, blueprint_id, message, numbers, recording_id

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


def test_what_may_not_go_stays_over_the_limit(runtime: Runtime) -> None:
    db = EntityDb(recording_id(), runtime=runtime, memory_limit=SIZE // 2)
    db.add_log_msg(bulky(0, static=True))
    for number in range(5):
        db.add_log_msg(message(number))
    assert db.byte_size > SIZE // 2
    assert numbers(db)[-1] == 4.0
    assert "Image:buffer" in db.latest_at("frame", 0, "/image")


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
    MemoryLimit(limit, runtime).enforce(hub.entity_dbs)
    assert sum(db.held_bytes for db in hub) <= limit * GC_TARGET_FRACTION
    assert hub[stores[0]].held_bytes == held[0]


def test_a_limit_that_cannot_be_kept_is_not_tried_at_every_message(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = EntityDb(recording_id(), runtime=runtime, memory_limit=90_000)
    tries: list[int] = []
    shrink = db._store.shrink

    def counted(held_bytes_max: int) -> list[Event]:
        tries.append(held_bytes_max)
        return shrink(held_bytes_max)

    monkeypatch.setattr(db._store, "shrink", counted)
    db.add_log_msg(bulky(0, static=True))
    assert tries == [int(90_000 * GC_TARGET_FRACTION)]
    db.add_log_msg(message(0))
    assert len(tries) == 1, "it is not much more than what could not be freed"
    db.add_log_msg(bulky(1))
    assert len(tries) == 2


def test_a_hub_s_limit_that_cannot_be_kept_is_tried_again_when_there_is_more(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = StoreHub(runtime=runtime)
    db = hub.entity_db(recording_id())
    db.add_log_msg(bulky(0, static=True))
    limit = MemoryLimit(90_000, runtime)
    tries: list[int] = []
    collect = limit._collect

    def counted(dbs: list[EntityDb]) -> list[Event]:
        tries.append(len(dbs))
        assert limit.enforce(hub.entity_dbs) == [], "one at a time"
        return collect(dbs)

    monkeypatch.setattr(limit, "_collect", counted)
    limit.enforce(hub.entity_dbs)
    assert tries == [1]
    db.add_log_msg(message(0))
    limit.enforce(hub.entity_dbs)
    assert tries == [1]
    db.add_log_msg(bulky(1))
    limit.enforce(hub.entity_dbs)
    assert tries == [1, 1]


def test_blueprints_count_but_give_nothing(runtime: Runtime) -> None:
    hub = StoreHub(runtime=runtime)
    for number in range(5):
        hub.entity_db(blueprint_id()).add_log_msg(bulky(number, blueprint_id()))
        hub.entity_db(recording_id()).add_log_msg(bulky(number))
    before = hub[blueprint_id()].held_bytes
    MemoryLimit(8 * SIZE, runtime).enforce(hub.entity_dbs)
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
