"""Whatever was logged, however it was cut and in whatever order it came: the model's answers."""

from __future__ import annotations

import random
from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from forebay import limits
from forebay.model import ChunkCompaction
from forebay.store import ChunkStore
from tests.store import model
from tests.store.logs import ENTITIES, FIRST, LAST, TIMELINES, cut, interesting_times, logs
from tests.store.model import CLEAR, Row
from tests.store.replay import Replay
from tests.store.rows import (
    COMPONENT_TYPES,
    STORE_ID,
    chunk_of,
    latest,
    narrow_nodes,
    ranged,
    ranged_static,
    row,
    rows_held,
    rows_of,
    store_of,
)

seeds = st.integers(0, 2**32 - 1)
selections = st.none() | st.lists(
    st.sampled_from(sorted(COMPONENT_TYPES)), min_size=1, max_size=3, unique=True
)


def known(store: ChunkStore) -> tuple[list[str], list[str]]:
    snapshot = store.snapshot()
    return [str(entity) for entity in snapshot.entity_paths()], list(snapshot.timelines())


def selection_on(rows: Sequence[Row], entity: str, wanted: list[str] | None) -> list[str] | None:
    """The wanted components that the entity has; asking for others is another test's subject."""
    there = {name for row in rows if row.entity == entity for name in row.cells}
    return None if wanted is None else [name for name in wanted if name in there]


def assert_answers(store: ChunkStore, rows: Sequence[Row], wanted: list[str] | None) -> None:
    """Every question about `rows`, at every time that matters."""
    snapshot = store.snapshot()
    entities, timelines = known(store)
    for entity in entities:
        components = selection_on(rows, entity, wanted)
        static = model.latest_at(rows, None, 0, entity, components)
        assert latest(snapshot, None, 0, entity, components) == static
        assert static_cells(store, entity, components) == static_winners(rows, entity, components)
        for timeline in timelines:
            times = interesting_times(rows, timeline)
            for time in times:
                expected = model.latest_at(rows, timeline, time, entity, components)
                assert latest(snapshot, timeline, time, entity, components) == expected
            for start, end in zip(times, [*times[5:], *times[:5]], strict=True):
                expected_rows = model.range_(
                    rows, timeline, start, end, entity, components=components
                )
                assert (
                    ranged(snapshot, timeline, start, end, entity, components=components)
                    == expected_rows
                )


def static_winners(
    rows: Sequence[Row], entity: str, components: list[str] | None
) -> dict[str, model.Value]:
    """Static winners as a range gives them: clears are data there, and hide nothing."""
    static = [item for item in rows if item.is_static and item.entity == entity]
    return {
        name: value
        for item in sorted(static, key=lambda item: item.row_id)
        for name, value in item.cells.items()
        if value is not None and (components is None or name in components)
    }


def static_cells(
    store: ChunkStore, entity: str, components: list[str] | None
) -> dict[str, model.Value]:
    cells: dict[str, model.Value] = {}
    for _, found in ranged_static(store, entity, components):
        assert not cells.keys() & found.keys(), "a static component came twice"
        cells.update(found)
    return cells


@settings(max_examples=80, deadline=None)
@given(logs(), seeds, selections)
def test_answers_are_the_models_however_rows_arrive(
    rows: list[Row], seed: int, wanted: list[str] | None
) -> None:
    rng = random.Random(seed)
    store = store_of(*cut(rows, rng))
    assert_answers(store, rows, wanted)


@settings(max_examples=30, deadline=None)
@given(logs(max_rows=15, entities=("/", "/a", "/a/b")), seeds)
def test_answers_depend_neither_on_cutting_nor_on_arrival(rows: list[Row], seed: int) -> None:
    rng = random.Random(seed)
    stores = [store_of(*cut(rows, rng, size)) for size in (1, None, len(rows) or 1)]
    for store in stores:
        assert_answers(store, rows, None)


@settings(max_examples=60, deadline=None)
@given(logs(min_rows=10, max_rows=40, entities=("/", "/a")), seeds, st.sampled_from((2, 3, 5)))
def test_answers_do_not_depend_on_merging(rows: list[Row], seed: int, fanout: int) -> None:
    with narrow_nodes(fanout):
        store, replay = ChunkStore(STORE_ID), Replay()
        for chunk in cut(rows, random.Random(seed), 1):
            replay.follow(store.insert(chunk))
        replay.assert_matches(store)
        assert_answers(store, rows, None)


@settings(max_examples=30, deadline=None)
@given(logs(max_rows=15, entities=("/", "/a")), seeds)
def test_answers_are_right_after_each_single_insert(rows: list[Row], seed: int) -> None:
    """Nothing remembered from an earlier question may answer a later one."""
    store, arrived = ChunkStore(STORE_ID), set[bytes]()
    for chunk in cut(rows, random.Random(seed)):
        store.insert(chunk)
        arrived |= {item.row_id for item in rows_of(chunk)}
        assert_answers(store, [item for item in rows if item.row_id in arrived], None)


@settings(max_examples=50, deadline=None)
@given(logs(), seeds)
def test_nothing_logged_is_lost_or_doubled(rows: list[Row], seed: int) -> None:
    """All temporal rows are held once; static ones at least while they win a component."""
    store = store_of(*cut(rows, random.Random(seed)))
    held = rows_held(store.snapshot())
    temporal = [item for item in rows if not item.is_static and item.cells]
    assert model.as_bag(
        item for item in held if not item.is_static and has_data(item)
    ) == model.as_bag(item for item in temporal if has_data(item))
    static = model.as_bag(item for item in held if item.is_static)
    assert static <= model.as_bag(item for item in rows if item.is_static)
    assert model.as_bag(model.surviving_static(rows)) <= static


def has_data(item: Row) -> bool:
    return any(value is not None for value in item.cells.values())


@settings(max_examples=50, deadline=None)
@given(logs(), seeds)
def test_events_tell_the_whole_story(rows: list[Row], seed: int) -> None:
    """Replaying the events gives the store, chunk by chunk; twice the same chunk gives none."""
    store, replay = ChunkStore(STORE_ID), Replay()
    chunks = cut(rows, random.Random(seed))
    for chunk in chunks:
        replay.follow(store.insert(chunk))
        replay.assert_matches(store)
        if chunk.id in replay.chunks or not chunk.is_static:
            assert store.insert(chunk) == []
    generation = store.generation
    assert [event for chunk in chunks if not chunk.is_static for event in store.insert(chunk)] == []
    assert store.generation == generation
    replay.assert_matches(store)


@settings(max_examples=50, deadline=None)
@given(logs(), seeds)
def test_the_table_of_contents_is_right(rows: list[Row], seed: int) -> None:
    store = store_of(*cut(rows, random.Random(seed)))
    snapshot = store.snapshot()
    logged = [item for item in rows if any(item.cells.keys())]
    assert {str(path) for path in snapshot.entity_paths()} <= {item.entity for item in logged}
    with_data = {item.entity for item in logged if has_data(item)}
    assert with_data <= {str(path) for path in snapshot.entity_paths()}
    for timeline in TIMELINES:
        times = [item.times[timeline] for item in rows if timeline in item.times and has_data(item)]
        if times:
            first, last = snapshot.time_range(timeline)
            assert first <= min(times)
            assert last >= max(times)
    order = [path.sort_key for path in snapshot.entity_paths()]
    assert order == sorted(order)


def steady_log(num_rows: int, rng: random.Random, entity: str = "/a") -> list[Row]:
    """Many rows of one entity on two timelines, a few out of order, sparse, with clears."""
    rows = []
    for number in range(num_rows):
        times = {"frame": number + rng.choice((0, 0, 0, -7)), "clock": 1000 - number // 2}
        cells: dict[str, model.Value | None] = {"P:colors": [number]}
        if number % 3 == 0:
            cells["P:labels"] = None if number % 2 else [str(number)]
        if number % 97 == 96:
            cells = {CLEAR: [number % 2 == 0]}
        rows.append(row(number, times, cells, entity))
    return rows


def assert_sampled_answers(store: ChunkStore, rows: list[Row], rng: random.Random) -> None:
    snapshot = store.snapshot()
    entity = rows[0].entity
    for timeline in ("frame", "clock"):
        times = sorted({item.times[timeline] for item in rows if timeline in item.times})
        for time in rng.sample(times, 6):
            expected = model.latest_at(rows, timeline, time, entity)
            assert latest(snapshot, timeline, time, entity) == expected
        for _ in range(2):
            start, end = sorted(rng.sample(times, 2))
            expected_rows = model.range_(rows, timeline, start, end, entity)
            assert ranged(snapshot, timeline, start, end, entity) == expected_rows
        everything = model.range_(rows, timeline, FIRST, LAST, entity)
        assert ranged(snapshot, timeline, FIRST, LAST, entity) == everything


@pytest.mark.parametrize("arrival", ["in order", "backwards", "shuffled", "two ends"])
def test_merging_tiny_chunks_changes_no_answer(arrival: str) -> None:
    rng = random.Random(arrival)
    rows = steady_log(700, rng)
    arriving = {
        "in order": rows,
        "backwards": rows[::-1],
        "shuffled": rng.sample(rows, len(rows)),
        "two ends": [item for pair in zip(rows[:350], rows[:349:-1], strict=True) for item in pair],
    }[arrival]
    store, replay = ChunkStore(STORE_ID), Replay()
    for item in arriving:
        replay.follow(store.insert(chunk_of(item)))
    replay.assert_matches(store)
    assert store.num_chunks < 350, "nothing was merged"
    assert store.num_rows == 700
    assert_sampled_answers(store, rows, rng)


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_splitting_by_rows_changes_no_answer(order: str) -> None:
    rng = random.Random(order)
    rows = steady_log(5001, rng)
    if order == "sorted":
        rows = [
            Row(item.entity, item.row_id, {"frame": n, "clock": n // 3}, item.cells)
            for n, item in enumerate(rows)
        ]
    store, replay = ChunkStore(STORE_ID), Replay()
    replay.follow(store.insert(chunk_of(*rows)))
    replay.assert_matches(store)
    held = store.snapshot().chunks(store.snapshot().entity_paths()[0])
    assert len(held) >= 5001 / limits.CHUNK_SPLIT_ROWS_MAX
    for chunk in held:
        is_sorted = all(
            (chunk.times(name)[1:] >= chunk.times(name)[:-1]).all() for name in chunk.timelines
        )
        bound = limits.CHUNK_SPLIT_ROWS_MAX if is_sorted else limits.CHUNK_SPLIT_ROWS_MAX_UNSORTED
        assert chunk.num_rows <= bound
    assert_sampled_answers(store, rows, rng)


def test_splitting_by_bytes_changes_no_answer() -> None:
    rng = random.Random(3)
    rows = [
        row(n, {"frame": n}, {"P:blobs": [[n % 256] * 40_000], "P:colors": [n]}, "/a")
        for n in range(40)
    ]
    store, replay = ChunkStore(STORE_ID), Replay()
    replay.follow(store.insert(chunk_of(*rows)))
    replay.assert_matches(store)
    assert store.num_chunks >= 40 * 40_000 / limits.CHUNK_SPLIT_BYTES_MAX
    snapshot = store.snapshot()
    for time in rng.sample(range(40), 5):
        assert latest(snapshot, "frame", time, "/a") == model.latest_at(rows, "frame", time, "/a")
    assert ranged(snapshot, "frame", 5, 9, "/a") == model.range_(rows, "frame", 5, 9, "/a")


def test_one_row_larger_than_the_limit_stays_whole() -> None:
    item = row(1, 1, {"P:blobs": [[7] * (2 * limits.CHUNK_SPLIT_BYTES_MAX)]})
    store = store_of(chunk_of(item))
    assert store.num_chunks == 1
    assert latest(store, "frame", 1) == model.latest_at([item], "frame", 1, "/world")


def test_static_chunks_neither_split_nor_merge() -> None:
    many = chunk_of(*(row(n, None, {"P:colors": [n]}) for n in range(5000)))
    other = chunk_of(row(6000, None, {"P:labels": ["x"]}))
    store = ChunkStore(STORE_ID)
    events = [*store.insert(many), *store.insert(other)]
    assert not any(isinstance(event.diff, ChunkCompaction) for event in events)
    assert [chunk.id for chunk in store.snapshot().static_chunks("/world")] == [many.id, other.id]


def test_rows_of_different_timelines_or_types_never_share_a_chunk() -> None:
    """What cannot be merged is not: answers stay exact when types change in mid-recording."""
    rows = [
        row(
            n,
            {"frame": n} if n % 2 else {"frame": n, "clock": n},
            {"P:colors": [n]},
        )
        for n in range(200)
    ]
    store = store_of(*(chunk_of(item) for item in rows))
    assert store.num_chunks < 200, "nothing was merged"
    for chunk in store.snapshot().chunks("/world"):
        assert chunk.num_rows == sum(
            item.times.keys() == set(chunk.timelines)
            for item in rows
            if item.row_id in {bytes(chunk.row_id_at(i)) for i in range(chunk.num_rows)}
        )
    assert_sampled_answers(store, rows, random.Random(5))


def test_entities_of_the_pool_include_look_alikes() -> None:
    """`/ab` is no descendant of `/a`; the generated logs must be able to tell."""
    assert "/ab" in ENTITIES
    assert model.ancestors("/ab") == ["/"]
    assert model.ancestors("/a/b/c") == ["/a/b", "/a", "/"]
