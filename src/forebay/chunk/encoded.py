"""Chunks that stay the message they came in until somebody asks for their columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from forebay.chunk.row_ids import are_sorted, row_id_array, sorting
from forebay.chunk.unopened import UnopenedChunk

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


class EncodedChunk(UnopenedChunk):
    """A chunk whose record batch is opened when it is asked for.

    Attributes:
        form: How to open it, and what is known of it before.
        message: The Arrow message, which is known to be sound, but for the order of its rows.
    """

    __slots__ = ("message",)

    form: BatchForm

    def __init__(self, id: ChunkId, form: BatchForm, message: pa.Buffer) -> None:  # noqa: A002
        self.id = id
        self.layout = form.layout
        self.form = form
        self.message = message

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

    def null_count(self, component: str) -> int:
        """None: a chunk with nulls is opened at once. KeyError if there is no such component."""
        self.layout.components[component]
        return 0
