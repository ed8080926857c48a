from __future__ import annotations

import threading

import grpc
import pyarrow as pa
import pytest

import forebay
from forebay.codec import decode_write_request, encode_chunk, encode_write_request
from forebay.errors import ServerError
from forebay.model import ArrowMsg, Compression, LogMsg, SetStoreInfo, StoreId, StoreInfo
from forebay.model.timelines import TIME_MAX, TIME_MIN
from forebay.server import serve
from tests.chunks import make_chunk
from tests.server.client import SERVICE, TIMEOUT_S, Client, numbered
from tests.waiting import until

A = StoreId.recording("app", "a")
B = StoreId.recording("app", "b")


def frames(hub: forebay.StoreHub, store_id: StoreId) -> list[int]:
    return hub[store_id].range("frame", TIME_MIN, TIME_MAX, "/a")["frame"].to_pylist()


def test_what_is_written_can_be_queried() -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        client.write(SetStoreInfo(StoreInfo(A)), *(numbered(A, i) for i in range(100)))
        server.hub.flush()
        assert frames(server.hub, A) == list(range(100))
        assert server.hub[A].info == StoreInfo(A)
        assert server.hub[A].data_source.startswith("grpc:")
        assert server.stats().messages == 101
        assert server.stats().bytes > 0
        assert server.url == f"rerun+http://127.0.0.1:{server.address.port}/proxy"
    assert frames(server.hub, A) == list(range(100)), "the hub outlives its server"


def test_messages_of_several_stores_in_one_stream() -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        client.write(*(numbered(A if i % 3 else B, i) for i in range(90)))
        server.hub.flush()
        assert frames(server.hub, A) == [i for i in range(90) if i % 3]
        assert frames(server.hub, B) == list(range(0, 90, 3))


def test_an_undecodable_message_between_valid_ones() -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        one, two = (encode_write_request(numbered(A, i)) for i in range(2))
        client.write_raw(one, b"\xff\xff\xff", two)
        server.hub.flush()
        assert frames(server.hub, A) == [0, 1]
        stats = server.stats()
        assert (stats.messages, stats.undecodable) == (3, 1)
        assert "from grpc:" in str(stats.last_undecodable)


def test_a_broken_chunk_is_a_rejection_of_its_store() -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        client.write(numbered(A, 0), ArrowMsg(A, b"no arrow"), numbered(A, 1))
        server.hub.flush()
        assert frames(server.hub, A) == [0, 1]
        assert [r.store_id for r in server.hub[A].rejections()] == [A]


def test_a_message_of_100_mb() -> None:
    pixels = pa.array([list(range(256))], pa.list_(pa.uint8()))
    big = pa.concat_arrays([pixels.values] * 400_000)
    cells = pa.ListArray.from_arrays(pa.array([0, len(big)], pa.int32()), big)
    chunk = make_chunk("/image", {"frame": [1]}, {"Image:buffer": cells})
    msg = encode_chunk(A, chunk, Compression.NONE)
    assert msg.size_bytes > 100_000_000
    with serve("127.0.0.1:0") as server, Client(server) as client:
        client.write(msg, numbered(A, 2))
        server.hub.flush()
        cell = server.hub[A].latest_at("frame", 1, "/image")["Image:buffer"]
        assert len(cell.value) == len(big)
        assert frames(server.hub, A) == [2]


class HeldHub(forebay.StoreHub):
    """Store A takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.is_held = threading.Event()

    def receive_log_msg(self, msg: LogMsg, source: str = "") -> None:
        if msg.store_id == A:
            self.is_held.set()
            assert self.let_go.wait(TIMEOUT_S)
        super().receive_log_msg(msg, source)


def test_a_blocked_store_delays_no_other_stream() -> None:
    hub = HeldHub()
    with serve("127.0.0.1:0", hub=hub) as server, Client(server) as client:
        held = client.open_stream()
        held.send(*(numbered(A, i) for i in range(10)))
        assert hub.is_held.wait(TIMEOUT_S)
        client.write(*(numbered(B, i) for i in range(1000)))  # on the same connection
        hub.flush()
        assert frames(hub, B) == list(range(1000))
        assert A not in hub
        hub.let_go.set()
        held.close()
        hub.flush()
        assert frames(hub, A) == list(range(10))


def test_a_client_that_breaks_off_leaves_what_arrived() -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        stream = client.open_stream()
        stream.send(numbered(A, 0), numbered(A, 1))
        until(lambda: server.stats().messages == 2)
        stream.vanish()
        until(lambda: server.stats().writers == 0)
        client.write(numbered(A, 2))
        server.hub.flush()
        assert frames(server.hub, A) == [0, 1, 2]


def test_stopping_lets_streams_finish() -> None:
    hub = HeldHub()
    server = serve("127.0.0.1:0", hub=hub)
    with Client(server) as client:
        stream = client.open_stream()
        stream.send(*(numbered(A, i) for i in range(50)))
        assert hub.is_held.wait(TIMEOUT_S)
        stopping = threading.Thread(target=server.stop, args=(TIMEOUT_S,))
        stopping.start()
        until(lambda: _is_refusing(server), "the server refusing new streams")
        hub.let_go.set()
        stream.close()
        stopping.join(TIMEOUT_S)
        assert not stopping.is_alive()
    assert frames(hub, A) == list(range(50))


def _is_refusing(server: forebay.server.Server) -> bool:
    with Client(server) as other:
        try:
            other.write()
        except grpc.RpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


def test_stopping_severs_streams_after_the_grace() -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        stream = client.open_stream()
        stream.send(numbered(A, 0))
        until(lambda: server.stats().messages == 1)
        server.stop(grace_s=0)
        server.stop(grace_s=0)  # once more changes nothing
        with pytest.raises(grpc.RpcError):
            stream.call.result(TIMEOUT_S)
        assert frames(server.hub, A) == [0]
        stream.vanish()


def test_a_port_in_use_is_refused() -> None:
    with serve("127.0.0.1:0") as server, pytest.raises(ServerError, match="the port is taken"):
        serve(str(server.address))


def test_a_host_that_is_no_address_is_told_as_such() -> None:
    with pytest.raises(ServerError, match=r"'999\.1\.1\.1' is no IP address, and no name"):
        serve("999.1.1.1:1")


class SlowHub(forebay.StoreHub):
    """Commits nothing before it is flushed or closed."""

    def __init__(self) -> None:
        super().__init__()
        self.commits_itself = False


def test_stopping_commits_everything_in_a_hub_of_the_callers() -> None:
    hub = SlowHub()
    server = serve("127.0.0.1:0", hub=hub)
    with Client(server) as client:
        client.write(*(numbered(A, i) for i in range(20)))
        server.stop(TIMEOUT_S)
    assert frames(hub, A) == list(range(20))
    assert hub[A].ingestion_stats().in_flight == 0


def test_a_stream_too_many_is_refused_and_stops_nobody() -> None:
    with serve("127.0.0.1:0", streams_max=2) as server, Client(server) as client:
        streams = [client.open_stream() for _ in range(2)]
        until(lambda: server.stats().writers == 2)
        with pytest.raises(grpc.RpcError) as refused:
            client.write(numbered(A, 0))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for number, stream in enumerate(streams):
            stream.send(numbered(A, number))
            stream.close()
        server.hub.flush()
        assert sorted(frames(server.hub, A)) == [0, 1]


def test_many_streams_at_once() -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        streams = [client.open_stream() for _ in range(100)]
        for number, stream in enumerate(streams):
            stream.send(numbered(StoreId.recording("app", str(number)), number))
        for stream in streams:
            stream.close()
        server.hub.flush()
        assert len(server.hub.recordings()) == 100
        assert all(db.num_rows == 1 for db in server.hub.recordings())


@pytest.mark.parametrize("method", ["WriteTable", "ReadTables"])
def test_tables_are_not_offered(method: str) -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        call = client.channel.unary_stream(SERVICE + method)  # the same on the wire for one answer
        with pytest.raises(grpc.RpcError) as refused:
            next(call(b""))
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "not tables" in refused.value.details()


def test_readers_get_what_was_written_and_what_is_being_written() -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        sent = [numbered(A, i) for i in range(20)]
        client.write(*sent[:10])
        reader = client.read()
        got = [decode_write_request(next(reader)) for _ in range(10)]
        client.write(*sent[10:])
        got += [decode_write_request(next(reader)) for _ in range(10)]
        assert [(m.store_id, m.chunk_id, bytes(m.payload)) for m in got] == [
            (m.store_id, m.chunk_id, bytes(m.payload)) for m in sent
        ]
        server.stop()
        assert list(reader) == []
        assert reader.code() is grpc.StatusCode.OK


def test_a_reader_that_does_not_read_delays_nobody_and_is_cut() -> None:
    payload = bytes(100_000)
    budget_bytes = 2_000_000
    with (
        serve("127.0.0.1:0", relay_budget_bytes=budget_bytes) as server,
        Client(server) as client,
        Client(server) as other,
    ):
        client.write(numbered(A, 0))
        stuck, healthy = other.read(), client.read()
        assert decode_write_request(next(stuck)).store_id == A
        assert decode_write_request(next(healthy)).store_id == A
        for _ in range(500):  # far beyond the budget and what connections buffer
            client.write(ArrowMsg(B, payload))
            assert decode_write_request(next(healthy)).store_id == B
        assert server.stats().messages == 501
        with pytest.raises(grpc.RpcError) as cut:
            list(stuck)
        assert cut.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "connect again" in cut.value.details()
        assert server.stats().readers_cut == 1
        client.write(numbered(A, 1))
        assert decode_write_request(next(healthy)).store_id == A


def test_a_reader_that_leaves_is_forgotten() -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        reader = client.read()
        until(lambda: server.stats().readers == 1)
        reader.cancel()
        until(lambda: server.stats().readers == 0)
