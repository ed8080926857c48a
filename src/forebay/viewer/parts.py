"""Divides the stores of a source among sessions: each recording has a worker of its own.

Every worker of a source is fed all its bytes and sees all store ids in the same order, so the
workers agree on the division without communication: recordings are numbered in the order in which
they appear, and each number is a part. Messages of other parts are skipped without decoding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.limits import WEB_PARTS_MAX

if TYPE_CHECKING:
    from forebay.model import StoreId


class Parts:
    """Decides which stores belong to one part of a source; without a part, all do.

    Blueprints belong to the first part: they may come before any recording, and an application has
    one blueprint however many recordings it made. Recordings beyond `WEB_PARTS_MAX` belong to the
    last part, because each interpreter takes 100 MB.

    Args:
        part: Number of the part, from 0. None for the whole source.
    """

    def __init__(self, part: int | None = None) -> None:
        self._part = part
        self._is_own: dict[StoreId, bool] = {}
        self._last_id: StoreId | None = None
        self._is_last_own = False
        self.recording_ids: list[str] = []
        """Ids of the recordings that have a part of their own, in the order of the parts."""

    def keeps(self, store_id: StoreId) -> bool:
        """Return whether messages of this store belong to this part."""
        if store_id is not self._last_id:  # Messages of one store mostly share the id object.
            self._last_id = store_id
            self._is_last_own = self._look_up(store_id)
        return self._is_last_own

    def _look_up(self, store_id: StoreId) -> bool:
        try:
            return self._is_own[store_id]
        except KeyError:
            number = self._number(store_id)
            is_own = self._is_own[store_id] = self._part in (None, number)
            return is_own

    def _number(self, store_id: StoreId) -> int:
        if store_id.is_blueprint:
            return 0
        if len(self.recording_ids) < WEB_PARTS_MAX:
            self.recording_ids.append(store_id.recording_id)
        return len(self.recording_ids) - 1
