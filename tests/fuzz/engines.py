"""Where inputs come from: a seeded mutator, or libFuzzer (through atheris) guided by coverage."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from tests.fuzz.target import Target, kept
from tests.fuzz.watching import HANGS_AFTER_S, Watch

POOL_MAX = 4000
"""Inputs that a seeded run keeps to change further."""


def starting_inputs(name: str, target: Target) -> list[bytes]:
    """The corpus, and what the target makes itself."""
    found = [path.read_bytes() for path in kept(name)] + list(target.seeds())
    return [data[: target.bytes_max] for data in found] or [b""]


def run_seeded(
    watch: Watch, *, inputs: int, seconds: float | None, seed: int, may_die: bool = False
) -> None:
    """Change inputs at random, and go on from those whose outcome was new; a seed repeats all.

    If the process may die, one that never ends kills it.
    """
    pool = starting_inputs(watch.name, watch.target)
    until = None if seconds is None else time.monotonic() + seconds
    for number, data in enumerate(seeded(watch.target, pool, seed)):
        if number >= inputs or (
            until is not None and number % 16 == 0 and time.monotonic() > until
        ):
            break
        if may_die:
            signal.alarm(HANGS_AFTER_S)
        if watch.run(data) and len(pool) < POOL_MAX:
            pool.append(data)
    if may_die:
        signal.alarm(0)
    watch.status.flush()


def seeded(target: Target, pool: Sequence[bytes], seed: int) -> Any:
    """The inputs of one seed without an end: those of the pool as they are, then changed ones.

    The pool may grow meanwhile.
    """
    yield from tuple(pool)
    for number in count():
        # A generator of its own for each: input `number` does not depend on how long others ran.
        rng = random.Random(f"{seed}/{number}")
        data = pool[rng.randrange(len(pool))]
        for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
            data = target.mutate(data, rng)[: target.bytes_max]
        yield data


def run_guided(
    watch: Watch, *, inputs: int, seconds: float | None, seed: int, corpus: Path, crashes: Path
) -> None:
    """Let libFuzzer choose; `corpus` is where it keeps what reached new code. Never returns."""
    import atheris

    target = watch.target
    corpus.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(starting_inputs(watch.name, target)):
        (corpus / f"start-{number}").write_bytes(data)
    watch.status.flush()

    def run(data: bytes) -> None:
        watch.run(data)

    def mutate(data: bytes, size_max: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.25:
            changed = atheris.Mutate(data, size_max)  # knows what the code compared with
        else:
            changed = target.mutate(bytes(data), rng)
        return changed[:size_max]

    arguments = [
        "tests.fuzz",
        f"-seed={seed or 1}",
        f"-max_len={target.bytes_max}",
        f"-timeout={HANGS_AFTER_S}",
        "-rss_limit_mb=4096",
        f"-artifact_prefix={crashes}/",
        f"-runs={inputs}",
        "-len_control=0",
        "-print_final_stats=1",
        "-reload=0",
        str(corpus),
    ]
    if seconds is not None:
        arguments.insert(1, f"-max_total_time={max(1, round(seconds))}")
    atheris.Setup(arguments, run, custom_mutator=mutate)
    atheris.Fuzz()
