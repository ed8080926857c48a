from __future__ import annotations

import threading

import pytest

from forebay.runtime import Turnstile
from tests.waiting import until

PATIENCE_S = 30.0
NEVER_S = 1e6


def test_one_at_a_time_in_the_order_of_coming() -> None:
    turnstile = Turnstile(NEVER_S)
    inside: list[int] = []
    order: list[int] = []

    def pass_through(number: int) -> None:
        with turnstile.turn():
            inside.append(number)
            assert inside == [number]
            order.append(number)
            inside.remove(number)

    threads = [threading.Thread(target=pass_through, args=(number,)) for number in range(8)]
    with turnstile.turn():
        for number, thread in enumerate(threads):
            thread.start()
            until(lambda count=number + 1: turnstile.num_waiting == count)
        assert order == []
    for thread in threads:
        thread.join(PATIENCE_S)
    assert order == list(range(8))


def test_who_is_stuck_is_passed_and_takes_no_turn_with_it() -> None:
    turnstile = Turnstile(0.001)
    stuck, passed = threading.Event(), threading.Event()

    def be_stuck() -> None:
        with turnstile.turn():
            stuck.set()
            assert passed.wait(PATIENCE_S)

    thread = threading.Thread(target=be_stuck)
    thread.start()
    assert stuck.wait(PATIENCE_S)
    with turnstile.turn():
        passed.set()
        thread.join(PATIENCE_S)
        assert turnstile._holder is not None  # the stuck one gave back what was not its own
    assert turnstile._holder is None


def test_an_error_ends_the_turn() -> None:
    turnstile = Turnstile(NEVER_S)
    with pytest.raises(KeyError), turnstile.turn():
        raise KeyError
    with turnstile.turn():
        pass
