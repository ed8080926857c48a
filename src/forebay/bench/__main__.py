"""In the child: import a job, say that all is ready, wait for the word, run it, report."""

from __future__ import annotations

import importlib
import json
import sys

from forebay.bench.processes import READY, memory_bytes


def main() -> None:
    """`python -m forebay.bench MODULE:FUNCTION ARGUMENTS`; what it returns is the last line."""
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
