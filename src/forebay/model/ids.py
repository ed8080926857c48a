"""Identifiers: stores, rows and chunks."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Self

from forebay.model.application_id import canonical_application_id
from forebay.printable import quoted


class StoreKind(enum.StrEnum):
    """What a store holds."""

    RECORDING = "recording"
    BLUEPRINT = "blueprint"


@dataclass(frozen=True, slots=True, order=True)
class StoreId:
    """Names one store: one recording, or one blueprint, of one application.

    Attributes:
        kind: Which of the two.
        application_id: The application, in the form in which Rerun has it
            (`canonical_application_id`), whatever form it was given in.
        recording_id: The recording or blueprint.
    """

    kind: StoreKind
    application_id: str
    recording_id: str

    def __post_init__(self) -> None:
        """Take the kind as text, too, and the application id in any form."""
        if type(self.kind) is not StoreKind:
            object.__setattr__(self, "kind", StoreKind(self.kind))
        canonical = canonical_application_id(self.application_id)
        if canonical is not self.application_id:
            object.__setattr__(self, "application_id", canonical)

    @classmethod
    def recording(cls, application_id: str, recording_id: str) -> Self:
        """The id of a recording."""
        return cls(StoreKind.RECORDING, application_id, recording_id)

    @classmethod
    def blueprint(cls, application_id: str, recording_id: str) -> Self:
        """The id of a blueprint."""
        return cls(StoreKind.BLUEPRINT, application_id, recording_id)

    @property
    def is_recording(self) -> bool:
        """Whether this names a recording."""
        return self.kind is StoreKind.RECORDING

    @property
    def is_blueprint(self) -> bool:
        """Whether this names a blueprint."""
        return self.kind is StoreKind.BLUEPRINT

    def __str__(self) -> str:
        return f"{self.kind} {quoted(self.recording_id)} of {quoted(self.application_id)}"


class Tuid(bytes):
    """Rerun's time-based unique id: 16 bytes, big-endian nanoseconds, then a counter.

    It *is* its bytes, so that it compares in Rerun's order and needs no conversion to or from
    the Arrow column it came from.
    """

    __slots__ = ()
    prefix = "tuid"

    def __new__(cls, value: bytes) -> Self:
        """Take 16 bytes as they stand in an Arrow `FixedSizeBinary(16)` row-id column."""
        if len(value) != 16:
            msg = f"a {cls.__name__} has 16 bytes, not {len(value)}"
            raise ValueError(msg)
        return super().__new__(cls, value)

    @classmethod
    def from_parts(cls, time_ns: int, inc: int) -> Self:
        """From nanoseconds since the Unix epoch and the counter, both unsigned 64-bit."""
        return cls(time_ns.to_bytes(8, "big") + inc.to_bytes(8, "big"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """From 32 hexadecimal digits, with or without the prefix (`chunk_…`)."""
        return cls(bytes.fromhex(text.removeprefix(f"{cls.prefix}_")))

    @property
    def time_ns(self) -> int:
        """When the id was made, in nanoseconds since the Unix epoch."""
        return int.from_bytes(self[:8], "big")

    @property
    def inc(self) -> int:
        """The counter that tells ids of one nanosecond apart."""
        return int.from_bytes(self[8:], "big")

    def __str__(self) -> str:
        return f"{self.prefix}_{self[:8].hex().upper()}{self[8:].hex()}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


class RowId(Tuid):
    """Names one logged row; row ids give the order in which rows were logged."""

    __slots__ = ()
    prefix = "row"


class ChunkId(Tuid):
    """Names one chunk."""

    __slots__ = ()
    prefix = "chunk"
