"""A hostile sender against a real server with a memory limit: what its process takes at most."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from forebay.chunk import Chunk
from forebay.codec import encode_chunk, encode_write_request
from forebay.model import ArrowMsg, Compression, StoreId
from forebay.runtime import run_in_parallel
from tests.chunks import make_chunk
from tests.integration.processes import ServeProcess, forebay_serve
from tests.server.client import At, Client, numbered
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the memory of a process is read from /proc"
)
A = StoreId.recording("app", "a")
MB = 1_000_000
LIMIT_BYTES = 100 * MB
SLACK_BYTES = 100 * MB


def memory_bytes(server: ServeProcess, field: str = "VmRSS") -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (kib,) = re.findall(rf"{field}:\s*(\d+) kB", status)
    return int(kib) * 1024


@pytest.fixture
def server() -> Iterator[ServeProcess]:
    with forebay_serve("--memory-limit", "100MB") as serving:
        with Client(At(serving.url)) as client:
            client.write(numbered(A, 0))
        yield serving


def send(server: ServeProcess, requests: list[bytes]) -> None:
    with Client(At(server.url)) as client:
        client.write_raw(*requests)


def test_what_passed_through_is_not_kept(server: ServeProcess) -> None:
    """The heap kept 300 MB of rejected messages for later ones, and no limit counted them."""
    idle = memory_bytes(server)
    for size, times in ((40 * MB, 1), (16 * MB, 4), (20 * MB, 2)):
        requests = [b"\xff" * size] * times
        run_in_parallel([partial(send, server, requests)] * 6, "client", 6)
    until(lambda: memory_bytes(server) < idle + SLACK_BYTES)
    assert server.stop() == 0


def test_a_message_over_half_of_the_limit_is_refused_before_it_is_held(
    server: ServeProcess,
) -> None:
    """Such a one is rejected anyhow; and while it comes in, gRPC holds it three times."""
    peak = memory_bytes(server, "VmHWM")
    with Client(At(server.url)) as client:
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as refused:
                client.write_raw(bytes(200 * MB))
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        client.write_raw(bytes(49 * MB))
    assert memory_bytes(server, "VmHWM") < peak + 3 * 49 * MB + SLACK_BYTES


def image_chunk(values: npt.NDArray[np.uint8], frame: int) -> Chunk:
    inner = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), pa.array(values))
    cells = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), inner)
    return make_chunk("/cam", {"frame": [frame]}, {"Image:buffer": cells})


def images(size: int, sender: int) -> list[bytes]:
    """Images that cannot be compressed, each to be kept."""
    values = np.random.default_rng(sender).integers(0, 256, size, np.uint8)
    store_id = StoreId.recording("app", str(sender))
    msgs = [encode_chunk(store_id, image_chunk(values, number)) for number in range(12)]
    return [encode_write_request(msg) for msg in msgs]


def test_after_bulky_recordings_the_process_is_within_the_limit(server: ServeProcess) -> None:
    idle = memory_bytes(server)
    works = [images(6 * MB, sender) for sender in range(4)]
    run_in_parallel([partial(send, server, work) for work in works], "client", 4)
    until(lambda: memory_bytes(server) < idle + LIMIT_BYTES + SLACK_BYTES // 2)
    assert server.stop() == 0


def bombs(size: int, sender: int) -> list[bytes]:
    """Each becomes a hundred times as large once Arrow's buffers in it are decompressed."""
    values = np.zeros(size, np.uint8)
    values[: size // 100] = np.random.default_rng(sender).integers(0, 256, size // 100)
    chunk = image_chunk(values, 0)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, chunk.batch.schema, options=options) as writer:
        writer.write_batch(chunk.batch)
    payload = sink.getvalue().to_pybytes()
    msg = ArrowMsg(StoreId.recording("app", str(sender)), payload, Compression.NONE, len(payload))
    return [encode_write_request(msg)] * 20


def test_what_compressed_buffers_become_stays_within_the_limit(server: ServeProcess) -> None:
    """Messages of 8 kB took 1.9 GB: each store decoded its own at the same time."""
    idle = memory_bytes(server)
    works = [bombs(size, sender) for sender, size in enumerate([1 * MB, 10 * MB, 200 * MB] * 3)]
    run_in_parallel([partial(send, server, work) for work in works], "client", 9)
    assert memory_bytes(server, "VmHWM") < idle + LIMIT_BYTES + SLACK_BYTES
    assert server.stop() == 0
