"""`rerun.sdk_comms.v1alpha1.MessageProxyService`: what SDKs stream to, and viewers read from.

The RPC layer passes bytes through; one look into each message finds its store, and what it
carries stays encoded. Every open stream holds a thread, so one that waits for its store's worker
(backpressure) keeps only its own client waiting. How many there may be, in all and of each peer,
`peers` decides.
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
    """What messages are handed to."""

    def receive_log_msg(self, msg: LogMsg, source: str) -> None:
        """Take one message; blocks while its store is full."""

    def __contains__(self, store_id: object) -> bool:
        """Whether the store is there."""
        ...


@dataclass(frozen=True, slots=True)
class ServerStats:
    """What a server has received and sent so far.

    Attributes:
        messages: Messages handed to their stores, and those that were undecodable.
        bytes: Their bytes.
        undecodable: Messages that are no `LogMsg` at all, so that no store could be charged.
        refused: Messages of stores that were closed.
        last_undecodable: What was wrong with the latest of them, and who sent it.
        writers: Streams open now that log to us.
        readers: Streams open now that read from us.
        peers: Addresses that have streams open, or stores here.
        streams_refused: Streams refused because of a limit.
        readers_cut: Readers cut because they fell too far behind.
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
    """The service's methods; bytes in, bytes out."""

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
        """A consistent view of the counts."""
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
        """The service for a `grpc.Server`; no (de)serialisers, so bytes pass through."""
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
        """Take one client's stream, message by message, at the pace of its stores."""
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
            # The client went away, its stream was severed at the end of the grace, or a message
            # was larger than the limit, which gRPC has told it: what arrived before is in.
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
        if is_first:  # a peer that tries again and again must not fill the log
            logger.warning("refused a stream from %s: %s", source, refusal.text)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, refusal.text)
        raise AssertionError  # `abort` never returns, which its types do not say

    def _decoded(self, data: bytes, source: str) -> LogMsg | None:
        """The message; `None`, and counted, if it is none."""
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
                # come back; `Server.record_errors` keeps naming what is incomplete.
                logger.error("%s", error)
        self._relay.publish(msg, data)
        try:
            self._sink.receive_log_msg(msg, source)
        except WorkerClosedError as error:
            # One store was closed; the stream may carry others, whose messages must go on.
            with self._lock:
                self._refused += 1
                number = self._refused
            if _is_told(number):
                logger.warning("refused message %d, from %s: %s", number, source, str(error))
        with self._lock:
            self._messages += 1
            self._bytes += len(data)

    def read_messages(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Everything received so far that is still kept, then whatever comes."""
        del request  # it has no fields
        with self._stream(context):
            # One that does not take what it was sent is ended, or its thread would wait for ever.
            reader = self._relay.reader(on_cut=context.cancel)
            if not context.add_callback(reader.close):
                return
            with self._lock:
                self._readers += 1
            try:
                # Requests and responses have one wire form: bytes are forwarded as they came.
                yield from reader
            finally:
                reader.close()
                with self._lock:
                    self._readers -= 1
                    self._readers_cut += reader.cut is Cut.OVERTAKEN
            if reader.cut is Cut.OVERTAKEN:
                text = (
                    "this reader fell so far behind that messages it had not read yet are gone; "
                    "connect again to start from the oldest that are kept"
                )
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def write_table(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Not offered: Forebay stores recordings."""
        del request
        _unimplemented(context)

    def read_tables(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Not offered: Forebay stores recordings."""
        del request
        _unimplemented(context)


def _is_told(number: int) -> bool:
    """Whether the log says of the event of that number: the 1st, 2nd, 4th, … of its kind.

    A message of three bytes must not write a line of a hundred each time; all are counted.
    """
    return number & (number - 1) == 0


def _unimplemented(context: grpc.ServicerContext) -> NoReturn:
    text = "Forebay stores recordings, not tables; log the data as components instead"
    context.abort(grpc.StatusCode.UNIMPLEMENTED, text)
    raise AssertionError  # `abort` never returns, which its types do not say
