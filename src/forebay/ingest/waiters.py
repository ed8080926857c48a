"""`Waiters`: the threads that wait for a worker, and when they are woken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.limits import ROOM_WAKE_INTERVAL_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from forebay.ingest.core import Batch, IngestCore
    from forebay.runtime import Condition, Lock, Runtime


class Waiters:
    """Threads that wait for room in the queue, or until a message is processed.

    The caller holds the worker's lock for each method; a wait lets go of it.
    """

    __slots__ = {
        "_changed": "What threads wait on; made when the first of them begins to wait.",
        "_core": "Tells how full the queue is, and what is processed.",
        "_lock": "The worker's lock.",
        "_num": "Threads that wait now.",
        "_runtime": "Makes conditions, and tells threads apart and the time.",
        "_watched_seqs": "The messages that threads wait for, by sequence number.",
        "_woken_s": "When a turn last woke threads, in seconds of the runtime's clock.",
        "busy_threads": "The threads that are in a turn, with the batch of each.",
        "owner_thread": "The thread that commits output now; `None` if none does.",
    }

    def __init__(self, core: IngestCore, lock: Lock, runtime: Runtime) -> None:
        self._core = core
        self._lock = lock
        self._runtime = runtime
        self._changed: Condition | None = None
        self._num = 0
        self._watched_seqs: list[int] = []
        self._woken_s = 0.0
        self.busy_threads: dict[int, Batch] = {}
        self.owner_thread: int | None = None

    def is_awaited(self, thread: int) -> bool:
        """Whether others wait for this thread: it decodes or commits, so it must not wait."""
        return thread in self.busy_threads or thread == self.owner_thread

    def wait(self, deadline_s: float | None) -> bool:
        """Let go of the lock until something changed.

        Args:
            deadline_s: Wait until then at most, in seconds of the runtime's clock.

        Returns:
            False if it is no use to wait longer: the deadline is over, or the caller would wait
            for itself, or no other thread could change anything.
        """
        runtime = self._runtime
        if self.is_awaited(runtime.thread_id()):
            return False
        left_s = None if deadline_s is None else deadline_s - runtime.monotonic_s()
        if left_s is not None and left_s <= 0:
            return False
        changed = self._changed
        if changed is None:
            changed = self._changed = runtime.condition(self._lock)
        self._num += 1
        try:
            return changed.wait(left_s)
        finally:
            self._num -= 1
            if not self._num:
                self._changed = None

    def wait_processed(self, seq: int, deadline_s: float | None) -> bool:
        """As `wait`, for a caller that waits until a message is processed."""
        self._watched_seqs.append(seq)
        try:
            return self.wait(deadline_s)
        finally:
            self._watched_seqs.remove(seq)

    def notify(self) -> None:
        """Wake all threads that wait."""
        if self._changed is not None:
            self._changed.notify_all()

    def notify_after_turn(self, now_s: float) -> None:
        """Wake all threads that wait, if a turn changed enough for one of them.

        To wake them after each turn would cost more than the turns. While the queue is more than
        half full, threads that wait for room are woken once in `limits.ROOM_WAKE_INTERVAL_S`: the
        worker has enough to do. A thread that waits for a message sleeps until that is processed,
        or until output has to be committed before messages can come back from disk.
        """
        if self._num and self._is_worth_waking(now_s):
            self.notify()

    def _is_worth_waking(self, now_s: float) -> bool:
        core = self._core
        watched = self._watched_seqs
        if watched and (core.spill_depth or core.is_processed(min(watched))):
            return True
        if (
            core.queue_depth > core.capacity // 2
            and core.has_input
            and now_s - self._woken_s < ROOM_WAKE_INTERVAL_S
        ):
            return False
        self._woken_s = now_s
        return self._num > len(watched)


def wake_all(wakes: Iterable[Callable[[], None]]) -> None:
    """Call all of them, even if a Ctrl-C comes between two; the caller holds no lock."""
    waiting = iter(wakes)
    try:
        for wake in waiting:
            wake()
    except BaseException:
        for wake in waiting:
            wake()
        raise
