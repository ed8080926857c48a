"""The scan of the usual form and protobuf must say the same of every sequence of bytes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from forebay.codec import decode_log_msg, decode_write_request, encode_log_msg, encode_read_response
from forebay.codec.messages import arrow_msg_of, parse
from forebay.codec.proto import log_msg_pb2, sdk_comms_pb2
from forebay.codec.wire import decode_arrow_msg, encode_content
from forebay.errors import CorruptError
from forebay.model import (
    ArrowMsg,
    BlueprintActivationCommand,
    ChunkId,
    LogMsg,
    RowId,
    SetStoreInfo,
    StoreId,
    StoreInfo,
    StoreKind,
    StoreSource,
    StoreSourceKind,
)
from tests.codec.support import messages_of

tuid_bytes = st.binary(min_size=16, max_size=16)
store_ids = st.builds(StoreId, st.sampled_from(StoreKind), st.text(), st.text())
arrow_msgs = st.builds(
    ArrowMsg,
    store_ids,
    st.binary(max_size=300),
    st.one_of(st.integers(0, 3), st.integers(-(2**31), 2**31 - 1)),
    st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1)),
    st.none() | tuid_bytes.map(ChunkId),
    st.none() | st.booleans(),
    st.integers(0, 3),
    st.none(),
)
log_msgs: st.SearchStrategy[LogMsg] = st.one_of(
    arrow_msgs,
    st.builds(
        SetStoreInfo,
        st.builds(
            StoreInfo,
            store_ids,
            st.none() | st.builds(StoreSource, st.sampled_from(StoreSourceKind), st.binary()),
            st.none() | st.integers(-(2**31), 2**31 - 1),
        ),
        st.none() | tuid_bytes.map(RowId),
    ),
    st.builds(BlueprintActivationCommand, store_ids, st.booleans(), st.booleans()),
)


def outcome(decode: object, data: bytes) -> object:
    try:
        message = decode(data)  # type: ignore[operator]
    except CorruptError:
        return CorruptError
    return message, bytes(message.payload)


def via_protobuf(data: bytes) -> ArrowMsg:
    return arrow_msg_of(parse(log_msg_pb2.ArrowMsg, data, None), None)


@given(log_msgs)
def test_messages_survive_the_way_there_and_back(message: LogMsg) -> None:
    assert decode_log_msg(encode_log_msg(message)) == message
    assert decode_log_msg(memoryview(encode_log_msg(message))) == message
    assert decode_write_request(encode_read_response(message)) == message


@given(log_msgs)
def test_protobuf_reads_what_is_written(message: LogMsg) -> None:
    response = sdk_comms_pb2.ReadMessagesResponse.FromString(encode_read_response(message))
    assert response.log_msg.SerializeToString() == encode_log_msg(message)


def field(number: int, wire_type: int, content: bytes) -> bytes:
    return bytes([number << 3 | wire_type]) + content


def delimited(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return field(number, 2, bytes([len(content)]) + content)


def varint(value: int, padding: int = 0) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    if not padding:
        return bytes([*out, value])
    return bytes([*out, value | 0x80, *[0x80] * (padding - 1), 0])


tuids = st.one_of(
    tuid_bytes.map(lambda b: b"\x09" + b[:8] + b"\x11" + b[8:]),
    tuid_bytes.map(lambda b: b"\x11" + b[:8] + b"\x09" + b[8:]),
    st.sampled_from([b"", b"\x09" + bytes(8), b"\x11" + bytes(8)]),
    st.binary(max_size=20),
)
encoded_store_ids = st.one_of(
    store_ids.map(
        lambda store_id: log_msg_pb2.ArrowMsg.FromString(
            encode_content(ArrowMsg(store_id, b""))
        ).store_id.SerializeToString()
    ),
    st.binary(max_size=20),
).filter(lambda encoded: len(encoded) < 128)
varints = st.builds(
    varint,
    st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1)),
    st.sampled_from([0, 0, 0, 1, 2, 9]),
)
usual_fields = st.one_of(
    encoded_store_ids.map(lambda content: delimited(1, content)),
    varints.map(lambda content: field(2, 0, content)),
    varints.map(lambda content: field(3, 0, content)),
    varints.map(lambda content: field(4, 0, content)),
    st.binary(max_size=50).map(lambda content: delimited(5, content)),
    tuids.map(lambda content: delimited(6, content)),
    varints.map(lambda content: field(7, 0, content)),
)
unusual_fields = st.one_of(
    st.binary(max_size=9).map(lambda content: delimited(15, content)),
    st.binary(min_size=8, max_size=8).map(lambda content: field(5, 1, content)),
    st.binary(min_size=4, max_size=4).map(lambda content: field(1, 5, content)),
    st.just(field(9, 3, b"") + field(9, 4, b"")),
    st.sampled_from([field(9, 3, b""), field(9, 4, b""), b"\x02\x00", b"\x82\x80\x00\x01a"]),
    st.binary(max_size=5),
)


@given(st.lists(usual_fields | unusual_fields, max_size=9).map(b"".join))
def test_scan_and_protobuf_agree_on_any_fields(data: bytes) -> None:
    assert outcome(decode_arrow_msg, data) == outcome(via_protobuf, data)


@given(arrow_msgs.map(encode_content), st.data())
def test_scan_and_protobuf_agree_on_damage(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    cut = bytes(damaged[: draw.draw(st.integers(0, len(data)))])
    for each in (bytes(damaged), cut):
        assert outcome(decode_arrow_msg, each) == outcome(via_protobuf, each)


@given(st.binary())
def test_garbage_is_refused_or_means_what_protobuf_says(data: bytes) -> None:
    assert outcome(decode_arrow_msg, data) == outcome(via_protobuf, data)


@pytest.mark.parametrize("padding", [0, 1, 4, 5, 6, 8])
def test_lengths_are_read_as_protobuf_reads_them(padding: int) -> None:
    """It takes a length with zeros behind it, up to five bytes and no more."""
    store = ArrowMsg(StoreId.recording("app", "rec"), b"")
    data = encode_content(store) + b"\x2a" + varint(200, padding) + bytes(200)
    assert outcome(decode_arrow_msg, data) == outcome(via_protobuf, data)
    enclosed = b"\x12" + varint(len(data), padding) + data
    try:
        expected = log_msg_pb2.LogMsg.FromString(enclosed).HasField("arrow_msg")
    except DecodeError:
        expected = False
    try:
        decode_log_msg(enclosed)
    except CorruptError:
        assert not expected
    else:
        assert expected


def test_the_payload_is_cut_out_not_copied() -> None:
    message = next(m for m in messages_of("images") if isinstance(m, ArrowMsg))
    data = bytearray(encode_read_response(message))
    payload = decode_write_request(memoryview(data)).payload  # type: ignore[union-attr]
    assert isinstance(payload, memoryview)
    assert payload.obj is data


@pytest.mark.parametrize("encoded", [b"", b"\x12\x00", b"\x0a\x00", b"\x1a\x00", b"\x22\x00"])
def test_a_message_that_names_no_store_is_refused(encoded: bytes) -> None:
    with pytest.raises(CorruptError, match=r"names no store|unknown kind"):
        decode_log_msg(encoded)


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(CorruptError, match="cannot be written"):
        encode_log_msg(ArrowMsg(StoreId.recording("a", "b"), b"", uncompressed_size=-1))


def test_protobuf_in_pure_python_says_the_same_of_bad_text() -> None:
    """As on free-threaded interpreters; it raises another error over text that is not UTF-8."""
    code = """
from forebay.codec import decode_log_msg
from forebay.errors import CorruptError
try:
    decode_log_msg(bytes([0x12, 4, 0x0A, 2, 0x12, 0x01]) + b"")
except CorruptError:
    pass
store_id = bytes([0x12, 2, 0xC2, 0x20])
arrow_msg = bytes([0x0A, len(store_id)]) + store_id + bytes([0x2A, 0])
try:
    decode_log_msg(bytes([0x12, len(arrow_msg)]) + arrow_msg)
except CorruptError:
    raise SystemExit(0)
raise SystemExit("accepted")
"""
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_what_rerun_asks_of_a_source_is_written() -> None:
    """Its reader refuses a source without the field that says more, even if there is no more."""
    store_id = StoreId.recording("app", "rec")
    message = SetStoreInfo(StoreInfo(store_id, StoreSource(StoreSourceKind.OTHER)))
    parsed = log_msg_pb2.SetStoreInfo.FromString(encode_content(message))
    assert parsed.info.store_source.HasField("extra")
    assert decode_log_msg(encode_log_msg(message)) == message
