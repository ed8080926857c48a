from __future__ import annotations

import random
import sys

import hypothesis.strategies as st
from hypothesis import given, settings

from forebay.model import ChunkId
from forebay.store.known_ids import KnownIds

IDS = st.integers(0, 40).map(lambda n: n.to_bytes(2, "big") * 8)


@given(st.lists(st.tuples(st.sampled_from(["add", "discard"]), IDS)))
def test_it_is_a_set(steps: list[tuple[str, bytes]]) -> None:
    known, expected = KnownIds(), set[bytes]()
    for step, one in steps:
        assert (one in known) == (one in expected)
        if step == "add":
            assert known.add(one) == (one not in expected)
            expected.add(one)
        else:
            known.discard(one)
            expected.discard(one)
        assert len(known) == len(expected)


def test_many_ids_stay_known_while_blocks_split() -> None:
    ids = [random.Random(n).randbytes(16) for n in range(20_000)]
    known = KnownIds()
    assert all(known.add(one) for one in ids)
    assert not any(known.add(one) for one in ids)
    known.discard_all(b"".join(ids[::2]))
    assert [one in known for one in ids] == [False, True] * 10_000
    assert len(known) == 10_000


def test_an_id_costs_little_more_than_its_bytes() -> None:
    known = KnownIds()
    for n in range(100_000):
        known.add(ChunkId.from_parts(n * 1000, n))
    sizes = map(sys.getsizeof, (*known._blocks, *known._firsts, known._blocks, known._firsts))
    assert sum(sizes) < 20 * 100_000


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5000), max_size=12), st.randoms(use_true_random=False))
def test_runs_of_ids_in_any_order_fill_and_empty_blocks(
    starts: list[int], chance: random.Random
) -> None:
    known, expected = KnownIds(), set[bytes]()
    for start in starts:
        for n in range(start, start + 300):
            one = ChunkId.from_parts(n, 0)
            assert known.add(one) == (one not in expected)
            expected.add(one)
        for one in chance.sample(sorted(expected), len(expected) // 3):
            known.discard(one)
            expected.discard(one)
        assert len(known) == len(expected)
    assert all(one in known for one in expected)
    assert b"".join(known._blocks) == b"".join(sorted(expected))


def test_a_match_across_two_ids_is_none() -> None:
    known = KnownIds()
    known.add(b"a" * 8 + b"b" * 8)
    known.add(b"c" * 8 + b"d" * 8)
    assert b"b" * 8 + b"c" * 8 not in known
    known.discard(b"b" * 8 + b"c" * 8)
    assert len(known) == 2
    # The same bytes aligned, behind a match that is not.
    known.add(b"b" * 8 + b"c" * 8)
    assert b"b" * 8 + b"c" * 8 in known


def test_a_copy_is_independent() -> None:
    known = KnownIds()
    for n in range(1000):
        known.add(ChunkId.from_parts(n, 0))
    copied = known.copy()
    copied.add(ChunkId.from_parts(2000, 0))
    known.discard(ChunkId.from_parts(1, 0))
    assert ChunkId.from_parts(2000, 0) not in known
    assert ChunkId.from_parts(1, 0) in copied


def test_an_id_that_several_hold_is_forgotten_with_the_last() -> None:
    known = KnownIds()
    one = ChunkId.from_parts(1, 1)
    known.add(one)
    known.hold(one, 3)
    for _ in range(2):
        known.discard(one)
        assert one in known
    known.discard(one)
    assert one not in known
    known.add(one)
    known.discard(one)
    assert one not in known
