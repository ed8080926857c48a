"""Generated logs: what rows there may be, and all the ways in which they may arrive."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import hypothesis.strategies as st

from forebay.chunk import Chunk
from tests.store.model import CLEAR, Row, Value
from tests.store.rows import chunk_of, row_id

ENTITIES = ("/", "/a", "/a/b", "/a/b/c", "/ab", "/d")
TIMELINES = ("frame", "clock", "since")
FIRST, LAST = -(2**63) + 1, 2**63 - 1
"""Rerun's first and last temporal times."""

_times = st.one_of(st.integers(-2, 6), st.sampled_from((FIRST, LAST, 10**15)))
_timepoints = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"frame": _times}),
    st.fixed_dictionaries({"frame": _times}, optional={"clock": _times, "since": _times}),
    st.fixed_dictionaries({"clock": _times}),
)
_points = st.lists(st.lists(st.integers(0, 9).map(float), min_size=2, max_size=2), max_size=2)
_data: st.SearchStrategy[dict[str, Value | None]] = st.fixed_dictionaries(
    {},
    optional={
        "P:points": st.none() | _points,
        "P:colors": st.none() | st.lists(st.integers(0, 2**32 - 1), max_size=2),
        "P:labels": st.none() | st.lists(st.text(max_size=3) | st.none(), max_size=2),
        "Q:points": st.none() | _points,
    },
)
_clears: st.SearchStrategy[dict[str, Value | None]] = st.fixed_dictionaries(
    {CLEAR: st.sampled_from(([True], [False], [True], None))},
    optional={"P:colors": st.lists(st.integers(0, 9), max_size=2)},
)
_cells = st.one_of(_data, _data, _data, _clears)


@st.composite
def logs(
    draw: st.DrawFn,
    max_rows: int = 30,
    min_rows: int = 0,
    entities: Sequence[str] = ENTITIES,
) -> list[Row]:
    """Rows with distinct row ids that run across times, timelines and entities as they like."""
    count = draw(st.integers(min_rows, max_rows))  # lists alone are seldom longer than five
    one = st.tuples(st.sampled_from(entities), _timepoints, _cells)
    specs = draw(st.lists(one, min_size=count, max_size=count))
    numbers = draw(st.permutations(range(len(specs)))) if len(specs) <= 8 else range(len(specs))
    return [
        Row(entity, row_id(number), times, cells)
        for number, (entity, times, cells) in zip(numbers, specs, strict=True)
    ]


def cut(rows: Iterable[Row], rng: random.Random, rows_per_chunk: int | None = None) -> list[Chunk]:
    """One of the many ways to batch rows into chunks, in one of the orders to send them."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.entity, tuple(sorted(row.times))].append(row)
    chunks: list[Chunk] = []
    for group in groups.values():
        rng.shuffle(group)
        while group:
            size = rows_per_chunk or rng.choice((1, 1, 2, 3, len(group)))
            chunks.append(chunk_of(*group[:size]))
            del group[:size]
    rng.shuffle(chunks)
    return chunks


def interesting_times(rows: Iterable[Row], timeline: str) -> list[int]:
    """Every time at which the answer can change, and the instants around it."""
    times = {row.times[timeline] for row in rows if timeline in row.times}
    near = {time + step for time in times for step in (-1, 0, 1)} | {FIRST, LAST}
    return sorted(time for time in near if FIRST <= time <= LAST)
