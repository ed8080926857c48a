from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from forebay.model import EntityPath
from forebay.store.compaction import append
from forebay.store.entity import EntityIndex
from forebay.store.leaf import FANOUT, Hit, Leaf
from forebay.store.time_index import Node, latest
from tests.chunks import make_chunk, row_id

KEY = ("frame", "S:x")

ROWS = st.tuples(st.integers(0, 12), st.booleans())
"""A time, and whether there is a cell."""


def leaf(rows: list[tuple[int, bool]], first_row_id: int) -> Leaf:
    cells = [[1.0] if valid else None for _, valid in rows]
    ids = [first_row_id + n for n in range(len(rows))]
    chunk = make_chunk("/a", {"frame": [time for time, _ in rows]}, {"S:x": cells}, ids)
    return Leaf(chunk, chunk.num_rows, chunk.id)


def search(index: EntityIndex, at: int) -> tuple[int, bytes] | None:
    hit: Hit | None = None
    for run in index.runs(KEY):
        hit = latest(run, at, hit)
    return None if hit is None else (hit.time, hit.row_id)


@settings(deadline=None)
@given(st.lists(st.lists(ROWS, min_size=1, max_size=5), min_size=1, max_size=20), st.data())
def test_the_latest_row_is_found_in_any_tree(
    chunks: list[list[tuple[int, bool]]], data: st.DataObject
) -> None:
    """Overlaps, times out of order, repeated times, nulls; nodes of any depth and fill."""
    order = data.draw(st.permutations(range(len(chunks))))
    leaves = [leaf(chunks[n], 10 * n) for n in order]
    items: list[Leaf | Node] = []
    for one in leaves:
        items.append(one)
        if data.draw(st.booleans()):
            items = [Node(items)]
    index = EntityIndex(EntityPath("/a"), 0)
    index.levels, index.lengths = [Node(items)], [len(items)]
    everything = [
        (time, bytes(row_id(10 * n + row)))
        for n, rows in enumerate(chunks)
        for row, (time, valid) in enumerate(rows)
        if valid
    ]
    for at in range(-1, 14):
        assert search(index, at) == max((one for one in everything if one[0] <= at), default=None)


def test_a_run_grows_with_its_node_and_an_older_view_keeps_its_own() -> None:
    index = EntityIndex(EntityPath("/a"), 0)
    seen = []
    for n in range(10):
        append(index, leaf([(n, True)], n), lambda _gone, _merged: None)
        frozen = index
        index = index.clone(0)
        seen.append(frozen)
        if n % 2:
            assert search(frozen, 100) == (n, row_id(n))
    for n, frozen in enumerate(seen):
        assert search(frozen, 100) == (n, row_id(n))


def test_small_chunks_are_merged_many_at_once_and_each_row_copied_a_few_times() -> None:
    index = EntityIndex(EntityPath("/a"), 0)
    copied = []
    count = FANOUT * FANOUT + 5
    for n in range(count):
        append(index, leaf([(n, True)], n), lambda _gone, merged: copied.append(merged.rows))
    assert sum(copied) <= 2 * count
    assert [one.rows for one in index.leaves()] == [FANOUT * FANOUT, 1, 1, 1, 1, 1]
    assert search(index, count) == (count - 1, row_id(count - 1))
    assert search(index, 70) == (70, row_id(70))


def test_what_cannot_merge_is_still_indexed_in_few_steps() -> None:
    """One-row chunks that fill half the limit each: no merging, but a tree all the same."""
    index = EntityIndex(EntityPath("/a"), 0)
    heavy = [[0.0] * 30_000]
    for n in range(5 * FANOUT):
        chunk = make_chunk("/a", {"frame": [n]}, {"S:x": heavy}, [n])
        append(index, Leaf(chunk, chunk.num_rows, chunk.id), lambda _gone, _merged: None)
    assert index.lengths == [0, 5]
    assert len(list(index.leaves())) == 5 * FANOUT
    assert search(index, 100) == (100, row_id(100))


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=2, max_size=40), st.booleans())
def test_rows_at_any_distances_are_found(times: list[int], bunch: bool) -> None:
    """Wherever a guess from equal distances would look."""
    if bunch:
        times = [time % 50 + 2**40 * (n == 0) for n, time in enumerate(times)]
    index = EntityIndex(EntityPath("/a"), 0)
    index.levels, index.lengths = [Node([leaf([(time, True) for time in times], 0)])], [1]
    for at in {*times, *(time - 1 for time in times), *(time + 1 for time in times)}:
        expected = max(
            ((time, bytes(row_id(n))) for n, time in enumerate(times) if time <= at), default=None
        )
        assert search(index, at) == expected
