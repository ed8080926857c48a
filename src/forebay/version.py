"""The version of the package: the one place that names it."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
