"""Chunks whose columns had to be converted, because the message has them in another form."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forebay.chunk.chunk import Chunk

if TYPE_CHECKING:
    from typing import Self


class UnreadColumn(NamedTuple):
    """A component column of a message that could not be included in the chunk.

    Attributes:
        component: Its identifier, cut to a bounded length.
        reason: The reason, as a sentence.
    """

    component: str
    reason: str


class ConvertedChunk(Chunk):
    """A chunk that uses memory of its own; the size of its message does not tell how much.

    Attributes:
        unread: The columns of the message that could not be read.
    """

    __slots__ = ("unread",)

    unread: tuple[UnreadColumn, ...]

    @classmethod
    def of(cls, chunk: Chunk, unread: tuple[UnreadColumn, ...]) -> Self:
        """Return a chunk as a `ConvertedChunk`.

        Args:
            chunk: The columns that could be read.
            unread: The columns that could not be read.
        """
        converted = cls(chunk.id, chunk.layout, chunk.batch)
        converted.unread = unread
        return converted
