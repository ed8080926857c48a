from __future__ import annotations

import logging
from typing import Any

import pytest

from forebay import limits
from forebay.hub import EntityDb, Event, StoreHub
from forebay.hub.subscribers import Subscription
from forebay.runtime import Event as Flag
from forebay.runtime import InlineRuntime, NativeRuntime, Runtime, Task, WebWorkerRuntime
from forebay.store import ChunkStore
from tests.chunks import make_chunk
from tests.hub.conftest import PATIENCE_S, added, came, message, numbers, recording_id


class Listener:
    """Collects events, and says when there are as many as asked for."""

    def __init__(self, expected: int) -> None:
        self.events: list[Event] = []
        self.expected = expected
        self.complete = Flag()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) == self.expected:
            self.complete.set()


def test_every_event_once_in_commit_order(runtime: Runtime) -> None:
    db = EntityDb(recording_id(), runtime=runtime, commits_itself=True)
    listener = Listener(200)
    db.subscribe(listener)
    for number in range(200):
        db.submit_arrow_msg(message(number, entity=f"/n/{number}"))
    db.flush(PATIENCE_S)
    assert came(listener.complete, runtime)
    assert added(listener.events) == list(range(200))
    assert [event.event_id for event in listener.events] == list(range(1, 201))


def test_a_hub_hears_every_store(hub: StoreHub, runtime: Runtime) -> None:
    listener = Listener(40)
    hub.subscribe(listener)
    for number in range(20):
        hub.receive_log_msg(message(number, recording_id("a"), f"/n/{number}"))
        hub.receive_log_msg(message(number, recording_id("b"), f"/n/{number}"))
    hub.flush(PATIENCE_S)
    assert came(listener.complete, runtime)
    for name in "ab":
        mine = [event for event in listener.events if event.store_id == recording_id(name)]
        assert added(mine) == list(range(20))


def test_what_cannot_be_called_is_refused(hub: StoreHub) -> None:
    nothing: Any = None
    for subscribe in (hub.subscribe, hub.entity_db(recording_id()).subscribe):
        with pytest.raises(TypeError, match="a function of one ChunkStoreEvent"):
            subscribe(nothing)


def test_unsubscribed_is_unsubscribed(runtime: Runtime) -> None:
    db = EntityDb(recording_id(), runtime=runtime)
    listener, other = Listener(1), Listener(2)
    stop = db.subscribe(listener)
    db.subscribe(other)
    db.add_log_msg(message(0))
    assert came(listener.complete, runtime)
    stop()
    stop()
    db.add_log_msg(message(1, entity="/other"))
    assert came(other.complete, runtime)
    assert len(listener.events) == 1


def test_one_that_raises_harms_nobody(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    db = EntityDb(recording_id(), runtime=runtime, commits_itself=True)
    listener = Listener(10)

    def raising(event: Event) -> None:
        raise ValueError(event.event_id)

    db.subscribe(raising)
    db.subscribe(listener)
    with caplog.at_level(logging.ERROR, "forebay"):
        for number in range(10):
            db.submit_arrow_msg(message(number, entity=f"/n/{number}"))
        db.flush(PATIENCE_S)
        assert came(listener.complete, runtime)
        bad = db.subscriptions[0]
        assert bad.wait_idle(PATIENCE_S)
    assert numbers(db, "/n/3") == [3.0]
    assert bad.num_errors == 10
    assert sum("raised on event" in record.message for record in caplog.records) == 10


def test_a_slow_one_delays_neither_store_nor_others(native: NativeRuntime) -> None:
    db = EntityDb(recording_id(), runtime=native, commits_itself=True)
    arrived, go_on = Flag(), Flag()

    def slow(event: Event) -> None:
        arrived.set()
        assert go_on.wait(PATIENCE_S)
        seen.append(event)

    seen: list[Event] = []
    listener = Listener(100)
    db.subscribe(slow)
    db.subscribe(listener)
    for number in range(100):
        db.submit_arrow_msg(message(number, entity=f"/n/{number}"))
    db.flush(PATIENCE_S)
    assert arrived.wait(PATIENCE_S)
    assert listener.complete.wait(PATIENCE_S)
    go_on.set()
    assert db.subscriptions[0].wait_idle(PATIENCE_S)
    assert seen == listener.events, "late, but every event once and in order"


def test_one_that_never_catches_up_is_ended_and_reported(
    native: NativeRuntime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("forebay.hub.subscribers.SUBSCRIBER_BACKLOG_EVENTS", 10)
    assert limits.SUBSCRIBER_BACKLOG_EVENTS > 10
    db = EntityDb(recording_id(), runtime=native)
    arrived, go_on = Flag(), Flag()

    def stuck(_event: Event) -> None:
        arrived.set()
        assert go_on.wait(PATIENCE_S)

    db.subscribe(stuck)
    db.add_log_msg(message(0))
    assert arrived.wait(PATIENCE_S)
    with caplog.at_level(logging.ERROR, "forebay"):
        for number in range(1, 20):
            db.add_log_msg(message(number, entity=f"/n/{number}"))
    assert not db.subscriptions[0].is_active
    assert any("was unsubscribed" in record.message for record in caplog.records)
    go_on.set()


def test_a_callback_may_query_and_submit(runtime: Runtime) -> None:
    db = EntityDb(recording_id(), runtime=runtime, commits_itself=True)
    done = Flag()

    def react(event: Event) -> None:
        if event.event_id == 1:
            assert numbers(db) == [1.0]
            db.submit_arrow_msg(message(2))
        elif numbers(db) == [1.0, 2.0]:
            done.set()

    db.subscribe(react)
    db.submit_arrow_msg(message(1))
    assert came(done, runtime)


def test_one_that_exits_ends_neither_itself_nor_anybody(native: NativeRuntime) -> None:
    db = EntityDb(recording_id(), runtime=native, commits_itself=True)
    listener = Listener(10)

    def leaving(event: Event) -> None:
        raise SystemExit(event.event_id)

    db.subscribe(leaving)
    db.subscribe(listener)
    for number in range(10):
        db.submit_arrow_msg(message(number, entity=f"/n/{number}"))
    db.flush(PATIENCE_S)
    assert listener.complete.wait(PATIENCE_S)
    assert db.subscriptions[0].wait_idle(PATIENCE_S)
    assert db.subscriptions[0].num_errors == 10


def test_an_interrupt_in_the_callers_own_thread_reaches_the_caller() -> None:
    db = EntityDb(recording_id(), runtime=InlineRuntime())
    seen: list[Event] = []

    def interrupted(event: Event) -> None:
        seen.append(event)
        if len(seen) == 1:
            raise KeyboardInterrupt

    db.subscribe(interrupted)
    with pytest.raises(KeyboardInterrupt):
        db.add_log_msg(message(0))
    db.add_log_msg(message(1, entity="/other"))
    assert added(seen) == [0.0, 1.0], "the next event is delivered as ever"


def test_callbacks_that_hang_hold_up_no_ingestion(native: NativeRuntime) -> None:
    go_on = Flag()

    def hang(_event: Event) -> None:
        assert go_on.wait(PATIENCE_S)

    stuck = [EntityDb(recording_id(str(n)), runtime=native) for n in range(300)]
    try:
        for db in stuck:
            db.subscribe(hang)
            db.add_log_msg(message(0, db.store_id))
        healthy = EntityDb(recording_id("healthy"), runtime=native, commits_itself=True)
        healthy.submit_arrow_msg(message(0, healthy.store_id))
        healthy.flush(PATIENCE_S)
        assert numbers(healthy) == [0.0]
    finally:
        go_on.set()
    assert all(db.subscriptions[0].wait_idle(PATIENCE_S) for db in stuck)


def test_a_callback_may_flush(runtime: Runtime) -> None:
    db = EntityDb(recording_id(), runtime=runtime, commits_itself=True)
    done = Flag()

    def react(event: Event) -> None:
        if event.event_id == 1:
            db.submit_arrow_msg(message(2))
            db.flush(PATIENCE_S)
            assert numbers(db) == [1.0, 2.0]
            done.set()

    db.subscribe(react)
    db.submit_arrow_msg(message(1))
    assert came(done, runtime)


def told(count: int) -> list[Event]:
    store = ChunkStore(recording_id())
    events: list[Event] = []
    for number in range(count):
        events += store.insert(make_chunk(f"/n/{number}", {"frame": [number]}, {"S:x": [[1.0]]}))
    return events


def test_a_subscription_takes_turns_with_others() -> None:
    runtime, seen = WebWorkerRuntime(), list[Event]()
    subscription = Subscription(seen.append, runtime)
    events = told(limits.TURN_MSGS_MAX + 10)
    subscription.offer(events)
    subscription.deliver()
    assert runtime.run_turn()
    assert len(seen) == limits.TURN_MSGS_MAX
    runtime.run_all()
    assert seen == events


def test_what_is_offered_after_the_end_is_not_kept() -> None:
    runtime, seen = WebWorkerRuntime(), list[Event]()
    subscription = Subscription(seen.append, runtime)
    subscription.offer(told(1))
    subscription.cancel()
    subscription.offer(told(2))
    subscription.deliver()
    runtime.run_all()
    assert seen == []
    assert not subscription._backlog


def test_an_event_in_hand_when_ctrl_c_comes_is_told_with_the_next() -> None:
    runtime, seen = WebWorkerRuntime(), list[Event]()
    subscription = Subscription(seen.append, runtime)
    events = told(3)
    subscription.offer(events)
    subscription.deliver()
    lock: Any = subscription._lock

    class Interrupting:
        """Ctrl-C as the lock is let go for the second time: an event was just taken."""

        left = 2

        def __enter__(self) -> None:
            lock.__enter__()

        def __exit__(self, *exception: object) -> None:
            lock.__exit__(*exception)
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    subscription._lock = Interrupting()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        runtime.run_turn()
    subscription._lock = lock
    assert seen == []
    subscription.deliver()
    runtime.run_all()
    assert seen == events


def test_one_subscription_has_one_turn_at_a_time() -> None:
    class Counting(NativeRuntime):
        num_scheduled = 0

        def schedule(self, task: Task) -> None:
            del task
            self.num_scheduled += 1

    runtime = Counting()
    subscription = Subscription(print, runtime)
    for _ in range(3):
        subscription.offer(told(1))
        subscription.deliver()
    assert runtime.num_scheduled == 1


def test_a_turn_too_many_finds_nothing_to_do() -> None:
    runtime, seen = WebWorkerRuntime(), list[Event]()
    nested: list[bool] = []

    def callback(event: Event) -> None:
        nested.append(subscription.run_turn())
        seen.append(event)

    subscription = Subscription(callback, runtime)
    events = told(3)
    subscription.offer(events)
    subscription.deliver()
    runtime.run_all()
    assert (seen, nested) == (events, [False] * 3)
