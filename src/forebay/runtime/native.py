"""`NativeRuntime`: tasks take turns on threads that exist only while there is work."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from contextlib import nullcontext
from typing import TYPE_CHECKING

from forebay.limits import (
    EXIT_DRAIN_S,
    QUERY_ROOM_S_MAX,
    QUERY_ROOM_SHARE,
    THREAD_LINGER_S,
    THREADS_MAX,
)
from forebay.runtime.deferred import DeferringCondition
from forebay.runtime.lending import LentThreads
from forebay.runtime.platform import gil_enabled, turns_worth_having
from forebay.runtime.primitives import Primitives
from forebay.runtime.ready import ReadyQueue

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from forebay.runtime.protocol import Condition, Lock, Task

logger = logging.getLogger(__name__)


class NativeRuntime(Primitives):
    """Threads made on demand; a thread that finds no task for a moment ends.

    A task that does not return from its turn keeps one thread and no more: every other ready task
    gets a thread of its own, up to `threads_max`. Threads are daemons, so that Ctrl-C and exit
    are never blocked by a stuck one; at exit they get `EXIT_DRAIN_S` to finish what is ready.

    Under a GIL, tasks that say that they are light (small messages: much Python, little else) have
    their turns one after the other: side by side they would fight for the lock at every call into
    Arrow, which costs up to twice the time. While a light task waits, one idle thread watches the
    turn that it waits for, and takes over should that turn not end (`ReadyQueue` has the rules).

    After `os.fork()` the child starts without threads. Tasks that waited for a turn get theirs
    with the next `schedule`; one that was in the middle of a turn stays in the parent, so fork
    before ingesting, or after closing.
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
    ) -> None:
        """Make a runtime without threads.

        Args:
            threads_max: Threads alive at once.
            thread_linger_s: How long an idle one waits for work before it ends.
            takes_turns: Whether light tasks run one at a time; by default, where there is a GIL.

        Raises:
            ValueError: There would be no thread.
        """
        if threads_max < 1:
            msg = f"a runtime needs at least one thread, not {threads_max}"
            raise ValueError(msg)
        self._threads_max = threads_max
        self._thread_linger_s = thread_linger_s
        self._takes_turns = gil_enabled() if takes_turns is None else takes_turns
        self._ready = ReadyQueue(takes_turns=self._takes_turns)
        self._lent = LentThreads(self._append)
        self._reset()
        _alive.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._threads: set[threading.Thread] = set()
        self._num_idle = 0
        self._num_watching = 0
        self._num_started = 0
        self._ready.forget_holders()
        self._lent.forget()

    @property
    def num_threads(self) -> int:
        """Threads alive."""
        with self._lock:
            return len(self._threads)

    @property
    def is_contended(self) -> bool:
        """Whether other tasks wait for a turn."""
        return bool(self._ready)  # a glimpse needs no lock

    def condition(self, lock: Lock | None = None) -> Condition:
        """A condition over `lock`, or over a lock of its own; waiting is interruptible."""
        return DeferringCondition(lock, self)

    @property
    def is_in_caller(self) -> bool:
        """Whether the calling thread is lent, and so runs turns itself."""
        return self._lent.is_mine

    def lend_thread(self) -> AbstractContextManager[None]:
        """Under a GIL, run what the calling thread schedules in the `with` block there and then.

        Handing small messages to another thread and waiting for it costs up to as much again as
        decoding them. Without a GIL the other thread is the better one: the caller goes on.
        """
        return self._lent.lend(self._run_here) if self._takes_turns else nullcontext()

    @property
    def has_deferred(self) -> bool:
        """Whether tasks were kept for the calling thread, which is lent."""
        return self._lent.has_kept

    def run_deferred(self) -> None:
        """The calling thread is about to wait: what it was to run goes to other threads."""
        self._lent.hand_on_kept()

    def _run_here(self, task: Task) -> None:
        """Run `task` on the calling thread for as long as nobody else waits for a turn."""
        more = True
        while more:
            with self._lock:
                begins = self._ready.begin(task, self.thread_id(), self.monotonic_s())
            if not begins:
                self._append(task)
                return
            more = self._run_turn_here(task)

    def _run_turn_here(self, task: Task) -> bool:
        try:
            return task.run_turn()
        finally:
            with self._lock:
                self._ready.end_turn(self.thread_id())
                starts = self._wants_thread()
            if starts:
                self._start_thread()

    def run_waiting(self, task: Task) -> bool:
        """Under a GIL, run a turn of a light task that waits for one, if it may begin now.

        To be woken twice, and to get the GIL beside busy threads each time, takes far longer than
        a few small messages do.
        """
        if not self._takes_turns or self._lent.is_mine:
            return False
        with self._lent.lend(self._run_once_here):
            self._lent.keep(task)  # first: a Ctrl-C between the two must not lose the turn
            with self._lock:
                takes = self._ready.take(task, self.thread_id(), self.monotonic_s())
            if not takes:
                self._lent.give_back()
        return takes

    def _run_once_here(self, task: Task) -> None:
        if self._run_turn_here(task):
            self._append(task)

    def schedule(self, task: Task) -> None:
        """Give `task` turns until it says that there is no more."""
        if not self._lent.keep(task):
            self._append(task)

    def _append(self, task: Task) -> None:
        with self._lock:
            self._ready.append(task)
            starts = self._wants_thread()
        if starts:
            self._start_thread()

    def _wants_thread(self) -> bool:
        """See to it that what waits is run or watched: wake a thread, or ask for one more."""
        ready = self._ready
        if not ready:
            return False
        if not self._num_idle:
            return len(self._threads) < self._threads_max
        if not self._num_watching or ready.has_runnable(self.monotonic_s()):
            self._changed.notify()
        return False

    def _start_thread(self) -> None:
        with self._lock:
            if len(self._threads) >= self._threads_max:
                return
            self._num_started += 1
            thread = threading.Thread(
                target=self._run, name=f"forebay-worker-{self._num_started}", daemon=True
            )
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            # The system gives no more threads. Those that live will come round to the task; if
            # there is none, the caller is the last one who can do the work.
            with self._lock:
                self._threads.discard(thread)
                alone = not self._threads
            if alone:
                self._drain_here()

    def turns_at_once(self, msg_bytes: int) -> int:
        """Turns that a task with messages of this mean size should have at the same time."""
        # Read without the lock: one turn more or less is no matter.
        busy = len(self._threads) - self._num_idle
        return turns_worth_having(msg_bytes, busy)

    def make_room(self, worked_s: float) -> None:
        """Under a GIL, sleep for a multiple of the time that the turn took; see `limits`.

        A query lets go of the GIL at each step that NumPy or Arrow takes, some hundreds of times,
        and each time waits until the workers let go of it: beside a store that is written at full
        speed it took six times as long as alone.
        """
        if self._takes_turns:
            time.sleep(min(QUERY_ROOM_SHARE * worked_s, QUERY_ROOM_S_MAX))

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all threads have ended, and say whether they did."""
        with self._lock:
            return self._changed.wait_for(lambda: not self._threads, timeout)

    def _run(self) -> None:
        task: Task | None = None
        while (task := self._next(task)) is not None:
            if not _run_turn(task):
                task = None  # while lingering, a thread must not keep a dropped task alive

    def _next(self, task: Task | None) -> Task | None:
        """The task of the next turn (`task` wants another), or `None`: the thread may end."""
        me = self.thread_id()
        with self._lock:
            ready = self._ready
            ready.end_turn(me)
            if task is not None:
                ready.append(task)
                del task
            while (picked := ready.pick(me, self.monotonic_s())) is None:
                if not self._wait_for_turn():
                    # Leave the set under the same lock hold, so that no schedule() counts on us.
                    self._threads.discard(threading.current_thread())
                    self._changed.notify_all()
                    return None
            starts = self._wants_thread()
        if starts:
            self._start_thread()
        return picked

    def _wait_for_turn(self) -> bool:
        """Wait until there may be a turn; False if there was nothing to wait for any more."""
        ready = self._ready
        takeover_s = ready.seconds_to_takeover(self.monotonic_s())
        watches = takeover_s is not None
        self._num_idle += 1
        self._num_watching += watches
        try:
            notified = self._changed.wait(takeover_s if watches else self._thread_linger_s)
        finally:
            self._num_idle -= 1
            self._num_watching -= watches
        if notified or not ready:
            return notified
        # One thread is enough to watch.
        return not self._num_idle or ready.has_runnable(self.monotonic_s())

    def _drain_here(self) -> None:
        me = self.thread_id()
        while True:
            with self._lock:
                self._ready.end_turn(me)
                task = self._ready.pick(me, self.monotonic_s())
            if task is None:
                return
            while _run_turn(task):
                pass

    def _drain_at_exit(self) -> None:
        with self._lock:
            self._thread_linger_s = 0.0
            self._changed.notify_all()
        if not self.join(EXIT_DRAIN_S):
            logger.warning(
                "%d ingestion threads were still busy at exit; close() or flush() waits for them",
                self.num_threads,
            )


def _run_turn(task: Task) -> bool:
    try:
        return task.run_turn()
    except BaseException:  # noqa: BLE001, RUF100 - a thread has nobody above it to pass an error to
        logger.exception("a turn of %r failed", task)
        return False


_alive: weakref.WeakSet[NativeRuntime] = weakref.WeakSet()


@atexit.register
def _drain_all_at_exit() -> None:
    # A daemon thread inside Arrow's C++ while the interpreter goes down can abort the process.
    for runtime in list(_alive):
        runtime._drain_at_exit()  # noqa: SLF001


def _reset_all_in_child() -> None:
    for runtime in list(_alive):
        runtime._reset()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all_in_child)
