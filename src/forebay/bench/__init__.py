"""The workloads of the benchmarks, beside Rerun where it is installed; `forebay bench` runs them.

Each workload is a function from a `Bench` (sizes, recordings, processes) to figures. What is
measured runs in fresh processes, ours and the peer's in turns. The machine may be busy: ratios of
one run, and CPU seconds, mean something; a wall time alone does not.
"""

from forebay.bench.figures import Cost, Figure, Size, Target
from forebay.bench.suite import WORKLOADS, Bench, run_workloads

__all__ = ["WORKLOADS", "Bench", "Cost", "Figure", "Size", "Target", "run_workloads"]
