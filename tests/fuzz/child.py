"""One process that runs inputs of one target; `tests.fuzz` starts and watches it."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import sys
from pathlib import Path

from tests.fuzz.engines import run_guided, run_seeded
from tests.fuzz.target import Target, load
from tests.fuzz.watching import Status, Watch, limit_memory


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--engine", required=True)
    parser.add_argument("--inputs", type=int, required=True)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--findings", type=Path, required=True)
    options = parser.parse_args()
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    target = _loaded(options.name, options.engine)
    limit_memory()
    status = Status(options.work / "status", target.bytes_max)
    watch = Watch(options.name, target, status, options.findings)
    if options.engine == "seeded":
        run_seeded(
            watch,
            inputs=options.inputs,
            seconds=options.seconds,
            seed=options.seed,
            may_die=True,
        )
    else:
        run_guided(
            watch,
            inputs=options.inputs,
            seconds=options.seconds,
            seed=options.seed,
            corpus=options.work / "corpus",
            crashes=options.work / "crashes",
        )


def _loaded(name: str, engine: str) -> Target:
    if engine == "seeded":
        return load(name)
    import atheris

    assert "forebay" not in sys.modules, "it would go without instruments"
    with atheris.instrument_imports(include=["forebay"], enable_loader_override=False):
        return load(name)


if __name__ == "__main__":
    main()
