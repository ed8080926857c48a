from __future__ import annotations

from forebay.hub import App, EntityDb, StoreHub, WorkerOutput
from forebay.hub.subscribers import Event
from forebay.runtime import NativeRuntime, WebWorkerRuntime
from tests.hub.conftest import PATIENCE_S, Gate, added, broken, message, numbers, recording_id


def processed(hub: StoreHub) -> None:
    """Wait until every worker is done, without committing anything."""
    for db in hub:
        if db._pipeline._worker is not None:
            assert db._pipeline._worker.wait_processed(timeout=PATIENCE_S)


def ticks(app: App) -> list[Event]:
    """The events of as many frames as it takes: on a busy machine one may be over too soon."""
    events: list[Event] = []
    while found := app.tick():
        events += found
    return events


def test_nothing_is_committed_but_by_the_loop(hub: StoreHub) -> None:
    app = App(hub)
    for number in range(10):
        app.receive_log_msg(message(number))
    processed(hub)
    assert hub.recording("rec").num_rows == 0
    assert added(ticks(app)) == list(range(10))
    assert numbers(hub.recording("rec")) == list(range(10))
    assert app.tick() == []


def test_an_app_makes_its_own_hub() -> None:
    with App() as app:
        app.receive_log_msg(message(0))
    assert numbers(app.hub.recording("rec")) == [0.0]


def test_close_commits_all_and_gives_the_hub_its_own_pace_back(hub: StoreHub) -> None:
    app = App(hub)
    for number in range(300):
        app.receive_log_msg(message(number, recording_id("ab"[number % 2])))
    events = app.close(PATIENCE_S)
    assert len(added(events)) == 300
    assert app.close() == []
    app.receive_log_msg(message(300, recording_id("a")))
    hub.flush(PATIENCE_S)
    assert numbers(hub.recording("a"))[-1] == 300.0


def test_events_of_a_poll_are_those_of_good_messages(hub: StoreHub) -> None:
    app = App(hub)
    for msg in [message(0), broken(), message(1)]:
        app.receive_log_msg(msg)
    processed(hub)
    assert added(ticks(app)) == [0.0, 1.0]
    assert hub.recording("rec").ingestion_stats().rejected == 1


def test_a_spent_budget_ends_the_frame_and_the_next_store_is_first_in_the_next(
    hub: StoreHub,
) -> None:
    app = App(hub)
    for name in "abc":
        for number in range(5):
            app.receive_log_msg(message(number, recording_id(name)))
    processed(hub)
    served = [{e.store_id for e in app.process_ingestion_worker_output(0)} for _ in range(3)]
    assert served == [{recording_id(name)} for name in "abc"]


def test_a_flooded_store_shares_the_frame(native: NativeRuntime) -> None:
    hub = StoreHub(runtime=native)
    app = App(hub)
    for number in range(1000):
        app.receive_log_msg(message(number, recording_id("flooded")))
    app.receive_log_msg(message(7, recording_id("calm")))
    processed(hub)
    calm = [
        at
        for at, event in enumerate(app.process_ingestion_worker_output(float("inf")))
        if event.store_id == recording_id("calm")
    ]
    assert calm
    assert calm[0] < 200, "after a turn's worth of the flooded store, not after all of it"
    assert numbers(hub.recording("flooded")) == list(range(1000))


def test_a_full_queue_never_locks_the_loop_that_would_empty_it(hub: StoreHub) -> None:
    small = StoreHub(runtime=hub.runtime, store_budget=4096)
    with App(small) as app:
        for number in range(500):
            app.receive_log_msg(message(number))
    assert numbers(small.recording("rec")) == list(range(500))


def test_a_stuck_store_does_not_keep_the_loop(gate: Gate, native: NativeRuntime) -> None:
    hub = StoreHub(runtime=native, decoder_factory=gate)
    app = App(hub)
    gate.held.add(recording_id("stuck"))
    app.receive_log_msg(message(0, recording_id("stuck")))
    assert gate.arrived.wait(PATIENCE_S)
    app.receive_log_msg(message(1, recording_id("free")))
    hub.recording("free").flush(PATIENCE_S)
    assert added(app.tick()) == [1.0]
    gate.open.set()
    assert added(app.close(PATIENCE_S)) == [0.0]


def test_outputs_name_the_chunk_and_whether_the_store_was_empty(hub: StoreHub) -> None:
    db = EntityDb(recording_id(), runtime=hub.runtime)
    db.submit_arrow_msg(message(0))
    db.flush(PATIENCE_S)
    (output,) = db.poll_worker_output()
    assert isinstance(output, WorkerOutput)
    chunk, was_empty, result = output.chunk, output.was_empty, output.result
    assert chunk is not None
    assert was_empty
    assert isinstance(result, list)


def test_after_close_the_hub_commits_without_being_asked(hub: StoreHub) -> None:
    app = App(hub)
    app.close(PATIENCE_S)
    app.receive_log_msg(message(0))
    if isinstance(hub.runtime, NativeRuntime):
        assert hub.runtime.join(PATIENCE_S), "the worker commits before its thread ends"
    if isinstance(hub.runtime, WebWorkerRuntime):
        hub.runtime.run_all()
    assert numbers(hub.recording("rec")) == [0.0]
