"""Polars, DuckDB, DataFusion and pandas take results by the Arrow PyCapsule interface."""

from __future__ import annotations

import pyarrow as pa
import pytest

from forebay.store.dataframe.query import dataframe
from forebay.store.dataframe.view import DataframeView, dataframe_view
from tests.chunks import make_chunk
from tests.store.dataframe.test_dataframe import X, snapshot

SHOT = snapshot(
    make_chunk("/a", {"frame": [0, 2]}, {"S:x": [[1.0], [2.0, 3.0]]}),
    make_chunk("/b", {"frame": [1]}, {"S:x": [[4.0]]}),
)
CELLS = [[1.0], None, [2.0, 3.0]]


def table() -> pa.Table:
    return dataframe(SHOT, "frame")


def view() -> DataframeView:
    return dataframe_view(SHOT, "frame", max_rows=2)


def instances(column: pa.ChunkedArray) -> int:
    """Address of the first instance of a list column."""
    return int(column.chunk(0).flatten().buffers()[1].address)


def test_polars() -> None:
    pl = pytest.importorskip("polars")
    made = table()
    taken = pl.DataFrame(made)
    assert taken[X].to_list() == CELLS
    assert pl.DataFrame(view())[X].to_list() == CELLS
    # Polars' lists have 64-bit offsets; the instances stay where they are.
    back = pa.table(taken.select(pl.col(X)).slice(0, 1)).column(0).chunk(0)
    assert back.values.buffers()[1].address == instances(made.column(X))


def test_duckdb() -> None:
    duckdb = pytest.importorskip("duckdb")
    made = table()
    lazy = view()
    for name, source in {"made": made, "lazy": lazy}.items():
        connection = duckdb.connect()
        connection.register(name, source)
        found = connection.execute(f'select "{X}" from {name} order by frame').fetchall()
        assert [row[0] for row in found] == CELLS
        assert connection.execute(f"select sum(frame) from {name}").fetchall() == [(3,)]


def test_datafusion() -> None:
    datafusion = pytest.importorskip("datafusion")
    context = datafusion.SessionContext()
    made = table()
    taken = context.from_arrow(made)
    back = taken.to_arrow_table()
    assert back.column(X).to_pylist() == CELLS
    assert instances(back.column(X)) == instances(made.column(X))
    assert context.from_arrow(view()).to_arrow_table().column(X).to_pylist() == CELLS


def test_pandas() -> None:
    pd = pytest.importorskip("pandas")
    made = table()
    taken = made.to_pandas(types_mapper=pd.ArrowDtype)
    assert taken["frame"].tolist() == [0, 1, 2]
    held = taken[X].array.__arrow_array__()
    held = held if isinstance(held, pa.ChunkedArray) else pa.chunked_array([held])
    assert held.to_pylist() == CELLS
    assert instances(held) == instances(made.column(X))
    lazy = pa.table(view()).to_pandas(types_mapper=pd.ArrowDtype)
    assert lazy["frame"].tolist() == [0, 1, 2]
    if hasattr(pd.DataFrame, "from_arrow"):
        assert pd.DataFrame.from_arrow(view())["frame"].tolist() == [0, 1, 2]


def test_pyarrow() -> None:
    assert pa.table(view()).equals(table())
    reader = pa.RecordBatchReader.from_stream(view())
    assert [batch.num_rows for batch in reader] == [2, 1]
