"""The few numbers that are read of an Arrow message."""

from __future__ import annotations

import struct

import pytest

from forebay.codec.chunks.ipc import check_end, check_schema, message_extent, read_batch_header
from tests.codec.descriptors import Descriptors
from tests.codec.lessons import stream


def schema_message(*, header_type: int = 1, endianness: int = 0) -> memoryview:
    """A schema message of a message table and a schema table, and nothing in it."""
    flatbuffer = b"".join(
        (
            struct.pack("<I", 16),  # the message table
            struct.pack("<HHHHH", 10, 12, 0, 8, 4),  # its vtable: version, header type, header
            bytes(2),
            struct.pack("<iIBxxx", 12, 16, header_type),
            struct.pack("<HHH", 6, 8, 4),  # the schema's vtable: endianness
            bytes(2),
            struct.pack("<iHxx", 8, endianness),
        )
    )
    return memoryview(struct.pack("<Ii", 0xFFFFFFFF, len(flatbuffer)) + flatbuffer)


def test_a_schema_is_one_of_little_endian_numbers() -> None:
    check_schema(schema_message())
    with pytest.raises(ValueError, match="big-endian"):
        check_schema(schema_message(endianness=1))
    with pytest.raises(ValueError, match="does not begin with a schema"):
        check_schema(schema_message(header_type=3))


def test_a_message_lies_within_its_buffer() -> None:
    data = schema_message()
    assert message_extent(data, 0) == (8, len(data))
    for cut in range(len(data)):
        with pytest.raises(ValueError, match=r"Arrow (message|stream)"):
            message_extent(data[:cut], 0)


@pytest.mark.parametrize(("body", "behind"), [(8, b""), (8, bytes(4)), (0, b"\xff" * 4 + bytes(4))])
def test_a_body_ends_where_the_stream_does(body: int, behind: bytes) -> None:
    check_end(memoryview(bytes(16 + body) + behind), 16, body)


@pytest.mark.parametrize(
    ("length", "behind"), [(9, b""), (-1, b""), (2**62, b""), (8, b"more"), (8, bytes(8))]
)
def test_a_body_that_is_cut_off_or_followed_by_more_is_refused(length: int, behind: bytes) -> None:
    with pytest.raises(ValueError, match="record batch"):
        check_end(memoryview(bytes(24) + behind), 16, length)


def test_a_batch_header_is_what_pyarrow_wrote() -> None:
    edited = Descriptors(stream("texts", "several", 4))
    header = read_batch_header(memoryview(edited.data), edited.batch + 8)
    assert header.rows == 4
    assert header.body_length == edited.body_length == len(edited.data) - edited.body - 8
    assert header.nodes == [edited.node(number) for number in range(len(edited.nodes))]
    assert header.buffers == [edited.buffer(number) for number in range(len(edited.buffers))]
    texts = edited.buffer(edited.find("values", "S:x", "item"))
    assert texts[1] == 2 * len("wordtäxt".encode())


@pytest.mark.parametrize("count", [1000, 2**28, 2**32 - 1])
def test_vectors_that_leave_the_message_are_refused_before_they_are_read(count: int) -> None:
    for claim in (Descriptors.count_nodes, Descriptors.count_buffers):
        edited = Descriptors(stream("texts", "several", 4))
        claim(edited, count)
        with pytest.raises(IndexError, match="not within its flatbuffer"):
            read_batch_header(memoryview(edited.data), edited.batch + 8)
