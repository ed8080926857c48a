"""Memory straight from the system: touched ahead, in large pages where those are to be had."""

from __future__ import annotations

import ctypes
import sys
import time
from typing import TYPE_CHECKING, Final

try:
    import mmap
except ImportError:  # a Python for WebAssembly may be built without
    mmap = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable

_POPULATE_WRITE: Final = 23
"""`MADV_POPULATE_WRITE` of Linux 5.14, which Python does not name."""
PAGE_BYTES: Final = 4096 if mmap is None else mmap.PAGESIZE
"""What the system maps at once at least."""
LARGE_PAGE_BYTES: Final = 2 * 1024 * 1024
"""What the processor maps at once at best (x86-64; ARM with pages of 4 KiB)."""


class Pages:
    """Fresh private memory, `len(view)` bytes from a multiple of `LARGE_PAGE_BYTES` on."""

    __slots__ = ("_mapping", "_offset", "address", "view")

    def __init__(self, size: int) -> None:
        """Reserve memory; none is used before it is touched.

        Raises:
            OSError: The system has none to give.
        """
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._mapping = mmap.mmap(-1, size + LARGE_PAGE_BYTES, flags=flags)
        start = _address(self._mapping)
        self._offset = -start % LARGE_PAGE_BYTES
        self.address = start + self._offset
        self.view = memoryview(self._mapping)[self._offset : self._offset + size]

    def touch(self, start: int, stop: int, *, large: bool) -> float:
        """Have the system find memory for these bytes now; the processor seconds that it took.

        One call for many pages costs half of what as many faults do. A system that does not know
        of it finds the memory when it is used, as ever.
        """
        began_s = time.thread_time()
        start, size = self.address + start, stop - start
        _madvise(start, size, mmap.MADV_HUGEPAGE if large else mmap.MADV_NOHUGEPAGE)
        _madvise(start, size, _POPULATE_WRITE)
        return time.thread_time() - began_s

    def give_back(self, start: int, stop: int) -> None:
        """Let the system have the whole pages in these bytes; what was in them is gone."""
        start = -(-start // PAGE_BYTES) * PAGE_BYTES
        size = stop // PAGE_BYTES * PAGE_BYTES - start
        if size > 0:
            _madvise(self.address + start, size, mmap.MADV_DONTNEED)


def has_pages() -> bool:
    """Whether `Pages` can be had: on Linux, the only system where they were measured."""
    return _libc_madvise is not None and hasattr(mmap, "MADV_HUGEPAGE")


def _address(mapping: object) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))  # type: ignore[arg-type]


def _find_madvise() -> Callable[[int, int, int], int] | None:
    """The C library's: Python's own would keep the GIL."""
    if sys.platform != "linux":
        return None
    try:
        found = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None  # a Python that is linked statically
    found.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return found


_libc_madvise: Final = _find_madvise()


def _madvise(address: int, size: int, advice: int) -> None:
    """Advise the system, which may know nothing of it."""
    if _libc_madvise is not None:
        _libc_madvise(address, size, advice)
