from __future__ import annotations

import gc
import itertools
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.limits import (
    SLAB_BYTES,
    SLAB_DEAD_BYTES_MIN,
    SLAB_PIECE_BYTES_MAX,
    SLOW_TOUCH_S_PER_BYTE,
    SMALL_PAGES_BYTES_MIN,
)
from forebay.runtime import fresh_memory
from forebay.runtime.memory.pages import LARGE_PAGE_BYTES, PAGE_BYTES, Pages
from forebay.runtime.memory.slabs import Piece, Slabs

pytestmark = pytest.mark.skipif(fresh_memory() is None, reason="slabs are for Linux")

KIB = 1024


def piece(slabs: Slabs, size: int, fill: int = 0) -> Piece:
    got = slabs.piece(size)
    assert got is not None
    if fill:
        got.view[:] = bytes([fill]) * size
    return got


@given(st.lists(st.tuples(st.integers(1, 400 * KIB), st.booleans()), min_size=1, max_size=60))
def test_what_lives_stays_as_it_was_whoever_dies(plan: list[tuple[int, bool]]) -> None:
    slabs = Slabs()
    alive: list[tuple[Piece, int]] = []
    for number, (size, dies) in enumerate(plan):
        fill = number % 255 + 1
        one = piece(slabs, size, fill)
        assert one.address % 64 == 0
        if dies and alive:
            del alive[number % len(alive)]
        alive.append((one, fill))
    for one, fill in alive:
        assert bytes(one.view) == bytes([fill]) * len(one.view)
    spans = sorted((one.address, one.address + len(one.view)) for one, _ in alive)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


@pytest.mark.parametrize("dying", ["forwards", "backwards", "evens first"])
def test_a_survivor_holds_only_the_pages_that_it_uses(dying: str) -> None:
    """A page that was given back reads as zeros."""
    slabs = Slabs()
    count, size = 64, 30 * KIB + 100
    pieces: list[Piece | None] = [piece(slabs, size, 7) for _ in range(count)]
    survivor = pieces[count // 2]
    assert survivor is not None
    pages, start, stop = survivor.slab.pages, survivor.start, survivor.stop
    order = [number for number in range(count) if number != count // 2]
    if dying == "backwards":
        order.reverse()
    elif dying == "evens first":
        order.sort(key=lambda number: number % 2)
    for number in order:
        pieces[number] = None
    gc.collect()
    held = sum(any(pages.view[at : at + PAGE_BYTES]) for at in range(0, count * size, PAGE_BYTES))
    assert held * PAGE_BYTES <= size + 2 * PAGE_BYTES + SLAB_DEAD_BYTES_MIN
    assert bytes(pages.view[start:stop]) == b"\7" * size


def test_large_pieces_leave_nothing_behind() -> None:
    slabs = Slabs()
    first, second = piece(slabs, 2 * SLAB_DEAD_BYTES_MIN, 1), piece(slabs, 10, 2)
    pages = first.slab.pages
    del first
    assert not any(pages.view[: 2 * SLAB_DEAD_BYTES_MIN])
    assert bytes(second.view) == b"\2" * 10


def test_a_slab_that_is_full_is_followed_by_another() -> None:
    slabs = Slabs()
    kept = [piece(slabs, SLAB_PIECE_BYTES_MAX) for _ in range(SLAB_BYTES // SLAB_PIECE_BYTES_MAX)]
    assert len({id(one.slab) for one in kept}) == 1
    assert piece(slabs, 1).slab is not kept[0].slab


def test_what_is_too_large_is_had_elsewhere() -> None:
    slabs = Slabs()
    assert slabs.piece(SLAB_PIECE_BYTES_MAX + 1) is None
    assert slabs.piece(0) is None


def test_memory_that_came_to_nothing_is_used_again() -> None:
    slabs = Slabs()
    kept = piece(slabs, 100, 1)
    start = piece(slabs, 5000).start
    for _ in range(3):
        failed = piece(slabs, SLAB_DEAD_BYTES_MIN * 2)
        begin = failed.start
        slabs.take_back(failed)
        del failed
    again = piece(slabs, 100, 3)
    assert again.start == begin > start
    # Of another than the last one nothing can be fresh again.
    early = piece(slabs, 100)
    after = piece(slabs, 100, 4)
    slabs.take_back(early)
    del early
    assert piece(slabs, 100).start > after.start
    assert bytes(kept.view) == b"\1" * 100
    assert bytes(again.view) == b"\3" * 100


def test_memory_is_there_before_it_is_written() -> None:
    slabs = Slabs()
    size = 8 * LARGE_PAGE_BYTES
    data = b"\1" * size
    one = piece(slabs, size)
    view = one.view
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    view[:] = data
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < size // PAGE_BYTES // 2


def test_while_memory_is_touched_other_threads_run() -> None:
    pages = Pages(LARGE_PAGE_BYTES)
    rounds_max, rounds, is_over = 2000, 0, False

    def touch() -> None:
        nonlocal rounds
        while not is_over and rounds < rounds_max:
            pages.touch(0, LARGE_PAGE_BYTES, large=False)
            pages.give_back(0, LARGE_PAGE_BYTES)
            rounds += 1

    thread = threading.Thread(target=touch)
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)  # so a GIL is only had from who lets go of it
    try:
        thread.start()
        is_over = True
        thread.join()
    finally:
        sys.setswitchinterval(interval_s)
    assert rounds < rounds_max


def test_threads_that_touch_one_slab_have_pieces_of_their_own() -> None:
    slabs = Slabs()
    size, count = 300 * KIB, 60
    found: list[tuple[Piece, int]] = []

    def take(fill: int) -> None:
        found.extend((piece(slabs, size, fill), fill) for _ in range(count))

    threads = [threading.Thread(target=take, args=(fill,)) for fill in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.address for one, _ in found}) == 3 * count
    for one, fill in found:
        assert bytes(one.view) == bytes([fill]) * size


def test_a_forked_child_has_fresh_memory_whoever_held_the_lock() -> None:
    script = """
import os
from forebay.runtime import fresh_memory
slabs = fresh_memory()
before = slabs.piece(10_000)
before.view[:] = b"1" * 10_000
with slabs._lock:
    child = os.fork()
    if not child:
        piece = slabs.piece(10_000)
        piece.view[:] = b"2" * 10_000
        os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert bytes(slabs.piece(10_000).view) == bytes(10_000), "what the child wrote is the child's"
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert done.returncode == 0


class Timed:
    """Pages of which the large ones take as long as a test says."""

    touched: list[bool]
    slow: Iterator[bool]

    def __init__(self, size: int) -> None:
        self.address, self.view = 0, memoryview(bytearray(size))

    def touch(self, start: int, stop: int, *, large: bool) -> float:
        Timed.touched.append(large)
        is_slow = large and next(Timed.slow)
        return SLOW_TOUCH_S_PER_BYTE * (stop - start) * (2 if is_slow else 0.5)

    def give_back(self, start: int, stop: int) -> None:
        pass


def large_pages_tried(
    monkeypatch: pytest.MonkeyPatch, slow: Iterator[bool], size: int
) -> list[int]:
    """The bytes of small pages before each large one, and after the last."""
    monkeypatch.setattr("forebay.runtime.memory.slabs.Pages", Timed)
    Timed.touched, Timed.slow = [], slow
    slabs = Slabs()
    for _ in range(size // SLAB_PIECE_BYTES_MAX):
        slabs.piece(SLAB_PIECE_BYTES_MAX)
    between, small = [], 0
    for large in Timed.touched:
        if large:
            between.append(small)
            small = 0
        else:
            small += 256 * KIB
    return [*between, small]


def test_after_a_slow_large_page_small_ones_are_taken_for_longer_and_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    least = SMALL_PAGES_BYTES_MIN
    slow = iter([True, True, False, True] + [False] * 1000)
    between = large_pages_tried(monkeypatch, slow, 6 * least)
    assert between[:5] == [0, least, 2 * least, 0, least]
    assert set(between[5:]) == {0}


def test_while_large_pages_are_fast_no_others_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(large_pages_tried(monkeypatch, iter(lambda: False, True), SLAB_BYTES)) == {0}


def test_pages_begin_where_the_processor_can_map_large_ones() -> None:
    for size in (PAGE_BYTES, 5 * PAGE_BYTES, LARGE_PAGE_BYTES):
        pages = Pages(size)
        assert pages.address % LARGE_PAGE_BYTES == 0
        pages.view[size - 1] = 1
        assert len(pages.view) == size


def test_who_comes_late_with_an_old_slab_touches_nothing_of_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("forebay.runtime.memory.slabs.Pages", Timed)
    Timed.touched, Timed.slow = [], itertools.repeat(False)
    slabs = Slabs()
    for _ in range(SLAB_BYTES // SLAB_PIECE_BYTES_MAX - 1):
        slabs.piece(SLAB_PIECE_BYTES_MAX)
    Timed.touched.clear()
    touch, others = Timed.touch, [LARGE_PAGE_BYTES, SLAB_PIECE_BYTES_MAX]

    def meanwhile(pages: Timed, start: int, stop: int, *, large: bool) -> float:
        while others:
            slabs.piece(others.pop())
        return touch(pages, start, stop, large=large)

    monkeypatch.setattr(Timed, "touch", meanwhile)
    slabs.piece(SLAB_PIECE_BYTES_MAX)
    new = SLAB_PIECE_BYTES_MAX + LARGE_PAGE_BYTES
    assert len(Timed.touched) == new // LARGE_PAGE_BYTES + 1, "and one step that was begun"
