"""Identifiers of stores, rows and chunks."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Self

from forebay.model.application_id import canonical_application_id
from forebay.printable import quoted


class StoreKind(enum.StrEnum):
    """The kind of a store: a recording (logged data) or a blueprint (viewer layout)."""

    RECORDING = "recording"
    BLUEPRINT = "blueprint"


@dataclass(frozen=True, slots=True, order=True)
class StoreId:
    """The identity of a store: a recording or a blueprint of an application.

    Ids are ordered, hashable and immutable.

    Attributes:
        kind: Recording or blueprint; text is accepted and converted.
        application_id: The application in canonical form. The constructor accepts any form and
            converts it (`canonical_application_id`).
        recording_id: The id of the recording or blueprint.
    """

    kind: StoreKind
    application_id: str
    recording_id: str

    def __post_init__(self) -> None:
        """Convert a textual kind to `StoreKind`, and the application id to its canonical form."""
        if type(self.kind) is not StoreKind:
            object.__setattr__(self, "kind", StoreKind(self.kind))
        canonical = canonical_application_id(self.application_id)
        if canonical is not self.application_id:
            object.__setattr__(self, "application_id", canonical)

    @classmethod
    def recording(cls, application_id: str, recording_id: str) -> Self:
        """Return the id of a recording.

        Args:
            application_id: The application, in any form.
            recording_id: The recording.
        """
        return cls(StoreKind.RECORDING, application_id, recording_id)

    @classmethod
    def blueprint(cls, application_id: str, recording_id: str) -> Self:
        """Return the id of a blueprint.

        Args:
            application_id: The application, in any form.
            recording_id: The blueprint.
        """
        return cls(StoreKind.BLUEPRINT, application_id, recording_id)

    @property
    def is_recording(self) -> bool:
        """Whether the store is a recording, that is, it holds logged data."""
        return self.kind is StoreKind.RECORDING

    @property
    def is_blueprint(self) -> bool:
        """Whether the store is a blueprint, that is, it holds the layout of a viewer."""
        return self.kind is StoreKind.BLUEPRINT

    def __str__(self) -> str:
        return f"{self.kind} {quoted(self.recording_id)} of {quoted(self.application_id)}"


class Tuid(bytes):
    """Rerun's time-based unique id: 16 bytes, big-endian nanoseconds followed by a counter.

    The class is a subclass of `bytes`: ids compare in Rerun's order and need no conversion to or
    from an Arrow `FixedSizeBinary(16)` column.
    """

    __slots__ = ()
    prefix = "tuid"

    def __new__(cls, value: bytes) -> Self:
        """Make an id of 16 bytes, in the layout of an Arrow `FixedSizeBinary(16)` row-id column.

        Args:
            value: The bytes.

        Raises:
            ValueError: There are not exactly 16 bytes.
        """
        if len(value) != 16:
            msg = f"a {cls.__name__} has 16 bytes, not {len(value)}"
            raise ValueError(msg)
        return super().__new__(cls, value)

    @classmethod
    def from_parts(cls, time_ns: int, inc: int) -> Self:
        """Make an id from its two parts.

        Args:
            time_ns: Nanoseconds since the Unix epoch, unsigned 64-bit.
            inc: The counter, unsigned 64-bit.

        Raises:
            OverflowError: A part does not fit into 64 bits.
        """
        return cls(time_ns.to_bytes(8, "big") + inc.to_bytes(8, "big"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Make an id from its text form.

        Args:
            text: 32 hexadecimal digits, with or without the prefix (`chunk_…`, `row_…`).

        Raises:
            ValueError: The text has another form.
        """
        return cls(bytes.fromhex(text.removeprefix(f"{cls.prefix}_")))

    @property
    def time_ns(self) -> int:
        """The time at which the id was made, in nanoseconds since the Unix epoch."""
        return int.from_bytes(self[:8], "big")

    @property
    def inc(self) -> int:
        """The counter that distinguishes ids made in the same nanosecond."""
        return int.from_bytes(self[8:], "big")

    def __str__(self) -> str:
        return f"{self.prefix}_{self[:8].hex().upper()}{self[8:].hex()}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


class RowId(Tuid):
    """The id of one logged row. The order of row ids is the order in which rows were logged."""

    __slots__ = ()
    prefix = "row"


class ChunkId(Tuid):
    """The id of one chunk. Two chunks with the same id hold the same rows."""

    __slots__ = ()
    prefix = "chunk"
