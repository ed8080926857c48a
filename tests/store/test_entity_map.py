"""The map of a store's entities: a dict to its readers, and few copies to its writer."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from forebay.model import EntityPath
from forebay.store import ChunkStore, entity_map
from forebay.store.entity import EntityIndex
from forebay.store.entity_map import EntityMap
from tests.chunks import make_chunk
from tests.steps import copies_of
from tests.store.rows import STORE_ID

CHANGES = st.lists(st.tuples(st.sampled_from(["put", "clone", "drop"]), st.integers(0, 30)))


@given(CHANGES)
def test_it_is_the_dict_that_it_stands_for(changes: list[tuple[str, int]]) -> None:
    before = entity_map.RECENT_SQUARE_MIN
    entity_map.RECENT_SQUARE_MIN = 4  # type: ignore[misc]
    try:
        entities, expected = EntityMap(), dict[EntityPath, EntityIndex]()
        frozen: list[tuple[EntityMap, dict[EntityPath, EntityIndex]]] = []
        for number, (what, which) in enumerate(changes):
            path = EntityPath(f"/{which}")
            if what == "clone":
                frozen.append((entities, expected.copy()))
                entities = entities.clone()
            elif what == "drop":
                if expected.pop(path, None) is not None:
                    entities = entities.removed(path)
            else:
                entity = EntityIndex(path, number)
                (entities.replace if path in expected else entities.add)(path, entity)
                expected[path] = entity
            assert dict(entities) == expected
            assert list(entities) == list(expected)
            assert len(entities) == len(expected)
            assert (path in entities) == (path in expected)
            assert list(map(entities.recent.__getitem__, expected)) == list(expected.values())
        assert all(dict(one) == then for one, then in frozen)
    finally:
        entity_map.RECENT_SQUARE_MIN = before  # type: ignore[misc]


def test_a_change_after_each_snapshot_copies_few_of_many_entities() -> None:
    def copied(count: int) -> int:
        store = ChunkStore(STORE_ID)
        for number in range(count):
            store.insert(make_chunk(f"/e{number}", {"t": [1]}, {"S:x": [[1.0]]}))
        total, entities = 0, store._state.entities
        for number in range(count):
            store.snapshot()
            store.insert(make_chunk(f"/e{number}", {"t": [2]}, {"S:x": [[1.0]]}))
            now = store._state.entities
            is_merged = now.recent.base is not entities.recent.base
            total += len(now) if is_merged else len(now.recent)
            entities = now
        return total // count

    few, many = copied(500), copied(2000)
    assert few < 150
    assert many < 2 * few + 20, "four times the entities, twice the copies for each change"


def test_a_snapshot_sees_none_of_what_came_later() -> None:
    store = ChunkStore(STORE_ID)
    snapshots = []
    for number in range(200):
        store.insert(make_chunk(f"/e{number % 120}", {"t": [number]}, {"S:x": [[1.0]]}))
        snapshots.append(store.snapshot())
    for number, snapshot in enumerate(snapshots):
        assert len(snapshot.entity_paths()) == min(number + 1, 120)
        assert sum(rows for _, _, rows in snapshot.entity_stats()) == number + 1


def test_dropping_all_entities_copies_them_once() -> None:
    store = ChunkStore(STORE_ID)
    for number in range(200):
        store.insert(make_chunk(f"/e{number}", {"t": [1]}, {"S:x": [[1.0]]}))
    before = store.snapshot()
    works = [partial(store.drop_entity, f"/e{number}") for number in range(200)]
    assert copies_of(lambda: store._state.entities, works) <= 2
    assert len(before.entity_paths()) == 200
    assert not store.snapshot().entity_paths()
    assert store.is_empty
