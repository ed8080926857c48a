"""The server: a hub that Rerun SDKs log to."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc

from forebay.errors import ServerError
from forebay.hub import StoreHub
from forebay.limits import (
    HUB_BUDGET_BYTES,
    MEMORY_IN_FLIGHT_SHARE,
    MEMORY_PASSED_SHARE,
    MEMORY_RELAY_SHARE,
    MESSAGE_SIZE_BYTES_MAX,
    MIB,
    RELAY_BUDGET_BYTES,
    SERVER_KEEPALIVE_S,
    SERVER_KEEPALIVE_TIMEOUT_S,
    SERVER_STOP_GRACE_S,
    SERVER_STORES_PER_PEER_MAX,
    SERVER_STREAMS_MAX,
    SERVER_STREAMS_PER_PEER_MAX,
    SERVER_STREAMS_REFUSED_AT_ONCE_MAX,
    WIRE_MESSAGE_BYTES_MAX,
    PeerLimits,
)
from forebay.model.sizes import Size, to_bytes
from forebay.runtime import HeapTrimmer, ShrinkingExecutor, default_runtime
from forebay.server.address import Address
from forebay.server.proxy import MessageProxy, ServerStats
from forebay.server.record import RecordDirectory
from forebay.server.relay import Relay

if TYPE_CHECKING:
    from forebay.ingest import Policy
    from forebay.model import StoreId

logger = logging.getLogger(__name__)


def _options(
    message_bytes_max: int, keepalive_s: float, keepalive_timeout_s: float
) -> tuple[tuple[str, int], ...]:
    return (
        # Checked when the length of a message is known, before it is in memory.
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", -1),
        # Two servers must not share a port, each with half of the streams.
        ("grpc.so_reuseport", 0),
        # A peer that disappeared without closing is detected, and its thread is freed.
        ("grpc.keepalive_time_ms", int(keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(keepalive_timeout_s * 1000)),
        # Newer versions of gRPC wait this long for the answer: a minute by default.
        ("grpc.http2.ping_timeout_ms", int(keepalive_timeout_s * 1000)),
        # By default only two pings are sent on a stream without messages.
        ("grpc.http2.max_pings_without_data", 0),
        # Accept any number of pings from Rerun's SDK.
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    )


class Server:
    """A running server, made by `serve`. Thread-safe.

    Leaving its `with` block stops it; its hub can still be queried.

    Attributes:
        hub: The hub that receives the messages; it can be queried while it grows.
        address: Where the server listens, with the actual port.
    """

    def __init__(
        self,
        address: Address,
        hub: StoreHub,
        *,
        owns_hub: bool,
        data_dir: Path | None,
        relay_budget_bytes: int,
        message_bytes_max: int,
        peer_limits: PeerLimits,
        keepalive_s: float,
        keepalive_timeout_s: float,
    ) -> None:
        runtime = default_runtime()
        self.hub = hub
        self._owns_hub = owns_hub
        self._record = RecordDirectory(data_dir, runtime) if data_dir is not None else None
        trimmer = None
        if hub.memory_limit is not None:
            relay_budget_bytes = min(relay_budget_bytes, hub.memory_limit // MEMORY_RELAY_SHARE)
            # The hub rejects what is larger than that; here it is refused before it is held.
            in_flight_bytes = hub.memory_limit // MEMORY_IN_FLIGHT_SHARE
            message_bytes_max = min(message_bytes_max, max(MIB, in_flight_bytes))
            trimmer = HeapTrimmer(max(MIB, hub.memory_limit // MEMORY_PASSED_SHARE))
        self._relay = Relay(relay_budget_bytes, runtime)
        hub.count_in_memory(self._relay)
        self._proxy = MessageProxy(
            hub, self._relay, self._record, runtime, peer_limits, trimmer=trimmer
        )
        # More threads than permitted streams, so that further streams can be refused with a reason.
        # gRPC itself refuses streams beyond that; none is queued for a thread.
        calls_max = peer_limits.streams_max + SERVER_STREAMS_REFUSED_AT_ONCE_MAX
        self._executor = ShrinkingExecutor(calls_max, "stream")
        self._grpc = grpc.server(
            self._executor,  # type: ignore[arg-type]
            options=_options(message_bytes_max, keepalive_s, keepalive_timeout_s),
            maximum_concurrent_rpcs=calls_max,
        )
        self._grpc.add_generic_rpc_handlers((self._proxy.method_handlers(),))
        self._stopped = False
        self.address = Address(address.host, self._bind(address))
        self._grpc.start()
        if not address.is_loopback:
            logger.warning(
                "warning: %s is open to the network: any client that reaches it can read and write",
                self.address,
            )

    def _bind(self, address: Address) -> int:
        try:
            port: int = self._grpc.add_insecure_port(str(address))
        except RuntimeError as error:
            port = 0
            cause: RuntimeError | None = error
        else:
            cause = None
        if port == 0:
            self._executor.shutdown(wait=False)
            why = (
                "the port is taken, or the address is not this machine's; give another one, or "
                "port 0 for any free one"
                if address.resolves()
                else f"{address.host!r} is no IP address, and no name that this machine can resolve"
            )
            msg = f"cannot listen on {address}: {why}"
            raise ServerError(msg) from cause
        return port

    @property
    def url(self) -> str:
        """The URL that an SDK connects to: `rerun.connect_grpc(url)`."""
        return self.address.url

    def stats(self) -> ServerStats:
        """Return counts of what was received and sent since the server started.

        All counts are of the same moment.
        """
        return self._proxy.stats()

    @property
    def relay_held_bytes(self) -> int:
        """Bytes of memory that messages kept for readers take."""
        return self._relay.held_bytes

    @property
    def num_threads(self) -> int:
        """Number of live threads that serve streams; idle ones end."""
        return self._executor.num_threads

    def record_paths(self) -> dict[StoreId, Path]:
        """Return the file of each store in `data_dir`; empty if the server has no `data_dir`."""
        return self._record.paths() if self._record is not None else {}

    def record_errors(self) -> dict[StoreId, str]:
        """Return the reason for each store whose file in `data_dir` is incomplete.

        The store itself is complete: an error on disk does not stop ingestion.
        """
        return self._record.errors() if self._record is not None else {}

    def wait(self) -> None:
        """Block until another thread calls `stop`; a Ctrl-C raises KeyboardInterrupt here."""
        self._grpc.wait_for_termination()

    def stop(self, grace_s: float = SERVER_STOP_GRACE_S) -> None:
        """Accept no new streams, let open ones finish, then commit everything. Idempotent.

        SDKs do not reconnect: what they log after the grace period is lost. Readers are ended at
        once, after the messages that they still have to get.

        Args:
            grace_s: How long open streams may continue, in seconds.
        """
        if self._stopped:
            return
        self._stopped = True
        stopping = self._grpc.stop(grace_s)
        self._relay.close()
        stopping.wait()
        # A stream that was cancelled may still be handing over its last message.
        self._executor.shutdown(wait=True)
        self.hub.flush()
        if self._owns_hub:
            self.hub.close()
        if self._record is not None:
            self._record.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(
    address: str = "127.0.0.1:9876",
    *,
    data_dir: str | Path | None = None,
    hub: StoreHub | None = None,
    memory_limit: Size | None = None,
    policy: Policy | str = "block",
    hub_budget: Size = HUB_BUDGET_BYTES,
    message_bytes_max: Size = WIRE_MESSAGE_BYTES_MAX,
    relay_budget_bytes: Size = RELAY_BUDGET_BYTES,
    streams_max: int = SERVER_STREAMS_MAX,
    streams_per_peer_max: int = SERVER_STREAMS_PER_PEER_MAX,
    stores_per_peer_max: int = SERVER_STORES_PER_PEER_MAX,
    keepalive_s: float = SERVER_KEEPALIVE_S,
    keepalive_timeout_s: float = SERVER_KEEPALIVE_TIMEOUT_S,
) -> Server:
    """Start a server for Rerun SDKs; returns once it listens.

    The server is a context manager; leaving it stops it once open streams have ended::

        with forebay.serve("127.0.0.1:0") as server:
            recording.connect_grpc(server.url)

    Streams and stores over a limit are refused with RESOURCE_EXHAUSTED and the name of the limit.

    Args:
        address: `HOST:PORT`; with port 0 the system chooses a free one. On an address other than
            loopback, any client that can reach the port can read and write.
        data_dir: Directory in which every received message is also appended to one file per store.
        hub: Receives the messages. By default the server makes a hub of its own.
        memory_limit: For the server's own hub: bytes of memory that it may take (see `StoreHub`).
        policy: For the server's own hub: what a full queue does with a message (see `StoreHub`).
        hub_budget: For the server's own hub: bytes in flight over all stores.
        message_bytes_max: Largest message on the wire, in bytes or as text (`"256MiB"`). A larger
            one ends its stream before it is in memory; gRPC itself reports that, with the sizes. If
            the hub has a memory limit, at most 1/`limits.MEMORY_IN_FLIGHT_SHARE` of that.
        relay_budget_bytes: Received messages kept for readers (viewers), in bytes or as text. If
            the hub has a memory limit, at most 1/`limits.MEMORY_RELAY_SHARE` of that.
        streams_max: Streams open at once, of all peers together.
        streams_per_peer_max: Streams open at once from one address.
        stores_per_peer_max: Stores that one address has created and that still exist.
        keepalive_s: Interval of pings to a silent peer, in seconds.
        keepalive_timeout_s: How long a peer may take to answer a ping, in seconds; then its streams
            are ended.

    Returns:
        The running server.

    Raises:
        ServerError: The address is malformed or in use, or `data_dir` cannot be written to.
        ValueError: A limit is not a size or not a number above zero; or `memory_limit`, `policy` or
            `hub_budget` was given together with a `hub`, which has its own.
    """
    if hub is not None and (memory_limit, policy, hub_budget) != (None, "block", HUB_BUDGET_BYTES):
        msg = "memory_limit, policy and hub_budget belong to the hub: give them to the StoreHub"
        raise ValueError(msg)
    return Server(
        Address.parse(address),
        StoreHub(
            memory_limit=memory_limit,
            policy=policy,
            hub_budget=hub_budget,
            message_bytes_max=message_bytes_max,
        )
        if hub is None
        else hub,
        owns_hub=hub is None,
        data_dir=Path(data_dir) if data_dir is not None else None,
        relay_budget_bytes=to_bytes(relay_budget_bytes, least=0),
        message_bytes_max=to_bytes(message_bytes_max, most=MESSAGE_SIZE_BYTES_MAX),
        peer_limits=PeerLimits(
            streams_max=streams_max,
            streams_per_peer_max=streams_per_peer_max,
            stores_per_peer_max=stores_per_peer_max,
        ),
        keepalive_s=keepalive_s,
        keepalive_timeout_s=keepalive_timeout_s,
    )
