"""Every bound of the system, named in one place. Units come last in each name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20

QUEUE_CAPACITY_MSGS: Final = 2000
"""Messages accepted but not yet processed, per worker (the described Rerun worker's figure)."""

STORE_BUDGET_BYTES: Final = 512 * MIB
"""Bytes in flight per store: queued input and processed-but-unpolled output together."""

HUB_BUDGET_BYTES: Final = 2048 * MIB
"""Bytes in flight over all stores of a hub."""

MESSAGE_SIZE_BYTES_MAX: Final = 2 * 1024 * MIB - 1
"""Largest single message: Arrow IPC and protobuf both end at 2 GiB."""

LZ4_RATIO_MAX: Final = 255
"""An LZ4 block cannot expand further than this, so a larger claimed size is a lie."""

SCHEMA_CACHE_BYTES_MAX: Final = 4 * MIB
"""Schema messages that a chunk decoder remembers; a sixteenth of it is the largest one."""

DECODERS_FREE_MAX: Final = 16
"""Decoders that a hub keeps for the next turn, with the schemas that they have learnt."""

ALIKE_MESSAGE_BYTES_MAX: Final = 8192
"""Messages of one row up to this size are recognised by being like an earlier one."""

ALIKE_BYTES_MAX: Final = 4 * MIB
"""Patterns of such messages that a chunk decoder remembers."""

ALIKE_MSGS_MIN: Final = 4
"""Fewer of one size in a turn are decoded one by one, which is then faster."""

ALIKE_PATTERNS_MAX: Final = 8
"""Patterns that are tried of one schema and record batch message; who differs beyond that differs
each time."""

ALIKE_SHAPES_MAX: Final = 32
"""Ways in which patterns of one size differ from each other; each message of that size is compared
with all of them."""

SCHEMA_SPANS_MAX: Final = 32
"""Ways in which schemas of one size vary from chunk to chunk; each schema of that size is looked up
by all of them."""

SCHEMA_COLUMN_COST_BYTES: Final = 1024
"""What a column of a remembered schema counts for, apart from its bytes (measured: Python's and
Arrow's objects)."""

FORM_COLUMN_COST_BYTES: Final = 64
"""The same for a column of a remembered pattern, whose schema counts elsewhere."""

SCAN_MSGS_MIN: Final = 64
"""Fewer messages in a block of a file are cut out one by one: NumPy's first calls cost a fresh
process a millisecond."""

SCAN_MSGS_MAX: Final = 512
"""Messages that are cut out of a block at once."""

BATCH_PATTERN_BYTES_MAX: Final = 64 * 1024
"""Bytes that messages of many rows may have beside their numbers to be recognised by them."""

BATCH_PATTERNS_BYTES_MAX: Final = 4 * MIB
"""Such bytes that a chunk decoder remembers, of all messages."""

BATCH_MESSAGES_SEEN_MAX: Final = 1024
"""Record batch messages that are remembered, to take those that come again as a pattern."""

BODILESS_VALUES_PER_ROW_MAX: Final = 4096
"""Values of types that take no bytes (nulls, structs without fields) that a chunk may hold for each
of its rows, beyond eight for each byte of its data."""
EXPANDED_RATIO_MAX: Final = 255
"""How many times its size the data of a message may become when compressed buffers, dictionaries,
runs and views in it are decoded (as much as an LZ4 block)."""

EXPANDED_BYTES_MIN: Final = MIB
"""The data of a small message may become so much whatever the ratio."""

EXPANDED_BYTES_MAX: Final = 256 * MIB
"""The data of a message may become so much beyond its size, whatever the ratio allows."""

EXPANDED_BUDGET_SHARE: Final = 4
"""One part in so many of a hub's byte budget is the most that it may become, too."""

EXPANSION_WAIT_S: Final = 1.0
"""A thread whose message becomes much larger waits no longer for another thread that has one."""

DICTIONARIES_MAX: Final = 1024
"""Dictionary batches that one message may have before its record batch."""

REJECTIONS_KEPT_MAX: Final = 1000
"""Rejections kept one by one per store, the first half of them and the last; beyond it only the
counts by reason grow."""

REJECTIONS_KEPT_BYTES_MAX: Final = MIB
"""Bytes that those take per store; beyond it, those in the middle are only counted."""

TURN_MSGS_MAX: Final = 256
"""Messages a worker processes before it hands over its output and lets another store run."""

TURN_BYTES_MAX: Final = 16 * MIB
"""Payload bytes after which a worker ends its turn early."""

TURN_SLICE_S: Final = 0.004
"""Seconds after which a worker ends its turn early, so that what is finished is handed over."""

SHORT_TURN_MSGS_MAX: Final = 128
"""Messages of a turn while other stores wait for theirs."""

SHORT_TURN_SLICE_S: Final = 0.002
"""Seconds after which a worker ends such a turn."""

PARALLEL_MSG_BYTES_MIN: Final = 64 * 1024
"""Mean size from which messages are bulky: several turns of one store pay off, and one beside
another under a GIL."""

LANE_BYPASS_MAX: Final = 256
"""Messages of a first lane that may go before one that came earlier in a later lane."""

BRIEF_MSGS_MAX: Final = 8
"""A store with no more small messages than this has its turn before stores with many."""

TURNS_PASSED_MAX: Final = 8
"""How often a task that waits for a turn may be passed over by more urgent ones."""

TURNS_TAKEN_MAX: Final = 2
"""Turns that those who wait for their stores may take in a row while others wait for theirs."""

URGENT_RESERVE_SHARE: Final = 16
"""A hub with blueprints keeps one part in so many of its byte budget for them."""

REJECTED_COLUMNS_TOLD_MAX: Final = 32
"""Columns of one message that are told of one by one when they cannot be read; the last of them
stands for all others, and each is counted."""
BUDGET_FLOOR_SHARE: Final = 8
"""One part in so many of a hub's byte budget stays free of large first messages, for the small
ones of other stores."""

HUB_ROOM_LOOK_S: Final = 0.25
"""A submitter that waits for the hub's bytes looks again after so long: stores that are dropped by
the garbage collector give bytes back without a word, for a finalizer may take no lock."""

GAPS_KEPT_MAX: Final = 1000
"""Gaps kept one by one per store; beyond it the oldest are merged, and no count is lost."""

GAPS_KEPT_BYTES_MAX: Final = MIB
"""Bytes that those take per store; beyond it the oldest are merged as well."""

GAP_TIMELINES_MAX: Final = 64
"""Timelines of which a gap tells the times; what was dropped is in no store, whose own limit could
bound them."""

FULL_WARN_AFTER_S: Final = 1.0
"""How long a submitter waits for room before the log says so; shorter waits are ordinary."""

SPILL_BYTES_MAX: Final = 16 * 1024 * MIB
"""Bytes that a store may spill to disk, unless its policy says otherwise."""

SPILL_SEGMENT_BYTES: Final = 8 * MIB
"""Bytes after which a spill file is full; one is read back at a time, whole."""

BUDGET_INTERVAL_S: Final = 0.25
"""How often an adaptive byte budget looks at memory and rates."""

BUDGET_HORIZON_S: Final = 2.0
"""An adaptive budget holds what its store drains in so many seconds."""

RATE_SAMPLES_MAX: Final = 256
"""Points kept for rates over `LATENCY_WINDOW_S`."""

THREADS_MAX: Final = 256
"""Worker threads alive at once in one runtime; further busy stores take turns."""

QUERY_ROOM_SHARE: Final = 3.0
"""Under a GIL, while queries run, a worker rests for so many times the time of its turn."""

QUERY_ROOM_S_MAX: Final = 0.004
"""At most so long, after each turn."""

GIL_SWITCH_S: Final = 0.0005
"""How long a thread of a server keeps the GIL while others want it."""

LIGHT_TURN_S: Final = 0.01
"""How long a turn of small messages may keep others waiting under a GIL; longer ones are stuck."""

THREAD_LINGER_S: Final = 0.05
"""How long an idle worker thread waits for work before it ends."""

ROOM_WAKE_INTERVAL_S: Final = 0.005
"""While a queue is more than half full, who waits for room looks no more often than this."""

EXIT_DRAIN_S: Final = 2.0
"""How long a process that ends waits for messages that are still being decoded."""

MESSAGE_COST_BYTES_MIN: Final = 512
"""What the smallest message counts for: its Python objects are there even if its payload is not."""

COMMIT_CHUNKS_MAX: Final = 32
"""Chunks that a commit puts into a store before readers get their turn."""

COMMIT_ROWS_MAX: Final = 256
"""Packed rows that a commit puts into a store at once; together they take less time than that."""

COMMIT_BYTES_MAX: Final = 65_536
"""A chunk larger than this ends such a run, for it may have to be split."""

LATENCY_WINDOW_S: Final = 1.0
"""Statistics of latency look back this far."""

LATENCY_SAMPLES_MAX: Final = 512
"""Samples kept per stage within that window, newest first."""

CHUNK_SPLIT_BYTES_MAX: Final = 393_216
"""Rerun's chunk limits (re_chunk_store): larger temporal chunks are split on insert."""

CHUNK_SPLIT_ROWS_MAX: Final = 4096
CHUNK_SPLIT_ROWS_MAX_UNSORTED: Final = 1024

MERGED_COLUMNS_MAX: Final = 64
"""Components that merging may bring together in one chunk: it fills those that a chunk has not got
with nulls. Chunks of more are merged with chunks of the same ones alone."""

GC_SHARE_MIN: Final = 16
"""Garbage collection that looked through a store drops at least one part in so many of what it
found before it stops for others, so that looking does not cost more than dropping."""

CHUNK_COST_BYTES: Final = 1024
"""What a chunk in a store costs beyond its columns, for memory limits (measured: Python's objects,
the index, the message that its buffers lie in)."""

COLUMN_COST_BYTES: Final = 1664
"""What each column of a chunk costs beyond its buffers (measured: Arrow's objects, its part of the
schema in the message)."""

COLUMN_SCHEMA_BYTES: Final = 512
"""What of that is its part of the schema; what schemas have beyond it, each chunk counts."""

SCHEMA_HELD_BYTES_MAX: Final = 8 * 1024
"""Bytes by which a message's schema may be larger than its rows for the rows to stay where they
came: they would keep it alive."""

PACKED_CHUNK_COST_BYTES: Final = 768
"""The same for a whole chunk of one row that needs no Arrow objects."""

ENTITY_COST_BYTES: Final = 1536
"""What an entity costs beyond its chunks and its path (measured: its index, its place in it)."""

PATH_PART_COST_BYTES: Final = 64
"""The same for each part of its path (measured: a text of a few characters, and its place)."""

COMPONENT_COST_BYTES: Final = 384
"""The same for each component that an entity ever had."""

TEXT_BYTES_PER_CHAR: Final = 3
"""What a character of a path or name counts for: it stands in the schema, in the path, and in its
parts (four bytes each where one character of the path is beyond U+FFFF, which is rare)."""
STORE_COST_BYTES: Final = 9 * 1024
"""What a store of a hub costs before there is data in it, for memory limits (measured)."""

REPORT_COST_BYTES: Final = 512
"""What a report that waits for a poll costs beyond its chunk."""

INFO_COST_BYTES: Final = 512
"""What an info costs beyond its texts."""

MEMORY_IN_FLIGHT_SHARE: Final = 2
"""Of a hub's memory limit, one part in so many may be in flight, whatever its budget allows."""

MEMORY_IN_FLIGHT_STORE_SHARE: Final = 16
"""The same for each store, which may always have one larger message."""

MEMORY_IN_FLIGHT_STORE_BYTES_MIN: Final = 64 * 1024
"""It is never less than this."""

MEMORY_RELAY_SHARE: Final = 4
"""The same for what a server keeps for readers that come late."""

MEMORY_PASSED_SHARE: Final = 8
"""After one part in so many of a hub's memory limit has passed through a server, the memory that
the heap keeps free goes back to the system."""

PROTECT_LATEST: Final = 1
"""Chunks per component that garbage collection keeps, newest first (Rerun's default)."""

GRPC_PORT: Final = 9876
"""Rerun's default gRPC port."""

SERVER_STREAMS_MAX: Final = 1024
"""Streams open at once, writers and readers; each holds a thread while it is open."""

SERVER_STREAMS_PER_PEER_MAX: Final = SERVER_STREAMS_MAX // 2
"""Streams open at once from one address, so that it cannot lock out another."""

SERVER_STORES_PER_PEER_MAX: Final = 10_000
"""Stores that one address may bring into being, as long as they are there."""

SERVER_STREAMS_REFUSED_AT_ONCE_MAX: Final = 64
"""Streams beyond the limit that are being told so; further ones get gRPC's own refusal."""

WIRE_MESSAGE_BYTES_MAX: Final = 256 * MIB
"""Largest message that a server takes from the wire; a larger one is refused before it is held."""

SERVER_KEEPALIVE_S: Final = 30.0
"""A server asks a silent peer so often whether it is still there."""

SERVER_KEEPALIVE_TIMEOUT_S: Final = 10.0
"""A peer that does not answer that within this time is gone, and so are its streams."""

RELAY_BUDGET_BYTES: Final = 256 * MIB
"""Received messages kept for readers of `ReadMessages`, over all stores."""

RELAY_SHARE: Final = 4
"""One part in so many of the relay's bytes is the most that store infos may take, and what is left
to messages that only slow readers hold once they took too much."""

RELAY_BATCH_MSGS: Final = 64
"""Messages a reader takes from the relay at once; with the bytes, all that is held per reader."""

RELAY_BATCH_BYTES: Final = MIB
"""Bytes after which such a batch ends; a larger message is a batch of its own."""

SERVER_STOP_GRACE_S: Final = 2.0
"""How long a stopping server lets open streams finish."""

RECORD_FILES_OPEN_MAX: Final = 128
"""Files of a server's data directory held open at once; others are opened for each message."""

PEEK_WHOLE_BYTES_MAX: Final = 256 * 1024
"""Chunks up to this size (decompressed) are decompressed whole to read their head: natively, that
is faster than decompressing a few kilobytes step by step."""

FILE_READ_BYTES: Final = 4 * MIB
"""How much of a file of bulky messages is read at once; payloads are cut out of these blocks
without a copy."""

FILE_READ_BYTES_MIN: Final = MIB
"""The same for small messages: less memory to be touched before anything happens."""

COLLECTION_OBJECTS_MIN: Final = 20_000
"""New objects after which the interpreter looks for garbage while files are loaded: more than a
block of small messages has."""

BULKY_BESIDE_PROCESSORS_MIN: Final = 3
"""From so many processors on, files of bulky messages are loaded beside others under a GIL; with
two that cost an eighth more time, and as much more work."""

FILE_BLOCKS_AHEAD: Final = 2
"""Bulky blocks that are read before the decoding of the first of them has to be over."""

FILE_BLOCKS_KEPT_MAX: Final = 8
"""Blocks that are kept for the next read of the same file."""

FILE_READ_BYTES_FIRST: Final = 64 * 1024
"""The first block of one file of many, which tells whether it is bulky."""

READ_SLICE_S: Final = 0.02
"""How long the reader of a file of small messages goes on before the next one has its turn."""

READ_TURN_S: Final = 0.1
"""How long such a turn may keep the readers of others waiting; longer ones are stuck."""

FILES_READ_AT_ONCE: Final = 16
"""Files that are read side by side when many are loaded; each reader waits on its own stores."""

SUBSCRIBER_BACKLOG_EVENTS: Final = 100_000
"""Events a subscriber may fall behind before its subscription is ended."""

DATAFRAME_JOIN_BYTES_MAX: Final = 16 * MIB
"""A dataframe column up to this size is joined into one array; of a larger one only pieces are."""

DATAFRAME_PIECE_BYTES_MAX: Final = 256 * MIB
"""Bytes of one contiguous piece of a dataframe column (Arrow's list offsets end at 2 GiB)."""

RANGE_PIECE_BYTES_MAX: Final = 256 * MIB
"""Bytes of one contiguous piece of a range query's column, where rows have to change places."""

DATAFRAME_SLAB_BYTES: Final = 8 * MIB
"""Columns of a dataframe share allocations of up to this size, and so huge pages."""

DATAFRAME_BATCH_ROWS: Final = 65_536
"""Rows of a record batch of a streamed dataframe, unless the caller says otherwise."""

DATAFRAME_BATCH_BYTES: Final = 64 * MIB
"""Bytes after which a record batch of a streamed dataframe ends early (one row always fits)."""

FLATTEN_INSTANCES_MAX: Final = 64
"""Longest list that is flattened into columns, unless the caller says otherwise."""

GC_TARGET_FRACTION: Final = 0.9
"""A store or hub over its memory limit is collected down to this share of it, so that collection
comes now and then and not with every message."""

GC_STEP_SHARE: Final = 64
"""One part in so many of a memory limit comes in between two collections at least, and is left
free by them: what may not be dropped and takes more makes the limit full."""

GC_SLICE_S: Final = 0.0035
"""How long garbage collection holds a store before readers and commits get their turn (Rerun's
time budget)."""

REPORTS_KEPT_MAX: Final = 100_000
"""Outputs that were committed outside a poll (to make room) and wait to be told of; beyond it, or
beyond the store's byte budget, the oldest are forgotten and counted."""

CALLBACK_THREADS_MAX: Final = 64
"""Threads that subscribers are called on. They are not the workers': callbacks that hang can hold
up other callbacks, never the ingestion of a store."""

NAMES_COMPARED_MAX: Final = 1000
"""Names that are compared with one that is unknown, to say which may have been meant: comparing
takes some ten microseconds each."""

NAMES_TOLD_MAX: Final = 10
"""Names of what there is that an error message tells."""

DAMAGE_TEXT_CHARS_MAX: Final = 200
"""Characters that are kept of why a chunk in a store cannot be opened."""

TYPE_TOLD_CHARS_MAX: Final = 200
"""Characters of an Arrow type that an error message tells; a struct may have thousands."""

NAME_CHARS_TOLD_MAX: Final = 80
"""Characters of each of them; longer ones are cut in the middle."""

NAME_CHARS_SHOWN_MAX: Final = 120
"""Characters of an id or name of a sender on a terminal or in a log; longer ones are cut in the
middle."""

ERROR_TEXT_CHARS_MAX: Final = 2000
"""Characters of an error's message; of a longer one, beginning and end."""

WEB_WORKER_SLICE_S: Final = 0.01
"""How long a Web Worker decodes before it looks at its messages again (one turn always fits)."""

WEB_WORKER_QUEUE_MSGS: Final = 256
"""Messages that wait in a Web Worker: four turns, so that a block fed is soon a block done."""

WEB_WORKER_REJECTIONS_SHOWN_MAX: Final = 100
"""Rejections that a page lists for each store; all are counted."""

WEB_PARTS_MAX: Final = 6
"""Recordings of one source that get a worker each; an interpreter with Arrow takes 100 MB."""

WEB_PAGE_ROWS_MAX: Final = 500
"""Rows of the page's table; exports have all."""

WEB_PLOT_BUCKETS_MAX: Final = 4096
"""Points of one line on the page's plot; of longer ones the extremes are shown."""

WEB_SERIES_PER_COMPONENT_MAX: Final = 16
"""Lines of one component with several instances."""

WEB_CELL_CHARS_MAX: Final = 160
"""Characters of a cell on the page."""

WEB_CELL_INSTANCES_SHOWN: Final = 4
"""Instances of a cell on the page; of more, their number is told."""

SLAB_BYTES: Final = 64 * MIB
"""Address space reserved at once for what is decompressed; memory is taken as it fills."""

SLAB_PIECE_BYTES_MAX: Final = 16 * MIB
"""Larger payloads get memory of their own."""

SLAB_STEP_BYTES_SMALL: Final = 256 * 1024
"""Small pages that are touched at once."""

SLAB_DEAD_BYTES_MIN: Final = 64 * 1024
"""Dead bytes of a slab from which its pages are given back; up to as much is held for nothing."""

SLOW_TOUCH_S_PER_BYTE: Final = 0.4e-9
"""Processor time of touching a large page that its small pages would not take (measured: 0.1 where
the host has it ready, 2.3 where it has not, and 0.5 for small ones)."""

SMALL_PAGES_BYTES_MIN: Final = 128 * MIB
"""After a large page that was slow, so much is taken in small ones before the next is tried."""

SMALL_PAGES_BYTES_MAX: Final = 2048 * MIB
"""Each further slow one doubles that, up to this."""

# What one sender may build up. Defaults of `StoreLimits`, which says what each is for.

PATH_BYTES_MAX: Final = 16 * 1024
"""Bytes of an entity's path as it travels: four times the longest file path that Linux takes."""

PATH_PARTS_MAX: Final = 512
"""Parts of an entity's path. Recordings of robots have ten to twenty, the longest kinematic chains
about a hundred."""

ID_BYTES_MAX: Final = 1024
"""UTF-8 bytes of an application id, and of a recording id: these are names, mostly 36 bytes."""

CHUNK_COLUMNS_MAX: Final = 8192
"""Columns of a chunk: row ids, timelines and components. Archetypes have up to twenty components;
tables of sensor values that are logged as one entity have hundreds."""

CHUNK_SCHEMA_BYTES_MAX: Final = 4 * MIB
"""Bytes of a chunk's schema message, metadata and all: half a kilobyte for each of
`CHUNK_COLUMNS_MAX`, where Rerun's SDKs write 200 to 400 bytes."""

TYPE_DEPTH_MAX: Final = 32
"""Levels of a column's type, one inside the other; Rerun's own components have at most six."""

STORE_ENTITIES_MAX: Final = 1_000_000
"""Entities of a store; large recordings have some ten thousand."""

STORE_TIMELINES_MAX: Final = 256
"""Timelines of a store. Each is an index over all components; recordings have two to ten."""

ENTITY_COMPONENTS_MAX: Final = 16_384
"""Components that an entity ever had: two chunks of `CHUNK_COLUMNS_MAX` without one in common."""

HUB_STORES_MAX: Final = 100_000
"""Stores of a hub, blueprints among them; an idle one takes some kilobytes."""

INFO_BYTES_MAX: Final = 64 * 1024
"""Bytes of what a `SetStoreInfo` says of its sender; SDKs put a version of 20 bytes there."""

ID_CHARS_KEPT_MAX: Final = 80
"""Characters kept of each id of a message that no store took."""

PATH_CACHED_CHARS_MAX: Final = 128
"""Paths and names up to this length are remembered when they were parsed; longer ones would let a
sender fill memory that no store counts."""

PATHS_CACHED_MAX: Final = 4096
"""How many of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """How much structure senders may build up in a hub and its stores.

    A message over one of the limits is rejected with a `LimitError` that names it. What a store
    holds in bytes has limits of its own (`memory_limit`, `hub_budget`); these here bound what each
    message may cost, whatever its size.

    Attributes:
        path_bytes_max: Bytes of an entity's path.
        path_parts_max: Parts of an entity's path.
        id_bytes_max: UTF-8 bytes of an application id, and of a recording id.
        chunk_columns_max: Columns of a chunk.
        chunk_schema_bytes_max: Bytes of a chunk's schema, metadata and all.
        type_depth_max: Levels of a column's type, one inside the other.
        store_entities_max: Entities of a store.
        store_timelines_max: Timelines of a store.
        entity_components_max: Components that one entity ever had.
        hub_stores_max: Stores of a hub, recordings and blueprints together.
        info_bytes_max: Bytes of what a `SetStoreInfo` says of its sender.
    """

    path_bytes_max: int = PATH_BYTES_MAX
    path_parts_max: int = PATH_PARTS_MAX
    id_bytes_max: int = ID_BYTES_MAX
    chunk_columns_max: int = CHUNK_COLUMNS_MAX
    chunk_schema_bytes_max: int = CHUNK_SCHEMA_BYTES_MAX
    type_depth_max: int = TYPE_DEPTH_MAX
    store_entities_max: int = STORE_ENTITIES_MAX
    store_timelines_max: int = STORE_TIMELINES_MAX
    entity_components_max: int = ENTITY_COMPONENTS_MAX
    hub_stores_max: int = HUB_STORES_MAX
    info_bytes_max: int = INFO_BYTES_MAX


STORE_LIMITS: Final = StoreLimits()
"""Those of a hub that is given none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLimits:
    """What the peers of a server may have at most.

    A peer is an address: all connections from one machine are one peer. What is beyond a limit is
    refused with the limit's name.

    Attributes:
        streams_max: Streams (of SDKs and viewers) open at once, of all peers.
        streams_per_peer_max: Streams open at once from one address, so that it cannot lock out
            another.
        stores_per_peer_max: Recordings and blueprints that one address may start, as long as they
            are there.
    """

    streams_max: int = SERVER_STREAMS_MAX
    streams_per_peer_max: int = SERVER_STREAMS_PER_PEER_MAX
    stores_per_peer_max: int = SERVER_STORES_PER_PEER_MAX

    def __post_init__(self) -> None:
        """Refuse what would admit no peer.

        Raises:
            ValueError: A limit is no whole number above zero.
        """
        for name in ("streams_max", "streams_per_peer_max", "stores_per_peer_max"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                msg = f"{name} is a whole number above zero, not {value!r}"
                raise ValueError(msg)
