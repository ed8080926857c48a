"""Whole streams of gRPC messages into a hub with small budgets: nothing is lost, nothing raises."""

from __future__ import annotations

import random

import pyarrow as pa

from forebay.codec.wire import decode_write_request
from forebay.errors import CorruptError, UnknownTimelineError
from forebay.hub import EntityDb, StoreHub
from forebay.model import ArrowMsg, SetStoreInfo
from forebay.runtime import InlineRuntime
from tests.fuzz import samples
from tests.fuzz.mutators import change_bytes, change_parts, joined, one_of, parts_of
from tests.fuzz.protobuf import change_message, fields_of, message_of, number_of, varint
from tests.fuzz.target import Target
from tests.fuzz.targets.payloads import CHANGES

FIRST, LAST = -(2**63) + 1, 2**63 - 1
MESSAGES_MAX = 24
LIMIT_BYTES = 160 << 10
BUDGET_BYTES = 256 << 10
ROOM_BYTES = 24 << 10
"""What a new store and the objects around a message's data may take."""
POLICIES = ("block", "drop_newest", "drop_oldest", "latest_wins")


def run(data: bytes) -> str:
    """Receive the parts of the input as messages; the first one says how the hub is set up."""
    parts = parts_of(data)[: MESSAGES_MAX + 1]
    setup = parts[0][:2].ljust(2, b"\0") if parts else b"\0\0"
    hub = StoreHub(
        capacity=4,
        store_budget=BUDGET_BYTES // 4,
        hub_budget=BUDGET_BYTES,
        memory_limit=LIMIT_BYTES if setup[0] & 1 else None,
        policy=POLICIES[setup[1] % len(POLICIES)],
        runtime=InlineRuntime(),
    )
    submitted = infos = refused = 0
    largest = ROOM_BYTES
    for number, part in enumerate(parts[1:]):
        try:
            msg = decode_write_request(part)
        except CorruptError as error:
            assert str(error)
            refused += 1
            continue
        infos += isinstance(msg, SetStoreInfo)
        if isinstance(msg, ArrowMsg):
            submitted += 1
            largest = max(largest, ROOM_BYTES + msg.uncompressed_size)
        hub.receive_log_msg(msg, "peer")
        if setup[0] & 2 and number % 4 == 3:
            for db in hub.entity_dbs():
                ask(db)
        if setup[0] & 1:
            assert held(hub) <= LIMIT_BYTES + largest, "more is held than the memory limit allows"
    hub.flush(10.0)
    check(hub, submitted, infos)
    rejected = hub.ingestion_stats().total.rejected
    hub.close(10.0)
    return f"{len(hub)} stores, {refused and 'refused'} {submitted - rejected} of {submitted}"


def held(hub: StoreHub) -> int:
    """What counts for the memory limit."""
    return sum(db.held_bytes for db in hub.entity_dbs())


def check(hub: StoreHub, submitted: int, infos: int) -> None:
    """Every message is accounted for, and what was accepted can be read."""
    total = hub.ingestion_stats().total
    assert total.in_flight == total.queue_depth == total.queue_bytes == 0
    assert total.accepted == total.committed + total.rejected + total.dropped
    clones = [db for db in hub.blueprints() if db.ingestion_stats().accepted == 0]
    assert total.accepted <= submitted + infos  # infos count where they are refused
    assert total.accepted >= submitted or clones, "a message is not accounted for"
    assert hub.ingestion_stats().budget_used_bytes == 0
    for db in hub.entity_dbs():
        stats = db.ingestion_stats()
        assert stats.rejected == sum(stats.rejected_by_reason.values())
        assert len(db.rejections()) == min(stats.rejected, len(db.rejections()))
        for one in db.rejections():
            assert str(one.error)
        ask(db)


def ask(db: EntityDb) -> None:
    """Each kind of question, over all there is."""
    snapshot = db.snapshot()
    for line in (*db.timelines(), None):
        if line is not None:
            db.time_range(line)
        for entity in db.entity_paths():
            db.latest_at(line, LAST, entity)
            db.range(line, FIRST, LAST, entity).validate(full=True)
        db.dataframe(line).validate(full=True)
    assert snapshot.num_rows == db.num_rows
    try:
        db.latest_at("no such timeline", 0, "/")
    except (UnknownTimelineError, KeyError) as error:
        assert str(error)


def change_inside(data: bytes, rng: random.Random) -> bytes:
    """Change the Arrow payload of a request, and compress it again."""
    around = []
    content = data
    for name in (1, 2):  # `WriteMessagesRequest.log_msg`, `LogMsg.arrow_msg`
        fields = fields_of(content) or []
        at = next((n for n, field in enumerate(fields) if field[:2] == (name, 2)), None)
        if at is None:
            return change_message(data, rng)
        around.append((fields, at))
        content = fields[at][2]
    fields = fields_of(content) or []
    values = {name: value for name, wire, value in fields if wire in (0, 2)}
    plain = uncompressed(values.get(5, b""), number_of(values.get(3, b"\0")))
    if plain is None:
        return change_message(data, rng)
    message = samples.message(CHANGES(plain, rng))
    changed = {3: varint(message.uncompressed_size), 5: bytes(message.payload)}
    content = message_of([(name, wire, changed.get(name, value)) for name, wire, value in fields])
    for fields, at in reversed(around):
        fields[at] = (fields[at][0], 2, content)
        content = message_of(fields)
    return content


def uncompressed(payload: bytes, size: int) -> bytes | None:
    if not 0 < size <= 1 << 16:
        return None
    try:
        return bytes(pa.Codec("lz4_raw").decompress(payload, size))
    except (OSError, pa.ArrowException):
        return None


def seeds() -> list[bytes]:
    requests = samples.requests()
    data = [one for one in requests if len(one) > 200]
    return [
        joined([b"\0\0", *requests]),
        joined([b"\1\0", *requests[:4], *data, *requests[-2:]]),
        joined([b"\2\1", *data, *data]),
        joined([b"\3\2", *data[:2] * 8]),
        joined([b"\1\3", requests[0], *data]),
    ]


TARGET = Target(
    run,
    seeds,
    one_of(
        (4, change_parts(change_inside)),
        (2, change_parts(change_message)),
        (1, change_parts(change_bytes)),
    ),
    bytes_max=32768,
    weight=3,
)
