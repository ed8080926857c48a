"""The budget that all stores of a hub share, and what a message counts for in it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.errors import QueueFullError
from forebay.ingest import ByteBudget, IngestionWorker, Outcome, message_cost
from forebay.limits import LZ4_RATIO_MAX, MESSAGE_COST_BYTES_MIN
from forebay.model import Compression
from forebay.runtime import InlineRuntime, NativeRuntime, Runtime
from tests.ingest.support import (
    SIZE,
    STORE,
    TIMEOUT_S,
    HeldDecoder,
    decode_number,
    decodes,
    in_thread,
    join,
    numbered,
    numbers,
    rejected,
)


def test_stalled_stores_never_take_more_than_the_budget(native: NativeRuntime) -> None:
    held = HeldDecoder()
    budget = ByteBudget(100 * SIZE, runtime=native)
    stalled = [
        IngestionWorker(runtime=native, hub_budget=budget, decoder_factory=lambda: held)
        for _ in range(30)
    ]
    accepted = []
    for worker in stalled:
        accepted.append(0)
        while worker.try_submit(numbered(0)):
            accepted[-1] += 1
            assert budget.used_bytes <= 100 * SIZE
    assert min(accepted[:6]) >= 1, "those that stand still leave room for the next"
    assert budget.used_bytes == sum(accepted) * SIZE
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
    budget = ByteBudget(8 * SIZE, runtime=native)
    holder, waiting = budget.open_share(), budget.open_share()
    urgent = budget.open_share(urgent=True)
    woken: list[str] = []
    assert holder.try_charge(6 * SIZE)
    assert not waiting.try_charge(4 * SIZE, lambda: woken.append("waiting"))
    assert not urgent.try_charge(3 * SIZE, lambda: woken.append("urgent"))
    assert holder.release(0) == [], "there is no room yet"
    for wake in holder.release(6 * SIZE):
        wake()
    assert woken == ["urgent", "waiting"]
    assert waiting.try_charge(4 * SIZE)
    assert urgent.stop_waiting() == []
    assert holder.release(0) == [], "none waits any more"


@pytest.mark.parametrize(("num_stores", "share"), [(1, 6), (2, 4), (3, 3)])
def test_a_store_holds_as_much_as_is_left_for_the_next(
    native: NativeRuntime, num_stores: int, share: int
) -> None:
    """Of what is above the floor: alone a half, one of two a third."""
    budget = ByteBudget(14 * SIZE, runtime=native)
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


def test_however_many_stores_stand_still_the_next_one_has_its_message(
    native: NativeRuntime,
) -> None:
    """Each of them takes all that it may, one after the other."""
    budget = ByteBudget(1 << 20, runtime=native)
    stuck = [budget.open_share() for _ in range(50)]
    for share in stuck:
        assert share.try_charge(1000)
        while share.try_charge(1000):
            pass
    for number in range(20):
        other = budget.open_share()
        assert other.try_charge(1000), number
        other.release(1000)


class TestTheOneThatWaitsLongest:
    """A store that holds nothing gets its turn, however large its message is."""

    def budget(self, native: NativeRuntime) -> ByteBudget:
        return ByteBudget(80 * SIZE, runtime=native)

    def test_all_that_is_given_back_is_kept_for_it(self, native: NativeRuntime) -> None:
        budget = self.budget(native)
        large, other = budget.open_share(), budget.open_share()
        small = [budget.open_share() for _ in range(4)]
        woken: list[str] = []
        for share in small:
            assert share.try_charge(10 * SIZE)
        assert not large.try_charge(60 * SIZE, lambda: woken.append("large"))
        assert not other.try_charge(30 * SIZE, lambda: woken.append("other"))
        assert not small[0].try_charge(11 * SIZE), "beyond the floor it would starve the other"
        for share in small[:2]:
            for wake in share.release(10 * SIZE):
                wake()
        assert woken == []
        for wake in small[2].release(10 * SIZE):
            wake()
        assert woken == ["large"]
        assert not other.try_charge(30 * SIZE, lambda: woken.append("other"))
        assert large.try_charge(60 * SIZE)
        budget.validate()
        for wake in large.release(60 * SIZE):
            wake()
        assert woken == ["large", "other"]

    def test_small_messages_go_by_meanwhile(self, native: NativeRuntime) -> None:
        budget = self.budget(native)
        stuck, large = budget.open_share(), budget.open_share()
        assert stuck.try_charge(40 * SIZE)
        assert not large.try_charge(60 * SIZE, lambda: None)
        others = [budget.open_share() for _ in range(5)]
        for _ in range(100):
            for other in others:
                assert other.try_charge(SIZE)
            for other in others:
                other.release(SIZE)
        budget.validate()

    def test_one_that_gives_up_lets_the_others_go_on(self, native: NativeRuntime) -> None:
        budget = self.budget(native)
        stuck, large, other = (budget.open_share() for _ in range(3))
        woken: list[str] = []
        assert stuck.try_charge(40 * SIZE)
        assert not large.try_charge(60 * SIZE, lambda: woken.append("large"))
        assert not other.try_charge(20 * SIZE, lambda: woken.append("other"))
        for wake in large.stop_waiting():
            wake()
        assert woken == ["other"]
        assert other.try_charge(20 * SIZE)

    def test_as_large_as_the_budget_is_as_large_as_it_gets(self, native: NativeRuntime) -> None:
        budget = self.budget(native)
        first, second = budget.open_share(), budget.open_share()
        assert not first.try_charge(80 * SIZE + 1)
        assert first.try_charge(80 * SIZE)
        assert not second.try_charge(1)
        first.release(80 * SIZE)
        assert second.try_charge(1)


SIZES = st.sampled_from([1, 2, 3, 10, 25, 40, 70, 100])


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["charge", "release", "give up"]), SIZES),
        max_size=60,
    )
)
def test_never_above_the_limit_and_each_that_waits_is_served_in_the_end(
    steps: list[tuple[int, str, int]],
) -> None:
    budget = ByteBudget(100, runtime=InlineRuntime())
    shares = [budget.open_share(urgent=number == 4) for number in range(5)]
    wanted: dict[int, int] = {}
    for number, what, size in steps:
        share = shares[number]
        if what == "charge" and share.try_charge(size, lambda: None):
            wanted.pop(number, None)
        elif what == "charge":
            wanted[number] = min(size, wanted.get(number, size))
        elif what == "release":
            share.release(min(size, share.held_bytes))
        else:
            share.stop_waiting()
            wanted.pop(number, None)
        budget.validate()
        assert sum(one.held_bytes for one in shares) == budget.used_bytes
    # All that is in flight settles, and those that are woken ask again: none is left waiting.
    for share in shares:
        share.release(share.held_bytes)
    for _ in range(5):
        for number, size in list(wanted.items()):
            if shares[number].try_charge(size, lambda: None):
                shares[number].release(size)
                del wanted[number]
    assert not wanted
    assert not budget._waiting


def test_a_message_larger_than_the_budget_is_rejected_by_name(runtime: Runtime) -> None:
    budget = ByteBudget(10 * SIZE, runtime=runtime)
    worker = IngestionWorker(
        store_id=STORE, runtime=runtime, hub_budget=budget, decoder_factory=decodes(decode_number)
    )
    worker.submit(numbered(1))
    worker.submit(numbered(2, 11 * SIZE), "camera")
    assert worker.try_submit(numbered(3, 11 * SIZE))
    worker.submit_many([numbered(4), numbered(5, 20 * SIZE), numbered(6)])
    assert worker.wait_processed(timeout=TIMEOUT_S)
    outcomes = worker.poll()
    assert numbers(outcomes) == [1, -2, -3, 4, -5, 6], "at their places"
    assert worker.stats().rejected_by_reason == {"hub_budget": 3}
    [first, *_] = rejected(outcomes)
    assert (first.source, first.size_bytes, first.store_id) == ("camera", 0, STORE)
    assert "the hub's budget is 10,000" in str(first.error)
    assert budget.used_bytes == 0
    worker.validate()


def test_a_message_larger_than_a_message_may_be_is_rejected_by_name(runtime: Runtime) -> None:
    worker = IngestionWorker(
        runtime=runtime,
        message_bytes_max=2 * SIZE,
        hub_budget=ByteBudget(8 * SIZE, runtime=runtime),
        decoder_factory=decodes(decode_number),
    )
    claims = numbered(2)._replace(compression=Compression.LZ4, uncompressed_size=3 * SIZE)
    more = claims._replace(uncompressed_size=9 * SIZE)
    worker.submit_many([numbered(0, 2 * SIZE), numbered(1, 2 * SIZE + 1), claims, more])
    assert worker.wait_processed(timeout=TIMEOUT_S)
    assert numbers(worker.poll()) == [0, -2, 2, -4]
    assert worker.stats().rejected_by_reason == {"message_bytes_max": 1, "hub_budget": 1}


def test_one_thread_that_owns_two_stores_never_waits_for_itself(native: NativeRuntime) -> None:
    """The output of one store takes the bytes that a message of the other one needs."""
    budget = ByteBudget(10 * SIZE, runtime=native)
    polled: dict[str, list[Outcome]] = {"a": [], "b": []}
    workers: dict[str, IngestionWorker] = {}
    for name in polled:

        def commit(name: str = name) -> None:
            polled[name] += workers[name].poll()

        workers[name] = IngestionWorker(
            runtime=native,
            hub_budget=budget,
            on_full=commit,
            decoder_factory=decodes(decode_number),
        )
    for number in range(20):
        workers["ab"[number % 2]].submit(numbered(number, 8 * SIZE))
    for name, worker in workers.items():
        assert worker.wait_processed(timeout=TIMEOUT_S)
        polled[name] += worker.poll()
    assert numbers(polled["a"]) == list(range(0, 20, 2))
    assert numbers(polled["b"]) == list(range(1, 20, 2))


def test_a_store_that_is_dropped_leaves_its_bytes_to_those_that_wait(
    native: NativeRuntime,
) -> None:
    budget = ByteBudget(10 * SIZE, runtime=native)
    dropped, waiting = (
        IngestionWorker(runtime=native, hub_budget=budget, decoder_factory=decodes(decode_number))
        for _ in range(2)
    )
    dropped.submit(numbered(0, 8 * SIZE))
    assert dropped.wait_processed(timeout=TIMEOUT_S)
    assert native.join(TIMEOUT_S)
    submitter = in_thread(lambda: waiting.submit(numbered(1, 8 * SIZE), timeout=TIMEOUT_S))
    while not budget._waiting:
        assert submitter.is_alive()
    del dropped
    join(submitter)
    assert waiting.wait_processed(timeout=TIMEOUT_S)


CLAIMS = """
import resource
import forebay
from forebay.hub import StoreHub
from forebay.model import Compression, StoreId
from forebay.runtime import run_in_parallel
from forebay.codec.chunks import lz4
from tests.hub.conftest import message

def compressed_zeros(size):  # one literal, then one match that repeats it
    matched = size - 1 - 5 - 4
    head = bytes([0x1F, 0, 1, 0])
    full, rest = divmod(matched - 15, 255)
    return head + bytes([255]) * full + bytes([rest]) + bytes([0x50]) + bytes(5)

SIZE = 64 << 20
payload = compressed_zeros(SIZE)
hub = StoreHub(hub_budget=2 * SIZE)

def send(number):
    msg = message(0, StoreId.recording("app", str(number)))
    hub.receive_log_msg(
        msg._replace(payload=payload, uncompressed_size=SIZE, compression=Compression.LZ4)
    )

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run_in_parallel([lambda n=n: send(n) for n in range(12)], "test", 12)
hub.flush()
total = hub.ingestion_stats().total
assert total.accepted == total.rejected == 12, total
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def test_what_twelve_stores_claim_at_once_stays_within_the_budget() -> None:
    """Twelve times 64 MiB of zeros from 257 KiB each, against a budget of 128 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", CLAIMS], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2 * 128 + 100, "MiB more than before; all at once are 768"


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
