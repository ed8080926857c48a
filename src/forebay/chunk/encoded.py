"""Chunks that remain an encoded message until their columns are requested."""

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
    """What messages have in common that differ only in numbers.

    Attributes:
        layout: The layout of the chunks.
        schema: The Arrow schema of their record batches.
        begin: The position of the record batch message in the whole message, in bytes.
        rows: The number of rows of each chunk.
        byte_size: The number of bytes that the columns of each chunk use.
    """

    layout: ChunkLayout
    schema: pa.Schema
    begin: int
    rows: int
    byte_size: int


class EncodedChunk(UnopenedChunk):
    """A chunk whose record batch is opened on first access.

    Attributes:
        form: How to open it, and what is known before it is opened.
        message: The Arrow message. It is known to be valid, except for the order of its rows.
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
        """The number of rows; does not open the chunk."""
        return self.form.rows

    def null_count(self, component: str) -> int:
        """Return 0: a chunk with nulls is never kept encoded.

        Args:
            component: The identifier of the component.

        Raises:
            KeyError: The chunk has no such component.
        """
        self.layout.components[component]
        return 0
