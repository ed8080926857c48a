"""Who may have how much of a server, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from forebay.limits import PeerLimits
from forebay.model import StoreId
from forebay.server.peers import Peers, peer_of


def store(number: int) -> StoreId:
    return StoreId.recording("app", str(number))


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("ipv4:127.0.0.1:50312", "127.0.0.1"),
        ("ipv6:[::1]:50312", "::1"),
        ("ipv6:%5B::1%5D:50312", "::1"),
        ("ipv6:[::ffff:10.0.0.7]:1", "10.0.0.7"),
        ("ipv6:[fe80::1%25eth0]:1", "fe80::1"),
        ("ipv6:[2001:DB8:0::1]:1", "2001:db8::1"),
        ("unix:/tmp/socket", "unix"),
        ("unix:", "unix"),
        ("ipv4:nonsense", "ipv4"),
        ("", "unknown"),
    ],
)
def test_a_peer_is_an_address(address: str, peer: str) -> None:
    assert peer_of(address) == peer


@pytest.mark.parametrize("value", [0, -1, 1.5, None, "8", True])
@pytest.mark.parametrize("name", ["streams_max", "streams_per_peer_max", "stores_per_peer_max"])
def test_limits_are_whole_numbers_above_zero(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be an integer above zero"):
        PeerLimits(**{name: value})


def test_one_peer_does_not_lock_out_another() -> None:
    peers = Peers(PeerLimits(streams_max=8, streams_per_peer_max=4), lambda _: False)
    refused = [peers.admit("greedy") for _ in range(100)][4:]
    assert all(each and each.limit == "streams_per_peer_max" for each in refused)
    assert peers.admit("other") is None
    peers.leave("greedy")
    assert peers.admit("greedy") is None


def test_all_peers_together_are_bounded() -> None:
    peers = Peers(PeerLimits(streams_max=3, streams_per_peer_max=2), lambda _: False)
    for name in ("a", "a", "b"):
        assert peers.admit(name) is None
    refusal = peers.admit("c")
    assert refusal is not None
    assert refusal.limit == "streams_max"
    assert "streams_max: 3 streams are open" in refusal.text


def test_stores_count_for_the_peer_that_made_them_while_they_are_there() -> None:
    there: set[StoreId] = {store(0)}
    peers = Peers(PeerLimits(stores_per_peer_max=2), there.__contains__)
    peers.admit("a")
    peers.admit("b")
    assert peers.admit_store("a", store(0)) is None, "it was there before"
    for number in (1, 2):
        assert peers.admit_store("a", store(number)) is None
        there.add(store(number))
    refusal = peers.admit_store("a", store(3))
    assert refusal is not None
    assert refusal.limit == "stores_per_peer_max"
    assert peers.admit_store("b", store(3)) is None, "another peer has its own share"
    assert peers.admit_store("b", store(1)) is None, "and may write to what is there"
    there.remove(store(1))
    assert peers.admit_store("a", store(4)) is None, "what was dropped counts no longer"


class Counting:
    """How often it was asked whether a store is there."""

    def __init__(self) -> None:
        self.there: set[StoreId] = set()
        self.steps = 0

    def __call__(self, store_id: StoreId) -> bool:
        self.steps += 1
        return store_id in self.there


def test_what_a_request_costs_does_not_grow_with_what_is_there() -> None:
    is_there = Counting()
    peers = Peers(PeerLimits(stores_per_peer_max=5000), is_there)
    for _ in range(2):
        peers.admit("a")
        for number in range(5000):
            assert peers.admit_store("a", store(number)) is None
            is_there.there.add(store(number))
        is_there.steps = 0
        for number in range(100):
            assert peers.admit_store("a", store(-1 - number)) is not None
            peers.leave("a")
            peers.admit("a")
        assert is_there.steps < 100 * 40


def test_peers_without_streams_and_stores_are_forgotten() -> None:
    is_there = Counting()
    peers = Peers(PeerLimits(), is_there)
    for number in range(1000):
        name = str(number)
        peers.admit(name)
        peers.admit_store(name, store(number))
        peers.leave(name)
    assert peers.num_peers <= 2, "their stores were dropped at once"


class PeersMachine(RuleBasedStateMachine):
    """Counts are what the requests so far say, whatever their order."""

    names = st.sampled_from("abc")

    def __init__(self) -> None:
        super().__init__()
        self.limits = PeerLimits(streams_max=5, streams_per_peer_max=3, stores_per_peer_max=2)
        self.there: set[StoreId] = set()
        self.peers = Peers(self.limits, self.there.__contains__)
        self.open = dict.fromkeys("abc", 0)

    @rule(name=names)
    def admit(self, name: str) -> None:
        fits = self.open[name] < 3 and sum(self.open.values()) < 5
        assert (self.peers.admit(name) is None) == fits
        self.open[name] += fits

    @precondition(lambda self: any(self.open.values()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, count in self.open.items() if count]))
        self.peers.leave(name)
        self.open[name] -= 1

    @precondition(lambda self: any(self.open.values()))
    @rule(data=st.data(), number=st.integers(0, 8))
    def make_store(self, data: st.DataObject, number: int) -> None:
        name = data.draw(st.sampled_from([name for name, count in self.open.items() if count]))
        if self.peers.admit_store(name, store(number)) is None:
            self.there.add(store(number))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def drop_store(self, data: st.DataObject) -> None:
        self.there.remove(data.draw(st.sampled_from(sorted(self.there))))

    @invariant()
    def counts_agree(self) -> None:
        assert self.peers.num_streams == sum(self.open.values())
        for name, count in self.open.items():
            assert self.peers.streams_of(name) == count
            assert self.peers.stores_of(name) <= self.limits.stores_per_peer_max


PeersMachine.TestCase.settings = settings(max_examples=50, deadline=None)
TestPeers = PeersMachine.TestCase
