"""The store's answers by brute force: plain rows, plain loops, straight from the semantics.

Nothing here is clever on purpose. A row is what somebody logged; where it lies, in which chunk it
came and when it arrived do not exist here, so an answer that depends on them differs from ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

CLEAR = "Clear:is_recursive"

Value: TypeAlias = "list[Any]"
Answer: TypeAlias = "tuple[Value, int | None, bytes]"
"""A cell's value, its time (`None`: static) and its row id."""
Index: TypeAlias = tuple[bool, int, bytes]
"""Whether static, time, row id: what is static sorts after everything temporal."""


@dataclass(frozen=True)
class Row:
    """One logged row; without times it is static, and a cell that is `None` is null."""

    entity: str
    row_id: bytes
    times: Mapping[str, int]
    cells: Mapping[str, Value | None]

    @property
    def is_static(self) -> bool:
        return not self.times


def ancestors(entity: str) -> list[str]:
    """Every path above, nearest first, the root last; plain names only."""
    parts = [part for part in entity.split("/") if part]
    return ["/" + "/".join(parts[:n]) for n in range(len(parts) - 1, -1, -1)]


def latest_at(
    rows: Iterable[Row],
    timeline: str | None,
    time: int,
    entity: str,
    components: Collection[str] | None = None,
) -> dict[str, Answer]:
    """The newest visible cell of each component; components without an answer are absent."""
    rows = list(rows)
    hidden_up_to = _newest_clear(rows, timeline, time, entity)
    answers: dict[str, Answer] = {}
    for component in _components(rows, entity):
        if components is not None and component not in components:
            continue
        found = _newest_cell(rows, timeline, time, entity, component)
        if found is None:
            continue
        index, value = found
        is_hidden = hidden_up_to is not None and index <= hidden_up_to
        if component == CLEAR or not is_hidden:
            is_static, cell_time, row_id = index
            answers[component] = (value, None if is_static else cell_time, row_id)
    return answers


def _components(rows: Sequence[Row], entity: str) -> list[str]:
    return sorted({name for row in rows if row.entity == entity for name in row.cells})


def _newest_cell(
    rows: Sequence[Row], timeline: str | None, time: int, entity: str, component: str
) -> tuple[Index, Value] | None:
    """The cell with the greatest index; static beats temporal, nulls do not count."""
    found: list[tuple[Index, Value]] = []
    for row in rows:
        value = row.cells.get(component)
        if row.entity != entity or value is None:
            continue
        if row.is_static:
            found.append(((True, 0, row.row_id), value))
        elif timeline in row.times and row.times[timeline] <= time:
            found.append(((False, row.times[timeline], row.row_id), value))
    return max(found, key=lambda item: item[0], default=None)


def _newest_clear(
    rows: Sequence[Row], timeline: str | None, time: int, entity: str
) -> Index | None:
    """Up to which index the entity's data is hidden: of each path only its latest clear counts."""
    found: list[Index] = []
    own = _newest_cell(rows, timeline, time, entity, CLEAR)
    if own is not None:
        found.append(own[0])
    for above in ancestors(entity):
        clear = _newest_cell(rows, timeline, time, above, CLEAR)
        if clear is not None and clear[1] == [True]:
            found.append(clear[0])
    return max(found, default=None)


RangeRow: TypeAlias = "tuple[int | None, bytes, dict[str, Value]]"
"""Time (`None`: static), row id, and the cells that are not null."""


def range_(
    rows: Iterable[Row],
    timeline: str,
    start: int,
    end: int,
    entity: str,
    *,
    components: Collection[str] | None = None,
) -> list[RangeRow]:
    """The static cells, then the logged rows within inclusive bounds, by (time, row id).

    Static cells come in one row without a time, under the greatest of their row ids, and hide the
    temporal cells of their components; clears hide nothing.
    """
    rows = list(rows)
    static: dict[str, tuple[bytes, Value]] = {}
    for row in sorted(rows, key=lambda row: row.row_id):
        for name, value in row.cells.items():
            is_wanted = components is None or name in components
            if row.entity == entity and row.is_static and value is not None and is_wanted:
                static[name] = row.row_id, value
    first: list[RangeRow] = []
    if static:
        greatest = max(row_id for row_id, _ in static.values())
        first = [(None, greatest, {name: value for name, (_, value) in static.items()})]
    found: list[tuple[int, bytes, dict[str, Value]]] = []
    for row in rows:
        if row.entity != entity or timeline not in row.times:
            continue
        cells = {
            name: value
            for name, value in row.cells.items()
            if value is not None
            and name not in static
            and (components is None or name in components)
        }
        if cells and start <= row.times[timeline] <= end:
            found.append((row.times[timeline], row.row_id, cells))
    return [*first, *sorted(found, key=lambda item: item[:2])]


def row_key(row: Row) -> tuple[object, ...]:
    """A row as a hashable value, nulls and absent cells being the same."""
    cells = {name: repr(value) for name, value in row.cells.items() if value is not None}
    return (row.entity, row.row_id, tuple(sorted(row.times.items())), tuple(sorted(cells.items())))


def as_bag(rows: Iterable[Row]) -> Counter[tuple[object, ...]]:
    """Rows without their order, for comparing what two stores hold."""
    return Counter(map(row_key, rows))


def surviving_static(rows: Iterable[Row]) -> list[Row]:
    """The static rows that still win some component: what a store must at least keep."""
    rows = [row for row in rows if row.is_static]
    winners: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: row.row_id):
        for name, value in row.cells.items():
            if value is not None:
                winners[row.entity, name] = row
    return [row for row in rows if any(row is winner for winner in winners.values())]
