"""`Refusals`: messages that a hub gave to no store, because that would exceed one of its limits."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from forebay.errors import cut
from forebay.ingest import NOT_SUBMITTED, IngestionStats, RejectedMsg, RejectionLog
from forebay.limits import ID_CHARS_KEPT_MAX
from forebay.model import ArrowMsg, StoreId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.errors import LimitError
    from forebay.model import LogMsg
    from forebay.runtime import Runtime

logger = logging.getLogger("forebay")


class Refusals:
    """Counts refused messages by the limit that refused them; keeps the first and the last ones.

    They belong to no store, so no store counts them. Safe from any thread, in bounded memory.
    """

    def __init__(self, runtime: Runtime) -> None:
        """Nothing is refused yet."""
        self._lock = runtime.lock()
        self._counts: Counter[str] = Counter()
        self._kept = RejectionLog()

    @property
    def held_bytes(self) -> int:
        """About what they take of the process's memory."""
        return self._kept.held_bytes

    def note(self, msgs: Sequence[LogMsg], error: LimitError, source: object) -> None:
        """Messages of one store were refused; the log says so once for each limit."""
        store_id = shortened(msgs[0].store_id)
        if not error.is_shared:
            error.store_id = store_id
        rejections = [
            RejectedMsg(
                NOT_SUBMITTED,
                store_id,
                msg.chunk_id if isinstance(msg, ArrowMsg) else None,
                error,
                source,
            )
            for msg in msgs
        ]
        with self._lock:
            is_first = error.limit not in self._counts
            self._counts[error.limit] += len(msgs)
            self._kept.extend(rejections)
        if is_first:
            logger.warning("%s; such messages are refused and counted from now on", error)

    def by_limit(self) -> dict[str, int]:
        """How many messages each limit refused."""
        with self._lock:
            return dict(self._counts)

    def rejections(self) -> list[RejectedMsg]:
        """The first refused messages and the last, each with its cause."""
        with self._lock:
            return [one for one in self._kept if isinstance(one, RejectedMsg)]

    def stats(self) -> list[IngestionStats]:
        """Their number, as the ingestion of a closed store that rejected all; of none, nothing."""
        by_limit = self.by_limit()
        if not by_limit:
            return []
        count = sum(by_limit.values())
        counts = IngestionStats(
            accepted=count, rejected=count, rejected_by_reason=by_limit, is_closed=True
        )
        return [counts]


def shortened(store_id: StoreId) -> StoreId:
    """The id to keep of a message that was refused: a sender may make ids of any length."""
    app, recording = store_id.application_id, store_id.recording_id
    if max(len(app), len(recording)) <= ID_CHARS_KEPT_MAX:
        return store_id
    return StoreId(store_id.kind, cut(app, ID_CHARS_KEPT_MAX), cut(recording, ID_CHARS_KEPT_MAX))
