"""Delivering store events to callbacks, so that no callback can hold up or break a store."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from forebay.chunk import Chunk
from forebay.limits import SUBSCRIBER_BACKLOG_EVENTS, TURN_MSGS_MAX
from forebay.model import ChunkStoreEvent
from forebay.runtime import callback_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forebay.runtime import Runtime

logger = logging.getLogger("forebay")

Event: TypeAlias = ChunkStoreEvent[Chunk]
"""One change of one store."""


class Subscription:
    """One callback and the events it has not seen yet; a task that takes turns.

    A callback that raises is reported and goes on with the next event. One that falls more than
    `SUBSCRIBER_BACKLOG_EVENTS` behind is reported and ended: memory is bounded, and a gap would
    be worse than an end.

    Attributes:
        error: Why the subscription ended by itself, or the last exception of the callback.
        num_errors: How many events the callback raised on.
    """

    def __init__(self, callback: Callable[[Event], object], runtime: Runtime):
        self.error: BaseException | None = None
        self.num_errors = 0
        self.is_active = True
        self._callback = callback
        self._runtime = runtime
        self._lock = runtime.lock()
        self._idle = runtime.condition(self._lock)
        self._backlog: deque[Event] = deque()
        self._scheduled = False
        self._is_running = False

    def offer(self, events: Sequence[Event]) -> None:
        """Queue events; call in commit order. `deliver` sets them on their way."""
        with self._lock:
            if not self.is_active:
                return
            if len(self._backlog) + len(events) > SUBSCRIBER_BACKLOG_EVENTS:
                self.is_active = False
                behind = len(self._backlog)
                self._backlog.clear()
                self.error = RuntimeError(f"fell {behind} events behind")
                logger.error(
                    "subscriber %r fell %d events behind and was unsubscribed; "
                    "make the callback faster, or hand its work to a thread of yours",
                    self._callback,
                    behind,
                )
                return
            self._backlog.extend(events)

    def deliver(self) -> None:
        """Let the runtime call the callback; hold no lock."""
        try:
            with self._lock:
                # Without threads a turn may have been broken off before it began; one too many
                # does no harm.
                is_sure = self._runtime.has_threads or self._is_running
                if not self._backlog or (self._scheduled and is_sure):
                    return
                self._scheduled = True
            self._runtime.schedule(self)
        except BaseException:
            if self._runtime.has_threads and self._scheduled:
                self._runtime.schedule(self)
            else:
                with self._lock:
                    self._scheduled = self._is_running
            raise

    def run_turn(self) -> bool:
        """Call back for a few events."""
        is_other = False
        try:
            with self._lock:
                is_other = self._is_running
                if is_other or not self._scheduled:
                    return False  # one turn too many, see `deliver`
                self._is_running = True
            return self._call_for_some()
        except BaseException:
            if not is_other:
                with self._lock:
                    self._is_running = self._scheduled = False  # the rest comes with the next one
                    self._idle.notify_all()
            raise  # Ctrl-C in the caller's own thread

    def _call_for_some(self) -> bool:
        for _ in range(TURN_MSGS_MAX):
            is_called = False
            event: Event | None = None
            try:
                with self._lock:
                    if not self._backlog:
                        self._is_running = self._scheduled = False
                        self._idle.notify_all()
                        return False
                    event = self._backlog.popleft()
                is_called = True
                self._callback(event)
            except BaseException as error:
                if event is None:
                    raise
                if not is_called:
                    self._backlog.appendleft(event)
                    raise
                self.error = error
                self.num_errors += 1
                if not (isinstance(error, Exception) or self._runtime.has_threads):
                    raise
                logger.exception("subscriber %r raised on event %d", self._callback, event.event_id)
        with self._lock:
            self._is_running = False
        return True

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until the callback has seen everything queued, and say whether it has."""
        with self._lock:
            return self._idle.wait_for(lambda: not self._scheduled, timeout)

    def cancel(self) -> None:
        """End the subscription; a callback that runs at this moment may still finish."""
        with self._lock:
            self.is_active = False
            self._backlog.clear()


class Subscribers:
    """Who listens to one store, or to one hub."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = runtime.lock()
        self._subscriptions: tuple[Subscription, ...] = ()

    def add(self, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Call `callback` with every event from now on; returns what ends that.

        Raises:
            TypeError: It cannot be called.
        """
        given: object = callback
        if not callable(given):
            text = f"a function of one ChunkStoreEvent is subscribed, not {callback!r:.80}"
            raise TypeError(text)
        subscription = Subscription(callback, callback_runtime(self._runtime))
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)

        def unsubscribe() -> None:
            subscription.cancel()
            with self._lock:
                self._subscriptions = tuple(
                    other for other in self._subscriptions if other is not subscription
                )

        return unsubscribe

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Everybody who listens, also those whose subscription ended by itself."""
        return self._subscriptions

    def offer(self, events: Sequence[Event]) -> None:
        """Queue events for everybody; call in commit order."""
        for subscription in self._subscriptions:
            subscription.offer(events)

    def deliver(self) -> None:
        """Set queued events on their way; hold no lock."""
        for subscription in self._subscriptions:
            subscription.deliver()
