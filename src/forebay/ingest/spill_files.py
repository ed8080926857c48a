"""`SpillFiles`: messages of one store on disk, first in, first out.

Frames are written to segment files and read back a segment at a time; a segment is removed when
it is read. Each frame has a checksum: what a disk damaged becomes a rejection and not a chunk.
Safe from any thread; one at a time may read.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
import weakref
import zlib
from array import array
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import pyarrow as pa

from forebay.errors import ForebayError, SpillError
from forebay.ingest.outcomes import RejectedMsg
from forebay.ingest.queue import Entry
from forebay.limits import SPILL_SEGMENT_BYTES
from forebay.model import ArrowMsg

if TYPE_CHECKING:
    from forebay.ingest.policy import Spill
    from forebay.model import StoreId
    from forebay.runtime import Runtime

_FRAME: Final = struct.Struct("<IQqd")
"""Checksum of the rest, length of the message, its byte offset (-1: unknown), when it came."""


class Spilled(NamedTuple):
    """One message from disk, or what became of it there; and what it counts for."""

    item: Entry | RejectedMsg
    cost: int


class _Segment:
    """One file, and what need not be read from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: BinaryIO = path.open("wb", buffering=0)
        self.frames: list[tuple[int, int]] = []  # the end of each, and what it counts for
        self.seqs = array("q")
        self.sources: list[tuple[int, object]] = []

    @property
    def num_bytes(self) -> int:
        return self.frames[-1][0] if self.frames else 0


class SpillFiles:
    """The spilled messages of one store.

    Attributes:
        policy: Where, and how much.
    """

    def __init__(
        self, policy: Spill, runtime: Runtime, segment_bytes: int = SPILL_SEGMENT_BYTES
    ) -> None:
        self.policy = policy
        self._lock = runtime.lock()
        self._segment_bytes = segment_bytes
        self._directory: Path | None = None
        self._num_segments = 0
        self._segments: deque[_Segment] = deque()
        self._read: deque[Spilled] = deque()

    @property
    def num_bytes(self) -> int:
        """Bytes on disk."""
        return sum(segment.num_bytes for segment in tuple(self._segments))

    # Writing

    def write(self, msg: ArrowMsg, source: object, cost: int, now_s: float) -> Exception | None:
        """Write a message behind all others; gives the error if that failed and nothing was."""
        from forebay.codec import encode_log_msg  # noqa: PLC0415 - for this policy alone

        try:
            body = encode_log_msg(msg)
            offset = -1 if msg.byte_offset is None else msg.byte_offset
            head = struct.pack("<Qqd", len(body), offset, now_s)
            checksum = zlib.crc32(body, zlib.crc32(head))
            frame = b"".join((checksum.to_bytes(4, "little"), head, body))
            with self._lock:
                self._write(frame, source, cost)
        except (OSError, ForebayError, ValueError) as error:
            return error
        return None

    def _write(self, frame: bytes, source: object, cost: int) -> None:
        if self.num_bytes + len(frame) > self.policy.bytes_max:
            msg = f"more than bytes_max={self.policy.bytes_max} bytes"
            raise ValueError(msg)
        segment = self._segments[-1] if self._segments else None
        if segment is None or segment.num_bytes >= self._segment_bytes:
            segment = self._open_segment()
        try:
            self._write_all(segment.file, frame)
        except OSError:
            # A part may be there: the next frame has to begin where this one did.
            self._cut(segment)
            raise
        number = len(segment.frames)
        if not segment.sources or segment.sources[-1][1] is not source:
            segment.sources.append((number, source))
        segment.frames.append((segment.num_bytes + len(frame), cost))

    def _write_all(self, file: BinaryIO, frame: bytes) -> None:
        rest = memoryview(frame)
        while rest:
            rest = rest[file.write(rest) :]

    def _open_segment(self) -> _Segment:
        if self._directory is None:
            parent = self.policy.directory
            if parent is not None:
                Path(parent).mkdir(parents=True, exist_ok=True)
            self._directory = Path(tempfile.mkdtemp(prefix="forebay-spill-", dir=parent))
            weakref.finalize(self, _remove, self._directory, self._segments)
        segment = _Segment(self._directory / f"{self._num_segments}.spill")
        self._num_segments += 1
        self._segments.append(segment)
        return segment

    def number(self, seq: int) -> None:
        """The message written last was accepted under this number; said again, it is the same."""
        with self._lock:
            segment = self._segments[-1]
            if len(segment.frames) > len(segment.seqs):
                segment.seqs.append(seq)

    def unwrite(self) -> None:
        """Forget what was written since the last `number`, or a part of it: it is not accepted."""
        with self._lock:
            segment = self._segments[-1] if self._segments else None
            if segment is None:
                return
            del segment.frames[len(segment.seqs) :]
            while segment.sources and segment.sources[-1][0] >= len(segment.seqs):
                segment.sources.pop()
            self._cut(segment)

    def _cut(self, segment: _Segment) -> None:
        """Forget what stands behind the frames of a segment, and the file if there are none."""
        if segment.num_bytes:
            segment.file.seek(segment.num_bytes)
            segment.file.truncate()
            return
        self._segments.remove(segment)
        segment.file.close()
        segment.path.unlink(missing_ok=True)

    # Reading

    def peek(self, store_id: StoreId | None) -> Spilled | None:
        """The oldest message, read back; it stays the oldest until `pop`."""
        if not self._read:
            with self._lock:
                # A message may be written whose number is not known yet: it is not accepted.
                if not self._segments or not self._segments[0].seqs:
                    return None
                segment = self._segments.popleft()
                if len(segment.frames) > len(segment.seqs):
                    self._segments.appendleft(segment)
                    return None
            self._read.extend(self._read_segment(segment, store_id))
        return self._read[0] if self._read else None

    def pop(self) -> None:
        """The oldest message has found its place."""
        self._read.popleft()

    def _read_segment(self, segment: _Segment, store_id: StoreId | None) -> list[Spilled]:
        segment.file.close()
        error: Exception | None = None
        data: bytes | pa.Buffer = b""
        try:
            try:
                data = self._read_file(segment.path)
            finally:
                segment.path.unlink(missing_ok=True)
        except (OSError, MemoryError) as read_error:
            error = read_error
        spilled: list[Spilled] = []
        at, sources, source = 0, deque(segment.sources), None
        for number, (seq, (_, cost)) in enumerate(zip(segment.seqs, segment.frames, strict=True)):
            if sources and sources[0][0] == number:
                source = sources.popleft()[1]
            item: Entry | RejectedMsg
            try:
                if error is not None:
                    raise error
                msg, came_s, at = _read_frame(data, at)
                item = Entry(msg, source, cost, came_s, seq)
            except _DamagedFrameError as damage:
                at = damage.end  # the next one may be sound
                item = self._lost(segment, seq, store_id, source, damage)
            except Exception as damage:  # noqa: BLE001, RUF100 - whatever it is, messages are accounted for
                error = damage
                item = self._lost(segment, seq, store_id, source, damage)
            spilled.append(Spilled(item, cost))
        return spilled

    def _read_file(self, path: Path) -> bytes | pa.Buffer:
        # In Arrow's pool: these megabytes come and go, and among the small objects of the heap
        # they would leave holes that never close again.
        with path.open("rb", buffering=0) as file:
            buffer = pa.allocate_buffer(path.stat().st_size)
            view, at = memoryview(buffer).cast("B"), 0
            while at < len(view) and (count := file.readinto(view[at:])):
                at += count
        return buffer.slice(0, at)

    def _lost(
        self,
        segment: _Segment,
        seq: int,
        store_id: StoreId | None,
        source: object,
        damage: Exception,
    ) -> RejectedMsg:
        text = f"a message spilled to {segment.path} cannot be read back: {damage}"
        error = SpillError(text, store_id=store_id)
        error.__cause__ = damage.with_traceback(None)
        return RejectedMsg(seq, store_id, None, error, source)  # type: ignore[arg-type]


def _remove(directory: Path, segments: deque[_Segment]) -> None:
    """Leave nothing behind when the store is gone."""
    for segment in segments:
        segment.file.close()
    shutil.rmtree(directory, ignore_errors=True)


class _DamagedFrameError(SpillError):
    """The checksum of a frame does not fit."""

    def __init__(self, at: int, end: int) -> None:
        super().__init__(f"the checksum at byte {at} does not fit; the disk may be failing")
        self.end = end


def _read_frame(data: bytes | pa.Buffer, at: int) -> tuple[ArrowMsg, float, int]:
    """One message, when it came, and where the next frame begins."""
    from forebay.codec import decode_log_msg  # noqa: PLC0415 - for this policy alone

    checksum, length, offset, came_s = _FRAME.unpack_from(data, at)
    begin = at + _FRAME.size
    end = begin + length
    if end > len(data):
        text = f"the file ends inside the message at byte {at}"
        raise SpillError(text)
    # Not a view for all messages, which several threads may decode: see `StreamDecoder`.
    view = memoryview(data).cast("B")
    if zlib.crc32(view[at + 4 : end]) != checksum:
        raise _DamagedFrameError(at, end)
    msg = decode_log_msg(view[begin:end])
    assert isinstance(msg, ArrowMsg)
    if offset >= 0:
        msg = ArrowMsg(
            msg.store_id,
            msg.payload,
            msg.compression,
            msg.uncompressed_size,
            msg.chunk_id,
            msg.is_static,
            msg.encoding,
            offset,
        )
    return msg, came_s, end
