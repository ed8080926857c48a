"""A snapshot keeps its answers, whatever the store does afterwards and whoever else is reading."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from dataclasses import dataclass

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from forebay.chunk import Chunk
from forebay.errors import QueryError
from forebay.model import ChunkStoreEvent
from forebay.store import ChunkStore, StoreSnapshot
from tests.store import model
from tests.store.logs import FIRST, LAST, cut, interesting_times, logs
from tests.store.model import CLEAR, Row
from tests.store.replay import Replay
from tests.store.rows import (
    STORE_ID,
    chunk_of,
    collect,
    latest,
    narrow_nodes,
    ranged,
    row,
    row_id,
    rows_held,
    store_of_rows,
)


def everything(snapshot: StoreSnapshot, times: dict[str, list[int]]) -> list[object]:
    """All that a snapshot says, as plain values."""
    entities = [str(path) for path in snapshot.entity_paths()]
    said: list[object] = [
        snapshot.generation,
        entities,
        dict(snapshot.timelines()),
        snapshot.num_chunks,
        snapshot.num_rows,
        snapshot.byte_size,
        model.as_bag(rows_held(snapshot)),
    ]
    for entity in entities:
        said.append(latest(snapshot, None, 0, entity))
        for timeline in snapshot.timelines():
            said.append(time_range(snapshot, timeline))
            said.append(ranged(snapshot, timeline, FIRST, LAST, entity))
            said += [latest(snapshot, timeline, t, entity) for t in times.get(timeline, ())]
    return said


def time_range(snapshot: StoreSnapshot, timeline: str) -> object:
    try:
        return snapshot.time_range(timeline)
    except QueryError:
        return "all dropped"


@dataclass
class Taken:
    """A snapshot and what it said at once."""

    snapshot: StoreSnapshot
    times: dict[str, list[int]]
    said: list[object]


class SnapshotMachine(RuleBasedStateMachine):
    """Inserts, collections and drops in any order; every snapshot taken stays what it was."""

    @initialize(
        rows=logs(max_rows=40, min_rows=10, entities=("/", "/a", "/a/b")),
        seed=st.integers(0, 2**32 - 1),
        fanout=st.sampled_from((2, 3, 64)),
    )
    def begin(self, rows: list[Row], seed: int, fanout: int) -> None:
        self.narrowed = contextlib.ExitStack()
        self.narrowed.enter_context(narrow_nodes(fanout))
        self.store = ChunkStore(STORE_ID)
        self.replay = Replay()
        self.waiting = cut(rows, random.Random(seed))
        self.inserted: list[Chunk] = []
        self.taken: list[Taken] = []

    def follow(self, events: list[ChunkStoreEvent[Chunk]]) -> None:
        before = self.replay.last_event_id
        self.replay.follow(events)
        assert self.replay.last_event_id == before + len(events)

    def teardown(self) -> None:
        if hasattr(self, "narrowed"):
            self.narrowed.close()

    @rule(count=st.integers(1, 6))
    def insert(self, count: int) -> None:
        for _ in range(min(count, len(self.waiting))):
            chunk = self.waiting.pop()
            self.inserted.append(chunk)
            self.follow(self.store.insert(chunk))

    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        snapshot = self.store.snapshot()
        rows = self.replay.rows()
        times = {name: interesting_times(rows, name)[:: count + 1] for name in snapshot.timelines()}
        self.taken = [*self.taken[-2:], Taken(snapshot, times, everything(snapshot, times))]

    @rule(fraction=st.floats(0.0, 1.0), protect=st.integers(0, 2))
    def collect(self, fraction: float, protect: int) -> None:
        self.follow(collect(self.store, fraction=fraction, protect_latest=protect))

    @rule(entity=st.sampled_from(("/", "/a", "/a/b")))
    def drop_entity(self, entity: str) -> None:
        if entity in self.store.snapshot().entity_paths():
            self.follow(self.store.drop_entity(entity))

    @rule(
        timeline=st.sampled_from(("frame", "clock")),
        start=st.integers(-2, 6),
        span=st.integers(0, 3),
    )
    def drop_time_range(self, timeline: str, start: int, span: int) -> None:
        if timeline in self.store.snapshot().timelines():
            self.follow(self.store.drop_time_range(timeline, start, start + span))

    @rule(which=st.integers(0, 99))
    def insert_again(self, which: int) -> None:
        """Known, merged away or collected: whatever happens, events and store agree."""
        if self.inserted:
            self.follow(self.store.insert(self.inserted[which % len(self.inserted)]))

    @invariant()
    def snapshots_keep_their_answers(self) -> None:
        for taken in getattr(self, "taken", ()):
            assert everything(taken.snapshot, taken.times) == taken.said

    @invariant()
    def the_store_is_what_its_events_say(self) -> None:
        if not hasattr(self, "store"):
            return
        self.replay.assert_matches(self.store)
        snapshot, rows = self.store.snapshot(), self.replay.rows()
        for entity in map(str, snapshot.entity_paths()):
            for timeline in snapshot.timelines():
                for time in (*interesting_times(rows, timeline)[::3], LAST):
                    expected = model.latest_at(rows, timeline, time, entity)
                    assert latest(snapshot, timeline, time, entity) == expected
                expected_rows = model.range_(rows, timeline, FIRST, LAST, entity)
                assert ranged(snapshot, timeline, FIRST, LAST, entity) == expected_rows


SnapshotMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestSnapshotMachine = SnapshotMachine.TestCase


def test_a_snapshot_does_not_see_what_comes_after_it() -> None:
    store = store_of_rows(row(1, 1, {"P:colors": [1]}))
    before = store.snapshot()
    store.insert(chunk_of(row(2, 1, {"P:colors": [2]})))
    store.insert(chunk_of(row(3, 1, {"P:colors": [3]}, "/new")))
    store.insert(chunk_of(row(4, {"clock": 1}, {"P:labels": []})))
    store.insert(chunk_of(row(5, None, {"P:points": []})))
    assert latest(before, "frame", 9) == {"P:colors": ([1], 1, row_id(1))}
    assert [str(path) for path in before.entity_paths()] == ["/world"]
    assert list(before.timelines()) == ["frame"]
    assert (before.num_chunks, before.num_rows) == (1, 1)
    assert before.generation < store.snapshot().generation


def test_a_snapshot_asked_first_after_the_change_still_answers_from_before_it() -> None:
    """Whatever is worked out lazily must be worked out from the snapshot's own chunks."""
    store = store_of_rows(*(row(n, n, {"P:colors": [n]}) for n in range(40)))
    before = store.snapshot()
    for n in range(40, 500):
        store.insert(chunk_of(row(n, n % 60, {"P:colors": [n]})))
    store.insert(chunk_of(row(501, 20, {CLEAR: [True]}, "/")))
    store.insert(chunk_of(row(502, None, {"P:colors": [502]})))
    assert latest(before, "frame", 20) == {"P:colors": ([20], 20, row_id(20))}
    assert [item[0] for item in ranged(before, "frame", FIRST, LAST)] == list(range(40))


def test_two_snapshots_of_one_generation_are_alike() -> None:
    store = store_of_rows(row(1, 1, {"P:colors": [1]}))
    one, two = store.snapshot(), store.snapshot()
    assert one.generation == two.generation
    assert latest(one, "frame", 1) == latest(two, "frame", 1)


class Readers:
    """Threads that read until the writer is done; the first failure of each is kept."""

    def __init__(self, count: int, read: object) -> None:
        self.done = threading.Event()
        self.failures: list[BaseException] = []
        self.reads = 0
        self._read = read
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def _run(self) -> None:
        try:
            while True:
                is_last = self.done.is_set()
                self._read()  # type: ignore[operator]
                self.reads += 1
                if is_last:
                    return
        except BaseException as error:
            self.failures.append(error)

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)
        for failure in self.failures:
            raise failure


@pytest.mark.parametrize("collecting", [False, True])
def test_readers_never_see_a_torn_state_under_a_writer_at_full_speed(collecting: bool) -> None:
    """Of each step either all is visible or nothing: two entities agree, rows have no holes."""
    steps = 1500
    store, lock = ChunkStore(STORE_ID), threading.Lock()
    step_chunks = [
        (
            chunk_of(row(2 * n, n, {"P:colors": [n]}, "/left")),
            chunk_of(row(2 * n + 1, n, {"P:colors": [n], "P:labels": [str(n)]}, "/right")),
        )
        for n in range(steps)
    ]
    seen: dict[int, int] = {}

    def read() -> None:
        with lock:
            snapshot = store.snapshot()
        if not snapshot.entity_paths():
            return
        left = latest(snapshot, "frame", LAST, "/left")["P:colors"]
        right = latest(snapshot, "frame", LAST, "/right")
        newest = left[1]
        assert newest is not None
        assert left[0] == right["P:colors"][0] == [newest]
        assert right["P:labels"][0] == [str(newest)]
        assert seen.setdefault(snapshot.generation, newest) == newest
        frames = [item[0] for item in ranged(snapshot, "frame", FIRST, LAST, "/right")]
        assert frames == list(range(frames[0], newest + 1))
        assert frames[0] == 0 or collecting
        assert snapshot.time_range("frame")[1] == newest

    with Readers(3, read) as readers:
        for number, (left, right) in enumerate(step_chunks):
            with lock:
                store.insert(left)
                store.insert(right)
                if collecting and number % 100 == 99:
                    collect(store, fraction=0.3)
    assert readers.reads >= 3
    if not collecting:
        assert store.num_rows == 2 * steps


def test_one_snapshot_serves_many_threads() -> None:
    """Lazily made indexes of one snapshot, asked for the first time by several threads at once."""
    rows = [row(n, n % 50, {"P:colors": [n], "P:labels": [str(n)]}) for n in range(600)]
    expected = {time: model.latest_at(rows, "frame", time, "/world") for time in range(0, 50, 7)}
    expected_rows = model.range_(rows, "frame", 10, 20, "/world")
    for _ in range(10):
        snapshot = store_of_rows(*rows[::60]).snapshot() and store_of_rows(*rows).snapshot()
        barrier, failures = threading.Barrier(4), list[BaseException]()

        def ask(
            snapshot: StoreSnapshot = snapshot,
            barrier: threading.Barrier = barrier,
            failures: list[BaseException] = failures,
        ) -> None:
            try:
                barrier.wait(60)
                for time, answer in expected.items():
                    assert latest(snapshot, "frame", time) == answer
                assert ranged(snapshot, "frame", 10, 20) == expected_rows
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []


def test_generations_of_snapshots_count_up() -> None:
    store = ChunkStore(STORE_ID)
    generations = []
    for n in range(50):
        store.insert(chunk_of(row(n, n, {"P:colors": [n]})))
        generations.append(store.snapshot().generation)
    assert all(a < b for a, b in itertools.pairwise(generations))
