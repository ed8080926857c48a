"""What a change of a store costs: as much as it brings, however much is there already."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from forebay.chunk import Chunk, merge, split
from forebay.errors import LimitError
from forebay.limits import GC_SHARE_MIN, MERGED_COLUMNS_MAX, STORE_LIMITS, StoreLimits
from forebay.model import StoreId
from forebay.store import ChunkStore, removal
from tests.chunks import make_chunk, make_clear
from tests.steps import calls_of, check_constant, check_proportion, copies_of

STORE = StoreId.recording("app", "rec")
WIDE = replace(STORE_LIMITS, store_timelines_max=100_000)
TRANSFORM = "Transform3D:translation"


def store_of(chunks: list[Chunk], limits: StoreLimits = STORE_LIMITS) -> ChunkStore:
    store = ChunkStore(STORE, limits)
    for chunk in chunks:
        store.insert(chunk)
    return store


def rows(count: int, entity: str = "/a") -> list[Chunk]:
    return [make_chunk(entity, {"t": [number]}, {"S:x": [[1.0]]}) for number in range(count)]


def columns(count: int, start: int = 0) -> dict[str, list[list[float]]]:
    return {f"S:c{number}": [[1.0]] for number in range(start, start + count)}


# --- learning what there is ---


def test_twice_the_columns_of_a_chunk_take_twice_the_steps() -> None:
    def components(size: int) -> int:
        store, chunk = ChunkStore(STORE), make_chunk("/a", {"t": [1]}, columns(size))
        return calls_of(lambda: store.insert(chunk))

    def timelines(size: int) -> int:
        lines = {f"t{number}": [1] for number in range(size)}
        store, chunk = ChunkStore(STORE, WIDE), make_chunk("/a", lines, {"S:x": [[1.0]]})
        return calls_of(lambda: store.insert(chunk))

    check_proportion(components, 100)
    check_proportion(timelines, 100)


def test_many_new_timelines_are_learnt_with_one_copy() -> None:
    store = ChunkStore(STORE, WIDE)
    chunk = make_chunk("/a", {f"t{number}": [1] for number in range(50)}, {"S:x": [[1.0]]})
    seen = [store._state.timelines]

    def note(*_: object) -> None:
        if store._state.timelines is not seen[-1]:
            seen.append(store._state.timelines)

    sys.setprofile(note)
    try:
        store.insert(chunk)
    finally:
        sys.setprofile(None)
    assert len(seen) <= 2


def test_ever_new_components_copy_none_of_those_before() -> None:
    store = store_of(rows(1))
    works = [partial(store.insert, make_chunk("/a", {"t": [n]}, columns(1, n))) for n in range(20)]
    entity = store._state.entities[next(iter(store._state.entities))]
    assert copies_of(lambda: entity.columns, works) == 0
    assert len(entity.columns) == 21


def test_a_snapshot_keeps_the_components_that_it_saw() -> None:
    store = store_of(rows(1))
    before = store.snapshot()
    store.insert(make_chunk("/a", {"t": [1]}, columns(3)))
    assert len(before.components("/a")) == 1
    assert len(store.snapshot().components("/a")) == 4


def test_clears_of_many_entities_are_counted_and_not_copied() -> None:
    def cost(size: int) -> int:
        store = ChunkStore(STORE)
        chunks = [make_clear(f"/e{n}", {"t": [1]}, recursive=False) for n in range(size)]
        return calls_of(lambda: [store.insert(chunk) for chunk in chunks])

    check_proportion(cost, 50)
    store = store_of([make_clear(f"/e{n}", {"t": [1]}, recursive=False) for n in range(5)])
    assert store._state.num_cleared == 5
    store.drop_entity("/e3")
    assert store._state.num_cleared == 4


def test_the_paths_above_an_entity_are_worked_out_by_queries_that_need_them() -> None:
    deep = "/a" * 400
    store = store_of(rows(1, deep))
    path = next(iter(store._state.entities))
    store.snapshot().latest_at("t", 1, deep)
    assert store._state.entities[path]._lineage is None
    store.insert(make_clear("/a/a", {"t": [5]}, recursive=True))
    assert store.snapshot().latest_at("t", 1, deep)
    assert not store.snapshot().latest_at("t", 5, deep)
    assert store._state.entities[path]._lineage is None, "of a deep one they are not kept"


# --- static data ---


@pytest.mark.parametrize("component", ["S:x", TRANSFORM])
def test_a_static_chunk_takes_the_same_steps_among_many(component: str) -> None:
    def cost(size: int) -> int:
        store = store_of([make_chunk("/a", None, columns(size))])
        for _ in range(size):
            store.insert(make_chunk("/a", None, {component: [[1.0]]}))
        one = make_chunk("/a", None, {component: [[2.0]]})
        return calls_of(lambda: store.insert(one))

    check_constant(cost, 20)


def test_static_chunks_are_added_without_copies_of_those_before() -> None:
    store = store_of([make_chunk("/a", None, columns(10))])
    entity = store._state.entities[next(iter(store._state.entities))]
    works = [
        partial(store.insert, make_chunk("/a", None, {TRANSFORM: [[float(n)]]})) for n in range(9)
    ]
    assert copies_of(lambda: entity.statics.cells, works) == 0
    assert copies_of(lambda: entity.statics.chunks, works) == 0
    assert len(entity.static_chunks) == 10


def test_a_snapshot_keeps_the_static_data_that_it_saw() -> None:
    store = store_of([make_chunk("/a", None, {"S:x": [[1.0]]})])
    before = store.snapshot()
    store.insert(make_chunk("/a", None, {"S:x": [[2.0]]}))
    assert before.latest_at(None, None, "/a")["S:x"].value.to_pylist() == [1.0]
    assert store.snapshot().latest_at(None, None, "/a")["S:x"].value.to_pylist() == [2.0]
    assert len(before.static_chunks("/a")) == len(store.snapshot().static_chunks("/a")) == 1


# --- copies ---


def filled(size: int) -> ChunkStore:
    """Temporal chunks of some entities, merged ones among them, split ones, and static ones."""
    store = store_of([chunk for n in range(3) for chunk in rows(size, f"/e{n}")])
    big = make_chunk("/big", {"t": range(9000)}, {"S:x": [[1.0]] * 9000})
    store.insert(big)
    store.insert(make_chunk("/e0", None, {"S:s": [[1.0]]}))
    store.insert(make_chunk("/e0", None, {TRANSFORM: [[1.0]]}))
    store.insert(make_chunk("/e0", None, {TRANSFORM: [[2.0]]}))
    return store


def ids_in(store: ChunkStore) -> list[bytes]:
    known = store._state.known
    return [
        bytes(block[at : at + 16]) for block in known._blocks for at in range(0, len(block), 16)
    ]


def test_a_copy_takes_the_same_steps_of_many_chunks() -> None:
    other = StoreId.recording("app", "other")

    def cost(size: int) -> int:
        store = filled(size)
        assert store.held_bytes
        return calls_of(lambda: store.copy(other))

    check_constant(cost, 50)


def test_a_copy_knows_what_its_origin_knew() -> None:
    store = filled(100)
    copied = store.copy(StoreId.recording("app", "other"))
    assert (copied.byte_size, copied.held_bytes) == (store.byte_size, store.held_bytes)
    assert ids_in(copied) == ids_in(store)
    assert copied._state.known._holders == store._state.known._holders
    assert (copied.byte_size, copied.held_bytes) == (store.byte_size, store.held_bytes)


def test_a_copy_and_its_origin_go_on_apart() -> None:
    store = filled(100)
    copied = store.copy(StoreId.recording("app", "other"))
    again = copied.copy(StoreId.recording("app", "third"))
    counts = (store.num_chunks, store.num_rows)
    for _ in range(2):
        for one, entity in ((store, "/e1"), (copied, "/e2"), (again, "/new")):
            for chunk in rows(70, entity):
                one.insert(chunk)
    snapshots = [one.snapshot() for one in (store, copied, again)]
    assert [one.num_rows for one in snapshots] == [counts[1] + 140] * 3
    rows_of = [{str(path): number for path, _, number in one.entity_stats()} for one in snapshots]
    assert [one["/e1"] for one in rows_of] == [240, 100, 100]
    assert [one["/e2"] for one in rows_of] == [100, 240, 100]
    assert ["/new" in one for one in rows_of] == [False, False, True]
    for one in (store, copied, again):
        one.gc()
        assert one.byte_size == one.snapshot().byte_size
        assert one.num_rows == one.snapshot().num_rows
        one.drop_entity("/big")
        assert one.byte_size == one.snapshot().byte_size


def test_what_a_copy_has_cannot_be_inserted_again() -> None:
    store = store_of(rows(3))
    chunk = make_chunk("/a", {"t": [9]}, {"S:x": [[1.0]]})
    store.insert(chunk)
    copied = store.copy(StoreId.recording("app", "other"))
    assert copied.insert(chunk) == []
    assert len(copied.insert(make_chunk("/a", {"t": [9]}, {"S:x": [[1.0]]}))) == 1


# --- splitting, merging, collecting ---


def test_a_chunk_is_looked_through_once_to_split_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    is_time_sorted = merge.is_time_sorted

    def watched(chunk: Chunk) -> bool:
        looked.append(chunk.num_rows)
        return is_time_sorted(chunk)

    monkeypatch.setattr(merge, "is_time_sorted", watched)
    count = 20_000
    lengths = [2000 if number % 1000 == 0 else 1 for number in range(count)]  # parts of all sizes
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    cells = pa.ListArray.from_arrays(offsets, pa.array(np.zeros(offsets[-1])))
    chunk = make_chunk("/a", {"t": range(count)}, {"S:x": cells})
    looked.clear()
    parts = split(chunk)
    assert sum(part.num_rows for part in parts) == count
    assert sum(looked) <= 4 * count


def test_merging_brings_few_components_together() -> None:
    store = store_of(
        [make_chunk("/a", {"t": [n]}, columns(50, 50 * n)) for n in range(64)]
        + [make_chunk("/a", {"t": [n]}, columns(100, 10_000)) for n in range(64)]
    )
    chunks = store.snapshot().chunks("/a")
    assert max(len(list(chunk.components)) for chunk in chunks) <= max(MERGED_COLUMNS_MAX, 100)
    assert sum(chunk.num_rows for chunk in chunks) == 128
    assert min(len(chunks), 70) < 128, "those with the same components are merged"


def test_twice_the_chunks_that_do_not_merge_take_twice_the_steps() -> None:
    def cost(size: int) -> int:
        store = ChunkStore(STORE)
        chunks = [make_chunk("/a", {"t": [n]}, columns(40, 40 * n)) for n in range(size)]
        return calls_of(lambda: [store.insert(chunk) for chunk in chunks])

    check_proportion(cost, 128)


def test_collection_in_slices_looks_through_a_store_a_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    garbage = removal.garbage

    def watched(*args: object) -> object:
        found = garbage(*args)  # type: ignore[arg-type]
        seen.append(len(found))
        return found

    monkeypatch.setattr(removal, "garbage", watched)
    store = store_of([chunk for n in range(60) for chunk in rows(20, f"/e{n}")])
    while store.gc(should_stop=lambda: True):
        pass
    assert store.num_chunks == 60
    assert sum(seen) <= (GC_SHARE_MIN + 2) * seen[0], "each chunk is dropped for a few looks"


def test_what_is_protected_is_found_without_looking_at_each_pair() -> None:
    def cost(size: int) -> int:
        lines = {f"t{number}": [1] for number in range(size)}
        store = store_of([make_chunk("/a", lines, columns(size))], WIDE)
        return calls_of(lambda: removal.garbage(store._state.entities.values(), 1))

    check_proportion(cost, 50)


# --- limits, and what is counted ---


@pytest.mark.parametrize(
    ("limit", "chunk"),
    [
        ("store_entities_max", make_chunk("/c", {"t": [1]}, {"S:x": [[1.0]]})),
        ("store_timelines_max", make_chunk("/a", {"other": [1]}, {"S:x": [[1.0]]})),
        ("store_timelines_max", make_chunk("/a/b", {"other": [1]}, {"S:x": [[1.0]]})),
        ("entity_components_max", make_chunk("/a", {"t": [1]}, {"S:y": [[1.0]]})),
    ],
)
def test_what_is_over_a_limit_is_refused_and_changes_nothing(limit: str, chunk: Chunk) -> None:
    limits = replace(STORE_LIMITS, **{limit: 1})
    store = store_of(rows(2), limits)
    before = (store.held_bytes, store.num_chunks, store.snapshot().entity_paths(), ids_in(store))
    with pytest.raises(LimitError, match=limit):
        store.insert(chunk)
    assert before == (
        store.held_bytes,
        store.num_chunks,
        store.snapshot().entity_paths(),
        ids_in(store),
    )
    assert store.insert(make_chunk("/a", {"t": [2]}, {"S:x": [[1.0]]}))


def test_paths_and_names_are_held_bytes_until_the_entity_is_dropped() -> None:
    store = store_of(rows(1))
    before = store.held_bytes
    long = "/" + "x" * 10_000
    store.insert(make_chunk(long, {"t": [1]}, {f"S:{'y' * 5000}": [[1.0]]}))
    assert store.held_bytes > before + 15_000
    store.drop_entity(long)
    assert store.held_bytes == before
