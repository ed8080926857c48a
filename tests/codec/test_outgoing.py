"""Chunks of a store, written out, are to Rerun's reader what they are to us.

`FOREBAY_EXAMPLES=1000 pytest tests/codec/test_outgoing.py` looks further.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st
from rerun.chunk import RrdReader

import forebay
from forebay.chunk import Chunk, concatenated, picked, split
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.codec.chunks.outgoing import SORBET_VERSION_WRITTEN, outgoing_batch
from forebay.model import ArrowMsg, StoreId
from forebay.store import ChunkStore, StoreSnapshot
from tests.chunks import make_chunk
from tests.store.dataframe import handmade
from tests.store.dataframe.recordings import TIMES, Step, assert_same, integers, steps, write
from tests.store.rows import chunks_held, narrow_nodes

STORE = StoreId.recording("differential", "ours")
EXAMPLES = int(os.environ.get("FOREBAY_EXAMPLES", "40"))

differential = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def read_by_rerun(path: Path, chunks: Iterable[Chunk]) -> Any:
    forebay.write_messages(path, [encode_chunk(STORE, chunk) for chunk in chunks])
    return RrdReader(path).stream().collect()


def assert_rerun_reads_the_same(path: Path, snapshot: StoreSnapshot, *, fill: bool) -> None:
    chunks = chunks_held(snapshot)
    for chunk in chunks:
        note(f"{chunk!r} {integers(pa.table(chunk.batch))}")
    theirs = read_by_rerun(path, chunks)
    lines = {line for chunk in chunks for line in chunk.timelines}
    forgotten = [line for line in snapshot.timelines() if line not in lines]
    # A store knows timelines of which all data was dropped; a file has no place for them.
    for index in [*lines] if forgotten else [*lines, None]:
        ours = snapshot.dataframe(index, fill_latest_at=fill).drop_columns(forgotten)
        note(f"{index}: {integers(ours)}")
        assert_same(ours, theirs.reader(index, fill_latest_at=fill).to_arrow_table())


def changed(store: ChunkStore, gone: tuple[int, int] | None, *, is_collected: bool) -> None:
    """Cut some rows out of chunks, and collect half of the others."""
    for line in store.snapshot().timelines() if gone else ():
        store.drop_time_range(line, *gone)  # type: ignore[misc]
        break
    if is_collected:
        store.gc(store.byte_size // 2)


whats_done = {
    "fanout": st.sampled_from((2, 3, 64)),
    "rows_max": st.sampled_from((1, 2, 4096)),
    "gone": st.none() | st.tuples(st.sampled_from(TIMES[1:5]), st.sampled_from(TIMES[3:7])),
    "is_collected": st.booleans(),
    "fill": st.booleans(),
}


@differential
@given(recording=steps(), batched=st.booleans(), **whats_done)
def test_what_the_sdk_logged(  # noqa: PLR0917
    tmp_path: Path,
    recording: list[Step],
    batched: bool,
    fanout: int,
    rows_max: int,
    gone: tuple[int, int] | None,
    is_collected: bool,
    fill: bool,
) -> None:
    write(tmp_path / "in.rrd", recording, batched=batched)
    decoder, store = ChunkDecoder(), ChunkStore(STORE)
    with (
        narrow_nodes(fanout),
        patch("forebay.chunk.merge.CHUNK_SPLIT_ROWS_MAX", rows_max),
        patch("forebay.chunk.merge.CHUNK_SPLIT_ROWS_MAX_UNSORTED", rows_max),
    ):
        for message in forebay.read_messages(tmp_path / "in.rrd"):
            if isinstance(message, ArrowMsg):
                store.insert(decoder.decode(message))
        changed(store, gone, is_collected=is_collected)
    assert_rerun_reads_the_same(tmp_path / "out.rrd", store.snapshot(), fill=fill)


@differential
@given(made=handmade.chunks(), **whats_done)
def test_what_no_sdk_logs(  # noqa: PLR0917
    tmp_path: Path,
    made: list[Chunk],
    fanout: int,
    rows_max: int,
    gone: tuple[int, int] | None,
    is_collected: bool,
    fill: bool,
) -> None:
    store = ChunkStore(STORE)
    with (
        narrow_nodes(fanout),
        patch("forebay.chunk.merge.CHUNK_SPLIT_ROWS_MAX", rows_max),
        patch("forebay.chunk.merge.CHUNK_SPLIT_ROWS_MAX_UNSORTED", rows_max),
    ):
        for chunk in made:
            store.insert(chunk)
        changed(store, gone, is_collected=is_collected)
    assume(chunks_held(store.snapshot()))
    assert_rerun_reads_the_same(tmp_path / "out.rrd", store.snapshot(), fill=fill)


def claims(chunk: Chunk) -> dict[str, bool]:
    return {
        field.name: (field.metadata or {}).get(b"rerun:is_sorted") == b"true"
        for field in outgoing_batch(chunk).schema
    }


def claiming(chunk: Chunk) -> Chunk:
    """The same chunk, of which every column claims to be sorted, whether or not it is."""
    schema = chunk.batch.schema
    fields = [
        field.with_metadata({**field.metadata, "rerun:is_sorted": "true"}) for field in schema
    ]
    batch = pa.RecordBatch.from_arrays(
        chunk.batch.columns, schema=pa.schema(fields, schema.metadata)
    )
    return Chunk(chunk.id, chunk.layout, batch)


def test_a_column_claims_to_be_sorted_if_and_only_if_it_is(tmp_path: Path) -> None:
    first = claiming(make_chunk("/a", {"frame": [1, 2], "log": [7, 8]}, {"S:x": [[1.0], [2.0]]}))
    second = claiming(make_chunk("/a", {"frame": [3, 4], "log": [5, 6]}, {"S:x": [[3.0], [4.0]]}))
    merged = concatenated([first, second])
    name = "rerun.controls.RowId"
    assert claims(first) == {name: True, "frame": True, "log": True, "S:x": False}
    assert claims(merged) == {name: True, "frame": True, "log": False, "S:x": False}
    theirs = read_by_rerun(tmp_path / "merged.rrd", [merged])
    found = theirs.reader("log").to_arrow_table().to_pydict()
    assert found == {
        "frame": [3, 4, 1, 2],
        "log": [5, 6, 7, 8],
        "/a:S:x": [[3.0], [4.0], [1.0], [2.0]],
    }
    with (
        patch("forebay.chunk.merge.CHUNK_SPLIT_ROWS_MAX", 2),
        patch("forebay.chunk.merge.CHUNK_SPLIT_ROWS_MAX_UNSORTED", 2),
    ):
        assert [claims(part)["log"] for part in split(merged)] == [True, True]
    assert claims(picked(merged, merged.row_ids.argsort()[1:3]))["log"] is False


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.list_(pa.field("item", pa.int64(), nullable=False)), [[1, None], [], None]),
        (
            pa.list_(pa.field("item", pa.list_(pa.field("item", pa.int8(), nullable=False), 2))),
            [[[1, None], None], [[3, 4]]],
        ),
        (
            pa.list_(pa.struct([pa.field("x", pa.int32(), nullable=False), ("y", pa.string())])),
            [[{"x": None, "y": "a"}, None], [{"x": 1, "y": None}]],
        ),
    ],
)
def test_what_is_null_does_not_claim_otherwise(
    tmp_path: Path, kind: pa.DataType, values: list[Any]
) -> None:
    """Some senders do; Rerun then refuses the whole file."""
    cells = pa.array(values, _nullable(kind))
    lying = _as(cells, kind)
    assert lying.type == kind
    chunk = make_chunk("/a", {"frame": list(range(len(values)))}, {"S:x": lying})
    strict = pa.schema([field.with_nullable(False) for field in chunk.batch.schema])
    strict = strict.with_metadata(chunk.batch.schema.metadata)
    chunk = Chunk(
        chunk.id, chunk.layout, pa.RecordBatch.from_arrays(chunk.batch.columns, schema=strict)
    )
    theirs = read_by_rerun(tmp_path / "x.rrd", [chunk])
    found = theirs.reader("frame").to_arrow_table()["/a:S:x"].to_pylist()
    assert found == [value for value in values if value is not None]


def _nullable(kind: pa.DataType) -> pa.DataType:
    if not kind.num_fields:
        return kind
    fields = [kind.field(number) for number in range(kind.num_fields)]
    wider = [pa.field(field.name, _nullable(field.type)) for field in fields]
    if pa.types.is_struct(kind):
        return pa.struct(wider)
    if pa.types.is_list(kind):
        return pa.list_(wider[0])
    return pa.list_(wider[0], kind.list_size)


def _as(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The same buffers under a type that may lie about them."""
    if not kind.num_fields:
        return array
    if pa.types.is_struct(kind):
        children = [array.field(number) for number in range(kind.num_fields)]
    else:
        children = [array.values]
    count = 1 if pa.types.is_struct(kind) or pa.types.is_fixed_size_list(kind) else 2
    inner = [kind.field(number).type for number in range(kind.num_fields)]
    return pa.Array.from_buffers(
        kind,
        len(array),
        array.buffers()[:count],
        children=[_as(child, one) for child, one in zip(children, inner, strict=True)],
    )


def test_versions_that_are_no_longer_true_are_not_written() -> None:
    chunk = make_chunk("/a", {"frame": [1]}, {"S:x": [[1.0]]})

    def written(**about: bytes) -> dict[bytes, bytes]:
        metadata = {**chunk.batch.schema.metadata, **{k.encode(): v for k, v in about.items()}}
        batch = chunk.batch.replace_schema_metadata(metadata)
        found: dict[bytes, bytes] = outgoing_batch(
            Chunk(chunk.id, chunk.layout, batch)
        ).schema.metadata
        return found

    for before, after in (
        (b"0.1.2", SORBET_VERSION_WRITTEN),
        (b"", SORBET_VERSION_WRITTEN),
        (b"0.1.3", b"0.1.3"),
        (b"0.1.4", b"0.1.4"),
        (b"0.10.0", b"0.10.0"),
    ):
        assert written(**{"sorbet:version": before})[b"sorbet:version"] == after
    assert b"rerun:heap_size_bytes" not in written(**{"rerun:heap_size_bytes": b"864"})
