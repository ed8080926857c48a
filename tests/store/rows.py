"""From the model's rows to chunks, and from the store's answers back to the model's."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from forebay.chunk import ARROW_TIME_TYPES, Chunk
from forebay.model import ChunkId, ChunkStoreEvent, RowId, StoreId, Timeline, TimeType
from forebay.store import ChunkStore, StoreSnapshot, compaction, leaf, removal
from tests.chunks import make_chunk
from tests.store.model import CLEAR, Answer, RangeRow, Row, Value

STORE_ID = StoreId.recording("app", "rec")

TIME_TYPES: Mapping[str, TimeType] = {
    "frame": TimeType.SEQUENCE,
    "clock": TimeType.TIMESTAMP,
    "since": TimeType.DURATION,
}
COMPONENT_TYPES: Mapping[str, pa.DataType] = {
    "P:points": pa.list_(pa.list_(pa.float32(), 2)),
    "P:colors": pa.list_(pa.uint32()),
    "P:labels": pa.list_(pa.string()),
    "P:blobs": pa.list_(pa.list_(pa.uint8())),
    "Q:points": pa.list_(pa.list_(pa.float32(), 2)),
    CLEAR: pa.list_(pa.bool_()),
}


def row_id(number: int) -> RowId:
    """The row id of this rank, with zeros, carries and full counters among the bytes."""
    return RowId.from_parts(number // 4, (0, 1, 256, 2**64 - 1)[number % 4])


def row(
    number: int,
    times: Mapping[str, int] | int | None,
    cells: Mapping[str, Value | None],
    entity: str = "/world",
) -> Row:
    """A row: `times` may be a frame number, or `None` for static."""
    if times is None:
        times = {}
    elif isinstance(times, int):
        times = {"frame": times}
    return Row(entity, row_id(number), times, cells)


def clear(
    number: int, times: Mapping[str, int] | int | None, entity: str, *, recursive: bool
) -> Row:
    return row(number, times, {CLEAR: [recursive]}, entity)


def chunk_of(*rows: Row, id: ChunkId | None = None) -> Chunk:  # noqa: A002
    """A chunk of rows that share an entity and their timelines, in the order given."""
    components = sorted({name for row in rows for name in row.cells})
    return make_chunk(
        rows[0].entity,
        {
            Timeline(name, TIME_TYPES[name]): [row.times[name] for row in rows]
            for name in rows[0].times
        },
        {
            name: pa.array([row.cells.get(name) for row in rows], COMPONENT_TYPES[name])
            for name in components
        },
        [row.row_id for row in rows],
        id,
    )


@contextlib.contextmanager
def narrow_nodes(fanout: int) -> Iterator[None]:
    """Index nodes of few items, so that a log of a few rows merges and climbs the tree.

    The only look into the store's layout: answers may not depend on this number.
    """
    modules = (leaf, compaction, removal)
    before = leaf.FANOUT
    for module in modules:
        setattr(module, "FANOUT", fanout)  # noqa: B010
    try:
        yield
    finally:
        for module in modules:
            setattr(module, "FANOUT", before)  # noqa: B010


def store_of(*chunks: Chunk) -> ChunkStore:
    store = ChunkStore(STORE_ID)
    for chunk in chunks:
        store.insert(chunk)
    return store


def store_of_rows(*rows: Row) -> ChunkStore:
    """A store to which each row came in a chunk of its own, in the order given."""
    return store_of(*(chunk_of(row) for row in rows))


def rows_of(chunk: Chunk) -> list[Row]:
    """What a chunk says, row by row."""
    times = {name: chunk.times(name).tolist() for name in chunk.timelines}
    cells = {name: chunk.component(name).to_pylist() for name in chunk.components}
    return [
        Row(
            str(chunk.entity_path),
            chunk.row_id_at(index),
            {name: column[index] for name, column in times.items()},
            {name: column[index] for name, column in cells.items()},
        )
        for index in range(chunk.num_rows)
    ]


def chunks_held(snapshot: StoreSnapshot) -> list[Chunk]:
    return [
        chunk
        for entity in snapshot.entity_paths()
        for chunk in (*snapshot.chunks(entity), *snapshot.static_chunks(entity))
    ]


def rows_held(snapshot: StoreSnapshot) -> list[Row]:
    return [row for chunk in chunks_held(snapshot) for row in rows_of(chunk)]


def latest(
    source: ChunkStore | StoreSnapshot,
    timeline: str | None,
    time: int,
    entity: str = "/world",
    components: Collection[str] | None = None,
) -> dict[str, Answer]:
    """`latest_at` as the model answers it."""
    snapshot = source.snapshot() if isinstance(source, ChunkStore) else source
    cells = snapshot.latest_at(timeline, time, entity, components)
    return {
        name: (cell.value.to_pylist(), cell.time, bytes(cell.row_id))
        for name, cell in cells.items()
    }


def latest_ids(
    source: ChunkStore | StoreSnapshot, timeline: str | None, time: int, entity: str = "/world"
) -> dict[str, bytes]:
    """Only the row ids that answer: most facts are about which row wins."""
    return {name: answer[2] for name, answer in latest(source, timeline, time, entity).items()}


def ranged(
    source: ChunkStore | StoreSnapshot,
    timeline: str,
    start: int,
    end: int,
    entity: str = "/world",
    *,
    components: Collection[str] | None = None,
) -> list[RangeRow]:
    """`range` as the model answers it; also checks the table's shape."""
    snapshot = source.snapshot() if isinstance(source, ChunkStore) else source
    table = snapshot.range(timeline, start, end, entity, components)
    assert table.column_names[:2] == [timeline, "row_id"]
    assert table.schema.field(0).type == ARROW_TIME_TYPES[TIME_TYPES[timeline]]
    times = table.column(0).cast(pa.int64()).to_pylist()
    return list(zip(times, table.column(1).to_pylist(), _cells(table, 2), strict=True))


def ranged_static(
    source: ChunkStore | StoreSnapshot,
    entity: str = "/world",
    components: Collection[str] | None = None,
) -> list[tuple[bytes, dict[str, Value]]]:
    """`range` without a timeline: static rows as (row id, cells)."""
    snapshot = source.snapshot() if isinstance(source, ChunkStore) else source
    table = snapshot.range(None, 0, 0, entity, components)
    first = table.column_names.index("row_id")
    return list(zip(table.column(first).to_pylist(), _cells(table, first + 1), strict=True))


def _cells(table: pa.Table, first: int) -> Iterable[dict[str, Any]]:
    columns: Sequence[tuple[str, list[Any]]] = [
        (name, table.column(first + offset).to_pylist())
        for offset, name in enumerate(table.column_names[first:])
    ]
    return [
        {name: values[index] for name, values in columns if values[index] is not None}
        for index in range(table.num_rows)
    ]


def collect(
    store: ChunkStore,
    *,
    bytes_to_free: int | None = None,
    fraction: float | None = None,
    protect_latest: int = 1,
    should_stop: Callable[[], bool] = bool,
) -> list[ChunkStoreEvent[Chunk]]:
    """Garbage collection; without a target, of everything that may go."""
    if fraction is not None:
        bytes_to_free = math.ceil(store.byte_size * fraction)
    return store.gc(bytes_to_free, protect_latest=protect_latest, should_stop=should_stop)


def real_bytes(chunks: Iterable[Chunk]) -> int:
    """Memory that the chunks keep alive: every distinct buffer once, at its full size."""
    buffers = {
        (buffer.address, buffer.size)
        for chunk in chunks
        for column in chunk.batch.columns
        for buffer in column.buffers()
        if buffer is not None
    }
    return sum(size for _, size in buffers)
