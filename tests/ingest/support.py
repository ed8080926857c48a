"""Numbered messages, and decoders that wait, fail or count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, cast

from forebay.chunk import Chunk
from forebay.ingest import Decode, IngestionWorker, Outcome, ProcessedChunk, RejectedMsg
from forebay.model import ArrowMsg, ChunkId, StoreId
from forebay.runtime import InlineRuntime

STORE = StoreId.recording("app", "run")
TIMEOUT_S = 30.0
"""Only ever waited for by a test that fails."""
SIZE = 1000
"""Bytes that a numbered message counts for."""


def numbered(number: int, size: int = SIZE, store_id: StoreId = STORE) -> ArrowMsg:
    payload = number.to_bytes(8, "big") + bytes(size - 8)
    return ArrowMsg(store_id, payload, chunk_id=ChunkId.from_parts(number, 7), byte_offset=number)


def number_of(msg: ArrowMsg) -> int:
    return int.from_bytes(bytes(msg.payload[:8]), "big")


def decode_number(msg: ArrowMsg) -> Chunk:
    """Stands for decoding: the "chunk" is the number."""
    return cast("Chunk", number_of(msg))


def decodes(decode: Callable[[ArrowMsg], Any]) -> Callable[[], Decode]:
    return lambda: decode


def numbers(outcomes: Sequence[Outcome]) -> list[int]:
    """The numbers of chunks; -1 - seq for rejections."""
    return [
        cast("int", out.chunk) if isinstance(out, ProcessedChunk) else -1 - out.seq
        for out in outcomes
    ]


def rejected(outcomes: Sequence[Outcome]) -> list[RejectedMsg]:
    return [out for out in outcomes if isinstance(out, RejectedMsg)]


class HeldDecoder:
    """Decodes nothing until told, and says when it has begun."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self, msg: ArrowMsg) -> Chunk:
        self.began.set()
        assert self.go.wait(TIMEOUT_S)
        return decode_number(msg)


class Failing:
    """Raises on the numbers it is given."""

    def __init__(self, errors: dict[int, BaseException]) -> None:
        self.errors = errors

    def __call__(self, msg: ArrowMsg) -> Chunk:
        if (error := self.errors.get(number_of(msg))) is not None:
            raise error
        return decode_number(msg)


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def join(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive(), "deadlock"


class OneAtATime(IngestionWorker):
    """A worker whose turns are of one message each."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._turns.msgs_max = 1


class ManualClock(InlineRuntime):
    """Turns in the caller, at times that the test sets."""

    now_s = 0.0
    wall_ns: Iterator[int] = repeat(0)

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_clock_ns(self) -> int:
        return next(self.wall_ns)
