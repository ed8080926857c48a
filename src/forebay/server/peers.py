"""Who may have how much of a server: streams and stores, in all and for each peer.

Pure: peers and store ids in, admissions and refusals out; the caller holds a lock. It knows no
transport, so any can ask it.
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
    """Why something was not admitted.

    Attributes:
        limit: The name of the limit that was reached, as in `PeerLimits`.
        text: The same for a person, with the limit's name and what to do.
    """

    limit: str
    text: str


_STORES_LOOKED_AT = 16
"""Stores that are looked at for each refusal and each stream, whether they are still there: so no
request costs more because there were many before it."""


@dataclass(slots=True)
class _Peer:
    streams: int = 0
    #: Its stores, those that were looked at last in the end.
    stores: dict[StoreId, None] = field(default_factory=dict)

    def forget_dropped(self, is_there: Callable[[StoreId], bool]) -> None:
        """Look at the stores whose turn it is, and keep those that are still there."""
        for store_id in [*islice(self.stores, _STORES_LOOKED_AT)]:
            del self.stores[store_id]
            if is_there(store_id):
                self.stores[store_id] = None


class Peers:
    """The peers of one server, as far as they have anything; not for several threads at once.

    Args:
        limits: What they may have.
        is_there: Whether a store still exists; stores that were dropped count no longer.
    """

    def __init__(self, limits: PeerLimits, is_there: Callable[[StoreId], bool]) -> None:
        self.limits = limits
        self._is_there = is_there
        self._peers: dict[str, _Peer] = {}
        self._num_streams = 0

    @property
    def num_streams(self) -> int:
        """Streams open now."""
        return self._num_streams

    @property
    def num_peers(self) -> int:
        """Peers that have a stream or a store."""
        return len(self._peers)

    def streams_of(self, peer: str) -> int:
        """Streams that one peer has open now."""
        return self._peers[peer].streams if peer in self._peers else 0

    def stores_of(self, peer: str) -> int:
        """Stores that count for one peer; those dropped since the last look are among them."""
        return len(self._peers[peer].stores) if peer in self._peers else 0

    def admit(self, peer: str) -> Refusal | None:
        """Count a stream of `peer` until it leaves, or say which limit it would exceed."""
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
        """A stream that was admitted has ended."""
        entry = self._peers[peer]
        entry.streams -= 1
        self._num_streams -= 1
        if not (entry.streams or entry.stores):
            del self._peers[peer]

    def admit_store(self, peer: str, store_id: StoreId) -> Refusal | None:
        """Count a store that `peer`, who has a stream open, is about to bring into being.

        A store that is there already counts for the peer that made it, and is admitted.

        Returns:
            `None`, or why there must not be one more.
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
        """Look at the peer whose turn it is: without streams and stores it is forgotten."""
        peer = next(iter(self._peers), None)
        if peer is None:
            return
        entry = self._peers.pop(peer)
        entry.forget_dropped(self._is_there)
        if entry.streams or entry.stores:
            self._peers[peer] = entry


def peer_of(address: str) -> str:
    """Which peer an address as transports write it belongs to: the host without the port.

    `ipv4:127.0.0.1:50312`, `ipv6:[::1]:50312` and `ipv6:%5B::1%5D:50312` are gRPC's way; an IPv4
    address within IPv6 is the IPv4 one, so that a machine is one peer whatever it speaks. What is
    no address (a Unix socket) is its scheme.
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
