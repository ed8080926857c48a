"""Long queries are counted while they run."""

from __future__ import annotations

import pytest

from forebay.model import StoreId
from forebay.store import ChunkStore, num_queries_running
from forebay.store.running import running
from tests.chunks import make_chunk


def test_a_query_counts_while_it_runs_also_if_it_fails() -> None:
    seen: list[int] = []

    @running
    def query(depth: int) -> int:
        seen.append(num_queries_running())
        return query(depth - 1) if depth else 1 // 0

    with pytest.raises(ZeroDivisionError):
        query(2)
    assert seen == [1, 2, 3]
    assert num_queries_running() == 0


def test_a_stream_that_is_left_unread_counts_for_nothing() -> None:
    store = ChunkStore(StoreId.recording("app", "rec"))
    store.insert(make_chunk("/a", {"frame": [1, 2]}, {"S:s": [[1.0], [2.0]]}))
    batches = store.snapshot().dataframe_view("frame").batches()
    assert batches.read_next_batch().num_rows == 2
    assert num_queries_running() == 0
