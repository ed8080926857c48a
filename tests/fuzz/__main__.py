"""Fuzzing from the command line.

python -m tests.fuzz TARGET --minutes 5          one target, guided by coverage if atheris is there
python -m tests.fuzz TARGET --inputs 10000 --seed 7 --engine seeded
python -m tests.fuzz --all --minutes 30          all targets in turn, and a table
python -m tests.fuzz TARGET --replay FILE...     one input again, with its traceback
python -m tests.fuzz TARGET --minimise           the smallest corpus that reaches the same code
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.corpora import minimise
from tests.fuzz.runs import Run, run
from tests.fuzz.target import NAMES, load

INPUTS_MAX = (1 << 31) - 1
"""More than libFuzzer counts."""


def main() -> int:
    options = _arguments()
    names = list(NAMES) if options.all else options.targets
    if options.replay:
        return _replay(names[0], options.replay)
    if options.minimise:
        for name in names:
            kept, size = minimise(name, options.work / name / "corpus")
            print(f"{name}: {kept} inputs of {size:,} bytes")
        return 0
    engine = options.engine or ("guided" if importlib.util.find_spec("atheris") else "seeded")
    weights = {name: load(name).weight for name in names}
    total = sum(weights.values())
    seconds = None if options.minutes is None else 60 * options.minutes * options.jobs

    def one(name: str) -> Run:
        share = weights[name] / total
        result = run(
            name,
            engine=engine,
            inputs=INPUTS_MAX if options.inputs is None else max(1, round(options.inputs * share)),
            seconds=None if seconds is None else seconds / len(names),
            seed=options.seed,
            work=options.work / name,
            findings=options.findings,
        )
        print(result, flush=True)
        return result

    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(one, names))
    print(_table(results))
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return int(any(result.findings for result in results))


def _table(results: list[Run]) -> str:
    lines = ["target        engine   inputs       per s   coverage  features  outcomes  findings"]
    lines += [str(result) for result in results]
    inputs = sum(result.inputs for result in results)
    seconds = sum(result.seconds for result in results)
    found = sum(result.findings for result in results)
    lines.append(
        f"all                {inputs:>10,}  {inputs / max(seconds, 1e-9):>10,.0f}{found:>40}"
    )
    return "\n".join(lines)


def _replay(name: str, paths: list[Path]) -> int:
    target = load(name)
    for path in paths:
        print(f"{path}: {target.run(path.read_bytes())}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--all", action="store_true", help="all targets")
    parser.add_argument("--minutes", type=float, help="how long, over all targets")
    parser.add_argument("--inputs", type=int, help="how many, over all targets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="targets at once")
    parser.add_argument("--engine", choices=["guided", "seeded"], help="guided needs atheris")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--minimise", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts there")
    build = Path("build/fuzz")
    parser.add_argument("--work", type=Path, default=build / "work", help="grown corpora")
    parser.add_argument("--findings", type=Path, default=build / "findings")
    options = parser.parse_args()
    unknown = set(options.targets) - set(NAMES)
    if unknown or not (options.targets or options.all):
        parser.error(f"name some of {', '.join(NAMES)}, or --all")
    if options.minutes is None and options.inputs is None:
        options.minutes = 1.0
    return options


if __name__ == "__main__":
    sys.exit(main())
