"""Which bytes of a schema message may differ from chunk to chunk."""

from __future__ import annotations

import struct

import pytest

from forebay.codec import ChunkDecoder
from forebay.codec.chunks.schemas import SPANS_MESSAGE_BYTES_MAX, SchemaCache, _variable_spans
from forebay.codec.chunks.spans import ValueSpan
from forebay.errors import InvalidChunkError
from tests.codec.consumers import outcome
from tests.codec.descriptors import Descriptors
from tests.codec.lessons import stream
from tests.codec.support import ipc_stream, plain_msg
from tests.codec.test_arrow import chunk_batch, columns_of


def text(value: bytes) -> bytes:
    """A string as flatbuffers has it, padded."""
    data = len(value).to_bytes(4, "little") + value + b"\0"
    return data + bytes(-len(data) % 4)


@pytest.mark.parametrize(
    ("message", "values", "wanted"),
    [
        (text(b"abcd"), {b"a": b"abcd"}, ((b"a", 4, 8),)),
        (text(b"abc") + text(b"de"), {b"b": b"de", b"a": b"abc"}, ((b"a", 4, 7), (b"b", 12, 14))),
        (text(b"abcd"), {b"a": b"abcde"}, None),
        (text(b"abcd"), {b"a": b""}, None),
        (text(b"abcd") + text(b"abcd"), {b"a": b"abcd"}, None),
        (text(b"abcde"), {b"a": b"abcd"}, None),  # a part of a string
        (text(b"abcde"), {b"a": b"bcde"}, None),
        (b"\0" + text(b"abcd"), {b"a": b"abcd"}, None),  # between
        (b"\4\0\0\0abcd", {b"a": b"abcd"}, None),  # without an end
        (b"\4\0\0\0abcde\0", {b"a": b"abcd"}, None),
        (b"\5\0\0\0abcd\0", {b"a": b"abcd"}, None),  # of another length
        (text(b"abcd"), {b"a": b"abcd", b"b": b"abcd"}, None),  # two values in one string
        # One string within another:
        (text(b"abcd" + text(b"efgh")), {b"a": b"abcd" + text(b"efgh"), b"b": b"efgh"}, None),
    ],
)
def test_values_are_strings_of_their_own(
    message: bytes, values: dict[bytes, bytes], wanted: tuple[ValueSpan, ...] | None
) -> None:
    assert _variable_spans(message, values) == wanted


def with_flag_in_path(data: bytes, path: bytes) -> bytes:
    """A stream whose last column is nullable if the second letter of the path is not zero."""
    edited = Descriptors(data)
    old = data.find(path) - 4
    [pointer] = [at for at in range(8, old, 4) if at + struct.unpack_from("<I", data, at)[0] == old]
    added = text(path).ljust(2048, b"\0")  # The flags of other columns are somewhere there.
    end = edited.batch
    out = edited.data
    struct.pack_into("<I", out, pointer, end - pointer)
    struct.pack_into("<i", out, 4, end - 8 + len(added))
    schema = edited._table(edited._field(edited._table(8), 2))
    fields = edited._table(edited._field(schema, 1))
    count = struct.unpack_from("<I", data, fields)[0]
    field = edited._table(fields + 4 * count)
    vtable = field - edited._i32(field)
    struct.pack_into("<H", out, vtable + 4 + 2, end + 4 + 2 - field)
    out[old + 4 : old + 4 + len(path)] = bytes(len(path))
    out[end:end] = added
    return bytes(out)


def test_a_flag_that_is_read_from_a_path_is_read_from_each() -> None:
    """Flatbuffers let a table refer to any byte of the message, a text's too."""

    def crafted(path: bytes) -> bytes:
        data = ipc_stream(chunk_batch(columns_of(chunk_batch()), {"rerun:entity_path": "/abcdefg"}))
        moved = with_flag_in_path(data, b"/abcdefg")
        return moved.replace(b"/abcdefg", path)

    decoder = ChunkDecoder()
    is_read = []
    for path in (b"/abcdefg", b"/hijklmn", b"/h\0jklmn", b"/h\1jklmn"):
        msg = plain_msg(crafted(path))
        for _ in range(3):
            wanted = outcome(ChunkDecoder(), msg)
            assert outcome(decoder, msg) == wanted
        is_read.append(wanted is not InvalidChunkError)
    # Its cells have a null, which the flag allows or forbids.
    assert is_read == [True, True, False, True], "or this test tests nothing"


@pytest.mark.parametrize("lines", ["frame", "several", "static"])
def test_places_of_sound_messages_are_proven(lines: str) -> None:
    """Else each message would have its schema parsed."""
    data = stream("scalars", lines, 2)
    edited = Descriptors(data)
    cache = SchemaCache()
    schema, values = cache.read(memoryview(data)[: edited.batch])
    assert schema.spans is not None
    assert [key for key, _, _ in schema.spans] == list(values) == [b"rerun:id"]
    assert cache.read(memoryview(data)[: edited.batch])[0] is schema


@pytest.mark.parametrize("filler", [10_000, 70_000])
def test_places_of_messages_that_an_offset_cannot_leave_are_not_looked_for(filler: int) -> None:
    data = ipc_stream(chunk_batch(metadata={"filler": "x" * filler}))
    schema, _ = SchemaCache().read(memoryview(data)[: Descriptors(data).batch])
    assert (schema.spans is None) == (filler > SPANS_MESSAGE_BYTES_MAX)
