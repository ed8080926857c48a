"""LZ4 blocks, decompressed to exactly the size that was claimed, or not at all.

cramjam decompresses into memory of ours and says how many bytes came out. It is not everywhere, and
pyarrow's codec takes the claimed size for the true one: if a block holds less, the rest of the
buffer is whatever memory held before, other senders' data included. So each block is extended by
a literal that nobody can know beforehand; only if it comes out at the very end was every byte
before it written. That costs a copy of the compressed bytes; asking a second time (`size - 1`
must not suffice) would cost a second decompression.
"""

from __future__ import annotations

import secrets
from importlib import import_module
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from forebay import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forebay.model import Payload

_SEAL_SIZE: Final = 16
_MATCH_SIZE: Final = 4
_SEQUENCE: Final = b"\x01\x00" + b"\xf0\x01"
"""Gives the block's last sequence the match that it lacks (offset 1, four bytes: its token's low
bits are zero in every block that an LZ4 library writes), then opens one of 16 literals."""


def _bound_decompressor() -> Callable[..., int] | None:
    """What decompresses into given memory and says how many bytes came out, if it is installed."""
    try:
        lz4 = import_module("cramjam").lz4
    except ImportError:
        return None
    decompress: Callable[..., int] = lz4.decompress_block_into
    return decompress


_BOUND: Final = _bound_decompressor()


class Lz4Decompressor:
    """Decompresses LZ4 blocks; not for use from several threads at once."""

    def __init__(self, bound: Callable[..., int] | None = _BOUND) -> None:
        self._bound = bound
        self._codec = pa.Codec("lz4_raw")
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
        if self._bound is None:
            return self._decompress_sealed(payload, size)
        # Of large data much time goes into touching memory for the first time, and huge pages,
        # which the default pool asks for, took two to four times as long as small ones wherever
        # the host did not have them ready.
        pool = pa.system_memory_pool() if size > limits.ALIKE_MESSAGE_BYTES_MAX else None
        buffer = pa.allocate_buffer(size, memory_pool=pool)
        _fill(self._bound, payload, buffer, size)
        return buffer

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
            _fill(self._bound, payload, view[at : at + size], size)
            at += size
        return whole

    def _decompress_sealed(self, payload: Payload, size: int) -> pa.Buffer:
        self._count += 1
        seal = self._secret + self._count.to_bytes(8, "little")
        try:
            buffer = self._codec.decompress(
                b"".join((payload, _SEQUENCE, seal)), size + _MATCH_SIZE + _SEAL_SIZE
            )
        except OSError:
            return self._decompress_unsealed(payload, size)
        if bytes(memoryview(buffer)[-_SEAL_SIZE:]) != seal:
            return self._decompress_unsealed(payload, size)
        return buffer.slice(0, size)

    def _decompress_unsealed(self, payload: Payload, size: int) -> pa.Buffer:
        """For a valid block whose last token has unusual low bits; else raises."""
        try:
            buffer = self._codec.decompress(payload, size)
        except OSError as error:
            msg = f"the LZ4 block is damaged, or holds more than the {size} bytes claimed"
            raise ValueError(msg) from error
        try:
            self._codec.decompress(payload, size - 1)
        except OSError:
            return buffer
        msg = f"the LZ4 block holds less than the {size} bytes claimed"
        raise ValueError(msg)


def _fill(bound: Callable[..., int], payload: Payload, out: object, size: int) -> None:
    try:
        count = bound(payload, out, output_len=size)
    except Exception as error:
        msg = f"the LZ4 block is damaged, or holds more than the {size} bytes claimed"
        raise ValueError(msg) from error
    if count != size:
        msg = f"the LZ4 block holds less than the {size} bytes claimed"
        raise ValueError(msg)
