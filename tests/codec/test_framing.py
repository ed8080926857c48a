from __future__ import annotations

import contextlib
import gc
import itertools
import mmap
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay import limits
from forebay.codec import StreamDecoder, StreamEncoder
from forebay.codec.rrd import framing, rrf2, scan
from forebay.codec.rrd.rrf2 import MESSAGE_HEADER
from forebay.codec.wire import encode_content
from forebay.errors import (
    CodecError,
    CorruptError,
    NotAnRrdError,
    TruncatedError,
    UnsupportedRrdError,
)
from forebay.model import ArrowMsg, ChunkId, LogMsg, SetStoreInfo, StoreId, StoreInfo
from tests.codec.support import data_of, messages_of

HEADER = StreamEncoder().header()
END = MESSAGE_HEADER.pack(0, 0)
INFO = SetStoreInfo(StoreInfo(StoreId.recording("app", "rec")))
ARROW = ArrowMsg(StoreId.recording("app", "rec"), b"payload")


def framed(message: LogMsg) -> bytes:
    content = encode_content(message)
    return (
        MESSAGE_HEADER.pack(1 if isinstance(message, SetStoreInfo) else 2, len(content)) + content
    )


def decode(data: bytes, piece: int | None = None) -> tuple[list[LogMsg], CodecError | None]:
    decoder = StreamDecoder()
    messages: list[LogMsg] = []
    step = piece or max(len(data), 1)
    for at in range(0, len(data), step):
        messages += decoder.feed(data[at : at + step])
    assert decoder.num_messages == len(messages)
    with contextlib.suppress(CodecError):
        decoder.finish()
    return messages, decoder.error


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, "mmap"])
def test_each_message_has_a_memoryview_of_its_own(kind: Any) -> None:
    """Whoever has one message can use and drop it without a thought for who has the others."""
    data = HEADER + framed(ARROW) * 3 + END
    if kind == "mmap":
        fed = mmap.mmap(-1, len(data))
        fed[:] = data
    else:
        fed = kind(data)
    msgs = StreamDecoder().feed(fed)
    payloads = [msg.payload for msg in msgs if isinstance(msg, ArrowMsg)]
    assert payloads == [b"payload"] * 3
    # CPython counts the views of one buffer in an object that all of them refer to.
    buffers = {id(one) for payload in payloads for one in gc.get_referents(payload)}
    assert len(buffers) == 3


def test_every_recording_reads_to_its_end(recording_path: Path) -> None:
    data = recording_path.read_bytes()
    decoder = StreamDecoder()
    messages = decoder.feed(data)
    decoder.finish()
    assert isinstance(messages[0], SetStoreInfo)
    assert decoder.byte_offset == len(data)
    assert decoder.crate_version is not None


def test_byte_offsets_point_at_message_headers() -> None:
    data = data_of("concatenated")
    arrow_msgs = [m for m in messages_of("concatenated") if isinstance(m, ArrowMsg)]
    assert arrow_msgs
    for message in arrow_msgs:
        assert message.byte_offset is not None
        kind, length = MESSAGE_HEADER.unpack_from(data, message.byte_offset)
        assert kind == 2
        begin = message.byte_offset + MESSAGE_HEADER.size
        assert bytes(message.payload) in data[begin : begin + length]


@pytest.mark.parametrize("name", ["several_stores", "concatenated", "blueprint", "empty"])
@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_pieces_of_any_size_give_the_same(name: str, piece: int) -> None:
    assert decode(data_of(name), piece) == (list(messages_of(name)), None)


@given(st.lists(st.integers(0, len(data_of("clears"))), max_size=12))
def test_cuts_anywhere_give_the_same(cuts: list[int]) -> None:
    data = data_of("clears")
    decoder = StreamDecoder()
    messages: list[LogMsg] = []
    bounds = [0, *sorted(cuts), len(data)]
    for begin, end in itertools.pairwise(bounds):
        messages += decoder.feed(memoryview(data)[begin:end])
    decoder.finish()
    assert messages == list(messages_of("clears"))


def test_whole_messages_are_views_into_what_was_fed() -> None:
    data = data_of("images")
    payloads = [m.payload for m in StreamDecoder().feed(data) if isinstance(m, ArrowMsg)]
    assert payloads
    for payload in payloads:
        assert isinstance(payload, memoryview)
        assert payload.obj is data


@pytest.mark.parametrize(
    "data",
    [
        HEADER,
        HEADER + framed(INFO),
        HEADER + framed(INFO) + END,
        HEADER + END + HEADER + framed(INFO),
        HEADER + framed(ARROW) + HEADER + framed(INFO) + END,
        HEADER + HEADER + framed(INFO),
        HEADER + MESSAGE_HEADER.pack(0, 5) + b"12345",
    ],
)
def test_streams_may_end_at_any_message_and_follow_one_another(data: bytes) -> None:
    for piece in (None, 1):
        messages, error = decode(data, piece)
        assert error is None
        assert len(messages) == data.count(framed(INFO)) + data.count(framed(ARROW))


def test_several_footer_entries_are_gone_over() -> None:
    entry = struct.pack("<QQI", 28, 4, 0)
    data = HEADER + MESSAGE_HEADER.pack(0, 4) + b"foot"
    footer = entry * 3 + b"RRF2FOOT" + struct.pack("<I", 3)
    messages, error = decode(data + footer + HEADER + framed(INFO))
    assert (messages, error) == ([INFO], None)
    _, error = decode(data + entry * 3 + b"RRF2FOOT" + struct.pack("<I", 2))
    assert isinstance(error, CorruptError)


@pytest.mark.parametrize("name", ["one_row_chunks", "several_stores", "concatenated"])
def test_a_cut_loses_only_what_was_cut(name: str) -> None:
    data = data_of(name)
    whole = list(messages_of(name))
    ends = [m.byte_offset for m in whole if isinstance(m, ArrowMsg)][:20]
    for offset in ends:
        assert offset is not None
        for cut in (offset, offset + 1, offset + 16, offset + 17):
            messages, error = decode(data[:cut])
            assert messages == whole[: len(messages)]
            if cut == offset:
                assert error is None
            else:
                assert isinstance(error, TruncatedError)
                assert error.byte_offset == offset


def test_what_is_cut_inside_a_stream_header_or_footer_is_truncated() -> None:
    for data in (HEADER[:4], HEADER[:11], data_of("clears")[:-1], data_of("clears")[:-20]):
        _, error = decode(data)
        assert isinstance(error, TruncatedError), error


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 something else entirely", b"no", b"RRG2" * 9])
def test_what_is_no_recording_is_called_so(data: bytes) -> None:
    messages, error = decode(data)
    assert not messages
    assert isinstance(error, NotAnRrdError)
    assert error.byte_offset == 0


@pytest.mark.parametrize(
    "header",
    [
        b"RRF0" + HEADER[4:],
        b"RRF1" + HEADER[4:],
        b"RRIO" + HEADER[4:],
        HEADER[:9] + b"\x01" + HEADER[10:],
    ],
)
def test_old_recordings_are_told_how_to_become_new_ones(header: bytes) -> None:
    _, error = decode(header + bytes(64))
    assert isinstance(error, UnsupportedRrdError)
    assert "rerun rrd migrate" in str(error)


@pytest.mark.parametrize("options", [b"\x02\x02\0\0", b"\x01\x03\0\0", b"\x01\x02\0\x01"])
def test_unknown_options_are_refused(options: bytes) -> None:
    _, error = decode(HEADER[:8] + options + framed(INFO))
    assert isinstance(error, UnsupportedRrdError)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, limits.MESSAGE_SIZE_BYTES_MAX + 1])
@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_absurd_lengths_are_corrupt(kind: int, length: int) -> None:
    data = HEADER + framed(INFO) + MESSAGE_HEADER.pack(kind, length) + b"x" * 50
    messages, error = decode(data)
    assert messages == [INFO]
    assert isinstance(error, CorruptError)
    assert error.byte_offset == len(HEADER + framed(INFO))


def test_a_long_message_that_never_comes_takes_no_memory() -> None:
    decoder = StreamDecoder()
    decoder.feed(HEADER + MESSAGE_HEADER.pack(2, limits.MESSAGE_SIZE_BYTES_MAX) + b"x")
    with pytest.raises(TruncatedError) as raised:
        decoder.finish()
    assert raised.value.byte_offset == len(HEADER)


@pytest.mark.parametrize("kind", [4, 2**32, 2**64 - 1])
def test_unknown_kinds_of_message_end_the_stream(kind: int) -> None:
    data = HEADER + framed(INFO) + MESSAGE_HEADER.pack(kind, 3) + b"abc" + framed(INFO)
    messages, error = decode(data)
    assert messages == [INFO]
    assert isinstance(error, CorruptError)


def test_nothing_comes_after_damage() -> None:
    decoder = StreamDecoder()
    damaged = MESSAGE_HEADER.pack(1, 2) + b"\xff\xff"
    assert decoder.feed(HEADER + framed(INFO) + damaged + framed(INFO)) == [INFO]
    assert isinstance(decoder.error, CorruptError)
    assert decoder.feed(framed(INFO)) == []
    assert decoder.num_messages == 1


def test_bytes_behind_a_whole_stream_are_damage() -> None:
    messages, error = decode(HEADER + framed(INFO) + END + b"\xffgarbage that is long enough")
    assert messages == [INFO]
    assert isinstance(error, CorruptError)


def test_before_rerun_0_25_the_store_info_names_the_application() -> None:
    """Then `StoreId` had no application; `StoreInfo.application_id` did."""
    bare = b"\x08\x01\x12\x03rec"
    info = b"\x0a\x05\x0a\x03old\x12" + bytes([len(bare)]) + bare
    set_store_info = b"\x12" + bytes([len(info)]) + info
    arrow = b"\x0a" + bytes([len(bare)]) + bare + b"\x2a\x01x"
    data = HEADER + MESSAGE_HEADER.pack(1, len(set_store_info)) + set_store_info
    data += MESSAGE_HEADER.pack(2, len(arrow)) + arrow
    messages, error = decode(data)
    assert error is None
    assert [m.store_id for m in messages] == [StoreId.recording("old", "rec")] * 2


STORES = (StoreId.recording("app", "rec"), StoreId.recording("other", "x" * 40))
SOME_ARROW_MSGS = st.builds(
    ArrowMsg,
    st.sampled_from(STORES[:1] * 3 + STORES[1:]),
    st.sampled_from([b"", b"p", b"payload" * 40, b"\x2a" * 300, bytes(20_000)]),
    st.sampled_from([2, 2, 2, 2, 1, 0]),
    st.sampled_from([0, 1, 127, 128, 16_383, 16_384, 2**31, 2**40]),
    st.one_of(st.none(), st.binary(min_size=16, max_size=16).map(ChunkId)),
    st.sampled_from([False, False, True, None]),
    st.sampled_from([1, 1, 1, 1, 0]),
    st.none(),
)


def decode_together(data: bytes) -> tuple[list[LogMsg], CodecError | None]:
    """As `decode`, but already a few messages are cut out together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "SCAN_MSGS_MIN", 3)
        return decode(data)


@given(st.lists(st.tuples(SOME_ARROW_MSGS, st.integers(1, 12)), max_size=8), st.booleans())
def test_messages_read_together_are_those_read_alone(
    runs: list[tuple[ArrowMsg, int]], announced: bool
) -> None:
    msgs: list[LogMsg] = [msg for msg, count in runs for _ in range(count)]
    if announced:
        msgs.insert(len(msgs) // 2, INFO)
    data = HEADER + b"".join(map(framed, msgs)) + END
    together, error = decode_together(data)
    alone, _ = decode(data, MESSAGE_HEADER.size - 1)  # so that none is ever fed whole
    assert error is None
    assert together == alone
    assert [msg._replace(byte_offset=None) for msg in together if isinstance(msg, ArrowMsg)] == [
        msg for msg in msgs if isinstance(msg, ArrowMsg)
    ]


@given(st.integers(0, 16 * 180), st.integers(1, 255))
def test_damage_among_many_messages_is_found_as_it_is_alone(at: int, change: int) -> None:
    id_ = ChunkId.from_parts(5, 6)
    data = bytearray(
        HEADER + framed(ARROW._replace(compression=2, chunk_id=id_, is_static=False)) * 16
    )
    data[len(HEADER) + at % (len(data) - len(HEADER))] ^= change
    together, error = decode_together(bytes(data))
    alone, error_alone = decode(bytes(data), 1)
    assert together == alone
    assert str(error) == str(error_alone)


def test_what_is_taken_back_and_fed_again_keeps_its_place() -> None:
    data = HEADER + framed(ARROW) * 3 + END
    size = len(framed(ARROW))
    decoder = StreamDecoder()
    found = decoder.feed(data[: len(HEADER) + size + 20])
    begun = b"".join(decoder.take_back())
    assert len(begun) < 20, "the header was understood"
    found += decoder.feed(begun + data[len(HEADER) + size + 20 :])
    decoder.finish()
    offsets = [one.byte_offset for one in found if isinstance(one, ArrowMsg)]
    assert offsets == [len(HEADER) + number * size for number in range(3)]


def test_a_whole_message_may_not_be_larger_than_allowed_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = HEADER + framed(ARROW) + END
    assert decode(data)[1] is None
    for module in (framing, rrf2):
        monkeypatch.setattr(module, "MESSAGE_SIZE_BYTES_MAX", len(framed(ARROW)) - 17)
    messages, error = decode(data)
    assert messages == []
    assert isinstance(error, CorruptError)


def test_a_stream_that_ends_inside_its_footer_is_cut_where_the_footer_begins() -> None:
    data = HEADER + framed(ARROW) + MESSAGE_HEADER.pack(0, 100) + bytes(50)
    messages, error = decode(data)
    assert len(messages) == 1
    assert isinstance(error, TruncatedError)
    assert error.byte_offset == len(HEADER + framed(ARROW))


@pytest.mark.parametrize("before", [HEADER, HEADER + framed(ARROW), HEADER + framed(ARROW) + END])
@pytest.mark.parametrize("piece", [None, 1, 5])
def test_a_stream_that_has_only_its_header_may_come_last(before: bytes, piece: int | None) -> None:
    """It is shorter than the header of a message, which might stand there too."""
    messages, error = decode(before + HEADER, piece)
    assert (len(messages), error) == (before.count(b"payload"), None)


def test_a_last_header_is_looked_at() -> None:
    old = b"RRF2" + bytes(5) + b"\1\0\0"
    assert isinstance(decode(HEADER + framed(ARROW) + old)[1], UnsupportedRrdError)
    assert isinstance(decode(HEADER + framed(ARROW) + bytes(12))[1], TruncatedError)
