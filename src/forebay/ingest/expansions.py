"""`Expansions`: messages that become much larger while they are decoded, one thread at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.limits import (
    EXPANDED_BUDGET_SHARE,
    EXPANDED_BYTES_MAX,
    EXPANDED_BYTES_MIN,
    EXPANSION_WAIT_S,
    THREADS_MAX,
)

if TYPE_CHECKING:
    from forebay.runtime import Runtime


class Expansions:
    """Keeps what compressed Arrow buffers and rare encodings become within a byte budget.

    How much that is, is known only while a message is decoded: it was accepted for what it came
    as. So one part in `limits.EXPANDED_BUDGET_SHARE` of the budget is the most that one message
    may become, and one thread at a time has such a message, from its decoding until its turn has
    committed it. Small ones, which all threads together may have within the budget, wait for none.

    Safe from any thread. It never blocks for long: after `limits.EXPANSION_WAIT_S` a thread goes
    on, for who has its turn may wait for something that the thread holds.

    Attributes:
        bytes_max: What one message may become beyond its size.
    """

    def __init__(self, budget_bytes: int, runtime: Runtime) -> None:
        share_bytes = max(EXPANDED_BYTES_MIN, budget_bytes // EXPANDED_BUDGET_SHARE)
        self.bytes_max = min(EXPANDED_BYTES_MAX, share_bytes)
        self._small_bytes_max = budget_bytes // THREADS_MAX
        self._changed = runtime.condition()
        self._thread_id = runtime.thread_id
        self._thread: int | None = None

    def begin(self, num_bytes: int) -> None:
        """Wait until the calling thread may have a message that becomes so many bytes."""
        me = self._thread_id()
        if num_bytes <= self._small_bytes_max or self._thread == me:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._thread is None, EXPANSION_WAIT_S)
            self._thread = me

    def end(self) -> None:
        """The calling thread has no such message any more; it need not have had one."""
        me = self._thread_id() if self._thread is not None else None
        if me is None or self._thread != me:
            return
        with self._changed:
            if self._thread == me:
                self._thread = None
                self._changed.notify_all()
