"""What a run was made on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

from forebay.runtime import gil_enabled


def about_machine() -> dict[str, Any]:
    """Interpreter, libraries and processors."""
    return {
        "python": sys.version.split()[0],
        "gil": gil_enabled(),
        "machine": platform.machine(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        **{name: _version(name) for name in ("forebay", "pyarrow", "numpy", "rerun-sdk")},
    }


def load_average() -> float | None:
    """Mean number of processes that ran or wanted to, over the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
