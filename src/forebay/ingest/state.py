"""`WorkerState`: what the parts of a worker share, behind one lock.

The worker is one state in six files: `room` (finding room, waiting for it), `shedding` (dropping,
spilling), `admission` (submitting), `turns` (decoding), `worker` (output, waiting, ending) and
this. Whoever changes how submitters wait has to see how turns and owners wake them. What can be
decided without the lock is in `core`. Three other locks are ever taken while `_lock` is held, those
of the byte budget, the gaps and the pool of decoders, which are leaves; the spill files' lock is
taken before it. Callbacks and `Runtime.schedule` are called without any.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

from forebay.ingest.adaptive import AdaptiveBudget, BudgetController
from forebay.ingest.core import IngestCore
from forebay.ingest.decoders import DecoderPool
from forebay.ingest.gaps import GapLog, Peekers
from forebay.ingest.policy import PolicyRules
from forebay.ingest.spill import SpillFiles
from forebay.limits import (
    BRIEF_MSGS_MAX,
    PARALLEL_MSG_BYTES_MIN,
    TURN_BYTES_MAX,
    TURN_MSGS_MAX,
    TURN_SLICE_S,
)
from forebay.runtime import default_runtime, fresh_memory, memory_available_bytes, wall_clock_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from forebay.chunk import Chunk
    from forebay.ingest.budget import ByteBudget
    from forebay.ingest.core import Batch
    from forebay.model import ArrowMsg, EntityPath, StoreId
    from forebay.runtime import Condition, Runtime

Decode: TypeAlias = "Callable[[ArrowMsg], Chunk]"
"""Turns a message into a chunk; whatever it raises rejects that message."""

logger = logging.getLogger(__name__)


def chunk_decoder() -> Decode:
    """A decoder of its own for one turn at a time; it learns the schemas it meets."""
    from forebay.codec import ChunkDecoder  # noqa: PLC0415 - not needed before the first message

    return ChunkDecoder(fresh_memory()).decode


class WorkerState:
    """The state of a worker, and what every part of it does: wait, wake, ask for a turn."""

    __slots__ = (
        "__weakref__",
        "_adapt_s",
        "_adaptive",
        "_busy_threads",
        "_changed",
        "_clock",
        "_core",
        "_decoder_factory",
        "_decoders",
        "_free_memory",
        "_gaps",
        "_has_lanes",
        "_has_warned",
        "_hub_budget",
        "_interrupted_seq",
        "_is_closed",
        "_is_disk_full",
        "_is_full",
        "_is_reading_back",
        "_lock",
        "_num_turns",
        "_num_waiting",
        "_on_full",
        "_on_output",
        "_owner_thread",
        "_peekers",
        "_pool",
        "_rules",
        "_runtime",
        "_share",
        "_spill",
        "_spill_lock",
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
            None if hub_budget is None else hub_budget.open_share(urgent=bool(self.priority))
        )
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
        self._interrupted_seq = -1
        self._on_output = on_output
        self._on_full = on_full
        self._decoder_factory = decoder_factory
        self._decoders: list[Decode] = []
        self._pool = decoder_factory if isinstance(decoder_factory, DecoderPool) else None
        self._gaps = GapLog(runtime)
        self._peekers: Peekers | None = None
        self._has_lanes = has_lanes
        self._is_full = False
        self._has_warned = False
        self._spill: SpillFiles | None = None
        self._is_reading_back = False
        self._is_disk_full = False
        self._spill_waits = False
        self._spill_lock = runtime.lock()
        self._rules: PolicyRules | None = None
        self.set_policies(policies or PolicyRules())

    def set_policies(self, policies: PolicyRules) -> None:
        """Choose what becomes of messages that find no room from now on.

        A blueprint keeps all its messages, whatever is chosen.
        """
        is_plain = policies.is_blocking and not self._has_lanes
        self._rules = None if is_plain or self.priority else policies

    # Turns wanted

    def _wants_turn(self) -> bool:
        """Whether to schedule one more turn now; if so it counts as scheduled already."""
        turns = self._num_turns
        if turns and (
            turns >= self._turns_allowed()
            or not self._core.exceeds(self._turn_msgs_max, TURN_BYTES_MAX)
        ):
            return False
        self._num_turns = turns + 1
        return True

    def _needs_turn(self) -> bool:
        """As `_wants_turn`, for whoever did not just put something in."""
        return self._has_input() and self._wants_turn()

    def _start_turn(self) -> None:
        """Have a turn scheduled that is counted already; called without the lock."""
        try:
            self._runtime.schedule(self)  # type: ignore[arg-type]
        except BaseException:
            # Whether it is scheduled nobody knows; one too many does no harm, one too few would.
            # Where turns run in the caller, the next call that puts something in or waits begins
            # a new one.
            if self._runtime.has_threads:
                self._runtime.schedule(self)  # type: ignore[arg-type]
            else:
                with self._lock:
                    self._num_turns = len(self._busy_threads)
            raise

    def _recover(self) -> None:
        """After a Ctrl-C in the middle of something: give back what is charged, run what waits."""
        with self._lock:
            wakes = self._release_settled()
            if not self._runtime.has_threads:
                self._num_turns = len(self._busy_threads)
            elif self._has_input():
                self._num_turns = max(1, self._num_turns)
            starts = self._num_turns > len(self._busy_threads)
        if starts:
            self._start_turn()
        self._wake_all(wakes)

    def _release_settled(self) -> list[Callable[[], None]]:
        """Give back what the hub's budget holds for nothing; returns whom to wake."""
        share, core = self._share, self._core
        if share is None:
            return []
        surplus = share.held_bytes - core.queue_bytes - core.output_bytes
        return share.release(surplus) if surplus else []

    def _wake_all(self, wakes: Iterable[Callable[[], None]]) -> None:
        """Call all of them, even if a Ctrl-C comes between two."""
        waiting = iter(wakes)
        try:
            for wake in waiting:
                wake()
        except BaseException:
            for wake in waiting:
                wake()
            raise

    def _turns_allowed(self) -> int:
        if self._turns_max is not None:
            return self._turns_max
        core = self._core
        return self._runtime.turns_at_once(core.queue_bytes // max(1, core.queue_depth))

    @property
    def is_light(self) -> bool:
        """Whether the next turn is mostly Python, as far as one can tell without a lock."""
        core = self._core
        return core.queue_bytes < PARALLEL_MSG_BYTES_MIN * max(1, core.queue_depth)

    @property
    def is_brief(self) -> bool:
        """Whether all that waits takes a fraction of a turn."""
        core = self._core
        return core.queue_depth <= BRIEF_MSGS_MAX and self.is_light

    def _has_input(self) -> bool:
        core = self._core
        if core.has_input or not core.spill_depth:
            return core.has_input
        return core.wants_spilled and not (self._is_reading_back or self._spill_waits)

    # Waiting and waking

    def _wait(self, deadline: float | None) -> bool:
        """Let go of the lock until something changed; False if waiting longer is no use."""
        me = self._runtime.thread_id()
        if me in self._busy_threads or me == self._owner_thread:
            return False  # the caller is what it would wait for
        left = None if deadline is None else deadline - self._clock()
        if left is not None and left <= 0:
            return False
        changed = self._changed
        if changed is None:
            changed = self._changed = self._runtime.condition(self._lock)
        self._num_waiting += 1
        try:
            return changed.wait(left)
        finally:
            self._num_waiting -= 1
            if not self._num_waiting:
                self._changed = None

    def _notify(self) -> None:
        """Wake all who wait; the caller holds the lock."""
        if self._changed is not None:
            self._changed.notify_all()

    def _wake(self) -> None:
        """There may be room in the hub's budget."""
        with self._lock:
            self._notify()
            self._spill_waits = False
            spills = self._core.spill_depth > 0
        if spills:
            self._resume()

    def _resume(self) -> None:
        """Go on with spilled messages that found no room."""
        with self._lock:
            starts = self._needs_turn()
        if starts:
            self._start_turn()

    def _peeker(self) -> Peekers:
        with self._lock:
            if self._peekers is None:
                self._peekers = Peekers(self._runtime)
            return self._peekers

    def _head(self, msg: ArrowMsg) -> tuple[EntityPath | None, bool]:
        """The entity of a message, if its head can be read, and whether it is static."""
        return self._peeker().head(msg)

    def _times(self, msg: ArrowMsg) -> Mapping[str, tuple[int, int]]:
        """First and last time by timeline, as far as the front of the message tells."""
        return self._peeker().time_ranges(msg)

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception:
            logger.exception("a callback of the worker of %s failed", self._store_name)

    # Full and drained

    def _note_full(self) -> None:
        """There was no room; the first time since it drained begins an episode."""
        if not self._is_full:
            self._is_full = True
            self._has_warned = False
            self._core.counts.full_episodes += 1
            self._gaps.begin_episode()

    def _note_drained(self) -> None:
        core = self._core
        if 4 * core.queue_depth <= core.capacity and not core.spill_depth:
            self._is_full = 4 * (core.queue_bytes + core.output_bytes) > core.byte_budget

    def _full_warning(self, now_s: float, what_happens: str) -> str | None:
        """What to tell people, once per episode; the caller logs it without the lock."""
        if self._has_warned:
            return None
        self._has_warned = True
        core = self._core
        stats = core.stats(now_s, is_closed=self._is_closed)
        return (
            f"the queue of {self._store_name} is full ({core.queue_depth} of {core.capacity} "
            f"messages, {core.queue_bytes + core.output_bytes} of {core.byte_budget} bytes; "
            f"{stats.accept_rate.msgs_per_s:.0f} messages/s come in, "
            f"{stats.settle_rate.msgs_per_s:.0f} are committed): {what_happens}. "
            "Log less, commit more often, allow a larger capacity or byte_budget, or choose "
            "another policy"
        )

    @property
    def _store_name(self) -> str:
        return "a store" if self.store_id is None else str(self.store_id)
