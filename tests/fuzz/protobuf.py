"""Protobuf fields cut out of a message, changed, and put together again."""

from __future__ import annotations

import random

from tests.fuzz.mutators import change_bytes, number

Field = tuple[int, int, bytes]
"""Number, wire type, and the value as it stands there (without the length of type 2)."""

_NESTED_MAX = 4


def varint(value: int) -> bytes:
    """A number as protobuf writes it, at most ten bytes."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_of(data: bytes) -> int:
    """The number that a varint stands for."""
    return _read(data, 0)[0]


def fields_of(data: bytes) -> list[Field] | None:
    """The fields of a message; `None` if it is none."""
    fields: list[Field] = []
    at = 0
    try:
        while at < len(data):
            tag, at = _read(data, at)
            wire = tag & 7
            if wire == 0:
                value, end = _read(data, at)
                fields.append((tag >> 3, wire, varint(value)))
                at = end
                continue
            size = {1: 8, 5: 4}.get(wire)
            if wire == 2:
                size, at = _read(data, at)
            if size is None or at + size > len(data) or not tag >> 3:
                return None
            fields.append((tag >> 3, wire, data[at : at + size]))
            at += size
    except IndexError:
        return None
    return fields


def message_of(fields: list[Field]) -> bytes:
    """The message that has these fields."""
    out = bytearray()
    for name, wire, value in fields:
        out += varint(name << 3 | wire)
        if wire == 2:
            out += varint(len(value))
        out += value
    return bytes(out)


def change_message(data: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """One change of a message's fields, or inside one of them."""
    fields = fields_of(data)
    if not fields:
        return change_bytes(data, rng)
    at = rng.randrange(len(fields))
    name, wire, value = fields[at]
    match rng.randrange(14):
        case 0:
            fields.insert(rng.randrange(len(fields) + 1), fields[at])
        case 1:
            del fields[at]
        case 2:
            fields.append(fields.pop(at))
        case 3:
            fields[at] = (rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 1 << 28)), wire, value)
        case 4:
            fields.insert(at, (rng.randrange(1, 20), 0, varint(number(rng))))
        case 5:
            return _with_long_varint(fields, at, rng)
        case 6:
            wire = rng.choice((0, 1, 2, 5))
            value = {0: varint(number(rng)), 1: rng.randbytes(8), 5: rng.randbytes(4)}.get(
                wire, value
            )
            fields[at] = (name, wire, value)
        case _:
            fields[at] = (name, wire, _changed_value(wire, value, rng, depth))
    return message_of(fields)


def _changed_value(wire: int, value: bytes, rng: random.Random, depth: int) -> bytes:
    if wire == 0:
        return varint(number(rng, number_of(value)))
    if wire == 2 and depth < _NESTED_MAX and fields_of(value) and rng.random() < 0.9:
        return change_message(value, rng, depth + 1)
    changed = change_bytes(value, rng)
    if wire == 2:
        return changed
    size = 8 if wire == 1 else 4
    return changed[:size].ljust(size, b"\0")


def _with_long_varint(fields: list[Field], at: int, rng: random.Random) -> bytes:
    """A number (or a tag, or a length) with zeros behind it, which means the same."""
    out = bytearray()
    for position, (name, wire, value) in enumerate(fields):
        parts = [varint(name << 3 | wire)]
        if wire == 2:
            parts.append(varint(len(value)))
        if wire == 0:
            parts.append(value)
        if position == at:
            chosen = rng.randrange(len(parts))
            longer = bytearray(parts[chosen])
            longer[-1] |= 0x80
            longer += b"\x80" * rng.choice((0, 0, 1, 3, 9))
            parts[chosen] = bytes(longer + b"\0")
        out += b"".join(parts)
        if wire != 0:
            out += value
    return bytes(out)


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
        shift += 7
        if shift > 63:
            raise IndexError
