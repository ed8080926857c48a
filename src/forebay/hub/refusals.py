"""`Refusals`: messages that no store of a hub took, because none could be made for them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from forebay.ingest import IngestionStats, RejectedMsg, RejectionLog

if TYPE_CHECKING:
    from forebay.errors import ForebayError
    from forebay.model import ArrowMsg, SetStoreInfo
    from forebay.runtime import Runtime


class Refusals:
    """Counts them, and keeps the first and the last. Safe from any thread."""

    def __init__(self, runtime: Runtime) -> None:
        """There are none yet."""
        self._lock = runtime.lock()
        self._log = RejectionLog()
        self._count = 0
        self._by_reason: Counter[str] = Counter()

    @property
    def held_bytes(self) -> int:
        """About what they take of the process's memory."""
        return self._log.held_bytes

    def add(self, msg: ArrowMsg | SetStoreInfo, error: ForebayError) -> None:
        """Note a message that was refused."""
        chunk_id = getattr(msg, "chunk_id", None)
        with self._lock:
            rejected = RejectedMsg(self._count, msg.store_id, chunk_id, error)
            self._log.extend([rejected])
            self._count += 1
            self._by_reason[rejected.reason] += 1

    def rejections(self) -> list[RejectedMsg]:
        """The first and the last of them."""
        with self._lock:
            return list(self._log)

    def stats(self) -> list[IngestionStats]:
        """Their number, as the ingestion of a closed store that rejected all; of none, nothing."""
        with self._lock:
            if not self._count:
                return []
            counts = IngestionStats(
                accepted=self._count,
                rejected=self._count,
                rejected_by_reason=dict(self._by_reason),
                is_closed=True,
            )
            return [counts]
