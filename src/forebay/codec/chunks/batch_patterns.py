"""Recognition of messages with several rows whose record batch matches a pattern (see `spans`).

A program that logs at a steady rate sends chunks with the same number of rows each time. Their
record batches then have the same structure, and if lists have the same lengths, only row ids, times
and numbers differ: the free spans, in which any bytes are valid. So a record batch with the same
fixed bytes as a valid one is valid too, and is neither parsed nor validated.

The message is kept and opened later. So it is important that the free spans contain numbers and
nothing else (`soundness.are_numbers_alone`).
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
    from forebay.codec.chunks.spans import Span

_FORM_BYTES: Final = 256
"""The memory that a form is counted as, in bytes."""


@dataclass(slots=True)
class _Pattern:
    """A valid record batch message with its body; positions are relative to its begin.

    Attributes:
        fixed_spans: The ranges between the free spans.
        fixed: The fixed bytes, concatenated.
        rows: The number of rows.
        byte_size: The number of bytes that the columns use.
        forms: Forms of matching chunks, by their layout and the position of the record batch.
    """

    fixed_spans: tuple[Span, ...]
    fixed: bytes
    rows: int
    byte_size: int
    forms: dict[tuple[ChunkLayout, int], BatchForm] = field(default_factory=dict)


class BatchPatterns:
    """A bounded set of patterns; it is cleared when it is full.

    Not thread-safe.
    """

    def __init__(self) -> None:
        # The meaning of a record batch depends on the types of its columns, not on the entity: one
        # pattern serves all entities that log the same.
        self._known: dict[tuple[Columns, int], _Pattern] = {}
        self._num_bytes = 0
        self._seen: set[tuple[Columns, bytes]] = set()

    def match(self, schema: ChunkSchema, message: memoryview, begin: int) -> BatchForm | None:
        """Return the form of a message that matches a pattern; `None` if none matches.

        Args:
            schema: The schema of the message.
            message: The whole message.
            begin: The position of the record batch message.
        """
        key = schema.columns, len(message) - begin
        if key not in self._known or begin % ALIGNMENT:
            return None
        pattern = self._known[key]  # Not `get` (docs/free-threading.md).
        batch = message[begin:]
        if b"".join([batch[begin:end] for begin, end in pattern.fixed_spans]) != pattern.fixed:
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
        """Return whether the same record batch message was passed before, for any entity.

        Args:
            schema: The schema of the message.
            batch_message: The record batch message without its body.
        """
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
        """Learn a valid message as a pattern; return whether it can be one.

        Args:
            schema: The schema of the message.
            chunk: The decoded chunk; its columns refer to `message`.
            message: The whole message.
            batch_begin: The position of the record batch message.
            body_begin: The position of its body.
        """
        if chunk.num_rows < 2 or chunk.is_static or batch_begin % ALIGNMENT:
            # One row is merged soon, and a static chunk is opened at once: nothing to gain.
            return False
        size = len(message)
        address = pa.py_buffer(message).address
        found = number_spans(chunk)
        if found is None:
            return False
        free = sorted([(begin - address, end - address) for begin, end in found])
        if not are_numbers_alone(chunk, free, address, body_begin, size):
            return False
        fixed_spans = []
        at = batch_begin
        for begin, end in free:
            if begin > at:
                fixed_spans.append((at - batch_begin, begin - batch_begin))
            at = end
        fixed_spans.append((at - batch_begin, size - batch_begin))
        batch = message[batch_begin:]
        fixed = b"".join([batch[begin:end] for begin, end in fixed_spans])
        if len(fixed) > BATCH_PATTERN_BYTES_MAX:
            return False
        self._make_room(len(fixed))
        self._known[schema.columns, len(batch)] = _Pattern(
            tuple(fixed_spans), fixed, chunk.num_rows, chunk.byte_size
        )
        return True

    def _make_room(self, size: int) -> None:
        if self._num_bytes + size > BATCH_PATTERNS_BYTES_MAX:
            self._known.clear()
            self._num_bytes = 0
        self._num_bytes += size
