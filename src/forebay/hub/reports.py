"""`WorkerOutput` and `Reports`: what a poll tells of what was committed."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from forebay.hub.subscribers import Event
from forebay.limits import REPORT_COST_BYTES, REPORTS_KEPT_MAX

if TYPE_CHECKING:
    from forebay.chunk import Chunk
    from forebay.errors import ForebayError
    from forebay.model import StoreId

logger = logging.getLogger("forebay")


class WorkerOutput(NamedTuple):
    """What became of one submitted message (of several in a row, if a policy dropped them).

    Attributes:
        chunk: The chunk as it was processed; `None` if the message could not be decoded, or if a
            memory limit has no room for it.
        was_empty: Whether the store held nothing before.
        result: The events of the insertion (none if the store knew the chunk already), or the
            error that refused the message.
    """

    chunk: Chunk | None
    was_empty: bool
    result: list[Event] | ForebayError


class Reports:
    """What was committed since the last poll; without polls, the oldest reports are dropped.

    The data itself is in the store: what is lost is word of it, which is worth less than the memory
    of a process that never asks. Chunks that the store took over cost nothing here; those that it
    knew already, or refused, live on in their reports alone.

    Attributes:
        num_lost: Reports that no poll told of, because none came in time.
    """

    __slots__ = ("_bytes", "_bytes_max", "_kept", "_store_id", "num_lost")

    def __init__(self, store_id: StoreId, bytes_max: int) -> None:
        """Keep reports whose chunks have so many bytes; the last one is always kept."""
        self._store_id = store_id
        self._bytes_max = bytes_max
        self._bytes = 0
        # Made with the first report: most stores commit by themselves.
        self._kept: deque[tuple[WorkerOutput, int]] | None = None
        self.num_lost = 0

    def keep(self, report: WorkerOutput, size_bytes: int) -> None:
        """Keep a report of a message of that size for the next poll."""
        if isinstance(report.result, list) and report.result:
            size_bytes = 0
        kept = self._kept
        if kept is None:
            kept = self._kept = deque()
        kept.append((report, size_bytes))
        self._bytes += size_bytes
        while len(kept) > REPORTS_KEPT_MAX or (self._bytes > self._bytes_max and len(kept) > 1):
            _, forgotten_bytes = kept.popleft()
            self._bytes -= forgotten_bytes
            if not self.num_lost:
                logger.warning(
                    "%s: what was committed is never polled, so the oldest reports are dropped; "
                    "call poll_worker_output(), or let the store commit by itself",
                    self._store_id,
                )
            self.num_lost += 1

    @property
    def held_bytes(self) -> int:
        """About what they take of the process's memory."""
        return self._bytes + REPORT_COST_BYTES * len(self._kept or ())

    def take(self) -> list[WorkerOutput]:
        """All that are kept, oldest first."""
        kept, self._kept, self._bytes = self._kept, None, 0
        return [report for report, _ in kept or ()]
