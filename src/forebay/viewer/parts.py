"""Which stores of a source are one session's, where each recording of it has a worker of its own.

Every worker of a source is fed all of it and sees all store ids in the same order, so they agree
on who keeps what without a word: recordings are numbered as they come up, and each number is a
part. Messages of other parts are passed over as they stand, still encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.limits import WEB_PARTS_MAX

if TYPE_CHECKING:
    from forebay.model import StoreId


class Parts:
    """What belongs to one part of a source; without a part, everything does.

    Blueprints belong to the first part: they may come before any recording, and an application's
    is one, however many recordings it made. What goes beyond `WEB_PARTS_MAX` recordings belongs
    to the last part: an interpreter takes 100 MB.
    """

    def __init__(self, part: int | None = None) -> None:
        """Choose a part, from 0; `None` for all of the source."""
        self._part = part
        self._is_own: dict[StoreId, bool] = {}
        self._last_id: StoreId | None = None
        self._is_last_own = False
        self.recording_ids: list[str] = []
        """Of those recordings that came up and have a part of their own, in the parts' order."""

    def keeps(self, store_id: StoreId) -> bool:
        """Whether messages of that store are this part's."""
        if store_id is not self._last_id:  # Messages of one store share its id, most often.
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
