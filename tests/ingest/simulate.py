"""Long runs of the simulation: `make simulate SEEDS=100000`, or one seed again with `--first`.

A failure prints its seed, which replays it; then a shorter schedule is looked for.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections.abc import Callable

from forebay.ingest import IngestionWorker
from forebay.runtime import SimulationError
from tests.ingest.worlds import SmallTurns, World

REPLAY_STEPS_MAX = 2000
"""Always the first way is often a way without an end; what fails does so long before."""


def failure(seed: int, worker_type: type[IngestionWorker] = SmallTurns) -> str:
    """What a seed's world trips over; empty if nothing."""
    try:
        World(seed, worker_type).run()
    except (SimulationError, AssertionError) as error:
        return str(error) or repr(error)
    return ""


def shortest(seed: int, worker_type: type[IngestionWorker] = SmallTurns) -> list[int]:
    """A failing schedule's choices, as few as still fail in this seed's world.

    After them the schedule always takes the first way; so an empty list is a failure that needs
    no particular schedule. First the end is cut off, then stretches and single steps are left out,
    until none can be (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input").
    """
    choices = recorded(seed, worker_type)

    def still_fails(candidate: list[int]) -> bool:
        return fails(replay(seed, worker_type, candidate))

    return without_steps(without_end(choices, still_fails), still_fails) if choices else []


def recorded(seed: int, worker_type: type[IngestionWorker]) -> list[int]:
    """All choices of a seed's schedule up to its failure; none if it does not fail."""
    draw = random.Random(seed).randrange
    choices: list[int] = []

    def record(ways: int) -> int:
        choices.append(draw(ways))
        return choices[-1]

    return choices if fails(World(seed, worker_type, choose=record)) else []


def without_end(choices: list[int], still_fails: Callable[[list[int]], bool]) -> list[int]:
    """The fewest first choices that still fail, found by halving what is cut off."""
    best, cut = choices, len(choices)
    while cut := min(cut // 2, len(best)):
        while cut <= len(best) and still_fails(best[:-cut]):
            best = best[:-cut]
    return best


def without_steps(choices: list[int], still_fails: Callable[[list[int]], bool]) -> list[int]:
    """The same without any stretch, and at last any single step, that it fails without as well."""
    best, size = choices, len(choices) // 2
    while size:
        at, is_shorter = 0, False
        while at < len(best):
            candidate = best[:at] + best[at + size :]
            if still_fails(candidate):
                best, is_shorter = candidate, True
            else:
                at += size
        if not is_shorter or size > 1:
            size //= 2
    return best


def replay(seed: int, worker_type: type[IngestionWorker], choices: list[int]) -> World:
    """A seed's world under these choices, and the first way ever after."""
    left = iter(choices)
    return World(
        seed, worker_type, choose=lambda ways: next(left, 0) % ways, steps_max=REPLAY_STEPS_MAX
    )


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
    parser.add_argument("--choices", help="replay the first seed's world under these, as printed")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if arguments.choices is not None:
        choices = [int(one) for one in arguments.choices.split(",") if one]
        replay(arguments.first, SmallTurns, choices).run()
        print("nothing found: the failure is mended, or the choices are of another seed")
        return 0
    began = time.monotonic()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        if text := failure(seed):
            print(f"seed {seed}: {text}")
            print(f"again: python -m tests.ingest.simulate --first {seed} --seeds 1")
            short = ",".join(map(str, shortest(seed)))
            print(f"shortest: python -m tests.ingest.simulate --first {seed} --choices '{short}'")
            return 1
        if not (seed + 1) % 1000:
            print(f"{seed + 1 - arguments.first} worlds, {time.monotonic() - began:.0f} s")
    print(f"{arguments.seeds} worlds, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
