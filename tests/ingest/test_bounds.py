"""Bounds, closing, interrupts and callbacks of one worker, with decoders that tests control."""

from __future__ import annotations

import logging
import pickle
import threading
import weakref

import pytest

from forebay.errors import (
    FlushTimeoutError,
    InvalidChunkError,
    QueueFullError,
    StoreError,
    WorkerClosedError,
)
from forebay.ingest import ByteBudget, IngestionWorker, Outcome, ProcessedChunk
from forebay.limits import REJECTIONS_KEPT_MAX, TURN_MSGS_MAX
from forebay.model import ArrowMsg
from forebay.runtime import InlineRuntime, NativeRuntime, Runtime
from tests.ingest.support import (
    SIZE,
    STORE,
    TIMEOUT_S,
    Failing,
    HeldDecoder,
    decode_number,
    decodes,
    in_thread,
    join,
    numbered,
    numbers,
    rejected,
)

NUMBERS = decodes(decode_number)


def test_bytes_of_finished_output_count(runtime: Runtime) -> None:
    worker = IngestionWorker(
        byte_budget=3 * SIZE, store_id=STORE, runtime=runtime, decoder_factory=NUMBERS
    )
    for n in range(3):
        worker.submit(numbered(n))
    assert worker.wait_processed(timeout=TIMEOUT_S)
    stats = worker.stats()
    assert (stats.queue_bytes, stats.output_bytes, stats.output_depth) == (0, 3 * SIZE, 3)
    assert not worker.try_submit(numbered(3))
    with pytest.raises(QueueFullError, match=r"3000 of 3000 bytes.*no room within 0\.01 s"):
        worker.submit(numbered(3), timeout=0.01)
    assert numbers(worker.poll()) == [0, 1, 2]
    assert worker.try_submit(numbered(3))
    assert worker.stats().in_flight_bytes_peak == 3 * SIZE


def test_a_message_larger_than_the_budget_goes_alone(runtime: Runtime) -> None:
    worker = IngestionWorker(byte_budget=2 * SIZE, runtime=runtime, decoder_factory=NUMBERS)
    assert worker.try_submit(numbered(0, size=10 * SIZE))
    assert not worker.try_submit(numbered(1))
    assert worker.wait_processed(timeout=TIMEOUT_S)
    assert not worker.try_submit(numbered(1))
    assert numbers(worker.poll()) == [0]
    assert worker.try_submit(numbered(1))
    assert not worker.try_submit(numbered(2, size=10 * SIZE))


def test_a_submitter_waits_for_a_poll(runtime: Runtime) -> None:
    worker = IngestionWorker(byte_budget=2 * SIZE, runtime=runtime, decoder_factory=NUMBERS)
    submitter = in_thread(lambda: [worker.submit(numbered(n)) for n in range(20)])
    polled: list[Outcome] = []
    while len(polled) < 20:
        polled += worker.poll()
    join(submitter)
    assert numbers(polled) == list(range(20))


@pytest.mark.parametrize("many", [False, True])
def test_one_thread_that_submits_and_polls_never_locks_itself_out(
    runtime: Runtime, many: bool
) -> None:
    committed: list[Outcome] = []

    def commit() -> None:
        committed.extend(worker.take_output())
        worker.acknowledge()

    worker = IngestionWorker(7, 3 * SIZE, runtime=runtime, decoder_factory=NUMBERS, on_full=commit)
    if many:
        worker.submit_many([numbered(n) for n in range(200)])
    else:
        for n in range(200):
            worker.submit(numbered(n))
    assert worker.wait_processed(timeout=TIMEOUT_S)
    commit()
    assert numbers(committed) == list(range(200))
    assert worker.stats().committed == 200
    assert worker.stats().in_flight_bytes_peak <= 3 * SIZE


def test_output_is_committed_by_itself(runtime: Runtime) -> None:
    committed: list[Outcome] = []
    lock = threading.Lock()

    def commit() -> None:
        with lock:
            committed.extend(worker.take_output())
            worker.acknowledge()

    worker = IngestionWorker(
        byte_budget=5 * SIZE, runtime=runtime, decoder_factory=NUMBERS, on_output=commit
    )
    for n in range(100):
        worker.submit(numbered(n))
    worker.close(TIMEOUT_S)
    commit()
    assert numbers(committed) == list(range(100))


def test_who_waits_for_itself_is_told(runtime: Runtime) -> None:
    """A subscriber that logs into the full store it listens to must not hang."""
    told: list[QueueFullError] = []
    in_time: list[bool] = []

    def submit_more() -> None:
        try:
            worker.submit(numbered(1))
        except QueueFullError as error:
            told.append(error)
        # Its own turn is not over, but everything is processed: no need to wait for itself.
        in_time.append(worker.wait_processed())

    worker = IngestionWorker(
        byte_budget=SIZE, runtime=runtime, decoder_factory=NUMBERS, on_output=submit_more
    )
    worker.submit(numbered(0))
    if isinstance(runtime, NativeRuntime):
        assert runtime.join(TIMEOUT_S)
    assert "only one who could make room" in str(told[0])
    assert in_time == [True]


def test_the_committing_thread_is_told_too(runtime: Runtime) -> None:
    worker = IngestionWorker(byte_budget=SIZE, runtime=runtime, decoder_factory=NUMBERS)
    worker.submit(numbered(0))
    assert worker.wait_processed(timeout=TIMEOUT_S)
    assert len(worker.take_output()) == 1
    with pytest.raises(QueueFullError):
        worker.submit(numbered(1))
    worker.acknowledge()
    assert worker.submit(numbered(1)) == 1


def test_where_nobody_else_is_a_full_queue_says_so_at_once() -> None:
    worker = IngestionWorker(
        byte_budget=SIZE, runtime=InlineRuntime(can_wait=False), decoder_factory=NUMBERS
    )
    worker.submit(numbered(0))
    for timeout in (None, 3600.0):
        with pytest.raises(QueueFullError):
            worker.submit(numbered(1), timeout=timeout)
    worker.poll()
    worker.submit(numbered(1))


def test_taken_output_is_in_flight_until_acknowledged(runtime: Runtime) -> None:
    worker = IngestionWorker(runtime=runtime, decoder_factory=NUMBERS)
    worker.submit_many([numbered(n) for n in range(3)])
    assert worker.wait_processed(timeout=TIMEOUT_S)
    taken = worker.take_output()
    second = taken[1]
    assert isinstance(second, ProcessedChunk)
    stats = worker.stats()
    assert (stats.committed, stats.in_flight, stats.output_bytes) == (0, 3, 3 * SIZE)
    worker.validate()
    assert worker.take_output() == taken, "what is not acknowledged comes again"
    worker.let_go()
    assert worker.stats() == stats
    chunk = type("AChunk", (), {"id": numbered(1).chunk_id})()
    refused = second._replace(chunk=chunk).refused(STORE, StoreError("no"))
    worker.acknowledge([refused])
    stats = worker.stats()
    assert (stats.committed, stats.rejected, stats.in_flight, stats.output_bytes) == (2, 1, 0, 0)
    assert stats.rejected_by_reason == {"StoreError": 1}
    assert worker.rejections() == [refused]
    worker.acknowledge([refused])
    assert worker.stats().rejected == 1, "what is not in flight cannot be refused"
    assert worker.take_output() == []


def test_output_can_be_taken_turn_by_turn(runtime: Runtime) -> None:
    worker = IngestionWorker(runtime=runtime, decoder_factory=NUMBERS)
    count = 3 * TURN_MSGS_MAX + 1
    worker.submit_many([numbered(n) for n in range(count)])
    assert worker.wait_processed(timeout=TIMEOUT_S)
    taken: list[Outcome] = []
    pieces = 0
    while some := worker.take_output(1):
        assert len(some) <= TURN_MSGS_MAX
        taken += some
        pieces += 1
        worker.acknowledge()
        worker.validate()
    assert numbers(taken) == list(range(count))
    assert pieces >= 4


def test_close_finishes_what_was_accepted_and_wakes_who_waits(native: NativeRuntime) -> None:
    held = HeldDecoder()
    worker = IngestionWorker(3, runtime=native, decoder_factory=lambda: held)
    errors: list[BaseException] = []

    def submit() -> None:
        try:
            for n in range(10):
                worker.submit(numbered(n))
        except WorkerClosedError as error:
            errors.append(error)

    submitters = [in_thread(submit), in_thread(submit)]
    while worker.stats().queue_depth < 3:
        pass
    with pytest.raises(FlushTimeoutError, match="3 messages of a store are not decoded"):
        worker.close(0.01)
    join(*submitters)
    assert len(errors) == 2
    held.go.set()
    worker.close(TIMEOUT_S)
    assert len(worker.poll()) == 3


def test_a_held_decoder_delays_no_other_store(native: NativeRuntime) -> None:
    held = HeldDecoder()
    budget = ByteBudget(20 * SIZE, runtime=native)
    stuck = IngestionWorker(runtime=native, hub_budget=budget, decoder_factory=lambda: held)
    while stuck.try_submit(numbered(0)):
        pass
    assert held.began.wait(TIMEOUT_S)
    others = [
        IngestionWorker(runtime=native, hub_budget=budget, decoder_factory=NUMBERS)
        for _ in range(20)
    ]
    for n in range(50):
        for other in others:
            other.submit(numbered(n))
            assert other.wait_processed(timeout=TIMEOUT_S)
            assert numbers(other.poll()) == [n]
    held.go.set()
    stuck.close(TIMEOUT_S)
    stuck.poll()
    assert budget.used_bytes == 0


@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), MemoryError(), RecursionError("deep"), InvalidChunkError("no"), OSError()],
)
def test_whatever_a_decoder_raises_is_one_rejection(runtime: Runtime, error: Exception) -> None:
    worker = IngestionWorker(
        store_id=STORE, runtime=runtime, decoder_factory=decodes(Failing({2: error}))
    )
    worker.submit_many([numbered(n) for n in range(5)])
    worker.close(TIMEOUT_S)
    outcomes = worker.poll()
    assert numbers(outcomes) == [0, 1, -3, 3, 4]
    [one] = rejected(outcomes)
    assert one.reason == type(error).__name__
    assert one.error.store_id == STORE
    assert one.error.chunk_id == numbered(2).chunk_id
    assert one.error.byte_offset == 2
    assert one.error.__traceback__ is None
    assert one.error is error or one.error.__cause__ is error
    assert error.__traceback__ is None, "its frames would keep payloads alive"


def test_a_decoder_that_cannot_be_made_rejects_all(runtime: Runtime) -> None:
    def factory() -> None:
        msg = "no codec here"
        raise ImportError(msg)

    worker = IngestionWorker(runtime=runtime, decoder_factory=factory)  # type: ignore[arg-type]
    worker.submit_many([numbered(n) for n in range(3)])
    worker.close(TIMEOUT_S)
    assert [one.reason for one in rejected(worker.poll())] == ["ImportError"] * 3


def test_ctrl_c_inside_an_inline_decode_loses_nothing() -> None:
    errors: dict[int, BaseException] = {2: KeyboardInterrupt()}
    worker = IngestionWorker(runtime=InlineRuntime(), decoder_factory=decodes(Failing(errors)))
    worker.submit_many([numbered(0), numbered(1)])
    with pytest.raises(KeyboardInterrupt):
        worker.submit_many([numbered(2), numbered(3)])
    worker.validate()
    assert worker.stats().queue_depth == 2
    errors.clear()
    worker.submit(numbered(4))
    worker.close(TIMEOUT_S)
    assert numbers(worker.poll()) == [0, 1, 2, 3, 4]


def test_a_wait_goes_on_with_what_ctrl_c_left() -> None:
    errors: dict[int, BaseException] = {0: KeyboardInterrupt()}
    worker = IngestionWorker(runtime=InlineRuntime(), decoder_factory=decodes(Failing(errors)))
    with pytest.raises(KeyboardInterrupt):
        worker.submit(numbered(0))
    errors.clear()
    assert worker.wait_processed(timeout=TIMEOUT_S)
    assert numbers(worker.poll()) == [0]


def test_a_message_that_always_interrupts_is_rejected(
    native: NativeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    worker = IngestionWorker(runtime=native, decoder_factory=decodes(Failing({1: SystemExit()})))
    with caplog.at_level(logging.ERROR):
        worker.submit_many([numbered(n) for n in range(4)])
        worker.close(TIMEOUT_S)
    assert numbers(worker.poll()) == [0, -2, 2, 3]
    assert "was interrupted" in caplog.text


def test_a_failing_callback_is_logged_and_loses_nothing(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        msg = "a bug of the owner"
        raise ValueError(msg)

    worker = IngestionWorker(runtime=runtime, decoder_factory=NUMBERS, on_output=fail)
    worker.submit(numbered(0))
    worker.submit(numbered(1))
    worker.close(TIMEOUT_S)
    if isinstance(runtime, NativeRuntime):
        assert runtime.join(TIMEOUT_S)
    assert "a bug of the owner" in caplog.text
    assert numbers(worker.poll()) == [0, 1]


def test_rejections_are_kept_to_a_bound_and_counted_beyond(runtime: Runtime) -> None:
    def fail(_msg: ArrowMsg) -> None:
        raise ValueError

    worker = IngestionWorker(runtime=runtime, decoder_factory=decodes(fail))
    total = REJECTIONS_KEPT_MAX + 50
    worker.submit_many([numbered(n) for n in range(total)])
    worker.close(TIMEOUT_S)
    worker.poll()
    assert worker.stats().rejected_by_reason == {"ValueError": total}
    half = REJECTIONS_KEPT_MAX // 2
    kept = [one.seq for one in worker.rejections()]
    assert kept == [*range(half), *range(total - half, total)], "the first and the last"


def test_a_kept_rejection_holds_no_payload(runtime: Runtime) -> None:
    def fail(_msg: ArrowMsg) -> None:
        (b"x" * 100_000 + b"\xff" * 100_000).decode()

    worker = IngestionWorker(runtime=runtime, decoder_factory=decodes(fail))
    worker.submit(numbered(0))
    worker.close(TIMEOUT_S)
    worker.poll()
    (rejected,) = worker.rejections()
    assert rejected.reason == "UnicodeDecodeError"
    assert len(pickle.dumps(rejected)) < 2000


def test_several_turns_at_once_keep_the_order(native: NativeRuntime) -> None:
    first_may_go = threading.Event()
    second_began = threading.Event()

    def decode(msg: ArrowMsg) -> object:
        number = decode_number(msg)
        if number == 0:
            assert first_may_go.wait(TIMEOUT_S)
        if number == 130:
            second_began.set()
        return number

    worker = IngestionWorker(runtime=native, turns_max=2, decoder_factory=decodes(decode))
    for n in range(300):
        worker.submit(numbered(n))
    assert second_began.wait(TIMEOUT_S)
    with worker._lock:  # the other turn goes on
        worker.validate()
    assert not worker.has_output
    first_may_go.set()
    worker.close(TIMEOUT_S)
    assert numbers(worker.poll()) == list(range(300))


def test_ten_thousand_idle_workers_hold_no_threads(native: NativeRuntime) -> None:
    workers = [IngestionWorker(runtime=native, decoder_factory=NUMBERS) for _ in range(10_000)]
    for worker in workers:
        worker.submit(numbered(1))
    for worker in workers:
        assert worker.wait_processed(timeout=TIMEOUT_S)
    assert native.join(TIMEOUT_S)
    assert native.num_threads == 0
    assert all(numbers(worker.poll()) == [1] for worker in workers)


def test_an_idle_worker_is_dropped_with_its_last_reference(runtime: Runtime) -> None:
    budget = ByteBudget(10 * SIZE, runtime=runtime)
    worker = IngestionWorker(runtime=runtime, decoder_factory=NUMBERS, hub_budget=budget)
    worker.submit(numbered(0))
    assert worker.wait_processed(timeout=TIMEOUT_S)
    if isinstance(runtime, NativeRuntime):
        assert runtime.join(TIMEOUT_S)
    alive = weakref.ref(worker)
    assert budget.used_bytes == SIZE
    del worker
    assert alive() is None, "no cycle keeps it until the garbage collector comes"
    assert budget.used_bytes == 0


def test_bounds_that_let_nothing_in_are_refused() -> None:
    for bounds in ({"capacity": 0}, {"byte_budget": 0}, {"turns_max": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            IngestionWorker(**bounds)


def test_a_worker_closes_with_its_block(runtime: Runtime) -> None:
    with IngestionWorker(runtime=runtime, decoder_factory=NUMBERS) as worker:
        worker.submit(numbered(5))
    assert numbers(worker.poll()) == [5]
    assert worker.stats().is_closed


def test_latency_is_told_by_stage(runtime: Runtime) -> None:
    worker = IngestionWorker(runtime=runtime, decoder_factory=NUMBERS)
    for n in range(10):
        worker.submit(numbered(n))
    worker.close(TIMEOUT_S)
    worker.poll()
    latency = worker.stats().latency
    for name in ("queue", "decode", "output"):
        stage = latency[name]
        assert stage.samples >= 1
        assert 0 <= stage.p50_s <= stage.p99_s <= stage.max_s < TIMEOUT_S


def test_an_owner_that_commits_nothing_is_asked_once_and_then_waited_for(
    native: NativeRuntime,
) -> None:
    asked: list[int] = []

    def on_full() -> None:
        asked.append(len(asked))
        if len(asked) > 50:
            worker.poll()

    worker = IngestionWorker(
        byte_budget=SIZE, runtime=native, on_full=on_full, decoder_factory=NUMBERS
    )
    worker.submit(numbered(0))
    assert worker.wait_processed(timeout=TIMEOUT_S)
    with pytest.raises(QueueFullError):
        worker.submit(numbered(1), timeout=0.001)
    assert len(asked) == 1
