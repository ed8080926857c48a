"""`forebay serve`: receive recordings from Rerun SDKs until interrupted."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from forebay.cli import say
from forebay.cli.dashboard import Dashboard
from forebay.cli.params import byte_size, limit_options, limits_from, policy_named
from forebay.cli.report import count, size
from forebay.cli.signals import until_told
from forebay.hub import StoreHub
from forebay.limits import (
    GRPC_PORT,
    HUB_BUDGET_BYTES,
    MESSAGE_SIZE_BYTES_MAX,
    RELAY_BUDGET_BYTES,
    SERVER_STOP_GRACE_S,
    WIRE_MESSAGE_BYTES_MAX,
    PeerLimits,
    StoreLimits,
)
from forebay.runtime import switch_threads_often

if TYPE_CHECKING:
    from forebay.ingest import Policy


@click.command()
@click.option(
    "--address",
    "--bind",  # the earlier name
    "address",
    metavar="HOST:PORT",
    default=f"127.0.0.1:{GRPC_PORT}",
    show_default=True,
    help="Where to listen; port 0 takes any free one.",
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
    help="How long open streams may continue after Ctrl-C.",
)
@click.option(
    "--memory-limit",
    metavar="SIZE",
    type=byte_size(),
    help="Memory for data, for example 4GB; beyond it the oldest rows of the largest recordings "
    "are dropped. By default nothing is dropped.",
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
@click.option(
    "--budget",
    "hub_budget",
    metavar="SIZE",
    type=byte_size(),
    default=HUB_BUDGET_BYTES,
    show_default="2GiB",
    help="Bytes of messages in flight, over all recordings; beyond it senders wait.",
)
@click.option(
    "--message-max",
    "message_bytes_max",
    metavar="SIZE",
    type=byte_size(most=MESSAGE_SIZE_BYTES_MAX),
    default=WIRE_MESSAGE_BYTES_MAX,
    show_default="256MiB",
    help="Largest message on the wire; a larger one is refused, and its stream ends. With a memory "
    "limit it is half of that at the most.",
)
@click.option(
    "--relay-budget",
    "relay_budget_bytes",
    metavar="SIZE",
    type=byte_size(least=0),
    default=RELAY_BUDGET_BYTES,
    show_default="256MiB",
    help="Messages kept for viewers that connect later.",
)
@limit_options(PeerLimits)
@limit_options(StoreLimits)
def serve(
    address: str,
    *,
    data_dir: Path | None,
    grace_s: float,
    memory_limit: int | None,
    policy: Policy,
    hub_budget: int,
    message_bytes_max: int,
    relay_budget_bytes: int,
    **limits: int,
) -> None:
    """Receive recordings from Rerun SDKs, and relay them to viewers.

    The URL for SDKs is printed on stdout once the server listens. Ctrl-C (or SIGTERM) stops it:
    open streams get time to finish, and everything received is committed.
    """
    from forebay.server import serve as start  # noqa: PLC0415 - gRPC is an extra

    switch_threads_often()
    peer_limits = limits_from(PeerLimits, limits)
    store_limits = limits_from(StoreLimits, limits)
    hub = StoreHub(
        memory_limit=memory_limit,
        policy=policy,
        hub_budget=hub_budget,
        message_bytes_max=message_bytes_max,
        limits=store_limits,
    )
    with (
        until_told() as over,
        closing(hub),
        start(
            address,
            data_dir=data_dir,
            hub=hub,
            message_bytes_max=message_bytes_max,
            relay_budget_bytes=relay_budget_bytes,
            **dataclasses.asdict(peer_limits),
        ) as server,
    ):
        click.echo(server.url)
        if data_dir is not None:
            say(f"writing received messages to {data_dir}")
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
            say(f"incomplete on disk: {store_id}: {failure}")
