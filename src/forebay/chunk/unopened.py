"""`UnopenedChunk`: a chunk that becomes Arrow columns when somebody asks for them.

Most chunks of a recording differ from an earlier one of their entity in numbers alone. Such a
chunk is known to be sound without Arrow's opening and validating it, so it is opened when it is
first looked into: most of a large recording never is, or not before it is merged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from forebay.chunk.chunk import Chunk

if TYPE_CHECKING:
    import pyarrow as pa

    from forebay.chunk.layout import ChunkLayout


class ChunkForm(Protocol):
    """What chunks share that differ in numbers alone."""

    @property
    def layout(self) -> ChunkLayout:
        """Their layout."""
        ...

    @property
    def byte_size(self) -> int:
        """Bytes that the columns of each refer to."""
        ...


class UnopenedChunk(Chunk):
    """A chunk that begins as an id, a layout and a form; all else is worked out when asked for.

    Attributes:
        form: How to open it, and what is known of it before.
    """

    __slots__ = ("form",)

    form: ChunkForm

    def _opened(self) -> pa.RecordBatch:
        """The columns, now that somebody asks."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> object:
        # Called for slots that are still empty. Two threads may both fill one, with the same.
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
    def is_checked(self) -> bool:  # type: ignore[override]
        """Yes: it equals a chunk that was, in all but numbers."""
        return True

    @property
    def byte_size(self) -> int:
        """Bytes that the columns refer to, or will."""
        return self.form.byte_size

    @property
    def byte_size_max(self) -> int:
        """The same."""
        return self.form.byte_size
