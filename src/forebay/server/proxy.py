"""`rerun.sdk_comms.v1alpha1.MessageProxyService`: SDKs log to it, viewers read from it.

The RPC layer forwards bytes: each message is decoded only as far as needed to find its store, and
its payload stays encoded. Every open stream uses a thread, so backpressure of one store (its full
queue blocks the thread) delays only its own client. `peers` limits the number of streams, in total
and per peer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import grpc

from forebay.codec import decode_write_request
from forebay.errors import CodecError, IngestError, ServerError, WorkerClosedError
from forebay.model import LogMsg, StoreId
from forebay.server.peers import Peers, Refusal, peer_of
from forebay.server.relay import Cut, Relay

if TYPE_CHECKING:
    from forebay.limits import PeerLimits
    from forebay.runtime import HeapTrimmer, Runtime
    from forebay.server.record import RecordDirectory

SERVICE: Final = "rerun.sdk_comms.v1alpha1.MessageProxyService"

logger = logging.getLogger(__name__)


class LogSink(Protocol):
    """Receives the messages of the streams; implemented by `StoreHub`. Thread-safe."""

    def receive_log_msg(self, msg: LogMsg, source: str) -> None:
        """Accept one message; blocks while the queue of its store is full.

        Args:
            msg: The message, with its payload still encoded.
            source: Where it came from, for logs and reports.
        """

    def __contains__(self, store_id: object) -> bool:
        """Return whether the store exists."""
        ...


@dataclass(frozen=True, slots=True)
class ServerStats:
    """What a server has received and sent since it started.

    Attributes:
        messages: Messages received: handed to their stores, refused, or undecodable.
        bytes: Their size in bytes.
        undecodable: Messages that are not a `LogMsg`, so that they belong to no store.
        refused: Messages of stores that were closed.
        last_undecodable: Reason and sender of the latest undecodable message. None if there was
            none.
        writers: Open streams that log to the server.
        readers: Open streams that read from the server.
        peers: Addresses that have open streams, or stores here.
        streams_refused: Streams that were refused because of a limit.
        readers_cut: Readers that were disconnected because they fell too far behind.
    """

    messages: int = 0
    bytes: int = 0
    undecodable: int = 0
    refused: int = 0
    last_undecodable: str | None = None
    writers: int = 0
    readers: int = 0
    readers_cut: int = 0
    peers: int = 0
    streams_refused: int = 0


class MessageProxy:
    """The methods of the service, on encoded messages. Thread-safe.

    Args:
        sink: Receives the messages.
        relay: Keeps them for readers.
        record: Writes them to files; None without `data_dir`.
        runtime: Provides the lock.
        limits: Limits on streams and stores.
    """

    def __init__(
        self,
        sink: LogSink,
        relay: Relay,
        record: RecordDirectory | None,
        runtime: Runtime,
        limits: PeerLimits,
        *,
        trimmer: HeapTrimmer | None = None,
    ) -> None:
        self._sink = sink
        self._peers = Peers(limits, sink.__contains__)
        self._relay = relay
        self._record = record
        self._trimmer = trimmer
        self._lock = runtime.lock()
        self._messages = self._bytes = self._undecodable = self._refused = 0
        self._last_undecodable: str | None = None
        self._refused_for: str | None = None
        self._writers = self._readers = self._readers_cut = self._streams_refused = 0

    def stats(self) -> ServerStats:
        """Return the counters as one consistent snapshot."""
        with self._lock:
            return ServerStats(
                self._messages,
                self._bytes,
                self._undecodable,
                self._refused,
                self._last_undecodable,
                self._writers,
                self._readers,
                self._readers_cut,
                self._peers.num_peers,
                self._streams_refused,
            )

    def method_handlers(self) -> grpc.GenericRpcHandler:
        """Return the handlers for a `grpc.Server`.

        They have no serialisers and deserialisers, so that bytes pass unchanged.
        """
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "WriteMessages": grpc.stream_unary_rpc_method_handler(self.write_messages),
                "ReadMessages": grpc.unary_stream_rpc_method_handler(self.read_messages),
                "WriteTable": grpc.unary_unary_rpc_method_handler(self.write_table),
                "ReadTables": grpc.unary_stream_rpc_method_handler(self.read_tables),
            },
        )

    def write_messages(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """Receive the stream of one client, message by message.

        A store with a full queue slows the stream down (backpressure). A stream over a limit is
        aborted with RESOURCE_EXHAUSTED, a stream to a closed hub with UNAVAILABLE.
        """
        source = f"grpc:{context.peer()}"
        with self._stream(context) as peer:
            with self._lock:
                self._writers += 1
            try:
                self._take(requests, source, peer, context)
            finally:
                with self._lock:
                    self._writers -= 1
        return b""

    def _take(
        self, requests: Iterator[bytes], source: str, peer: str, context: grpc.ServicerContext
    ) -> None:
        admitted: StoreId | None = None
        try:
            for data in requests:
                admitted = self._take_one(data, admitted, source, peer, context)
                size_bytes = len(data)
                # The next one comes when the client likes; until then this one must not be kept.
                del data
                if self._trimmer is not None:
                    self._trimmer.note_passed(size_bytes)
        except grpc.RpcError:
            # The client disconnected, its stream was cancelled at the end of the grace period, or a
            # message was larger than the limit (gRPC has reported that to the client). Messages
            # that arrived before are ingested.
            logger.info("the stream of %s ended in the middle", source)
        except IngestError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"no longer accepting messages: {error}")

    def _take_one(
        self,
        data: bytes,
        admitted: StoreId | None,
        source: str,
        peer: str,
        context: grpc.ServicerContext,
    ) -> StoreId | None:
        """Take one message; returns the store that was admitted last."""
        msg = self._decoded(data, source)
        if msg is None:
            return admitted
        if msg.store_id != admitted:
            with self._lock:
                refusal = self._peers.admit_store(peer, msg.store_id)
            if refusal is not None:
                self._refuse(refusal, source, context)
        self._receive(msg, data, source)
        return msg.store_id

    @contextmanager
    def _stream(self, context: grpc.ServicerContext) -> Iterator[str]:
        """Count a stream for its peer while it is open, or refuse it."""
        peer = peer_of(context.peer())
        with self._lock:
            refusal = self._peers.admit(peer)
        if refusal is not None:
            self._refuse(refusal, peer, context)
        try:
            yield peer
        finally:
            with self._lock:
                self._peers.leave(peer)

    def _refuse(self, refusal: Refusal, source: str, context: grpc.ServicerContext) -> NoReturn:
        with self._lock:
            self._streams_refused += 1
            is_first = self._refused_for != refusal.limit
            self._refused_for = refusal.limit
        if is_first:  # a peer that retries must not fill the log
            logger.warning("refused a stream from %s: %s", source, refusal.text)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, refusal.text)
        raise AssertionError  # `abort` never returns, which its types do not say

    def _decoded(self, data: bytes, source: str) -> LogMsg | None:
        """Decode one message; returns None, and counts it, if it is not valid."""
        try:
            return decode_write_request(data)
        except CodecError as error:
            with self._lock:
                self._messages += 1
                self._bytes += len(data)
                self._undecodable += 1
                number = self._undecodable
                self._last_undecodable = f"{error} (from {source})"
            if _is_told(number):
                # As text: a handler may keep the record, and the error knows frames and their data.
                logger.warning("undecodable message %d from %s: %s", number, source, str(error))
            return None

    def _receive(self, msg: LogMsg, data: bytes, source: str) -> None:
        if self._record is not None:
            try:
                self._record.append(msg)
            except ServerError as error:
                # The live store matters more than its copy on disk, and the client would not
                # reconnect. `Server.record_errors` reports which files are incomplete.
                logger.error("%s", error)
        self._relay.publish(msg, data)
        try:
            self._sink.receive_log_msg(msg, source)
        except WorkerClosedError as error:
            # One store was closed; the stream may carry messages of other stores, which must
            # continue.
            with self._lock:
                self._refused += 1
                number = self._refused
            if _is_told(number):
                logger.warning("refused message %d, from %s: %s", number, source, str(error))
        with self._lock:
            self._messages += 1
            self._bytes += len(data)

    def read_messages(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Send all kept messages, oldest first, and then every new one.

        A reader that falls too far behind is aborted with RESOURCE_EXHAUSTED.
        """
        del request  # it has no fields
        with self._stream(context):
            # A reader that does not take what it was sent is cancelled; otherwise its thread would
            # wait for ever.
            reader = self._relay.reader(on_cut=context.cancel)
            if not context.add_callback(reader.close):
                return
            with self._lock:
                self._readers += 1
            try:
                # Requests and responses have the same encoding, so bytes are forwarded unchanged.
                yield from reader
            finally:
                reader.close()
                with self._lock:
                    self._readers -= 1
                    self._readers_cut += reader.cut is Cut.OVERTAKEN
            if reader.cut is Cut.OVERTAKEN:
                text = (
                    "this reader fell too far behind: messages that it had not read were dropped; "
                    "connect again to start from the oldest message that is kept"
                )
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def write_table(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Abort with UNIMPLEMENTED: Forebay stores recordings, not tables."""
        del request
        _unimplemented(context)

    def read_tables(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Abort with UNIMPLEMENTED: Forebay stores recordings, not tables."""
        del request
        _unimplemented(context)


def _is_told(number: int) -> bool:
    """Return whether event `number` of its kind is logged: the 1st, 2nd, 4th, 8th and so on.

    A small invalid message must not write a long log line each time; all are counted.
    """
    return number & (number - 1) == 0


def _unimplemented(context: grpc.ServicerContext) -> NoReturn:
    text = "Forebay stores recordings, not tables; log the data as components instead"
    context.abort(grpc.StatusCode.UNIMPLEMENTED, text)
    raise AssertionError  # `abort` never returns, which its types do not say
