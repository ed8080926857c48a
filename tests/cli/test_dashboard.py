from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from forebay import StoreHub
from forebay.cli.dashboard import STORES_SHOWN_MAX, Dashboard
from forebay.model import ArrowMsg, StoreId
from forebay.runtime import Event
from tests.server.client import numbered
from tests.steps import calls_of
from tests.waiting import until

A = StoreId.recording("app", "a [bold]")
B = StoreId.recording("app", "b")


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=150, color_system=None)


def text(of: Console) -> str:
    file = of.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_readings() -> None:
    hub = StoreHub()
    with Dashboard(hub) as dashboard:
        for number in range(5):
            hub.receive_log_msg(numbered(A, number), "test")
        hub.receive_log_msg(ArrowMsg(B, b"broken"), "test")
        hub.flush()
        until(lambda: dashboard.readings()[0].latency_p50_ms > 0)
        a, b = dashboard.readings()
    assert (a.store_id, a.messages, a.rows, a.queue_depth, a.rejected) == (A, 5, 5, 0, 0)
    assert (b.store_id, b.messages, b.rows, b.rejected) == (B, 1, 0, 1)
    assert a.latency_p50_ms <= a.latency_p99_ms


def test_lines_tell_news_only() -> None:
    hub, out = StoreHub(), console(terminal=False)
    with Dashboard(hub, out) as dashboard:
        hub.receive_log_msg(numbered(A, 0), "test")
        hub.flush()
        dashboard.print_lines()
        dashboard.print_lines()
        assert text(out).count("app/a [bold]: 1 messages, 1 rows") == 1
        hub.receive_log_msg(numbered(B, 0), "test")
        hub.flush()
        dashboard.print_lines()
    assert text(out).count("\n") == 2


def test_lines_of_very_many_stores_are_few_and_the_busiest_are_among_them() -> None:
    hub, out = StoreHub(), console(terminal=False)
    ids = [StoreId.recording("app", str(number)) for number in range(STORES_SHOWN_MAX + 10)]
    with Dashboard(hub, out) as dashboard:
        for round_ in range(2):
            for store_id in ids:
                hub.receive_log_msg(numbered(store_id, round_), "test")
            if round_:
                for number in range(10, 20):
                    hub.receive_log_msg(numbered(ids[-1], number), "test")
            hub.flush()
            dashboard.print_lines()
    assert text(out).count("app/") == 2 * STORES_SHOWN_MAX
    assert text(out).count("… and 10 more") == 2
    assert f"app/{STORES_SHOWN_MAX + 9}: 12 messages" in text(out)


@pytest.mark.parametrize("show", [Dashboard.table, Dashboard.print_lines])
def test_what_is_not_shown_of_very_many_stores_costs_little(
    show: Callable[[Dashboard], object],
) -> None:
    """Statistics and percentiles of 10,000 stores took a processor for themselves."""

    def cost(stores: int) -> int:
        hub = StoreHub()
        for number in range(stores):
            hub.receive_log_msg(numbered(StoreId.recording("app", str(number)), 0), "test")
        hub.flush()
        with Dashboard(hub, console(terminal=False)) as dashboard:
            return calls_of(lambda: show(dashboard))

    shown = cost(STORES_SHOWN_MAX)
    among_many = cost(5 * STORES_SHOWN_MAX)
    assert among_many - shown < shown, "four stores that are not shown cost less than one that is"


def test_a_table_of_very_many_stores_stays_small() -> None:
    hub, out = StoreHub(), console(terminal=True)
    for number in range(STORES_SHOWN_MAX + 10):
        hub.receive_log_msg(numbered(StoreId.recording("app", str(number)), 0), "test")
    hub.flush()
    with Dashboard(hub, out) as dashboard:
        out.print(dashboard.table())
    assert text(out).count("app/") == STORES_SHOWN_MAX
    assert "… and 10 more" in text(out)


def test_run_ends_when_told_and_when_done() -> None:
    hub, over = StoreHub(), Event()
    over.set()
    for terminal in (True, False):
        with Dashboard(hub, console(terminal=terminal)) as dashboard:
            dashboard.run(over)
            dashboard.run(Event(), lambda: True)
