from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.codec.chunks import lz4
from forebay.codec.chunks.lz4 import Lz4Decompressor
from forebay.codec.chunks.peek import lz4_block_front

WAYS = ("as installed", "without cramjam")


def compressed(data: bytes) -> bytes:
    return bytes(pa.Codec("lz4_raw").compress(data))


texts = st.one_of(
    st.binary(min_size=1, max_size=2000),
    st.builds(
        lambda part, times: part * times, st.binary(min_size=1, max_size=9), st.integers(1, 900)
    ),
)


@given(texts)
def test_gives_what_was_compressed(data: bytes) -> None:
    assert bytes(Lz4Decompressor().decompress(compressed(data), len(data))) == data


@given(texts, st.integers(1, 3000))
def test_any_other_size_is_refused(data: bytes, off_by: int) -> None:
    decompressor = Lz4Decompressor()
    for size in (len(data) + off_by, len(data) - off_by, -off_by, 0):
        with pytest.raises(ValueError, match="LZ4"):
            decompressor.decompress(compressed(data), size)


@pytest.mark.parametrize("make", [Lz4Decompressor, lambda: Lz4Decompressor(bound=None)], ids=WAYS)
def test_too_large_a_size_is_refused_even_where_memory_holds_an_earlier_seal(
    make: Callable[[], Lz4Decompressor],
) -> None:
    """pyarrow alone returns the recycled buffer's bytes behind what the block holds."""
    decompressor = make()
    secret = b"somebody else's data " * 40
    block = compressed(b"short")
    for _ in range(200):
        assert bytes(decompressor.decompress(compressed(secret), len(secret))) == secret
        with pytest.raises(ValueError, match="does not hold"):
            decompressor.decompress(block, len(secret))


@pytest.mark.parametrize("size", [2**31, 2**40, 2**63, 2**64])
def test_sizes_beyond_what_lz4_can_reach_are_not_allocated(size: int) -> None:
    with pytest.raises(ValueError, match="cannot become"):
        Lz4Decompressor().decompress(compressed(b"x" * 1000), size)


def test_blocks_whose_last_token_has_unusual_low_bits_are_read() -> None:
    """The format leaves them open; LZ4 libraries write zeros."""
    block = bytearray(compressed(b"unrepetitive"))
    block[0] |= 0x07
    assert bytes(Lz4Decompressor().decompress(bytes(block), 12)) == b"unrepetitive"
    with pytest.raises(ValueError, match="LZ4"):
        Lz4Decompressor().decompress(bytes(block), 13)


@given(st.binary(max_size=60), st.integers(1, 200))
def test_garbage_is_refused_or_has_the_size_claimed(block: bytes, size: int) -> None:
    try:
        buffer = Lz4Decompressor().decompress(block, size)
    except ValueError:
        return
    assert buffer.size == size


def answers(block: bytes, size: int) -> list[bytes | str]:
    """With cramjam and without: the bytes, or why there are none."""
    found: list[bytes | str] = []
    for decompressor in (Lz4Decompressor(), Lz4Decompressor(bound=None)):
        try:
            found.append(bytes(decompressor.decompress(block, size)))
        except ValueError as error:
            found.append(str(error))
    return found


def test_without_cramjam_the_answers_are_the_same() -> None:
    for data in (b"x", b"short", b"long " * 50_000, bytes(range(256)) * 7):
        block = compressed(data)
        for size in (len(data) - 1, len(data), len(data) + 1):
            with_it, without = answers(block, size)
            assert with_it == without
            assert isinstance(with_it, str) == (size != len(data))


@given(texts, st.data())
def test_without_cramjam_damage_has_the_same_answer(data: bytes, draw: st.DataObject) -> None:
    block = bytearray(compressed(data))
    begin = draw.draw(st.integers(0, len(block) - 1))
    end = draw.draw(st.integers(begin + 1, min(begin + 20, len(block))))
    match draw.draw(st.sampled_from(["lost", "zeroed", "changed"])):
        case "lost":
            del block[begin:end]
        case "zeroed":
            block[begin:end] = bytes(end - begin)
        case _:
            block[begin] = draw.draw(st.integers(0, 255))
    with_it, without = answers(bytes(block), len(data))
    assert with_it == without


@given(st.lists(st.binary(min_size=40, max_size=40), min_size=1, max_size=9), st.data())
def test_blocks_of_one_size_are_read_together(parts: list[bytes], draw: st.DataObject) -> None:
    blocks = [compressed(part) for part in parts]
    damaged = draw.draw(st.sampled_from([None, *range(len(blocks))]))
    if damaged is not None:
        blocks[damaged] = blocks[damaged][:-1]
    for decompressor in (Lz4Decompressor(), Lz4Decompressor(bound=None)):
        if damaged is None:
            assert decompressor.decompress_alike(blocks, 40) == b"".join(parts)
        else:
            with pytest.raises(ValueError, match="does not hold the 40 bytes"):
                decompressor.decompress_alike(blocks, 40)


@pytest.mark.parametrize(
    ("block", "size"),
    [
        (b"odcf\x00ac\x06\x00\x05L\x1b\x0b\xdcw", 35),  # holds 34: too short an end for 34
        (b"\x32abc\x01\x00\x10d", 10),  # holds 10, but its last match comes too near its end
        (b"\xf0\x05", 20),  # promises literals that are not there
        (b"\x05\x00\x00\x00\x50abcde", 5),  # its size before it
        (b"\x00" * 5, 4),
        (b"\x00", 1),
    ],
)
def test_blocks_that_no_library_writes_are_refused_by_both(block: bytes, size: int) -> None:
    with_it, without = answers(block, size)
    assert isinstance(with_it, str)
    assert with_it == without


# Matches of offset 0: zeros on every way, whatever memory held before.


def length_bytes(length: int) -> bytes:
    return b"\xff" * (length // 255) + bytes([length % 255])


def sequence(literals: bytes, match: tuple[int, int] | None) -> bytes:
    """Literals, and a match of an offset and a length, or the last literals."""
    run = len(literals)
    offset, length = match or (0, 4)
    block = bytes([min(run, 15) << 4 | min(length - 4, 15)])
    if run >= 15:
        block += length_bytes(run - 15)
    block += literals
    if match is not None:
        block += offset.to_bytes(2, "little")
        if length >= 19:
            block += length_bytes(length - 19)
    return block


class DirtyPiece:
    """Memory that holds what another sender's message left there."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(b"\x55" * size)
        self.view = memoryview(self.data)
        self.address = pa.py_buffer(self.data).address


class DirtyMemory:
    def piece(self, size: int) -> DirtyPiece:
        return DirtyPiece(size)

    def take_back(self, piece: DirtyPiece) -> None:
        """It is not used again."""


sequences = st.lists(
    st.tuples(
        st.binary(max_size=40),
        st.one_of(st.just(0), st.integers(0, 50)),
        st.one_of(st.integers(4, 40), st.integers(4, 20_000)),
    ),
    min_size=1,
    max_size=12,
)


@given(sequences, st.binary(min_size=12, max_size=60))
def test_a_match_of_offset_0_is_zeros_on_every_way(
    parts: list[tuple[bytes, int, int]], end: bytes
) -> None:
    block = b""
    wanted = bytearray()
    for literals, offset, length in parts:
        wanted += literals
        near = min(offset, len(wanted))
        block += sequence(literals, (near, length))
        for _ in range(length):
            wanted.append(wanted[-near] if near else 0)
    block += sequence(end, None)
    wanted += end
    size = len(wanted)
    for decompressor in (
        Lz4Decompressor(),
        Lz4Decompressor(DirtyMemory()),
        Lz4Decompressor(bound=None),
    ):
        dirty = compressed(b"\x55" * size)
        decompressor.decompress(dirty, size)
        try:
            found = decompressor.decompress(block, size)
        except ValueError as error:
            # Sizes that an LZ4 block cannot reach, or that begin as one with its size before it.
            assert "cannot become" in str(error)  # noqa: PT017
            continue
        assert bytes(found) == wanted
        assert decompressor.decompress_alike([block, block], size) == wanted * 2
        assert lz4_block_front(block, size)[:size] == wanted


def test_a_library_that_leaves_memory_as_it_was_is_not_used_without_a_walk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leaves(_block: bytes, _out: bytearray, *, output_len: int) -> int:
        return output_len

    def refuses(block: bytes, _out: bytearray, **_: int) -> int:
        raise ValueError(block)

    assert not lz4.writes_zeros(leaves)
    assert lz4.writes_zeros(refuses)
    assert Lz4Decompressor(bound=leaves)._bound is None
    assert Lz4Decompressor(bound=refuses)._bound is refuses
    assert Lz4Decompressor()._bound is not None
    assert not Lz4Decompressor()._is_walked
    monkeypatch.setattr(lz4, "_codec_writes_zeros", lambda: False)
    walking = Lz4Decompressor(bound=leaves)
    block = sequence(b"abcd", (0, 30)) + sequence(b"the end of it", None)
    with pytest.raises(ValueError, match="damaged"):
        walking.decompress(block, 47)
    for size in (4, 2000):
        data = (b"abcd" * size)[:size]
        assert bytes(walking.decompress(compressed(data), size)) == data


def test_blocks_that_begin_as_their_size_is_written_are_read_together() -> None:
    """cramjam takes such a beginning for a size that stands before the block."""
    size = 0x1FF  # FF 01 00 00: literals and a match of 4 bytes, then zeros by matches of offset 1
    head = b"\xff\x01\x00\x00"
    literals = head[2:] + bytes(14)  # 15 + 1 of them
    block = head + bytes(14) + b"\x01\x00" + length_bytes(size - 16 - 5 - 19) + b"\x50" + b"12345"
    wanted = Lz4Decompressor().decompress(block, size)
    assert bytes(wanted) == literals + bytes(size - 16 - 5) + b"12345"
    assert Lz4Decompressor().decompress_alike([block, block], size) == bytes(wanted) * 2
