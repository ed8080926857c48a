from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from forebay.chunk import Chunk, concatenable, concatenated, fits_limits, is_time_sorted, split
from forebay.chunk.merge import picked, sliced
from forebay.limits import (
    CHUNK_SPLIT_BYTES_MAX,
    CHUNK_SPLIT_ROWS_MAX,
    CHUNK_SPLIT_ROWS_MAX_UNSORTED,
)
from tests.chunks import make_chunk


def rows(*chunks: Chunk) -> list[dict[str, Any]]:
    return [row for chunk in chunks for row in chunk.batch.to_pylist()]


def test_small_chunks_are_left_alone() -> None:
    chunk = make_chunk("/a", {"frame": [3, 1, 2]}, {"S:x": [[1.0], None, []]})
    assert split(chunk) == [chunk]


@settings(deadline=None, max_examples=30)
@given(
    count=st.integers(2, 9000),
    rising=st.booleans(),
    width=st.sampled_from([0, 1, 200, 30_000]),
)
def test_parts_are_within_the_limits_and_all_there(count: int, rising: bool, width: int) -> None:
    count = count if width < 200 else count % 40 + 2
    times = list(range(count)) if rising else [-n for n in range(count)]
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    cells = pa.ListArray.from_arrays(offsets, pa.array(np.arange(count * width, dtype=np.float64)))
    chunk = make_chunk("/a", {"frame": times}, {"S:x": cells})
    parts = split(chunk)
    rows_max = CHUNK_SPLIT_ROWS_MAX if rising else CHUNK_SPLIT_ROWS_MAX_UNSORTED
    for part in parts:
        assert part.num_rows <= rows_max
        assert part.num_rows == 1 or part.byte_size <= CHUNK_SPLIT_BYTES_MAX
    assert pa.Table.from_batches([part.batch for part in parts]).equals(
        pa.Table.from_batches([chunk.batch])
    )
    assert len({part.id for part in parts} | {chunk.id}) == len(parts) + (len(parts) > 1)
    assert [part.id for part in parts] == [part.id for part in split(chunk)]


def test_one_heavy_row_among_light_ones_does_not_make_dust_of_them() -> None:
    heavy = [0.0] * 100_000
    chunk = make_chunk(
        "/a", {"frame": range(1000)}, {"S:x": [heavy if n == 500 else [1.0] for n in range(1000)]}
    )
    parts = split(chunk)
    assert all(map(fits_limits, parts))
    assert len(parts) < 30


def test_a_component_that_one_of_them_lacks_is_null_there() -> None:
    one = make_chunk("/a", {"frame": [1, 2]}, {"S:x": [[1.0], [2.0]]}, row_ids=[1, 5])
    two = make_chunk("/a", {"frame": [3]}, {"S:y": [["q"]], "S:x": [None]}, row_ids=[3])
    joined = concatenated([one, two])
    assert [bytes(joined.row_id_at(n))[7] for n in range(3)] == [1, 3, 5]
    assert joined.times("frame").tolist() == [1, 3, 2]
    assert joined.component("S:x").to_pylist() == [[1.0], None, [2.0]]
    assert joined.component("S:y").to_pylist() == [None, ["q"], None]
    assert not is_time_sorted(joined)
    assert joined.timelines == one.timelines
    joined.batch.validate(full=True)


def test_columns_in_another_order_find_their_places() -> None:
    one = make_chunk("/a", {"f": [1], "g": [2]}, {"S:x": [[1.0]], "S:y": [["a"]]})
    two = make_chunk("/a", {"g": [4], "f": [3]}, {"S:y": [["b"]], "S:x": [[2.0]]})
    joined = concatenated([one, two])
    assert joined.times("f").tolist() == [1, 3]
    assert joined.times("g").tolist() == [2, 4]
    assert joined.component("S:y").to_pylist() == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [({"S:x": [[1.0]]}, True), ({"S:x": [["text"]]}, False), ({"S:y": [["text"]]}, True)],
)
def test_only_equal_datatypes_are_joined(cells: dict[str, Any], expected: bool) -> None:
    one = make_chunk("/a", {"frame": [1]}, {"S:x": [[2.0]]})
    assert concatenable(one.layout.components, make_chunk("/a", {}, cells).layout) is expected


def test_parts_tell_their_origin_by_their_ids() -> None:
    chunk = make_chunk("/a", {"frame": [1, 2, 3, 4]}, {"S:x": [[1.0]] * 4})
    assert sliced(chunk, 1, 2).id == sliced(chunk, 1, 2).id != sliced(chunk, 1, 3).id
    assert picked(chunk, np.array([1, 2])).id == sliced(chunk, 1, 2).id
    assert picked(chunk, np.array([0, 2])).times("frame").tolist() == [1, 3]
    assert picked(chunk, np.array([0, 2])).id != picked(chunk, np.array([0, 3])).id
    assert chunk.id[:8] == sliced(chunk, 1, 2).id[:8], "an id keeps its time"
