"""Decoding of RRF2 streams to messages; the input may be split at any byte.

`rrf2` describes the format.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from forebay.codec.rrd.rrf2 import (
    ARROW_MSG,
    BLUEPRINT_ACTIVATION_COMMAND,
    END,
    FOOT,
    FOOTER_ENTRY_SIZE,
    MAGIC,
    MESSAGE_HEADER,
    SET_STORE_INFO,
    STREAM_HEADER,
    STREAM_TRAILER,
    arrow_msg_extents,
    check_stream_header,
)
from forebay.codec.rrd.scan import ArrowMsgScanner
from forebay.codec.wire import (
    decode_activation,
    decode_arrow_msg,
    decode_set_store_info,
)
from forebay.errors import (
    CodecError,
    CorruptError,
    NotAnRrdError,
    TruncatedError,
)
from forebay.limits import MESSAGE_SIZE_BYTES_MAX, SCAN_MSGS_MAX
from forebay.model import ArrowMsg, LogMsg, StoreId, StoreKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.model import Payload


class StreamDecoder:
    """Decodes one RRF2 stream or several in sequence, from pieces of any size.

    `feed` never raises: messages before the damage are returned, and the damage is stored in
    `error` and raised by `finish`. Payloads are views of the fed buffers, so these must not change
    afterwards. Not thread-safe.

    Attributes:
        error: The error that ended decoding before the end of the stream, if any.
        num_messages: The number of messages returned so far.
        crate_version: The four version bytes of the last stream header that was read, if any.
    """

    def __init__(self) -> None:
        self.error: CodecError | None = None
        self.num_messages = 0
        self.crate_version: bytes | None = None
        self._offset = 0
        self._item_offset = 0
        self._held: list[memoryview] = []
        self._num_held = 0
        self._skip = 0
        self._want = STREAM_HEADER.size
        self._step: Callable[[memoryview], LogMsg | None] = self._stream_header
        self._kind = END
        self._message_offset = 0
        self._footer_entries = 0
        self._scanner = ArrowMsgScanner()
        self._application_ids: dict[tuple[StoreKind, str], str] = {}

    @property
    def byte_offset(self) -> int:
        """The position of the item that is being read; everything before it is decoded."""
        return self._item_offset

    def feed(self, data: Payload) -> list[LogMsg]:
        """Decode the next bytes, and return the messages that are now complete.

        Args:
            data: The next bytes of the stream, of any length.

        Returns:
            The messages in order; none after the stream is damaged.
        """
        messages: list[LogMsg] = []
        if self.error is None:
            try:
                self._read(data, messages)
            except CodecError as error:
                self.error = error
                self._held.clear()
        self.num_messages += len(messages)
        return messages

    @property
    def num_missing(self) -> int:
        """The number of bytes that complete the current item, as far as it is known."""
        return self._want - self._num_held

    def take_back(self) -> list[memoryview]:
        """Return the fed bytes of an incomplete item; the caller feeds them again with the rest.

        So a caller that reads into its own memory can assemble the item there, and the decoder does
        not copy it.
        """
        held, self._held = self._held, []
        self._offset -= self._num_held
        self._num_held = 0
        return held

    def finish(self) -> None:
        """Declare the end of the input.

        Raises:
            TruncatedError: The stream ends inside a header or a message.
            NotAnRrdError: There is no stream.
            CodecError: Other damage that ended decoding.
        """
        if self.error is None:
            self.error = self._incomplete()
        if self.error is not None:
            raise self.error

    def _incomplete(self) -> CodecError | None:
        if self._step == self._stream_header and self._item_offset == 0:
            begun = b"".join(self._held)
            if not begun or not MAGIC.startswith(begun[:4]):
                what = "it is empty" if not begun else f"it begins with {begun!r}"
                msg = f"this is not a Rerun recording: {what}"
                return NotAnRrdError(msg, byte_offset=0)
        begun = b"".join(self._held) if self._num_held == STREAM_HEADER.size else b""
        if self._step == self._message_header and begun.startswith(MAGIC):
            # Another stream that has only its header, which is shorter than that of a message.
            return _header_error(begun, self._item_offset)
        at_rest = self._step == self._message_header or (
            self._step == self._after_end and not self._footer_entries
        )
        if at_rest and not self._held and not self._skip:
            return None
        msg = (
            f"the stream ends at byte {self._offset}, inside the item that begins at byte "
            f"{self._message_begin}; everything before that is readable"
        )
        return TruncatedError(msg, byte_offset=self._message_begin)

    @property
    def _message_begin(self) -> int:
        in_message = self._step == self._payload or self._skip
        return self._message_offset if in_message else self._item_offset

    # --- splitting the bytes into items ---

    def _read(self, data: Payload, messages: list[LogMsg]) -> None:
        view = memoryview(data).cast("B")
        if not len(view):
            return
        # Messages are passed to other threads. Views of one `memoryview` share a count of views
        # that is not thread-safe without a GIL (python/cpython#127716), so each message gets a
        # `memoryview` of its own.
        source: Any = data if type(data) is bytes else np.frombuffer(view, np.uint8)
        begin = self._offset
        self._offset += len(view)
        at, end = 0, len(view)
        while True:
            if self._skip:
                skipped = min(self._skip, end - at)
                self._skip -= skipped
                at += skipped
                self._item_offset = begin + at
                if self._skip:
                    return
            if not self._num_held and self._step == self._message_header:
                at = self._read_arrow_msgs(view, source, at, begin, messages)
            if self._num_held:
                missing = self._want - self._num_held
                self._hold(view[at : at + missing])
                at += missing
                if at > end:
                    return
                item = memoryview(b"".join(self._held))
                self._held.clear()
                self._num_held = 0
            elif at + self._want <= end:
                whole = memoryview(source) if self._step == self._payload else view
                item = whole[at : at + self._want]
                at += self._want
            else:
                self._hold(view[at:])
                return
            message = self._step(item)
            self._item_offset = begin + at - self._num_held
            if message is not None:
                messages.append(message)

    def _read_arrow_msgs(
        self, view: memoryview, source: Any, at: int, begin: int, messages: list[LogMsg]
    ) -> int:
        """Read complete `ArrowMsg`s in the usual form; leave other items to the single steps."""
        scanner = self._scanner
        while True:
            begins, ends = arrow_msg_extents(view, at)
            offsets = [begin + one - MESSAGE_HEADER.size for one in begins]
            found: list[ArrowMsg] = []
            together = len(begins) > 1
            while len(found) < len(begins):
                done = len(found)
                if together:
                    found += scanner.scan_together(
                        source, begins[done:], ends[done:], offsets[done:]
                    )
                    # It stopped at a message in another form, or at the first one of its store:
                    # read that one alone, then try together again.
                    together = done == 0 or len(found) > done + 1
                    done = len(found)
                    if done == len(begins):
                        break
                payload = memoryview(source)[begins[done] : ends[done]]
                message = scanner.scan(payload, offsets[done])
                if message is None or not message.store_id.application_id:
                    break
                found.append(message)
            messages += found
            if found:
                at = ends[len(found) - 1]
                self._item_offset = begin + at
            if len(found) < SCAN_MSGS_MAX:
                return at

    def _hold(self, piece: memoryview) -> None:
        if len(piece):
            self._held.append(piece)
            self._num_held += len(piece)

    def _expect(self, step: Callable[[memoryview], LogMsg | None], want: int) -> None:
        self._step = step
        self._want = want

    # --- the kinds of items ---

    def _stream_header(self, item: memoryview) -> None:
        self.crate_version = check_stream_header(item, self._item_offset)
        self._expect(self._message_header, MESSAGE_HEADER.size)

    def _message_header(self, item: memoryview) -> LogMsg | None:
        kind, length = MESSAGE_HEADER.unpack(item)
        self._message_offset = self._item_offset
        if kind > BLUEPRINT_ACTIVATION_COMMAND:
            # Maybe the stream was truncated and another one follows.
            if bytes(item[:3]) != MAGIC[:3]:
                msg = f"unknown kind of message ({kind:#x}) at byte {self._item_offset}"
                raise CorruptError(msg, byte_offset=self._item_offset)
            self._stream_header(item[: STREAM_HEADER.size])
            self._hold(item[STREAM_HEADER.size :])
            return None
        if length > MESSAGE_SIZE_BYTES_MAX:
            msg = (
                f"the message at byte {self._item_offset} claims {length} bytes; "
                f"no message has more than {MESSAGE_SIZE_BYTES_MAX}"
            )
            raise CorruptError(msg, byte_offset=self._item_offset)
        self._kind = kind
        if kind == END:
            # Its manifests contain nothing that the messages do not.
            self._skip = length
            self._footer_entries = 0
            self._expect(self._after_end, STREAM_HEADER.size)
        elif length == 0:
            return self._payload(item[:0])
        else:
            self._expect(self._payload, length)
        return None

    def _payload(self, item: memoryview) -> LogMsg:
        self._expect(self._message_header, MESSAGE_HEADER.size)
        offset = self._message_offset
        if self._kind == ARROW_MSG:
            return self._named(decode_arrow_msg(item, offset))
        if self._kind == SET_STORE_INFO:
            message = decode_set_store_info(item, offset)
            store_id = message.store_id
            self._application_ids[store_id.kind, store_id.recording_id] = store_id.application_id
            return message
        return self._named(decode_activation(item, offset))

    def _named(self, message: LogMsg) -> LogMsg:
        """Add the application id to a message: before Rerun 0.25 only `SetStoreInfo` has it."""
        store_id = message.store_id
        if store_id.application_id:
            return message
        known = self._application_ids.get((store_id.kind, store_id.recording_id), "")
        return message.with_store_id(StoreId(store_id.kind, known, store_id.recording_id))

    def _after_end(self, item: memoryview) -> None:
        """Read a stream footer or the header of another stream, if one of them follows."""
        magic, foot, count = STREAM_TRAILER.unpack(item)
        if magic != MAGIC:
            start, low = struct.unpack("<QI", item)
            # A footer entry points back to the payload of an END message.
            if start + low > self._item_offset:
                self._stream_header(item)
            self._footer_entries += 1
            self._expect(self._footer_entry, FOOTER_ENTRY_SIZE - len(item))
        elif foot != FOOT and not self._footer_entries:
            self._stream_header(item)
        else:
            if foot != FOOT or count != self._footer_entries:
                msg = f"the stream footer that ends at byte {self._item_offset + 12} is damaged"
                raise CorruptError(msg, byte_offset=self._item_offset)
            self._footer_entries = 0

    def _footer_entry(self, item: memoryview) -> None:
        (high, _crc) = struct.unpack("<II", item)
        if high:
            msg = f"the stream footer at byte {self._item_offset} is damaged"
            raise CorruptError(msg, byte_offset=self._item_offset)
        self._expect(self._after_end, STREAM_HEADER.size)


def _header_error(item: bytes, at: int) -> CodecError | None:
    """What is wrong with a stream's header, if anything is."""
    try:
        check_stream_header(memoryview(item), at)
    except CodecError as error:
        return error
    return None
