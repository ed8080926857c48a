"""Admission control: how many streams and stores a server may have, in total and per peer.

It has no I/O and does not depend on the transport. Peers and store ids go in, admissions and
refusals come out. Not thread-safe: the caller holds a lock.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import unquote

from forebay.limits import PeerLimits
from forebay.model import StoreId


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why a stream or a store was refused.

    Attributes:
        limit: Name of the limit that was reached, a field of `PeerLimits`.
        text: Text for a person, with the name of the limit and what to do.
    """

    limit: str
    text: str


_STORES_LOOKED_AT = 16
"""Stores that are checked with each refusal and each stream for whether they still exist. The
number is fixed, so that the cost of a request does not depend on the number of earlier ones."""


@dataclass(slots=True)
class _Peer:
    streams: int = 0
    #: Its stores; those that were checked last are at the end.
    stores: dict[StoreId, None] = field(default_factory=dict)

    def forget_dropped(self, is_there: Callable[[StoreId], bool]) -> None:
        """Check the next few stores and remove those that no longer exist."""
        for store_id in [*islice(self.stores, _STORES_LOOKED_AT)]:
            del self.stores[store_id]
            if is_there(store_id):
                self.stores[store_id] = None


class Peers:
    """The peers of one server that have a stream or a store. Not thread-safe.

    Args:
        limits: Limits on streams and stores.
        is_there: Returns whether a store still exists; dropped stores no longer count.
    """

    def __init__(self, limits: PeerLimits, is_there: Callable[[StoreId], bool]) -> None:
        self.limits = limits
        self._is_there = is_there
        self._peers: dict[str, _Peer] = {}
        self._num_streams = 0

    @property
    def num_streams(self) -> int:
        """Number of open streams."""
        return self._num_streams

    @property
    def num_peers(self) -> int:
        """Number of peers that have a stream or a store."""
        return len(self._peers)

    def streams_of(self, peer: str) -> int:
        """Return the number of open streams of one peer."""
        return self._peers[peer].streams if peer in self._peers else 0

    def stores_of(self, peer: str) -> int:
        """Return how many stores count for one peer.

        Stores that were dropped since the last check are still counted.
        """
        return len(self._peers[peer].stores) if peer in self._peers else 0

    def admit(self, peer: str) -> Refusal | None:
        """Count a stream of `peer` until `leave` is called.

        Returns:
            None if it is admitted; otherwise which limit it would exceed.
        """
        limits = self.limits
        if self.streams_of(peer) >= limits.streams_per_peer_max:
            return Refusal(
                "streams_per_peer_max",
                f"streams_per_peer_max: {peer} has {limits.streams_per_peer_max:,} streams open, "
                f"which is the limit; close some, or raise it on the server",
            )
        if self._num_streams >= limits.streams_max:
            return Refusal(
                "streams_max",
                f"streams_max: {limits.streams_max:,} streams are open, which is the limit; "
                f"try again later, or raise it on the server",
            )
        self._forget_one_gone()
        if peer not in self._peers:
            self._peers[peer] = _Peer()
        self._peers[peer].streams += 1
        self._num_streams += 1
        return None

    def leave(self, peer: str) -> None:
        """Stop counting a stream of `peer`, which has ended."""
        entry = self._peers[peer]
        entry.streams -= 1
        self._num_streams -= 1
        if not (entry.streams or entry.stores):
            del self._peers[peer]

    def admit_store(self, peer: str, store_id: StoreId) -> Refusal | None:
        """Count a store that `peer`, which has an open stream, is about to create.

        A store that already exists counts for the peer that created it, and is always admitted.

        Returns:
            None if it is admitted; otherwise which limit it would exceed.
        """
        entry = self._peers[peer]
        if store_id in entry.stores or self._is_there(store_id):
            return None
        if len(entry.stores) >= self.limits.stores_per_peer_max:
            entry.forget_dropped(self._is_there)
        if len(entry.stores) >= self.limits.stores_per_peer_max:
            return Refusal(
                "stores_per_peer_max",
                f"stores_per_peer_max: {peer} has {self.limits.stores_per_peer_max:,} stores here, "
                f"which is the limit; drop some on the server, or raise it there",
            )
        entry.stores[store_id] = None
        return None

    def _forget_one_gone(self) -> None:
        """Check one peer and remove it if it has neither streams nor stores."""
        peer = next(iter(self._peers), None)
        if peer is None:
            return
        entry = self._peers.pop(peer)
        entry.forget_dropped(self._is_there)
        if entry.streams or entry.stores:
            self._peers[peer] = entry


def peer_of(address: str) -> str:
    """Return the peer of a transport address: its host without the port.

    gRPC writes addresses as `ipv4:127.0.0.1:50312`, `ipv6:[::1]:50312` or `ipv6:%5B::1%5D:50312`.
    An IPv4 address that is mapped into IPv6 is the IPv4 one, so that a machine is one peer in both
    protocols. For anything else (a Unix socket) the result is the scheme.
    """
    scheme, colon, rest = unquote(address).partition(":")
    if not colon or scheme not in ("ipv4", "ipv6"):
        return scheme or "unknown"
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return scheme
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)
