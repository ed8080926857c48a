"""What a server takes from its peers, and what stays of them: real gRPC clients over loopback."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import forebay
from forebay.codec import decode_write_request, encode_write_request
from forebay.model import ArrowMsg, LogMsg, StoreId
from forebay.runtime import spawn
from forebay.server import Server, serve
from tests.integration.processes import forebay_serve
from tests.server.client import SERVICE, TIMEOUT_S, At, Client, numbered
from tests.waiting import until

A = StoreId.recording("app", "a")
B = StoreId.recording("app", "b")


def refusal(client: Client, *messages: LogMsg) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        client.write(*messages)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return refused.value


def peak_bytes(process: subprocess.Popen[str]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    (kib,) = re.findall(r"VmHWM:\s*(\d+) kB", status)
    return int(kib) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_a_message_over_the_limit_is_refused_before_it_is_held() -> None:
    huge = bytes(300_000_000)
    with forebay_serve() as server, Client(At(server.url)) as client:
        client.write(numbered(A, 0))
        before = peak_bytes(server.process)
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as refused:
                client.write_raw(huge)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert f"larger than max (300000000 vs. {256 << 20})" in refused.value.details()
        assert peak_bytes(server.process) < before + 100_000_000
        client.write(numbered(A, 1))
        assert server.stop() == 0
    assert "received 2 messages" in server.stderr


def test_a_message_that_decompresses_to_more_is_refused_too() -> None:
    bomb = bytes(50_000_000)
    with serve("127.0.0.1:0", message_bytes_max="1MB") as server, Client(server) as client:
        write = client.channel.stream_unary(SERVICE + "WriteMessages")
        with pytest.raises(grpc.RpcError) as refused:
            write(iter([bomb]), timeout=TIMEOUT_S, compression=grpc.Compression.Gzip)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        small = encode_write_request(numbered(A, 1))
        write(iter([small]), timeout=TIMEOUT_S, compression=grpc.Compression.Gzip)
        server.hub.flush()
        assert server.hub[A].num_rows == 1


def test_an_open_stream_keeps_no_message_that_was_taken() -> None:
    """Each kept its last one until the next one came, which is as long as a client likes."""
    size = 8_000_000
    request = b"\xff" * size
    tracemalloc.start()
    try:
        with serve("127.0.0.1:0") as server, Client(server) as client:
            streams = [client.open_stream() for _ in range(6)]
            for stream in streams:
                stream.send_raw(request)
            until(lambda: server.stats().undecodable == 6)
            until(lambda: tracemalloc.get_traced_memory()[0] < 3 * size)
            for stream in streams:
                stream.close()
    finally:
        tracemalloc.stop()


def test_streams_of_one_peer_are_bounded_and_the_limit_is_named() -> None:
    with serve("127.0.0.1:0", streams_per_peer_max=3) as server, Client(server) as client:
        streams = [client.open_stream() for _ in range(3)]
        until(lambda: server.stats().writers == 3)
        for _ in range(10):
            details = refusal(client, numbered(A, 0)).details()
            assert "streams_per_peer_max: 127.0.0.1 has 3 streams open" in details
        with pytest.raises(grpc.RpcError, match="streams_per_peer_max"):
            next(client.read())
        assert server.stats().streams_refused == 11
        streams.pop().close()
        until(lambda: server.stats().writers == 2)
        client.write(numbered(A, 0))
        for stream in streams:
            stream.close()
        until(lambda: server.stats().writers == 0)


@contextlib.contextmanager
def from_another_address(server: Server) -> Iterator[At]:
    """A way to the server on which its peer is 127.0.0.2; one connection at most."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        outer = stack.enter_context(
            socket.create_connection(
                ("127.0.0.1", server.address.port), source_address=("127.0.0.2", 0)
            )
        )

        def accept() -> None:
            inner, _ = listener.accept()
            with inner:
                back = spawn("back", lambda: pump(outer, inner))
                pump(inner, outer)
                back.join()

        accepting = spawn("accept", accept)
        yield At(f"rerun+http://127.0.0.1:{listener.getsockname()[1]}/proxy")
        accepting.join(TIMEOUT_S)


@pytest.mark.skipif(sys.platform != "linux", reason="only there all of 127/8 is this machine")
def test_one_peer_does_not_lock_out_another() -> None:
    with (
        serve("127.0.0.1:0", streams_max=6, streams_per_peer_max=3) as server,
        from_another_address(server) as elsewhere,
        Client(elsewhere) as other,
        Client(server) as greedy,
    ):
        streams = [greedy.open_stream() for _ in range(3)]
        until(lambda: server.stats().writers == 3)
        refusal(greedy, numbered(A, 0))
        other.write(numbered(B, 0))
        assert server.stats().peers == 2
        for stream in streams:
            stream.close()
        server.hub.flush()
        assert server.hub[B].num_rows == 1


def test_all_streams_are_bounded_and_the_limit_is_named() -> None:
    with serve("127.0.0.1:0", streams_max=2) as server, Client(server) as client:
        streams = [client.open_stream() for _ in range(2)]
        until(lambda: server.stats().writers == 2)
        assert "streams_max: 2 streams are open" in refusal(client, numbered(A, 0)).details()
        for stream in streams:
            stream.close()


def test_stores_of_one_peer_are_bounded_and_the_limit_is_named(tmp_path: Path) -> None:
    with (
        serve("127.0.0.1:0", stores_per_peer_max=2, data_dir=tmp_path) as server,
        Client(server) as client,
    ):
        ids = [StoreId.recording("app", str(number)) for number in range(3)]
        client.write(*(numbered(each, 1) for each in ids[:2]))
        details = refusal(client, numbered(ids[0], 2), numbered(ids[2], 1)).details()
        assert "stores_per_peer_max: 127.0.0.1 has 2 stores here" in details
        server.hub.flush()
        assert server.hub[ids[0]].num_rows == 2, "what came before is in"
        assert ids[2] not in server.hub
        assert len(list(tmp_path.iterdir())) == 2, "nothing of it is kept on disk either"
        server.hub.remove(ids[1])
        client.write(numbered(ids[2], 1))


def test_threads_end_when_their_streams_have() -> None:
    count = 1000
    with serve("127.0.0.1:0", streams_per_peer_max=count) as server, Client(server) as client:
        streams = [client.open_stream() for _ in range(count)]
        until(lambda: server.stats().writers == count)
        assert server.num_threads == count
        for stream in streams:
            stream.close()
        until(lambda: server.num_threads == 0, "the end of all threads")
        assert not [t for t in threading.enumerate() if t.name.startswith("forebay-stream")]
        client.write(numbered(A, 1))
        assert server.stats().peers == 1
    assert server.hub[A].num_rows == 1


VANISHING = """
import sys
import grpc
from tests.server.client import At, Client, numbered
from forebay.model import StoreId
client = Client(At(sys.argv[1]))
streams = [client.open_stream() for _ in range(5)]
for number, stream in enumerate(streams):
    stream.send(numbered(StoreId.recording("app", "a"), number))
reader = client.read()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("way", ["killed", "frozen"])
def test_nothing_stays_of_a_client_that_vanishes(way: str) -> None:
    """One is gone with its connections; one still has them, and answers nothing any more."""
    with serve("127.0.0.1:0", keepalive_s=1.0, keepalive_timeout_s=1.0) as server:
        command = [sys.executable, "-c", VANISHING, server.url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == b"open\n"
            until(lambda: server.stats().messages == 5)
            until(lambda: server.stats().readers == 1)
            try:
                if way == "killed":
                    client.kill()
                else:
                    client.send_signal(19)  # SIGSTOP
                until(lambda: server.stats().writers == server.stats().readers == 0)
                until(lambda: server.num_threads == 0)
            finally:
                client.kill()
        server.hub.flush()
        assert server.hub[A].num_rows == 5, "what arrived is in"


def test_readers_that_stall_hold_a_bounded_part_of_the_relay() -> None:
    """Each gets stuck at another message, so that each holds what no other has any more."""
    budget_bytes = 8_000_000
    with serve("127.0.0.1:0", relay_budget_bytes=budget_bytes) as server:
        clients: list[Client] = []
        with Client(server) as writer, Client(server) as live:
            reader = live.read()
            for number in range(12):
                clients.append(Client(server))
                stalled = clients[-1].read()
                writer.write(ArrowMsg(A, bytes(1_500_000) + bytes([number])))
                decode_write_request(next(reader))
                decode_write_request(next(stalled))
                for _ in range(4):
                    writer.write(ArrowMsg(B, bytes(1_500_000)))
                    decode_write_request(next(reader))
                assert server.relay_held_bytes <= budget_bytes + 1_600_000
            until(lambda: server.relay_held_bytes <= budget_bytes)
            writer.write(numbered(B, 1))
            assert decode_write_request(next(reader)).store_id == B
        for client in clients:
            client.channel.close()


def test_bad_messages_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with serve("127.0.0.1:0") as server, Client(server) as client:
        client.write_raw(*[b"\xff\xff\xff"] * 1000)
        assert server.stats().undecodable == 1000
    assert len([r for r in caplog.records if "undecodable message" in r.message]) == 10


def test_a_hub_of_the_callers_has_limits_of_its_own() -> None:
    with pytest.raises(ValueError, match="give them to the StoreHub"):
        forebay.serve("127.0.0.1:0", hub=forebay.StoreHub(), memory_limit="1GB")
    with forebay.serve("127.0.0.1:0", memory_limit="1GB", policy="latest_wins") as server:
        assert server.hub.entity_dbs() == []


FORGETTING = """
import forebay
from tests.server.client import Client
from tests.waiting import until
server = forebay.serve("127.0.0.1:0")
stream = Client(server).open_stream()
until(lambda: server.stats().writers == 1)
"""


def test_a_process_that_forgets_its_server_still_ends() -> None:
    """Threads of the standard library's executor are waited for at exit, and a stream is long."""
    done = subprocess.run(
        [sys.executable, "-c", FORGETTING],
        capture_output=True,
        check=False,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
