"""Queries that a page sends for a snapshot, answered as flat Arrow tables.

Data for the screen is made small here: cells as text, plots as a few thousand points. The page's
Arrow reader supports integers, floats and text; `range` and `dataframe` return complete results for
export.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from forebay.limits import WEB_PAGE_ROWS_MAX, WEB_PLOT_BUCKETS_MAX
from forebay.model import TimeType
from forebay.viewer.cells import cell_text, csv_bytes, time_text
from forebay.viewer.series import all_series, is_plottable

if TYPE_CHECKING:
    from forebay.store import StoreSnapshot

Question: TypeAlias = Mapping[str, Any]


def overview(snapshot: StoreSnapshot) -> dict[str, Any]:
    """Return counts, timelines with their ranges, and entities with their components.

    The result can be encoded as JSON: times are decimal strings, because JavaScript's numbers are
    not exact above 2^53.
    """
    timelines = {
        name: {"type": kind.value, "range": [str(each) for each in snapshot.time_range(name)]}
        for name, kind in snapshot.timelines().items()
    }
    entities = []
    for path in snapshot.entity_paths():
        chunks = [*snapshot.chunks(str(path)), *snapshot.static_chunks(str(path))]
        types = {
            name: column.type
            for chunk in chunks
            for name, column in chunk.layout.components.items()
        }
        entities.append(
            {
                "path": str(path),
                "chunks": len(chunks),
                "rows": sum(chunk.num_rows for chunk in chunks),
                "components": [
                    {"name": name, "type": str(kind), "is_plottable": is_plottable(kind)}
                    for name, kind in sorted(types.items())
                ],
            }
        )
    return {
        "chunks": snapshot.num_chunks,
        "rows": snapshot.num_rows,
        "bytes": snapshot.byte_size,
        "timelines": timelines,
        "entities": entities,
    }


def latest_at(snapshot: StoreSnapshot, asked: Question) -> bytes:
    """Return the cells of one entity at a time.

    The question has `timeline` (or null), `time` and `entity`. The answer is an Arrow IPC stream
    with the text columns `component`, `value` and `at` (empty for static cells), and the integer
    columns `time` and `instances`.
    """
    timeline = asked["timeline"]
    at = 0 if timeline is None else int(asked["time"])
    cells = snapshot.latest_at(timeline, at, asked["entity"])
    kind = _kind(snapshot, timeline)
    return _ipc(
        pa.table(
            {
                "component": pa.array(cells.keys(), pa.string()),
                "value": pa.array([_cell_text(cell.value) for cell in cells.values()], pa.string()),
                "at": pa.array(
                    [
                        "" if cell.time is None else time_text(cell.time, kind)
                        for cell in cells.values()
                    ],
                    pa.string(),
                ),
                "time": pa.array([cell.time for cell in cells.values()], pa.int64()),
                "instances": pa.array([len(cell.value) for cell in cells.values()], pa.int64()),
            }
        )
    )


def rows(snapshot: StoreSnapshot, asked: Question) -> bytes:
    """Return rows of the dataframe from a time on, as text.

    The question has `timeline`, `contents`, `start`, and `limit`, the number of rows. The answer
    has the integer column `time`, and a text column for the index and for each component; other
    timelines are left out. In the row of a recording without timelines, `time` is null and the
    index is empty text.
    """
    timeline = asked["timeline"]
    limit = min(int(asked.get("limit", WEB_PAGE_ROWS_MAX)), WEB_PAGE_ROWS_MAX)
    found = snapshot.dataframe(
        timeline,
        contents=asked.get("contents", "/**"),
        start=int(asked["start"]),
        fill_latest_at=bool(asked.get("fill_latest_at", False)),
    ).slice(0, limit)
    kind = _kind(snapshot, timeline)
    times = (
        found[timeline].cast(pa.int64()).combine_chunks()
        if timeline in snapshot.timelines()
        else pa.nulls(found.num_rows, pa.int64())
    )
    columns: dict[str, Any] = {
        "time": times,
        timeline: pa.array(
            [time_text(each.as_py(), kind) if each.is_valid else "" for each in times], pa.string()
        ),
    }
    others = {*snapshot.timelines()}
    for name in found.column_names:
        if name not in others:
            columns[name] = pa.array([cell_text(cell) for cell in found[name]], pa.string())
    return _ipc(pa.Table.from_arrays(list(columns.values()), names=list(columns)))


def plot(snapshot: StoreSnapshot, asked: Question) -> bytes:
    """Return the lines of one entity's scalars between two times; static cells have no line.

    The question has `timeline`, `entity`, `components`, `start`, `end` and `buckets`. The answer
    has the text column `series`, the integer column `time`, and the float columns `least` and
    `greatest`.
    """
    buckets = min(int(asked.get("buckets", WEB_PLOT_BUCKETS_MAX)), WEB_PLOT_BUCKETS_MAX)
    series: list[pa.Table] = []
    for name in asked["components"]:
        found = snapshot.range(
            asked["timeline"], int(asked["start"]), int(asked["end"]), asked["entity"], [name]
        )
        found = found.slice(found.column(0).null_count)  # the first row has the static cells
        times = found.column(0).cast(pa.int64()).to_numpy()
        lines = list(all_series(times, _combined(found[name]), buckets))
        for number, points in enumerate(lines):
            title = name if len(lines) == 1 else f"{name}[{number}]"
            series.append(
                pa.table(
                    {
                        "series": pa.array([title] * len(points.times), pa.string()),
                        "time": points.times,
                        "least": points.least,
                        "greatest": points.greatest,
                    }
                )
            )
    empty = pa.schema(
        [("series", pa.string()), ("time", "int64"), ("least", "f8"), ("greatest", "f8")]
    )
    return _ipc(pa.concat_tables([empty.empty_table(), *series]).combine_chunks())


def range_(snapshot: StoreSnapshot, asked: Question) -> bytes:
    """Return the result of `StoreSnapshot.range` as an Arrow IPC stream.

    The question has `timeline`, `start`, `end`, `entity` and `components`.
    """
    return _ipc(
        snapshot.range(
            asked["timeline"],
            int(asked.get("start", 0)),
            int(asked.get("end", 0)),
            asked["entity"],
            asked.get("components"),
        )
    )


def dataframe(snapshot: StoreSnapshot, asked: Question) -> bytes:
    """Return a whole dataframe as an Arrow IPC stream.

    The question has `timeline`, `contents`, `fill_latest_at`, `start` and `end`.
    """
    return _ipc(_dataframe(snapshot, asked))


def csv(snapshot: StoreSnapshot, asked: Question) -> bytes:
    """Return the same dataframe as CSV with a header line; see `forebay.viewer.cells.csv_bytes`."""
    return csv_bytes(_dataframe(snapshot, asked))


def _dataframe(snapshot: StoreSnapshot, asked: Question) -> pa.Table:
    return snapshot.dataframe(
        asked["timeline"],
        contents=asked.get("contents", "/**"),
        start=_time(asked.get("start")),
        end=_time(asked.get("end")),
        fill_latest_at=bool(asked.get("fill_latest_at", False)),
    )


def _kind(snapshot: StoreSnapshot, timeline: str | None) -> TimeType:
    """Return the type of a timeline; any type without a timeline, because no time is shown then."""
    if timeline is None:
        return TimeType.SEQUENCE
    return snapshot.timelines().get(timeline, TimeType.SEQUENCE)


def _time(text: str | None) -> int | None:
    return None if text is None else int(text)


def _cell_text(value: pa.Array) -> str:
    return cell_text(pa.ListArray.from_arrays(np.array([0, len(value)], np.int32), value)[0])


def _combined(column: pa.ChunkedArray) -> pa.ListArray:
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
