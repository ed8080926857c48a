from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import rerun as rr
import rerun.blueprint as rrb

from forebay.cli import run
from forebay.cli.table import as_json, print_table
from forebay.hub import load
from forebay.store.dataframe import dataframe_view


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("query") / "run.rrd"
    with rr.RecordingStream("query", recording_id="run-42") as rec:
        rec.save(path)
        for frame in range(50):
            rec.set_time("frame", sequence=frame)
            rec.set_time("ts", timestamp=1e9 + frame)
            rec.log("plot/s0", rr.Scalars(float(frame)))
            if frame % 10 == 0:
                rec.log("world/points", rr.Points3D([[frame, 0, 0], [0, frame, 0]]))
    return path


def test_screen_shows_the_first_rows_and_says_how_many_more(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["query", str(path), "--index", "frame", "--rows", "3"]) == 0
    out = capsys.readouterr().out
    assert "/plot/s0:Scalars:scalars" in out
    assert "[2.0]" in out
    assert "[3.0]" not in out
    assert "47 more rows" in out


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize(
    ("ending", "read"),
    [(".parquet", pq.read_table), (".arrow", pa.feather.read_table)],
)
def test_files_hold_the_dataframe(
    path: Path, tmp_path: Path, ending: str, read: object, fill: bool
) -> None:
    out = tmp_path / f"out{ending}"
    options = ["--fill-latest-at"] if fill else []
    assert run(["query", str(path), "--index", "frame", "-o", str(out), *options]) == 0
    expected = load(path).recording("run-42").dataframe("frame", fill_latest_at=fill)
    assert read(out).to_pylist() == expected.to_pylist()
    assert list(tmp_path.iterdir()) == [out]


def test_csv_has_json_where_cells_are_nested(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert run(["query", str(path), "--index", "frame", "-o", str(out)]) == 0
    table = pa.csv.read_csv(out)
    assert table.num_rows == 50
    assert table["frame"].to_pylist() == list(range(50))
    assert table["/plot/s0:Scalars:scalars"][7].as_py() == "[7.0]"
    assert table["/world/points:Points3D:positions"][10].as_py() == (
        "[[10.0, 0.0, 0.0], [0.0, 10.0, 0.0]]"
    )


def test_contents_times_components_and_flattening(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    command = ["query", str(path), "--index", "frame", "-o", str(out), "--flatten"]
    chosen = ["--contents", "/**", "--contents", "- /plot/**", "--from", "10", "--to", "20"]
    assert run([*command, *chosen, "--component", "Points3D:positions"]) == 0
    table = pq.read_table(out)
    assert table["frame"].to_pylist() == [10, 20]
    name = "/world/points:Points3D:positions"
    assert table[f"{name}.0.0"].to_pylist() == [10.0, 20.0]
    assert table[f"{name}.1.1"].to_pylist() == [10.0, 20.0]
    assert not [column for column in table.column_names if column.startswith("/plot")]


def test_exploding_makes_a_row_of_each_instance(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.parquet"
    command = ["query", str(path), "--index", "frame", "--contents", "/world/**", "--explode"]
    command += ["--component", "Points3D:positions"]
    name = "/world/points:Points3D:positions"
    assert run([*command, "-o", str(out)]) == 0
    table = pq.read_table(out)
    assert table["frame"].to_pylist() == [0, 0, 10, 10, 20, 20, 30, 30, 40, 40]
    assert table[name].to_pylist()[3] == [0.0, 10.0, 0.0]
    assert "10 rows written" in capsys.readouterr().err
    assert run([*command, "--flatten", "-o", str(out)]) == 0
    assert pq.read_table(out)[f"{name}.1"].to_pylist()[:4] == [0.0, 0.0, 0.0, 10.0]
    assert run([*command, "--rows", "3"]) == 0
    screen = capsys.readouterr().out
    assert screen.count("[0.0, 0.0, 0.0]") == 2
    assert "… more rows" in screen
    assert run([*command, "--rows", "5"]) == 0
    assert "… 5 more rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("start", "rows"),
    [("2001-09-09T01:46:50", 40), ("1000000049000000000", 1), ("2001-09-09T01:46:50Z", 40)],
)
def test_times_of_a_timestamp_timeline(path: Path, tmp_path: Path, start: str, rows: int) -> None:
    out = tmp_path / "out.parquet"
    assert run(["query", str(path), "--index", "ts", "--from", start, "-o", str(out)]) == 0
    assert pq.read_table(out).num_rows == rows


def test_static_gives_one_row(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", str(path), "--static"]) == 0
    assert "frame" in capsys.readouterr().out


def test_a_recording_without_timelines_shows_its_static_data_on_any_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "static.rrd"
    with rr.RecordingStream("query", recording_id="static", send_properties=False) as rec:
        rec.save(path)
        rec.log("limit", rr.Scalars(3.0), static=True)
    assert run(["query", str(path), "--static"]) == 0
    expected = capsys.readouterr().out
    assert "[3.0]" in expected
    assert run(["query", str(path), "--index", "frame"]) == 0
    assert capsys.readouterr().out == expected
    assert run(["query", str(path), "--index", "frame", "--from", "1", "--to", "noon"]) == 0
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--index", "nope"], "'frame'"),
        (["--index", "frame", "--from", "noon"], "give an integer"),
        (["--index", "ts", "--to", "noon"], "ISO 8601"),
        (["--index", "frame", "--contents", "/a/**/b"], "/a/**/b"),
        (["--index", "frame", "--contents", "/wrld/**"], "'/world/points'"),
        (["--index", "frame", "--recording", "run-42", "--application", "other"], "of 'query'"),
        (["--index", "frame", "--component", "No:such"], "Scalars:scalars"),
        (["--index", "frame", "--recording", "other"], "'run-42'"),
    ],
)
def test_a_wrong_question_names_what_there_is(
    path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert run(["query", str(path), *options]) == 1
    err = capsys.readouterr().err
    assert says in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--index", "frame", "--static"],
        ["--index", "frame", "-o", "x.docx"],
        ["--index", "frame", "--rows", "-1"],
        ["--static", "--from", "1"],
    ],
)
def test_wrong_usage(path: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", str(path), *options]) == 2
    assert "Usage" in capsys.readouterr().err


def test_a_failed_write_leaves_no_file(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "no" / "folder" / "out.csv"
    assert run(["query", str(path), "--index", "frame", "-o", str(out)]) == 1
    assert capsys.readouterr().err.startswith("forebay: ")


def test_no_rows_in_range_shows_the_columns(
    tensors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["query", str(tensors), "--index", "frame", "--from", "5", "--to", "1"]
    assert run(command) == 0
    assert "/t:Tensor:data" in capsys.readouterr().out
    for ending in ("csv", "parquet", "arrow"):
        assert run([*command, "-o", str(tmp_path / f"out.{ending}")]) == 0


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tensors have a union inside, which many formats have not got."""
    path = tmp_path_factory.mktemp("tensors") / "tensors.rrd"
    with rr.RecordingStream("query", recording_id="tensors") as rec:
        rec.save(path)
        for frame in range(3):
            rec.set_time("frame", sequence=frame)
            rec.set_time("took", duration=frame - 1.5)
            rec.log("t", rr.Tensor([[frame, 2], [3, 4]]))
    return path


def test_what_parquet_cannot_hold_becomes_json(
    tensors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.PARQUET"
    assert run(["query", str(tensors), "--index", "frame", "-o", str(out)]) == 0
    assert "JSON, because Parquet has no such type: /t:Tensor:data" in capsys.readouterr().err
    table = pq.read_table(pa.BufferReader(out.read_bytes()))
    assert table["frame"].to_pylist() == [0, 1, 2]
    [tensor] = json.loads(table["/t:Tensor:data"][1].as_py())
    assert tensor["buffer"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("start", "rows"), [("-1.5s", 3), ("-500ms", 2), ("0.0001h", 1), ("-1500000000", 3)]
)
def test_times_of_a_duration_timeline(tensors: Path, tmp_path: Path, start: str, rows: int) -> None:
    out = tmp_path / "out.arrow"
    assert run(["query", str(tensors), "--index", "took", "--from", start, "-o", str(out)]) == 0
    assert pa.feather.read_table(out).num_rows == rows
    assert run(["query", str(tensors), "--index", "took", "--from", "soon"]) == 1


def test_the_screen_shows_as_many_rows_as_asked_for_however_large_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = {"max_rows": 2, "max_bytes": 1}
    monkeypatch.setattr(dataframe_view, "__kwdefaults__", defaults)
    path = tmp_path / "x.rrd"
    with rr.RecordingStream("query", recording_id="x") as rec:
        rec.save(path)
        for frame in range(9):
            rec.set_time("frame", sequence=frame)
            rec.log("x", rr.Scalars([float(frame)] * 3))
    assert run(["query", str(path), "--index", "frame", "--rows", "7"]) == 0
    out = capsys.readouterr().out
    assert "[6.0, 6.0, 6.0]" in out
    assert "2 more rows" in out


def test_recordings_of_one_id_are_told_apart_by_application(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "both.rrd"
    parts = []
    for app in ("one", "two"):
        with rr.RecordingStream(app, recording_id="same") as rec:
            rec.save(tmp_path / app)
            rec.set_time("frame", sequence=len(app))
            rec.log(app, rr.Scalars(1.0))
        parts.append((tmp_path / app).read_bytes())
    path.write_bytes(b"".join(parts))
    command = ["query", str(path), "--index", "frame"]
    assert run([*command, "--recording", "same"]) == 1
    assert "--application" in capsys.readouterr().err
    assert run([*command, "--application", "two"]) == 0
    assert "/two:Scalars" in capsys.readouterr().out


def test_a_blueprint_is_queried_itself_and_not_the_clone_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.rbl"
    rrb.Blueprint(rrb.TimeSeriesView()).save("query", path)
    assert run(["query", str(path), "--index", "blueprint"]) == 0
    assert "ViewBlueprint" in capsys.readouterr().out


def test_links_and_pipes_are_written_and_not_replaced(path: Path, tmp_path: Path) -> None:
    real, link, pipe = tmp_path / "real", tmp_path / "link.csv", tmp_path / "pipe.csv"
    real.write_text("before")
    link.symlink_to(real)
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    for out in (link, pipe):
        assert run(["query", str(path), "--index", "frame", "-o", str(out)]) == 0
    reader.join(60)
    assert link.is_symlink()
    assert pipe.is_fifo()
    assert received == [real.read_bytes()]
    assert real.read_bytes().count(b"\n") == 51


def test_what_is_terminated_leaves_no_half_a_file(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    code = (
        "import os, signal, sys\n"
        "from forebay.cli import files, main\n"
        "files._converted = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        f"main(['query', {str(path)!r}, '--index', 'frame', '-o', {str(out)!r}])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert ended.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


STRANGE = {
    "times that datetime has not got": (pa.array([[10**15]], pa.list_(pa.timestamp("s"))), None),
    "nanoseconds": (
        pa.array([[10], None], pa.list_(pa.timestamp("ns"))),
        ['["1970-01-01 00:00:00.000000010"]', None],
    ),
    "durations": (pa.array([[86400]], pa.list_(pa.duration("s"))), ['["86400 s"]']),
    "a name twice": (
        pa.StructArray.from_arrays([pa.array([1]), pa.array([None])], names=["a", "a"]),
        ['{"a": 1, "a": null}'],
    ),
    "maps of times": (
        pa.array([[("a", 0), ("b", None)]], pa.map_(pa.string(), pa.timestamp("s"))),
        ['[["a", "1970-01-01 00:00:00"], ["b", null]]'],
    ),
    "bytes": (pa.array([[b"\xff"]]), ['["ff"]']),
}


@pytest.mark.parametrize(("column", "expected"), STRANGE.values(), ids=STRANGE.keys())
def test_cells_of_every_type_become_json(
    column: pa.Array, expected: list[str | None] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    made = as_json(column).to_pylist()
    assert expected is None or made == expected
    print_table(pa.Table.from_arrays([column, column], ["x", "x"]), len(column))
    assert capsys.readouterr().out.count((made[0] or "")[:20]) == 2


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".csv"])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_component_of_two_types_is_written(
    tmp_path: Path, ending: str, is_reversed: bool
) -> None:
    """Lists of `uint8` that says it has no nulls, and lists of `uint8` that have some."""
    kinds = [pa.list_(pa.field("item", pa.uint8(), nullable=False)), pa.list_(pa.uint8())]
    logged = [([1, 2], kinds[0]), ([3, None], kinds[1]), ([5], kinds[0])]
    path, out = tmp_path / "run.rrd", tmp_path / f"out{ending}"
    with rr.RecordingStream("query", recording_id="two types") as rec:
        rec.save(path)
        for frame, (values, kind) in enumerate(logged[::-1] if is_reversed else logged):
            rec.set_time("f", sequence=frame)
            rec.log("a", rr.AnyValues(c=pa.array([values], kind)))
    assert run(["query", str(path), "--index", "f", "-o", str(out)]) == 0
    wanted = [[values] for values, _ in logged]
    if ending == ".csv":
        written = pa.csv.read_csv(out)["/a:c"].to_pylist()
        written = [json.loads(text) for text in written]
    else:
        read = pq.read_table if ending == ".parquet" else pa.feather.read_table
        written = read(out)["/a:c"].to_pylist()
    assert written == (wanted[::-1] if is_reversed else wanted)


def test_types_that_no_type_holds_are_an_error_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.rrd"
    with rr.RecordingStream("query", recording_id="two types") as rec:
        rec.save(path)
        for frame, values in enumerate((pa.array([1]), pa.array(["text"]))):
            rec.set_time("f", sequence=frame)
            rec.log("a", rr.AnyValues(c=values))
    assert run(["query", str(path), "--index", "f", "-o", str(tmp_path / "out.csv")]) != 0
    err = " ".join(capsys.readouterr().err.split())
    assert "component 'c' of /a was logged as int64 and as string" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out.csv").exists()
