"""Real processes: SDKs that log, and a server on the command line."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forebay import StoreHub
from forebay.model.timelines import TIME_MAX, TIME_MIN

SCRIPT = Path(__file__).with_name("logging_script.py")
PATIENCE_S = 120.0


def start_logging(kind: str, target: str | Path, *signal_: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), kind, str(target), *signal_],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def log_at_once(kinds: list[str], target: str) -> None:
    """One process per kind, all at once; returns when all have ended well."""
    processes = [start_logging(kind, target) for kind in kinds]
    for process in processes:
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0


@dataclass
class ServeProcess:
    """`forebay serve`, running."""

    process: subprocess.Popen[str]
    url: str
    stderr: str = ""

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Interrupt it as a person would; returns its exit code."""
        self.process.send_signal(number)
        _, self.stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode


@contextlib.contextmanager
def forebay_serve(*args: str) -> Iterator[ServeProcess]:
    process = subprocess.Popen(
        [sys.executable, "-m", "forebay", "serve", "--address", "127.0.0.1:0", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield ServeProcess(process, process.stdout.readline().strip())
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def contents(hub: StoreHub, recording_id: str) -> dict[str, object]:
    """Every value logged on `frame`, and statically, by entity."""
    db = hub.recording(recording_id)
    found: dict[str, object] = {}
    for entity in db.entity_paths():
        if entity.is_reserved:
            continue  # when the recording began, which is another time each time
        logged = (
            db.range("frame", TIME_MIN, TIME_MAX, entity) if "frame" in db.timelines() else None
        )
        if logged is not None and logged.num_rows:
            found[str(entity)] = logged.drop_columns(["row_id"]).combine_chunks()
        else:
            cells = db.latest_at(None, None, entity)
            found[str(entity)] = {name: cell.value.to_pylist() for name, cell in cells.items()}
    return found


def rows(hub: StoreHub, recording_id: str) -> dict[str, int]:
    """Rows by entity."""
    stats = hub.recording(recording_id).snapshot().entity_stats()
    return {str(path): num_rows for path, _, num_rows in stats}
