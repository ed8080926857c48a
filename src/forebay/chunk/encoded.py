"""Chunks that stay the message they came in until somebody asks for their columns.

Most chunks of a recording differ from an earlier one of their entity in numbers alone. Such a
chunk is known to be sound without Arrow's opening and validating it, so it is opened when it is
first looked into: most of a large recording never is, or not before it is merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from forebay.chunk.chunk import Chunk
from forebay.chunk.row_ids import are_sorted, row_id_array, sorting

if TYPE_CHECKING:
    from forebay.chunk.layout import ChunkLayout
    from forebay.model import ChunkId


@dataclass(frozen=True, slots=True, eq=False)
class BatchForm:
    """What messages share that differ in numbers alone.

    Attributes:
        layout: The layout of the chunks.
        schema: Of their batches.
        begin: Where the record batch begins in the message.
        rows: How many each chunk has.
        byte_size: Bytes that the columns of each refer to.
    """

    layout: ChunkLayout
    schema: pa.Schema
    begin: int
    rows: int
    byte_size: int


class EncodedChunk(Chunk):
    """A chunk whose record batch is opened when it is asked for.

    Attributes:
        form: How to open it, and what is known of it before.
        message: The Arrow message, which is known to be sound, but for the order of its rows.
    """

    __slots__ = ("form", "message")

    def __init__(self, id: ChunkId, form: BatchForm, message: pa.Buffer) -> None:  # noqa: A002
        self.id = id
        self.layout = form.layout
        self.form = form
        self.message = message

    def __getattr__(self, name: str) -> object:
        # Called for slots that are still empty. Two threads may both fill one, with the same.
        value: object
        if name == "batch":
            self.batch = value = self._opened()
        elif name == "_times":
            self._times = value = {}
        elif name == "owns_buffers":
            self.owns_buffers = value = True
        elif name == "_row_ids":
            self._row_ids = value = None
        else:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        return value

    def _opened(self) -> pa.RecordBatch:
        form = self.form
        batch = pa.ipc.read_record_batch(self.message.slice(form.begin), form.schema)
        if form.rows > 1:
            row_ids = row_id_array(batch.column(form.layout.row_ids))
            if not are_sorted(row_ids):
                batch = batch.take(pa.array(sorting(row_ids)))
        return batch

    @property
    def num_rows(self) -> int:
        """Rows; known without opening it."""
        return self.form.rows

    @property
    def byte_size(self) -> int:
        """Bytes that the columns refer to, or will."""
        return self.form.byte_size

    @property
    def byte_size_max(self) -> int:
        """The same."""
        return self.form.byte_size

    def null_count(self, component: str) -> int:
        """None: a chunk with nulls is opened at once. KeyError if there is no such component."""
        self.layout.components[component]
        return 0
