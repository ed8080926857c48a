"""LZ4 blocks, decompressed to exactly the size that was claimed, or not at all.

pyarrow's codec takes the claimed size for the true one: if a block holds less, the rest of the
buffer is whatever memory held before, other senders' data included. So each block is extended by
a literal that nobody can know beforehand; only if it comes out at the very end was every byte
before it written. That costs a copy of the compressed bytes; asking a second time (`size - 1`
must not suffice) would cost a second decompression.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from forebay import limits

if TYPE_CHECKING:
    from forebay.model import Payload

_SEAL_SIZE: Final = 16
_MATCH_SIZE: Final = 4
_SEQUENCE: Final = b"\x01\x00" + b"\xf0\x01"
"""Gives the block's last sequence the match that it lacks (offset 1, four bytes: its token's low
bits are zero in every block that an LZ4 library writes), then opens one of 16 literals."""


class Lz4Decompressor:
    """Decompresses LZ4 blocks; not for use from several threads at once."""

    def __init__(self) -> None:
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
