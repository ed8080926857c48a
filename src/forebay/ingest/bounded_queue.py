"""`BoundedQueue`: the queue of one worker, within its own bounds and those of its hub."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from forebay.errors import LimitError, WorkerClosedError
from forebay.ingest.gaps import GapLog
from forebay.ingest.outcomes import RejectedMsg, message_cost
from forebay.ingest.owner import name_of
from forebay.ingest.policy import Block, Policy

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from forebay.errors import ForebayError
    from forebay.ingest.budget import BudgetShare
    from forebay.ingest.core import IngestCore
    from forebay.ingest.victims import DropKey
    from forebay.model import ArrowMsg, StoreId
    from forebay.runtime import Runtime


class Submission(NamedTuple):
    """A message that is being submitted, and what is known of it.

    Attributes:
        msg: The message.
        source: What the submitter names as its source.
        cost: Bytes that it counts for in the byte budgets.
        policy: What becomes of it if there is no room.
        key: Which queued messages may be dropped for it, and by which it may be dropped.
        is_first: It is static data, which goes before other data in a queue with lanes.
        refusal: Why it is accepted as a rejection, if it is.
    """

    msg: ArrowMsg
    source: object
    cost: int
    policy: Policy = Block()
    key: DropKey | None = None
    is_first: bool = False
    refusal: ForebayError | None = None


class BoundedQueue:
    """A core and its store's share of the hub's budget: a message needs room in both.

    The caller holds `lock` for each method but `checked`.
    """

    __slots__ = {
        "_hub_bytes_max": "The limit of the hub's budget, which a message must not exceed alone.",
        "_message_bytes_max": "Bytes that a message may have as it came.",
        "clock": "Seconds of the runtime's clock.",
        "core": "Queue, order, budget and counts of the worker.",
        "cost_max": "A message that counts for more may have to be rejected.",
        "gaps": "What policies dropped.",
        "has_warned": "Whether the log was told of the current episode of a full queue.",
        "is_closed": "Whether the worker takes nothing new.",
        "is_full": "Whether a message found no room since the queue was last drained.",
        "lock": "The lock of the worker, which guards all of its state.",
        "share": "What the worker holds of the hub's budget; `None` without a hub.",
        "store_id": "The store that the worker works for.",
    }

    def __init__(
        self,
        core: IngestCore,
        share: BudgetShare | None,
        runtime: Runtime,
        *,
        store_id: StoreId | None,
        message_bytes_max: int,
        hub_bytes_max: int | None,
    ) -> None:
        self.core = core
        self.share = share
        self.lock = runtime.lock()
        self.gaps = GapLog(runtime)
        self.clock = runtime.monotonic_s
        self.store_id = store_id
        self.is_closed = False
        self.is_full = False
        self.has_warned = False
        self._message_bytes_max = message_bytes_max
        self._hub_bytes_max = hub_bytes_max
        self.cost_max = message_bytes_max
        if hub_bytes_max is not None:
            self.cost_max = min(message_bytes_max, hub_bytes_max)

    @property
    def store_name(self) -> str:
        """The store, for messages to people."""
        return name_of(self.store_id)

    # Accepting

    def try_accept(
        self,
        msg: ArrowMsg,
        source: object,
        cost: int,
        wake: Callable[[], None] | None = None,
    ) -> int | None:
        """Queue a message if there is room.

        Args:
            msg: The message.
            source: What its submitter names as its source.
            cost: Bytes that it counts for.
            wake: Called when the hub may have room, if only the hub has none now.

        Returns:
            Its sequence number; `None` if there is no room.

        Raises:
            WorkerClosedError: The worker is closed.
        """
        if self.is_closed:
            self.refuse_closed()
        if not self.core.has_room(cost):
            return None
        if self.share is not None and not self.share.try_charge(cost, wake):
            return None
        return self.core.accept(msg, source, cost, self.clock())

    def try_submit(
        self, submission: Submission, wake: Callable[[], None] | None = None
    ) -> int | None:
        """As `try_accept`, for a message of which more is known."""
        msg, source, cost, _, key, is_first, refusal = submission
        if refusal is not None:
            return self._try_reject(submission, refusal)
        if key is None and not is_first:
            return self.try_accept(msg, source, cost, wake)
        if self.is_closed:
            self.refuse_closed()
        if not self.core.has_room(cost, is_first=is_first):
            return None
        if self.share is not None and not self.share.try_charge(cost, wake):
            return None
        return self.core.accept(msg, source, cost, self.clock(), key, is_first=is_first)

    def _try_reject(self, submission: Submission, error: ForebayError) -> int | None:
        """Queue a message as a rejection, which takes a place in the queue but no bytes."""
        if self.is_closed:
            self.refuse_closed()
        core, msg = self.core, submission.msg
        if not core.has_room(0):
            return None
        rejected = RejectedMsg(core.accepted, msg.store_id, msg.chunk_id, error, submission.source)
        return core.refuse(rejected)

    def accept_together(self, waiting: deque[tuple[ArrowMsg, int]], source: object) -> None:
        """Queue the first messages at once, as many as surely find room, and take them out.

        Args:
            waiting: Messages, each with what it counts for.
            source: What their submitter names as their source.
        """
        core = self.core
        count = core.capacity - core.queue_depth
        if self.is_closed or count < 2:
            return
        count = core.room_for([cost for _, cost in islice(waiting, count)])
        if not count:
            return  # a charge of nothing would still count the store as busy
        taken = [waiting.popleft() for _ in range(count)]
        if self.share is None or self.share.try_charge(sum(cost for _, cost in taken)):
            core.accept_many(taken, source, self.clock())
        else:
            waiting.extendleft(reversed(taken))

    def refuse_closed(self) -> NoReturn:
        """Raise `WorkerClosedError`."""
        text = f"the worker of {self.store_name} is closed and takes nothing new"
        raise WorkerClosedError(text, store_id=self.store_id)

    def checked(self, msg: ArrowMsg, source: object) -> Submission:
        """The submission of a message that waits for room; one that is too large is rejected.

        Needs no lock.
        """
        cost = message_cost(msg)
        refusal = self._refusal(msg, cost) if cost > self.cost_max else None
        return Submission(msg, source, cost if refusal is None else 0, refusal=refusal)

    def _refusal(self, msg: ArrowMsg, cost: int) -> LimitError | None:
        size, hub_bytes_max = len(msg.payload), self._hub_bytes_max
        if size > self._message_bytes_max:
            limit = "message_bytes_max"
            what = f"has {size:,} bytes, and may have {self._message_bytes_max:,}"
        elif hub_bytes_max is not None and cost > hub_bytes_max:
            limit = "hub_budget"
            what = f"becomes {cost:,} bytes, and the hub's budget is {hub_bytes_max:,}"
        else:
            return None
        text = f"a message of {self.store_name} {what} ({limit}): log smaller ones, or allow more"
        return LimitError(
            text,
            limit=limit,
            store_id=msg.store_id,
            chunk_id=msg.chunk_id,
            byte_offset=msg.byte_offset,
        )

    # Giving room back

    def could_fit(self, cost: int) -> bool:
        """Whether a message would find room if all queued messages were dropped."""
        share, core = self.share, self.core
        fits = core.could_fit(cost)
        return fits and (share is None or share.could_charge(cost, core.queue_bytes))

    def release_settled(self) -> list[Callable[[], None]]:
        """Give back the bytes of the hub that nothing in flight takes any more.

        Returns:
            Functions that wake threads of other stores, to be called without locks.
        """
        share = self.share
        if share is None:
            return []
        surplus = share.held_bytes - self.core.in_flight_bytes
        return share.release(surplus) if surplus else []

    # Episodes: from a queue without room until it is drained

    def note_full(self) -> None:
        """Note that a message found no room; the first one since the queue drained counts."""
        if not self.is_full:
            self.is_full = True
            self.has_warned = False
            self.core.counts.full_episodes += 1
            self.gaps.begin_episode()

    def note_drained(self) -> None:
        """End the episode if three quarters of the queue and of the budget are free."""
        core = self.core
        if 4 * core.queue_depth <= core.capacity and not core.spill_depth:
            self.is_full = 4 * core.in_flight_bytes > core.byte_budget

    def full_warning(self, what_happens: str) -> str | None:
        """The warning of this episode, to be logged without the lock; `None` after the first."""
        if self.has_warned:
            return None
        self.has_warned = True
        stats = self.core.stats(self.clock(), is_closed=self.is_closed)
        return (
            f"the queue of {self.store_name} is full ({self.fill}; "
            f"{stats.accept_rate.msgs_per_s:.0f} messages/s come in, "
            f"{stats.settle_rate.msgs_per_s:.0f} are committed): {what_happens}. "
            "Log less, commit more often, allow a larger capacity or byte_budget, or choose "
            "another policy"
        )

    @property
    def fill(self) -> str:
        """Messages and bytes in flight with their bounds, for messages to people."""
        core = self.core
        return (
            f"{core.queue_depth} of {core.capacity} messages, "
            f"{core.in_flight_bytes} of {core.byte_budget} bytes"
        )
