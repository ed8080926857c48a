"""What was dropped is told in bounded memory, whatever names its senders chose."""

from __future__ import annotations

from forebay.ingest.gaps import Gap, GapLog
from forebay.limits import GAP_TIMELINES_MAX
from forebay.model import EntityPath
from forebay.runtime import InlineRuntime
from tests.steps import calls_of, check_constant


def gap(number: int, timelines: int = 1) -> Gap:
    ranges = {f"t{number}_{line}": (number, number) for line in range(timelines)}
    return Gap(EntityPath(f"/e{number}"), "drop_newest", 1, 10, number, number, ranges)


def test_merged_gaps_tell_the_times_of_few_timelines() -> None:
    log = GapLog(InlineRuntime(), gaps_max=2)
    for number in range(3 * GAP_TIMELINES_MAX):
        log.add(gap(number, timelines=3))
    oldest = log.gaps()[0]
    assert len(oldest.time_ranges) <= GAP_TIMELINES_MAX
    assert sum(one.count for one in log.gaps()) == 3 * GAP_TIMELINES_MAX


def test_a_gap_more_takes_the_same_steps_among_many() -> None:
    def cost(count: int) -> int:
        log = GapLog(InlineRuntime(), gaps_max=count)
        for number in range(count):
            log.add(gap(number))
        one = gap(count)
        return calls_of(lambda: log.add(one))

    check_constant(cost, 50)
