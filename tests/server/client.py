"""A bare gRPC client: what an SDK or a viewer does on the wire, message by message."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Self

import grpc

from forebay.codec import encode_chunk, encode_write_request
from forebay.model import ArrowMsg, LogMsg, StoreId
from forebay.server import Address, Server
from tests.chunks import make_chunk

SERVICE = "/rerun.sdk_comms.v1alpha1.MessageProxyService/"
TIMEOUT_S = 60.0


def numbered(store_id: StoreId, number: int, entity: str = "/a") -> ArrowMsg:
    """A one-row chunk at frame `number` whose value is `number`."""
    chunk = make_chunk(entity, {"frame": [number]}, {"S:x": [[float(number)]]})
    return encode_chunk(store_id, chunk)


class At:
    """What `Client` needs to know of a server in another process."""

    def __init__(self, url: str) -> None:
        self.address = Address.parse(url.removeprefix("rerun+http://").removesuffix("/proxy"))


class Client:
    """One connection."""

    def __init__(self, server: Server | At) -> None:
        self.channel = grpc.insecure_channel(
            str(server.address),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def write(self, *messages: LogMsg) -> None:
        """Send messages in a stream of their own, and wait until the server has taken them."""
        self.write_raw(*map(encode_write_request, messages))

    def write_raw(self, *requests: bytes) -> None:
        self.channel.stream_unary(SERVICE + "WriteMessages")(iter(requests), timeout=TIMEOUT_S)

    def open_stream(self) -> WriteStream:
        return WriteStream(self.channel)

    def read(self) -> grpc.Call:
        """Iterate over it for messages in their wire form."""
        return self.channel.unary_stream(SERVICE + "ReadMessages")(b"")


class WriteStream:
    """A stream that stays open, as an SDK's does."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.call = channel.stream_unary(SERVICE + "WriteMessages").future(self._iterate())

    def _iterate(self) -> Iterator[bytes]:
        while (request := self._requests.get()) is not None:
            yield request

    def send(self, *messages: LogMsg) -> None:
        self.send_raw(*map(encode_write_request, messages))

    def send_raw(self, *requests: bytes) -> None:
        for request in requests:
            self._requests.put(request)

    def close(self) -> None:
        """End the stream, and wait until the server has taken everything."""
        self._requests.put(None)
        self.call.result(TIMEOUT_S)

    def vanish(self) -> None:
        """Break off in the middle."""
        self.call.cancel()
        self._requests.put(None)
