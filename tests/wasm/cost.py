"""What a recording costs to load: the same code natively and inside Pyodide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from forebay.viewer import Session

BLOCK_BYTES = 256 * 1024
"""What the page's worker feeds at once."""


def of_loading(path: str, rounds: int, clock_s: Callable[[], float]) -> dict[str, float]:
    """Decode and insert a recording as the page does, some times over.

    Returns:
        `chunks`, and microseconds of processor time a chunk: in the `first` round, in the `best`.
    """
    data = Path(path).read_bytes()
    costs_us = []
    chunks = 0
    for _ in range(rounds):
        began_s = clock_s()
        session = Session("cost")
        for at in range(0, len(data), BLOCK_BYTES):
            session.feed(data[at : at + BLOCK_BYTES])
            while session.run_slice():
                pass
        session.finish()
        spent_s = clock_s() - began_s
        chunks = json.loads(session.progress())["committed"]
        costs_us.append(1e6 * spent_s / chunks)
    return {"chunks": chunks, "first": costs_us[0], "best": min(costs_us)}
