"""Workers under many threads: order, bounds, and what is left when they are dropped."""

from __future__ import annotations

import functools
import gc
import threading
import weakref

import pytest

from forebay.errors import QueueFullError, WorkerClosedError
from forebay.ingest import ByteBudget, IngestionWorker
from forebay.runtime import NativeRuntime, Task
from tests.ingest.support import SIZE, decode_number, decodes, numbered, numbers
from tests.stress.hammer import PATIENCE_S, Going, hammer

SUBMITTERS = 4
EACH = 400


@pytest.mark.parametrize("turns_max", [1, 3])
def test_submitters_and_pollers(native: NativeRuntime, turns_max: int) -> None:
    """Each message comes out once, and those of one submitter in its order."""
    budget = ByteBudget(40 * SIZE, runtime=native)
    worker = IngestionWorker(
        30,
        30 * SIZE,
        runtime=native,
        hub_budget=budget,
        turns_max=turns_max,
        decoder_factory=decodes(decode_number),
    )
    seqs: list[int] = []
    polled: list[int] = []
    poll_lock = threading.Lock()

    def submit(submitter: int) -> None:
        for number in range(EACH):
            msg = numbered(submitter * EACH + number)
            if number % 3:
                seqs.append(worker.submit(msg))
            else:
                while not worker.try_submit(msg):
                    worker.wait_processed(timeout=0.01)

    def poll(going: Going) -> None:
        while going:
            with poll_lock:
                polled.extend(numbers(worker.poll()))

    def look(going: Going) -> None:
        while going:
            stats = worker.stats()
            assert stats.accepted == stats.committed + stats.rejected + stats.in_flight
            assert stats.queue_depth <= stats.capacity
            assert stats.queue_bytes + stats.output_bytes <= stats.byte_budget
            assert budget.used_bytes <= budget.limit_bytes

    hammer(
        [functools.partial(submit, number) for number in range(SUBMITTERS)],
        [poll, poll, look],
    )
    worker.close(PATIENCE_S)
    polled.extend(numbers(worker.poll()))
    assert len(set(seqs)) == len(seqs)
    assert sorted(polled) == list(range(SUBMITTERS * EACH))
    for submitter in range(SUBMITTERS):
        mine = [number for number in polled if number // EACH == submitter]
        assert mine == sorted(mine)
    worker.validate()
    assert budget.used_bytes == 0


def test_workers_dropped_with_messages_in_flight(native: NativeRuntime) -> None:
    """Nothing is left of them: no budget held, no turn lost, no worker alive."""
    budget = ByteBudget(10_000 * SIZE, runtime=native)
    alive: list[weakref.ref[IngestionWorker]] = []
    heard: list[None] = []

    def make_and_drop() -> None:
        for number in range(60):
            worker = IngestionWorker(
                runtime=native,
                hub_budget=budget,
                decoder_factory=decodes(decode_number),
                on_output=lambda: heard.append(None),
            )
            alive.append(weakref.ref(worker))
            worker.submit_many([numbered(one) for one in range(number)])
            if number % 2:
                worker.poll()
            del worker

    hammer([make_and_drop] * SUBMITTERS)
    assert native.join(PATIENCE_S)
    gc.collect()
    assert [one for one in alive if one() is not None] == []
    assert budget.used_bytes == 0
    # Each worker but those of no message had its turns, whoever dropped it.
    assert len(heard) >= SUBMITTERS * 59


def test_closed_while_submitters_wait(native: NativeRuntime) -> None:
    for _ in range(20):
        worker = IngestionWorker(4, runtime=native, decoder_factory=decodes(decode_number))
        accepted: list[int] = []

        def submit(worker: IngestionWorker = worker, accepted: list[int] = accepted) -> None:
            for number in range(100):
                try:
                    accepted.append(worker.submit(numbered(number), timeout=PATIENCE_S))
                except WorkerClosedError:
                    return

        def close(worker: IngestionWorker = worker) -> None:
            worker.wait_processed(20, PATIENCE_S)
            worker.close(PATIENCE_S)

        hammer([submit] * SUBMITTERS + [close])
        outcomes = worker.poll()
        assert sorted(accepted) == [outcome.seq for outcome in outcomes]
        worker.validate()


def test_a_full_queue_refuses_everybody_in_time(native: NativeRuntime) -> None:
    go = threading.Event()

    def wait(msg: object) -> object:
        assert go.wait(PATIENCE_S)
        return msg

    worker = IngestionWorker(2, runtime=native, decoder_factory=decodes(wait))
    refused: list[None] = []

    def submit() -> None:
        for number in range(10):
            try:
                worker.submit(numbered(number), timeout=0.001)
            except QueueFullError:
                refused.append(None)

    hammer([submit] * SUBMITTERS)
    go.set()
    worker.close(PATIENCE_S)
    assert len(refused) == 10 * SUBMITTERS - 2
    assert len(worker.poll()) == 2


def test_turns_are_given_to_everybody_who_asks(native: NativeRuntime) -> None:
    """Tasks scheduled from many threads: none is lost, none runs twice at once."""

    class Counting(Task):
        def __init__(self) -> None:
            self.wanted = 0
            self.had = 0
            self.is_running = False
            self.lock = threading.Lock()

        def want(self) -> None:
            with self.lock:
                self.wanted += 1
                starts = self.wanted == self.had + 1
            if starts:
                native.schedule(self)

        def run_turn(self) -> bool:
            assert not self.is_running
            self.is_running = True
            with self.lock:
                self.had += 1
                self.is_running = False
                return self.had < self.wanted

    tasks = [Counting() for _ in range(7)]

    def ask() -> None:
        for _ in range(200):
            for task in tasks:
                task.want()

    hammer([ask] * SUBMITTERS)
    assert native.join(PATIENCE_S)
    assert [task.had for task in tasks] == [200 * SUBMITTERS] * len(tasks)
