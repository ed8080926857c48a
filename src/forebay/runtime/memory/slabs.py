"""`Slabs`: fresh memory for what is decompressed.

What a store keeps has to lie in memory that was never used before, and to get that from the
system costs more than decompressing into it: a fault for each page of 4 KiB. So it is taken in
slabs and touched ahead, a large page (2 MiB) at a time where the system has such pages at hand. A
virtual machine's host often has not: then one costs five times what its small pages do. Therefore
each is timed, and after a slow one small pages are used for a while.

What lies in a slab keeps all of it mapped, but not in memory: pages that nothing lives in any more
go back to the system.
"""

from __future__ import annotations

import os
import threading
from typing import Final, TypeAlias

from forebay.limits import (
    SLAB_BYTES,
    SLAB_DEAD_BYTES_MIN,
    SLAB_PIECE_BYTES_MAX,
    SLAB_STEP_BYTES_SMALL,
    SLOW_TOUCH_S_PER_BYTE,
    SMALL_PAGES_BYTES_MAX,
    SMALL_PAGES_BYTES_MIN,
)
from forebay.runtime.memory.pages import LARGE_PAGE_BYTES, PAGE_BYTES, Pages, has_pages

_LINE: Final = 64
"""Bytes of a cache line, which is also what Arrow likes its buffers aligned to."""


_Step: TypeAlias = tuple[int, int, bool]
"""Begin and end of what is to be touched, and whether it is a large page."""


class Slabs:
    """Hands out pieces of slabs; safe from any thread."""

    def __init__(self) -> None:
        """Nothing is reserved before the first piece."""
        self.reset_lock()
        self._slab: _Slab | None = None
        self._at = SLAB_BYTES
        self._touched = 0
        self._small_bytes_left = 0
        self._small_bytes_next = SMALL_PAGES_BYTES_MIN

    def reset_lock(self) -> None:
        """In a forked child: whoever held the lock stayed in the parent."""
        self._lock = threading.Lock()

    def piece(self, size: int) -> Piece | None:
        """`size` bytes of fresh memory; `None` if they are better had elsewhere."""
        if not 0 < size <= SLAB_PIECE_BYTES_MAX:
            return None
        with self._lock:
            start = -(-self._at // _LINE) * _LINE
            if start + size > SLAB_BYTES:
                try:
                    self._slab = _Slab()
                except OSError:
                    return None
                self._touched = start = 0
            self._at = stop = start + size
            slab = self._slab
            assert slab is not None  # noqa: S101, RUF100 - the first piece does not fit into none
            step = self._next_step(slab, stop)
        while step is not None:
            # Without the lock: another thread may touch what comes behind.
            took_s = slab.pages.touch(step[0], step[1], large=step[2])
            with self._lock:
                self._judge(step, took_s)
                step = self._next_step(slab, stop)
        return Piece(slab, start, size)

    def take_back(self, piece: Piece) -> None:
        """Nothing came to lie in the piece after all; if it was the last one, it is fresh again."""
        with self._lock:
            if piece.slab is self._slab and piece.stop == self._at:
                self._at = piece.start
                piece.stop = piece.start

    def _next_step(self, slab: _Slab, until: int) -> _Step | None:
        """The next large page to touch, or small ones; `None` if all is touched, or is others'."""
        start = self._touched
        if start >= until or slab is not self._slab:
            return None
        is_large = self._small_bytes_left <= 0 and start % LARGE_PAGE_BYTES == 0
        size = LARGE_PAGE_BYTES if is_large else SLAB_STEP_BYTES_SMALL
        if not is_large:
            self._small_bytes_left -= size
        self._touched = start + size
        return start, start + size, is_large

    def _judge(self, step: _Step, took_s: float) -> None:
        """Go on with large pages, or not."""
        start, stop, is_large = step
        if not is_large:
            return
        if took_s > SLOW_TOUCH_S_PER_BYTE * (stop - start):
            self._small_bytes_left = self._small_bytes_next
            self._small_bytes_next = min(2 * self._small_bytes_next, SMALL_PAGES_BYTES_MAX)
        else:
            self._small_bytes_next = SMALL_PAGES_BYTES_MIN


class Piece:
    """A part of a slab; once it is gone, so is what lay in it."""

    __slots__ = ("slab", "start", "stop")

    def __init__(self, slab: _Slab, start: int, size: int) -> None:
        self.slab = slab
        self.start = start
        self.stop = start + size

    @property
    def view(self) -> memoryview:
        """To be written to; not to be kept longer than the piece."""
        return self.slab.pages.view[self.start : self.stop]

    @property
    def address(self) -> int:
        """Where it begins in this process, for those who read it; they keep the piece."""
        return self.slab.pages.address + self.start

    def __del__(self) -> None:
        if self.stop > self.start:
            self.slab.free(self.start, self.stop)


class _Slab:
    """A mapping, and which parts of it are dead."""

    __slots__ = ("_by_start", "_by_stop", "_dead", "_lock", "pages")

    def __init__(self) -> None:
        self.pages = Pages(SLAB_BYTES)
        self._lock = threading.Lock()
        self._dead: list[tuple[int, int]] = []
        # Dead parts that touch each other are one: a page in which two of them meet is free, too.
        self._by_start: dict[int, int] = {}
        self._by_stop: dict[int, int] = {}

    def free(self, start: int, stop: int) -> None:
        """Called by the garbage collector, so at any moment, on any thread, in any lock."""
        dead = self._dead
        dead.append((start, stop))
        if sum(stop - start for start, stop in dead) < SLAB_DEAD_BYTES_MIN:
            return
        if not self._lock.acquire(blocking=False):
            return  # The next one sees to it.
        try:
            while dead:
                self._give_back(*dead.pop())
        finally:
            self._lock.release()

    def _give_back(self, start: int, stop: int) -> None:
        # Pieces begin at a cache line: what is between two of them belongs to the former.
        stop = -(-stop // _LINE) * _LINE
        first = self._by_stop.pop(start, start)
        last = self._by_start.pop(stop, stop)
        self._by_start[first], self._by_stop[last] = last, first
        # A page that is shared with a neighbour who died before was kept until now.
        self.pages.give_back(max(first, start - PAGE_BYTES), min(last, stop + PAGE_BYTES))


_SLABS: Final = Slabs() if has_pages() else None
if _SLABS is not None:
    os.register_at_fork(after_in_child=_SLABS.reset_lock)


def fresh_memory() -> Slabs | None:
    """The slabs of this process; `None` where the system's ordinary memory serves as well."""
    return _SLABS
