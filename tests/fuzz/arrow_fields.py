"""Numbers inside an Arrow IPC stream: where they stand in its flatbuffers, and changes of them.

A small reader of two tables of Arrow's format (Message.fbs, Schema.fbs), tolerant of damage: it
gives what it can find, so that what was changed once can be changed again.
"""

from __future__ import annotations

import contextlib
import functools
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from tests.codec.descriptors import Descriptors, mutate
from tests.fuzz.mutators import number, packed

SCHEMA, RECORD_BATCH = 1, 3
_TABLES_MAX = 400


@dataclass(frozen=True)
class Place:
    """A number of the format.

    Attributes:
        kind: What it says: `rows`, `node`, `nulls`, `offset`, `length`, `type`, `unit` and so on.
        at: Where it stands in the stream.
        size: How many bytes it has.
    """

    kind: str
    at: int
    size: int


@dataclass(frozen=True)
class Stream:
    """What is known of a stream.

    Attributes:
        places: Its numbers.
        strings: Where texts stand (begin and end): names and metadata.
        bodies: Where the bodies of record batches begin and end.
    """

    places: tuple[Place, ...]
    strings: tuple[tuple[int, int], ...]
    bodies: tuple[tuple[int, int], ...]

    def of(self, *kinds: str) -> list[Place]:
        """The places of some kinds."""
        return [place for place in self.places if place.kind in kinds]


def stream_of(data: bytes) -> Stream:
    """The numbers of a stream."""
    places: list[Place] = []
    strings: list[tuple[int, int]] = []
    bodies: list[tuple[int, int]] = []
    at = 0
    for _ in range(3):
        if at + 8 > len(data) or data[at : at + 4] != b"\xff\xff\xff\xff":
            break
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if not size or at + 8 + size > len(data):
            break
        places.append(Place("message_size", at + 4, 4))
        reader = _known(data[at + 8 : at + 8 + size], at + 8)
        places += reader.places
        strings += reader.strings
        at += 8 + size
        if reader.body_length:
            bodies.append((at, min(at + reader.body_length, len(data))))
            at += reader.body_length
    return Stream(tuple(places), tuple(strings), tuple(bodies))


@functools.lru_cache(maxsize=2048)
def _known(message: bytes, at: int) -> _Reader:
    """What is in a message that begins there; the same heads come again and again."""
    reader = _Reader(message)
    with contextlib.suppress(struct.error, IndexError, ValueError, OverflowError):
        reader.read()  # else what was found before counts
    reader.places = [Place(place.kind, place.at + at, place.size) for place in reader.places]
    reader.strings = [(begin + at, end + at) for begin, end in reader.strings]
    return reader


class _Reader:
    """Walks one message."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.places: list[Place] = []
        self.strings: list[tuple[int, int]] = []
        self.body_length = 0
        self._tables = 0

    def read(self) -> None:
        message = self._follow(0)
        kind = self._note("header_type", message, 1, 1)
        header = self._slot(message, 2)
        length = self._slot(message, 3)
        self._note("body_length", message, 3, 8)
        self._note("version", message, 0, 2)
        if length:
            self.body_length = max(0, min(self._i64(length), 1 << 20))
        if header:
            table = self._follow(header)
            if kind == SCHEMA:
                self._schema(table)
            elif kind == RECORD_BATCH:
                self._batch(table)

    def _batch(self, table: int) -> None:
        self._note("rows", table, 0, 8)
        for at in self._vector(table, 1, 16):
            self.places += [Place("node", at, 8), Place("nulls", at + 8, 8)]
        for at in self._vector(table, 2, 16):
            self.places += [Place("offset", at, 8), Place("length", at + 8, 8)]
        self._note("compression", table, 3, 4)

    def _schema(self, table: int) -> None:
        self._note("endianness", table, 0, 2)
        for at in self._vector(table, 1, 4):
            self._field(self._follow(at))
        self._metadata(table, 2)

    def _field(self, table: int) -> None:
        self._tables += 1
        if self._tables > _TABLES_MAX:
            raise ValueError
        self._string(table, 0)
        self._note("nullable", table, 1, 1)
        self._note("type", table, 2, 1)
        type_ = self._slot(table, 3)
        if type_:
            inner = self._follow(type_)
            # What the slots mean depends on the type; each is a number or a reference.
            for slot in range(3):
                self._note("type_number", inner, slot, 4)
            for slot in range(3):
                self._note("unit", inner, slot, 2)
        self._note("dictionary", table, 4, 4)
        for at in self._vector(table, 5, 4):
            self._field(self._follow(at))
        self._metadata(table, 6)

    def _metadata(self, table: int, slot: int) -> None:
        for at in self._vector(table, slot, 4):
            pair = self._follow(at)
            self._string(pair, 0)
            self._string(pair, 1)

    def _string(self, table: int, slot: int) -> None:
        at = self._slot(table, slot)
        if at:
            begin = self._follow(at)
            size = self._u32(begin)
            if 0 < size <= len(self.data) - begin - 4:
                self.strings.append((begin + 4, begin + 4 + size))

    def _vector(self, table: int, slot: int, size: int) -> Iterator[int]:
        at = self._slot(table, slot)
        if at:
            begin = self._follow(at)
            self.places.append(Place("count", begin, 4))
            for index in range(min(self._u32(begin), _TABLES_MAX)):
                yield begin + 4 + size * index

    def _note(self, kind: str, table: int, slot: int, size: int) -> int:
        at = self._slot(table, slot)
        if not at or at + size > len(self.data):
            return 0
        self.places.append(Place(kind, at, size))
        vtable = table - self._i32(table)
        self.places.append(Place("slot", vtable + 4 + 2 * slot, 2))
        return int.from_bytes(self.data[at : at + size], "little")

    def _slot(self, table: int, slot: int) -> int:
        vtable = table - self._i32(table)
        if vtable < 0 or 4 + 2 * slot >= self._u16(vtable):
            return 0
        offset = self._u16(vtable + 4 + 2 * slot)
        return table + offset if offset else 0

    def _follow(self, at: int) -> int:
        return at + self._u32(at)

    def _u16(self, at: int) -> int:
        return int(struct.unpack_from("<H", self.data, at)[0])

    def _u32(self, at: int) -> int:
        return int(struct.unpack_from("<I", self.data, at)[0])

    def _i32(self, at: int) -> int:
        return int(struct.unpack_from("<i", self.data, at)[0])

    def _i64(self, at: int) -> int:
        return int(struct.unpack_from("<q", self.data, at)[0])


def change_stream(data: bytes, rng: random.Random) -> bytes:
    """One change of a stream that leaves most of it meaningful."""
    stream = stream_of(data)
    if not stream.places:
        return data
    out = bytearray(data)
    match rng.randrange(12):
        case 0 | 1 | 2:
            _change_descriptor(out, stream, rng)
        case 3 | 4:
            _change_number(
                out, rng.choice(stream.of("node", "nulls", "rows") or stream.places), rng
            )
        case 5 | 6:
            _change_number(
                out, rng.choice(stream.of("type", "unit", "type_number") or stream.places), rng
            )
        case 7:
            _change_number(out, rng.choice(stream.places), rng)
        case 8 if stream.strings:
            _change_text(out, *rng.choice(stream.strings), rng)
        case _ if stream.bodies:
            _change_body(out, *rng.choice(stream.bodies), rng)
    return bytes(out)


def change_descriptors(data: bytes, rng: random.Random) -> bytes:
    """A change of where the buffers of a record batch lie, and of nothing else."""
    out = bytearray(data)
    _change_descriptor(out, stream_of(data), rng)
    return bytes(out)


def edit_descriptors(data: bytes, rng: random.Random) -> bytes:
    """One to three edits of the record batch's descriptors by name, as tests of soundness make."""
    try:
        edited = Descriptors(data)
        mutate(edited, [rng.randrange(1 << 16) for _ in range(3 * rng.choice((1, 1, 2, 3)))])
    except (pa.ArrowException, OSError, ArithmeticError, ValueError, LookupError, struct.error):
        return data  # changed before so much that its places are not found
    return bytes(edited.data)


def change_body(data: bytes, rng: random.Random) -> bytes:
    """A change inside the body: offsets, times, values, bitmaps."""
    stream = stream_of(data)
    out = bytearray(data)
    if stream.bodies:
        _change_body(out, *rng.choice(stream.bodies), rng)
    return bytes(out)


def _change_descriptor(out: bytearray, stream: Stream, rng: random.Random) -> None:
    offsets, lengths = stream.of("offset"), stream.of("length")
    count = min(len(offsets), len(lengths))
    if not count:
        return
    one, other = rng.randrange(count), rng.randrange(count)
    match rng.randrange(8):
        case 0 | 1:
            _change_number(out, offsets[one], rng)
        case 2 | 3:
            _change_number(out, lengths[one], rng)
        case 4:  # over another buffer
            at, there = offsets[one].at, offsets[other].at
            out[at : at + 8] = out[there : there + 8]
        case 5:  # over another buffer, as long as that
            at, there = offsets[one].at, offsets[other].at
            out[at : at + 16] = out[there : there + 16]
        case 6:  # two change places
            at, there = offsets[one].at, offsets[other].at
            out[at : at + 16], out[there : there + 16] = out[there : there + 16], out[at : at + 16]
        case _:  # into the middle of another, and maybe not aligned
            base = int.from_bytes(out[offsets[other].at : offsets[other].at + 8], "little")
            value = base + rng.choice((1, 2, 4, 8, 12, 16, 20, 24, -4, -8))
            out[offsets[one].at : offsets[one].at + 8] = packed(value, 8)


def _change_number(out: bytearray, place: Place, rng: random.Random) -> None:
    old = int.from_bytes(out[place.at : place.at + place.size], "little")
    new = rng.randrange(26) if place.kind == "type" else number(rng, old)
    out[place.at : place.at + place.size] = packed(new, place.size)


def _change_text(out: bytearray, begin: int, end: int, rng: random.Random) -> None:
    at = rng.randrange(begin, end)
    if rng.random() < 0.5:
        out[at] = rng.choice(b"/\\*\0\xff: a1_\xc3")
    else:
        out[begin:end] = out[begin:at].ljust(end - begin, rng.choice((b"/", b"x", b"\0")))


def _change_body(out: bytearray, begin: int, end: int, rng: random.Random) -> None:
    size = rng.choice((1, 4, 4, 4, 8, 8))
    if end - begin < size:
        return
    at = begin + rng.randrange((end - begin) // size) * size
    old = int.from_bytes(out[at : at + size], "little")
    out[at : at + size] = packed(number(rng, old), size)
