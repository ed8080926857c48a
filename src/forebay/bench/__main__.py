"""Child process of a measurement: import a job, report ready, wait for the start signal, run it."""

from __future__ import annotations

import importlib
import json
import sys

from forebay.bench.processes import READY, memory_bytes


def main() -> None:
    """Run `python -m forebay.bench MODULE:FUNCTION ARGUMENTS`; the last line is the result."""
    name, arguments = sys.argv[1:]
    module, _, function = name.partition(":")
    job = getattr(importlib.import_module(module), function)
    kwargs = json.loads(arguments)
    sys.stdout.write(READY + "\n")
    sys.stdout.flush()
    sys.stdin.readline()
    found = job(**kwargs)
    found.setdefault("rss_peak_bytes", memory_bytes("VmHWM"))
    sys.stdout.write("\n" + json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
