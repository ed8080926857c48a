"""Real SDK processes log to a real server; every row is there, and equals what a file holds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow as pa
import pytest

import forebay
from tests.cli.recordings import RERUN
from tests.integration.logging_script import CLOUD_ROWS, IMAGE_ROWS, KINDS, SCALAR_ROWS
from tests.integration.processes import (
    PATIENCE_S,
    contents,
    forebay_serve,
    log_at_once,
    rows,
    start_logging,
)
from tests.waiting import until

ROWS = {
    "scalars": {
        "/plot/sin": SCALAR_ROWS,
        "/plot/many": SCALAR_ROWS,
        "/log": SCALAR_ROWS // 10,
        "/about": 1,
    },
    "images": {"/camera": 1, "/camera/rgb": IMAGE_ROWS, "/camera/depth": IMAGE_ROWS},
    "clouds": {"/lidar": CLOUD_ROWS, "/lidar/pose": CLOUD_ROWS},
}


@pytest.fixture(scope="module")
def from_files(tmp_path_factory: pytest.TempPathFactory) -> forebay.StoreHub:
    """What the same scripts log into files."""
    folder = tmp_path_factory.mktemp("files")
    processes = [start_logging(kind, folder / f"{kind}.rrd") for kind in KINDS]
    for process in processes:
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    return forebay.load(*sorted(folder.iterdir()))


def assert_complete(hub: forebay.StoreHub, from_files: forebay.StoreHub) -> None:
    assert {db.store_id.recording_id for db in hub.recordings()} == set(KINDS)
    for kind in KINDS:
        counted = rows(hub, kind)
        counted.pop("/__properties", None)
        assert counted == ROWS[kind]
        ours, theirs = contents(hub, kind), contents(from_files, kind)
        assert ours.keys() == theirs.keys()
        for entity, table in theirs.items():
            if isinstance(table, pa.Table):
                assert ours[entity].equals(table), entity
            else:
                assert ours[entity] == table, entity
        stats = hub.recording(kind).ingestion_stats()
        assert (stats.rejected, stats.dropped, stats.in_flight) == (0, 0, 0)
        assert stats.accepted == stats.committed


def test_three_processes_at_once_in_process_server(from_files: forebay.StoreHub) -> None:
    with forebay.serve("127.0.0.1:0") as server:
        log_at_once(list(KINDS), server.url)
    assert_complete(server.hub, from_files)


def test_three_processes_at_once_command_line_server(
    from_files: forebay.StoreHub, tmp_path: Path
) -> None:
    with forebay_serve("--data", str(tmp_path)) as server:
        log_at_once(list(KINDS), server.url)
        assert server.stop() == 0
    assert "received " in server.stderr
    assert "Traceback" not in server.stderr
    assert_complete(forebay.load(*tmp_path.iterdir()), from_files)


def test_queries_while_a_process_logs() -> None:
    with forebay.serve("127.0.0.1:0") as server:
        process = start_logging("scalars", server.url, "wait")
        until(lambda: len(server.hub.recordings()) == 1)
        db = server.hub.recording("scalars")
        seen = 0
        while seen < SCALAR_ROWS:
            snapshot = db.snapshot()
            if "frame" not in snapshot.timelines() or "/plot/sin" not in snapshot.entity_paths():
                continue
            table = snapshot.range("frame", 0, SCALAR_ROWS, "/plot/sin")
            assert table.num_rows >= seen
            assert table["frame"].to_pylist() == list(range(table.num_rows))
            seen = table.num_rows
        process.communicate(timeout=PATIENCE_S)


def test_a_process_that_is_killed_leaves_what_arrived(from_files: forebay.StoreHub) -> None:
    with forebay.serve("127.0.0.1:0") as server:
        victim = start_logging("scalars", server.url, "wait")
        assert victim.stdout is not None
        assert victim.stdout.readline() == "flushed\n"
        until(lambda: rows_or_nothing(server.hub, "scalars").get("/log") == SCALAR_ROWS // 10)
        victim.kill()
        victim.communicate(timeout=PATIENCE_S)
        until(lambda: server.stats().writers == 0)
        log_at_once(["images", "clouds"], server.url)
    assert_complete(server.hub, from_files)


def rows_or_nothing(hub: forebay.StoreHub, recording_id: str) -> dict[str, int]:
    return rows(hub, recording_id) if hub.recordings() else {}


def test_a_server_process_that_is_killed_has_kept_what_it_received(
    from_files: forebay.StoreHub, tmp_path: Path
) -> None:
    with forebay_serve("--data", str(tmp_path)) as server:
        log_at_once(["scalars"], server.url)
        until(lambda: _kept_rows(tmp_path) >= 2 * SCALAR_ROWS + SCALAR_ROWS // 10 + 1)
        server.process.kill()
        server.process.communicate()
    kept = forebay.load(*tmp_path.iterdir(), on_error="keep")
    assert contents(kept, "scalars").keys() == contents(from_files, "scalars").keys()


def _kept_rows(folder: Path) -> int:
    files = list(folder.iterdir())
    return sum(db.num_rows for db in forebay.load(*files, on_error="keep")) if files else 0


def test_rerun_reads_from_the_server(from_files: forebay.StoreHub, tmp_path: Path) -> None:
    """Rerun's own client relays a recording out of ours into a file."""
    out = tmp_path / "relayed.rrd"
    with forebay.serve("127.0.0.1:0") as server:
        log_at_once(["clouds"], server.url)
        with subprocess.Popen(
            [RERUN, "--save", out, server.url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as reader:
            until(lambda: server.stats().readers == 1)
            server.stop()
            try:
                reader.wait(PATIENCE_S)
            finally:
                reader.kill()
    hub = forebay.load(out, on_error="keep")
    assert rows(hub, "clouds")["/lidar"] == CLOUD_ROWS
    ours = contents(hub, "clouds")["/lidar"]
    assert ours.equals(contents(from_files, "clouds")["/lidar"])
