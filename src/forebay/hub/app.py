"""`App`: the loop of a program that takes in messages and commits them at its own pace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.errors import ForebayError
from forebay.hub.store_hub import StoreHub

if TYPE_CHECKING:
    from forebay.hub.entity_db import EntityDb
    from forebay.hub.subscribers import Event
    from forebay.model import LogMsg


class App:
    """Receives messages, polls every store fairly, and hands on the events.

    As long as an app runs on a hub, finished output waits for its loop: call `tick` once a frame.
    A context manager; leaving it closes the app.
    """

    def __init__(self, hub: StoreHub | None = None) -> None:
        """Run on `hub`, or on a new one."""
        self.hub = StoreHub() if hub is None else hub
        self.hub.commits_itself = False
        self._next = 0
        self._is_closed = False

    def receive_log_msg(self, msg: LogMsg, source: str = "") -> None:
        """Send one message on its way; see `StoreHub.receive_log_msg`."""
        self.hub.receive_log_msg(msg, source)

    def process_ingestion_worker_output(self, budget_ms: float = 10) -> list[Event]:
        """Commit what the workers have finished, store by store in turns, and return the events.

        Stops when nothing is left or after about `budget_ms` milliseconds. The next call goes on
        with the store after the last one served, so a busy store cannot keep others waiting.
        """
        deadline = self.hub.runtime.monotonic_s() + budget_ms / 1000
        events: list[Event] = []
        dbs = self.hub.entity_dbs()
        if not dbs:
            return events
        waiting = [dbs[(self._next + i) % len(dbs)] for i in range(len(dbs))]
        while waiting:
            unfinished: list[EntityDb] = []
            for db in waiting:
                outputs = db.poll_worker_output(turns_max=1)
                self._next = (self._next + 1) % len(dbs)
                for output in outputs:
                    if not isinstance(output.result, ForebayError):
                        events += output.result
                if outputs:
                    unfinished.append(db)
                if self.hub.runtime.monotonic_s() >= deadline:
                    return events
            waiting = unfinished
        return events

    def tick(self) -> list[Event]:
        """One frame: commit what is finished, and return the events."""
        return self.process_ingestion_worker_output()

    def close(self, timeout: float | None = None) -> list[Event]:
        """Finish and commit all that was received, and give the hub back its own pace.

        Returns:
            The events of these last commits.

        Raises:
            FlushTimeoutError: Not all was committed within `timeout` seconds.
        """
        if self._is_closed:
            return []
        self.hub.flush(timeout)
        events = self.process_ingestion_worker_output(budget_ms=float("inf"))
        self._is_closed = True
        self.hub.commits_itself = True
        return events

    def __enter__(self) -> App:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
