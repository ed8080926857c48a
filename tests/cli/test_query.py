from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import rerun as rr

from forebay.cli import run
from forebay.hub import load


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


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--index", "nope"], "'frame'"),
        (["--index", "frame", "--from", "noon"], "give a whole number"),
        (["--index", "ts", "--to", "noon"], "ISO 8601"),
        (["--index", "frame", "--contents", "/a/**/b"], "/a/**/b"),
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
    "options", [[], ["--index", "frame", "--static"], ["--index", "frame", "-o", "x.docx"]]
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
