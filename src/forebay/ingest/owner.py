"""`Owner`: who commits a worker's output, as the worker sees it."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.ingest.core import IngestCore
    from forebay.model import StoreId

logger = logging.getLogger(__name__)


class Owner:
    """The callbacks of a worker's owner. They are called without any lock.

    An exception of a callback is logged and not passed on.
    """

    __slots__ = {
        "__weakref__": "The hub's budget refers to an owner weakly.",
        "_core": "Tells whether there is output to commit.",
        "on_full": "Called where finished output takes room that others wait for.",
        "on_output": "Called after a turn that left new output.",
        "store_id": "The store, for messages to people.",
    }

    def __init__(
        self,
        core: IngestCore,
        store_id: StoreId | None,
        on_output: Callable[[], object] | None,
        on_full: Callable[[], object] | None,
    ) -> None:
        self._core = core
        self.store_id = store_id
        self.on_output = on_output
        self.on_full = on_full

    @property
    def can_make_room(self) -> bool:
        """Whether there is finished output that the owner can be asked to commit."""
        return self.on_full is not None and self._core.reorder.has_output

    def note_output(self) -> None:
        """There is new output."""
        self._call(self.on_output)

    def make_room(self) -> None:
        """Ask the owner to commit finished output."""
        self._call(self.on_full)

    def reclaimer(self) -> Callable[[], None]:
        """Return a function that asks for room as long as the owner is alive, for other stores."""
        known = weakref.ref(self)

        def reclaim() -> None:
            owner = known()
            if owner is not None and owner.can_make_room:
                owner.make_room()

        return reclaim

    def _call(self, callback: Callable[[], object] | None) -> None:
        if callback is None:
            return
        try:
            callback()
        except Exception:
            logger.exception("a callback of the worker of %s failed", name_of(self.store_id))


def name_of(store_id: StoreId | None) -> str:
    """The name of a store, for messages to people."""
    return "a store" if store_id is None else str(store_id)
