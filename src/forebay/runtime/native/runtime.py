"""`NativeRuntime`: tasks run on threads that exist only while there is work."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from contextlib import nullcontext
from typing import TYPE_CHECKING

from forebay.limits import QUERY_ROOM_S_MAX, QUERY_ROOM_SHARE, THREAD_LINGER_S, THREADS_MAX
from forebay.runtime.deferred import DeferringCondition
from forebay.runtime.native.lending import LentThreads
from forebay.runtime.native.pool import ThreadPool
from forebay.runtime.platform import gil_enabled, turns_worth_having

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from forebay.runtime.protocol import Condition, Lock, Task


class NativeRuntime(ThreadPool):
    """A runtime on threads that are started on demand, and on callers that would only wait.

    Under a GIL, tasks that declare themselves light (small messages: mostly Python code) run one at
    a time: in parallel they would compete for the GIL at every call into Arrow, which costs up to
    twice the time.

    At exit, threads get `EXIT_DRAIN_S` to finish what is ready. After `os.fork()` the child starts
    without threads. Queued tasks run after the next `schedule`; a task in the middle of a turn
    stays in the parent. So fork before ingesting, or after closing.
    """

    name = "native"
    has_threads = True
    can_wait = True

    def __init__(
        self,
        threads_max: int = THREADS_MAX,
        *,
        thread_linger_s: float = THREAD_LINGER_S,
        takes_turns: bool | None = None,
        thread_name: str = "worker",
    ) -> None:
        """Make a runtime without threads.

        Args:
            threads_max: Live threads at once.
            thread_linger_s: How long an idle thread waits for work before it ends, in seconds.
            takes_turns: Whether light tasks run one at a time; by default, where there is a GIL.
            thread_name: Name of the threads, after `forebay-`.

        Raises:
            ValueError: `threads_max` is less than 1.
        """
        self._takes_turns = gil_enabled() if takes_turns is None else takes_turns
        super().__init__(
            threads_max, thread_linger_s, takes_turns=self._takes_turns, thread_name=thread_name
        )
        self._lent = LentThreads(self._append)
        _alive.add(self)

    def _reset(self) -> None:
        self._reset_threads()
        self._lent.forget()

    def condition(self, lock: Lock | None = None) -> Condition:
        """Return a condition over `lock`, or over a new lock if that is None.

        A Ctrl-C interrupts a wait on it.
        """
        return DeferringCondition(lock, self)

    @property
    def is_in_caller(self) -> bool:
        """Whether the calling thread is lent, and so runs turns itself."""
        return self._lent.is_mine

    def lend_thread(self) -> AbstractContextManager[None]:
        """Under a GIL, run what the calling thread schedules in the `with` block on that thread.

        Handing small messages to another thread and waiting for it costs up to twice the time of
        decoding them. Without a GIL the block does nothing special: another thread decodes while
        the caller continues.
        """
        return self._lent.lend(self._run_here) if self._takes_turns else nullcontext()

    @property
    def has_deferred(self) -> bool:
        """Whether tasks are kept for the calling thread, which is lent."""
        return self._lent.has_kept

    def run_deferred(self) -> None:
        """Hand the tasks kept for the calling thread, which is about to wait, to other threads."""
        self._lent.hand_on_kept()

    def _run_here(self, task: Task) -> None:
        """Run `task` on the calling thread as long as no other task waits for a turn."""
        more = True
        while more:
            with self._lock:
                begins = self._ready.begin(task, self.thread_id(), self.monotonic_s())
            if not begins:
                self._append(task)
                return
            more = self._run_turn_here(task)

    def _run_turn_here(self, task: Task) -> bool:
        with self._lock:
            self._num_in_callers += 1
        try:
            return task.run_turn()
        finally:
            with self._lock:
                self._num_in_callers -= 1
                self._ready.end_turn(self.thread_id())
                starts = self._wants_thread()
                if self._is_exiting:
                    self._changed.notify_all()
            if starts:
                self._start_thread()

    def run_waiting(self, task: Task) -> bool:
        """Under a GIL, run a turn of a queued light task on the calling thread, if it may begin.

        It saves two context switches, each of which has to get the GIL from busy threads; that
        takes far longer than decoding a few small messages.

        Returns:
            Whether a turn was run. If not, the caller waits.
        """
        if not self._takes_turns or self._lent.is_mine or self._is_exiting:
            return False

        def take() -> bool:
            with self._lock:
                return self._ready.take(task, self.thread_id(), self.monotonic_s())

        return self._lent.run(task, take, self._run_once_here)

    def _run_once_here(self, task: Task) -> None:
        if self._run_turn_here(task):
            self._append(task)

    def schedule(self, task: Task) -> None:
        """Run turns of `task` until `Task.run_turn` returns False. Thread-safe."""
        if not self._lent.keep(task):
            self._append(task)

    def turns_at_once(self, msg_bytes: int) -> int:
        """Return how many turns of one task should run at the same time (`turns_worth_having`)."""
        # Read without the lock: one turn more or less does not matter.
        busy = len(self._threads) - self._num_idle
        return turns_worth_having(msg_bytes, busy)

    def make_room(self, worked_s: float) -> None:
        """Under a GIL, sleep for a multiple of the duration of the last turn.

        See `limits.QUERY_ROOM_SHARE`. A query releases the GIL at each step of NumPy or Arrow, some
        hundred times, and each time waits until the workers release it. In parallel with a store
        that is written at full speed, a query took six times as long as alone.

        Args:
            worked_s: Duration of the turn, in seconds.
        """
        if self._takes_turns:
            time.sleep(min(QUERY_ROOM_SHARE * worked_s, QUERY_ROOM_S_MAX))


_alive: weakref.WeakSet[NativeRuntime] = weakref.WeakSet()


def abandon_turns() -> None:
    """Begin no further turn in this process, because it was interrupted and exits now.

    Accepted messages that were not decoded yet are lost. It applies to all native runtimes.
    """
    for runtime in list(_alive):
        runtime.abandon()


@atexit.register
def _drain_all_at_exit() -> None:
    # A daemon thread that is inside Arrow's C++ code while the interpreter shuts down can abort the
    # process.
    for runtime in list(_alive):
        runtime._drain_at_exit()  # noqa: SLF001


def _reset_all_in_child() -> None:
    for runtime in list(_alive):
        runtime._reset()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all_in_child)
