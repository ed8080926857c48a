"""The budget that all stores of a hub share, and what a message counts for in it."""

from __future__ import annotations

import pytest

from forebay.errors import QueueFullError
from forebay.ingest import ByteBudget, IngestionWorker, message_cost
from forebay.limits import LZ4_RATIO_MAX, MESSAGE_COST_BYTES_MIN
from forebay.model import Compression
from forebay.runtime import NativeRuntime
from tests.ingest.support import (
    SIZE,
    TIMEOUT_S,
    HeldDecoder,
    decode_number,
    decodes,
    in_thread,
    join,
    numbered,
    numbers,
)


def test_stalled_stores_never_take_more_than_the_budget_and_a_message_each(
    native: NativeRuntime,
) -> None:
    held = HeldDecoder()
    budget = ByteBudget(10 * SIZE, runtime=native)
    stalled = [
        IngestionWorker(runtime=native, hub_budget=budget, decoder_factory=lambda: held)
        for _ in range(8)
    ]
    accepted = 0
    for worker in stalled:
        while worker.try_submit(numbered(0)):
            accepted += 1
            assert accepted <= 10 + len(stalled), "the budget lets everything in"
    assert accepted >= len(stalled), "each store may always have one message"
    assert budget.used_bytes == accepted * SIZE
    held.go.set()
    for worker in stalled:
        worker.close(TIMEOUT_S)
        worker.poll()
    assert budget.used_bytes == 0


def test_who_waits_for_the_hubs_bytes_wakes_when_another_store_settles(
    native: NativeRuntime,
) -> None:
    budget = ByteBudget(4 * SIZE, runtime=native)
    greedy, waiting = (
        IngestionWorker(runtime=native, hub_budget=budget, decoder_factory=decodes(decode_number))
        for _ in range(2)
    )
    while greedy.try_submit(numbered(0)):
        pass
    assert waiting.try_submit(numbered(0))
    while waiting.try_submit(numbered(1)):
        pass  # until only the other store's bytes can make room
    assert greedy.wait_processed(timeout=TIMEOUT_S)
    assert waiting.wait_processed(timeout=TIMEOUT_S)
    submitter = in_thread(lambda: waiting.submit(numbered(2), timeout=TIMEOUT_S))
    while not budget._waiting:
        assert submitter.is_alive()
    greedy.poll()
    join(submitter)
    assert waiting.wait_processed(timeout=TIMEOUT_S)
    assert numbers(waiting.poll())[-1] == 2


@pytest.mark.parametrize(
    ("claimed", "cost"),
    [
        (5000, 5000),
        (1000 * LZ4_RATIO_MAX, 1000 * LZ4_RATIO_MAX),
        (1000 * LZ4_RATIO_MAX + 1, 1000),  # no LZ4 block expands so far: a lie
        (1 << 60, 1000),
        (10, 1000),
    ],
)
def test_a_message_costs_what_it_becomes_if_that_can_be_true(claimed: int, cost: int) -> None:
    msg = numbered(0)._replace(
        payload=bytes(1000),
        uncompressed_size=claimed,
        compression=Compression.LZ4,
    )
    assert message_cost(msg) == cost
    assert message_cost(msg._replace(compression=Compression.NONE)) == 1000


def test_even_an_empty_message_costs_something() -> None:
    assert message_cost(numbered(0)._replace(payload=b"")) == MESSAGE_COST_BYTES_MIN


def test_who_gives_bytes_back_is_told_whom_to_wake_urgent_ones_first(
    native: NativeRuntime,
) -> None:
    budget = ByteBudget(4 * SIZE, runtime=native)
    holder, waiting = budget.open_share(), budget.open_share()
    urgent = budget.open_share(urgent=True)
    woken: list[str] = []
    for share in (holder, waiting, urgent):
        assert share.try_charge(SIZE)
    while holder.try_charge(SIZE):
        pass
    assert not waiting.try_charge(SIZE * 4, lambda: woken.append("waiting"))
    assert not urgent.try_charge(SIZE * 4, lambda: woken.append("urgent"))
    for wake in holder.release(holder.held_bytes):
        wake()
    assert woken == ["urgent", "waiting"]
    assert holder.release(0) == [], "once each"


@pytest.mark.parametrize(("num_stores", "share"), [(1, 6), (2, 4), (3, 3)])
def test_a_store_holds_as_much_as_is_left_for_the_next(
    native: NativeRuntime, num_stores: int, share: int
) -> None:
    """Alone a half, one of two a third: it is what is held already that counts, too."""
    budget = ByteBudget(12 * SIZE, runtime=native)
    shares = [budget.open_share() for _ in range(num_stores)]
    while sum(one.try_charge(SIZE) for one in shares):
        pass
    assert [one.held_bytes for one in shares] == [share * SIZE] * num_stores


def test_a_dropped_store_is_busy_no_more(native: NativeRuntime) -> None:
    budget = ByteBudget(10 * SIZE, runtime=native)
    share = budget.open_share()
    assert share.try_charge(SIZE)
    assert budget.num_busy == 1
    del share
    assert budget.num_busy == 0
    assert budget.used_bytes == 0


def test_a_store_with_nothing_in_flight_may_always_have_one_message(native: NativeRuntime) -> None:
    budget = ByteBudget(10 * SIZE, runtime=native)
    first, second = budget.open_share(), budget.open_share()
    assert first.try_charge(100 * SIZE)
    assert second.try_charge(100 * SIZE)
    assert not first.try_charge(1)
    first.release(100 * SIZE)
    assert first.try_charge(1)


def test_who_gave_up_waiting_is_woken_by_nobody(native: NativeRuntime) -> None:
    held = HeldDecoder()
    budget = ByteBudget(2 * SIZE, runtime=native)
    worker = IngestionWorker(runtime=native, hub_budget=budget, decoder_factory=lambda: held)
    worker.submit(numbered(0))
    with pytest.raises(QueueFullError):
        worker.submit(numbered(1), timeout=0.001)
    assert budget._waiting == {}
    held.go.set()
    worker.close(TIMEOUT_S)
