"""A page's questions, asked of the same session natively."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forebay.codec import StreamEncoder, encode_chunk
from forebay.errors import ForebayError, UnknownEntityError
from forebay.limits import WEB_PLOT_BUCKETS_MAX
from forebay.model import StoreId
from forebay.viewer import Session
from forebay.viewer.series import thinned
from tests.chunks import make_chunk

STORE = StoreId.recording("app", "run")


def stream(rows: int = 10) -> bytes:
    """One chunk of scalars and one of text for each row."""
    encoder = StreamEncoder()
    parts = [encoder.header()]
    for row in range(rows):
        for entity, cells in (
            ("/plot", {"Scalars:scalars": [[float(row)]]}),
            ("/log", {"TextLog:text": [[f"line {row}"]]}),
        ):
            chunk = make_chunk(entity, {"frame": [row]}, cells)
            parts.append(encoder.encode(encode_chunk(STORE, chunk)))
    return b"".join([*parts, encoder.finish()])


def fed(data: bytes, block: int = 100) -> Session:
    session = Session("test.rrd")
    for at in range(0, len(data), block):
        session.feed(data[at : at + block])
    while session.run_slice():
        pass
    session.finish()
    return session


def asked(session: Session, **question: Any) -> pa.Table:
    return pa.ipc.open_stream(session.ask(json.dumps(question))).read_all()


@pytest.fixture(scope="module")
def session() -> Session:
    return fed(stream())


def test_the_overview_tells_what_is_there(session: Session) -> None:
    overview = json.loads(session.overview())
    assert overview["error"] is None
    (store,) = overview["stores"]
    assert store["recording_id"] == "run"
    assert store["timelines"] == {"frame": {"type": "sequence", "range": ["0", "9"]}}
    entities = {each["path"]: each for each in store["entities"]}
    assert entities["/plot"]["rows"] == 10
    assert [each["is_plottable"] for each in entities["/plot"]["components"]] == [True]
    assert [each["is_plottable"] for each in entities["/log"]["components"]] == [False]


def test_progress_adds_up(session: Session) -> None:
    progress = json.loads(session.progress())
    assert progress["bytes"] > 10_000
    assert progress["accepted"] == progress["committed"] == 20
    assert progress["is_finished"]


def test_questions_can_be_asked_while_bytes_come_in() -> None:
    data = stream(200)
    session = Session("test.rrd")
    session.feed(data[: len(data) // 2])
    while session.run_slice():
        pass
    first = json.loads(session.overview())["stores"][0]["rows"]
    assert 0 < first < 400
    session.feed(data[len(data) // 2 :])
    while session.run_slice():
        pass
    session.finish()
    assert json.loads(session.overview())["stores"][0]["rows"] == 400


def test_cells_at_the_cursor(session: Session) -> None:
    table = asked(session, kind="latest_at", timeline="frame", time="4", entity="/plot")
    assert table.to_pylist() == [
        {"component": "Scalars:scalars", "value": "4", "at": "4", "time": 4, "instances": 1}
    ]


def test_rows_from_the_cursor_on(session: Session) -> None:
    table = asked(session, kind="rows", timeline="frame", start="7", contents="/log/**")
    assert table["/log:TextLog:text"].to_pylist() == ["line 7", "line 8", "line 9"]
    assert table["time"].to_pylist() == [7, 8, 9]


def test_a_plot_has_the_lines_of_its_components(session: Session) -> None:
    question = {"timeline": "frame", "entity": "/plot", "components": ["Scalars:scalars"]}
    table = asked(session, kind="plot", start="2", end="5", **question)
    assert table["time"].to_pylist() == [2, 3, 4, 5]
    assert table["least"].to_pylist() == table["greatest"].to_pylist() == [2.0, 3.0, 4.0, 5.0]


def test_static_data_is_shown_and_draws_no_line() -> None:
    encoder = StreamEncoder()
    parts = [encoder.header()]
    static = make_chunk("/limit", None, {"Scalars:scalars": [[3.0]]})
    parts.append(encoder.encode(encode_chunk(STORE, static)))
    question = {"store": 0, "timeline": "frame", "entity": "/limit"}
    drawn = {"kind": "plot", "components": ["Scalars:scalars"], "start": "0", "end": "9"}
    alone = fed(b"".join([*parts, encoder.finish()]))
    assert asked(alone, kind="latest_at", time="4", **question)["at"].to_pylist() == [""]
    assert asked(alone, **question, **drawn).num_rows == 0
    found = asked(alone, kind="rows", store=0, timeline="frame", start="0")
    assert found.to_pydict() == {
        "time": [None],
        "frame": [""],
        "/limit:Scalars:scalars": found["/limit:Scalars:scalars"].to_pylist(),
    }
    moving = make_chunk("/limit", {"frame": [1, 2]}, {"S:x": [[1.0], [2.0]]})
    parts.append(encoder.encode(encode_chunk(STORE, moving)))
    both = fed(b"".join([*parts, encoder.finish()]))
    assert asked(both, **question, **drawn).num_rows == 0
    lines = asked(both, **question, **{**drawn, "components": ["Scalars:scalars", "S:x"]})
    assert lines["time"].to_pylist() == [1, 2]
    ranged = asked(both, kind="range", start="0", end="9", **question)
    assert ranged["frame"].to_pylist() == [None, 1, 2]


def test_csv_has_a_header_and_nested_cells_as_json(session: Session) -> None:
    question = {"kind": "csv", "timeline": "frame", "contents": "/plot"}
    lines = session.ask(json.dumps(question)).decode().splitlines()
    assert lines[0] == '"frame","/plot:Scalars:scalars"'
    assert lines[1] == '0,"[0.0]"'


def test_damage_is_reported_and_what_is_readable_is_there() -> None:
    data = stream(100)
    overview = json.loads(fed(data[: len(data) // 2]).overview())
    assert overview["error"]["type"] == "TruncatedError"
    assert overview["stores"][0]["rows"] > 0


def test_a_wrong_question_says_what_there_is(session: Session) -> None:
    with pytest.raises(UnknownEntityError, match="/plot"):
        asked(session, kind="latest_at", timeline="frame", time="0", entity="/nowhere")
    with pytest.raises(ForebayError, match="has 1"):
        asked(session, kind="csv", store=3)
    with pytest.raises(ValueError, match="latest_at"):
        asked(session, kind="weather")


def test_a_thinned_line_keeps_every_peak() -> None:
    times = np.arange(100_000, dtype=np.int64)
    values = np.zeros(100_000)
    values[[17, 50_000, 99_999]] = [5.0, -7.0, 9.0]
    points = thinned(times, values, 100)
    assert len(points.times) == 100
    assert sorted(points.greatest)[-2:] == [5.0, 9.0]
    assert points.least.min() == -7.0


def test_a_thinned_line_spans_all_of_time() -> None:
    times = np.linspace(-(2.0**63), 2.0**63 - 2048, 10_000).astype(np.int64)
    points = thinned(times, np.arange(10_000.0), WEB_PLOT_BUCKETS_MAX)
    assert len(points.times) <= WEB_PLOT_BUCKETS_MAX
    assert points.greatest[-1] == 9999.0
    assert np.all(np.diff(points.times.astype(float)) > 0)
