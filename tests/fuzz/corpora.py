"""The kept corpora: the smallest inputs that still reach all the code that many did."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.target import CORPUS, Target, kept, load

BYTES_MAX = 90_000
"""Of one target's corpus."""


def minimise(name: str, grown: Path) -> tuple[int, int]:
    """Make the kept corpus out of itself and a grown one; how many inputs and bytes it has now."""
    target = load(name)
    files = [*kept(name), *(grown.iterdir() if grown.is_dir() else ())]
    inputs = {path.read_bytes()[: target.bytes_max] for path in files} | set(target.seeds())
    chosen = smallest(target, inputs)
    made = set(target.seeds())  # these come without a file
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    regressions = {path for path in kept(name) if path.suffix == ".case"}
    for path in set(kept(name)) - regressions:
        path.unlink()
    size = sum(path.stat().st_size for path in regressions)
    for data in chosen:
        if data not in made and size + len(data) <= BYTES_MAX:
            size += len(data)
            (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
    return len(kept(name)), size


def smallest(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Inputs, small ones first, each of which reaches a line or an outcome that none before did."""
    reached: set[object] = set()
    chosen = []
    for data in sorted(inputs, key=lambda one: (len(one), one)):
        new = lines_of(target.run, data) - reached
        if new:
            reached |= new
            chosen.append(data)
    return chosen


def lines_of(run: Callable[[bytes], str | None], data: bytes) -> set[object]:
    """Which lines of Forebay one input runs, and what became of it."""
    lines: set[object] = set()
    seen: dict[CodeType, bool] = {}

    def enter(frame: FrameType, _event: str, _arg: Any) -> Any:
        code = frame.f_code
        if code not in seen:
            seen[code] = "/forebay/" in code.co_filename
        return inside if seen[code] else None

    def inside(frame: FrameType, event: str, _arg: Any) -> Any:
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
        return inside

    sys.settrace(enter)
    try:
        lines.add(run(data))
    except Exception:
        return set()
    finally:
        sys.settrace(None)
    return lines
