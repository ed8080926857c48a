"""Chunks whose columns had to be made, for they do not lie in the message as a store keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forebay.chunk.chunk import Chunk

if TYPE_CHECKING:
    from typing import Self


class UnreadColumn(NamedTuple):
    """A component column of a message that did not become part of the chunk.

    Attributes:
        component: Its identifier, cut to a bounded length.
        reason: Why, in a sentence.
    """

    component: str
    reason: str


class ConvertedChunk(Chunk):
    """A chunk that takes memory of its own, which its message did not tell the size of.

    Attributes:
        unread: The columns of the message that could not be read.
    """

    __slots__ = ("unread",)

    unread: tuple[UnreadColumn, ...]

    @classmethod
    def of(cls, chunk: Chunk, unread: tuple[UnreadColumn, ...]) -> Self:
        """The chunk, with what is missing from it."""
        converted = cls(chunk.id, chunk.layout, chunk.batch)
        converted.unread = unread
        return converted
