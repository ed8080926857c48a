"""All limits of the system, in one place. The unit is the last part of each name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20

QUEUE_CAPACITY_MSGS: Final = 2000
"""Messages that a worker has accepted but not yet processed (the figure that Rerun describes for
its worker)."""

STORE_BUDGET_BYTES: Final = 512 * MIB
"""Bytes in flight per store: queued input and processed output that was not polled yet,
together."""

HUB_BUDGET_BYTES: Final = 2048 * MIB
"""Bytes in flight over all stores of a hub."""

MESSAGE_SIZE_BYTES_MAX: Final = 2 * 1024 * MIB - 1
"""Largest single message: Arrow IPC and protobuf both end at 2 GiB."""

LZ4_RATIO_MAX: Final = 255
"""An LZ4 block cannot expand by more than this factor, so a larger claimed size is false."""

SCHEMA_CACHE_BYTES_MAX: Final = 4 * MIB
"""Size of a chunk decoder's cache of schema messages; the largest single one may take a sixteenth
of it."""

DECODERS_FREE_MAX: Final = 16
"""Idle decoders that a hub keeps for the next turn, with the schemas in their caches."""

ALIKE_MESSAGE_BYTES_MAX: Final = 8192
"""Messages of one row up to this size are compared with the patterns of earlier messages."""

ALIKE_BYTES_MAX: Final = 4 * MIB
"""Size of a chunk decoder's cache of such patterns."""

ALIKE_MSGS_MIN: Final = 4
"""With fewer messages of one size in a turn, decoding them one by one is faster."""

ALIKE_PATTERNS_MAX: Final = 8
"""Patterns that are tried for one schema and record batch message. Messages that match none of so
many differ from each other each time."""

ALIKE_SHAPES_MAX: Final = 32
"""Ways in which patterns of one size may differ from each other; each message of that size is
compared with all of them."""

SCHEMA_SPANS_MAX: Final = 32
"""Ways in which schemas of one size may vary from chunk to chunk; each schema of that size is
looked up by all of them."""

SCHEMA_COLUMN_COST_BYTES: Final = 1024
"""What a column of a cached schema costs in addition to its bytes (measured: objects of Python and
Arrow)."""

FORM_COLUMN_COST_BYTES: Final = 64
"""The same for a column of a cached pattern, whose schema is counted elsewhere."""

SCAN_MSGS_MIN: Final = 64
"""With fewer messages in a block of a file, the messages are cut out one by one: NumPy's first
calls cost a new process a millisecond."""

SCAN_MSGS_MAX: Final = 512
"""Messages that are cut out of a block at once."""

BATCH_PATTERN_BYTES_MAX: Final = 64 * 1024
"""Bytes other than numbers that a message of many rows may have so that its pattern is
recognised."""

BATCH_PATTERNS_BYTES_MAX: Final = 4 * MIB
"""Size of a chunk decoder's cache of such patterns, over all messages."""

BATCH_MESSAGES_SEEN_MAX: Final = 1024
"""Record batch messages that are remembered, so that one that comes again becomes a pattern."""

BODILESS_VALUES_PER_ROW_MAX: Final = 4096
"""Values of types that take no bytes (nulls, structs without fields) that a chunk may hold for each
of its rows, beyond eight for each byte of its data."""
EXPANDED_RATIO_MAX: Final = 255
"""By how much the data of a message may grow when its compressed buffers, dictionaries, runs and
views are decoded (the same factor as for an LZ4 block)."""

EXPANDED_BYTES_MIN: Final = MIB
"""The data of a small message may grow to this size, whatever the factor."""

EXPANDED_BYTES_MAX: Final = 256 * MIB
"""The data of a message may grow by at most this much, whatever the factor allows."""

EXPANDED_BUDGET_SHARE: Final = 4
"""One part in so many of a hub's byte budget is the most that it may become, too."""

EXPANSION_WAIT_S: Final = 1.0
"""A thread whose message becomes much larger waits no longer for another thread that has one."""

DICTIONARIES_MAX: Final = 1024
"""Dictionary batches that one message may have before its record batch."""

REJECTIONS_KEPT_MAX: Final = 1000
"""Rejections that are kept one by one per store: the first half of them and the last. Further ones
are only counted by reason."""

REJECTIONS_KEPT_BYTES_MAX: Final = MIB
"""Bytes of them per store; beyond it, those in the middle are only counted."""

TURN_MSGS_MAX: Final = 256
"""Messages that a worker processes in one turn before it hands over its output and another store
runs."""

TURN_BYTES_MAX: Final = 16 * MIB
"""Payload bytes after which a worker ends its turn early."""

TURN_SLICE_S: Final = 0.004
"""Seconds after which a worker ends its turn early, so that finished chunks are handed over."""

SHORT_TURN_MSGS_MAX: Final = 128
"""Messages of a turn while other stores wait for theirs."""

SHORT_TURN_SLICE_S: Final = 0.002
"""Seconds after which a worker ends such a turn."""

PARALLEL_MSG_BYTES_MIN: Final = 64 * 1024
"""Mean size from which messages count as large: then several turns of one store, and of several
stores under a GIL, are worth running in parallel."""

LANE_BYPASS_MAX: Final = 256
"""Messages of the first lane that may overtake one message that arrived earlier in a later lane."""

BRIEF_MSGS_MAX: Final = 8
"""A store with at most this many small messages runs before stores with many."""

TURNS_PASSED_MAX: Final = 8
"""How often a ready task may be overtaken by more urgent ones."""

TURNS_TAKEN_MAX: Final = 2
"""Turns in a row that threads waiting for their own stores may take while other stores wait for
theirs."""

URGENT_RESERVE_SHARE: Final = 16
"""A hub with blueprints reserves 1/N of its byte budget for them, where N is this value."""

REJECTED_COLUMNS_TOLD_MAX: Final = 32
"""Unreadable columns of one message that are reported one by one; the last report stands for all
others, and each is counted."""
BUDGET_FLOOR_SHARE: Final = 8
"""1/N of a hub's byte budget is closed to large first messages, so that small ones of other stores
fit."""

HUB_ROOM_LOOK_S: Final = 0.25
"""A submitter that waits for bytes of the hub's budget checks again after this time: a store that
the garbage collector frees returns its bytes without notification, because a finalizer may take no
lock."""

GAPS_KEPT_MAX: Final = 1000
"""Gaps that are kept one by one per store; beyond it the oldest are merged, and every count is
kept."""

GAPS_KEPT_BYTES_MAX: Final = MIB
"""Bytes of them per store; beyond it the oldest are merged as well."""

GAP_TIMELINES_MAX: Final = 64
"""Timelines for which a gap reports its times. Dropped messages are in no store, so the store's own
limit of timelines does not bound them."""

FULL_WARN_AFTER_S: Final = 1.0
"""How long a submitter waits for space in the queue before a warning is logged; shorter waits are
normal."""

SPILL_BYTES_MAX: Final = 16 * 1024 * MIB
"""Bytes that a store may spill to disk, unless its policy sets another limit."""

SPILL_SEGMENT_BYTES: Final = 8 * MIB
"""Bytes after which a spill file is full; files are read back one at a time, each as a whole."""

BUDGET_INTERVAL_S: Final = 0.25
"""How often an adaptive byte budget checks memory and rates."""

BUDGET_HORIZON_S: Final = 2.0
"""An adaptive budget holds what its store drains in this many seconds."""

RATE_SAMPLES_MAX: Final = 256
"""Points kept for rates over `LATENCY_WINDOW_S`."""

THREADS_MAX: Final = 256
"""Worker threads alive at once in one runtime; further busy stores take turns."""

QUERY_ROOM_SHARE: Final = 3.0
"""Under a GIL, while queries run, a worker sleeps for this many times the duration of its turn."""

QUERY_ROOM_S_MAX: Final = 0.004
"""Longest such sleep after one turn."""

GIL_SWITCH_S: Final = 0.0005
"""How long a thread of a server keeps the GIL while others want it."""

LIGHT_TURN_S: Final = 0.01
"""How long a turn of small messages may keep others waiting under a GIL; a longer one counts as
stuck."""

THREAD_LINGER_S: Final = 0.05
"""How long an idle worker thread waits for work before it ends."""

ROOM_WAKE_INTERVAL_S: Final = 0.005
"""While a queue is more than half full, threads that wait for space check no more often than
this."""

EXIT_DRAIN_S: Final = 2.0
"""How long a process that exits waits for messages that are still being decoded."""

MESSAGE_COST_BYTES_MIN: Final = 512
"""What the smallest message counts for: its Python objects take memory even if it has no
payload."""

COMMIT_CHUNKS_MAX: Final = 32
"""Chunks that one commit adds to a store before readers get the lock."""

COMMIT_ROWS_MAX: Final = 256
"""Packed rows that one commit adds to a store at once; together they take less time than that many
chunks."""

COMMIT_BYTES_MAX: Final = 65_536
"""A chunk larger than this ends such a run, because it may have to be split."""

LATENCY_WINDOW_S: Final = 1.0
"""Time window of the latency statistics."""

LATENCY_SAMPLES_MAX: Final = 512
"""Samples kept per stage within that window, newest first."""

CHUNK_SPLIT_BYTES_MAX: Final = 393_216
"""Rerun's chunk limits (re_chunk_store): larger temporal chunks are split on insert."""

CHUNK_SPLIT_ROWS_MAX: Final = 4096
CHUNK_SPLIT_ROWS_MAX_UNSORTED: Final = 1024

MERGED_COLUMNS_MAX: Final = 64
"""Components that merging may bring together in one chunk: components that a chunk does not have
are filled with nulls. A chunk of more components is merged only with chunks of the same ones."""

GC_SHARE_MIN: Final = 16
"""A garbage collection drops at least 1/N of what it examined before it stops, so that examining
does not cost more than dropping."""

CHUNK_COST_BYTES: Final = 1024
"""What a chunk in a store costs beyond its columns, for memory limits (measured: Python objects,
the index, the message that contains its buffers)."""

COLUMN_COST_BYTES: Final = 1664
"""What each column of a chunk costs beyond its buffers (measured: Arrow objects, its part of the
schema in the message)."""

COLUMN_SCHEMA_BYTES: Final = 512
"""What of that is its part of the schema; what schemas have beyond it, each chunk counts."""

SCHEMA_HELD_BYTES_MAX: Final = 8 * 1024
"""Bytes by which a message's schema may be larger than its rows for the rows to stay where they
came: they would keep it alive."""

PACKED_CHUNK_COST_BYTES: Final = 768
"""The same for a whole chunk of one row that needs no Arrow objects."""

ENTITY_COST_BYTES: Final = 1536
"""What an entity costs beyond its chunks and its path (measured: its index and its entry in it)."""

PATH_PART_COST_BYTES: Final = 64
"""The same for each part of its path (measured: a short text and its entry)."""

COMPONENT_COST_BYTES: Final = 384
"""The same for each component that an entity ever had."""

TEXT_BYTES_PER_CHAR: Final = 3
"""What a character of a path or name counts for: it is stored in the schema, in the path and in the
parts of the path (four bytes each if one character of the path is beyond U+FFFF, which is rare)."""
STORE_COST_BYTES: Final = 9 * 1024
"""What an empty store of a hub costs, for memory limits (measured)."""

REPORT_COST_BYTES: Final = 512
"""What a report that waits for a poll costs beyond its chunk."""

INFO_COST_BYTES: Final = 512
"""What a store info costs beyond its texts."""

MEMORY_IN_FLIGHT_SHARE: Final = 2
"""At most 1/N of a hub's memory limit may be in flight, whatever its budget allows."""

MEMORY_IN_FLIGHT_STORE_SHARE: Final = 16
"""The same for each store, which may always have one larger message in flight."""

MEMORY_IN_FLIGHT_STORE_BYTES_MIN: Final = 64 * 1024
"""The lower bound of that share."""

MEMORY_RELAY_SHARE: Final = 4
"""The same for messages that a server keeps for readers that connect late."""

MEMORY_PASSED_SHARE: Final = 8
"""After one part in so many of a hub's memory limit has passed through a server, the memory that
the heap keeps free goes back to the system."""

PROTECT_LATEST: Final = 1
"""Chunks per component that garbage collection keeps, newest first (Rerun's default)."""

GRPC_PORT: Final = 9876
"""Rerun's default gRPC port."""

SERVER_STREAMS_MAX: Final = 1024
"""Streams open at once, writers and readers together; each open stream uses one thread."""

SERVER_STREAMS_PER_PEER_MAX: Final = SERVER_STREAMS_MAX // 2
"""Streams open at once from one address, so that it cannot lock out another."""

SERVER_STORES_PER_PEER_MAX: Final = 10_000
"""Stores that one address may have created and that still exist."""

SERVER_STREAMS_REFUSED_AT_ONCE_MAX: Final = 64
"""Streams over the limit that are refused with a message at the same time; further ones get gRPC's
own refusal."""

WIRE_MESSAGE_BYTES_MAX: Final = 256 * MIB
"""Largest message that a server receives; a larger one is refused before it is in memory."""

SERVER_KEEPALIVE_S: Final = 30.0
"""Interval of the keepalive pings that a server sends to a silent peer."""

SERVER_KEEPALIVE_TIMEOUT_S: Final = 10.0
"""A peer that does not answer a ping within this time is disconnected, and its streams end."""

RELAY_BUDGET_BYTES: Final = 256 * MIB
"""Received messages kept for readers of `ReadMessages`, over all stores."""

RELAY_SHARE: Final = 4
"""Store infos may take at most 1/N of the relay's bytes. The same share is left to messages that
only slow readers hold, once those hold too much."""

RELAY_BATCH_MSGS: Final = 64
"""Messages that a reader takes from the relay at once; with the byte limit, this bounds what is
held per reader."""

RELAY_BATCH_BYTES: Final = MIB
"""Bytes after which such a batch ends; a larger message is a batch of its own."""

SERVER_STOP_GRACE_S: Final = 2.0
"""How long a stopping server waits for open streams to finish."""

RECORD_FILES_OPEN_MAX: Final = 128
"""Files in a server's data directory that are open at once; further ones are opened for each
message."""

PEEK_WHOLE_BYTES_MAX: Final = 256 * 1024
"""Chunks up to this decompressed size are decompressed completely to read their header: native code
does that faster than decompressing a few kilobytes step by step."""

FILE_READ_BYTES: Final = 4 * MIB
"""Bytes that are read at once from a file of large messages; payloads refer to these blocks without
a copy."""

FILE_READ_BYTES_MIN: Final = MIB
"""The same for small messages: less memory is touched before the first message is decoded."""

COLLECTION_OBJECTS_MIN: Final = 20_000
"""New objects after which Python's garbage collector runs while files are loaded: more than a block
of small messages creates."""

BULKY_BESIDE_PROCESSORS_MIN: Final = 3
"""From this many processors on, files of large messages are loaded in parallel under a GIL. With
two processors that took an eighth more time and an eighth more work."""

FILE_BLOCKS_AHEAD: Final = 2
"""Blocks of large messages that are read before the first of them must be decoded."""

FILE_BLOCKS_KEPT_MAX: Final = 8
"""Blocks that are kept and reused for the next read of the same file."""

FILE_READ_BYTES_FIRST: Final = 64 * 1024
"""Size of the first block of each file when several are loaded; it shows whether the messages are
large."""

READ_SLICE_S: Final = 0.02
"""How long the reader of a file of small messages runs before the next reader has its turn."""

READ_TURN_S: Final = 0.1
"""How long such a turn may keep other readers waiting; a longer one counts as stuck."""

FILES_READ_AT_ONCE: Final = 16
"""Files that are read in parallel when many are loaded; each reader waits for its own stores."""

SUBSCRIBER_BACKLOG_EVENTS: Final = 100_000
"""Events that a subscriber may fall behind before its subscription is ended."""

DATAFRAME_JOIN_BYTES_MAX: Final = 16 * MIB
"""A dataframe column up to this size becomes one array; a larger one stays chunked."""

DATAFRAME_PIECE_BYTES_MAX: Final = 256 * MIB
"""Bytes of one contiguous piece of a dataframe column (Arrow's list offsets end at 2 GiB)."""

RANGE_PIECE_BYTES_MAX: Final = 256 * MIB
"""Bytes of one contiguous piece of a range query's column, if its rows have to be reordered."""

DATAFRAME_SLAB_BYTES: Final = 8 * MIB
"""Columns of a dataframe share allocations up to this size, so that large pages are used."""

DATAFRAME_BATCH_ROWS: Final = 65_536
"""Rows of a record batch of a streamed dataframe, unless the caller gives another number."""

DATAFRAME_BATCH_BYTES: Final = 64 * MIB
"""Bytes after which a record batch of a streamed dataframe ends early (one row always fits)."""

FLATTEN_INSTANCES_MAX: Final = 64
"""Longest list that is flattened into columns, unless the caller gives another number."""

GC_TARGET_FRACTION: Final = 0.9
"""A store or hub over its memory limit is collected down to this share of it, so that a collection
does not run with every message."""

GC_STEP_SHARE: Final = 64
"""At least 1/N of a memory limit is added between two collections, and each collection leaves that
much free. If protected data takes more, the limit counts as full."""

GC_SLICE_S: Final = 0.0035
"""How long garbage collection holds a store's lock before readers and commits get it (Rerun's time
budget)."""

REPORTS_KEPT_MAX: Final = 100_000
"""Outputs that were committed outside a poll (to make space) and wait to be reported. Beyond this,
or beyond the store's byte budget, the oldest are dropped and counted."""

CALLBACK_THREADS_MAX: Final = 64
"""Threads that call subscribers. They are not the threads of the workers: a callback that hangs can
delay other callbacks, never the ingestion of a store."""

NAMES_COMPARED_MAX: Final = 1000
"""Known names that are compared with an unknown one, to suggest what was meant; each comparison
takes about ten microseconds."""

NAMES_TOLD_MAX: Final = 10
"""Existing names that an error message lists."""

DAMAGE_TEXT_CHARS_MAX: Final = 200
"""Characters that are kept of the reason why a chunk in a store cannot be decoded."""

TYPE_TOLD_CHARS_MAX: Final = 200
"""Characters of an Arrow type in an error message; a struct may have thousands."""

NAME_CHARS_TOLD_MAX: Final = 80
"""Characters of each name that an error message lists; longer ones are cut in the middle."""

NAME_CHARS_SHOWN_MAX: Final = 120
"""Characters of an id or name from a sender in a terminal or log; longer ones are cut in the
middle."""

ERROR_TEXT_CHARS_MAX: Final = 2000
"""Characters of an error's message; of a longer one the beginning and the end are kept."""

WEB_WORKER_SLICE_S: Final = 0.01
"""How long a Web Worker decodes before it handles its messages again (at least one turn is run)."""

WEB_WORKER_QUEUE_MSGS: Final = 256
"""Queue capacity in a Web Worker: four turns, so that a block that was fed is soon processed."""

WEB_WORKER_REJECTIONS_SHOWN_MAX: Final = 100
"""Rejections that a page lists for each store; all are counted."""

WEB_PARTS_MAX: Final = 6
"""Recordings of one source that get a worker each; an interpreter with Arrow takes 100 MB."""

WEB_PAGE_ROWS_MAX: Final = 500
"""Rows of the page's table; exports contain all rows."""

WEB_PLOT_BUCKETS_MAX: Final = 4096
"""Points of one line in the page's plot; longer lines are reduced to minima and maxima."""

WEB_SERIES_PER_COMPONENT_MAX: Final = 16
"""Lines of one component with several instances."""

WEB_CELL_CHARS_MAX: Final = 160
"""Characters of a cell on the page."""

WEB_CELL_INSTANCES_SHOWN: Final = 4
"""Instances shown of a cell on the page; if there are more, their number is shown."""

SLAB_BYTES: Final = 64 * MIB
"""Address space that is reserved at once for decompressed payloads; memory is used as it fills."""

SLAB_PIECE_BYTES_MAX: Final = 16 * MIB
"""Larger payloads get an allocation of their own."""

SLAB_STEP_BYTES_SMALL: Final = 256 * 1024
"""Bytes of small pages that are touched at once."""

SLAB_DEAD_BYTES_MIN: Final = 64 * 1024
"""Unused bytes of a slab from which on its pages are returned to the system; up to this much may
stay unused."""

SLOW_TOUCH_S_PER_BYTE: Final = 0.4e-9
"""CPU time of touching a large page above which small pages are faster (measured per byte, in ns:
0.1 if the host has the page ready, 2.3 if not, and 0.5 for small pages)."""

SMALL_PAGES_BYTES_MIN: Final = 128 * MIB
"""After a slow large page, this many bytes are taken in small pages before the next large one is
tried."""

SMALL_PAGES_BYTES_MAX: Final = 2048 * MIB
"""Each further slow large page doubles that, up to this."""

# Limits on the structure that one sender may create: the defaults of `StoreLimits`.

PATH_BYTES_MAX: Final = 16 * 1024
"""Bytes of an entity path in its wire form: four times the longest file path of Linux."""

PATH_PARTS_MAX: Final = 512
"""Parts of an entity path. Recordings of robots have ten to twenty, the longest kinematic chains
about a hundred."""

ID_BYTES_MAX: Final = 1024
"""UTF-8 bytes of an application id, and of a recording id; usual ids have 36 bytes."""

CHUNK_COLUMNS_MAX: Final = 8192
"""Columns of a chunk: row ids, timelines and components. Archetypes have up to twenty components;
tables of sensor values that are logged as one entity have hundreds."""

CHUNK_SCHEMA_BYTES_MAX: Final = 4 * MIB
"""Bytes of a chunk's schema message with its metadata: half a kilobyte for each of
`CHUNK_COLUMNS_MAX`, where Rerun's SDKs write 200 to 400 bytes."""

TYPE_DEPTH_MAX: Final = 32
"""Nested levels of a column's type; Rerun's own components have at most six."""

STORE_ENTITIES_MAX: Final = 1_000_000
"""Entities of a store; large recordings have about ten thousand."""

STORE_TIMELINES_MAX: Final = 256
"""Timelines of a store. Each is an index over all components; recordings have two to ten."""

ENTITY_COMPONENTS_MAX: Final = 16_384
"""Components that an entity has ever had: two chunks of `CHUNK_COLUMNS_MAX` without a common
one."""

HUB_STORES_MAX: Final = 100_000
"""Stores of a hub, including blueprints; an idle one takes some kilobytes."""

INFO_BYTES_MAX: Final = 64 * 1024
"""Bytes of the description of the sender in a `SetStoreInfo`; SDKs write a version of 20 bytes
there."""

ID_CHARS_KEPT_MAX: Final = 80
"""Characters that are kept of each id of a message that no store accepted."""

PATH_CACHED_CHARS_MAX: Final = 128
"""Parsed paths and names up to this length are cached; longer ones would let a sender fill memory
that no store counts."""

PATHS_CACHED_MAX: Final = 4096
"""Number of them in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """How much structure senders may create in a hub and its stores.

    A message over one of the limits is rejected with a `LimitError` that names the limit. The bytes
    of a store have limits of their own (`memory_limit`, `hub_budget`); these limits bound the cost
    of each message, whatever its size.

    Attributes:
        path_bytes_max: Bytes of an entity path.
        path_parts_max: Parts of an entity path.
        id_bytes_max: UTF-8 bytes of an application id, and of a recording id.
        chunk_columns_max: Columns of a chunk.
        chunk_schema_bytes_max: Bytes of a chunk's schema with its metadata.
        type_depth_max: Nested levels of a column's type.
        store_entities_max: Entities of a store.
        store_timelines_max: Timelines of a store.
        entity_components_max: Components that one entity has ever had.
        hub_stores_max: Stores of a hub, recordings and blueprints together.
        info_bytes_max: Bytes of the description of the sender in a `SetStoreInfo`.
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
"""The default limits of a hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLimits:
    """Limits on what the peers of a server may use.

    A peer is an IP address: all connections from one machine are one peer. A stream or store over a
    limit is refused, and the refusal names the limit.

    Attributes:
        streams_max: Streams (of SDKs and viewers) open at once, of all peers together.
        streams_per_peer_max: Streams open at once from one address, so that one peer cannot lock
            out another.
        stores_per_peer_max: Recordings and blueprints that one address has created and that still
            exist.
    """

    streams_max: int = SERVER_STREAMS_MAX
    streams_per_peer_max: int = SERVER_STREAMS_PER_PEER_MAX
    stores_per_peer_max: int = SERVER_STORES_PER_PEER_MAX

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: A limit is not an integer above zero.
        """
        for name in ("streams_max", "streams_per_peer_max", "stores_per_peer_max"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                msg = f"{name} must be an integer above zero, not {value!r}"
                raise ValueError(msg)
