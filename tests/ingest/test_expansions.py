"""Messages that become much larger than they came: how large, and one thread at a time."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest

from forebay.chunk import Chunk
from forebay.errors import InvalidChunkError
from forebay.hub import StoreHub
from forebay.ingest.expansions import Expansions
from forebay.limits import EXPANDED_BUDGET_SHARE, EXPANDED_BYTES_MAX, EXPANDED_BYTES_MIN
from forebay.model import ArrowMsg, Compression, StoreId
from forebay.runtime import InlineRuntime, NativeRuntime, spawn
from tests.chunks import make_chunk
from tests.waiting import until

MIB = 1 << 20
BUDGET = 256 * MIB
LARGE = 2 * MIB


def mostly_zeros(size: int) -> Chunk:
    values = np.zeros(size, np.uint8)
    values[: size // 100] = np.random.default_rng(0).integers(0, 256, size // 100)
    inner = pa.ListArray.from_arrays(pa.array([0, size], pa.int32()), pa.array(values))
    cells = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), inner)
    return make_chunk("/z", {"frame": [0]}, {"Image:buffer": cells})


def compressed(store_id: StoreId, chunk: Chunk) -> ArrowMsg:
    """A message whose Arrow buffers are compressed one by one."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, chunk.batch.schema, options=options) as writer:
        writer.write_batch(chunk.batch)
    payload = sink.getvalue().to_pybytes()
    return ArrowMsg(store_id, payload, Compression.NONE, len(payload))


def test_one_thread_at_a_time_has_a_large_message() -> None:
    expansions = Expansions(BUDGET, NativeRuntime())
    expansions.begin(LARGE)
    expansions.begin(LARGE)  # its second one
    began, ended = threading.Event(), threading.Event()

    def other() -> None:
        expansions.end()  # it has none, so nothing ends
        expansions.begin(BUDGET // 1024)  # a small one waits for nothing
        began.set()
        expansions.begin(LARGE)
        ended.set()
        expansions.end()

    thread = spawn("other", other)
    assert began.wait(60)
    assert not ended.wait(0.05)
    expansions.end()
    assert ended.wait(60)
    thread.join()
    expansions.end()
    expansions.begin(LARGE)


def test_a_thread_that_waits_in_vain_goes_on() -> None:
    """The one that has its turn may wait for what this one holds."""
    expansions = Expansions(BUDGET, NativeRuntime())
    expansions.begin(LARGE)
    spawn("other", lambda: expansions.begin(LARGE)).join()
    expansions.end()  # the other's turn is not this one's to end


def test_without_threads_nothing_waits() -> None:
    expansions = Expansions(BUDGET, InlineRuntime())
    expansions.begin(LARGE)
    expansions.begin(LARGE)
    expansions.end()


@pytest.mark.parametrize(
    ("budget", "most"),
    [
        (1, EXPANDED_BYTES_MIN),
        (BUDGET, BUDGET // EXPANDED_BUDGET_SHARE),
        (1 << 40, EXPANDED_BYTES_MAX),
    ],
)
def test_what_one_message_may_become(budget: int, most: int) -> None:
    assert Expansions(budget, InlineRuntime()).bytes_max == most


@pytest.mark.parametrize("directly", [True, False])
def test_a_hub_bounds_what_compressed_buffers_become_by_its_budget(directly: bool) -> None:
    hub = StoreHub(hub_budget=32 * MIB)
    store_id = StoreId.recording("app", "a")
    large, small = mostly_zeros(9 * MIB), mostly_zeros(7 * MIB)
    for _ in range(2):  # the second one would wait for the first, if that had not ended
        if directly:
            with pytest.raises(InvalidChunkError, match="are allowed"):
                hub.entity_db(store_id).add_log_msg(compressed(store_id, large))
            hub.entity_db(store_id).add_log_msg(compressed(store_id, small))
        else:
            hub.receive_log_msg(compressed(store_id, large))
            hub.receive_log_msg(compressed(store_id, small))
            hub.flush()
    assert hub[store_id].num_rows == 1
    assert hub[store_id].ingestion_stats().rejected == 2
    expansions = hub._budget.expansions
    until(lambda: expansions._thread is None)
