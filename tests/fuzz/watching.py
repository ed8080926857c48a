"""What is noted while inputs run: how many, which one is running, and what went wrong.

The numbers and the running input stand in a file that is mapped into memory, so that they are
still there when the process is not: after a crash, an input that never ends, or one that takes
more memory than there may be.
"""

from __future__ import annotations

import hashlib
import mmap
import resource
import struct
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.target import Target

CPU_S_MAX = 1.0
"""Processor time that one input may take; more is a finding."""
HANGS_AFTER_S = 30
"""Time after which an input is given up, and the process with it."""
RESIDENT_BYTES_MAX = 96 << 20
"""What one input may add to the highest memory of the process; more is a finding."""
ADDRESS_BYTES_MAX = 6 << 30
"""Address space of a process that runs inputs."""
FINDINGS_MAX = 200
"""Distinct findings of one run; beyond it something basic is wrong."""

_COUNTS = struct.Struct("<QQQQ")


class Status:
    """Counts of one run in a mapped file: inputs, distinct outcomes, findings, and the input."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        size = _COUNTS.size + bytes_max
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self.inputs, self.outcomes, self.findings, _ = _COUNTS.unpack_from(self._map)

    def begin(self, data: bytes) -> None:
        """An input begins to run."""
        self.inputs += 1
        _COUNTS.pack_into(self._map, 0, self.inputs, self.outcomes, self.findings, len(data))
        self._map[_COUNTS.size : _COUNTS.size + len(data)] = data

    def flush(self) -> None:
        """Write the counts."""
        _COUNTS.pack_into(self._map, 0, self.inputs, self.outcomes, self.findings, 0)

    def running(self) -> bytes:
        """The input that ran last, from the file."""
        *counts, size = _COUNTS.unpack_from(self._map)
        self.inputs, self.outcomes, self.findings = counts
        return bytes(self._map[_COUNTS.size : _COUNTS.size + size])


@dataclass
class Watch:
    """Runs inputs of one target and keeps what they find.

    Attributes:
        name: Of the target.
        target: It.
        status: Where it is counted.
        findings: The folder that inputs with findings are written to.
    """

    name: str
    target: Target
    status: Status
    findings: Path

    def __post_init__(self) -> None:
        self._signatures: set[str] = set()
        self._outcomes: set[str] = set()
        self._peak = _peak_bytes()

    def run(self, data: bytes) -> bool:
        """Run one input; says whether its outcome was new."""
        status = self.status
        status.begin(data)
        began = time.process_time()
        outcome = None
        try:
            outcome = self.target.run(data)
        except Exception as error:
            self.found(data, signature(error), "".join(traceback.format_exception(error)))
        spent = time.process_time() - began
        if spent > CPU_S_MAX:
            self.found(data, f"too slow: {outcome}", f"too slow: {spent:.1f} s of CPU\n")
        peak = _peak_bytes()
        if peak - self._peak > RESIDENT_BYTES_MAX:
            grown = (peak - self._peak) >> 20
            self.found(data, f"too big: {outcome}", f"too big: {grown} MiB more memory\n")
        self._peak = max(peak, self._peak)
        if outcome is None or outcome in self._outcomes:
            return False
        self._outcomes.add(outcome)
        status.outcomes = len(self._outcomes)
        return True

    def found(self, data: bytes, what: str, text: str) -> None:
        """Keep a finding, unless there is one like it."""
        if what in self._signatures:
            return
        self._signatures.add(what)
        self.status.findings += 1
        write_finding(self.findings, self.name, data, f"{what}\n\n{text}")
        if len(self._signatures) >= FINDINGS_MAX:
            self.status.flush()
            raise SystemExit(f"{FINDINGS_MAX} distinct findings: mend some first")


def write_finding(folder: Path, name: str, data: bytes, text: str) -> Path:
    """Write an input and, next to it, what it did and how to do it again."""
    folder = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    command = f"python -m tests.fuzz {name} --replay {path}\n\n"
    path.with_suffix(".txt").write_text(command + text, errors="replace")
    return path


def signature(error: BaseException) -> str:
    """What findings of one cause have in common: the kind of error, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/forebay/" in f.filename] or list(frames)
    places = [f"{Path(f.filename).name}:{f.name}:{f.lineno}" for f in (*ours[-2:], frames[-1])]
    return f"{type(error).__name__} at {' > '.join(dict.fromkeys(places))}"


def limit_memory() -> None:
    """Let no input take all memory of the machine."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES_MAX, ADDRESS_BYTES_MAX))


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
