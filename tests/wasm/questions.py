"""Everything that a recording can be asked, and the answers, the same code here and there.

It runs natively and inside Pyodide, so it knows nothing but Forebay and Arrow.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

import forebay

TIME_MIN, TIME_MAX = -(2**63), 2**63 - 1


def answers(path: str) -> dict[str, bytes]:
    """By question: Arrow IPC streams, and JSON for what is no table."""
    try:
        hub, error = forebay.load(path), None
    except forebay.errors.LoadError as damage:
        hub, error = damage.hub, str(damage)
    found: dict[str, bytes] = {"error": json.dumps(error).encode()}
    for number, db in enumerate(hub.entity_dbs()):
        for name, answer in _of_store(db.snapshot(), db).items():
            found[f"{number} {name}"] = answer
    return found


def _of_store(snapshot: Any, db: Any) -> dict[str, bytes]:
    stats = db.ingestion_stats()
    found = {
        "store": _json(
            {
                # The hub gives blueprints that it activates an id of its own.
                "kind": db.store_id.kind.value,
                "application_id": db.store_id.application_id,
                "entities": [str(path) for path in snapshot.entity_paths()],
                "timelines": {
                    name: [kind.value, *snapshot.time_range(name)]
                    for name, kind in snapshot.timelines().items()
                },
                "chunks": snapshot.num_chunks,
                "rows": snapshot.num_rows,
                "bytes": snapshot.byte_size,
                "ingestion": [stats.accepted, stats.committed, stats.rejected, stats.in_flight],
                "rejections": [str(each.error) for each in db.rejections()],
            }
        )
    }
    entities = [str(path) for path in snapshot.entity_paths()]
    for timeline in [None, *snapshot.timelines()]:
        times = _times(snapshot, timeline)
        for entity in entities:
            found[f"range {timeline} {entity}"] = ipc(
                snapshot.range(timeline, times[0], times[-1], entity)
            )
            for time in times:
                cells = snapshot.latest_at(timeline, time, entity)
                found[f"latest_at {timeline} {time} {entity}"] = ipc(_cells(cells))
        for fill in (False, True):
            found[f"dataframe {timeline} fill={fill}"] = ipc(
                snapshot.dataframe(timeline, fill_latest_at=fill)
            )
        if timeline is not None:
            found[f"dataframe {timeline} at"] = ipc(
                snapshot.dataframe(timeline, using_index_values=sorted(set(times[1:-1])))
            )
    return found


def _times(snapshot: Any, timeline: str | None) -> list[int]:
    if timeline is None:
        return [0]
    first, last = snapshot.time_range(timeline)
    inner = [first, (first + last) // 2, last]
    return [max(TIME_MIN, first - 1), *inner, min(TIME_MAX, last + 1)]


def _cells(cells: Any) -> pa.Table:
    """One row: each component's value, its time and its row id."""
    columns: dict[str, Any] = {"": pa.array([None])}
    for name, cell in cells.items():
        offsets = pa.array([0, len(cell.value)], pa.int32())
        columns[name] = pa.ListArray.from_arrays(offsets, cell.value)
        columns[f"{name} time"] = pa.array([cell.time], pa.int64())
        columns[f"{name} row"] = pa.array([bytes(cell.row_id)], pa.binary())
    return pa.table(columns)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
