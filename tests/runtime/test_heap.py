"""Free memory of the heap goes back to the system, by the bytes that passed through it."""

from __future__ import annotations

from forebay.runtime import HeapTrimmer, give_back_free_memory, run_in_parallel


def test_the_heap_is_trimmed_once_for_so_many_bytes() -> None:
    given_back: list[int] = []
    trimmer = HeapTrimmer(100, lambda: given_back.append(1))
    for size, times in ((60, 0), (39, 0), (1, 1), (99, 1), (1, 2), (1000, 3), (99, 3)):
        trimmer.note_passed(size)
        assert len(given_back) == times


def test_threads_that_note_at_once_trim_no_more_often() -> None:
    given_back: list[int] = []
    trimmer = HeapTrimmer(100, lambda: given_back.append(1))

    def note() -> None:
        for _ in range(1000):
            trimmer.note_passed(10)

    run_in_parallel([note] * 4, "note", 4)
    assert len(given_back) == 400


def test_giving_back_works_wherever_it_is_called() -> None:
    give_back_free_memory()
