"""What must hold of an `IngestCore` between any two calls; for tests."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from forebay.ingest.outcomes import DroppedMsg, num_messages
from forebay.ingest.queue import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.ingest.core import IngestCore


def validate(core: IngestCore) -> None:
    """Check counts, sizes, order and bounds.

    Raises:
        AssertionError: Naming what does not hold.
    """
    batches = [*core._returned, *core._decoding.values()]  # noqa: SLF001 - core and its check are one thing in two parts
    reorder = core.reorder
    finished = [*reorder.handed, *reorder.output, *reorder.early.values()]
    entries = [item for item in core.queue if type(item) is Entry]
    entries += [entry for batch in batches for entry in batch.entries]
    ready = [item for item in core.queue if type(item) is not Entry]
    ready += [item for batch in batches for item in batch.ready]
    known = [item for item in ready if type(item) is not DroppedMsg]
    outcomes = [out for one in finished for out in one.outcomes]
    kept = [out for out in outcomes if type(out) is not DroppedMsg]

    _check("queue depth", core.queue_depth, len(entries) + len(known))
    _check("queue bytes", core.queue_bytes, sum(entry.cost for entry in entries))
    _check("output bytes", reorder.size_bytes, sum(one.size_bytes for one in finished))
    _check("bytes of all outcomes", reorder.size_bytes, sum(out.size_bytes for out in kept))
    in_flight = core.queue_depth + len(kept) + core.spill_depth
    counts = core.counts
    settled = counts.committed + counts.rejected
    _check("accepted", core.accepted, settled + counts.dropped + in_flight)
    _check("dropped", counts.dropped, sum(counts.dropped_by_reason.values()))
    assert core.spill_depth >= 0, "more came back than was spilled"

    _check_places(core)
    in_flight_bytes = core.in_flight_bytes
    assert core.queue_depth <= core.capacity, "more messages than the capacity"
    allowed = max(core.byte_budget, core._over_bytes)  # noqa: SLF001
    num_charged = len(entries) + sum(1 for out in kept if out.size_bytes)
    assert in_flight_bytes <= allowed or num_charged == 1, "more bytes than the budget"


def _check_places(core: IngestCore) -> None:
    """No place is missing and none is there twice, and outcomes are in the order of places."""
    reorder = core.reorder
    leaving = [out for one in [*reorder.handed, *reorder.output] for out in one.outcomes]
    if not core._has_lanes:  # noqa: SLF001
        seqs = _places(leaving)
        first = reorder.next_place - len(seqs)
        _check("order of outcomes", seqs, list(range(first, reorder.next_place)))
    spans = [(one, early.num_places) for one, early in reorder.early.items()]
    for batch in (*core._returned, *core._decoding.values()):  # noqa: SLF001
        _check("places of a batch", _consecutive(core, batch.entries), True)  # noqa: FBT003, RUF100
        spans.append((batch.first_place, len(batch.entries) + num_messages(batch.ready)))
    places = [place for first, count in spans for place in range(first, first + count)]
    expected = list(range(reorder.next_place, core._next_take_place))  # noqa: SLF001
    _check("messages in turns", sorted(places), expected)
    waiting = sum(_count(item) for item in core.queue) + core.spill_depth
    _check("messages taken or queued", core._next_take_place + waiting, core.accepted)  # noqa: SLF001
    rest = [item.seq for item in core.queue.rest]
    _check("order of the queue", rest, sorted(rest))


def _consecutive(core: IngestCore, entries: Iterable[Entry]) -> bool:
    seqs = [entry.seq for entry in entries]
    return core._has_lanes or all(b == a + 1 for a, b in pairwise(seqs))  # noqa: SLF001


def _count(item: object) -> int:
    return item.count if type(item) is DroppedMsg else 1


def _places(outcomes: Iterable[object]) -> list[int]:
    seqs: list[int] = []
    for out in outcomes:
        if type(out) is DroppedMsg:
            assert out.last_seq - out.seq + 1 == out.count, "a hole in what was dropped"
            seqs += range(out.seq, out.last_seq + 1)
        else:
            seqs.append(out.seq)  # type: ignore[attr-defined]
    return seqs


def _check(what: str, is_now: object, should_be: object) -> None:
    if is_now != should_be:
        msg = f"{what}: is {is_now}, should be {should_be}"
        raise AssertionError(msg)
