"""Chunks of older SDKs, read as Rerun reads them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import forebay
from forebay.codec import ChunkDecoder, encode_chunk
from forebay.codec.chunks.migration import migrated
from forebay.codec.chunks.peek import ChunkPeeker
from forebay.errors import InvalidChunkError
from tests.codec.foreign import (
    CHUNK_ID,
    METADATA,
    cells_of,
    foreign_batch,
    message,
    read_by_rerun,
    read_here,
    write,
)
from tests.codec.support import STORE_ID

DATA = Path(__file__).parents[1] / "data"
OLD_RECORDINGS = sorted(DATA.glob("old-*.rrd"))
FLOATS = pa.array([[1.0], [2.0]])


def test_there_are_recordings_of_each_version() -> None:
    assert [path.stem for path in OLD_RECORDINGS] == [
        "old-0.23.4",
        "old-0.24.1",
        "old-0.25.1",
        "old-0.26.2",
        "old-0.27.3",
        "old-0.28.2",
        "old-0.29.2",
    ]


@pytest.mark.parametrize("path", OLD_RECORDINGS, ids=lambda path: path.stem)
def test_recordings_of_older_sdks_are_read_as_rerun_reads_them(path: Path) -> None:
    ours = read_here(path)
    assert len(ours) >= 9
    assert ours == read_by_rerun(path)


def test_what_was_renamed_has_its_new_name() -> None:
    chunks = {path: list(cells) for path, cells in read_here(DATA / "old-0.24.1.rrd").values()}
    axes = ("TransformAxes3D:axis_length", "rerun.archetypes.TransformAxes3D")
    assert axes in [key[:2] for key in chunks["/axes"]]
    assert "rerun.components.Translation3D" in [key[2] for key in chunks["/poses"]]
    assert all("Indicator" not in key[0] for keys in chunks.values() for key in keys)


@pytest.mark.parametrize("version", ["0.1.2", "0.1.3", "0.1.4", "0.2.0", "garbage", None])
def test_the_version_decides(version: str | None) -> None:
    described = {"rerun:component": "a:b", "rerun:component_type": "rerun.components.SeriesVisible"}
    metadata = {key: value for key, value in METADATA.items() if key != "sorbet:version"}
    if version is not None:
        metadata["sorbet:version"] = version
    chunk = ChunkDecoder().decode(message(foreign_batch((FLOATS, described), metadata=metadata)))
    is_old = version in ("0.1.2", None)
    expected = "rerun.components.Visible" if is_old else "rerun.components.SeriesVisible"
    assert chunk.layout.components["a:b"].descriptor.component_type == expected


def test_what_was_migrated_is_written_in_the_current_form() -> None:
    old = {**METADATA, "sorbet:version": "0.1.0"}
    described = {"rerun:component": "CoordinateFrame:frame_id"}
    chunk = ChunkDecoder().decode(message(foreign_batch((FLOATS, described), metadata=old)))
    again = ChunkDecoder().decode(encode_chunk(STORE_ID, chunk))
    assert list(again.components) == ["CoordinateFrame:frame"]
    assert migrated(again.batch.schema) is None
    assert cells_of(again) == cells_of(chunk)


def test_a_current_schema_is_left_alone() -> None:
    assert migrated(foreign_batch((FLOATS, {})).schema) is None


def test_an_old_chunk_of_indicators_alone_is_still_rows() -> None:
    described = {"rerun:component": "rerun.components.Points3DIndicator"}
    old = {**METADATA, "sorbet:version": "0.1.0"}
    chunk = ChunkDecoder().decode(message(foreign_batch((FLOATS, described), metadata=old)))
    assert (chunk.num_rows, list(chunk.components)) == (2, [])


def test_a_chunk_without_an_id_is_refused() -> None:
    old = {"rerun.entity_path": "/a"}
    with pytest.raises(InvalidChunkError, match="rerun:id"):
        ChunkDecoder().decode(message(foreign_batch((FLOATS, {}), metadata=old)))


def test_names_are_the_same_without_decoding() -> None:
    for path in OLD_RECORDINGS:
        decoder, peeker = ChunkDecoder(), ChunkPeeker()
        for msg in forebay.read_messages(path):
            if isinstance(msg, forebay.ArrowMsg):
                head, chunk = peeker.peek(msg), decoder.decode(msg)
                assert head.num_rows == chunk.num_rows
                assert head.layout.is_same_as(chunk.layout)


# --- generated metadata, against Rerun ---

ARCHETYPES = [
    "rerun.archetypes.Scalar",
    "rerun.archetypes.Points3D",
    "rerun.archetypes.SeriesLine",
    "rerun.archetypes.SeriesPoint",
    "rerun.archetypes.RecordingProperties",
    "rerun.blueprint.archetypes.ViewContents",
    "mine",
]
FIELDS = ["scalar", "color", "marker_size", "axis_length", "positions", "name"]
TYPES = [
    "rerun.components.Scalar",
    "rerun.components.Points3DIndicator",
    "rerun.components.PoseScale3D",
    "rerun.components.SeriesVisible",
    "mine.Type",
]
COMPONENTS = [
    *TYPES,
    "Transform3D:axis_length",
    "CoordinateFrame:frame_id",
    "RecordingProperties:name",
    "own",
]
VERSIONS = ["0.0.1", "0.0.2", "0.1.0", "0.1.1", "0.1.2", "0.1.3", "0.1.2-rc.1", None]

old_columns = st.fixed_dictionaries(
    {"rerun.component": st.sampled_from(TYPES)},
    optional={
        "rerun.archetype": st.sampled_from(ARCHETYPES),
        "rerun.archetype_field": st.sampled_from(FIELDS),
        "rerun.is_indicator": st.sampled_from(["true", "false"]),
        "rerun.kind": st.sampled_from(["data", "component"]),
    },
)
newer_columns = st.fixed_dictionaries(
    {"rerun:component": st.sampled_from(COMPONENTS)},
    optional={
        "rerun:archetype": st.sampled_from(ARCHETYPES),
        "rerun:component_type": st.sampled_from(TYPES),
        "rerun:is_indicator": st.sampled_from(["true", "false"]),
        "rerun:kind": st.sampled_from(["data", "component"]),
    },
)


def migrated_fields(schema: pa.Schema) -> list[pa.Field]:
    found = migrated(schema)
    return list(schema if found is None else found.schema)


def _name_of(field: pa.Field) -> bytes:
    return (field.metadata or {}).get(b"rerun:component") or field.name.encode()


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(VERSIONS),
    st.lists(st.one_of(old_columns, newer_columns), min_size=1, max_size=4),
    st.sampled_from(["/a", "/__properties/recording"]),
    st.booleans(),
)
def test_any_metadata_is_migrated_as_rerun_migrates_it(
    tmp_path: Path,
    version: str | None,
    columns: list[dict[str, str]],
    path: str,
    has_old_keys: bool,
) -> None:
    is_before_colons = version in ("0.0.1", "0.0.2", None)
    prefix = "rerun." if has_old_keys and is_before_colons else "rerun:"
    metadata = {f"{prefix}id": CHUNK_ID, f"{prefix}entity_path": path}
    if version is not None:
        metadata["sorbet:version"] = version
    if not is_before_colons:
        # Later versions have no such keys.
        columns = [
            {key.replace("rerun.", "rerun:", 1): value for key, value in column.items()}
            for column in columns
        ]
    batch = foreign_batch(*((FLOATS, column) for column in columns), metadata=metadata)
    fields = list(batch.schema)
    if prefix == "rerun.":
        for place, kind in enumerate(("control", "index")):
            fields[place] = fields[place].with_metadata({"rerun.kind": kind})
    batch = pa.RecordBatch.from_arrays(batch.columns, schema=pa.schema(fields, metadata))
    msg = message(batch)
    names = [_name_of(field) for field in migrated_fields(batch.schema)]
    if len(set(names)) < len(names):
        # Rerun refuses two columns of one name, too.
        with pytest.raises(InvalidChunkError, match="two columns"):
            ChunkDecoder().decode(msg)
        return
    chunk = ChunkDecoder().decode(msg)
    theirs = read_by_rerun(write(tmp_path / "old.rrd", msg))
    assert theirs == {CHUNK_ID: (str(chunk.entity_path), cells_of(chunk))}
