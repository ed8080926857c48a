"""One component logged with several Arrow types: one rule for all queries, whatever came first.

Each query gives the values as they were logged, in one type that holds all of them (`chunk.unify`),
or the one `QueryError` that says which types part. `FOREBAY_EXAMPLES=2000` looks further.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from forebay.chunk import Chunk, ChunkLayout
from forebay.errors import QueryError
from forebay.model import StoreId
from forebay.store import ChunkStore, StoreSnapshot
from forebay.store.dataframe.columns import list_type
from forebay.store.dataframe.several import dataframes
from forebay.store.dataframe.view import dataframe_view
from tests.arrow_types import array, pairs, plain, values
from tests.chunks import make_chunk

F = pa.field
NAME = "/a:S:x"
EXAMPLES = int(os.environ.get("FOREBAY_EXAMPLES", "100"))


def snapshot(chunks: Iterable[Chunk]) -> StoreSnapshot:
    store = ChunkStore(StoreId.recording("app", "rec"))
    for chunk in chunks:
        store.insert(chunk)
    return store.snapshot()


def rows(cells: pa.Array, first: int) -> list[Chunk]:
    """A chunk for each cell, at rising times."""
    return [chunk_of(cells.slice(number, 1), first + number) for number in range(len(cells))]


def chunk_of(cells: pa.Array, first: int, component: str = "S:x") -> Chunk:
    times = range(first, first + len(cells))
    return make_chunk("/a", {"frame": times}, {component: cells}, [time + 1 for time in times])


@st.composite
def logs(draw: st.DrawFn) -> list[pa.Array]:
    """Cells of two types."""
    return [
        array(draw(st.lists(st.none() | _cells(kind), min_size=1, max_size=3)), pa.list_(kind))
        for kind in draw(pairs())
    ]


def _cells(kind: pa.DataType) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | values(kind), max_size=2)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(logs(), st.randoms(use_true_random=False))
def test_any_two_types_in_any_order_and_split(logged: list[pa.Array], rng: random.Random) -> None:
    firsts = [0, len(logged[0])]
    expected = [cell for cells in logged for cell in plain(cells)]
    whole = [chunk_of(cells, first) for cells, first in zip(logged, firsts, strict=True)]
    apart = [one for cells, first in zip(logged, firsts, strict=True) for one in rows(cells, first)]
    rng.shuffle(apart)
    said = set()
    for shot in (snapshot(chunks) for chunks in (whole, whole[::-1], apart)):
        for time, cell in enumerate(expected):
            found = shot.latest_at("frame", time, "/a")
            assert cell is None or plain(found["S:x"].value) == cell[1]
        for query, ask in QUERIES.items():
            try:
                column = ask(shot)
            except QueryError as error:
                said.add(str(error))
                continue
            column.validate(full=True)
            # A row of nothing but nulls is no row.
            shown = filled([*expected, *[None] * (9 - len(expected))])
            wanted = shown if query == "sampled" else [one for one in expected if one is not None]
            assert plain(column) == wanted, query
            said.add(str(list_type(column.type.value_type)))
    assert len(said) == 1, said


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(logs(), st.integers(0, 6), st.integers(0, 6), st.randoms(use_true_random=False))
def test_a_part_of_the_rows_is_a_question_of_its_own(
    logged: list[pa.Array], start: int, end: int, rng: random.Random
) -> None:
    """The type is that of the rows asked for, whatever else is in their chunks."""
    firsts = [0, len(logged[0])]
    expected = [cell for cells in logged for cell in plain(cells)][start : end + 1]
    expected = [cell for cell in expected if cell is not None]
    whole = [chunk_of(cells, first) for cells, first in zip(logged, firsts, strict=True)]
    apart = [one for cells, first in zip(logged, firsts, strict=True) for one in rows(cells, first)]
    rng.shuffle(apart)
    said = set()
    for shot in (snapshot(chunks) for chunks in (whole, whole[::-1], apart)):
        for column in (
            lambda shot: shot.range("frame", start, end, "/a")["S:x"],
            lambda shot: shot.dataframe("frame", start=start, end=end, **EVERY)[NAME],
            lambda shot: dataframes({"r": shot}, "frame", start=start, end=end, **EVERY)[NAME],
        ):
            try:
                found = column(shot)
            except QueryError as error:
                said.add(str(error))
                continue
            assert plain(found) == expected
            said.add(str(list_type(found.type.value_type)))
    assert len(said) == 1, said


def filled(cells: Sequence[Any]) -> list[Any]:
    """Each cell until the next that is not null."""
    found: list[Any] = []
    for cell in cells:
        found.append(found[-1] if cell is None and found else cell)
    return found


EVERY: dict[str, Any] = {"include_semantically_empty_columns": True}
QUERIES: dict[str, Callable[[StoreSnapshot], pa.ChunkedArray]] = {
    "range": lambda shot: shot.range("frame", 0, 99, "/a")["S:x"],
    "dataframe": lambda shot: shot.dataframe("frame", **EVERY)[NAME],
    "filled": lambda shot: shot.dataframe("frame", fill_latest_at=True, **EVERY)[NAME],
    "sampled": lambda shot: shot.dataframe(
        "frame", using_index_values=range(9), fill_latest_at=True, **EVERY
    )[NAME],
    "view": lambda shot: (
        dataframe_view(shot, "frame", max_rows=2, **EVERY).batches().read_all()[NAME]
    ),
    "several": lambda shot: dataframes({"r": shot}, "frame", **EVERY)[NAME],
}


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(logs())
def test_several_recordings_are_as_one(logged: list[pa.Array]) -> None:
    first, second = (snapshot([chunk_of(cells, 0)]) for cells in logged)
    together = snapshot([chunk_of(logged[0], 0), chunk_of(logged[1], len(logged[0]))])
    said = []
    for shots in ({"one": first, "two": second}, {"two": second, "one": first}):
        try:
            column = dataframes(shots, "frame", **EVERY)[NAME]
        except QueryError as error:
            said.append(str(error))
            continue
        wanted = [cell for name in shots for cell in plain(logged[name == "two"])]
        assert plain(column) == [cell for cell in wanted if cell is not None]
        said.append(str(column.type))
    try:
        said.append(str(QUERIES["dataframe"](together).type))
    except QueryError as error:
        said.append(str(error))
    assert len(set(said)) == 1, said


CASES: list[tuple[pa.Array, pa.Array, pa.DataType, list[Any]]] = [
    (pa.array([True]), pa.array([2]), pa.int64(), [[1], [2]]),
    (pa.array([10.5], pa.float32()), pa.array([1.1]), pa.float64(), [[10.5], [1.1]]),
    (pa.array([1], pa.float32()), pa.array([1000000.1]), pa.float64(), [[1.0], [1000000.1]]),
    (
        pa.array([{"x": 1}]),
        pa.array([{"x": 1, "y": "q"}]),
        pa.struct([F("x", pa.int64()), F("y", pa.string())]),
        [[{"x": 1, "y": None}], [{"x": 1, "y": "q"}]],
    ),
    (
        pa.array([[1]], pa.list_(F("item", pa.uint8(), nullable=False))),
        pa.array([[None]], pa.list_(pa.uint8())),
        pa.list_(pa.uint8()),
        [[[1]], [[None]]],
    ),
    (pa.array([1], pa.int32()), pa.array([2**40]), pa.int64(), [[1], [2**40]]),
    (pa.nulls(1), pa.array(["b"]), pa.string(), [[None], ["b"]]),
]


@pytest.mark.parametrize(("one", "other", "kind", "wanted"), CASES, ids=str)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_what_programs_log(
    one: pa.Array, other: pa.Array, kind: pa.DataType, wanted: list[Any], is_reversed: bool
) -> None:
    chunks = [
        chunk_of(pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), items), number)
        for number, items in enumerate((one, other))
    ]
    shot = snapshot(chunks[::-1] if is_reversed else chunks)
    for query in ("range", "dataframe", "filled", "view", "several"):
        column = QUERIES[query](shot)
        assert column.type == list_type(kind)
        assert column.to_pylist() == wanted
        out = pa.BufferOutputStream()
        pq.write_table(pa.table({"c": column}), out)
        assert pq.read_table(pa.BufferReader(out.getvalue()))["c"].to_pylist() == wanted


def test_dates_are_the_first_instant_of_their_day() -> None:
    day, instant = (
        pa.array([[1]], pa.list_(pa.date32())),
        pa.array([[1]], pa.list_(pa.timestamp("ns"))),
    )
    for chunks in (
        [chunk_of(day, 0), chunk_of(instant, 1)],
        [chunk_of(instant, 1), chunk_of(day, 0)],
    ):
        for query in ("range", "dataframe", "filled", "several"):
            column = QUERIES[query](snapshot(chunks))
            assert column.type.value_type == pa.timestamp("ns")
            assert plain(column) == [
                ("list", [("instant", 86_400 * 10**9)]),
                ("list", [("instant", 1)]),
            ]


NUMBER = pa.array([[1]], pa.list_(pa.int64()))
TEXT = pa.array([["t"]], pa.list_(pa.string()))


def test_only_what_a_query_shows_takes_part() -> None:
    """Cells of other times, of other timelines, of other components, or behind static ones."""
    clash = [chunk_of(NUMBER, 0), chunk_of(TEXT, 1)]
    shot = snapshot([*clash, chunk_of(NUMBER, 2, "S:y")])
    for query in QUERIES.values():
        with pytest.raises(QueryError, match="logged as int64 and as string"):
            query(shot)
    assert shot.range("frame", 0, 0, "/a")["S:x"].to_pylist() == [[1]]
    assert shot.range("frame", 1, 1, "/a")["S:x"].to_pylist() == [["t"]]
    assert shot.range("frame", 2, 2, "/a").column_names[2:] == ["S:x", "S:y"]
    nothing = shot.range("frame", 2, 2, "/a")["S:x"]
    assert (nothing.type, nothing.to_pylist()) == (pa.list_(pa.null()), [None])
    assert shot.range("frame", 0, 9, "/a", ["S:y"])["S:y"].to_pylist() == [[1]]
    assert shot.dataframe("frame", components=["S:y"])["/a:S:y"].to_pylist() == [[1]]

    early, late = {"start": 0, "end": 0}, {"using_index_values": [1]}
    for fill in (False, True):
        for asked, cells in ((early, [[1]]), (late, [["t"]])):
            if not (fill and cells == [["t"]]):  # the number may fill the row of the text
                found = shot.dataframe("frame", fill_latest_at=fill, components=["S:x"], **asked)
                assert found[NAME].to_pylist() == cells
    with pytest.raises(QueryError):
        shot.dataframe("frame", fill_latest_at=True, **late)
    later = dataframes({"one": shot, "two": snapshot([chunk_of(TEXT, 7)])}, "frame", start=1)
    assert later[NAME].to_pylist() == [["t"], None, ["t"]]

    elsewhere = make_chunk("/a", {"log": [1]}, {"S:x": TEXT})
    shot = snapshot([chunk_of(NUMBER, 0), elsewhere])
    assert QUERIES["dataframe"](shot).type == list_type(pa.int64())
    assert shot.dataframe("log")[NAME].type == list_type(pa.string())

    static = make_chunk("/a", {}, {"S:x": TEXT})
    shot = snapshot([chunk_of(NUMBER, 0), static])
    assert QUERIES["dataframe"](shot).type == list_type(pa.string())
    assert shot.dataframe(None)[NAME].to_pylist() == [["t"]]
    assert shot.range(None, None, None, "/a")["S:x"].to_pylist() == [["t"]]


def test_rows_without_a_cell_share_a_chunk_by_chance() -> None:
    """The number stands at another time of the chunk that the row of the range is in."""
    both = make_chunk("/a", {"frame": [0, 5]}, {"S:x": [[1], None], "S:y": [None, [2]]})
    shot = snapshot([both, chunk_of(TEXT, 6)])
    assert shot.range("frame", 5, 9, "/a")["S:x"].to_pylist() == [None, ["t"]]
    assert shot.range("frame", 5, 9, "/a")["S:x"].type == list_type(pa.string())
    empty = make_chunk("/a", {"frame": [7]}, {"S:x": pa.array([None], pa.list_(pa.bool_()))})
    assert QUERIES["dataframe"](snapshot([empty, chunk_of(TEXT, 6)])).type == list_type(pa.string())


def test_what_lies_below_null_cells_takes_no_part() -> None:
    """A sender may leave instances there, of any type."""
    below = pa.ListArray.from_arrays(
        pa.array([0, 1], pa.int32()), pa.array([{"n": 1}]), mask=pa.array([True])
    )
    shot = snapshot([chunk_of(TEXT, 0), chunk_of(below, 1), chunk_of(TEXT, 2)])
    for query in ("range", "dataframe", "filled", "view", "several"):
        assert QUERIES[query](shot).to_pylist() == [["t"], ["t"]]


def test_static_cells_of_two_types() -> None:
    """The greater row id wins, and its type with it."""
    chunks = [
        make_chunk("/a", {}, {"S:x": cells}, [row])
        for row, cells in ((1, TEXT), (2, NUMBER), (3, pa.array([None], pa.list_(pa.date32()))))
    ]
    for order in itertools.permutations(chunks):
        shot = snapshot([*order, chunk_of(TEXT, 0)])
        assert shot.dataframe("frame")[NAME].to_pylist() == [[1]] * len(shot.dataframe("frame"))
        assert shot.dataframe(None)[NAME].type == list_type(pa.int64())
        assert shot.range(None, None, None, "/a")["S:x"].to_pylist() == [[1]]


def test_static_cells_of_several_recordings() -> None:
    small = pa.array([[7]], pa.list_(pa.int8()))
    static = snapshot(
        [make_chunk("/a", {}, {"S:x": small}), make_chunk("/b", {"frame": [0]}, {"S:x": TEXT})]
    )
    column = dataframes({"one": static, "two": snapshot([chunk_of(NUMBER, 0)])}, "frame")[NAME]
    assert column.type == list_type(pa.int64())
    assert column.to_pylist() == [[7], [1]]
    text = snapshot(
        [make_chunk("/a", {}, {"S:x": TEXT}), make_chunk("/b", {"frame": [0]}, {"S:x": TEXT})]
    )
    with pytest.raises(QueryError, match="logged as int8 and as string"):
        dataframes({"one": static, "two": text}, "frame")


def test_names_of_items_do_not_depend_on_the_order() -> None:
    kinds = [pa.list_(pa.list_(F(name, pa.int8()))) for name in ("one", "two")]
    chunks = [chunk_of(pa.array([[[n]]], kind), n) for n, kind in enumerate(kinds)]
    for query in QUERIES.values():
        found = {str(query(snapshot(order)).type) for order in (chunks, chunks[::-1])}
        assert found == {"list<item: list<item: int8>>"}


def test_columns_of_two_archetypes_keep_their_values_over_several_recordings() -> None:
    """They have one name, and all cells of the component: Rerun reads them by component."""
    first = make_chunk("/a", {"frame": [0]}, {"S:x": [[1.5]]})
    other = make_chunk("/a", {"frame": [1]}, {"x": [[2.5]]})
    fields = [
        field.with_metadata({**field.metadata, b"rerun:component": b"S:x"})
        if field.name == "x"
        else field
        for field in other.batch.schema
    ]
    schema = pa.schema(fields, other.batch.schema.metadata)
    second = Chunk.validated(other.id, ChunkLayout.from_schema(schema), other.batch)
    shot = snapshot([first, second])
    table = dataframes({"r": shot}, "frame")
    assert table.column_names[2:] == [NAME, NAME]
    assert [column.to_pylist() for column in table.columns[2:]] == [[[1.5], [2.5]]] * 2


@pytest.mark.parametrize("seed", range(3))
def test_merging_keeps_values_and_types(seed: int) -> None:
    """More chunks than a node of the index has, of types that Arrow takes for one among them."""
    kinds = [
        pa.bool_(),
        pa.int64(),
        pa.float32(),
        pa.null(),
        pa.struct([F("x", pa.int8())]),
        pa.struct([F("x", pa.int8(), nullable=False)]),
        pa.struct([F("x", pa.int8(), metadata={"unit": "m"})]),
        pa.list_(F("item", pa.int8())),
        pa.list_(F("element", pa.int8())),
    ]
    values_of = {0: True, 1: 2**40, 2: 0.5, 3: None, 4: {"x": 1}, 5: {"x": 2}, 6: {"x": 3}}
    rng = random.Random(seed)
    numbers = [rng.randrange(len(kinds)) for _ in range(300)]
    cells = [
        pa.array([[values_of.get(number, [number])]], pa.list_(kinds[number])) for number in numbers
    ]
    layouts: dict[int, ChunkLayout] = {}
    chunks = []
    for time, (number, cell) in enumerate(zip(numbers, cells, strict=True)):
        made = chunk_of(cell, time)
        if number not in layouts:  # `make_chunk` takes types that Arrow calls equal for one
            layouts[number] = ChunkLayout.from_schema(made.batch.schema)
        chunks.append(Chunk(made.id, layouts[number], made.batch))
    rng.shuffle(chunks)
    shot = snapshot(chunks)
    assert shot.num_chunks < len(chunks) / 2
    for chunk in shot.chunks("/a"):
        kind = chunk.layout.components["S:x"].type
        assert chunk.component("S:x").type.equals(kind, check_metadata=True)
        for time, cell in zip(chunk.times("frame"), chunk.component("S:x"), strict=True):
            assert cell.type.equals(pa.list_(kinds[numbers[time]]), check_metadata=True)
            assert cell == cells[time][0]


def test_many_types_are_one_question() -> None:
    """A struct that gains a field with each row: the fields of all rows are there."""
    count = 200
    chunks = [chunk_of(pa.array([[{f"f{number:03}": number}]]), number) for number in range(count)]
    column = QUERIES["dataframe"](snapshot(chunks))
    assert [field.name for field in column.type.value_type] == [f"f{n:03}" for n in range(count)]
    found = column.to_pylist()
    assert [[row[0][f"f{n:03}"] for n in (0, 7)] for row in (found[0], found[7])] == [
        [0, None],
        [None, 7],
    ]
