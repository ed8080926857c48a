"""What a fuzz target is, and which ones there are.

A target takes bytes, whatever they are, and raises if the code under test broke one of its
promises. Errors that the documents name are no findings: the target catches them itself.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

NAMES = (
    "files",
    "messages",
    "lz4_blocks",
    "payloads",
    "chunks",
    "fast_paths",
    "peeking",
    "spill_files",
    "expressions",
    "stores",
    "hubs",
)
"""Modules of `tests.fuzz.targets`, in the order in which they run."""

CORPUS = Path(__file__).with_name("corpus")
"""Inputs that are kept, in a folder for each target."""

Mutate = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """One thing to fuzz.

    Attributes:
        run: Tries one input. Gives a short text that names what became of it (inputs with a new
            one are worth keeping), or `None`; raises if a promise is broken.
        seeds: Gives inputs to begin with, beside those of the corpus.
        mutate: Changes an input in a way that fits its structure.
        bytes_max: Longest input.
        weight: The share of a run over all targets, in inputs.
    """

    run: Callable[[bytes], str | None]
    seeds: Callable[[], Sequence[bytes]]
    mutate: Mutate
    bytes_max: int = 8192
    weight: int = 1


def load(name: str) -> Target:
    """The target of that name; imports what it tests."""
    target = importlib.import_module(f"tests.fuzz.targets.{name}").TARGET
    assert isinstance(target, Target)
    return target


def kept(name: str) -> list[Path]:
    """The files of a target's corpus."""
    folder = CORPUS / name
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
