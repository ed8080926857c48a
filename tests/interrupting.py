"""Ctrl-C at a line of one's choice."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any


@cache
def unfair_lines(path: str) -> frozenset[int]:
    """Lines at which only a tracer can raise: of `with`, it would at the exit, before the lock."""
    tree = ast.parse(Path(path).read_text())
    return frozenset(node.lineno for node in ast.walk(tree) if isinstance(node, ast.With))


class Interrupt:
    """Raises once, at the line of that number in files of these names; without one it counts them.

    Args:
        watched: How the paths of the files begin.
        at: The number of the line, from 1 on.
    """

    def __init__(self, watched: tuple[str, ...], at: int | None = None) -> None:
        self.watched = watched
        self.at = at
        self.lines = 0
        self.where = "nowhere"

    def __enter__(self) -> Interrupt:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(self.watched) or frame.f_code.co_name == "__del__":
            return None  # Python itself swallows what is raised in `__del__`
        if event == "line" and frame.f_lineno not in unfair_lines(path):
            self.lines += 1
            if self.lines == self.at:
                name = f"{Path(path).name}:{frame.f_lineno}"
                self.where = f"{name} ({frame.f_code.co_name})"
                raise KeyboardInterrupt
        return self._trace
