"""`UnopenedChunk`: a chunk whose Arrow columns are created on first access.

Most chunks of a recording differ from an earlier chunk of their entity only in numbers. Such a
chunk is known to be valid without being opened and validated by Arrow. It is opened on first
access; most chunks of a large recording are never opened, or only when they are merged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from forebay.chunk.chunk import Chunk

if TYPE_CHECKING:
    import pyarrow as pa

    from forebay.chunk.layout import ChunkLayout


class ChunkForm(Protocol):
    """The properties shared by chunks that differ only in numbers."""

    @property
    def layout(self) -> ChunkLayout:
        """The layout of the chunks."""
        ...

    @property
    def byte_size(self) -> int:
        """The number of bytes that the columns of each chunk use."""
        ...


class UnopenedChunk(Chunk):
    """A chunk that starts as an id, a layout and a form; everything else is computed on demand.

    Attributes:
        form: How to open it, and what is known before it is opened.
    """

    __slots__ = ("form",)

    form: ChunkForm
    is_checked = True  # the chunk equals a validated chunk except for numbers

    def _opened(self) -> pa.RecordBatch:
        """Return the record batch; called on first access."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> object:
        # Called for empty slots. Two threads may fill the same slot, with equal values.
        value: object
        if name == "batch":
            self.batch = value = self._opened()
        elif name == "_times":
            self._times = value = {}
        elif name == "_row_ids":
            self._row_ids = value = None
        elif name == "owns_buffers":
            self.owns_buffers = value = True
        else:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        return value

    @property
    def byte_size(self) -> int:
        """The number of bytes that the columns use once they are opened."""
        return self.form.byte_size

    @property
    def byte_size_max(self) -> int:
        """The same as `byte_size`."""
        return self.form.byte_size
