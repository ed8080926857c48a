"""Long runs of the simulation: `make simulate SEEDS=100000`, or one seed again with `--first`.

A failure prints its seed, which replays it; then Hypothesis looks for a shorter schedule.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from forebay.ingest import IngestionWorker
from forebay.runtime import SimulationError
from tests.ingest.worlds import SmallTurns, World

STEPS_TRIED = 2000


def failure(seed: int, worker_type: type[IngestionWorker] = SmallTurns) -> str:
    """What a seed's world trips over; empty if nothing."""
    try:
        World(seed, worker_type).run()
    except (SimulationError, AssertionError) as error:
        return str(error) or repr(error)
    return ""


def shortest(
    seed: int, worker_type: type[IngestionWorker] = SmallTurns, examples: int = 300
) -> list[int]:
    """A short list of choices of the schedule, in this seed's world, that fails as well.

    After the choices of the list the schedule always takes the first way; so an empty list is
    a failure that needs no particular schedule.
    """
    best: list[list[int]] = []

    def fails(choices: list[int]) -> bool:
        left = iter(choices)
        world = World(seed, worker_type, choose=lambda n: next(left, 0) % n)
        try:
            world.run()
        except (SimulationError, AssertionError) as error:
            # Always the first way can be a way without an end; that is no failure of the worker.
            return "no end after" not in str(error)
        return False

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.integers(0, 7), max_size=STEPS_TRIED))
    def look(choices: list[int]) -> None:
        if fails(choices):
            best.append(choices)
            raise AssertionError

    try:
        look()
    except AssertionError:
        return min(best, key=len)
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        if text := failure(seed):
            print(f"seed {seed}: {text}")
            print(f"again: python -m tests.ingest.simulate --first {seed} --seeds 1")
            if choices := shortest(seed):
                print(f"fails with {len(choices)} choices of the schedule: {choices}")
            return 1
        if not (seed + 1) % 1000:
            print(f"{seed + 1 - arguments.first} worlds, {time.monotonic() - began:.0f} s")
    print(f"{arguments.seeds} worlds, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
