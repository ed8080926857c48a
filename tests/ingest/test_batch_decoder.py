"""A batch becomes outcomes, without a worker: slices of time, faults, interrupts, decoders."""

from __future__ import annotations

from typing import Any

import pytest

from forebay.ingest.batch_decoder import BatchDecoder, DecodedBatch
from forebay.ingest.core import Batch
from forebay.ingest.queue import Entry
from forebay.model import ArrowMsg
from tests.ingest.support import SIZE, Failing, decode_number, decodes, numbered, numbers, rejected


def batch(count: int) -> Batch:
    entries = [Entry(numbered(number), None, SIZE, 0.0, number) for number in range(count)]
    return Batch(0, entries, count * SIZE)


def made(decode: Any, clock: Any = lambda: 0.0) -> BatchDecoder:
    return BatchDecoder(decodes(decode), clock, lambda: 0)


def decoded(decoder: BatchDecoder, count: int, until_s: float = 1.0) -> DecodedBatch:
    return decoder.decode(batch(count), decoder.make(), until_s)


def test_decoding_ends_after_the_message_at_which_time_is_up() -> None:
    now_s = 0.0

    def decode(msg: ArrowMsg) -> Any:
        nonlocal now_s
        now_s += 0.4
        return decode_number(msg)

    decoder = made(decode, lambda: now_s)
    assert numbers(decoded(decoder, 10).outcomes) == [0, 1, 2]
    assert numbers(decoded(decoder, 10).outcomes) == [0], "one at least"


def test_a_fault_rejects_its_message_alone() -> None:
    found = decoded(made(Failing({1: MemoryError(), 2: ValueError("bad")})), 4)
    assert numbers(found.outcomes) == [0, -2, -3, 3]
    assert [one.reason for one in rejected(found.outcomes)] == ["MemoryError", "ValueError"]
    assert found.interrupt is None


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit()])
def test_a_message_that_interrupts_twice_is_rejected(interrupt: BaseException) -> None:
    decoder = made(Failing({1: interrupt}))
    first = decoded(decoder, 3)
    assert (numbers(first.outcomes), first.interrupt) == ([0], interrupt)
    assert decoder.interrupted_seq == 1
    second = decoded(decoder, 3)
    assert (numbers(second.outcomes), second.interrupt) == ([0, -2], interrupt)


def test_without_a_decoder_each_message_is_rejected() -> None:
    def fails() -> Any:
        raise OSError

    decoder = BatchDecoder(fails, lambda: 0.0, lambda: 0)
    assert [one.reason for one in rejected(decoded(decoder, 2).outcomes)] == ["OSError"] * 2


def test_a_worker_uses_its_decoders_again() -> None:
    decoder = made(decode_number)
    assert decoder.borrow() is None
    mine = decoder.make()
    decoder.give_back(mine)
    decoder.release_free()
    assert decoder.num_free == 1, "there is no pool to give it to"
    assert decoder.borrow() is mine
    assert decoder.num_free == 0
