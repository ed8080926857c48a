"""What a chunk knows before anybody looks into it; each kind has tests of its own besides."""

from __future__ import annotations

import pytest

from forebay.chunk import BatchForm, Chunk, EncodedChunk
from tests.chunk.test_packed import VALUES, one_row, packed
from tests.chunks import make_chunk


def encoded(chunk: Chunk) -> EncodedChunk:
    form = BatchForm(chunk.layout, chunk.batch.schema, 0, chunk.num_rows, chunk.byte_size)
    return EncodedChunk(chunk.id, form, chunk.batch.serialize())


@pytest.mark.parametrize("kind", ["packed", "encoded"])
def test_a_chunk_is_opened_once_and_only_when_asked_for(kind: str) -> None:
    chunk = one_row(VALUES[0])
    unopened = packed(chunk, 1) if kind == "packed" else encoded(chunk)
    opened = Chunk.batch.__get__  # the slot itself, which `__getattr__` fills
    assert unopened.num_rows == 1
    assert unopened.byte_size == unopened.byte_size_max == chunk.byte_size
    assert unopened.entity_path == chunk.entity_path
    with pytest.raises(AttributeError):
        opened(unopened, type(unopened))
    assert unopened.batch.equals(chunk.batch)
    assert opened(unopened, type(unopened)) is unopened.batch, "kept"


def test_what_it_lacks_it_says_by_name() -> None:
    with pytest.raises(AttributeError, match="'PackedChunk' object has no attribute 'colour'"):
        packed(one_row(VALUES[0]), 1).colour  # type: ignore[attr-defined]  # noqa: B018


def test_rows_out_of_order_are_sorted_when_it_is_opened() -> None:
    sound = make_chunk("/a", {"frame": [3, 4]}, {"S:x": [[1.0], [2.0]]})
    unopened = encoded(sound.taken(sound.row_ids.argsort()[::-1]))
    assert unopened.batch.equals(sound.batch)
    assert unopened.times("frame").tolist() == [3, 4]


def test_a_component_that_it_lacks_has_no_count_of_nulls() -> None:
    chunk = encoded(make_chunk("/a", {"frame": [3, 4]}, {"S:x": [[1.0], [2.0]]}))
    assert chunk.null_count("S:x") == 0
    with pytest.raises(KeyError):
        chunk.null_count("S:y")
