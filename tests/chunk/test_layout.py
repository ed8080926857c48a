from __future__ import annotations

import pyarrow as pa
import pytest

from forebay.chunk import ChunkLayout, ComponentDescriptor
from forebay.errors import InvalidChunkError
from forebay.model import Timeline, TimeType

Metadata = dict[str, str]


def control(name: str = "rerun.controls.RowId", **metadata: str) -> pa.Field:
    return pa.field(name, pa.binary(16), metadata={"rerun:kind": "control", **metadata})


def index(name: str, data_type: pa.DataType, metadata: Metadata | None = None) -> pa.Field:
    return pa.field(name, data_type, metadata={"rerun:kind": "index", **(metadata or {})})


def data(name: str, metadata: Metadata | None = None) -> pa.Field:
    described = {"rerun:kind": "data", **(metadata or {})}
    return pa.field(name, pa.list_(pa.float64()), metadata=described)


def layout(*fields: pa.Field, path: str | bytes = "/a") -> ChunkLayout:
    return ChunkLayout.from_schema(pa.schema(fields, {"rerun:entity_path": path}))


def test_columns_are_read_by_what_their_metadata_says() -> None:
    read = layout(
        data(
            "x",
            {
                "rerun:component": "Points3D:positions",
                "rerun:archetype": "rerun.archetypes.Points3D",
                "rerun:component_type": "rerun.components.Position3D",
            },
        ),
        index("f", pa.int64(), {"rerun:index_name": "frame", "rerun:is_sorted": "true"}),
        control(**{"rerun:is_sorted": "true"}),
        index("elapsed", pa.duration("ns")),
        path="/we\\ ird//x/",
    )
    assert read.entity_path == "/we\\ ird/x"
    assert (read.row_ids, read.row_ids_claim_sorted) == (2, True)
    frame, elapsed = read.indexes["frame"], read.indexes["elapsed"]
    assert (frame.timeline, frame.position) == (Timeline("frame", TimeType.SEQUENCE), 1)
    assert (frame.claims_sorted, elapsed.claims_sorted) == (True, False)
    assert elapsed.timeline == Timeline("elapsed", TimeType.DURATION)
    positions = read.components["Points3D:positions"]
    assert positions.position == 0
    assert positions.descriptor == ComponentDescriptor(
        "Points3D:positions", "rerun.archetypes.Points3D", "rerun.components.Position3D"
    )
    assert not read.is_static


def test_a_chunk_without_timelines_is_static() -> None:
    assert layout(control(), data("x")).is_static


def test_columns_that_say_nothing_are_data_of_their_name() -> None:
    read = layout(control(), pa.field("bare", pa.list_(pa.int8())))
    assert read.components["bare"].descriptor == ComponentDescriptor("bare")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([data("x")], "no row-id column"),
        ([control(), control("again")], "not a row-id column"),
        ([pa.field("r", pa.binary(8), metadata={"rerun:kind": "control"})], "not a row-id column"),
        ([control(), index("t", pa.timestamp("us"))], "a timeline is"),
        ([control(), index("t", pa.float64())], "a timeline is"),
        ([control(), index("t", pa.int64()), index("t", pa.int64())], "two columns"),
        ([control(), data("x"), data("x")], "two columns"),
        ([control(), pa.field("x", pa.int8(), metadata={"rerun:kind": "data"})], "not a list"),
        ([control(), pa.field("x", pa.int8(), metadata={"rerun:kind": "odd"})], "unknown kind"),
    ],
)
def test_what_is_no_chunk_is_refused(fields: list[pa.Field], reason: str) -> None:
    with pytest.raises(InvalidChunkError, match=reason):
        layout(*fields)


def test_a_record_batch_that_names_no_entity_is_no_chunk() -> None:
    with pytest.raises(InvalidChunkError, match="entity_path"):
        ChunkLayout.from_schema(pa.schema([control()]))


def test_metadata_that_is_not_text_is_refused() -> None:
    with pytest.raises(InvalidChunkError, match="UTF-8"):
        layout(control(), path=b"\xff")
