"""Recordings as plain values: drawn by Hypothesis, logged by the real SDK, read by both sides."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import rerun as rr
from hypothesis import strategies as st
from rerun.chunk import ChunkStore as RerunStore
from rerun.chunk import RrdReader

from forebay.chunk import Chunk, ChunkLayout
from forebay.model import ChunkId, StoreId
from forebay.store.chunk_store import ChunkStore
from forebay.store.snapshot import StoreSnapshot

ENTITIES = ("a", "a/b", "a/b/c", "b", r"we\ ird/ä\:b", "image2", "image10")
TIMELINES = ("frame", "duration", "when")
TIMES = (-(2**62), -3, 0, 1, 2, 3, 5, 8, 2**62)
PAIR = pa.struct([("x", pa.int32()), ("y", pa.string())])


@dataclass(frozen=True)
class Log:
    """One `log` call; `times` gives each timeline that it has a time on."""

    entity: str
    kind: str
    seed: int
    times: dict[str, int] = field(default_factory=dict)
    static: bool = False


@dataclass(frozen=True)
class Send:
    """One `send_columns` call: several rows at once, `None` in `seeds` for an empty list."""

    entity: str
    kind: str
    seeds: tuple[int, ...]
    times: dict[str, tuple[int, ...]] = field(default_factory=dict)


Step = Log | Send

DATA = (
    "scalar",
    "scalars",
    "empty",
    "points",
    "radii",
    "text",
    "transform",
    "any",
    "image",
    "tensor",
    "strips",
    "nested",
)
KINDS = (*DATA, "clear", "rec")


@st.composite
def steps(draw: st.DrawFn, *, clears: bool = True) -> list[Step]:
    entities = draw(st.lists(st.sampled_from(ENTITIES), min_size=1, max_size=4, unique=True))
    lines = draw(st.lists(st.sampled_from(TIMELINES), min_size=1, max_size=3, unique=True))
    kinds = KINDS if clears else DATA
    times = st.sampled_from(TIMES)
    some_lines = st.lists(st.sampled_from(lines), min_size=1, max_size=len(lines), unique=True)
    out: list[Step] = []
    static_ones: set[tuple[str, str]] = set()
    for _ in range(draw(st.integers(1, 14))):
        entity = draw(st.sampled_from(entities))
        on = draw(some_lines)
        if draw(st.integers(0, 3)) == 0:
            rows = draw(st.integers(1, 5))
            many = st.lists(times, min_size=rows, max_size=rows).map(tuple)
            out.append(
                Send(
                    entity,
                    draw(st.sampled_from(("scalar", "points", "text"))),
                    tuple(draw(st.integers(0, 99)) for _ in range(rows)),
                    {line: draw(many) for line in on},
                )
            )
            continue
        kind = draw(st.sampled_from(kinds))
        # Static data is logged once: what it replaces stays in Rerun's schema, not in ours.
        one = entity, {"scalars": "scalar", "empty": "scalar", "radii": "points"}.get(kind, kind)
        static = (
            kind not in ("clear", "rec") and one not in static_ones and draw(st.integers(0, 7)) == 0
        )
        if static:
            static_ones.add(one)
        where = {} if static else {line: draw(times) for line in on}
        out.append(Log(entity, kind, draw(st.integers(0, 99)), where, static))
    return out


def _archetype(kind: str, seed: int) -> Any:  # noqa: PLR0911, PLR0912
    match kind:
        case "scalar":
            return rr.Scalars(float(seed))
        case "scalars":
            return rr.Scalars(np.arange(seed % 4, dtype=float))
        case "empty":
            return rr.Scalars([])
        case "points":
            count = seed % 3
            labels = [f"label {i}" for i in range(count)] if seed % 2 else None
            return rr.Points3D(np.full((count, 3), seed), labels=labels)
        case "radii":
            return rr.Points3D.from_fields(radii=np.arange(seed % 3, dtype=np.float32))
        case "text":
            return rr.TextLog("x" * (seed % 5), level="INFO" if seed % 2 else None)
        case "transform":
            return rr.Transform3D(translation=[seed, 0, 1], scale=2.0 if seed % 2 else None)
        case "any":
            return rr.AnyValues(number=seed, words=["w"] * (seed % 3), flags=[True] * (seed % 2))
        case "image":
            return rr.Image(np.full((2, 1 + seed % 3, 3), seed, np.uint8))
        case "tensor":
            return rr.Tensor(np.full((2, 1 + seed % 2), seed))
        case "strips":
            return rr.LineStrips3D([np.full((i + 2, 3), seed) for i in range(seed % 3)])
        case "nested":
            deep = pa.array([[[seed], [], None]][: seed % 2], pa.list_(pa.list_(pa.int64())))
            pair = pa.array([{"x": seed, "y": None}] * (seed % 3), PAIR)
            return rr.AnyValues(deep=deep, pair=pair, raw=[b"\xff"] * (seed % 2))
        case "clear":
            return rr.Clear(recursive=False)
        case _:
            return rr.Clear(recursive=True)


def _time_columns(times: dict[str, tuple[int, ...]]) -> list[rr.TimeColumn]:
    out = []
    for line, values in times.items():
        if line == "frame":
            out.append(rr.TimeColumn(line, sequence=values))
        elif line == "duration":
            out.append(rr.TimeColumn(line, duration=np.array(values, "timedelta64[ns]")))
        else:
            out.append(rr.TimeColumn(line, timestamp=np.array(values, "datetime64[ns]")))
    return out


def _columns(kind: str, seeds: Sequence[int]) -> Any:
    if kind == "scalar":
        lengths = [seed % 3 for seed in seeds]
        values = np.arange(sum(lengths), dtype=float)
        return rr.Scalars.columns(scalars=values).partition(lengths)
    if kind == "text":
        return rr.TextLog.columns(text=[f"t{seed}" for seed in seeds])
    return rr.Points3D.columns(positions=[[seed, 1, 2] for seed in seeds])


def write(path: Path, recording: Sequence[Step], *, batched: bool) -> None:
    """Log the steps with the real SDK; unbatched, every step is a chunk of its own."""
    stream = rr.RecordingStream("differential", recording_id=str(uuid.uuid4()))
    stream.save(path)
    for step in recording:
        if isinstance(step, Send):
            stream.send_columns(
                step.entity, _time_columns(step.times), _columns(step.kind, step.seeds)
            )
        else:
            stream.reset_time()
            for line, time in step.times.items():
                if line == "frame":
                    stream.set_time(line, sequence=time)
                elif line == "duration":
                    stream.set_time(line, duration=np.timedelta64(time, "ns"))
                else:
                    stream.set_time(line, timestamp=np.datetime64(time, "ns"))
            stream.log(step.entity, _archetype(step.kind, step.seed), static=step.static)
        if not batched:
            stream.flush()
    stream.flush()
    stream.disconnect()


def both(path: Path) -> tuple[RerunStore, StoreSnapshot]:
    """The recording as Rerun reads it and as we do."""
    theirs = RrdReader(path).stream().collect()
    ours = ChunkStore(StoreId.recording("differential", "ours"))
    for chunk in RrdReader(path).stream().to_chunks():
        batch = chunk.to_record_batch()
        id = ChunkId.parse(batch.schema.metadata[b"rerun:id"].decode())  # noqa: A001
        ours.insert(Chunk.validated(id, ChunkLayout.from_schema(batch.schema), batch))
    return theirs, ours.snapshot()


def integers(table: pa.Table) -> list[dict[str, Any]]:
    """Rows with times as integers."""
    arrays = [
        column.cast(pa.int64()) if pa.types.is_temporal(column.type) else column
        for column in table.columns
    ]
    columns = [column.to_pylist() for column in arrays]
    return [
        dict(zip(table.column_names, row, strict=True)) for row in itertools.zip_longest(*columns)
    ]


def assert_same(ours: pa.Table, theirs: pa.Table) -> None:
    """Schemas with metadata, rows and cells are equal."""
    ours.validate(full=True)
    assert ours.schema.names == theirs.schema.names
    for mine, other in zip(ours.schema, theirs.schema, strict=True):
        assert mine.equals(other, check_metadata=True), (mine, mine.metadata, other.metadata)
    assert (ours.schema.metadata or {}) == (theirs.schema.metadata or {})
    if not ours.equals(theirs):
        assert integers(ours) == integers(theirs)
        msg = "equal as Python values, but not as Arrow arrays"
        raise AssertionError(msg)
