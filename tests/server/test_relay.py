from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.limits import RELAY_BATCH_BYTES, RELAY_BATCH_MSGS
from forebay.model import ArrowMsg, LogMsg, SetStoreInfo, StoreId, StoreInfo
from forebay.runtime import default_runtime, spawn
from forebay.server.relay import Cut, Relay, RelayReader

A = StoreId.recording("app", "a")
B = StoreId.recording("app", "b")
BLUEPRINT = StoreId.blueprint("app", "b")


def relay(budget_bytes: int = 1 << 20) -> Relay:
    return Relay(budget_bytes, default_runtime())


def temporal(store_id: StoreId = A) -> LogMsg:
    return ArrowMsg(store_id, b"", is_static=False)


def static(store_id: StoreId = A) -> LogMsg:
    return ArrowMsg(store_id, b"", is_static=True)


def info(store_id: StoreId = A) -> LogMsg:
    return SetStoreInfo(StoreInfo(store_id))


def drain(reader: RelayReader, relay: Relay) -> list[bytes]:
    """Everything up to the end of the log as it is now."""
    got: list[bytes] = []
    while reader.cursor < relay.num_messages:
        batch = relay.next_batch(reader)
        if not batch:
            break
        got += batch
    return got


def test_a_reader_gets_all_from_the_beginning_in_order() -> None:
    r = relay()
    sent = [b"%d" % i for i in range(3 * RELAY_BATCH_MSGS + 7)]
    for data in sent[:100]:
        r.publish(temporal(), data)
    early = r.reader()
    got = drain(early, r)
    for data in sent[100:]:
        r.publish(temporal(), data)
    assert got + drain(early, r) == sent
    assert drain(r.reader(), r) == sent


def test_batches_are_bounded_in_bytes() -> None:
    r = relay(64 << 20)
    for _ in range(5):
        r.publish(temporal(), bytes(RELAY_BATCH_BYTES * 2 // 3))
    reader = r.reader()
    assert len(r.next_batch(reader)) == 2


def test_a_waiting_reader_wakes_for_news_and_for_the_end() -> None:
    r = relay()
    reader = r.reader()
    got: list[bytes] = []
    thread = spawn("reader", lambda: got.extend(reader))
    r.publish(temporal(), b"x")
    r.publish(temporal(), b"y")
    r.close()
    assert thread.join(30)
    assert got == [b"x", b"y"]
    assert reader.cut is Cut.CLOSED


def test_closing_a_reader_ends_it_alone() -> None:
    r = relay()
    gone, stays = r.reader(), r.reader()
    got: list[bytes] = []
    threads = [spawn("gone", lambda: list(gone)), spawn("stays", lambda: got.extend(stays))]
    gone.close()
    assert threads[0].join(30)
    assert gone.cut is None
    r.publish(temporal(), b"x")
    r.close()
    assert threads[1].join(30)
    assert got == [b"x"]


def test_memory_stays_within_the_budget_whoever_does_not_read() -> None:
    r = relay(100_000)
    stuck = r.reader()
    for i in range(2000):
        r.publish(static() if i % 3 else temporal(), bytes(1000))
        assert r.size_bytes <= 100_000
    assert stuck.cursor == 0


def test_one_message_above_the_budget_still_gets_through() -> None:
    r = relay(1000)
    reader = r.reader()
    r.publish(temporal(), b"small")
    assert drain(reader, r) == [b"small"]
    r.publish(temporal(), bytes(5000))
    assert drain(reader, r) == [bytes(5000)]


def test_a_reader_that_was_overtaken_is_cut() -> None:
    r = relay(10_000)
    reader, healthy = r.reader(), r.reader()
    r.publish(temporal(), b"first")
    assert drain(reader, r) == [b"first"]
    for _ in range(100):
        r.publish(temporal(), bytes(1000))
        drain(healthy, r)
    assert r.next_batch(reader) == []
    assert reader.cut is Cut.OVERTAKEN
    assert healthy.cut is None


def test_a_late_reader_gets_what_must_not_be_missed() -> None:
    r = relay(10_000)
    r.publish(info(A), b"info a")
    r.publish(info(B), b"info b")
    r.publish(static(A), b"static a")
    r.publish(temporal(BLUEPRINT), b"blueprint")
    for i in range(100):
        r.publish(temporal(A), b"%03d" % i + bytes(500))
    got = drain(r.reader(), r)
    assert got[:4] == [b"info a", b"info b", b"static a", b"blueprint"]
    assert len(got) == len(set(got))
    numbers = [int(data[:3]) for data in got[4:]]
    assert numbers == list(range(numbers[0], 100))
    assert numbers[0] > 0


def test_the_latest_info_of_each_store_outlives_any_flood() -> None:
    r = relay(10_000)
    r.publish(info(A), b"old info a")
    r.publish(info(A), b"info a")
    for _ in range(100):
        r.publish(static(B), bytes(1000))
    got = drain(r.reader(), r)
    assert got[0] == b"info a"
    assert b"old info a" not in got


def test_infos_are_counted_and_bounded() -> None:
    """They outlive other messages, so a sender of many stores could make them grow without end."""
    r = relay(100_000)
    for number in range(1000):
        r.publish(info(StoreId.recording("app", str(number))), bytes(1000))
        assert r.held_bytes <= 100_000
    last = b"the latest"
    r.publish(info(A), last)
    for _ in range(200):
        r.publish(temporal(B), bytes(1000))
    assert last in drain(r.reader(), r)


def test_what_readers_hold_is_counted() -> None:
    r = relay(10_000)
    readers = [r.reader() for _ in range(3)]
    r.publish(temporal(), bytes(3000))
    before = r.held_bytes
    for reader in readers:
        r.next_batch(reader)
    assert r.held_bytes == before, "the same bytes, held by four"
    for _ in range(20):
        r.publish(temporal(), bytes(100))
    assert r.held_bytes >= before
    for reader in readers:
        reader.close()
    assert r.held_bytes == r.size_bytes


def test_readers_that_stall_are_cut_when_only_they_hold_too_much() -> None:
    r = relay(10_000)
    told: list[int] = []
    healthy = r.reader(lambda: told.append(-1))
    stalled = []
    for number in range(10):
        r.publish(temporal(), bytes(4000))
        drain(healthy, r)
        reader = r.reader(lambda number=number: told.append(number))  # type: ignore[misc]
        drain(reader, r)
        stalled.append(reader)
        for _ in range(3):
            r.publish(temporal(), bytes(3000))
            drain(healthy, r)
        assert r.held_bytes <= 10_000 + 4000 + 1000
    assert -1 not in told
    assert told == sorted(told), "those furthest behind first"
    assert len(told) >= 8
    assert all(stalled[number].cut is Cut.OVERTAKEN for number in told)
    assert r.next_batch(stalled[told[0]]) == []


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("iste"), st.integers(0, 3000))
        | st.tuples(st.sampled_from("rco"), st.integers(0, 3)),
        max_size=80,
    ),
    st.sampled_from([0, 1, 5000, 20_000]),
)
def test_what_is_held_is_what_the_process_holds(
    steps: list[tuple[str, int]], budget_bytes: int
) -> None:
    """`held_bytes` against a count of all that can be reached, whatever happens in what order."""
    r = relay(budget_bytes)
    readers: list[RelayReader] = [r.reader() for _ in range(4)]
    for step, number in steps:
        match step:
            case "i":
                r.publish(info(StoreId.recording("app", str(number % 5))), bytes(number))
            case "s":
                r.publish(static(), bytes(number))
            case "t" | "e":
                r.publish(temporal(), bytes(number))
            case "r":
                if readers[number].cursor < r.num_messages and readers[number].cut is None:
                    r.next_batch(readers[number])
            case "c":
                readers[number].close()
            case _:
                readers[number] = _replaced(r, readers[number])
        assert r.held_bytes == _reachable_bytes(r, readers)


def _replaced(r: Relay, reader: RelayReader) -> RelayReader:
    reader.close()
    return r.reader()


def _reachable_bytes(r: Relay, readers: list[RelayReader]) -> int:
    entries = {*r._infos.values()}
    for log in (r._recent, r._lasting):
        entries.update(log.entries[log.start :])
    for reader in readers:
        entries.update(reader.batch)
    return sum(entry.size_bytes for entry in entries)


@pytest.mark.parametrize("budget_bytes", [0, 1])
def test_without_a_budget_live_messages_still_pass(budget_bytes: int) -> None:
    r = relay(budget_bytes)
    reader = r.reader()
    for i in range(10):
        r.publish(temporal(), b"%d" % i)
        assert drain(reader, r) == [b"%d" % i]
