"""Ctrl-C in the main thread, at any line: no store is stuck after it, and no message is lost.

A tracer raises `KeyboardInterrupt` once, at one line of `hub` or `ingest`; then the program goes
on, as one does in a notebook. Every line can be tried with `FOREBAY_INTERRUPTS=all`; the suite
draws some of them.
"""

from __future__ import annotations

import os
import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import forebay
from forebay.chunk import Chunk
from forebay.hub import App, EntityDb, Event, StoreHub
from forebay.model import ArrowMsg, ChunkAddition
from forebay.runtime import InlineRuntime, NativeRuntime, Runtime
from tests.hub.conftest import PATIENCE_S, broken, message, numbers, recording_id
from tests.interrupting import Interrupt

LENDING = os.path.join("runtime", "lending.py")  # noqa: PTH118
PACKAGE = str(Path(forebay.__file__).parent) + os.sep
WATCHED = (*(PACKAGE + layer + os.sep for layer in ("hub", "ingest")), PACKAGE + LENDING)
TRIES = 40
MESSAGES = [broken() if number == 3 else message(number) for number in range(6)]


class Lending(NativeRuntime):
    """Whoever receives a message decodes it, as `load` does with small ones."""


class Flushing(NativeRuntime):
    """Whoever submits a message waits for it, and decodes it if no thread came first."""


def live(runtime: Runtime, interrupt: Interrupt, *, has_app: bool) -> None:
    """Receive, commit and look, with one Ctrl-C somewhere; then everything has to add up."""
    hub = StoreHub(runtime=runtime, capacity=4)
    app = App(hub) if has_app else None
    events: list[Event] = []
    db = hub.entity_db(recording_id())
    hub.subscribe(events.append)
    with interrupt:
        for msg in MESSAGES:
            try:
                with runtime.lend_thread() if isinstance(runtime, Lending) else nullcontext():
                    hub.receive_log_msg(msg)
                if isinstance(runtime, Flushing):
                    db.flush()
                if app is not None:
                    app.tick()
            except KeyboardInterrupt:
                continue
    after = [message(100), message(101)]
    for msg in after:
        hub.receive_log_msg(msg)
    hub.flush(PATIENCE_S)
    if app is not None:
        app.tick()
    check(hub, db.ingestion_stats().committed, after)
    assert hub._subscribers.subscriptions[0].wait_idle(PATIENCE_S)
    added = [event for event in events if isinstance(event.diff, ChunkAddition)]
    assert len(added) >= len(after)
    hub.close(PATIENCE_S)


def check(hub: StoreHub, committed: int, after: list[ArrowMsg]) -> None:
    db = hub[recording_id()]
    stats = db.ingestion_stats()
    there = numbers(db)
    assert stats.in_flight == stats.queue_bytes == stats.output_bytes == 0
    assert stats.accepted == stats.committed + stats.rejected
    assert len(there) == committed == db.num_rows, "committed, but not in the store"
    assert there == sorted(there), "out of order"
    assert there[-len(after) :] == [100.0, 101.0]
    assert stats.accepted >= len(MESSAGES) + len(after) - 1, "more than the one in hand is gone"
    assert len(db.rejections()) == stats.rejected
    assert hub._budget.used_bytes == 0, "the hub's budget leaks"
    worker = db._pipeline.worker
    worker.validate()


@pytest.mark.parametrize("has_app", [True, False])
@pytest.mark.parametrize("kind", [NativeRuntime, InlineRuntime, Lending, Flushing])
def test_ctrl_c_at_any_line(kind: type[Runtime], has_app: bool) -> None:
    counting = Interrupt(WATCHED)
    live(kind(), counting, has_app=has_app)
    assert counting.lines > 500, "nothing was watched"
    places = range(1, counting.lines + 1)
    if os.environ.get("FOREBAY_INTERRUPTS") != "all":
        places = sorted(random.Random(7).sample(places, TRIES))  # type: ignore[assignment]
    failed: list[str] = []
    for at in places:
        interrupt = Interrupt(WATCHED, at)
        try:
            live(kind(), interrupt, has_app=has_app)
        except Exception as error:
            failed.append(f"{at}: {interrupt.where}: {type(error).__name__} {str(error)[:200]}")
    assert not failed, "\n".join([f"{len(failed)} of {len(places)}:", *failed])


def test_what_was_committed_before_a_ctrl_c_is_not_told_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    db = EntityDb(recording_id(), runtime=InlineRuntime())
    insert = db._store.insert
    seen: list[object] = []

    def interrupted(chunk: Chunk) -> Any:
        seen.append(chunk.id)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return insert(chunk)

    monkeypatch.setattr(db._store, "insert", interrupted)
    for number in range(3):
        db.submit_arrow_msg(message(number))
    acted: list[list[float]] = []
    db.call_in_order(lambda: acted.append(numbers(db)))
    with pytest.raises(KeyboardInterrupt):
        db.poll_worker_output()
    assert db.ingestion_stats().in_flight == 3, "nothing is acknowledged"
    outputs = db.poll_worker_output()
    assert [len(output.result) for output in outputs] == [1, 1, 1]  # type: ignore[arg-type]
    assert len(seen) == 4, "the one in hand came again, and no other"
    assert acted == [[0.0, 1.0, 2.0]]
    assert db.ingestion_stats().committed == 3
