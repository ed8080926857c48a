"""`WorkerFields`: everything that a worker has, and how it begins. What it does is in `state`."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from forebay.ingest.adaptive import AdaptiveBudget, BudgetController
from forebay.ingest.batch_decoder import BatchDecoder
from forebay.ingest.core import IngestCore
from forebay.ingest.gaps import GapLog, Peekers
from forebay.ingest.policy import PolicyRules
from forebay.ingest.spill import SpillFiles
from forebay.limits import HUB_ROOM_LOOK_S, TURN_MSGS_MAX, TURN_SLICE_S
from forebay.runtime import default_runtime, memory_available_bytes, wall_clock_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from forebay.ingest.batch_decoder import Decode
    from forebay.ingest.budget import ByteBudget
    from forebay.ingest.core import Batch
    from forebay.model import StoreId
    from forebay.runtime import Condition, Runtime


def _weakly(worker: WorkerFields) -> Callable[[], object]:
    """`worker._reclaim`, without keeping the worker alive."""
    known = weakref.ref(worker)

    def reclaim() -> None:
        alive = known()
        if alive is not None:
            alive._reclaim()  # type: ignore[attr-defined]  # noqa: SLF001

    return reclaim


class WorkerFields:
    """All that a worker has: slots, for one object a worker."""

    __slots__ = (
        "__weakref__",
        "_adapt_s",
        "_adaptive",
        "_batch_decoder",
        "_busy_threads",
        "_changed",
        "_clock",
        "_core",
        "_cost_max",
        "_free_memory",
        "_gaps",
        "_has_lanes",
        "_has_warned",
        "_hub_budget",
        "_is_closed",
        "_is_disk_full",
        "_is_full",
        "_is_reading_back",
        "_lock",
        "_message_bytes_max",
        "_num_turns",
        "_num_waiting",
        "_on_full",
        "_on_output",
        "_owner_thread",
        "_peekers",
        "_rules",
        "_runtime",
        "_share",
        "_spill",
        "_spill_lock",
        "_spill_needs_hub",
        "_spill_waits",
        "_turns_max",
        "_wall_clock",
        "_watched_seqs",
        "_woken_s",
        "priority",
        "store_id",
    )

    _core_type: type[IngestCore] = IngestCore
    _turn_msgs_max = TURN_MSGS_MAX
    _turn_slice_s = TURN_SLICE_S
    _spill_type = SpillFiles
    _hub_room_look_s: float = HUB_ROOM_LOOK_S

    def __init__(
        self,
        capacity: int,
        byte_budget: int | AdaptiveBudget,
        *,
        store_id: StoreId | None,
        runtime: Runtime | None,
        hub_budget: ByteBudget | None,
        turns_max: int | None,
        has_lanes: bool,
        policies: PolicyRules | None,
        message_bytes_max: int,
        on_output: Callable[[], object] | None,
        on_full: Callable[[], object] | None,
        decoder_factory: Callable[[], Decode],
    ) -> None:
        adaptive = None if isinstance(byte_budget, int) else BudgetController(byte_budget)
        start_bytes = byte_budget if isinstance(byte_budget, int) else byte_budget.start_bytes
        if capacity < 1 or start_bytes < 1 or (turns_max is not None and turns_max < 1):
            msg = "capacity, byte_budget and turns_max must be at least 1"
            raise ValueError(msg)
        self.store_id = store_id
        self.priority = int(store_id is not None and store_id.is_blueprint)
        self._runtime = runtime = runtime or default_runtime()
        self._lock = runtime.lock()
        self._changed: Condition | None = None  # while somebody waits
        self._clock = runtime.monotonic_s
        self._wall_clock = getattr(runtime, "wall_clock_ns", wall_clock_ns)
        self._free_memory: Callable[[], int | None] = memory_available_bytes
        self._core = self._core_type(capacity, start_bytes, has_lanes=has_lanes)
        self._hub_budget = hub_budget
        self._share = (
            None
            if hub_budget is None
            else hub_budget.open_share(urgent=bool(self.priority), reclaim=_weakly(self))
        )
        self._message_bytes_max = message_bytes_max
        self._cost_max = message_bytes_max
        if hub_budget is not None:
            self._cost_max = min(message_bytes_max, hub_budget.limit_bytes)
        self._adaptive = adaptive
        self._adapt_s = 0.0
        self._turns_max = turns_max
        self._num_turns = 0
        self._busy_threads: dict[int, Batch] = {}
        self._owner_thread: int | None = None
        self._num_waiting = 0
        self._watched_seqs: list[int] = []
        self._woken_s = 0.0
        self._is_closed = False
        self._on_output = on_output
        self._on_full = on_full
        self._batch_decoder = BatchDecoder(decoder_factory, self._clock, self._wall_clock)
        self._gaps = GapLog(runtime)
        self._peekers: Peekers | None = None
        self._has_lanes = has_lanes
        self._is_full = False
        self._has_warned = False
        self._spill: SpillFiles | None = None
        self._is_reading_back = False
        self._is_disk_full = False
        self._spill_waits = False
        self._spill_needs_hub = False
        self._spill_lock = runtime.lock()
        self._rules: PolicyRules | None = None
        self.set_policies(policies or PolicyRules())

    def set_policies(self, policies: PolicyRules) -> None:
        """Choose what becomes of messages that find no room from now on.

        A blueprint keeps all its messages, whatever is chosen.
        """
        is_plain = policies.is_blocking and not self._has_lanes
        self._rules = None if is_plain or self.priority else policies
