"""What garbage collection takes, in which order, and what it leaves (Rerun's own cases, retold)."""

from __future__ import annotations

import random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from forebay.chunk import Chunk
from forebay.model import ChunkDeletion, ChunkStoreEvent, DeletionReason
from forebay.store import ChunkStore
from tests.store import model
from tests.store.logs import LAST, cut, logs
from tests.store.model import Row
from tests.store.replay import Replay
from tests.store.rows import (
    STORE_ID,
    chunk_of,
    chunks_held,
    collect,
    latest,
    latest_ids,
    real_bytes,
    row,
    row_id,
    rows_held,
    rows_of,
    store_of,
    store_of_rows,
)

HEAVY = 400_000
"""Bytes of a cell that is too large to share a chunk with another row."""

COLORS = {"P:colors": list(range(HEAVY // 4))}
POINTS = {"P:points": [[0.0, float(n)] for n in range(HEAVY // 8)]}
LABELS = {"P:labels": ["x" * HEAVY]}


def on_entities(numbers: range | list[int]) -> list[Chunk]:
    """One chunk of about 4 kB each, none of which can merge with another."""
    return [chunk_of(row(n, 1000 - n, {"P:colors": [n] * 1000}, f"/entity/{n}")) for n in numbers]


def deleted(events: list[ChunkStoreEvent[Chunk]]) -> list[Chunk]:
    """What was collected; a collection reports nothing else."""
    chunks = []
    for event in events:
        assert isinstance(event.diff, ChunkDeletion)
        assert event.diff.reason is DeletionReason.GARBAGE_COLLECTION
        chunks.append(event.diff.chunk)
    return chunks


def test_the_oldest_row_id_goes_first_whatever_its_time_or_arrival() -> None:
    chunks = on_entities(range(20))
    store = store_of(*random.Random(1).sample(chunks, 20))
    gone = [deleted(collect(store, bytes_to_free=1, protect_latest=0)) for _ in range(20)]
    assert [[chunk.id for chunk in chunks] for chunks in gone] == [[chunk.id] for chunk in chunks]
    assert store.is_empty
    assert collect(store, protect_latest=0) == []


def test_within_one_collection_the_order_is_by_row_id_too() -> None:
    chunks = on_entities(range(30))
    store = store_of(*random.Random(2).sample(chunks, 30))
    gone = deleted(collect(store, fraction=0.5, protect_latest=0))
    assert {chunk.id for chunk in gone} == {chunk.id for chunk in chunks[: len(gone)]}
    assert 15 <= len(gone) <= 16


def test_static_data_is_never_collected() -> None:
    store = store_of_rows(
        row(1, None, COLORS),
        row(2, None, {"P:labels": ["static"]}, "/other"),
        row(3, 3, POINTS),
    )
    gone = deleted(collect(store, protect_latest=0))
    assert [item.row_id for chunk in gone for item in rows_of(chunk)] == [row_id(3)]
    assert collect(store, protect_latest=0) == []
    assert latest_ids(store, None, 0) == {"P:colors": row_id(1)}
    assert latest_ids(store, None, 0, "/other") == {"P:labels": row_id(2)}


def four_frames() -> ChunkStore:
    return store_of_rows(
        row(1, 1, {**LABELS, **COLORS}),
        row(2, 2, {**LABELS, **POINTS}),
        row(3, 3, POINTS),
        row(4, 4, COLORS),
    )


def test_the_latest_chunk_of_each_component_is_protected() -> None:
    store = four_frames()
    gone = deleted(collect(store, protect_latest=1))
    assert [item.row_id for chunk in gone for item in rows_of(chunk)] == [row_id(1)]
    expected = {
        1: {},
        2: {"P:labels": 2, "P:points": 2},
        3: {"P:labels": 2, "P:points": 3},
        4: {"P:labels": 2, "P:points": 3, "P:colors": 4},
    }
    for frame, winners in expected.items():
        assert latest_ids(store, "frame", frame) == {
            name: row_id(number) for name, number in winners.items()
        }


def test_protection_may_be_wider_or_none() -> None:
    kept = four_frames()
    assert collect(kept, protect_latest=2) == []
    bare = four_frames()
    assert len(deleted(collect(bare, protect_latest=0))) == 4
    assert bare.is_empty
    assert latest_ids(bare, "frame", LAST) == {}


def test_the_latest_is_protected_on_every_timeline() -> None:
    store = store_of_rows(
        row(1, {"frame": 9, "clock": 1}, COLORS),
        row(2, {"frame": 2, "clock": 2}, COLORS),
        row(3, {"frame": 3, "clock": 8}, COLORS),
    )
    gone = deleted(collect(store, protect_latest=1))
    assert [item.row_id for chunk in gone for item in rows_of(chunk)] == [row_id(2)]
    assert latest_ids(store, "frame", 9) == {"P:colors": row_id(1)}
    assert latest_ids(store, "clock", 9) == {"P:colors": row_id(3)}


def test_a_chunk_of_nulls_is_nobodys_latest() -> None:
    store = store_of_rows(row(1, 1, COLORS), row(2, 2, {"P:colors": None, **LABELS}))
    assert collect(store, protect_latest=1) == []
    assert latest_ids(store, "frame", 9) == {"P:colors": row_id(1), "P:labels": row_id(2)}


def test_static_duplicates_of_temporal_data_keep_answering() -> None:
    store = four_frames()
    store.insert(chunk_of(row(5, None, {**LABELS, **COLORS})))
    store.insert(chunk_of(row(6, None, {**LABELS, **POINTS})))
    collect(store, protect_latest=1)
    assert latest_ids(store, "frame", LAST) == {
        "P:labels": row_id(6),
        "P:colors": row_id(5),
        "P:points": row_id(6),
    }


@pytest.mark.parametrize("fraction", [0.0, 0.1, 1 / 3, 0.75, 1.0])
def test_a_fraction_of_the_bytes_is_dropped_and_little_more(fraction: float) -> None:
    store = store_of(*on_entities(range(200)))
    before = store.byte_size
    gone = deleted(collect(store, fraction=fraction, protect_latest=0))
    dropped = before - store.byte_size
    assert before * fraction * 0.99 <= dropped <= before * (fraction + 0.01)
    assert len(gone) + store.num_chunks == 200


def test_a_target_of_nothing_drops_nothing() -> None:
    store = store_of(*on_entities(range(5)))
    generation = store.generation
    assert collect(store, bytes_to_free=0, protect_latest=0) == []
    assert store.generation == generation


def test_a_target_beyond_everything_drops_everything_there_is_to_drop() -> None:
    store = store_of(*on_entities(range(5)), chunk_of(row(9, None, COLORS)))
    assert len(deleted(collect(store, bytes_to_free=10**15, protect_latest=0))) == 5
    assert store.num_chunks == 1


def test_a_buffer_that_is_still_referenced_is_not_freed() -> None:
    """Ten chunks that are slices of one table: only the last of them gives its memory back."""
    whole = chunk_of(*(row(n, n, {"P:colors": [n] * 1000}) for n in range(100)))
    parts = []
    for n in range(10):
        like = chunk_of(row(n, n, {"P:colors": [n]}, f"/part/{n}"))
        batch = whole.batch.slice(10 * n, 10).replace_schema_metadata(like.batch.schema.metadata)
        parts.append(Chunk(like.id, like.layout, batch))
    newer = chunk_of(row(1000, 1, {"P:colors": [1] * 50_000}, "/newer"))
    store = store_of(*parts, newer)
    assert store.byte_size <= real_bytes([*parts, newer]) * 1.2, "a buffer was counted twice"
    before = real_bytes(chunks_held(store.snapshot()))
    collect(store, bytes_to_free=100_000, protect_latest=0)
    after = real_bytes(chunks_held(store.snapshot()))
    assert before - after >= 100_000, "what was dropped freed nothing"
    assert [chunk.id for chunk in chunks_held(store.snapshot())] == [newer.id]


def test_dropping_parts_of_a_split_chunk_gives_memory_back() -> None:
    whole = chunk_of(*(row(n, n, {"P:colors": [n] * 100}) for n in range(20_000)))
    store = store_of(whole)
    del whole
    before = real_bytes(chunks_held(store.snapshot()))
    size_before = store.byte_size
    collect(store, fraction=0.5, protect_latest=0)
    after = real_bytes(chunks_held(store.snapshot()))
    assert before - after >= 0.45 * before
    assert size_before - store.byte_size >= 0.49 * size_before


def test_it_stops_when_told_to_and_what_was_done_is_done() -> None:
    store, replay, asked = ChunkStore(STORE_ID), Replay(), []
    for chunk in on_entities(range(100)):
        replay.follow(store.insert(chunk))

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    events = collect(store, protect_latest=0, should_stop=should_stop)
    gone = deleted(events)
    assert 1 <= len(gone) <= 50, "it was told to stop after the third question"
    replay.follow(events)
    replay.assert_matches(store)
    again = deleted(collect(store, protect_latest=0))
    assert len(gone) + len(again) == 100


def test_a_budget_that_is_spent_already_still_makes_progress() -> None:
    """Otherwise a busy owner would never free anything."""
    store = store_of(*on_entities(range(10)))
    for left in range(9, -1, -1):
        gone = deleted(collect(store, protect_latest=0, should_stop=lambda: True))
        assert len(gone) >= 1
        assert store.num_chunks <= left


def test_snapshots_outlive_the_collection_of_their_chunks() -> None:
    store = store_of(*on_entities(range(10)))
    snapshot = store.snapshot()
    collect(store, protect_latest=0)
    assert store.is_empty
    for n in range(10):
        assert latest(snapshot, "frame", LAST, f"/entity/{n}") == {
            "P:colors": ([n] * 1000, 1000 - n, row_id(n))
        }


def test_later_data_finds_its_place_after_a_collection() -> None:
    store = store_of(*(chunk_of(row(n, n, {"P:colors": [n]})) for n in range(100)))
    collect(store, protect_latest=0)
    assert store.is_empty
    store.insert(chunk_of(row(200, 5, {"P:colors": [200]})))
    store.insert(chunk_of(row(201, 4, {"P:colors": [201]})))
    assert latest_ids(store, "frame", 9) == {"P:colors": row_id(200)}
    assert store.snapshot().time_range("frame") == (4, 5)


@settings(max_examples=50, deadline=None)
@given(logs(), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_last_answer_survives_any_collection_that_protects_it(
    rows: list[Row], seed: int, fraction: float
) -> None:
    store, replay = ChunkStore(STORE_ID), Replay()
    for chunk in cut(rows, random.Random(seed), 1):
        replay.follow(store.insert(chunk))
    before = store.snapshot()
    replay.follow(collect(store, fraction=fraction, protect_latest=1))
    replay.assert_matches(store)
    after = store.snapshot()
    static = [item for item in rows_held(before) if item.is_static]
    assert model.as_bag(static) == model.as_bag(item for item in rows_held(after) if item.is_static)
    for entity in map(str, before.entity_paths()):
        for timeline in before.timelines():
            expected = model.latest_at(rows, timeline, LAST, entity)
            if expected:  # else the entity may be gone, and with it perhaps the timeline
                on = timeline if timeline in after.timelines() else None
                assert latest(after, on, LAST, entity) == expected


def test_a_protected_part_of_a_split_chunk_does_not_pin_the_whole() -> None:
    """Rows that were dropped without freeing a byte would have been lost for nothing."""
    whole = chunk_of(*(row(n, n, {"P:colors": [n] * 100}) for n in range(20_000)))
    store = store_of(whole)
    del whole
    before = real_bytes(chunks_held(store.snapshot()))
    gone = deleted(collect(store, protect_latest=1))
    after = real_bytes(chunks_held(store.snapshot()))
    assert gone == [] or after < 0.5 * before
    assert latest(store, "frame", LAST) == {"P:colors": ([19_999] * 100, 19_999, row_id(19_999))}


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("how", ["collect", "drop early", "drop late"])
def test_no_row_is_ever_held_twice_when_a_chunk_comes_again(direction: int, how: str) -> None:
    """The whole of a split chunk of which only some parts are left is either known or replaced."""
    rows = [row(n, direction * n, {"P:colors": [n]}) for n in range(9000)]
    whole, store, replay = chunk_of(*rows), ChunkStore(STORE_ID), Replay()
    replay.follow(store.insert(whole))
    if how == "collect":
        replay.follow(collect(store, protect_latest=1))
    elif how == "drop early":
        replay.follow(store.drop_time_range("frame", -9000, 4500 * (direction - 1) // 2 + 4499))
    else:
        replay.follow(store.drop_time_range("frame", 4500 * (direction - 1) // 2 + 4500, 9000))
    assert 0 < store.num_rows < 9000
    replay.follow(store.insert(whole))
    replay.assert_matches(store)
    assert max(model.as_bag(rows_held(store.snapshot())).values()) == 1


def test_a_chunk_that_was_collected_entirely_may_come_again() -> None:
    """Its rows are gone, so they are news; what is still there is none."""
    merged = [chunk_of(row(n, n, {"P:colors": [n]})) for n in range(100)]
    split = chunk_of(*(row(n, n, {"P:colors": [n]}, "/split") for n in range(9000)))
    store, replay = ChunkStore(STORE_ID), Replay()
    for _ in range(2):
        for chunk in (*merged, split):
            replay.follow(store.insert(chunk))
        assert store.num_rows == 9100
        assert store.insert(split) == store.insert(merged[0]) == []
        replay.follow(collect(store, protect_latest=0))
        assert store.is_empty
    replay.assert_matches(store)


def split_chunk() -> ChunkStore:
    """Ten parts that share their buffers, of rows that are each too large for a neighbour."""
    chunk = chunk_of(*(row(n, n, {"P:colors": [n] * (HEAVY // 4)}) for n in range(10)))
    store = store_of(chunk)
    assert store.num_chunks == 10
    return store


def test_a_part_of_a_split_chunk_counts_as_free_though_others_share_its_buffers() -> None:
    store = split_chunk()
    before = store.byte_size
    assert len(deleted(collect(store, bytes_to_free=3 * HEAVY - 1))) == 3
    assert before - store.byte_size >= 3 * HEAVY - 1


def test_memory_limits_take_no_more_parts_of_a_split_chunk_than_they_must() -> None:
    store = split_chunk()
    wanted = store.held_bytes - 3 * HEAVY + 1000
    gone = deleted(store.gc(held_bytes_max=wanted))
    assert 2 <= len(gone) <= 3
    assert store.held_bytes <= wanted
