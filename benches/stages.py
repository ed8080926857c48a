"""What each step of a message's way costs: processor time a message, one step at a time.

    python benches/stages.py [FILE.rrd]     # or a recording of 20,000 one-row chunks, made now

Steps run alone on one thread, so nothing waits and nothing fights for the GIL: their sum is what
ingesting costs at least. Each figure is the least of several laps.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from forebay.bench.recordings import recording
from forebay.codec import ChunkDecoder, StreamDecoder
from forebay.ingest import IngestionWorker
from forebay.limits import COMMIT_CHUNKS_MAX, FILE_READ_BYTES, TURN_MSGS_MAX
from forebay.model import ArrowMsg
from forebay.runtime import SimulatedRuntime, thread_cpu_s
from forebay.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forebay.chunk import Chunk

LAPS = 5


def batches(msgs: list[ArrowMsg]) -> Iterator[list[ArrowMsg]]:
    for at in range(0, len(msgs), TURN_MSGS_MAX):
        yield msgs[at : at + TURN_MSGS_MAX]


def frame(path: Path) -> list[ArrowMsg]:
    """Cut a file into messages."""
    decoder = StreamDecoder()
    data = memoryview(path.read_bytes())
    found = [
        msg
        for at in range(0, len(data), FILE_READ_BYTES)
        for msg in decoder.feed(data[at : at + FILE_READ_BYTES])
    ]
    decoder.finish()
    return [msg for msg in found if isinstance(msg, ArrowMsg)]


def queue(msgs: list[ArrowMsg]) -> None:
    """Submit all to a worker that never has a turn."""
    runtime = SimulatedRuntime(0)
    worker = IngestionWorker(len(msgs), 1 << 40, store_id=msgs[0].store_id, runtime=runtime)
    for msg in msgs:
        worker.submit(msg, "")


def decode_each(msgs: list[ArrowMsg]) -> list[Chunk]:
    """LZ4, Arrow and validation, message by message."""
    decode = ChunkDecoder().decode
    return [decode(msg) for msg in msgs]


def decode_together(msgs: list[ArrowMsg]) -> list[Chunk]:
    """The same as a worker does it: what is alike together, the rest one by one."""
    decoder, chunks = ChunkDecoder(), []
    for batch in batches(msgs):
        for msg, chunk in zip(batch, decoder.decode_alike(batch), strict=True):
            chunks.append(decoder.decode(msg) if chunk is None else chunk)
    return chunks


def insert_each(msgs: list[ArrowMsg], chunks: list[Chunk]) -> None:
    """Into the store, with the events of each."""
    store = ChunkStore(msgs[0].store_id)
    for chunk in chunks:
        store.insert(chunk)


def insert_unheard(msgs: list[ArrowMsg], chunks: list[Chunk]) -> None:
    """Into the store as a hub does it that nobody listens to."""
    store = ChunkStore(msgs[0].store_id)
    for at in range(0, len(chunks), COMMIT_CHUNKS_MAX):
        store.insert_unheard(chunks[at : at + COMMIT_CHUNKS_MAX])


def least_us(step: Callable[[], object], num_messages: int) -> float:
    best = float("inf")
    for _ in range(LAPS):
        began_s = thread_cpu_s()
        step()
        best = min(best, thread_cpu_s() - began_s)
    return best / num_messages * 1e6


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else recording("tiny", 20_000)
    msgs = frame(path)
    chunks = decode_together(msgs)
    steps: dict[str, Callable[[], object]] = {
        "cut out of the file": lambda: frame(path),
        "into the queue": lambda: queue(msgs),
        "decode, one by one": lambda: decode_each(msgs),
        "decode, alike ones together": lambda: decode_together(msgs),
        "insert, with events": lambda: insert_each(msgs, chunks),
        "insert, nobody listening": lambda: insert_unheard(msgs, chunks),
    }
    table = Table("step", "CPU µs a message", title=f"{len(msgs):,} messages of {path.name}")
    for name, step in steps.items():
        table.add_row(name, f"{least_us(step, len(msgs)):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
