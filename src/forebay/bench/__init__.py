"""The benchmarks, compared with Rerun where it is installed; `forebay bench` runs them.

Each workload is a function from a `Bench` (sizes, recordings, processes) to figures. Measurements
run in fresh processes, Forebay and the peer alternately. On a machine that is shared with other
work, compare ratios of one run and CPU seconds; a wall time alone means little.
"""

from forebay.bench.figures import Cost, Figure, Size, Target
from forebay.bench.suite import WORKLOADS, Bench, run_workloads

__all__ = ["WORKLOADS", "Bench", "Cost", "Figure", "Size", "Target", "run_workloads"]
