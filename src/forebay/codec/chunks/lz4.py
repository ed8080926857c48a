"""Decompression of LZ4 blocks to exactly the claimed size, or an error.

cramjam decompresses into memory of the caller and returns the number of bytes written. It is not
available everywhere. pyarrow's codec assumes that the claimed size is correct: if a block contains
less, the rest of the buffer is uninitialized memory, possibly with data of other senders. So for
pyarrow each block is extended by a secret literal (the seal). Only if it appears at the very end
was every byte before it written. This costs a copy of the compressed bytes. The alternative, a
second decompression to `size - 1` that must fail, costs more and succeeds for some blocks that are
too short.

Both use the same LZ4 library and accept the same blocks, except for some blocks that only a
deliberate sender makes: pyarrow's way does not notice a last match of a few bytes that begins too
near the end.

A match of offset 0 refers to itself. The format forbids it and Rerun rejects it, but the LZ4
library accepts it and writes zeros (`LZ4_write32(op, 0)` in all of its code paths for offsets below
8). To detect one, all sequences of a block have to be parsed: some 300 in a message of one row,
which takes 100 microseconds in the fastest way that Python has (a regular expression), where
decompression takes one. So such a match is decoded as the library does it, in all code including
`peek`: the result is the same in every run and depends on the block alone, never on earlier
contents of memory. This behaviour is verified once per process. A library that behaves otherwise is
used only with the slow check.
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
"""The match that the block's last sequence lacks: offset 1, length 4.

The length is 4 because the low bits of the last token are zero in every block that an LZ4 library
writes.
"""
_SEQUENCE: Final = _MATCH + b"\xf0\x01"
"""The match, and the start of a sequence of 16 literals."""
_LONG_RUN: Final = 15
"""The length in a token that continues in the next byte."""
_LAST_LITERALS: Final = 5
"""The minimum number of literals at the end of a block with a match (lz4_Block_format.md)."""
_PREFIX_SIZE: Final = 4


def _bound_decompressor() -> Callable[..., int] | None:
    """Return cramjam's function that decompresses into given memory; `None` if not installed."""
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
    """A piece of uninitialized memory. A reader of `address` must keep a reference to the piece."""

    @property
    def view(self) -> memoryview:
        """The memory, writable."""
        ...

    @property
    def address(self) -> int:
        """The address of the first byte."""
        ...


class FreshMemory(Protocol):
    """An allocator for large payloads."""

    def piece(self, size: int) -> Piece | None:
        """Return `size` bytes; `None` if the caller should allocate them elsewhere."""
        ...

    def take_back(self, piece: Any) -> None:
        """Return a piece that was not used."""
        ...


class Lz4Decompressor:
    """Decompresses LZ4 blocks. Not thread-safe."""

    def __init__(
        self, memory: FreshMemory | None = None, *, bound: Callable[..., int] | None = _BOUND
    ) -> None:
        """Make a decompressor.

        Args:
            memory: The allocator for large blocks; the default is that of the C library.
            bound: A function that decompresses into given memory; the default is cramjam's, if
                installed.
        """
        self._memory = memory
        self._codec = pa.Codec("lz4_raw")
        self._bound = bound if bound is None or writes_zeros(bound) else None
        self._is_walked = not _codec_writes_zeros()
        self._secret = secrets.token_bytes(_SEAL_SIZE - 8)
        self._count = 0

    def decompress(self, payload: Payload, size: int) -> pa.Buffer:
        """Decompress a block.

        Args:
            payload: The block.
            size: The claimed size after decompression, in bytes.

        Returns:
            Exactly `size` bytes.

        Raises:
            ValueError: The block has another size, or is damaged.
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
            # Not the default pool: it requests huge pages even where they are slow.
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
        """Decompress blocks of the same decompressed size.

        Args:
            payloads: The blocks.
            size: The claimed size of each after decompression, in bytes.

        Returns:
            The decompressed blocks, concatenated.

        Raises:
            ValueError: A block has another size, or is damaged.
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
                sealed = self._decompress_sealed(payload, size)
                view[at : at + size] = memoryview(sealed).cast("B")  # pyarrow says signed bytes
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
        # The seal alone is not sufficient. The match must be a match and not literals of a
        # truncated block; it must not be longer than ours, which is visible if not all literals are
        # equal; and the block must end with the required number of literals.
        if (
            view[size:] != last * _MATCH_SIZE + seal
            or view[:size][-_LAST_LITERALS:] != end
            or end == last * len(end)
        ):
            return self._decompress_unsealed(payload, size)
        return buffer.slice(0, size)

    def _decompress_unsealed(self, payload: Payload, size: int) -> pa.Buffer:
        """Decompress a valid block that no library writes, or a short one; raise for others."""
        try:
            buffer = self._codec.decompress(payload, size)
        except OSError as error:
            raise _damaged(size) from error
        if _size(payload, has_self_matches=not self._is_walked) != size:
            raise _damaged(size)
        return buffer


def _damaged(size: int) -> ValueError:
    """Return the error for a damaged block or a wrong size.

    The two cannot always be distinguished, and not equally on both ways.
    """
    return ValueError(f"the LZ4 block is damaged, or does not hold the {size} bytes claimed")


def _has_prefix(payload: Payload, size: int) -> bool:
    """Return whether a block could be read as having a size prefix.

    cramjam accepts such a prefix, but the format has none. No chunk's payload looks like this: it
    begins with the four bytes FF of an Arrow message.
    """
    return payload[0] == size & 0xFF and payload[:_PREFIX_SIZE] == size.to_bytes(4, "little")


def _self_match(length: int) -> tuple[bytes, int]:
    """Return a block with a match of offset 0 and the given length (at least 19), and its size."""
    return _SELF_MATCH % (0xAA, length - 19, b"\xaa" * 6), 1 + length + 6


@functools.cache
def writes_zeros(bound: Callable[..., int]) -> bool:
    """Return whether a decompressor rejects matches of offset 0, or writes zeros for them.

    Args:
        bound: A function that decompresses into given memory.
    """
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
    """Return the same for pyarrow's codec.

    It allocates its own memory, so the memory is filled by an earlier decompression.
    """
    codec = pa.Codec("lz4_raw")

    def decompress(block: bytes, out: bytearray, *, output_len: int) -> int:
        codec.decompress(codec.compress(b"\x55" * output_len), output_len)
        out[:] = codec.decompress(block, output_len, asbytes=True)
        return output_len

    return writes_zeros(decompress)


def _size(payload: Payload, *, has_self_matches: bool) -> int:
    """Return the decompressed size of a block that a decompressor has accepted.

    Raises:
        ValueError: The block has a match of offset 0, and `has_self_matches` is false.
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
    """Return a length that begins with four bits of a token, and the position after it."""
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
