"""`forebay demo`: a server and three live recordings that the Rerun SDK logs to it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from forebay.cli import EXIT_FAILED, complain
from forebay.cli.dashboard import Dashboard
from forebay.cli.report import count
from forebay.cli.signals import until_told
from forebay.errors import MissingExtraError, QueryError
from forebay.printable import printable
from forebay.runtime import monotonic_s

if TYPE_CHECKING:
    from forebay.hub import EntityDb, StoreHub

SCRIPTS: Final = ("arm", "camera", "lidar")
"""Modules of `forebay.cli.demo_scripts`; each logs the recording of the same name."""

EXIT_TIMEOUT_S: Final = 10.0
"""How long a script may take to send what it has logged, after it was told to end."""


@click.command()
@click.option(
    "--address",
    "--bind",  # the earlier name
    "address",
    metavar="HOST:PORT",
    default="127.0.0.1:0",
    show_default=True,
    help="Where to listen; port 0 takes any free one.",
)
@click.option("--seconds", type=click.FloatRange(min=0), help="End after this many seconds.")
@click.option(
    "--until-rows", type=click.IntRange(min=1), help="End when each recording has N rows."
)
def demo(address: str, seconds: float | None, until_rows: int | None) -> int:
    """Run a server and three processes that log to it with the Rerun SDK.

    A robot arm logs at 200 Hz, a camera at 20 Hz and a lidar at 10 Hz, each to its own recording. A
    table shows their state until Ctrl-C; then one query of each recording is printed.
    """
    from forebay.server import serve  # noqa: PLC0415 - gRPC is an extra

    if importlib.util.find_spec("rerun") is None:
        msg = "the demo logs with the Rerun SDK: pip install 'forebay[demo]'"
        raise MissingExtraError(msg)
    with until_told() as over, serve(address) as server:
        click.echo(f"listening on {server.url}; Ctrl-C ends", err=True)
        ends_s = monotonic_s() + seconds if seconds is not None else None
        with _logging(server.url) as scripts:

            def is_done() -> bool:
                if ends_s is not None and monotonic_s() >= ends_s:
                    return True
                if any(script.poll() is not None for script in scripts):
                    return True
                return until_rows is not None and _all_have(server.hub, until_rows)

            with Dashboard(server.hub) as dashboard:
                dashboard.run(over, is_done)
        failed = [script.args for script in scripts if script.returncode != 0]
        server.stop()
    for name in SCRIPTS:
        _ask(server.hub, name)
    if failed:
        complain(f"{count(len(failed), 'script')} of the demo failed; see above")
        return EXIT_FAILED
    return 0


@contextmanager
def _logging(url: str) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    """Run the scripts; at the end of the block they send what they have logged, and exit."""
    scripts: list[subprocess.Popen[bytes]] = []
    try:
        for name in SCRIPTS:
            command = [sys.executable, "-m", f"forebay.cli.demo_scripts.{name}", url]
            # In a session of their own they do not receive Ctrl-C; they end when their standard
            # input does.
            scripts.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True))
        yield scripts
    finally:
        for script in scripts:
            if script.stdin is not None:
                script.stdin.close()
        for script in scripts:
            try:
                script.wait(EXIT_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                script.kill()
                script.wait()


def _all_have(hub: StoreHub, num_rows: int) -> bool:
    recordings = hub.recordings()
    return len(recordings) >= len(SCRIPTS) and all(db.num_rows >= num_rows for db in recordings)


def _ask(hub: StoreHub, name: str) -> None:
    """Print the answer to one query of a recording, if any data arrived."""
    try:
        answer = _QUESTIONS[name](hub.recording(name))
    except (QueryError, KeyError) as error:
        answer = f"nothing yet ({error})"
    click.echo(printable(f"{name}: {answer}"))


def _arm(db: EntityDb) -> str:
    last = db.time_range("tick")[1]
    cell = db.latest_at("tick", last, "/arm/joint0")["Scalars:scalars"]
    return f'latest_at("tick", {last}, "/arm/joint0") = {cell.value[0].as_py():.4f} at {cell.time}'


def _camera(db: EntityDb) -> str:
    first, last = db.time_range("frame")
    first = max(first, last - 4)
    table = db.range("frame", first, last, "/camera/brightness")
    values = ", ".join(f"{value[0]:.1f}" for value in table["Scalars:scalars"].to_pylist())
    return f'range("frame", {first}, {last}, "/camera/brightness") = [{values}]'


def _lidar(db: EntityDb) -> str:
    last = db.time_range("sweep")[1]
    cell = db.latest_at("sweep", last, "/lidar/points")["Points3D:positions"]
    return (
        f'latest_at("sweep", {last}, "/lidar/points") = {len(cell.value):,} points at {cell.time}'
    )


_QUESTIONS: Final[dict[str, Callable[[EntityDb], str]]] = {
    "arm": _arm,
    "camera": _camera,
    "lidar": _lidar,
}
