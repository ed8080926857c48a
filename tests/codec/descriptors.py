"""An editor of the numbers that say where an Arrow message's data lies.

Sound messages are built with pyarrow; `Descriptors` then overwrites single numbers of the record
batch in place: rows, lengths and null counts of field nodes, offsets and lengths of buffers, the
length of the body, bytes of the buffers themselves. So each hostile message differs from a sound
one in exactly what its test is about. `mutate` draws such edits from a sequence of integers, for
Hypothesis, a seeded generator or a coverage-guided fuzzer.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from forebay.model import ArrowMsg, Compression, StoreId

STORE_ID = StoreId.recording("app", "rec")

_PAIR = struct.Struct("<qq")
_I64 = struct.Struct("<q")
_HEADER, _BODY_LENGTH = 2, 3  # fields of flatbuffers table `Message`
_LENGTH, _NODES, _BUFFERS = 0, 1, 2  # fields of table `RecordBatch`


@dataclass(frozen=True)
class Place:
    """A buffer of a record batch, or a field node.

    Attributes:
        path: Name of the column, then `item` or a struct's field for each step inwards.
        kind: `node`, `validity`, `offsets`, `values`, `type_ids`, `sizes` or `views`.
    """

    path: tuple[str, ...]
    kind: str


def places_of(schema: pa.Schema) -> tuple[list[Place], list[Place]]:
    """All field nodes and all buffers of a batch of this schema, in the order of the message."""
    nodes: list[Place] = []
    buffers: list[Place] = []
    for field in schema:
        _add_places((field.name,), field.type, nodes, buffers)
    return nodes, buffers


def _add_places(
    path: tuple[str, ...], kind: pa.DataType, nodes: list[Place], buffers: list[Place]
) -> None:
    types = pa.types
    nodes.append(Place(path, "node"))
    names: list[str] = ["validity", "values"]
    if types.is_null(kind):
        names = []
    elif types.is_union(kind):
        names = ["type_ids", "offsets"] if kind.mode == "dense" else ["type_ids"]
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
        names = ["validity", "offsets"]
    elif types.is_struct(kind) or types.is_fixed_size_list(kind):
        names = ["validity"]
    elif kind in (pa.string(), pa.binary(), pa.large_string(), pa.large_binary()):
        names = ["validity", "offsets", "values"]
    buffers += [Place(path, name) for name in names]
    if types.is_map(kind):
        entries = pa.struct([kind.key_field, kind.item_field])
        _add_places((*path, "item"), entries, nodes, buffers)
        return
    for number in range(kind.num_fields):
        child = kind.field(number)
        name = "item" if hasattr(kind, "value_type") else child.name
        _add_places((*path, name), child.type, nodes, buffers)


class Descriptors:
    """One Arrow stream of a schema and a record batch, to be edited in place.

    Attributes:
        data: The stream.
        batch: Where the encapsulated message of the record batch begins.
        body: Where its body begins.
        nodes: What each field node is of.
        buffers: What each buffer is.
    """

    def __init__(self, stream: bytes) -> None:
        self.data = bytearray(stream)
        self.schema = pa.ipc.read_schema(pa.py_buffer(stream))
        self.nodes, self.buffers = places_of(self.schema)
        self.batch = 8 + self._i32(4)
        self.body = self.batch + 8 + self._i32(self.batch + 4)
        message = self._table(self.batch + 8)
        self._body_length = self._field(message, _BODY_LENGTH)
        header = self._table(self._field(message, _HEADER))
        self._rows = self._field(header, _LENGTH)
        self._nodes = self._table(self._field(header, _NODES))
        self._buffers = self._table(self._field(header, _BUFFERS))

    def copy(self) -> Descriptors:
        """The same stream, to be edited by itself."""
        return Descriptors(bytes(self.data))

    def msg(self, compression: Compression = Compression.NONE) -> ArrowMsg:
        """The message that carries the stream as it is now."""
        data = bytes(self.data)
        payload = data
        if compression == Compression.LZ4:
            payload = pa.Codec("lz4_raw").compress(data, asbytes=True)
        return ArrowMsg(STORE_ID, payload, compression, len(data))

    # Numbers of the record batch.

    @property
    def rows(self) -> int:
        """`RecordBatch.length`."""
        return int(_I64.unpack_from(self.data, self._rows)[0])

    @rows.setter
    def rows(self, rows: int) -> None:
        _I64.pack_into(self.data, self._rows, rows)

    @property
    def body_length(self) -> int:
        """`Message.bodyLength`."""
        return int(_I64.unpack_from(self.data, self._body_length)[0])

    @body_length.setter
    def body_length(self, length: int) -> None:
        _I64.pack_into(self.data, self._body_length, length)

    def node(self, number: int) -> tuple[int, int]:
        """Length and null count of a field node."""
        return self._pair(self._nodes, number)

    def set_node(self, number: int, *, length: int | None = None, nulls: int | None = None) -> None:
        """Overwrite a field node, or a part of it."""
        self._set_pair(self._nodes, number, length, nulls)

    def buffer(self, number: int) -> tuple[int, int]:
        """Offset in the body and length of a buffer."""
        return self._pair(self._buffers, number)

    def set_buffer(
        self, number: int, *, offset: int | None = None, length: int | None = None
    ) -> None:
        """Overwrite a buffer's place, or a part of it."""
        self._set_pair(self._buffers, number, offset, length)

    def count_nodes(self, count: int) -> None:
        """Overwrite how many field nodes the batch claims to have."""
        struct.pack_into("<I", self.data, self._nodes, count)

    def count_buffers(self, count: int) -> None:
        """Overwrite how many buffers the batch claims to have."""
        struct.pack_into("<I", self.data, self._buffers, count)

    # By name.

    def find_node(self, *path: str) -> int:
        """The number of a field node."""
        return self.nodes.index(Place(path, "node"))

    def find(self, kind: str, *path: str) -> int:
        """The number of a buffer."""
        return self.buffers.index(Place(path, kind))

    # What lies in the body.

    def poke(self, number: int, code: str, *values: float, at: int = 0) -> None:
        """Overwrite values of a buffer, from its element `at` on; `code` is of `struct`."""
        offset, _ = self.buffer(number)
        size = struct.calcsize(f"<{code}")
        begin = self.body + offset + size * at
        struct.pack_into(f"<{len(values)}{code}", self.data, begin, *values)

    def append(self, content: bytes) -> int:
        """Add bytes to the body; where they begin in it, a multiple of 8."""
        length = self.body_length
        padded = content + bytes(-len(content) % 8)
        self.data[self.body + length : self.body + length] = padded
        self.body_length = length + len(padded)
        return length

    # Flatbuffers.

    def _i32(self, at: int) -> int:
        return int(struct.unpack_from("<i", self.data, at)[0])

    def _table(self, at: int) -> int:
        return at + int(struct.unpack_from("<I", self.data, at)[0])

    def _field(self, table: int, number: int) -> int:
        vtable = table - self._i32(table)
        slot = 4 + 2 * number
        size, *_ = struct.unpack_from("<H", self.data, vtable)
        offset = struct.unpack_from("<H", self.data, vtable + slot)[0] if slot < size else 0
        if not offset:
            text = f"field {number} has its default, and so no place"
            raise KeyError(text)
        return table + int(offset)

    def _pair(self, vector: int, number: int) -> tuple[int, int]:
        first, second = _PAIR.unpack_from(self.data, vector + 4 + _PAIR.size * number)
        return int(first), int(second)

    def _set_pair(self, vector: int, number: int, first: int | None, second: int | None) -> None:
        old = self._pair(vector, number)
        _PAIR.pack_into(
            self.data,
            vector + 4 + _PAIR.size * number,
            old[0] if first is None else first,
            old[1] if second is None else second,
        )


NEAR = (0, 1, -1, 2, -2, 3, 4, 7, 8, -8, 9, 15, 16, -16, 24, 32, 64, 2**31 - 1, 2**31, 2**62, 2**63)
"""By how much numbers are changed: what has met bounds before."""

Edit = Callable[[Descriptors, int, int], None]


def mutate(edited: Descriptors, choices: Sequence[int]) -> Descriptors:
    """Apply the edits that non-negative integers stand for, three of them to an edit."""
    for start in range(0, len(choices) - 2, 3):
        kind, which, what = choices[start : start + 3]
        EDITS[kind % len(EDITS)](edited, which, what)
    return edited


def _near(value: int, what: int) -> int:
    moved = value + NEAR[what % len(NEAR)]
    return (moved + 2**63) % 2**64 - 2**63


def _buffer_offset(edited: Descriptors, which: int, what: int) -> None:
    number = which % len(edited.buffers)
    edited.set_buffer(number, offset=_near(edited.buffer(number)[0], what))


def _buffer_length(edited: Descriptors, which: int, what: int) -> None:
    number = which % len(edited.buffers)
    edited.set_buffer(number, length=_near(edited.buffer(number)[1], what))


def _buffer_of_other(edited: Descriptors, which: int, what: int) -> None:
    """One buffer is laid over another, with its own length or that one's."""
    number, other = which % len(edited.buffers), what % len(edited.buffers)
    offset, length = edited.buffer(other)
    edited.set_buffer(number, offset=offset, length=length if what & 256 else None)


def _node_length(edited: Descriptors, which: int, what: int) -> None:
    number = which % len(edited.nodes)
    edited.set_node(number, length=_near(edited.node(number)[0], what))


def _node_nulls(edited: Descriptors, which: int, what: int) -> None:
    number = which % len(edited.nodes)
    edited.set_node(number, nulls=_near(edited.node(number)[1], what))


def _row_count(edited: Descriptors, which: int, what: int) -> None:
    """Of the batch, or of the batch and all of its columns."""
    rows = _near(edited.rows, what)
    if which % 2:
        for number, place in enumerate(edited.nodes):
            if len(place.path) == 1:
                edited.set_node(number, length=rows)
    edited.rows = rows


def _body_length(edited: Descriptors, which: int, what: int) -> None:  # noqa: ARG001
    edited.body_length = _near(edited.body_length, what)


def _counts(edited: Descriptors, which: int, what: int) -> None:
    """How many nodes or buffers there are said to be; at most what there is room for."""
    if which % 2:
        edited.count_nodes(what % (len(edited.nodes) + 1))
    else:
        edited.count_buffers(what % (len(edited.buffers) + 1))


def _content(edited: Descriptors, which: int, what: int) -> None:
    """One byte of the body."""
    room = len(edited.data) - edited.body
    if room > 0:
        edited.data[edited.body + which % room] = what % 256


def _offset_value(edited: Descriptors, which: int, what: int) -> None:
    """One list offset, type id or bit, at a place that counts."""
    numbers = [
        number
        for number, place in enumerate(edited.buffers)
        if place.kind != "values" and edited.buffer(number)[1] > 0
    ]
    if not numbers:
        return
    offset, length = edited.buffer(numbers[which % len(numbers)])
    at = edited.body + offset + (what // len(NEAR)) % max(length, 1)
    if 0 <= at < len(edited.data):
        edited.data[at] = (edited.data[at] + NEAR[what % len(NEAR)]) % 256


def _schema_byte(edited: Descriptors, which: int, what: int) -> None:
    """One byte of the schema message, mostly of its texts."""
    texts = edited.data.find(b"chunk_")
    at = texts + which % 38 if which % 4 and texts >= 0 else 8 + which % (edited.batch - 8)
    edited.data[at] = what % 256


EDITS: tuple[Edit, ...] = (
    _buffer_offset,
    _buffer_length,
    _buffer_of_other,
    _node_length,
    _node_nulls,
    _row_count,
    _body_length,
    _counts,
    _content,
    _offset_value,
    _schema_byte,
)
