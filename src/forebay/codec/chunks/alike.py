"""Batch decoding of small messages that match a pattern (see `spans`).

A program that logs row by row sends messages of about two kilobytes in which all but some forty
bytes are the same: the chunk's id and the packed row (`RowForm`) differ. When one such message was
decoded in full and is valid, every message with the same fixed bytes is valid too, because any
bytes are valid in the free spans. So it needs no parser, only a comparison, which is done for all
messages of a turn together.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.chunk import PackedChunk, RowForm
from forebay.chunk.layout import CHUNK_ID
from forebay.codec.chunks.soundness import are_apart, are_numbers_alone
from forebay.limits import (
    ALIKE_BYTES_MAX,
    ALIKE_MESSAGE_BYTES_MAX,
    ALIKE_MSGS_MIN,
    ALIKE_SHAPES_MAX,
    FORM_COLUMN_COST_BYTES,
)
from forebay.model import ArrowMsg, ChunkId, Compression, Encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.chunk import Chunk
    from forebay.codec.chunks.lz4 import Lz4Decompressor
    from forebay.codec.chunks.spans import Span, ValueSpan

_ID_DIGITS: Final = 32
_NAMES: Final = (b"", b"chunk_")
"""Text that may precede the 32 digits of a chunk id."""
_NO_DIGIT: Final = 255
_DIGIT_OF: Final = np.full(256, _NO_DIGIT, np.uint8)
for _digits in (b"0123456789abcdef", b"0123456789ABCDEF"):
    _DIGIT_OF[np.frombuffer(_digits, np.uint8)] = np.arange(16, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A valid message of one row.

    Attributes:
        fixed: The message, with zeros in the free spans.
        free: The free spans: digits of the chunk id, the packed row, other metadata values.
        form: The meaning of the packed rows of matching messages.
    """

    fixed: bytes
    free: tuple[Span, ...]
    form: RowForm

    def packed(self, message: memoryview) -> bytes | None:
        """Return the packed row of a message; `None` if the message does not match.

        Args:
            message: A whole decompressed message.
        """
        fixed = bytearray(message)
        for begin, end in self.free:
            fixed[begin:end] = bytes(end - begin)
        if fixed != self.fixed:
            return None
        return b"".join([message[begin:end] for begin, end in self.form.spans])


@dataclass(slots=True)
class _Shape:
    """The free spans that some patterns of one message size have in common.

    Attributes:
        digits: The 32 digits of the chunk id.
        packed: The packed row.
        other: Other values, which are not kept.
        known: Patterns by a hash of `Pattern.fixed`. The hash is keyed, so a sender cannot predict
            it.
    """

    digits: Span
    packed: tuple[Span, ...]
    other: tuple[Span, ...]
    known: dict[int, Pattern] = field(default_factory=dict)


class AlikeDecoder:
    """Learns patterns of messages, and decodes the messages that match one of them.

    Not thread-safe.
    """

    def __init__(self, lz4: Lz4Decompressor) -> None:
        self._lz4 = lz4
        self._shapes: dict[int, list[_Shape]] = {}
        self._num_bytes = 0
        self._factors: dict[int, npt.NDArray[np.uint64]] = {}

    def decode(self, msgs: Sequence[ArrowMsg]) -> list[Chunk | None]:
        """Return the chunks of matching messages; `None` for each message that does not match.

        Args:
            msgs: The messages of one turn.
        """
        chunks: list[Chunk | None] = [None] * len(msgs)
        groups: dict[int, list[int]] = {size: [] for size in self._shapes}
        if groups:
            for number, msg in enumerate(msgs):
                size = msg.uncompressed_size
                # Not `get`: a decoder moves between threads (docs/free-threading.md).
                if (
                    size in groups
                    and msg.compression == Compression.LZ4
                    and msg.encoding == Encoding.ARROW_IPC
                ):
                    groups[size].append(number)
            for size, group in groups.items():
                if len(group) >= ALIKE_MSGS_MIN:
                    self._decode_group(size, msgs, group, chunks)
        return chunks

    def _decode_group(
        self, size: int, msgs: Sequence[ArrowMsg], group: list[int], chunks: list[Chunk | None]
    ) -> None:
        try:
            data = self._lz4.decompress_alike([msgs[number].payload for number in group], size)
        except ValueError:
            return  # One of them is damaged; decoding one by one finds it.
        shapes = self._shapes[size]
        for shape in shapes:
            there = data if shape is shapes[-1] else data.copy()
            matched = self._match(shape, there, [msgs[number].chunk_id for number in group])
            for number, chunk in zip(group, matched, strict=True):
                if chunk is not None:
                    chunks[number] = chunk

    def _match(
        self, shape: _Shape, data: bytearray, chunk_ids: Sequence[ChunkId | None]
    ) -> list[Chunk | None]:
        """Return the chunks of the messages that match a pattern.

        Args:
            shape: The free spans.
            data: The messages, all of one size; overwritten.
            chunk_ids: The chunk ids that were sent outside the payloads.
        """
        rows = np.frombuffer(data, np.uint8).reshape(len(chunk_ids), -1)
        size = rows.shape[1]
        chunks: list[Chunk | None] = [None] * len(rows)
        begin, end = shape.digits
        digits = _DIGIT_OF[rows[:, begin:end]]
        has_id = (digits != _NO_DIGIT).all(axis=1).tolist()
        ids = (digits[:, 0::2] << 4 | digits[:, 1::2]).tobytes()
        packed = np.concatenate([rows[:, begin:end] for begin, end in shape.packed], axis=1)
        for begin, end in (shape.digits, *shape.packed, *shape.other):
            rows[:, begin:end] = 0
        hashes = (rows.view(np.uint64) @ self._factors[size]).tolist()
        packed_bytes, width = packed.tobytes(), packed.shape[1]
        known = shape.known
        for row, chunk_id in enumerate(chunk_ids):
            hashed = hashes[row]
            if hashed not in known or not has_id[row]:  # Not `get`: see `decode`.
                continue
            alike = known[hashed]
            # The hash only finds a candidate; the comparison makes it safe.
            if not data.startswith(alike.fixed, row * size):
                continue
            id_ = ids[16 * row : 16 * row + 16]
            chunks[row] = PackedChunk(
                chunk_id if chunk_id is not None and chunk_id == id_ else ChunkId(id_),
                alike.form,
                packed_bytes[width * row : width * row + width],
            )
        return chunks

    def learn(
        self, chunk: Chunk, spans: tuple[ValueSpan, ...], message: memoryview, body_begin: int
    ) -> Pattern | None:
        """Learn a valid message as a pattern; return `None` if it cannot be one.

        Args:
            chunk: The decoded chunk.
            spans: The variable metadata values in its schema message.
            message: The whole message, in the memory to which the chunk's columns refer.
            body_begin: The position of the record batch's body in the message.
        """
        size = len(message)
        if chunk.num_rows != 1 or chunk.is_static or size % 8 or size > ALIKE_MESSAGE_BYTES_MAX:
            return None
        digits = None
        other = []
        for key, begin, end in spans:
            if key != CHUNK_ID:
                other.append((begin, end))
            elif end - begin >= _ID_DIGITS and message[begin:end].tobytes()[:-_ID_DIGITS] in _NAMES:
                digits = end - _ID_DIGITS, end
        address = pa.py_buffer(message).address
        form = RowForm.of(chunk, address)
        if digits is None or form is None:
            return None
        texts = (digits, *other)
        if not (
            are_numbers_alone(chunk, form.spans, address, body_begin, size)
            and are_apart(texts)
            and all(0 <= begin < end <= body_begin for begin, end in texts)
        ):
            return None
        fixed = bytearray(message)
        free = (digits, *form.spans, *other)
        for begin, end in free:
            fixed[begin:end] = bytes(end - begin)
        cost = size + FORM_COLUMN_COST_BYTES * len(form.columns)
        if self._num_bytes + cost > ALIKE_BYTES_MAX:
            self._shapes.clear()
            self._num_bytes = 0
        self._num_bytes += cost
        shape = self._shape(size, _Shape(digits, form.spans, tuple(other)))
        hashed = int(np.frombuffer(fixed, np.uint64) @ self._factors[size])
        pattern = shape.known.get(hashed)
        # Otherwise keep the known form, so that rows of one form are merged together.
        if pattern is None:
            pattern = shape.known[hashed] = Pattern(bytes(fixed), free, form)
        return pattern

    def _shape(self, size: int, shape: _Shape) -> _Shape:
        if size not in self._factors:
            # Not NumPy's generator: its import takes longer than loading a small file.
            self._factors[size] = np.frombuffer(secrets.token_bytes(size), np.uint64)
        shapes = self._shapes.setdefault(size, [])
        for one in shapes:
            if (one.digits, one.packed, one.other) == (shape.digits, shape.packed, shape.other):
                return one
        if len(shapes) >= ALIKE_SHAPES_MAX:
            del shapes[0]
        shapes.append(shape)
        return shape
