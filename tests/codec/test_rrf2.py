"""Headers as they stand in a file; what streams made of them give is in `test_framing`."""

from __future__ import annotations

import pytest

from forebay.codec import StreamEncoder
from forebay.codec.rrd import rrf2
from forebay.codec.rrd.rrf2 import ARROW_MSG, MESSAGE_HEADER, SET_STORE_INFO
from forebay.errors import CorruptError, NotAnRrdError, UnsupportedRrdError

HEADER = StreamEncoder().header()


def test_a_header_tells_its_version() -> None:
    assert rrf2.check_stream_header(memoryview(HEADER), 0) == HEADER[4:8]


@pytest.mark.parametrize("at", [0, 500])
@pytest.mark.parametrize(
    ("header", "error"),
    [
        (b"RRF1" + HEADER[4:], UnsupportedRrdError),
        (b"PK\3\4" + HEADER[4:], None),
        (HEADER[:8] + b"\2\2\0\0", UnsupportedRrdError),
        (HEADER[:8] + b"\0\1\0\0", UnsupportedRrdError),
        (HEADER[:8] + b"\0\2\1\0", UnsupportedRrdError),
    ],
)
def test_what_we_do_not_read_is_refused_at_its_place(
    header: bytes, error: type[Exception] | None, at: int
) -> None:
    wanted = error or (CorruptError if at else NotAnRrdError)
    with pytest.raises(wanted) as raised:
        rrf2.check_stream_header(memoryview(header), at)
    assert raised.value.byte_offset == at  # type: ignore[attr-defined]


def test_extents_are_those_of_whole_arrow_messages_up_to_anything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = MESSAGE_HEADER.pack(ARROW_MSG, 5) + b"12345"
    other = MESSAGE_HEADER.pack(SET_STORE_INFO, 5) + b"12345"
    assert rrf2.arrow_msg_extents(memoryview(one * 2 + other + one), 0) == ([16, 37], [21, 42])
    assert rrf2.arrow_msg_extents(memoryview(b"x" + one + one[:-1]), 1) == ([17], [22])
    assert rrf2.arrow_msg_extents(memoryview(MESSAGE_HEADER.pack(ARROW_MSG, 0)), 0) == ([], [])
    monkeypatch.setattr(rrf2, "MESSAGE_SIZE_BYTES_MAX", 4)
    assert rrf2.arrow_msg_extents(memoryview(one), 0) == ([], [])
