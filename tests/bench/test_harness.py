"""What figures mean, and that digests see a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from forebay.bench import Bench, Figure, Size, memory, run_workloads
from forebay.bench.answers import digest_snapshot, digest_table
from forebay.bench.figures import Cost, at_least, at_most, number
from forebay.bench.processes import Child, Stopwatch, alternate, run
from forebay.errors import BenchError
from forebay.model import StoreId
from forebay.store import ChunkStore
from tests.chunks import make_chunk


def test_targets() -> None:
    assert at_least(2).is_met_by(2)
    assert not at_least(2).is_met_by(1.99)
    assert at_most(16, " KiB").is_met_by(16)
    assert not at_most(16).is_met_by(17)
    assert not at_least(2).is_met_by(float("nan"))
    assert str(at_most(16, " KiB")) == "≤ 16 KiB"
    assert number(123456.7) == "123,457"


def test_a_figure_compares_cpu_seconds() -> None:
    ours, peer = Cost(9.0, 1.0, 0, 1), Cost(1.0, 3.0, 0, 1)
    figure = Figure("L1", "x", 1 / 9, target=at_least(2), ours=ours, peer=peer)
    assert figure.cpu_ratio == 3.0
    assert figure.is_met is False
    assert Figure("L1", "x", 1.0).is_met is None


def test_costs_are_medians() -> None:
    runs = [{"wall_s": s, "cpu_s": 2 * s, "rss_peak_bytes": 8} for s in (5.0, 1.0, 2.0)]
    assert Cost.of(runs) == Cost(2.0, 4.0, 8, 3)


CELLS: list[list[list[float] | None]] = [[[1.0], None, []], [[1.0], [], None], [[1.0], None, [0.0]]]


def test_a_digest_tells_null_from_empty_and_does_not_see_chunking() -> None:
    tables = [pa.table({"a": pa.array(cells, pa.list_(pa.float64()))}) for cells in CELLS]
    assert len({digest_table(table) for table in tables}) == len(CELLS)
    cut = pa.concat_tables([tables[0].slice(0, 1), tables[0].slice(1)])
    assert digest_table(cut) == digest_table(tables[0])
    assert digest_table(tables[0].rename_columns(["b"])) != digest_table(tables[0])


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, ""]),
        pa.array([{"x": 1}, None, {"x": None}]),
        pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)),
        pa.array([True, None, False]),
        pa.array([1, None, 2], pa.timestamp("ns")),
        pa.nulls(3),
    ],
    ids=lambda column: str(column.type),
)
def test_a_digest_sees_every_kind_of_column(column: pa.Array) -> None:
    table = pa.table({"a": column})
    assert digest_table(table) == digest_table(pa.table({"a": column.slice(0)}))
    if not pa.types.is_null(column.type):
        swapped = column.take(pa.array([2, 1, 0]))
        assert digest_table(table) != digest_table(pa.table({"a": swapped}))


def test_the_digest_of_a_store_does_not_depend_on_how_rows_fall_into_chunks() -> None:
    def store(*cuts: list[int]) -> dict[str, str]:
        made = ChunkStore(StoreId.recording("app", "run"))
        for rows in cuts:
            cells = {"S:x": [[float(row)] for row in rows]}
            made.insert(make_chunk("/a", {"frame": rows}, cells, row_ids=rows))
        return digest_snapshot(made.snapshot())

    assert store([1, 2, 3]) == store([2, 3], [1])
    assert store([1, 2, 3]) != store([1, 2, 4])


def burn(seconds: float) -> dict[str, Any]:
    with Stopwatch() as watch:
        while watch.elapsed_s < seconds:
            pass
    return watch.times


def fail() -> dict[str, Any]:
    msg = "on purpose"
    raise ValueError(msg)


def test_a_job_runs_in_a_process_of_its_own_and_is_timed_there() -> None:
    found = run((burn, {"seconds": 0.05}))
    assert found["wall_s"] >= 0.05
    assert found["cpu_s"] > 0
    assert found["rss_peak_bytes"] > 1 << 20


def test_sides_take_turns() -> None:
    jobs = {"a": (burn, {"seconds": 0.0}), "b": (burn, {"seconds": 0.0})}
    found = alternate(jobs, 3, fresh=False)
    assert {name: len(runs) for name, runs in found.items()} == {"a": 3, "b": 3}


def test_a_job_that_fails_says_why() -> None:
    child = Child((fail, {}))
    child.wait_until_ready()
    child.go()
    with pytest.raises(BenchError, match="on purpose"):
        child.result()


def test_a_workload_that_fails_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FOREBAY_BENCH_DIR", str(tmp_path))
    bench = Bench(size=Size.QUICK, fresh=False)

    def broken(_: Bench) -> list[Figure]:
        msg = "it broke"
        raise BenchError(msg)

    monkeypatch.setattr(memory, "imu", broken)
    first, *rest = run_workloads(["S5", "INSERT"], bench)
    assert first.failed
    assert first.note == "it broke"
    assert rest
    assert not any(figure.failed for figure in rest)
