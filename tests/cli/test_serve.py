from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

import forebay
from forebay.cli import run
from forebay.model import StoreId
from tests.integration.processes import forebay_serve
from tests.server.client import TIMEOUT_S, At, Client, numbered

A = StoreId.recording("app", "a")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_told_to_stop(number: signal.Signals, tmp_path: Path) -> None:
    with forebay_serve("--data", str(tmp_path)) as server, Client(At(server.url)) as client:
        client.write(*(numbered(A, i) for i in range(10)))
        assert server.stop(number) == 0
    assert "received 10 messages" in server.stderr
    assert "Traceback" not in server.stderr
    (file,) = tmp_path.iterdir()
    assert forebay.load(file)[A].num_rows == 10


def test_limits_and_policies(tmp_path: Path) -> None:
    """What is given up is given up in memory, not in the files."""
    options = ("--memory-limit", "40kB", "--policy", "latest_wins", "--data", str(tmp_path))
    with forebay_serve(*options) as server, Client(At(server.url)) as client:
        client.write(*(numbered(A, i) for i in range(3000)))
        assert server.stop() == 0
    assert "received 3,000 messages" in server.stderr
    (kept,) = re.findall(r"1 store; ([\d,]+) rows in memory", server.stderr)
    assert 0 < int(kept.replace(",", "")) < 2000
    (file,) = tmp_path.iterdir()
    assert forebay.load(file)[A].num_rows == 3000


def test_every_limit_is_an_option_and_has_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--help"]) == 0
    text = capsys.readouterr().out
    for option in (
        "--memory-limit SIZE",
        "--budget SIZE",
        "--message-max SIZE",
        "--relay-budget SIZE",
        "--streams-max N",
        "--streams-per-peer-max N",
        "--stores-per-peer-max N",
    ):
        assert option in text
    assert "so that one peer cannot lock out another" in " ".join(text.split())


def test_limits_of_peers_reach_the_server() -> None:
    options = ("--stores-per-peer-max", "1", "--message-max", "10kB", "--budget", "100MB")
    with forebay_serve(*options) as server, Client(At(server.url)) as client:
        client.write(numbered(A, 0))
        with pytest.raises(grpc.RpcError, match="stores_per_peer_max: 127"):
            client.write(numbered(StoreId.recording("app", "b"), 0))
        with pytest.raises(grpc.RpcError, match="larger than max"):
            client.write_raw(bytes(20_000))
        assert server.stop() == 0
    assert "refused a stream from" in server.stderr


@pytest.mark.parametrize(
    "option",
    [
        ("--memory-limit", "lots"),
        ("--policy", "drop"),
        ("--budget", "0"),
        ("--message-max", "3GB"),
        ("--relay-budget", "-1"),
        ("--streams-max", "0"),
        ("--stores-per-peer-max", "many"),
    ],
)
def test_wrong_limits(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", *option]) == 2
    assert option[0] in capsys.readouterr().err


def test_an_open_stream_does_not_keep_the_server(tmp_path: Path) -> None:
    with (
        forebay_serve("--grace", "0", "--data", str(tmp_path)) as server,
        Client(At(server.url)) as client,
    ):
        client.write(numbered(A, 0))
        stream = client.open_stream()
        assert server.stop() == 0
        stream.vanish()
    assert "received 1 message," in server.stderr


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with forebay.serve("127.0.0.1:0") as server:
        assert run(["serve", "--address", str(server.address)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"forebay: cannot listen on {server.address}")
    assert captured.err.count("\n") == 1


def test_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--address", "nonsense:port"]) == 1
    assert "give HOST:PORT" in capsys.readouterr().err


def test_a_warning_beyond_loopback() -> None:
    with forebay_serve("--address", "0.0.0.0:0") as server:
        assert server.stop() == 0
    assert "open to the network" in server.stderr
    with forebay_serve() as server:
        assert server.stop() == 0
    assert "open to the network" not in server.stderr


# What a shell starts in the background ignores Ctrl-C, and so would its children. The child undoes
# that itself: Python code between fork and exec (`preexec_fn`) aborts now and then in a process
# that has threads of native libraries.
INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from forebay.cli import main; main()"
)


def test_load_interrupted(recordings: dict[str, Path]) -> None:
    """Ctrl-C in the middle of a load (of a pipe that never ends): exit code 130, no traceback."""
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "load", "/dev/stdin", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stdout is not None
        # More than a pipe holds: when this returns, the load is in the middle of it.
        try:
            process.stdin.write(recordings["bulky"].read_bytes()[:-1])
            process.stdin.flush()
        except BrokenPipeError:
            pytest.fail(f"it ended with {process.wait()}: {process.stderr.read().decode()}")
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 130
        assert process.stdout.read() == b""
        assert b"Traceback" not in process.stderr.read()
