from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("budget_bytes", [0, 1])
def test_without_a_budget_live_messages_still_pass(budget_bytes: int) -> None:
    r = relay(budget_bytes)
    reader = r.reader()
    for i in range(10):
        r.publish(temporal(), b"%d" % i)
        assert drain(reader, r) == [b"%d" % i]


def test_all_that_is_kept_counts_infos_too() -> None:
    kept = relay(1000)
    for number in range(20):
        kept.publish(info(StoreId.recording("app", str(number % 10))), bytes(100))
    assert kept.held_bytes == kept.size_bytes + 10 * (100 + 128)
