"""Anonymous memory mappings that are touched ahead of use, with large pages where available."""

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
"""`MADV_POPULATE_WRITE` of Linux 5.14, for which Python has no name."""
PAGE_BYTES: Final = 4096 if mmap is None else mmap.PAGESIZE
"""Size of a page, the smallest unit that the system maps."""
LARGE_PAGE_BYTES: Final = 2 * 1024 * 1024
"""Size of a large page (x86-64; ARM with pages of 4 KiB)."""


class Pages:
    """Fresh private memory of `len(view)` bytes that starts at a multiple of `LARGE_PAGE_BYTES`.

    Args:
        size: Size in bytes. Address space is reserved; memory is used only where it is touched.

    Attributes:
        address: Address of the first byte.
        view: The memory, writable.

    Raises:
        OSError: The system has not enough address space or memory.
    """

    __slots__ = ("_mapping", "_offset", "address", "view")

    def __init__(self, size: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._mapping = mmap.mmap(-1, size + LARGE_PAGE_BYTES, flags=flags)
        start = _address(self._mapping)
        self._offset = -start % LARGE_PAGE_BYTES
        self.address = start + self._offset
        self.view = memoryview(self._mapping)[self._offset : self._offset + size]

    def touch(self, start: int, stop: int, *, large: bool) -> float:
        """Map memory for a range of bytes now; return the CPU seconds that it took.

        One call for many pages costs half as much as the page faults would. A system that does not
        know the call maps the memory when it is used.

        Args:
            start: First byte of the range.
            stop: End of the range, exclusive.
            large: Whether to ask for large pages.
        """
        began_s = time.thread_time()
        start, size = self.address + start, stop - start
        _madvise(start, size, mmap.MADV_HUGEPAGE if large else mmap.MADV_NOHUGEPAGE)
        _madvise(start, size, _POPULATE_WRITE)
        return time.thread_time() - began_s

    def give_back(self, start: int, stop: int) -> None:
        """Return the whole pages inside a range of bytes to the system; their content is lost.

        Args:
            start: First byte of the range.
            stop: End of the range, exclusive.
        """
        start = -(-start // PAGE_BYTES) * PAGE_BYTES
        size = stop // PAGE_BYTES * PAGE_BYTES - start
        if size > 0:
            _madvise(self.address + start, size, mmap.MADV_DONTNEED)


def has_pages() -> bool:
    """Return whether `Pages` can be used: only on Linux, where it was measured."""
    return _libc_madvise is not None and hasattr(mmap, "MADV_HUGEPAGE")


def _address(mapping: object) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))  # type: ignore[arg-type]


def _find_madvise() -> Callable[[int, int, int], int] | None:
    """Return `madvise` of the C library, which is called without the GIL; Python's own keeps it."""
    if sys.platform != "linux":
        return None
    try:
        found = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None  # statically linked Python
    found.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return found


_libc_madvise: Final = _find_madvise()


def _madvise(address: int, size: int, advice: int) -> None:
    """Call `madvise` and ignore errors: a kernel may not know the advice."""
    if _libc_madvise is not None:
        _libc_madvise(address, size, advice)
