"""Nested components as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.errors import QueryError, UnknownComponentError
from forebay.store.flatten import explode, flatten

VECTOR = pa.list_(pa.float32(), 2)


def table(**columns: pa.Array) -> pa.Table:
    return pa.table(columns)


def test_one_instance_keeps_the_name_and_a_vector_numbers_its_parts() -> None:
    made = table(
        frame=pa.array([1, 2, 3, 4]),
        s=pa.array([[1.0], None, [], [4.0]]),
        v=pa.array([[[1, 2]], None, [], [None]], pa.list_(VECTOR)),
    )
    assert flatten(made).to_pydict() == {
        "frame": [1, 2, 3, 4],
        "s": [1.0, None, None, 4.0],
        "v.0": [1.0, None, None, None],
        "v.1": [2.0, None, None, None],
    }


def test_instances_and_structs_and_lists_within() -> None:
    kind = pa.list_(pa.struct([("x", pa.int8()), ("l", pa.list_(pa.int8()))]))
    made = table(p=pa.array([[{"x": 1, "l": [1, 2]}, None], [{"x": 3, "l": []}]], kind))
    assert flatten(made).to_pydict() == {
        "p.0.x": [1, 3],
        "p.0.l.0": [1, None],
        "p.0.l.1": [2, None],
        "p.1.x": [None, None],
        "p.1.l": [None, None],
    }


def test_chosen_columns_only_and_slices_and_chunks() -> None:
    column = pa.chunked_array([[[9.0]], [[1.0], [2.0, 3.0]]])
    made = pa.table({"a": column, "b": column}).slice(1)
    assert flatten(made, ["a"]).to_pydict() == {
        "a.0": [1.0, 2.0],
        "a.1": [None, 3.0],
        "b": [[1.0], [2.0, 3.0]],
    }
    assert explode(made, "a").to_pydict() == {
        "a": [1.0, 2.0, 3.0],
        "b": [[1.0], [2.0, 3.0], [2.0, 3.0]],
    }


def test_long_lists_are_refused_as_columns_but_not_as_rows() -> None:
    made = table(a=pa.array([list(range(100))]))
    with pytest.raises(QueryError, match="explode it into rows"):
        flatten(made)
    assert flatten(made, max_instances=100).num_columns == 100
    assert explode(made).num_rows == 100


def test_faults_name_what_there_is() -> None:
    made = table(a=pa.array([[1.0]]), b=pa.array([1]))
    with pytest.raises(UnknownComponentError, match="there is: 'a', 'b'"):
        flatten(made, ["c"])
    with pytest.raises(QueryError, match="'b' is int64, not a list"):
        explode(made, ["b"])


def test_empty_tables() -> None:
    made = table(v=pa.array([], pa.list_(VECTOR)), n=pa.array([], pa.int8()))
    assert flatten(made).column_names == ["v.0", "v.1", "n"]
    assert explode(made).schema.types == [VECTOR, pa.int8()]
    assert explode(table(n=pa.array([1]))).to_pydict() == {"n": [1]}


lists = st.lists(st.none() | st.lists(st.none() | st.integers(0, 9), max_size=3), max_size=6)


@given(a=lists, data=st.data())
def test_explode_is_the_plain_loop(a: list[Any], data: st.DataObject) -> None:
    b = data.draw(
        st.lists(
            st.none() | st.lists(st.integers(0, 9), max_size=3), min_size=len(a), max_size=len(a)
        )
    )
    kind = pa.list_(pa.int64())
    made = table(n=pa.array(np.arange(len(a))), a=pa.array(a, kind), b=pa.array(b, kind))
    expected = [
        {
            "n": row,
            "a": a[row][k] if a[row] and k < len(a[row]) else None,
            "b": b[row][k] if b[row] and k < len(b[row]) else None,
        }
        for row in range(len(a))
        for k in range(max(1, len(a[row] or ()), len(b[row] or ())))
    ]
    assert explode(made).to_pylist() == expected
    assert flatten(made).num_rows == len(a)


def test_what_explode_fills_up_may_be_null_and_is_written() -> None:
    """Structs whose fields say that they have no nulls: those of a missing instance have."""
    kind = pa.struct([pa.field("x", pa.int8(), nullable=False)])
    full = pa.array([[{"x": 1}], [{"x": 2}, {"x": 3}]], pa.list_(kind))
    made = explode(table(full=full, short=full.slice(0, 1).take(pa.array([0, None]))))
    assert made.schema.field("short").type == pa.struct([("x", pa.int8())])
    out = pa.BufferOutputStream()
    pq.write_table(made, out)
    assert pq.read_table(pa.BufferReader(out.getvalue())).to_pydict() == {
        "full": [{"x": 1}, {"x": 2}, {"x": 3}],
        "short": [{"x": 1}, None, None],
    }
    assert made.schema.field("full").type == kind
