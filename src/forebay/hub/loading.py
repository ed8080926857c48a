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
from forebay.ingest import RejectedColumn
from forebay.limits import (
    FILE_BLOCKS_AHEAD,
    FILE_READ_BYTES_FIRST,
    FILES_READ_AT_ONCE,
    READ_SLICE_S,
    READ_TURN_S,
)
from forebay.model import ArrowMsg
from forebay.runtime import (
    Event,
    Turnstile,
    collections_rare,
    decodes_where_read,
    monotonic_s,
    run_in_parallel,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from forebay.hub.entity_db import EntityDb
    from forebay.ingest import Rejection
    from forebay.model import LogMsg, StoreId


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How far the loading of one file has come.

    Attributes:
        path: The file.
        bytes_read: Bytes whose messages were handed to their stores.
        bytes_total: The file's size when loading began.
        is_done: Whether the file was read to its end, or to its damage.
        is_empty: Whether no message was met so far.
    """

    path: str
    bytes_read: int
    bytes_total: int
    is_done: bool = False
    is_empty: bool = False


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
    refused_before = target.refused_by_limit()
    turnstile = Turnstile(READ_TURN_S)
    is_stopped = Event()

    def load_one(path: PathLike) -> None:
        loading = _FileLoading(
            path,
            target,
            application_id,
            recording_id,
            progress,
            turnstile=turnstile,
            num_files=len(paths),
            is_stopped=is_stopped,
        )
        try:
            loading.run()
        except LoadError as error:
            errors.append(error)

    with collections_rare():
        jobs = [partial(load_one, path) for path in paths]
        # After a Ctrl-C readers end with their next block.
        run_in_parallel(jobs, "load", FILES_READ_AT_ONCE, on_interrupt=is_stopped.set)
    target.flush()
    errors += _rejections(target, names, before)
    errors += _refusals(target, names, refused_before)
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
        is_stopped: Event,
    ) -> None:
        self._path = os.fspath(path)
        self._hub = hub
        self._application_id = application_id
        self._recording_id = recording_id
        self._progress = progress
        self._turnstile = turnstile
        self._num_files = num_files
        self._is_stopped = is_stopped
        self._decodes_here = False
        self._has_messages = False
        self._ahead: deque[tuple[EntityDb, int]] = deque()

    def run(self) -> None:
        with open_file(self._path) as file:
            total = os.fstat(file.fileno()).st_size
            decoder = StreamDecoder()

            def report(*, is_done: bool = False) -> None:
                if self._progress is not None:
                    read = decoder.byte_offset
                    self._progress(
                        LoadProgress(self._path, read, total, is_done, not self._has_messages)
                    )

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
            while not self._is_stopped.is_set() and self._load_block(blocks):
                report()
                if takes_turn is not self._decodes_here or monotonic_s() >= until_s:
                    return True
        return False

    def _load_block(self, blocks: Iterator[list[LogMsg]]) -> bool:
        """Load the next block; False if there is none. Its memory is then for the next one."""
        messages = next(blocks, None)
        if messages is None:
            return False
        self._has_messages = self._has_messages or bool(messages)
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
    """What a store had rejected at some moment.

    Attributes:
        messages: How many messages.
        columns: How many columns of other messages.
        kept: Those that the store keeps one by one.
    """

    messages: int = 0
    columns: int = 0
    kept: tuple[Rejection, ...] = ()

    @staticmethod
    def so_far(db: EntityDb) -> _Rejected:
        stats = db.ingestion_stats()
        return _Rejected(stats.rejected, stats.columns_rejected, tuple(db.rejections()))


def _rejections(
    hub: StoreHub, paths: set[str], before: Mapping[EntityDb, _Rejected]
) -> list[LoadError]:
    """One error for each file and store that had messages, or columns, rejected since `before`."""
    errors: list[LoadError] = []
    for db in hub.entity_dbs():
        old = before.get(db, _Rejected())
        known = {id(rejected) for rejected in old.kept}
        now = _Rejected.so_far(db)
        new = [rejected for rejected in now.kept if id(rejected) not in known]
        columns = [rejected for rejected in new if isinstance(rejected, RejectedColumn)]
        messages = [rejected for rejected in new if not isinstance(rejected, RejectedColumn)]
        errors += _of_kind("message", db, paths, messages, now.messages - old.messages)
        errors += _of_kind("column", db, paths, columns, now.columns - old.columns)
    return errors


def _refusals(hub: StoreHub, paths: set[str], before: Mapping[str, int]) -> list[LoadError]:
    """One error for each limit of the hub that refused messages since `before`."""
    errors: list[LoadError] = []
    kept = hub.refusals()
    for limit, count in hub.refused_by_limit().items():
        new = count - before.get(limit, 0)
        of_limit = [one for one in kept if getattr(one.error, "limit", "") == limit]
        first = next((one for one in of_limit if one.source in paths), None)
        if new and first is not None:
            number = "a message was" if new == 1 else f"{new:,} messages were"
            text = f"{first.source}: {number} refused: {first.error}"
            path = str(first.source)
            errors.append(LoadError(text, path=path, store_id=first.store_id))
    return errors


def _of_kind(
    kind: str, db: EntityDb, paths: set[str], new: Sequence[Rejection], total: int
) -> Iterator[LoadError]:
    """One error for each file that rejections of one kind came from."""
    by_source: dict[object, list[Rejection]] = {}
    for rejected in new:
        by_source.setdefault(rejected.source, []).append(rejected)
    for source, rejections in by_source.items():
        if source not in paths:
            continue
        # Of very many a store keeps the first and the last ones. If they are all of one
        # file, so are those between them; else it is "at least".
        count, least = total, ""
        if len(by_source) > 1:
            least = "at least " if count > len(new) else ""
            count = len(rejections)
        number = f"{least}{count:,}"
        yield _rejected(kind, str(source), db.store_id, rejections[0], number)


def _rejected(kind: str, path: str, store_id: StoreId, first: Rejection, count: str) -> LoadError:
    error = first.error
    number = f"a {kind} was" if count == "1" else f"{count} {kind}s were"
    where = "" if error.byte_offset is None else f" at byte {error.byte_offset}"
    first_of = "" if count == "1" else ", the first"
    return LoadError(
        f"{path}: {store_id}: {number} rejected{first_of}{where}: {error}",
        path=path,
        store_id=store_id,
        chunk_id=first.chunk_id,
        byte_offset=error.byte_offset,
    )
