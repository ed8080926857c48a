"""What the recordings of the corpus become when they are loaded, in a few bytes each.

They say the same wherever a recording was loaded: on threads or inline, by one worker or several,
with a GIL or without. `python -m tests.fingerprints` prints those of the interpreter at hand, for
another one to be compared with: `FOREBAY_FINGERPRINTS` names a file that holds them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TypeAlias

from forebay.bench.answers import digest_snapshot, digest_table
from forebay.hub import EntityDb, StoreHub, load
from forebay.runtime import InlineRuntime, gil_enabled
from forebay.store import Cell, StoreSnapshot
from tests.corpus import RECORDINGS, recording

Fingerprint: TypeAlias = dict[str, dict[str, str]]
"""By store, then by what was asked of it."""


def fingerprint(name: str, hub: StoreHub) -> Fingerprint:
    """Load one recording into an empty hub, and ask for everything that came of it."""
    load(recording(name), hub=hub)
    return {_name(db, hub): _of_store(db) for db in hub}


def _name(db: EntityDb, hub: StoreHub) -> str:
    application_id = db.store_id.application_id
    if db is hub.active_blueprint(application_id):
        return f"the blueprint in use of {application_id}"  # a clone: its id is drawn at random
    return str(db.store_id)


def _of_store(db: EntityDb) -> dict[str, str]:
    snapshot = db.snapshot()
    found = {
        "info": repr(db.info).replace(db.store_id.recording_id, "its id"),
        "timelines": repr(sorted(snapshot.timelines().items())),
        "size": f"{snapshot.byte_size} bytes",
    }
    for path, digest in digest_snapshot(snapshot).items():
        chunks = [*snapshot.chunks(path), *snapshot.static_chunks(path)]
        ids = _digest(sorted(f"{chunk.id} {chunk.num_rows}" for chunk in chunks))
        found[f"rows of {path}"] = digest
        found[f"chunks of {path}"] = f"{len(chunks)}:{ids}"
        found[f"latest of {path}"] = _digest(_latest(snapshot, path))
        for timeline in snapshot.timelines():
            table = snapshot.range(timeline, *snapshot.time_range(timeline), path)
            found[f"range of {path} on {timeline}"] = digest_table(table)
    return found


def _latest(snapshot: StoreSnapshot, path: str) -> list[str]:
    """All cells at the ends and in the middle of each timeline, and the static ones."""
    told = [_told(snapshot.latest_at(None, None, path))]
    for timeline in snapshot.timelines():
        first, last = snapshot.time_range(timeline)
        times = (first, (first + last) // 2, last)
        told += [_told(snapshot.latest_at(timeline, time, path)) for time in times]
    return told


def _told(cells: dict[str, Cell]) -> str:
    return repr(
        [(name, cell.time, cell.row_id.hex(), str(cell.value)) for name, cell in cells.items()]
    )


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def main() -> None:
    """Print the fingerprints of all recordings, each loaded without any threads."""
    found = {name: fingerprint(name, StoreHub(runtime=InlineRuntime())) for name in RECORDINGS}
    json.dump({"gil": gil_enabled(), "recordings": found}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
