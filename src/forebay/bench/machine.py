"""What a run was made on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

from forebay.runtime import gil_enabled


def about_machine() -> dict[str, Any]:
    """Interpreter, libraries, processors and how busy they are."""
    return {
        "python": sys.version.split()[0],
        "gil": gil_enabled(),
        "machine": platform.machine(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": [round(load, 2) for load in os.getloadavg()],
        **{name: _version(name) for name in ("forebay", "pyarrow", "numpy", "rerun-sdk")},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
