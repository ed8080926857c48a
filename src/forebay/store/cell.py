"""`Cell`: one answer of a latest-at query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cell:
    """One component of one logged row: a frozen triple `(value, time, row_id)`.

    The value is cut out of its column when it is first asked for. Two threads that ask at once
    cut the same value twice, which harms nobody, so no lock is needed. A cell keeps the chunk
    that it came from alive.

    Attributes:
        time: The index on the queried timeline; `None` if static.
        row_id: The 16 bytes of the row's id.
    """

    __slots__ = ("_column", "_row", "_value", "row_id", "time")

    time: int | None
    row_id: bytes
    _value: pa.Array | None
    _column: pa.ListArray
    _row: int

    def __init__(self, value: pa.Array, time: int | None, row_id: bytes) -> None:
        _set(self, "_value", value)
        _set(self, "time", time)
        _set(self, "row_id", row_id)

    @classmethod
    def lazy(cls, column: pa.ListArray, row: int, time: int | None, row_id: bytes) -> Cell:
        """A cell that cuts its value out of `column` when asked."""
        cell = cls.__new__(cls)
        _set(cell, "_value", None)
        _set(cell, "_column", column)
        _set(cell, "_row", row)
        _set(cell, "time", time)
        _set(cell, "row_id", row_id)
        return cell

    @property
    def value(self) -> pa.Array:
        """The instances of the component, as a `pyarrow.Array`; empty for an empty list."""
        value = self._value
        if value is None:
            value = self._column[self._row].values
            _set(self, "_value", value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        msg = f"a Cell is frozen: cannot set {name!r}"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> None:
        msg = f"a Cell is frozen: cannot delete {name!r}"
        raise AttributeError(msg)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.value, self.time, self.row_id))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cell):
            return NotImplemented
        return (
            self.time == other.time
            and self.row_id == other.row_id
            and self.value.equals(other.value)
        )

    def __hash__(self) -> int:
        return hash((self.time, self.row_id))

    def __reduce__(self) -> tuple[type[Cell], tuple[pa.Array, int | None, bytes]]:
        return Cell, (self.value, self.time, self.row_id)

    def __repr__(self) -> str:
        return f"Cell(value={self.value.to_pylist()!r}, time={self.time}, row_id={self.row_id!r})"


_set = object.__setattr__
