"""`Slabs`: fresh memory for decompressed payloads.

Payloads that a store keeps need memory that was not used before. Getting it from the system costs
more than decompressing into it: one page fault per 4 KiB. So memory is reserved in slabs and
touched ahead of use, one large page (2 MiB) at a time where the system has large pages ready. The
host of a virtual machine often has not; then a large page costs five times as much as the small
pages that it replaces. Each large page is therefore timed, and after a slow one small pages are
used for a while.

A payload in a slab keeps the whole slab mapped, but not in memory: pages that contain no live
payload are returned to the system.
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
"""Size of a cache line in bytes, which is also the alignment that Arrow recommends for buffers."""


_Step: TypeAlias = tuple[int, int, bool]
"""Begin and end of a range to touch, and whether it is a large page."""


class Slabs:
    """Allocator of pieces of slabs. Thread-safe.

    Pages are touched outside the lock, so that several threads can do it in parallel.
    """

    def __init__(self) -> None:
        """Make an allocator; nothing is reserved before the first piece."""
        self.reset_lock()
        self._slab: _Slab | None = None
        self._at = SLAB_BYTES
        self._touched = 0
        self._small_bytes_left = 0
        self._small_bytes_next = SMALL_PAGES_BYTES_MIN

    def reset_lock(self) -> None:
        """Replace the lock, in a forked child: a thread that held it exists only in the parent."""
        self._lock = threading.Lock()

    def piece(self, size: int) -> Piece | None:
        """Allocate `size` bytes of fresh memory, aligned to a cache line.

        Returns:
            None if ordinary memory serves better: for sizes above `limits.SLAB_PIECE_BYTES_MAX`, or
            if the system gives no memory.
        """
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
            # Without the lock: another thread may touch the pages that follow.
            took_s = slab.pages.touch(step[0], step[1], large=step[2])
            with self._lock:
                self._judge(step, took_s)
                step = self._next_step(slab, stop)
        return Piece(slab, start, size)

    def take_back(self, piece: Piece) -> None:
        """Free a piece in which nothing was stored.

        If it was the last piece, its memory is used for the next one.
        """
        with self._lock:
            if piece.slab is self._slab and piece.stop == self._at:
                self._at = piece.start
                piece.stop = piece.start

    def _next_step(self, slab: _Slab, until: int) -> _Step | None:
        """Return the next range to touch; None if all is touched, or if other threads do it."""
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
        """Decide from the time that a large page took whether to use large pages further."""
        start, stop, is_large = step
        if not is_large:
            return
        if took_s > SLOW_TOUCH_S_PER_BYTE * (stop - start):
            self._small_bytes_left = self._small_bytes_next
            self._small_bytes_next = min(2 * self._small_bytes_next, SMALL_PAGES_BYTES_MAX)
        else:
            self._small_bytes_next = SMALL_PAGES_BYTES_MIN


class Piece:
    """A part of a slab, which holds one payload.

    Its memory is freed when the object is destroyed, so readers keep a reference to it.
    """

    __slots__ = ("slab", "start", "stop")

    def __init__(self, slab: _Slab, start: int, size: int) -> None:
        self.slab = slab
        self.start = start
        self.stop = start + size

    @property
    def view(self) -> memoryview:
        """The memory, writable. It must not be used after the piece is destroyed."""
        return self.slab.pages.view[self.start : self.stop]

    @property
    def address(self) -> int:
        """Address of the first byte, for readers that keep a reference to the piece."""
        return self.slab.pages.address + self.start

    def __del__(self) -> None:
        if self.stop > self.start:
            self.slab.free(self.start, self.stop)


class _Slab:
    """A mapping and the list of its freed parts."""

    __slots__ = ("_by_start", "_by_stop", "_dead", "_lock", "pages")

    def __init__(self) -> None:
        self.pages = Pages(SLAB_BYTES)
        self._lock = threading.Lock()
        self._dead: list[tuple[int, int]] = []
        # Adjacent free parts are merged: a page that contains parts of both is free, too.
        self._by_start: dict[int, int] = {}
        self._by_stop: dict[int, int] = {}

    def free(self, start: int, stop: int) -> None:
        """Free a range. Python may call this at any moment, on any thread, with any lock held."""
        dead = self._dead
        dead.append((start, stop))
        if sum(stop - start for start, stop in dead) < SLAB_DEAD_BYTES_MIN:
            return
        if not self._lock.acquire(blocking=False):
            return  # The thread that holds the lock, or the next call, does it.
        try:
            while dead:
                self._give_back(*dead.pop())
        finally:
            self._lock.release()

    def _give_back(self, start: int, stop: int) -> None:
        # Pieces begin at a cache line: the bytes between two pieces belong to the first.
        stop = -(-stop // _LINE) * _LINE
        first = self._by_stop.pop(start, start)
        last = self._by_start.pop(stop, stop)
        self._by_start[first], self._by_stop[last] = last, first
        # A page shared with a neighbour that was freed before has been kept until now.
        self.pages.give_back(max(first, start - PAGE_BYTES), min(last, stop + PAGE_BYTES))


_SLABS: Final = Slabs() if has_pages() else None
if _SLABS is not None:
    os.register_at_fork(after_in_child=_SLABS.reset_lock)


def fresh_memory() -> Slabs | None:
    """Return the allocator of this process.

    Returns:
        None on systems other than Linux, where ordinary memory is used.
    """
    return _SLABS
