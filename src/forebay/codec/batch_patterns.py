"""Messages of many rows that equal an earlier one in all but their numbers.

Whoever logs at a steady pace sends chunks with the same number of rows each time: then their
record batches lie in the same places, and where lists have the same lengths, nothing differs but
row ids, times and numbers. Of those any bytes are valid. So a message that equals a sound one
everywhere else is as sound, and needs neither be parsed nor validated.

Other than the rows of `alike`, such a message is kept and opened later, so it matters that the
bytes that may differ are numbers and nothing else at the same time: only messages whose buffers
do not overlap are taken as a pattern.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from forebay.chunk import BatchForm, number_spans
from forebay.limits import BATCH_PATTERN_BYTES_MAX, BATCH_PATTERNS_BYTES_MAX

if TYPE_CHECKING:
    from forebay.chunk import Chunk, ChunkLayout


class _Pattern(NamedTuple):
    """A message that was found sound.

    Attributes:
        fixed: The spans in which its kin are the same, behind the schema.
        rest: What stands there.
        form: What such messages are.
    """

    fixed: tuple[tuple[int, int], ...]
    rest: bytes
    form: BatchForm


class BatchPatterns:
    """Remembers sound messages up to a bound, then starts afresh; not for several threads at once."""

    def __init__(self) -> None:
        self._known: dict[tuple[ChunkLayout, int], _Pattern] = {}
        self._num_bytes = 0

    def match(self, layout: ChunkLayout, message: memoryview) -> BatchForm | None:
        """The form of a message whose schema has that layout, if it is like one that is known."""
        pattern = self._known.get((layout, len(message)))
        if pattern is None:
            return None
        fixed, rest, form = pattern
        same = b"".join([message[begin:end] for begin, end in fixed]) == rest
        return form if same else None

    def learn(self, chunk: Chunk, message: memoryview, batch_begin: int, body_begin: int) -> bool:
        """Take a sound message as the pattern of others; whether it can be one.

        Args:
            chunk: What it holds, opened in place.
            message: The whole of it.
            batch_begin: Where the message of the record batch begins.
            body_begin: Where its body begins.
        """
        if chunk.num_rows < 2 or chunk.is_static:
            return False  # Merged at once, or opened at once: there is nothing to save.
        size = len(message)
        address = pa.py_buffer(message).address
        free = number_spans(chunk)
        if free is None or not _are_apart(chunk, address + body_begin, address + size):
            return False
        fixed = []
        at = batch_begin
        for begin, end in sorted((begin - address, end - address) for begin, end in free):
            if begin > at:
                fixed.append((at, begin))
            at = end
        fixed.append((at, size))
        rest = b"".join([message[begin:end] for begin, end in fixed])
        if len(rest) > BATCH_PATTERN_BYTES_MAX:
            return False
        if self._num_bytes + len(rest) > BATCH_PATTERNS_BYTES_MAX:
            self._known.clear()
            self._num_bytes = 0
        self._num_bytes += len(rest)
        form = BatchForm(
            chunk.layout, chunk.batch.schema, batch_begin, chunk.num_rows, chunk.byte_size
        )
        self._known[chunk.layout, size] = _Pattern(tuple(fixed), rest, form)
        return True


def _are_apart(chunk: Chunk, begin: int, end: int) -> bool:
    """Whether all buffers lie between two addresses, and none on another."""
    extents = sorted(
        (buffer.address, buffer.address + buffer.size)
        for column in chunk.batch.columns
        for buffer in column.buffers()
        if buffer is not None and buffer.size
    )
    if not extents or extents[0][0] < begin or extents[-1][1] > end:
        return False
    return all(one[1] <= other[0] for one, other in pairwise(extents))
