"""Messages of many rows that equal an earlier one in all but their numbers.

Whoever logs at a steady pace sends chunks with the same number of rows each time: then their
record batches lie in the same places, and where lists have the same lengths, nothing differs but
row ids, times and numbers. Of those any bytes are valid. So a message that equals a sound one
everywhere else is as sound, and needs neither be parsed nor validated.

Such a message is kept and opened later, so it matters that the bytes that may differ are numbers
and nothing else at the same time (`soundness.are_numbers_alone`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from forebay.chunk import BatchForm, number_spans
from forebay.codec.chunks.schemas import DENSE_BATCH_BYTES_MAX
from forebay.codec.chunks.soundness import ALIGNMENT, are_numbers_alone
from forebay.limits import (
    BATCH_MESSAGES_SEEN_MAX,
    BATCH_PATTERN_BYTES_MAX,
    BATCH_PATTERNS_BYTES_MAX,
    FORM_COLUMN_COST_BYTES,
)

if TYPE_CHECKING:
    from forebay.chunk import Chunk, ChunkLayout
    from forebay.codec.chunks.schemas import ChunkSchema, Columns

_FORM_BYTES: Final = 256
"""What a form counts for."""


@dataclass(slots=True)
class _Pattern:
    """A message that was found sound; what stands where is counted from its record batch on.

    Attributes:
        fixed: The spans in which its kin are the same.
        rest: What stands there.
        rows: How many it has.
        byte_size: Bytes that its columns refer to.
        forms: Of chunks like it, by their layout and where their record batch begins.
    """

    fixed: tuple[tuple[int, int], ...]
    rest: bytes
    rows: int
    byte_size: int
    forms: dict[tuple[ChunkLayout, int], BatchForm] = field(default_factory=dict)


class BatchPatterns:
    """Remembers sound messages up to a bound, then starts afresh.

    Not for several threads at once.
    """

    def __init__(self) -> None:
        # What a record batch means depends on the types of its columns, not on whose they are: one
        # pattern is for all entities that log alike.
        self._known: dict[tuple[Columns, int], _Pattern] = {}
        self._num_bytes = 0
        self._seen: set[tuple[Columns, bytes]] = set()

    def match(self, schema: ChunkSchema, message: memoryview, begin: int) -> BatchForm | None:
        """The form of a message if it is like one that is known.

        Args:
            schema: Its schema.
            message: The whole of it.
            begin: Where the message of the record batch begins.
        """
        key = schema.columns, len(message) - begin
        if key not in self._known or begin % ALIGNMENT:
            return None
        pattern = self._known[key]  # Not `get`: see docs/free-threading.md.
        batch = message[begin:]
        if b"".join([batch[begin:end] for begin, end in pattern.fixed]) != pattern.rest:
            return None
        place = schema.layout, begin
        if place in pattern.forms:
            return pattern.forms[place]
        self._make_room(_FORM_BYTES + FORM_COLUMN_COST_BYTES * len(schema.columns))
        form = pattern.forms[place] = BatchForm(
            schema.layout, schema.arrow, begin, pattern.rows, pattern.byte_size
        )
        return form

    def is_second(self, schema: ChunkSchema, batch_message: bytes) -> bool:
        """Whether a record batch message was asked about before, of whatever entity."""
        if len(batch_message) > DENSE_BATCH_BYTES_MAX:
            return False
        key = schema.columns, batch_message
        if key in self._seen:
            return True
        if len(self._seen) >= BATCH_MESSAGES_SEEN_MAX:
            self._seen.clear()
        self._seen.add(key)
        return False

    def learn(
        self,
        schema: ChunkSchema,
        chunk: Chunk,
        message: memoryview,
        batch_begin: int,
        body_begin: int,
    ) -> bool:
        """Take a sound message as the pattern of others; whether it can be one.

        Args:
            schema: Its schema.
            chunk: What it holds, opened in place.
            message: The whole of it.
            batch_begin: Where the message of the record batch begins.
            body_begin: Where its body begins.
        """
        if chunk.num_rows < 2 or chunk.is_static or batch_begin % ALIGNMENT:
            return False  # One row is merged at once, a static chunk opened: nothing to save.
        size = len(message)
        address = pa.py_buffer(message).address
        found = number_spans(chunk)
        if found is None:
            return False
        free = sorted([(begin - address, end - address) for begin, end in found])
        if not are_numbers_alone(chunk, free, address, body_begin, size):
            return False
        fixed = []
        at = batch_begin
        for begin, end in free:
            if begin > at:
                fixed.append((at - batch_begin, begin - batch_begin))
            at = end
        fixed.append((at - batch_begin, size - batch_begin))
        batch = message[batch_begin:]
        rest = b"".join([batch[begin:end] for begin, end in fixed])
        if len(rest) > BATCH_PATTERN_BYTES_MAX:
            return False
        self._make_room(len(rest))
        self._known[schema.columns, len(batch)] = _Pattern(
            tuple(fixed), rest, chunk.num_rows, chunk.byte_size
        )
        return True

    def _make_room(self, size: int) -> None:
        if self._num_bytes + size > BATCH_PATTERNS_BYTES_MAX:
            self._known.clear()
            self._num_bytes = 0
        self._num_bytes += size
