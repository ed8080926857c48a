from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forebay.ingest.samples import STAGES, LatencySamples, RateWindow
from forebay.limits import LATENCY_SAMPLES_MAX, LATENCY_WINDOW_S

STEPS = st.lists(
    st.tuples(
        st.integers(0, len(STAGES) - 1), st.integers(0, 700), st.floats(0, 10, allow_nan=False)
    ),
    max_size=300,
)


@given(STEPS, st.integers(0, 2000))
def test_latencies_of_the_last_second_by_stage(
    steps: list[tuple[int, int, float]], later_ms: int
) -> None:
    samples, now_ms = LatencySamples(), 0
    noted: list[tuple[int, float, float]] = []
    for stage, pause_ms, seconds in steps:
        now_ms += pause_ms
        samples.add(stage, now_ms / 1000, seconds)
        noted.append((stage, now_ms / 1000, seconds))
    now_s = (now_ms + later_ms) / 1000
    expected = {
        name: [took for at, end_s, took in noted if at == stage and end_s >= now_s - 1]
        for stage, name in enumerate(STAGES)
    }
    assert samples.values(now_s) == expected


def test_the_newest_samples_are_kept_and_memory_is_bounded() -> None:
    samples = LatencySamples()
    for number in range(100 * LATENCY_SAMPLES_MAX):
        samples.add(0, number * 1e-6, number)
    kept = samples.values(0.05)["queue"]
    last = 100 * LATENCY_SAMPLES_MAX - 1
    assert kept == list(range(last - len(kept) + 1, last + 1))
    assert len(kept) == LATENCY_SAMPLES_MAX
    assert len(samples._packed) <= 3 * LATENCY_SAMPLES_MAX * len(STAGES)


def test_what_is_older_than_anybody_asks_for_goes_as_new_samples_come() -> None:
    samples = LatencySamples()
    for number in range(10_000):
        samples.add(number % len(STAGES), number * LATENCY_WINDOW_S, 1.0)
    assert len(samples._packed) < 1000


@given(
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 9), st.integers(0, 99)), max_size=300),
    st.integers(0, 3000),
)
def test_rates_are_the_growth_within_the_last_second(
    steps: list[tuple[int, int, int]], later_ms: int
) -> None:
    """Points that come too close together are left out, so totals are compared at kept ones."""
    window, now_ms, msgs, size = RateWindow(), 0, 0, 0
    points: list[tuple[int, int, int]] = []
    for pause_ms, more, more_bytes in steps:
        now_ms += pause_ms
        msgs, size = msgs + more, size + more_bytes
        if now_ms / 1000 >= window.next_s:
            points.append((now_ms, msgs, size))
        window.add(now_ms / 1000, msgs, size)
    now_ms += later_ms
    base = next((one for one in reversed(points) if one[0] / 1000 <= now_ms / 1000 - 1), (0, 0, 0))
    assert window.rates(now_ms / 1000, msgs, size) == (msgs - base[1], size - base[2])


def test_points_of_a_rate_are_bounded_too() -> None:
    window = RateWindow()
    for number in range(100_000):
        window.add(number * 1e-4, number, number)
    assert len(window._packed) <= 3 * 260
