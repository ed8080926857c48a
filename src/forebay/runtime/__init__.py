"""The only layer that uses threads, clocks, the GIL and WebAssembly.

Work runs as tasks that take turns (`Runtime.schedule`). The runtime decides on which thread a turn
runs: on threads started on demand (`NativeRuntime`), on the caller's thread (`InlineRuntime`),
between the messages of a Web Worker's event loop (`WebWorkerRuntime`), or in an order drawn from a
seed, under virtual time (`SimulatedRuntime`, for tests).
"""

from forebay.runtime.collector import RareCollections, collections_rare
from forebay.runtime.inline import InlineRuntime
from forebay.runtime.memory.available import memory_available_bytes
from forebay.runtime.memory.heap import HeapTrimmer, give_back_free_memory
from forebay.runtime.memory.slabs import fresh_memory
from forebay.runtime.native.ready import ReadyQueue
from forebay.runtime.native.runtime import NativeRuntime, abandon_turns
from forebay.runtime.platform import (
    decodes_where_read,
    gil_enabled,
    monotonic_s,
    processors,
    switch_threads_often,
    thread_cpu_s,
    threads_available,
    turns_worth_having,
    wall_clock_ns,
)
from forebay.runtime.protocol import Condition, Lock, Runtime, Task
from forebay.runtime.services import (
    Event,
    Service,
    ShrinkingExecutor,
    callback_runtime,
    default_runtime,
    run_in_parallel,
    spawn,
)
from forebay.runtime.simulated.runtime import SimulatedRuntime
from forebay.runtime.simulated.schedule import SimulationError
from forebay.runtime.turnstile import Turnstile
from forebay.runtime.web_worker import WebWorkerRuntime

__all__ = [
    "Condition",
    "Event",
    "HeapTrimmer",
    "InlineRuntime",
    "Lock",
    "NativeRuntime",
    "RareCollections",
    "ReadyQueue",
    "Runtime",
    "Service",
    "ShrinkingExecutor",
    "SimulatedRuntime",
    "SimulationError",
    "Task",
    "Turnstile",
    "WebWorkerRuntime",
    "abandon_turns",
    "callback_runtime",
    "collections_rare",
    "decodes_where_read",
    "default_runtime",
    "fresh_memory",
    "gil_enabled",
    "give_back_free_memory",
    "memory_available_bytes",
    "monotonic_s",
    "processors",
    "run_in_parallel",
    "spawn",
    "switch_threads_often",
    "thread_cpu_s",
    "threads_available",
    "turns_worth_having",
    "wall_clock_ns",
]
