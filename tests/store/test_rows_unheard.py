from __future__ import annotations

import functools

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.chunk import PackedChunk, RowForm
from forebay.model import ChunkId, StoreId
from forebay.store import ChunkStore, chunk_store
from tests.chunks import make_chunk

STORE = StoreId.recording("app", "run")
KINDS = (("/a", [1.0]), ("/a", [1.0, 2.0]), ("/b", [1.0]), ("/c", [1.0]))


@functools.cache
def form(kind: int) -> tuple[RowForm, bytes]:
    entity, cell = KINDS[kind]
    chunk = make_chunk(entity, {"frame": [7]}, {"S:x": [cell]})
    found = RowForm.of(chunk, 0)
    assert found is not None
    memory = [
        pa.foreign_buffer(begin, end - begin, chunk).to_pybytes() for begin, end in found.spans
    ]
    return found, b"".join(memory)[16:]


def row(kind: int, number: int) -> PackedChunk:
    found, rest = form(kind)
    row_id = number.to_bytes(8, "big") + bytes(8)
    return PackedChunk(ChunkId.from_parts(number, kind), found, row_id + rest)


def content(store: ChunkStore) -> tuple[object, ...]:
    leaves = {
        path: [(leaf.chunk.id, leaf.rows, bytes(leaf.sources)) for leaf in entity.leaves()]
        for path, entity in store._state.entities.items()
    }
    return (
        leaves,
        store.num_chunks,
        store.num_rows,
        store.generation,
        store._num_events,
        store.byte_size,
        store.snapshot().timelines(),
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(range(len(KINDS))), st.integers(0, 400)), max_size=300),
    st.integers(1, 100),
)
def test_rows_put_in_together_give_the_store_of_rows_put_in_alone(
    rows: list[tuple[int, int]], step: int
) -> None:
    together, alone, heard = ChunkStore(STORE), ChunkStore(STORE), ChunkStore(STORE)
    chunks = [row(kind, number) for kind, number in rows]
    for at in range(0, len(chunks), step):
        together.insert_rows_unheard(chunks[at : at + step])
    alone.insert_unheard(iter(chunks))
    for chunk in chunks:
        heard.insert(chunk)
    assert content(together) == content(alone) == content(heard)


def test_what_raises_in_the_middle_can_be_put_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [row(number % 4, number) for number in range(200)]
    expected = ChunkStore(STORE)
    expected.insert_rows_unheard(chunks)
    store = ChunkStore(STORE)
    known = store._state.known
    real, calls = known.add, 0

    class Interrupting:
        """Known ids that are interrupted once, in the middle."""

        def __getattr__(self, name: str) -> object:
            return getattr(known, name)

        def add(self, one: bytes) -> bool:
            nonlocal calls
            calls += 1
            if calls == 120:
                raise KeyboardInterrupt
            return real(one)

    monkeypatch.setattr(store._state, "known", Interrupting())
    with pytest.raises(KeyboardInterrupt):
        store.insert_rows_unheard(chunks)
    assert store.num_rows == 0
    store.insert_rows_unheard(chunks)
    store.insert_rows_unheard(chunks)
    assert content(store) == content(expected)


def test_a_failure_of_one_entity_keeps_nothing_of_the_others_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chunks = [row(number % 4, number) for number in range(40)]
    store = ChunkStore(STORE)
    real, failed = chunk_store.put_rows, []

    def failing(entity: object, rows: object, report: object) -> None:
        if not failed:
            failed.append(entity)
            raise MemoryError
        real(entity, rows, report)  # type: ignore[arg-type]

    monkeypatch.setattr(chunk_store, "put_rows", failing)
    with pytest.raises(MemoryError):
        store.insert_rows_unheard(chunks)
    store.insert_rows_unheard(chunks)
    there = {str(path) for path in store._state.entities if path != failed[0].path}  # type: ignore[attr-defined]
    assert there == {"/b", "/c"}
    assert sum(leaf.rows for leaf in store._state.entities["/b"].leaves()) == 10  # type: ignore[index]


def test_rows_that_fill_a_node_that_was_begun_are_merged_as_they_are_one_by_one() -> None:
    chunks = [row(0, number) for number in range(150)]
    together, alone = ChunkStore(STORE), ChunkStore(STORE)
    for store in (together, alone):
        store.insert_unheard(iter(chunks[:10]))
    together.insert_rows_unheard(chunks[10:])
    alone.insert_unheard(iter(chunks[10:]))
    assert content(together) == content(alone)


def test_a_component_that_only_later_rows_have_is_known() -> None:
    cells = {"S:x": [[1.0]], "T:y": [[2.0]]}
    chunk = make_chunk("/a", {"frame": [7], "step": [8]}, cells)
    found = RowForm.of(chunk, 0)
    assert found is not None
    memory = b"".join(
        pa.foreign_buffer(begin, end - begin, chunk).to_pybytes() for begin, end in found.spans
    )
    store = ChunkStore(STORE)
    store.insert_rows_unheard([row(0, 1), PackedChunk(ChunkId.from_parts(99, 9), found, memory)])
    snapshot = store.snapshot()
    assert set(snapshot.timelines()) == {"frame", "step"}
    assert set(snapshot.latest_at("step", 8, "/a")) == {"S:x", "T:y"}
