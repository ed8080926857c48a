"""`StoreSet`: the stores of a hub by their ids, and which of them are in use."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from forebay.errors import LimitError, UnknownStoreError, told
from forebay.hub.active import ActiveStores
from forebay.limits import STORE_LIMITS
from forebay.model import StoreId, StoreKind, canonical_application_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forebay.hub.entity_db import EntityDb
    from forebay.limits import StoreLimits
    from forebay.runtime import Runtime


class StoreSet(ABC):
    """All stores of a hub. Looking one up takes no lock; listing all of them does."""

    def __init__(self, runtime: Runtime, limits: StoreLimits = STORE_LIMITS) -> None:
        """Make an empty set; `limits` say how many stores it may hold, and of what names."""
        self._lock = runtime.rlock()
        self._limits = limits
        self._dbs: dict[StoreId, EntityDb] = {}
        # The same ids by application, so that forgetting one store looks at no other.
        self._ids_of: dict[str, dict[StoreId, None]] = {}
        self._active = ActiveStores()

    @abstractmethod
    def _new_db(self, store_id: StoreId) -> EntityDb:
        """A store of that id, fresh; the caller holds the lock."""

    @abstractmethod
    def _join(self, db: EntityDb) -> None:
        """Make a store one of the hub's; the caller holds the lock."""

    @abstractmethod
    def _leave(self, db: EntityDb) -> None:
        """A store is none of the hub's any more; the caller holds the lock."""

    # ---- coming up and going -------------------------------------------------------------

    def entity_db(self, store_id: StoreId, source: str = "") -> EntityDb:
        """The store of that id, made now if there is none; the first source wins.

        Raises:
            LimitError: It would be one store too many, or its name is too long.
        """
        try:
            # Not `get`: every message comes by, from any thread (see docs/free-threading.md).
            db = self._dbs[store_id]
        except KeyError:
            db = self._made(store_id)
        if db.data_source is None:
            db.set_data_source(source)
        return db

    def _made(self, store_id: StoreId) -> EntityDb:
        with self._lock:
            if store_id not in self._dbs:  # Else another thread made it meanwhile.
                self._check_new(store_id)
                self._add(self._new_db(store_id))
            return self._dbs[store_id]

    def _check_new(self, store_id: StoreId) -> None:
        """Refuse a store that would exceed the limits."""
        limits = self._limits
        id_bytes_max = limits.id_bytes_max
        for name, noun in (
            (store_id.application_id, "application"),
            (store_id.recording_id, "recording"),
        ):
            size = len(name.encode("utf-8", "surrogatepass"))
            if size > id_bytes_max:
                what = f"an id of a {noun} of {size:,} bytes"
                raise LimitError.over("id_bytes_max", id_bytes_max, what)
        if len(self._dbs) >= limits.hub_stores_max:
            raise LimitError.over("hub_stores_max", limits.hub_stores_max, "one more store")

    def _add(self, db: EntityDb) -> None:
        self._join(db)
        store_id = db.store_id
        self._dbs[store_id] = db
        self._ids_of.setdefault(store_id.application_id, {})[store_id] = None
        self._active.note_added(store_id)

    def remove(self, store_id: StoreId) -> None:
        """Forget a store; the last recording of an application takes the application with it.

        Messages that its worker accepted are still processed, and then dropped with the store.
        """
        with self._lock:
            if store_id not in self._dbs:
                return
            self._forget([store_id])
            application_id = store_id.application_id
            if store_id.kind is StoreKind.RECORDING and not any(
                one.is_recording for one in self._ids_of.get(application_id, ())
            ):
                self.close_application(application_id)

    def close_application(self, application_id: str) -> None:
        """Forget every recording and blueprint of an application."""
        application_id = canonical_application_id(application_id)
        with self._lock:
            self._forget(list(self._ids_of.get(application_id, ())))

    def _forget(self, store_ids: Sequence[StoreId]) -> None:
        for store_id in store_ids:
            db = self._dbs.pop(store_id)
            there = self._ids_of[store_id.application_id]
            del there[store_id]
            if not there:
                del self._ids_of[store_id.application_id]
            self._leave(db)
        self._active.forget(
            store_ids, lambda: next((id_ for id_ in self._dbs if id_.is_recording), None)
        )

    # ---- finding -------------------------------------------------------------------------

    def entity_dbs(self) -> list[EntityDb]:
        """Every store, in the order in which they came up."""
        with self._lock:
            return list(self._dbs.values())

    def recordings(self) -> list[EntityDb]:
        """Every recording, in the order in which they came up."""
        return [db for db in self.entity_dbs() if db.store_id.is_recording]

    def blueprints(self) -> list[EntityDb]:
        """Every blueprint, clones that were made active among them."""
        return [db for db in self.entity_dbs() if db.store_id.is_blueprint]

    def recording(self, recording_id: str, application_id: str | None = None) -> EntityDb:
        """The recording of that id.

        Raises:
            UnknownStoreError: There is none (the message names those there are), or several
                applications have one and `application_id` does not say which.
        """
        if application_id is not None:
            application_id = canonical_application_id(application_id)
        found = [
            db
            for db in self.recordings()
            if db.store_id.recording_id == recording_id
            and application_id in (None, db.store_id.application_id)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            apps = told(repr(db.store_id.application_id) for db in found)
            msg = f"several applications have a recording {recording_id!r}: {apps}; say which"
            raise UnknownStoreError(msg)
        there = told(repr(db.store_id.recording_id) for db in self.recordings())
        msg = f"there is no recording {recording_id!r}; there are: {there}"
        raise UnknownStoreError(msg)

    def __getitem__(self, store_id: StoreId) -> EntityDb:
        """The store of that id.

        Raises:
            UnknownStoreError: There is none; the message names those there are.
        """
        try:
            return self._dbs[store_id]
        except KeyError:
            there = told(str(db.store_id) for db in self.entity_dbs())
            msg = f"there is no {store_id}; there are: {there}"
            raise UnknownStoreError(msg, store_id=store_id) from None

    def __contains__(self, store_id: object) -> bool:
        return store_id in self._dbs

    def __iter__(self) -> Iterator[EntityDb]:
        return iter(self.entity_dbs())

    def __len__(self) -> int:
        return len(self._dbs)

    # ---- what is in use ------------------------------------------------------------------

    @property
    def active_recording(self) -> EntityDb | None:
        """The recording that a viewer would show: the first one, until another is chosen."""
        return self._found(self._active.recording)

    @active_recording.setter
    def active_recording(self, store_id: StoreId) -> None:
        with self._lock:
            self._active.recording = self[store_id].store_id

    def active_blueprint(self, application_id: str) -> EntityDb | None:
        """The blueprint in use for an application: a clone of the one that was activated."""
        return self._found(self._active.blueprint(canonical_application_id(application_id)))

    def default_blueprint(self, application_id: str) -> EntityDb | None:
        """The blueprint that an application goes back to on reset."""
        application_id = canonical_application_id(application_id)
        return self._found(self._active.default_blueprint(application_id))

    def _found(self, store_id: StoreId | None) -> EntityDb | None:
        return None if store_id is None else self._dbs.get(store_id)

    def set_default_blueprint(self, blueprint_id: StoreId) -> None:
        """Make a blueprint the default of its application.

        Raises:
            UnknownStoreError: There is no such blueprint.
        """
        with self._lock:
            self._active.set_default(self[blueprint_id].store_id)

    def set_cloned_blueprint_active(self, blueprint_id: StoreId) -> EntityDb:
        """Put a clone of a blueprint in use, under a fresh id; the clone before it is dropped.

        Raises:
            UnknownStoreError: There is no such blueprint.
        """
        with self._lock:
            return self._activate_clone(self[blueprint_id])

    def _activate_clone(self, db: EntityDb) -> EntityDb:
        clone_id = StoreId.blueprint(db.store_id.application_id, str(uuid.uuid4()))
        if self._active.blueprint(clone_id.application_id) in (None, db.store_id):
            self._check_new(clone_id)  # Else it takes the place of another.
        clone = db.clone_with_new_id(clone_id)
        self._add(clone)
        previous = self._active.activate(clone.store_id, db.store_id)
        if previous is not None:
            self._forget([previous])
        return clone
