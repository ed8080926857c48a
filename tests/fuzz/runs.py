"""One target's run: a process that runs inputs, and a new one each time it dies of an input."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.target import load
from tests.fuzz.watching import HANGS_AFTER_S, Status, write_finding

DEATHS_MAX = 20
"""Processes that may die of inputs before a run is given up."""

ROOT = Path(__file__).parents[2]

_COVERED = re.compile(r"cov: (\d+) ft: (\d+)")


@dataclass
class Run:
    """What a run came to.

    Attributes:
        name: Of the target.
        engine: `guided` by coverage, or `seeded`.
        inputs: How many ran.
        seconds: How long that took, with starting.
        coverage: Edges that were reached, of a guided run.
        features: The same, counted by how often.
        outcomes: Distinct outcomes.
        findings: Distinct findings, deaths included.
        deaths: Of the process: crashes, hangs, too much memory.
    """

    name: str
    engine: str
    inputs: int = 0
    seconds: float = 0.0
    coverage: int = 0
    features: int = 0
    outcomes: int = 0
    findings: int = 0
    deaths: int = 0

    def __str__(self) -> str:
        rate = self.inputs / max(self.seconds, 1e-9)
        return (
            f"{self.name:<13} {self.engine:<6}{self.inputs:>9,}  {rate:>10,.0f} {self.coverage:>10}"
            f"{self.features:>10}{self.outcomes:>10}{self.findings:>10}"
        )


def run(
    name: str,
    *,
    engine: str,
    inputs: int,
    seconds: float | None,
    seed: int,
    work: Path,
    findings: Path,
) -> Run:
    """Run a target until so many inputs ran or so much time passed."""
    work, findings = work.resolve(), findings.resolve()
    work.mkdir(parents=True, exist_ok=True)
    (work / "status").unlink(missing_ok=True)
    bytes_max = load(name).bytes_max
    result = Run(name, engine)
    deaths: set[str] = set()
    before = _findings(findings / name)
    began = time.monotonic()
    while result.inputs < inputs and result.deaths < DEATHS_MAX:
        left = None if seconds is None else seconds - (time.monotonic() - began)
        if left is not None and left <= 0:
            break
        code, output = _child(name, engine, inputs - result.inputs, left, seed, work, findings)
        status = Status(work / "status", bytes_max)
        running = status.running()
        result.inputs, result.outcomes = status.inputs, max(result.outcomes, status.outcomes)
        for covered in _COVERED.finditer(output):
            result.coverage = max(result.coverage, int(covered[1]))
            result.features = max(result.features, int(covered[2]))
        if code == 0:
            break
        result.deaths += 1
        seed += 1
        cause = death_of(code, output)
        if cause not in deaths:
            deaths.add(cause)
            path = write_finding(findings, name, running, f"{cause}\n\n{output[-8000:]}")
            print(f"{name}: died, see {path.with_suffix('.txt')}", file=sys.stderr, flush=True)
    result.seconds = time.monotonic() - began
    result.findings = len(_findings(findings / name) - before)
    return result


def _findings(folder: Path) -> set[str]:
    """What distinct findings say of themselves, behind the command that replays them."""
    return {path.read_text(errors="replace").split("\n")[2] for path in folder.glob("*.txt")}


def death_of(code: int, output: str) -> str:
    """What deaths of one cause have in common: how the process ended, and where."""
    failed = re.search(
        r"(\S+: +Check failed: .*?|ERROR: libFuzzer: .*|MemoryError)$", output, re.MULTILINE
    )
    places = re.findall(r'File "(?:.*/)?([^"]+)", line (\d+) in (\w+)', output)
    what = re.sub(r"\d+", "#", failed[1]) if failed else ""
    return f"the process ended with {code}: {what} at {' < '.join(map(':'.join, places[:3]))}"


def _child(  # noqa: PLR0917 - called once
    name: str,
    engine: str,
    inputs: int,
    seconds: float | None,
    seed: int,
    work: Path,
    findings: Path,
) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.fuzz.child", name, "--engine", engine]
    command += ["--inputs", str(inputs), "--seed", str(seed)]
    command += ["--work", str(work), "--findings", str(findings)]
    command += [] if seconds is None else ["--seconds", str(seconds)]
    patience = None if seconds is None else seconds + 10 * HANGS_AFTER_S
    log = work / "log"
    with log.open("wb") as file:
        child = subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT)
        try:
            code = child.wait(patience)
        except BaseException:
            child.kill()
            child.wait()
            raise
    return code, log.read_text(errors="replace")
