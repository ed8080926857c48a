"""The nine behaviours of the worker, on real chunks, natively and inline."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from forebay.chunk import Chunk
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.errors import InvalidChunkError, WorkerClosedError
from forebay.ingest import ByteBudget, IngestionWorker, Outcome, ProcessedChunk, RejectedMsg
from forebay.model import ArrowMsg
from forebay.runtime import InlineRuntime, NativeRuntime, Runtime
from tests.chunks import make_chunk
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
)


def message(frame: int) -> ArrowMsg:
    chunk = make_chunk("/plot", {"frame": [frame]}, {"Scalars:scalars": [[float(frame)]]})
    return encode_chunk(STORE, chunk)


def frames(outcomes: list[Outcome]) -> list[int]:
    return [int(out.chunk.times("frame")[0]) for out in outcomes if isinstance(out, ProcessedChunk)]


def invalid(frame: int) -> ArrowMsg:
    good = message(frame)
    return good._replace(payload=bytes(len(good.payload)), byte_offset=17)


def test_lifecycle(runtime: Runtime) -> None:
    worker = IngestionWorker(store_id=STORE, runtime=runtime)
    assert runtime.num_threads == 0
    assert worker.stats().accepted == 0
    worker.close()
    worker.close()
    with pytest.raises(WorkerClosedError, match="'run' of 'app'") as raised:
        worker.submit(message(0), "test")
    assert raised.value.store_id == STORE
    with pytest.raises(WorkerClosedError):
        worker.try_submit(message(0), "test")
    assert worker.stats().is_closed


def test_one_message(runtime: Runtime) -> None:
    worker = IngestionWorker(runtime=runtime)
    msg = message(7)
    assert worker.submit(msg, "a source") == 0
    assert worker.wait_processed(0, TIMEOUT_S)
    [outcome] = worker.poll()
    assert isinstance(outcome, ProcessedChunk)
    assert (outcome.seq, outcome.source) == (0, "a source")
    assert outcome.size_bytes >= len(msg.payload)
    assert outcome.chunk.num_rows == 1
    assert frames([outcome]) == [7]


def test_a_hundred_in_sequence(runtime: Runtime) -> None:
    worker = IngestionWorker(runtime=runtime)
    for frame in range(100):
        worker.submit(message(frame))
    assert worker.wait_processed(timeout=TIMEOUT_S)
    outcomes = worker.poll()
    assert frames(outcomes) == list(range(100))
    assert [out.seq for out in outcomes] == list(range(100))


def test_capacity_and_a_hundred_more_under_backpressure(runtime: Runtime) -> None:
    capacity = 50
    held = HeldDecoder()
    worker = IngestionWorker(capacity, runtime=runtime, decoder_factory=lambda: held)
    submitter = in_thread(lambda: [worker.submit(numbered(n)) for n in range(capacity + 100)])
    if runtime.has_threads:
        assert held.began.wait(TIMEOUT_S)
        full = in_thread(lambda: waits_until_full(worker))
        join(full)
        stats = worker.stats()
        assert (stats.accepted, stats.queue_depth, stats.capacity) == (capacity,) * 3
        assert not worker.try_submit(numbered(-1 % 2**60))
        assert submitter.is_alive()
    held.go.set()
    join(submitter)
    worker.close(TIMEOUT_S)
    assert numbers(worker.poll()) == list(range(capacity + 100))
    assert worker.stats().queue_depth_peak <= capacity


def waits_until_full(worker: IngestionWorker) -> None:
    while worker.stats().queue_depth < worker.stats().capacity:
        pass


def test_an_invalid_message_between_valid_ones(runtime: Runtime) -> None:
    worker = IngestionWorker(runtime=runtime)
    bad = invalid(1)
    for msg in (message(0), bad, message(2)):
        worker.submit(msg, "somewhere")
    worker.close(TIMEOUT_S)
    outcomes = worker.poll()
    assert frames(outcomes) == [0, 2]
    refused = outcomes[1]
    assert isinstance(refused, RejectedMsg)
    assert (refused.seq, refused.store_id, refused.source) == (1, STORE, "somewhere")
    assert refused.chunk_id == bad.chunk_id
    assert isinstance(refused.error, InvalidChunkError)
    assert refused.error.store_id == STORE
    assert refused.error.chunk_id == bad.chunk_id
    assert refused.error.byte_offset == 17
    stats = worker.stats()
    assert (stats.accepted, stats.committed, stats.rejected, stats.in_flight) == (3, 2, 1, 0)
    assert stats.rejected_by_reason == {refused.reason: 1}
    assert worker.rejections() == [refused]


def test_submitting_and_polling_at_once(runtime: Runtime) -> None:
    worker = IngestionWorker(40, 100_000, runtime=runtime)
    messages = [message(frame) for frame in range(300)]
    polled: list[Outcome] = []

    def poll() -> None:
        while len(polled) < len(messages):
            polled.extend(worker.poll())

    poller = in_thread(poll)
    submitter = in_thread(lambda: [worker.submit(msg) for msg in messages])
    join(submitter, poller)
    assert frames(polled) == list(range(300))
    assert worker.stats().in_flight == 0


def test_the_thread_is_gone_after_the_drop(native: NativeRuntime) -> None:
    decoded: list[ArrowMsg] = []
    held = HeldDecoder()

    def decode(msg: ArrowMsg) -> object:
        held(msg)
        decoded.append(msg)
        return ChunkDecoder().decode(msg)

    worker = IngestionWorker(runtime=native, decoder_factory=lambda: decode)  # type: ignore[arg-type, return-value]
    for frame in range(100):
        worker.submit(message(frame))
    assert held.began.wait(TIMEOUT_S)
    alive = weakref.ref(worker)
    del worker
    assert native.num_threads == 1, "it finishes what was accepted"
    held.go.set()
    assert native.join(TIMEOUT_S)
    gc.collect()
    assert alive() is None
    assert len(decoded) == 100
    assert native.num_threads == 0


def test_an_empty_poll(runtime: Runtime) -> None:
    worker = IngestionWorker(runtime=runtime)
    assert worker.poll() == []
    worker.submit(message(0))
    assert worker.wait_processed(timeout=TIMEOUT_S)
    assert len(worker.poll()) == 1
    assert worker.poll() == []


def test_one_poll_drains_all(runtime: Runtime) -> None:
    worker = IngestionWorker(runtime=runtime)
    worker.submit_many([message(frame) for frame in range(200)])
    assert worker.wait_processed(timeout=TIMEOUT_S)
    assert worker.stats().output_depth == 200
    assert frames(worker.poll()) == list(range(200))
    assert not worker.has_output


def test_many_that_find_no_room_together_keep_their_order() -> None:
    polled: list[int] = []
    runtime = InlineRuntime()
    worker = IngestionWorker(
        runtime=runtime,
        hub_budget=ByteBudget(8 * SIZE, runtime=runtime),
        on_full=lambda: polled.extend(numbers(worker.poll())),
        decoder_factory=decodes(decode_number),
    )
    worker.submit(numbered(0))  # with nothing in flight, anything is let in
    worker.submit_many([numbered(number) for number in range(1, 20)])
    assert polled + numbers(worker.poll()) == list(range(20))
    worker.validate()


class Alone:
    """A worker of small messages on a runtime whose only thread is not to be had."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.runtime = NativeRuntime(threads_max=1, takes_turns=True)
        self.gate = HeldDecoder()
        self.other = IngestionWorker(runtime=self.runtime, decoder_factory=decodes(self.gate))
        self.other.submit(numbered(0))
        assert self.gate.began.wait(TIMEOUT_S)
        self.worker = IngestionWorker(runtime=self.runtime, decoder_factory=decodes(self.decode))

    def decode(self, msg: ArrowMsg) -> Chunk:
        self.threads.append(threading.current_thread().name)
        return decode_number(msg)

    def end(self) -> None:
        self.gate.go.set()
        self.other.close(TIMEOUT_S)
        self.worker.close(TIMEOUT_S)
        assert self.runtime.join(TIMEOUT_S)


@pytest.fixture
def alone() -> Iterator[Alone]:
    made = Alone()
    yield made
    made.end()


def test_who_waits_without_end_decodes_what_no_thread_has_begun(alone: Alone) -> None:
    for number in range(3):
        alone.worker.submit(numbered(number))
    assert not alone.worker.wait_processed(timeout=0.01), "a decoder may hang: not in time"
    assert alone.threads == []
    waiter = in_thread(alone.worker.wait_processed)
    join(waiter)
    assert set(alone.threads) == {waiter.name}
    assert numbers(alone.worker.poll()) == [0, 1, 2]


def test_an_owner_in_the_middle_of_its_commit_decodes_nothing(alone: Alone) -> None:
    alone.worker.submit(numbered(0))
    assert alone.worker.wait_processed()
    assert numbers(alone.worker.take_output()) == [0]
    alone.worker.submit(numbered(1))
    assert not alone.worker.wait_processed()
    assert len(alone.threads) == 1
    alone.worker.acknowledge()
    assert alone.worker.wait_processed()
    assert numbers(alone.worker.poll()) == [1]


class Panic(BaseException):
    """As extensions in Rust raise them."""


def test_what_a_decoder_raises_is_not_for_who_waits(alone: Alone) -> None:
    def panic(_: ArrowMsg) -> Chunk:
        raise Panic

    worker = IngestionWorker(runtime=alone.runtime, decoder_factory=decodes(panic))
    worker.submit(numbered(0))
    assert worker.wait_processed()
    (rejected,) = worker.poll()
    assert isinstance(rejected, RejectedMsg)
    assert isinstance(rejected.error.__cause__, Panic)
