"""Files of older SDKs and of other programs on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from forebay.cli import run
from tests.codec.foreign import component, write
from tests.codec.test_conversion import with_interval_of_months

OLD_RECORDINGS = sorted((Path(__file__).parents[1] / "data").glob("old-*.rrd"))


def counts(capsys: pytest.CaptureFixture[str], command: str, path: Path) -> dict[str, object]:
    assert run([command, "--json", str(path)]) == 0
    (store,) = json.loads(capsys.readouterr().out)["stores"]
    told = {key: store[key] for key in ("application_id", "timelines", "rejected")}
    return told | {"entities": [entity["path"] for entity in store["entities"]]}


@pytest.mark.parametrize("path", OLD_RECORDINGS, ids=lambda path: path.stem)
def test_older_recordings_are_counted_and_loaded_alike(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = counts(capsys, "stats", path)
    assert told == counts(capsys, "load", path)
    assert told["rejected"] == 0


def test_a_lost_column_is_told_of_and_the_rest_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "intervals.rrd", with_interval_of_months())
    assert run(["load", "--json", str(path)]) == 1
    captured = capsys.readouterr()
    (store,) = json.loads(captured.out)["stores"]
    assert (store["rows"], store["rejected"]) == (2, 0)
    assert captured.err.count("\n") == 1
    assert "a column was rejected" in captured.err
    assert "month_interval" in captured.err


@pytest.mark.parametrize("ending", ["csv", "parquet", "arrow"])
def test_calendar_intervals_are_written_as_their_parts(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    intervals = pa.array([[(1, 2, 3), None], None], pa.list_(pa.month_day_nano_interval()))
    path = write(tmp_path / "intervals.rrd", component(intervals))
    output = tmp_path / f"out.{ending}"
    assert run(["query", str(path), "--index", "f", "-o", str(output)]) == 0
    if ending == "csv":
        assert '""nanoseconds"": 3}, null]' in output.read_text()
    capsys.readouterr()
    assert run(["query", str(path), "--index", "f"]) == 0
    assert '"months": 1' in capsys.readouterr().out
