"""LZ4 blocks, decompressed to exactly the size that was claimed, or not at all.

cramjam decompresses into memory of ours and says how many bytes came out. It is not everywhere, and
pyarrow's codec takes the claimed size for the true one: if a block holds less, the rest of the
buffer is whatever memory held before, other senders' data included. So each block is extended by
a literal that nobody can know beforehand; only if it comes out at the very end was every byte
before it written. That costs a copy of the compressed bytes; asking a second time (`size - 1`
must not suffice) would cost a second decompression, and suffices for some blocks that hold less.

Both are the same LZ4 library underneath and accept the same blocks, but for one that only intention
makes: pyarrow's way overlooks a last match of a few bytes that begins too near the end.

A match of offset 0 refers to itself. The format forbids it, and Rerun refuses it; the LZ4 library
takes it, and writes zeros (`LZ4_write32(op, 0)` in all of its ways through a match of an offset
below 8). To find one, all sequences of a block have to be walked: some 300 in a message of one row,
100 microseconds in the fastest way that Python has (a regular expression), where decompression
takes one. So such a match is read as what the library makes of it, everywhere, `peek` included: the
same bytes in every run, from the block alone, nothing of what memory held before. That it is so is
tried out once in a process, and a library that does otherwise is not used without that walk.
"""

from __future__ import annotations

import functools
import secrets
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

from forebay import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forebay.model import Payload

_SEAL_SIZE: Final = 16
_MATCH_SIZE: Final = 4
_MATCH: Final = b"\x01\x00"
"""Gives the block's last sequence the match that it lacks: offset 1, four bytes (its token's low
bits are zero in every block that an LZ4 library writes)."""
_SEQUENCE: Final = _MATCH + b"\xf0\x01"
"""That, and the beginning of a sequence of 16 literals."""
_LONG_RUN: Final = 15
"""A length that goes on in the next byte."""
_LAST_LITERALS: Final = 5
"""Every block but one without a match ends with so many at least (lz4_Block_format.md)."""
_PREFIX_SIZE: Final = 4


def _bound_decompressor() -> Callable[..., int] | None:
    """What decompresses into given memory and says how many bytes came out, if it is installed."""
    try:
        lz4 = import_module("cramjam").lz4
    except ImportError:
        return None
    decompress: Callable[..., int] = lz4.decompress_block_into
    return decompress


_BOUND: Final = _bound_decompressor()

_SELF_MATCH: Final = b"\x1f%c\x00\x00%c\x60%b"
"""A literal, a match of offset 0, and six literals."""
_SELF_MATCH_LENGTHS: Final = (19, 20, 27, 35, 64, 100, 270)


class Piece(Protocol):
    """Some fresh memory: written through `view`, read at `address` by whoever keeps the piece."""

    @property
    def view(self) -> memoryview:
        """Its bytes."""
        ...

    @property
    def address(self) -> int:
        """Where they begin."""
        ...


class FreshMemory(Protocol):
    """Where memory for large payloads comes from."""

    def piece(self, size: int) -> Piece | None:
        """So many bytes; `None` if they are better had elsewhere."""
        ...

    def take_back(self, piece: Any) -> None:
        """Nothing came to lie there after all."""
        ...


class Lz4Decompressor:
    """Decompresses LZ4 blocks; not for use from several threads at once."""

    def __init__(
        self, memory: FreshMemory | None = None, *, bound: Callable[..., int] | None = _BOUND
    ) -> None:
        """Decompress large blocks into `memory`, by default into that of the C library."""
        self._memory = memory
        self._codec = pa.Codec("lz4_raw")
        self._bound = bound if bound is None or writes_zeros(bound) else None
        self._is_walked = not _codec_writes_zeros()
        self._secret = secrets.token_bytes(_SEAL_SIZE - 8)
        self._count = 0

    def decompress(self, payload: Payload, size: int) -> pa.Buffer:
        """The `size` bytes that a block holds.

        Raises:
            ValueError: It does not hold exactly that many, or it is damaged.
        """
        if not 0 < size <= limits.LZ4_RATIO_MAX * len(payload):
            msg = f"{len(payload)} bytes of LZ4 cannot become {size} bytes"
            raise ValueError(msg)
        if self._bound is None or _has_prefix(payload, size):
            return self._decompress_sealed(payload, size)
        if size <= limits.ALIKE_MESSAGE_BYTES_MAX:
            buffer = pa.allocate_buffer(size)
            _fill(self._bound, payload, buffer, size)
            return buffer
        return self._decompress_large(self._bound, payload, size)

    def _decompress_large(
        self, bound: Callable[..., int], payload: Payload, size: int
    ) -> pa.Buffer:
        memory = self._memory
        piece = None if memory is None else memory.piece(size)
        if memory is None or piece is None:
            # Not the default pool: it asks for large pages, whether they are slow or not.
            buffer = pa.allocate_buffer(size, memory_pool=pa.system_memory_pool())
            _fill(bound, payload, buffer, size)
            return buffer
        try:
            _fill(bound, payload, piece.view, size)
        except BaseException:
            memory.take_back(piece)
            raise
        return pa.foreign_buffer(piece.address, size, piece)

    def decompress_alike(self, payloads: Sequence[Payload], size: int) -> bytearray:
        """What blocks of the same decompressed size hold, one behind the other.

        Raises:
            ValueError: One of them does not hold exactly that many bytes, or is damaged.
        """
        if any(size > limits.LZ4_RATIO_MAX * len(payload) for payload in payloads):
            msg = f"a block of LZ4 cannot become {size} bytes"
            raise ValueError(msg)
        if self._bound is None:
            return bytearray().join([self._decompress_sealed(one, size) for one in payloads])
        whole = bytearray(len(payloads) * size)
        view = memoryview(whole)
        at = 0
        for payload in payloads:
            if _has_prefix(payload, size):
                view[at : at + size] = self._decompress_sealed(payload, size)
            else:
                _fill(self._bound, payload, view[at : at + size], size)
            at += size
        return whole

    def _decompress_sealed(self, payload: Payload, size: int) -> pa.Buffer:
        if self._is_walked:
            return self._decompress_unsealed(payload, size)
        self._count += 1
        seal = self._secret + self._count.to_bytes(8, "little")
        try:
            buffer = self._codec.decompress(
                b"".join((payload, _SEQUENCE, seal)), size + _MATCH_SIZE + _SEAL_SIZE
            )
        except OSError:
            return self._decompress_unsealed(payload, size)
        view = memoryview(buffer).cast("B")  # pyarrow says signed bytes
        end = bytes(payload[-_LAST_LITERALS:])
        last = end[-1:]
        # That the seal is there is not all. The match must be one, not literals of a block that is
        # cut off; it must not be longer than ours, which literals that are not all alike show; and
        # the block must end in as many of them as it has to.
        if (
            view[size:] != last * _MATCH_SIZE + seal
            or view[:size][-_LAST_LITERALS:] != end
            or end == last * len(end)
        ):
            return self._decompress_unsealed(payload, size)
        return buffer.slice(0, size)

    def _decompress_unsealed(self, payload: Payload, size: int) -> pa.Buffer:
        """For a valid block that no library writes, or a short one; else raises."""
        try:
            buffer = self._codec.decompress(payload, size)
        except OSError as error:
            raise _damaged(size) from error
        if _size(payload, has_self_matches=not self._is_walked) != size:
            raise _damaged(size)
        return buffer


def _damaged(size: int) -> ValueError:
    """Which of the two it is cannot always be told, and not alike on both ways."""
    return ValueError(f"the LZ4 block is damaged, or does not hold the {size} bytes claimed")


def _has_prefix(payload: Payload, size: int) -> bool:
    """Whether a block may have its size before it, which cramjam reads and the format has not.

    No chunk's payload does: it begins with the four bytes FF of an Arrow message.
    """
    return payload[0] == size & 0xFF and payload[:_PREFIX_SIZE] == size.to_bytes(4, "little")


def _self_match(length: int) -> tuple[bytes, int]:
    """A block with a match of offset 0 and this length, 19 at least, and what it holds in bytes."""
    return _SELF_MATCH % (0xAA, length - 19, b"\xaa" * 6), 1 + length + 6


@functools.cache
def writes_zeros(bound: Callable[..., int]) -> bool:
    """Whether a decompressor refuses matches of offset 0, or writes zeros for them."""
    for length in _SELF_MATCH_LENGTHS:
        block, size = _self_match(length)
        out = bytearray(b"\x55" * size)
        try:
            bound(block, out, output_len=size)
        except Exception:
            continue
        if out != b"\xaa" + bytes(length) + b"\xaa" * 6:
            return False
    return True


@functools.cache
def _codec_writes_zeros() -> bool:
    """The same of pyarrow's codec, whose memory is not ours to fill: what it held last is."""
    codec = pa.Codec("lz4_raw")

    def decompress(block: bytes, out: bytearray, *, output_len: int) -> int:
        codec.decompress(codec.compress(b"\x55" * output_len), output_len)
        out[:] = codec.decompress(block, output_len, asbytes=True)
        return output_len

    return writes_zeros(decompress)


def _size(payload: Payload, *, has_self_matches: bool) -> int:
    """How many bytes come out of a block that a decompressor has accepted.

    Raises:
        ValueError: It has a match of offset 0, and `has_self_matches` does not allow for it.
    """
    block = bytes(payload)
    at = size = 0
    while True:
        token = block[at]
        literals, at = _length(block, at + 1, token >> 4)
        at += literals
        size += literals
        if at >= len(block):
            return size
        if not (has_self_matches or any(block[at : at + len(_MATCH)])):
            raise _damaged(size)
        matched, at = _length(block, at + len(_MATCH), token & 0x0F)
        size += matched + _MATCH_SIZE


def _length(block: bytes, at: int, length: int) -> tuple[int, int]:
    """A length that begins with four bits of a token, and where the block goes on behind it."""
    if length < _LONG_RUN:
        return length, at
    while True:
        length += block[at]
        at += 1
        if block[at - 1] < 0xFF:
            return length, at


def _fill(bound: Callable[..., int], payload: Payload, out: object, size: int) -> None:
    try:
        count = bound(payload, out, output_len=size)
    except Exception as error:
        raise _damaged(size) from error
    if count != size:
        raise _damaged(size)
