"""Long runs of the simulation: `make simulate SEEDS=100000`, or one seed again with `--first`.

A failure prints its seed, which replays it; then a shorter schedule is looked for.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time

from forebay.ingest import IngestionWorker
from forebay.runtime import SimulationError
from tests.ingest.worlds import SmallTurns, World


def failure(seed: int, worker_type: type[IngestionWorker] = SmallTurns) -> str:
    """What a seed's world trips over; empty if nothing."""
    try:
        World(seed, worker_type).run()
    except (SimulationError, AssertionError) as error:
        return str(error) or repr(error)
    return ""


def shortest(seed: int, worker_type: type[IngestionWorker] = SmallTurns) -> list[int]:
    """The fewest first choices of a failing schedule that still fail, in this seed's world.

    After them the schedule always takes the first way; so an empty list is a failure that needs
    no particular schedule.
    """
    draw = random.Random(seed).randrange
    choices: list[int] = []

    def record(ways: int) -> int:
        choices.append(draw(ways))
        return choices[-1]

    if not fails(World(seed, worker_type, choose=record)):
        return []
    best, cut = choices, len(choices)
    while cut := min(cut // 2, len(best)):
        while cut <= len(best) and fails(replay(seed, worker_type, best[:-cut])):
            best = best[:-cut]
    return best


def replay(seed: int, worker_type: type[IngestionWorker], choices: list[int]) -> World:
    """A seed's world under these choices, and the first way ever after."""
    left = iter(choices)
    return World(seed, worker_type, choose=lambda ways: next(left, 0) % ways)


def fails(world: World) -> bool:
    """Whether a world trips over something."""
    try:
        world.run()
    except (SimulationError, AssertionError) as error:
        # Always the first way can be a way without an end; that is no failure of the worker.
        return "no end after" not in str(error)
    return False


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
