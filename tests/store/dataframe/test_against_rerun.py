"""Dataframes equal those of the installed Rerun SDK, cell by cell and schema by schema.

`FOREBAY_EXAMPLES=1000 pytest tests/store/dataframe/test_against_rerun.py` looks further.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from forebay.chunk import Chunk
from forebay.store.dataframe.query import dataframe
from tests.chunks import make_chunk
from tests.store.dataframe import handmade
from tests.store.dataframe.recordings import TIMES, Step, assert_same, both, integers, steps, write

EXAMPLES = int(os.environ.get("FOREBAY_EXAMPLES", "50"))

# One data directory serves all examples: each overwrites the file of the one before.
differential = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

CONTENTS = (
    None,
    "/a/**",
    "/** - /a/b/**",
    "- /a\n+ /**",
    ["+ /**", "- /a/**", "/a/b"],
    [],
    "/b /image2",
)


ENDS = (min(TIMES) - 1, max(TIMES) + 1)


def compare(path: Path, index: str | None, **arguments: Any) -> None:
    theirs, ours = both(path)
    if index is not None and index not in ours.timelines():
        return
    mine = dataframe(ours, index, **arguments)
    note(f"ours: {integers(mine)}")
    assert_same(mine, theirs.reader(index, **arguments).to_arrow_table())


@differential
@given(
    recording=steps(),
    batched=st.booleans(),
    index=st.sampled_from(["frame", "frame", "duration", "when", None]),
    fill=st.booleans(),
    tombstones=st.booleans(),
    empties=st.booleans(),
    contents=st.sampled_from(CONTENTS),
)
def test_all_rows(  # noqa: PLR0917
    tmp_path: Path,
    recording: list[Step],
    batched: bool,
    index: str | None,
    fill: bool,
    tombstones: bool,
    empties: bool,
    contents: Any,
) -> None:
    path = tmp_path / "x.rrd"
    write(path, recording, batched=batched)
    compare(
        path,
        index,
        fill_latest_at=fill,
        include_tombstone_columns=tombstones,
        include_semantically_empty_columns=empties,
        contents=contents,
    )


@differential
@given(
    recording=steps(clears=False),
    batched=st.booleans(),
    index=st.sampled_from(["frame", "duration", "when"]),
    fill=st.booleans(),
    values=st.lists(st.sampled_from((*TIMES, -9, 4, 99)), unique=True),
)
def test_given_index_values(  # noqa: PLR0917
    tmp_path: Path,
    recording: list[Step],
    batched: bool,
    index: str,
    fill: bool,
    values: list[int],
) -> None:
    path = tmp_path / "x.rrd"
    write(path, recording, batched=batched)
    compare(path, index, fill_latest_at=fill, using_index_values=values)


@differential
@given(
    recording=steps(),
    index=st.sampled_from(["frame", "duration", "when"]),
    fill=st.booleans(),
    values=st.lists(st.sampled_from((*TIMES, -9, 4)), unique=True),
)
def test_given_index_values_and_clears(
    tmp_path: Path, recording: list[Step], index: str, fill: bool, values: list[int]
) -> None:
    """With values that reach over all clears: see docs/differences.md on recursive clears."""
    path = tmp_path / "x.rrd"
    write(path, recording, batched=False)
    compare(path, index, fill_latest_at=fill, using_index_values=sorted({*values, *ENDS}))


@differential
@given(
    made=handmade.chunks(),
    index=st.sampled_from([line.name for line in handmade.LINES]),
    fill=st.booleans(),
    values=st.none() | st.lists(handmade.TIMES, unique=True),
    empties=st.booleans(),
)
def test_handmade_chunks(
    made: list[Chunk], index: str, fill: bool, values: list[int] | None, empties: bool
) -> None:
    theirs, ours = handmade.both(made)
    assume(index in ours.timelines())
    arguments: dict[str, Any] = {
        "fill_latest_at": fill,
        "using_index_values": values,
        "include_semantically_empty_columns": empties,
    }
    for chunk in made:
        note(f"{chunk!r} {integers(pa.table(chunk.batch))}")
    mine = dataframe(ours, index, **arguments)
    other = theirs.reader(index, **arguments).to_arrow_table()
    note(f"ours: {integers(mine)}")
    note(f"rerun: {other.schema.names} {integers(other)}")
    assert_same(mine, other)


@pytest.mark.parametrize(
    ("other", "arguments"),
    [({"log": [1]}, {}), ({"frame": [1]}, {"using_index_values": [0]}), ({}, {"index": None})],
)
def test_types_that_do_not_meet(other: dict[str, list[int]], arguments: dict[str, Any]) -> None:
    """Where cells of two types would stand in one column, Rerun ends the process."""
    text = pa.array([["t"]])
    made = [
        make_chunk("/a", {"frame": [0]}, {"S:x": [[1]]}),
        make_chunk("/a", other, {"S:x": text}),
    ]
    arguments = {"index": "frame", **arguments}
    if not other:
        made.reverse()  # its schema has the type that came first
    theirs, ours = handmade.both(made)
    assert_same(dataframe(ours, **arguments), theirs.reader(**arguments).to_arrow_table())


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
