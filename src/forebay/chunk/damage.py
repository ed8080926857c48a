"""Chunks that cannot be opened although they were accepted.

Chunks are validated before they are accepted, so there should be none. If there is one, it must not
make other chunks unavailable: the store puts it aside, reports it, and continues without it.
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
"""The exceptions that NumPy and pyarrow raise over columns that contradict themselves.

They include Arrow's `ArrowMemoryError`, which does not concern the chunk: see `is_of_chunk`.
"""


def is_of_chunk(error: Exception) -> bool:
    """Return whether an exception of `DAMAGE` concerns the chunk, not a lack of memory.

    Args:
        error: An exception of one of the types in `DAMAGE`.
    """
    return not isinstance(error, MemoryError)


def open_fully(chunk: Chunk, *, values: bool = True) -> None:
    """Read all columns of a chunk, to find out whether it is damaged.

    Args:
        chunk: Any chunk.
        values: Whether to validate every offset and text too, not only the lengths of buffers.

    Raises:
        ValueError, pa.ArrowException, TypeError, …: A column cannot be read; one of `DAMAGE`.
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
    """Return whether all columns of a chunk can be opened.

    Args:
        chunk: Any chunk; it is opened completely.
    """
    try:
        open_fully(chunk)
    except DAMAGE as error:
        if not is_of_chunk(error):
            raise
        return False
    return True


class DamagedChunk(Chunk):
    """A chunk without rows that replaces a chunk which cannot be opened; it has the same id.

    Attributes:
        original: The damaged chunk, which still uses memory.
        cause: The reason why it cannot be opened, in a bounded number of characters.
    """

    __slots__ = ("cause", "original")

    def __init__(self, original: Chunk, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        self.original = original
        self.cause = text[:DAMAGE_TEXT_CHARS_MAX]
        super().__init__(original.id, original.layout, _no_rows(original))

    @property
    def lost_rows(self) -> int:
        """The number of rows of the damaged chunk, which queries no longer return."""
        return self.original.num_rows

    def __repr__(self) -> str:
        path: EntityPath = self.entity_path
        return f"DamagedChunk({self.id}, {path}, {self.lost_rows} rows lost, {self.cause!r})"


def _no_rows(chunk: Chunk) -> pa.RecordBatch:
    """Return a batch of the chunk's layout without rows; does not open the chunk."""
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
