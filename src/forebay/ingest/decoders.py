"""`DecoderPool`: the decoders that a hub's stores take turns with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.limits import DECODERS_FREE_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.ingest.state import Decode
    from forebay.runtime import Runtime


class DecoderPool:
    """Makes decoders, and takes back those that nobody needs at this moment.

    A decoder learns the schemas that it meets, which costs more than decoding with them. A store
    that went quiet has no use for what was learnt; another of the same program has: so ten
    thousand quiet stores hold no decoder, and those that follow need not learn it all again.

    Safe from any thread. A decoder is with one turn at a time.
    """

    __slots__ = ("_free", "_lock", "_make")

    def __init__(self, make: Callable[[], Decode], runtime: Runtime) -> None:
        self._make = make
        self._lock = runtime.lock()
        self._free: list[Decode] = []

    def __call__(self) -> Decode:
        """A decoder: the one given back last, which is likely still in the processor's cache."""
        with self._lock:
            if self._free:
                return self._free.pop()
        return self._make()

    def give_back(self, decode: Decode) -> None:
        """Let others use a decoder."""
        with self._lock:
            if len(self._free) < DECODERS_FREE_MAX:
                self._free.append(decode)
