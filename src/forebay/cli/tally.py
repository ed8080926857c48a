"""Counts messages by store, without decoding them into chunks."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from forebay.cli.report import EntitySummary, StoreSummary
from forebay.codec import StreamDecoder
from forebay.codec.chunks.peek import ChunkPeeker
from forebay.errors import InvalidChunkError
from forebay.hub.sources import open_file, read_blocks
from forebay.model import ArrowMsg, EntityPath, LogMsg, StoreId

if TYPE_CHECKING:
    from forebay.errors import ForebayError


class Tally:
    """Chunks, rows and bytes of any number of stores, as encoded in their messages.

    Attributes:
        rejections: The first error in each store's chunks.
    """

    def __init__(self) -> None:
        self._stores: dict[StoreId, _StoreTally] = {}
        self._peeker = ChunkPeeker()
        self.rejections: dict[StoreId, ForebayError] = {}

    @property
    def num_rejected(self) -> int:
        """Number of messages that are not a chunk."""
        return sum(store.rejected for store in self._stores.values())

    def add(self, msg: LogMsg) -> None:
        """Count one message; one that is not a valid chunk is counted as rejected.

        Only the header of a chunk is decoded (its schema and number of rows).
        """
        store = self._stores.get(msg.store_id)
        if store is None:
            store = self._stores[msg.store_id] = _StoreTally(msg.store_id)
        if isinstance(msg, ArrowMsg):
            try:
                store.add(msg, self._peeker)
            except InvalidChunkError as error:
                store.rejected += 1
                self.rejections.setdefault(msg.store_id, error)

    def summaries(self) -> list[StoreSummary]:
        """Return the summary of every store, in order of their first messages."""
        return [store.summary() for store in self._stores.values()]


class _StoreTally:
    def __init__(self, store_id: StoreId) -> None:
        self._store_id = store_id
        self._entities: dict[EntityPath, list[int]] = {}
        self._timelines: dict[str, str] = {}
        self._bytes = 0
        self.rejected = 0

    def add(self, msg: ArrowMsg, peeker: ChunkPeeker) -> None:
        layout, num_rows, _ = peeker.peek(msg)
        self._bytes += msg.size_bytes
        counts = self._entities.setdefault(layout.entity_path, [0, 0])
        counts[0] += 1
        counts[1] += num_rows
        for name, index in layout.indexes.items():
            self._timelines.setdefault(name, str(index.timeline.type))

    def summary(self) -> StoreSummary:
        paths = sorted(self._entities, key=lambda path: path.sort_key)
        entities = [EntitySummary(str(path), *self._entities[path]) for path in paths]
        return StoreSummary(
            self._store_id,
            sum(entity.chunks for entity in entities),
            sum(entity.rows for entity in entities),
            self._bytes,
            dict(sorted(self._timelines.items())),
            entities,
            self.rejected,
        )


def read_lazily(path: str) -> Iterator[LogMsg]:
    """Yield the messages of a file, whose pages are read only where a message is accessed.

    Raises:
        LoadError: The file cannot be opened.
        CodecError: The file is damaged. Every whole message before the damage was yielded.
    """
    with open_file(path) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            for messages in read_blocks(file, StreamDecoder()):
                yield from messages
            return
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    decoder = StreamDecoder()
    yield from decoder.feed(data)
    decoder.finish()
