"""Description of the machine on which a benchmark runs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

from forebay.runtime import gil_enabled


def about_machine() -> dict[str, Any]:
    """Return versions of the interpreter and libraries, and the number of processors."""
    return {
        "python": sys.version.split()[0],
        "gil": gil_enabled(),
        "machine": platform.machine(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        **{name: _version(name) for name in ("forebay", "pyarrow", "numpy", "rerun-sdk")},
    }


def load_average() -> float | None:
    """Return the load average over the last minute; None if the system has none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
