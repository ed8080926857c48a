"""Cells and times as text, for the page and for CSV files."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.csv

from forebay.limits import WEB_CELL_CHARS_MAX, WEB_CELL_INSTANCES_SHOWN
from forebay.model import TimeType

_NS_PER_S = 1_000_000_000


def cell_text(cell: pa.Scalar) -> str:
    """Return a component's cell on one line: its single instance, or the first few of many.

    At most `limits.WEB_CELL_CHARS_MAX` characters.
    """
    if not cell.is_valid:
        return ""
    if not (pa.types.is_list(cell.type) or pa.types.is_large_list(cell.type)):
        return _clipped(_plain(cell))
    instances = cell.values
    count = len(instances)
    if count == 0:
        return "[]"
    if count == 1:
        return _clipped(_plain(instances[0]))
    if pa.types.is_uint8(instances.type):
        return f"{count:,} bytes"
    shown = ", ".join(_plain(each) for each in instances[:WEB_CELL_INSTANCES_SHOWN])
    more = f", … {count:,} in all" if count > WEB_CELL_INSTANCES_SHOWN else ""
    return _clipped(f"[{shown}]", room=len(more)) + more


def time_text(time: int, kind: TimeType) -> str:
    """Format a time for people, down to nanoseconds if it has a fraction.

    Args:
        time: The index value: a sequence number, or nanoseconds.
        kind: Type of the timeline.
    """
    match kind:
        case TimeType.SEQUENCE:
            return f"{time:,}"
        case TimeType.DURATION:
            sign, (whole, rest) = "-" if time < 0 else "", divmod(abs(time), _NS_PER_S)
            return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".") + " s"
        case TimeType.TIMESTAMP:
            text = str(pa.scalar(time, pa.timestamp("ns")).cast(pa.string()).as_py())
            return text.rstrip("0").rstrip(".") + "Z"


def csv_bytes(table: pa.Table) -> bytes:
    """Encode a table as CSV with a header line.

    Nested cells become JSON, bytes hexadecimal digits, durations nanoseconds.
    """
    sink = pa.BufferOutputStream()
    flat = [_flat(column) for column in table.columns]
    names = table.column_names
    pyarrow.csv.write_csv(pa.Table.from_arrays(flat, names=names), sink)
    return bytes(sink.getvalue())


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_duration(kind):
        return column.cast(pa.int64())
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        texts = [_json(_compact(cell)) if cell.is_valid else None for cell in column]
        return pa.chunked_array([pa.array(texts, pa.string())])
    return column


def _compact(value: pa.Scalar) -> Any:
    """Return the value as a Python object, lists of bytes as `bytes` (an image has millions)."""
    if value.is_valid and pa.types.is_list(value.type):
        if pa.types.is_uint8(value.type.value_type):
            return value.values.to_numpy(zero_copy_only=False).tobytes()
        if pa.types.is_list(value.type.value_type):
            return [_compact(each) for each in value.values]
    return value.as_py()


def _plain(value: pa.Scalar) -> str:
    if not value.is_valid:
        return "null"
    if pa.types.is_floating(value.type):
        return f"{value.as_py():.7g}"
    if pa.types.is_binary(value.type):
        return f"{len(value.as_buffer()):,} bytes"
    if pa.types.is_list(value.type) and pa.types.is_uint8(value.type.value_type):
        return f"{len(value.values):,} bytes"
    if pa.types.is_nested(value.type) and not pa.types.is_struct(value.type):
        items = value.values if hasattr(value, "values") else None
        if isinstance(items, pa.Array):
            shown = ", ".join(_plain(each) for each in items[: 2 * WEB_CELL_INSTANCES_SHOWN])
            return f"[{shown}{', …' if len(items) > 2 * WEB_CELL_INSTANCES_SHOWN else ''}]"
    plain = value.as_py()
    return plain if isinstance(plain, str) else _json(plain)


def _json(value: Any) -> str:
    return json.dumps(
        value,
        ensure_ascii=False,
        default=lambda each: each.hex() if isinstance(each, bytes) else str(each),
    )


def _clipped(text: str, room: int = 0) -> str:
    limit = WEB_CELL_CHARS_MAX - room
    return text if len(text) <= limit else text[: limit - 1] + "…"
