"""Chunks that cannot be opened, whatever let them in.

What is accepted is checked before, so there should be none. Should one be there all the same, it
must not take its neighbours with it: the store puts it aside, says so, and goes on without it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from forebay.chunk.chunk import Chunk
from forebay.chunk.layout import ARROW_TIME_TYPES
from forebay.limits import DAMAGE_TEXT_CHARS_MAX

if TYPE_CHECKING:
    from forebay.model import EntityPath

DAMAGE: Final = (
    pa.ArrowException,
    struct.error,
    ArithmeticError,
    BufferError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
)
"""What NumPy and pyarrow raise over columns that contradict themselves.

Arrow's own `ArrowMemoryError` is among them, and says nothing of a chunk: see `is_of_chunk`.
"""


def is_of_chunk(error: Exception) -> bool:
    """Whether one of `DAMAGE` tells of the chunk, and not of a machine that is out of memory."""
    return not isinstance(error, MemoryError)


def open_fully(chunk: Chunk, *, values: bool = True) -> None:
    """Look into all columns of a chunk; raises one of `DAMAGE` if that cannot be done.

    Args:
        chunk: Any chunk.
        values: Look at every offset and text too, and not only at the lengths of buffers.
    """
    rows = chunk.num_rows
    chunk.batch.validate(full=values)
    columns = [chunk.row_ids, *(chunk.times(name) for name in chunk.timelines)]
    if chunk.batch.num_rows != rows or any(len(column) != rows for column in columns):
        msg = f"it has {rows} rows and columns of other lengths"
        raise ValueError(msg)
    if values and not chunk.is_checked:
        chunk.is_checked = True


def is_sound(chunk: Chunk) -> bool:
    """Whether all of a chunk can be opened."""
    try:
        open_fully(chunk)
    except DAMAGE as error:
        if not is_of_chunk(error):
            raise
        return False
    return True


class DamagedChunk(Chunk):
    """What stands in the place of a chunk that cannot be opened: the same id, and no rows.

    Attributes:
        original: The chunk as it was, which still takes memory.
        cause: Why it cannot be opened, in a bounded number of characters.
    """

    __slots__ = ("cause", "original")

    def __init__(self, original: Chunk, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        self.original = original
        self.cause = text[:DAMAGE_TEXT_CHARS_MAX]
        super().__init__(original.id, original.layout, _no_rows(original))

    @property
    def lost_rows(self) -> int:
        """Rows of the chunk as it was."""
        return self.original.num_rows

    def __repr__(self) -> str:
        path: EntityPath = self.entity_path
        return f"DamagedChunk({self.id}, {path}, {self.lost_rows} rows lost, {self.cause!r})"


def _no_rows(chunk: Chunk) -> pa.RecordBatch:
    """A batch of the chunk's layout without rows, made without opening the chunk."""
    layout = chunk.layout
    fields = {layout.row_ids: pa.field("row_id", pa.binary(16))}
    for name, index in layout.indexes.items():
        fields[index.position] = pa.field(name, ARROW_TIME_TYPES[index.timeline.type])
    for name, data in layout.components.items():
        fields[data.position] = pa.field(name, data.type)
    unknown = pa.field("", pa.null())
    in_order = [fields.get(position, unknown) for position in range(max(fields) + 1)]
    return pa.RecordBatch.from_arrays(
        [pa.nulls(0, field.type) for field in in_order], schema=pa.schema(in_order)
    )
