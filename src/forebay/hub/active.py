"""`ActiveStores`: the recording that is looked at, and the blueprints in use. Pure: ids only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from forebay.model import StoreId


class ActiveStores:
    """What a hub shows of what it has. Its owner guards it with a lock.

    Attributes:
        recording: The recording that a viewer would show: the first one, until another is chosen.
    """

    __slots__ = ("_blueprints", "_defaults", "recording")

    def __init__(self) -> None:
        """Nothing is in use."""
        self.recording: StoreId | None = None
        self._blueprints: dict[str, StoreId] = {}
        self._defaults: dict[str, StoreId] = {}

    def blueprint(self, application_id: str) -> StoreId | None:
        """The blueprint in use for an application."""
        return self._blueprints.get(application_id)

    def default_blueprint(self, application_id: str) -> StoreId | None:
        """The blueprint that an application goes back to."""
        return self._defaults.get(application_id)

    def note_added(self, store_id: StoreId) -> None:
        """There is a new store; the first recording is looked at."""
        if store_id.is_recording and self.recording is None:
            self.recording = store_id

    def set_default(self, blueprint_id: StoreId) -> None:
        """Let an application go back to this blueprint."""
        self._defaults[blueprint_id.application_id] = blueprint_id

    def activate(self, clone_id: StoreId, original_id: StoreId) -> StoreId | None:
        """Put the clone of a blueprint in use.

        Returns:
            The clone that was in use before and is no longer needed; `None` if there was none,
            or if it is what was cloned.
        """
        previous = self._blueprints.get(clone_id.application_id)
        self._blueprints[clone_id.application_id] = clone_id
        return None if previous == original_id else previous

    def forget(
        self, store_ids: Collection[StoreId], first_recording: Callable[[], StoreId | None]
    ) -> None:
        """These stores are gone; if the recording looked at is among them, look at the first."""
        for chosen in (self._blueprints, self._defaults):
            for store_id in store_ids:
                if chosen.get(store_id.application_id) == store_id:
                    del chosen[store_id.application_id]
        if self.recording in store_ids:
            self.recording = first_recording()
