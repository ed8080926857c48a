"""`load`: files into a hub, several at once."""

from __future__ import annotations

import os
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Literal

from forebay.codec import StreamDecoder
from forebay.errors import CodecError, LoadError
from forebay.hub.sources import PathLike, load_error, open_file, read_blocks
from forebay.hub.store_hub import StoreHub
from forebay.limits import (
    FILE_BLOCKS_AHEAD,
    FILE_READ_BYTES_FIRST,
    FILES_READ_AT_ONCE,
    READ_SLICE_S,
    READ_TURN_S,
)
from forebay.model import ArrowMsg
from forebay.runtime import (
    Turnstile,
    collections_rare,
    decodes_where_read,
    monotonic_s,
    run_side_by_side,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from forebay.hub.entity_db import EntityDb
    from forebay.ingest import RejectedMsg
    from forebay.model import LogMsg, StoreId


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How far the loading of one file has come.

    Attributes:
        path: The file.
        bytes_read: Bytes whose messages were handed to their stores.
        bytes_total: The file's size when loading began.
        is_done: Whether the file was read to its end, or to its damage.
    """

    path: str
    bytes_read: int
    bytes_total: int
    is_done: bool = False


def load(
    *paths: PathLike,
    hub: StoreHub | None = None,
    application_id: str | None = None,
    recording_id: str | None = None,
    progress: Callable[[LoadProgress], object] | None = None,
    on_error: Literal["raise", "keep"] = "raise",
) -> StoreHub:
    """Load `.rrd` and `.rbl` files side by side; return when everything in them can be queried.

    Args:
        paths: The files.
        hub: Load into this hub instead of a new one.
        application_id: Load every store under this application, as a blueprint that is opened for
            another application needs.
        recording_id: Load every recording under this id (blueprints keep theirs).
        progress: Called now and then for each file, from the thread that reads it.
        on_error: `"raise"` a `LoadError` for damaged files, after all that is readable was
            loaded; or `"keep"` what is readable and say nothing.

    Returns:
        The hub.

    Raises:
        LoadError: A file cannot be read, or not whole. The error's `hub` holds what was readable
            in all files, and its `__notes__` name the other damaged files.
    """
    try:
        names = {os.fspath(path) for path in paths}
    except TypeError as error:
        msg = f"load() takes paths one by one, as load(*paths): {error}"
        raise TypeError(msg) from None
    target = StoreHub() if hub is None else hub
    errors: list[LoadError] = []
    before = {db: _Rejected.so_far(db) for db in target.entity_dbs()}
    turnstile = Turnstile(READ_TURN_S)

    def load_one(path: PathLike) -> None:
        loading = _FileLoading(
            path,
            target,
            application_id,
            recording_id,
            progress,
            turnstile=turnstile,
            num_files=len(paths),
        )
        try:
            loading.run()
        except LoadError as error:
            errors.append(error)

    with collections_rare():
        run_side_by_side([partial(load_one, path) for path in paths], "load", FILES_READ_AT_ONCE)
    target.flush()
    errors += _rejections(target, names, before)
    if errors and on_error == "raise":
        first, *others = errors
        for other in others:
            first.add_note(str(other))
        first.hub = target
        raise first
    return target


class _FileLoading:
    """One file on its way into a hub."""

    def __init__(
        self,
        path: PathLike,
        hub: StoreHub,
        application_id: str | None,
        recording_id: str | None,
        progress: Callable[[LoadProgress], object] | None,
        *,
        turnstile: Turnstile,
        num_files: int,
    ) -> None:
        self._path = os.fspath(path)
        self._hub = hub
        self._application_id = application_id
        self._recording_id = recording_id
        self._progress = progress
        self._turnstile = turnstile
        self._num_files = num_files
        self._decodes_here = False
        self._ahead: deque[tuple[EntityDb, int]] = deque()

    def run(self) -> None:
        with open_file(self._path) as file:
            total = os.fstat(file.fileno()).st_size
            decoder = StreamDecoder()

            def report(*, is_done: bool = False) -> None:
                if self._progress is not None:
                    self._progress(LoadProgress(self._path, decoder.byte_offset, total, is_done))

            try:
                blocks = self._blocks(file, decoder)
                while self._load_some(blocks, report):
                    pass
            except CodecError as error:
                raise load_error(self._path, error) from error
            finally:
                report(is_done=True)

    def _blocks(self, file: BinaryIO, decoder: StreamDecoder) -> Iterator[list[LogMsg]]:
        if self._num_files == 1:
            return read_blocks(file, decoder)
        return read_blocks(file, decoder, FILE_READ_BYTES_FIRST)

    def _load_some(self, blocks: Iterator[list[LogMsg]], report: Callable[[], object]) -> bool:
        """Load a few blocks; False at the end of the file."""
        takes_turn = self._decodes_here
        with self._turnstile.turn() if takes_turn else nullcontext():
            until_s = monotonic_s() + READ_SLICE_S
            while self._load_block(blocks):
                report()
                if takes_turn is not self._decodes_here or monotonic_s() >= until_s:
                    return True
        return False

    def _load_block(self, blocks: Iterator[list[LogMsg]]) -> bool:
        """Load the next block; False if there is none. Its memory is then for the next one."""
        messages = next(blocks, None)
        if messages is None:
            return False
        messages = self._renamed(messages)
        last = messages[-1] if messages else None
        if isinstance(last, ArrowMsg):
            self._decodes_here = decodes_where_read(len(last.payload), self._num_files)
        with self._hub.runtime.lend_thread() if self._decodes_here else nullcontext():
            self._hub.receive_log_msgs(messages, self._path)
        if isinstance(last, ArrowMsg):
            self._keep_pace(last.store_id)
        return True

    def _keep_pace(self, store_id: StoreId) -> None:
        """Let reading be a few blocks ahead of decoding, and no more.

        Blocks that are decoded give their memory to those that are read: more of it would have to
        be touched for the first time, which costs more than decoding.
        """
        blocks_ahead = 0 if self._decodes_here else FILE_BLOCKS_AHEAD
        if store_id in self._hub:
            db = self._hub[store_id]
            self._ahead.append((db, db.position()))
        while len(self._ahead) > blocks_ahead:
            db, position = self._ahead.popleft()
            db.wait_processed(position)

    def _renamed(self, messages: list[LogMsg]) -> list[LogMsg]:
        if self._application_id is None and self._recording_id is None:
            return messages
        return [msg.with_store_id(self._renamed_id(msg.store_id)) for msg in messages]

    def _renamed_id(self, store_id: StoreId) -> StoreId:
        recording_id = self._recording_id if store_id.is_recording else None
        return replace(
            store_id,
            application_id=self._application_id or store_id.application_id,
            recording_id=recording_id or store_id.recording_id,
        )


@dataclass(frozen=True, slots=True)
class _Rejected:
    """What a store had rejected at some moment: how many, and those that it keeps one by one."""

    count: int = 0
    kept: tuple[RejectedMsg, ...] = ()

    @staticmethod
    def so_far(db: EntityDb) -> _Rejected:
        return _Rejected(db.ingestion_stats().rejected, tuple(db.rejections()))


def _rejections(
    hub: StoreHub, paths: set[str], before: Mapping[EntityDb, _Rejected]
) -> list[LoadError]:
    """One error for each file and store that had messages rejected since `before`."""
    errors: list[LoadError] = []
    for db in hub.entity_dbs():
        old = before.get(db, _Rejected())
        known = {id(rejected) for rejected in old.kept}
        now = _Rejected.so_far(db)
        new = [rejected for rejected in now.kept if id(rejected) not in known]
        by_source: dict[object, list[RejectedMsg]] = {}
        for rejected in new:
            by_source.setdefault(rejected.source, []).append(rejected)
        for source, rejections in by_source.items():
            if source not in paths:
                continue
            # Of very many a store keeps the first and the last ones. If they are all of one
            # file, so are those between them; else it is "at least".
            count, least = now.count - old.count, ""
            if len(by_source) > 1:
                least = "at least " if count > len(new) else ""
                count = len(rejections)
            errors.append(_rejected(str(source), db.store_id, rejections[0], f"{least}{count:,}"))
    return errors


def _rejected(path: str, store_id: StoreId, first: RejectedMsg, count: str) -> LoadError:
    error = first.error
    number = "a message was" if count == "1" else f"{count} messages were"
    where = "" if error.byte_offset is None else f" at byte {error.byte_offset}"
    first_of = "" if count == "1" else ", the first"
    return LoadError(
        f"{path}: {store_id}: {number} rejected{first_of}{where}: {error}",
        path=path,
        store_id=store_id,
        chunk_id=first.chunk_id,
        byte_offset=error.byte_offset,
    )
