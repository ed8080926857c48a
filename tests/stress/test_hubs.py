"""Hubs under many threads: what design.md promises must hold at every moment."""

from __future__ import annotations

import functools
import gc
import random
from collections import defaultdict
from collections.abc import Callable

from forebay.chunk import Chunk
from forebay.errors import ForebayError, UnknownStoreError
from forebay.hub import EntityDb, Event, StoreHub
from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    ChunkAddition,
    SetStoreInfo,
    StoreId,
    StoreInfo,
)
from forebay.runtime import Event as Flag
from forebay.runtime import NativeRuntime
from tests.hub.conftest import blueprint_id, broken, message, recording_id
from tests.stress.hammer import PATIENCE_S, Going, hammer

SUBMITTERS = 4
STORES = 5
EACH = 150
"""Messages of each submitter for each store."""

FIRST, LAST = -(2**63), 2**63 - 1


@functools.cache
def numbered(submitter: int, number: int) -> ArrowMsg:
    return message(number, entity=f"/submitter/{submitter}")


def number_of(chunk: Chunk) -> int:
    return int(chunk.component("Scalars:scalars")[0].as_py()[0])


def logged(db: EntityDb, submitter: int) -> list[int]:
    """What is in the store of one submitter, by frame."""
    table = db.range("frame", FIRST, LAST, f"/submitter/{submitter}")
    return [int(cell[0]) for cell in table["Scalars:scalars"].to_pylist()]


def submit_all(hub: StoreHub, submitter: int, store_ids: list[StoreId]) -> None:
    order = random.Random(submitter)
    for number in range(EACH):
        for store_id in order.sample(store_ids, len(store_ids)):
            hub.receive_log_msg(
                numbered(submitter, number).with_store_id(store_id), f"s{submitter}"
            )


def check_conservation(db: EntityDb) -> None:
    stats = db.ingestion_stats()
    outcomes = stats.committed + stats.rejected + stats.dropped
    assert stats.accepted == outcomes + stats.in_flight
    assert min(stats.accepted, stats.committed, stats.in_flight, stats.queue_bytes) >= 0


def check_snapshot(db: EntityDb) -> None:
    """One generation: each submitter's rows without a hole, and all queries of one mind."""
    snapshot = db.snapshot()
    rows = 0
    for path in snapshot.entity_paths():
        table = snapshot.range("frame", FIRST, LAST, path)
        frames = table["frame"].to_pylist()
        assert frames == list(range(len(frames)))
        latest = snapshot.latest_at("frame", LAST, path)["Scalars:scalars"]
        assert latest.time == frames[-1]
        assert latest.value.to_pylist() == [float(frames[-1])]
        rows += len(frames)
    assert snapshot.num_rows == rows
    if rows:
        assert snapshot.dataframe("frame").num_rows == snapshot.time_range("frame")[1] + 1


def test_many_submitters_many_stores(native: NativeRuntime) -> None:
    hub = StoreHub(runtime=native, capacity=50)
    store_ids = [recording_id(f"r{number}") for number in range(STORES)]
    heard: dict[tuple[StoreId, str], list[int]] = defaultdict(list)
    event_ids: dict[StoreId, list[int]] = defaultdict(list)

    def listen(event: Event) -> None:
        event_ids[event.store_id].append(event.event_id)
        if isinstance(event.diff, ChunkAddition):
            chunk = event.diff.chunk
            heard[event.store_id, chunk.entity_path].append(number_of(chunk))

    hub.subscribe(listen)

    def look(going: Going) -> None:
        while going:
            for db in hub.entity_dbs():
                check_conservation(db)
                check_snapshot(db)

    hammer(
        [functools.partial(submit_all, hub, number, store_ids) for number in range(SUBMITTERS)],
        [look, look],
    )
    hub.flush(PATIENCE_S)
    (subscription,) = hub._subscribers.subscriptions
    assert subscription.wait_idle(PATIENCE_S)
    assert len(hub.recordings()) == STORES
    for store_id in store_ids:
        db = hub[store_id]
        assert db.ingestion_stats().committed == SUBMITTERS * EACH
        assert event_ids[store_id] == list(range(1, len(event_ids[store_id]) + 1))
        for submitter in range(SUBMITTERS):
            assert logged(db, submitter) == list(range(EACH))
            assert heard[store_id, f"/submitter/{submitter}"] == list(range(EACH))
    assert hub._budget.used_bytes == 0


def test_collecting_and_querying_under_a_writer(native: NativeRuntime) -> None:
    hub = StoreHub(runtime=native, store_memory_limit=400_000)
    db = hub.entity_db(recording_id())

    def look(going: Going) -> None:
        while going:
            snapshot = db.snapshot()
            for path in snapshot.entity_paths():
                frames = snapshot.range("frame", FIRST, LAST, path)["frame"].to_pylist()
                # The oldest may be gone, and the latest never is.
                assert frames == list(range(frames[0], frames[-1] + 1))
                assert snapshot.latest_at("frame", LAST, path)["Scalars:scalars"].time == frames[-1]
            assert snapshot.byte_size >= 0

    def collect(going: Going) -> None:
        while going:
            db.gc(10_000, time_budget_s=0.001)

    hammer(
        [functools.partial(submit_all, hub, number, [db.store_id]) for number in range(SUBMITTERS)],
        [look, look, collect],
    )
    hub.flush(PATIENCE_S)
    for submitter in range(SUBMITTERS):
        assert logged(db, submitter)[-1] == EACH - 1


def test_dropping_and_querying_under_a_writer(native: NativeRuntime) -> None:
    """What is left of a chunk is whole rows, and an old snapshot still says what it said."""
    hub = StoreHub(runtime=native, store_memory_limit=400_000)
    db = hub.entity_db(recording_id())

    def look(going: Going) -> None:
        held = db.snapshot()
        before: tuple[int, object] | None = None
        while going:
            snapshot = db.snapshot()
            rows = 0
            for path in snapshot.entity_paths():
                table = snapshot.range("frame", FIRST, LAST, path)
                frames = table["frame"].to_pylist()
                if frames:
                    cells = table["Scalars:scalars"].to_pylist()
                    assert cells == [[float(one)] for one in frames]
                rows += len(frames)
            assert snapshot.num_rows == rows
            if rows:
                made = snapshot.dataframe("frame", fill_latest_at=True)
                made.validate(full=True)
                if before is None:
                    held, before = snapshot, (rows, made)
            if before is not None:
                assert (held.num_rows, held.dataframe("frame", fill_latest_at=True)) == before

    def drop(going: Going) -> None:
        numbers = random.Random(1)
        while going:
            first = numbers.randrange(EACH)
            if db.snapshot().timelines():
                db.drop_time_range("frame", first, first + numbers.randrange(EACH // 4))
            path = f"/submitter/{first % SUBMITTERS}"
            if first < EACH // 10 and path in db.entity_paths():
                db.drop_entity(path)

    hammer(
        [functools.partial(submit_all, hub, number, [db.store_id]) for number in range(SUBMITTERS)],
        [look, look, drop],
    )
    hub.flush(PATIENCE_S)
    assert db.ingestion_stats().committed == SUBMITTERS * EACH


def test_subscribers_come_and_go(native: NativeRuntime) -> None:
    """Whoever listens hears every event from then on until it leaves, each once and in order."""
    hub = StoreHub(runtime=native, capacity=50)
    store_ids = [recording_id(f"r{number}") for number in range(2)]
    dbs = [hub.entity_db(store_id) for store_id in store_ids]
    whole: dict[StoreId, list[int]] = defaultdict(list)

    def hear(heard: dict[StoreId, list[int]], some: Flag, event: Event) -> None:
        heard[event.store_id].append(event.event_id)
        some.set()

    def come_and_go(
        subscribe: Callable[[Callable[[Event], object]], Callable[[], None]], going: Going
    ) -> None:
        while going:
            heard: dict[StoreId, list[int]] = defaultdict(list)
            some = Flag()

            unsubscribe = subscribe(functools.partial(hear, heard, some))
            some.wait(0.05)
            unsubscribe()
            for ids in list(heard.values()):
                known = list(ids)
                assert known == list(range(known[0], known[0] + len(known)))

    hub.subscribe(functools.partial(hear, whole, Flag()))
    hammer(
        [functools.partial(submit_all, hub, number, store_ids) for number in range(SUBMITTERS)],
        [
            functools.partial(come_and_go, hub.subscribe),
            functools.partial(come_and_go, dbs[0].subscribe),
            functools.partial(come_and_go, dbs[1].subscribe),
        ],
    )
    hub.flush(PATIENCE_S)
    (subscription,) = hub._subscribers.subscriptions
    assert subscription.wait_idle(PATIENCE_S)
    for store_id in store_ids:
        assert whole[store_id] == list(range(1, len(whole[store_id]) + 1))
        assert len(whole[store_id]) >= SUBMITTERS * EACH
    assert all(db.subscriptions == () for db in dbs)


def test_stores_removed_while_they_are_written(native: NativeRuntime) -> None:
    hub = StoreHub(runtime=native, capacity=20)
    store_ids = [recording_id(f"r{number}") for number in range(STORES)]
    lives: dict[int, EntityDb] = {}

    def remove(going: Going) -> None:
        choose = random.Random(0)
        while going:
            for db in hub.entity_dbs():
                lives[id(db)] = db
            hub.remove(choose.choice(store_ids))
            if choose.random() < 0.1:
                hub.close_application(store_ids[0].application_id)

    def look(going: Going) -> None:
        while going:
            for store_id in store_ids:
                assert (store_id in hub) in {True, False}
                try:
                    check_conservation(hub[store_id])
                except UnknownStoreError:
                    continue
            assert len(hub) <= STORES
            active = hub.active_recording
            assert active is None or active.store_id in store_ids

    hammer(
        [functools.partial(submit_all, hub, number, store_ids) for number in range(SUBMITTERS)],
        [remove, look],
    )
    for db in [*lives.values(), *hub.entity_dbs()]:
        db.flush(PATIENCE_S)
        check_conservation(db)
        assert db.ingestion_stats().in_flight == 0
        for path in db.entity_paths():
            frames = db.range("frame", FIRST, LAST, path)["frame"].to_pylist()
            assert frames == sorted(set(frames))
    db = None  # type: ignore[assignment]
    lives.clear()
    for store_id in store_ids:
        hub.remove(store_id)
    assert native.join(PATIENCE_S)
    gc.collect()
    assert hub._budget.used_bytes == 0


def test_bad_messages_between_good_ones(native: NativeRuntime) -> None:
    """Rejections are read, and messages refused directly, while others are taken in."""
    hub = StoreHub(runtime=native, capacity=50)
    db = hub.entity_db(recording_id())
    bad = broken()

    def submit(submitter: int) -> None:
        for number in range(EACH):
            hub.receive_log_msg(numbered(submitter, number))
            hub.receive_log_msg(bad)

    def add() -> None:
        for _ in range(30):
            try:
                db.add_log_msg(bad)
            except ForebayError:
                continue
            raise AssertionError

    def look(going: Going) -> None:
        while going:
            check_conservation(db)
            for rejected in db.rejections():
                assert rejected.store_id == db.store_id
                assert rejected.reason

    hammer([functools.partial(submit, number) for number in range(2)] + [add, add], [look, look])
    hub.flush(PATIENCE_S)
    stats = db.ingestion_stats()
    assert (stats.committed, stats.rejected) == (2 * EACH, 2 * EACH + 60)
    assert len(db.rejections()) == 2 * EACH + 60
    for submitter in range(2):
        assert logged(db, submitter) == list(range(EACH))


def test_blueprints_activated_from_many_threads(native: NativeRuntime) -> None:
    """Each clone that is ever active holds all that was sent before its activation."""
    hub = StoreHub(runtime=native)

    def send(submitter: int) -> None:
        store_id = blueprint_id(f"bp{submitter}")
        hub.receive_log_msg(SetStoreInfo(StoreInfo(store_id)))
        for number in range(40):
            hub.receive_log_msg(numbered(submitter, number).with_store_id(store_id))
            hub.receive_log_msg(BlueprintActivationCommand(store_id, True, True))

    def look(going: Going) -> None:
        while going:
            active = hub.active_blueprint(blueprint_id().application_id)
            if active is not None:
                (path,) = active.entity_paths()
                frames = active.range("frame", FIRST, LAST, path)["frame"].to_pylist()
                assert frames
                assert frames == list(range(len(frames)))
            assert len(hub.blueprints()) <= SUBMITTERS + 1

    hammer([functools.partial(send, number) for number in range(SUBMITTERS)], [look])
    hub.flush(PATIENCE_S)
    active = hub.active_blueprint(blueprint_id().application_id)
    assert active is not None
    assert active.num_rows == 40
    assert len(hub.blueprints()) == SUBMITTERS + 1
