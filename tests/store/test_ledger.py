from __future__ import annotations

from forebay.chunk import Chunk
from forebay.chunk.merge import sliced
from forebay.store.ledger import Ledger, buffers, byte_size_of, cost_bytes
from tests.chunks import make_chunk


def chunk(rows: int = 100) -> Chunk:
    return make_chunk("/a", {"frame": list(range(rows))}, {"S:x": [[1.0]] * rows})


def size(one: Chunk) -> int:
    return sum(size for _, size in buffers(one))


def test_each_buffer_counts_once_until_the_last_chunk_lets_go() -> None:
    whole = chunk()
    parts = [sliced(whole, start, 25) for start in range(0, 100, 25)]
    ledger = Ledger()
    for part in parts:
        ledger.add(part)
    assert ledger.byte_size == size(whole) == byte_size_of(parts)
    for part in parts[:3]:
        ledger.remove(part)
        assert ledger.byte_size == size(whole), "still referred to"
    ledger.remove(parts[3])
    assert ledger.byte_size == 0


def test_chunks_that_nobody_asked_about_are_forgotten_without_a_trace() -> None:
    first, second = chunk(), chunk()
    ledger = Ledger()
    ledger.add(first)
    ledger.add(second)
    ledger.remove(first)
    assert ledger.byte_size == size(second)
    ledger.remove(second)
    assert ledger.byte_size == 0


def test_what_chunks_cost_beside_their_data_is_held_until_they_go() -> None:
    first, second = chunk(), chunk(1)
    ledger = Ledger()
    ledger.add(first)
    ledger.add(second)
    assert ledger.held_bytes == ledger.byte_size + cost_bytes(first) + cost_bytes(second)
    assert cost_bytes(second) > size(second), "of a row, the objects are most"
    ledger.remove(first)
    assert ledger.held_bytes == ledger.byte_size + cost_bytes(second)
    ledger.remove(second)
    assert ledger.held_bytes == 0
