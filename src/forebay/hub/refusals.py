"""`Refusals`: messages that a hub gave to no store, because that would exceed one of its limits."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from forebay.ingest import NOT_SUBMITTED, RejectedMsg, RejectionLog
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

    def note(self, msgs: Sequence[LogMsg], error: LimitError, source: object) -> None:
        """Messages of one store were refused; the log says so once for each limit."""
        store_id = shortened(msgs[0].store_id)
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


def shortened(store_id: StoreId) -> StoreId:
    """The id to keep of a message that was refused: a sender may make ids of any length."""
    app, recording = store_id.application_id, store_id.recording_id
    if max(len(app), len(recording)) <= ID_CHARS_KEPT_MAX:
        return store_id
    return StoreId(store_id.kind, _cut(app), _cut(recording))


def _cut(text: str) -> str:
    return text if len(text) <= ID_CHARS_KEPT_MAX else text[: ID_CHARS_KEPT_MAX - 1] + "…"
