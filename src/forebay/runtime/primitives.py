"""What every runtime on a real machine shares: its locks, its clock, its threads' names."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forebay.runtime.protocol import Lock


class Primitives:
    """Locks and clocks of the standard library; where there are no threads they cost nothing."""

    def lock(self) -> Lock:
        """A lock that is not reentrant."""
        return threading.Lock()

    def rlock(self) -> Lock:
        """A lock that its holder may take again."""
        return threading.RLock()

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def thread_id(self) -> int:
        """Tells the calling thread from all others alive."""
        return threading.get_ident()
