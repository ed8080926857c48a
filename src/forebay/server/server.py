"""The server: a hub that real SDKs stream to."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc

from forebay.errors import ServerError
from forebay.hub import StoreHub
from forebay.limits import (
    MEMORY_RELAY_SHARE,
    RELAY_BUDGET_BYTES,
    SERVER_MESSAGE_BYTES_MAX,
    SERVER_STOP_GRACE_S,
    SERVER_STREAMS_MAX,
)
from forebay.runtime import default_runtime, executor
from forebay.server.address import Address
from forebay.server.proxy import MessageProxy, ServerStats
from forebay.server.record import RecordDirectory
from forebay.server.relay import Relay

if TYPE_CHECKING:
    from forebay.model import StoreId

logger = logging.getLogger(__name__)

_OPTIONS = (
    # Messages of 100 MB and more are seen; -1 lifts grpc's 4 MB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Two servers must not share a port silently, each with half of the streams.
    ("grpc.so_reuseport", 0),
    # A peer that vanished without a word is noticed, and its thread comes back.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Rerun's SDK may ping as often as it likes.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)


class Server:
    """A running server; leaving its `with` block stops it, and its hub stays queryable.

    Made by `serve`.

    Attributes:
        hub: What was received, queryable while it grows.
        address: Where it listens, with the port it got.
    """

    def __init__(
        self,
        address: Address,
        hub: StoreHub,
        *,
        owns_hub: bool,
        data_dir: Path | None,
        relay_budget_bytes: int,
        streams_max: int,
    ) -> None:
        runtime = default_runtime()
        self.hub = hub
        self._owns_hub = owns_hub
        self._record = RecordDirectory(data_dir, runtime) if data_dir is not None else None
        if hub.memory_limit is not None:
            relay_budget_bytes = min(relay_budget_bytes, hub.memory_limit // MEMORY_RELAY_SHARE)
        self._relay = Relay(relay_budget_bytes, runtime)
        hub.count_in_memory(self._relay)
        self._proxy = MessageProxy(hub, self._relay, self._record, runtime)
        self._executor = executor(streams_max, "grpc")
        # A stream more than there are threads is refused: queued, it would wait for ever.
        self._grpc = grpc.server(
            self._executor, options=_OPTIONS, maximum_concurrent_rpcs=streams_max
        )
        self._grpc.add_generic_rpc_handlers((self._proxy.method_handlers(),))
        self._stopped = False
        self.address = Address(address.host, self._bind(address))
        self._grpc.start()
        if not address.is_loopback:
            logger.warning(
                "warning: %s is open to the network: whoever reaches it reads and writes",
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
                "port 0 for any that is free"
                if address.resolves()
                else f"{address.host!r} is no IP address, and no name that this machine can resolve"
            )
            msg = f"cannot listen on {address}: {why}"
            raise ServerError(msg) from cause
        return port

    @property
    def url(self) -> str:
        """What an SDK connects to: `rerun.connect_grpc(url)`."""
        return self.address.url

    def stats(self) -> ServerStats:
        """What was received and sent so far."""
        return self._proxy.stats()

    def record_paths(self) -> dict[StoreId, Path]:
        """The files of `data_dir`."""
        return self._record.paths() if self._record is not None else {}

    def record_errors(self) -> dict[StoreId, str]:
        """Stores whose files in `data_dir` are incomplete, and why."""
        return self._record.errors() if self._record is not None else {}

    def wait(self) -> None:
        """Wait until the server is stopped, from another thread or by an interrupt."""
        self._grpc.wait_for_termination()

    def stop(self, grace_s: float = SERVER_STOP_GRACE_S) -> None:
        """Take no new streams, let open ones finish, then commit everything. Idempotent.

        SDKs do not reconnect: what they log after the grace is lost to them. Readers are ended
        at once, with all they had coming.

        Args:
            grace_s: How long open streams may go on, in seconds.
        """
        if self._stopped:
            return
        self._stopped = True
        stopping = self._grpc.stop(grace_s)
        self._relay.close()
        stopping.wait()
        # A stream that was severed may still be handing over its last message.
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
    relay_budget_bytes: int = RELAY_BUDGET_BYTES,
    streams_max: int = SERVER_STREAMS_MAX,
) -> Server:
    """Start a server for Rerun SDKs, and return once it listens.

    ```python
    with forebay.serve("127.0.0.1:0") as server:
        recording.connect_grpc(server.url)
    ```

    Args:
        address: `HOST:PORT`; port 0 takes any that is free. Beyond loopback anyone who can
            reach the port can read and write.
        data_dir: Where every received message is also appended to one file per store.
        hub: Receives the messages; one of its own unless given.
        relay_budget_bytes: Received messages kept for readers (viewers), in bytes; of a hub with
            a memory limit, one part in `limits.MEMORY_RELAY_SHARE` of that at the most.
        streams_max: Streams open at once; further ones are refused with RESOURCE_EXHAUSTED.

    Raises:
        ServerError: The address is malformed or taken, or `data_dir` cannot be written to.
    """
    return Server(
        Address.parse(address),
        hub if hub is not None else StoreHub(message_bytes_max=SERVER_MESSAGE_BYTES_MAX),
        owns_hub=hub is None,
        data_dir=Path(data_dir) if data_dir is not None else None,
        relay_budget_bytes=relay_budget_bytes,
        streams_max=streams_max,
    )
