"""`forebay serve`: receive recordings from Rerun SDKs until told to stop."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forebay.cli.dashboard import Dashboard
from forebay.cli.params import byte_size, policy_named
from forebay.cli.report import count, size
from forebay.cli.signals import until_told
from forebay.hub import StoreHub
from forebay.limits import GRPC_PORT, SERVER_MESSAGE_BYTES_MAX, SERVER_STOP_GRACE_S
from forebay.runtime import switch_threads_often

if TYPE_CHECKING:
    from forebay.ingest import Policy


@click.command()
@click.option(
    "--bind",
    metavar="HOST:PORT",
    default=f"127.0.0.1:{GRPC_PORT}",
    show_default=True,
    help="Where to listen; port 0 takes any that is free.",
)
@click.option(
    "--data",
    "data_dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also append every received message to one file per store in DIR.",
)
@click.option(
    "--grace",
    "grace_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=SERVER_STOP_GRACE_S,
    show_default=True,
    help="How long open streams may go on after Ctrl-C.",
)
@click.option(
    "--memory-limit",
    metavar="SIZE",
    type=byte_size,
    help="Data kept in memory, as in 4GB; beyond it the largest recordings give up their oldest "
    "rows. Without it nothing is given up.",
)
@click.option(
    "--policy",
    metavar="POLICY",
    type=policy_named,
    default="block",
    show_default=True,
    help="What a full queue does with a message: block (the sender waits), deadline(MS), "
    "drop_newest, drop_oldest, latest_wins or spill (to disk).",
)
def serve(
    bind: str,
    data_dir: Path | None,
    grace_s: float,
    memory_limit: int | None,
    policy: Policy,
) -> None:
    """Receive recordings from Rerun SDKs, and relay them to viewers.

    The URL that SDKs connect to is printed on stdout once the server listens. Ctrl-C (or SIGTERM)
    stops it: open streams get time to finish, and everything received is committed.
    """
    from forebay.server import serve as start  # noqa: PLC0415 - gRPC is an extra

    switch_threads_often()
    hub = StoreHub(
        memory_limit=memory_limit, policy=policy, message_bytes_max=SERVER_MESSAGE_BYTES_MAX
    )
    with until_told() as over, closing(hub), start(bind, data_dir=data_dir, hub=hub) as server:
        click.echo(server.url)
        if data_dir is not None:
            click.echo(f"keeping what comes in in {data_dir}", err=True)
        with Dashboard(server.hub) as dashboard:
            dashboard.run(over)
        click.echo("stopping: open streams may finish", err=True)
        server.stop(grace_s)
        stats = server.stats()
        dbs = hub.entity_dbs()
        rows = count(sum(db.num_rows for db in dbs), "row")
        click.echo(
            f"received {count(stats.messages, 'message')}, {size(stats.bytes)}, "
            f"{count(len(dbs), 'store')}; {rows} in memory",
            err=True,
        )
        for store_id, failure in server.record_errors().items():
            click.echo(f"incomplete on disk: {store_id}: {failure}", err=True)
