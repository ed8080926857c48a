"""Which queued message goes first, policy by policy."""

from __future__ import annotations

from forebay.ingest import DropOldest, LatestWins, Policy
from forebay.ingest.victims import Victims
from forebay.model import EntityPath

A, B, C = map(EntityPath, ("/a", "/b", "/c"))


class Queue:
    """Holds the numbers that nobody took."""

    def __init__(self, count: int) -> None:
        self.there = set(range(count))

    def holds(self, seq: int) -> bool:
        return seq in self.there


def queued(policy: Policy, *entities: EntityPath) -> Victims:
    victims = Victims(policy)
    for seq, entity in enumerate(entities):
        victims.add(seq, entity, 0)
    return victims


def test_the_oldest_goes_first_and_what_has_left_is_passed_over() -> None:
    queue = Queue(4)
    victims = queued(DropOldest(), A, B, A, C)
    queue.there -= {1}
    assert [victims.pop(A, queue) for _ in range(4)] == [0, 2, 3, None]


def test_what_a_later_one_of_its_entity_supersedes_goes_before_all_else() -> None:
    victims = queued(LatestWins(), A, B, C, A, B)
    assert [victims.pop(C, Queue(5)) for _ in range(2)] == [0, 1], "oldest first"


def test_then_the_one_that_the_new_one_supersedes_then_the_oldest() -> None:
    queue = Queue(3)
    victims = queued(LatestWins(), A, B, C)
    assert victims.pop(B, queue) == 1
    queue.there -= {1}
    assert victims.pop(EntityPath("/new"), queue) == 0


def test_what_left_the_queue_is_forgotten() -> None:
    for policy in (DropOldest(), LatestWins()):
        victims = Victims(policy)
        for seq in range(1000):
            victims.add(seq, EntityPath(f"/{seq % 500}"), max(0, seq - 3))
        assert len(victims._oldest) <= 5
        assert len(victims._superseded) <= 5
        assert len(victims._newest) <= 100
