"""Small messages that are alike, decoded many at once.

Whoever logs row by row sends messages of which all but some forty bytes of two kilobytes are the
same every time: the id of the chunk and what `RowForm` calls a packed row. Once one such message
was decoded in full and found sound, another that equals it byte for byte everywhere else is as
sound: where it differs, any bytes are valid. So it needs no parser, only the comparison, which is
done for all messages of a turn together.
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
    from forebay.codec.chunks.schemas import Span

_ID_DIGITS: Final = 32
_NAMES: Final = (b"", b"chunk_")
"""What may stand before them."""
_NO_DIGIT: Final = 255
_DIGIT_OF: Final = np.full(256, _NO_DIGIT, np.uint8)
for _digits in (b"0123456789abcdef", b"0123456789ABCDEF"):
    _DIGIT_OF[np.frombuffer(_digits, np.uint8)] = np.arange(16, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A message that was found sound.

    Attributes:
        rest: The message, with zeros where others may differ.
        spans: These places.
        form: What the packed rows of such messages mean.
    """

    rest: bytes
    spans: tuple[tuple[int, int], ...]
    form: RowForm

    def packed(self, message: memoryview) -> bytes | None:
        """The packed row of a message that is like this one; `None` if it is not."""
        rest = bytearray(message)
        for begin, end in self.spans:
            rest[begin:end] = bytes(end - begin)
        if rest != self.rest:
            return None
        return b"".join([message[begin:end] for begin, end in self.form.spans])


@dataclass(slots=True)
class _Shape:
    """Where messages of one size may differ.

    Attributes:
        digits: Where the 32 digits of the chunk's id stand.
        packed: The spans of the packed row.
        other: The spans of whatever else may differ and is not kept.
        known: By a hash of `Pattern.rest`, which the sender cannot foresee.
    """

    digits: tuple[int, int]
    packed: tuple[tuple[int, int], ...]
    other: tuple[tuple[int, int], ...]
    known: dict[int, Pattern] = field(default_factory=dict)


class AlikeDecoder:
    """Learns what messages are like, and decodes those that are like one it knows.

    Not for several threads at once.
    """

    def __init__(self, lz4: Lz4Decompressor) -> None:
        self._lz4 = lz4
        self._shapes: dict[int, list[_Shape]] = {}
        self._num_bytes = 0
        self._factors: dict[int, npt.NDArray[np.uint64]] = {}

    def decode(self, msgs: Sequence[ArrowMsg]) -> list[Chunk | None]:
        """The chunks of messages; `None` for each that has to be decoded by itself."""
        chunks: list[Chunk | None] = [None] * len(msgs)
        groups: dict[int, list[int]] = {size: [] for size in self._shapes}
        if groups:
            for number, msg in enumerate(msgs):
                size = msg.uncompressed_size
                # Not `get`: a decoder goes from thread to thread (see docs/free-threading.md).
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
            return  # One of them is damaged: each for itself, to find out which.
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
        """Which of the messages in `data`, all of one size, have a pattern; `data` is spent."""
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
            # Whatever the hash says: only the comparison makes it safe.
            if not data.startswith(alike.rest, row * size):
                continue
            id_ = ids[16 * row : 16 * row + 16]
            chunks[row] = PackedChunk(
                chunk_id if chunk_id is not None and chunk_id == id_ else ChunkId(id_),
                alike.form,
                packed_bytes[width * row : width * row + width],
            )
        return chunks

    def learn(
        self, chunk: Chunk, spans: tuple[Span, ...], message: memoryview, body_begin: int
    ) -> Pattern | None:
        """Take a sound message as the pattern of others; `None` if it cannot be one.

        Args:
            chunk: What it holds.
            spans: Where in its schema the values stand in which its kin differ.
            message: The whole of it, where the chunk's columns lie.
            body_begin: Where the columns begin in it.
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
        rest = bytearray(message)
        places = (digits, *form.spans, *other)
        for begin, end in places:
            rest[begin:end] = bytes(end - begin)
        cost = size + FORM_COLUMN_COST_BYTES * len(form.columns)
        if self._num_bytes + cost > ALIKE_BYTES_MAX:
            self._shapes.clear()
            self._num_bytes = 0
        self._num_bytes += cost
        shape = self._shape(size, _Shape(digits, form.spans, tuple(other)))
        hashed = int(np.frombuffer(rest, np.uint64) @ self._factors[size])
        pattern = shape.known.get(hashed)
        if pattern is None:  # Else the same form again, so that rows of one form are merged.
            pattern = shape.known[hashed] = Pattern(bytes(rest), places, form)
        return pattern

    def _shape(self, size: int, shape: _Shape) -> _Shape:
        if size not in self._factors:
            # Not NumPy's generator: importing it takes longer than loading a small file.
            self._factors[size] = np.frombuffer(secrets.token_bytes(size), np.uint64)
        shapes = self._shapes.setdefault(size, [])
        for one in shapes:
            if (one.digits, one.packed, one.other) == (shape.digits, shape.packed, shape.other):
                return one
        if len(shapes) >= ALIKE_SHAPES_MAX:
            del shapes[0]
        shapes.append(shape)
        return shape
