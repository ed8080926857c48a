"""The time ranges of a chunk that will not be decoded, read from the front of its message.

SDKs write row ids and times before the data, so the times of a large chunk follow its head. If they
are elsewhere, or not in plain form, the result is empty.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from forebay.codec.chunks.ipc import read_batch_header
from forebay.codec.chunks.peek import _CONTINUATION
from forebay.errors import InvalidChunkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.codec.chunks.peek import ChunkPeeker
    from forebay.model import ArrowMsg

_FRONT_BYTES: Final = 16 * 1024
_TIME_BYTES: Final = 8


def peek_time_ranges(peeker: ChunkPeeker, msg: ArrowMsg) -> Mapping[str, tuple[int, int]]:
    """Return first and last time by timeline, as far as the front of the message has them.

    Args:
        peeker: Reads the head of the chunk.
        msg: The message.

    Raises:
        InvalidChunkError: The front is not that of a chunk.
    """
    try:
        return _time_ranges(peeker, msg)
    except (struct.error, IndexError, ValueError) as error:
        text = f"the front of the chunk is damaged: {error}"
        raise InvalidChunkError(text) from error


def _time_ranges(peeker: ChunkPeeker, msg: ArrowMsg) -> Mapping[str, tuple[int, int]]:
    head = peeker.peek(msg)
    front, _ = peeker._front(msg, _FRONT_BYTES)  # noqa: SLF001 - two parts of one reader
    view = memoryview(front).cast("B")
    if head.batch is None or not head.num_rows:
        return {}
    begin, batch_end = head.batch
    if batch_end > len(view):
        return {}
    begin += 8 if bytes(view[begin : begin + 4]) == _CONTINUATION else 4
    header, body = read_batch_header(view[begin:batch_end], 0), view[batch_end:]
    ranges: dict[str, tuple[int, int]] = {}
    for name, index in head.layout.indexes.items():
        if head.layout.row_ids != 0 or index.position != 1 + len(ranges):
            break  # a column of another form may precede it
        _, num_nulls = header.nodes[index.position]
        offset, length = header.buffers[2 * index.position + 1]
        end = offset + _TIME_BYTES * head.num_rows
        if num_nulls or not 0 <= offset <= end <= len(body) or length < end - offset:
            break
        times = np.frombuffer(body[offset:end], dtype="<i8")
        ranges[name] = (int(times.min()), int(times.max()))
    return ranges
