"""`DecoderPool`: the decoders that the stores of a hub share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from forebay.chunk import Chunk
from forebay.limits import DECODERS_FREE_MAX
from forebay.model import ArrowMsg

if TYPE_CHECKING:
    from forebay.runtime import Runtime

Decode: TypeAlias = Callable[[ArrowMsg], Chunk]
"""Turns a message into a chunk; any exception that it raises rejects that message."""


class DecoderPool:
    """Makes decoders, and keeps those that no store uses at the moment.

    A decoder learns the schemas that it meets, which costs more than decoding with them. A store
    without messages has no use for what its decoder learned, but other stores of the same program
    have. So ten thousand quiet stores hold no decoder, and a new store need not learn the schemas
    again. At most `limits.DECODERS_FREE_MAX` decoders are kept.

    Thread-safe. One turn uses a decoder at a time.
    """

    __slots__ = {
        "_free": "Decoders that no store uses, the one given back last at the end.",
        "_lock": "Guards `_free`; no other lock is taken while it is held.",
        "_make": "Makes a decoder.",
    }

    def __init__(self, make: Callable[[], Decode], runtime: Runtime) -> None:
        self._make = make
        self._lock = runtime.lock()
        self._free: list[Decode] = []

    def __call__(self) -> Decode:
        """Return the decoder given back last (its data may still be cached), or a new one."""
        with self._lock:
            if self._free:
                return self._free.pop()
        return self._make()

    def give_back(self, decode: Decode) -> None:
        """Let other stores use a decoder."""
        with self._lock:
            if len(self._free) < DECODERS_FREE_MAX:
                self._free.append(decode)
