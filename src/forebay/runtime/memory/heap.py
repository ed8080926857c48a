"""Free memory of the C library's heap, back to the system."""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable


def give_back_free_memory() -> None:
    """Let the system have the pages that the heap keeps free, where the C library can do that.

    A thread's part of the heap keeps what was freed in it, for the thread's next blocks: after
    bulky messages on eight threads that was 200 MB, though no memory limit counts it. glibc alone
    can be told; elsewhere this does nothing. Arrow's allocator keeps some as well. It takes some
    milliseconds.
    """
    pa.default_memory_pool().release_unused()
    if _malloc_trim is not None:
        _malloc_trim(0)


class HeapTrimmer:
    """Gives the heap's free memory back each time that so many bytes have passed through it.

    Safe from any thread.

    Args:
        every_bytes: Bytes that pass before the next time.
        give_back: What gives it back.
    """

    def __init__(
        self, every_bytes: int, give_back: Callable[[], None] = give_back_free_memory
    ) -> None:
        self._every_bytes = every_bytes
        self._give_back = give_back
        self._lock = threading.Lock()
        self._passed_bytes = 0

    def note_passed(self, num_bytes: int) -> None:
        """A block of so many bytes was in use, and may be free now."""
        with self._lock:
            self._passed_bytes += num_bytes
            if self._passed_bytes < self._every_bytes:
                return
            self._passed_bytes = 0
        self._give_back()


def _find_malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    try:
        found = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None  # another C library, or a Python that is linked statically
    found.argtypes = (ctypes.c_size_t,)
    return found


_malloc_trim: Final = _find_malloc_trim()
