"""Every workload runs at its quick size, and both sides answer alike. Times are not looked at."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forebay import cli
from forebay.bench import WORKLOADS, Bench, Size, run_workloads
from forebay.bench.figures import Target
from forebay.bench.plots import draw
from forebay.bench.report import BEGIN, END
from forebay.errors import BenchError

HERE = Bench(size=Size.QUICK, fresh=False)
COMPARED = {"L1", "L2", "L3", "L4", "Q1", "Q2", "Q4", "I3", "I5"}


@pytest.fixture(autouse=True)
def recordings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_BENCH_DIR", str(tmp_path_factory.getbasetemp() / "recordings"))


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_runs_and_answers_agree(name: str, tmp_path: Path) -> None:
    figures = list(run_workloads([name], HERE))
    assert figures
    for figure in figures:
        assert not figure.failed, figure.note
        assert figure.workload == name
        assert figure.same_answer is not False, figure.what
        assert math.isfinite(figure.value) or name.startswith("S"), figure
        json.dumps(figure.as_json())
    assert (name in COMPARED) == any(figure.same_answer for figure in figures)
    if name in {"L1", "I1", "I2", "INSERT"}:
        pytest.importorskip("matplotlib")
        (path,) = draw(figures, tmp_path)
        assert Path(path).read_text().startswith("<?xml")


def test_the_command_measures_in_fresh_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found.json"
    assert cli.run(["bench", "l2", "--quick", "--json", str(found)]) == 0
    assert "L2" in capsys.readouterr().out
    document = json.loads(found.read_text())
    (figure,) = document["figures"]
    assert figure["same_answer"] is True
    assert figure["ours"]["cpu_s"] > 0
    assert figure["peer_name"].startswith("Rerun")
    assert document["machine"]["pyarrow"]

    page, both = tmp_path / "page.md", tmp_path / "both.json"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    args = ["insert", "--quick", "--with", str(found), "--page", str(page), "--json", str(both)]
    assert cli.run(["bench", *args]) == 0
    kept, added = json.loads(both.read_text())["figures"][:2]
    assert kept == figure
    assert added["workload"] == "INSERT"
    text = page.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    assert all(f"| {name} |" in text for name in ("L2", "INSERT"))


def test_a_file_without_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.json"
    path.write_text("[]")
    assert cli.run(["bench", "L2", "--quick", "--with", str(path)]) == 1
    assert "holds no figures" in capsys.readouterr().err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0.001, 1e9), st.booleans(), st.sampled_from(["x", "/s", " KiB", ""]))
def test_targets_are_read_as_they_are_written(value: float, is_least: bool, unit: str) -> None:
    text = str(Target(value, is_least, unit))
    assert str(Target.parse(text)) == text


def test_json_alone_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "INSERT", "--quick", "--json", "-"]) == 0
    assert {one["workload"] for one in json.loads(capsys.readouterr().out)["figures"]} == {"INSERT"}


def test_an_unknown_workload_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "L9"]) == 1
    assert "'L9'; there are: L1, L2" in capsys.readouterr().err
    with pytest.raises(BenchError):
        list(run_workloads(["L9"], HERE))


def test_what_can_be_run_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "--list"]) == 0
    assert "latest-at fill" in capsys.readouterr().out
