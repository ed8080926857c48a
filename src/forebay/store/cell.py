"""`Cell`: one answer of a latest-at query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    import pyarrow as pa

    from forebay.chunk import Chunk

    class Origin(Protocol):
        """The row that a cell is from."""

        @property
        def time(self) -> int | None:
            """Its index."""

        @property
        def row_id(self) -> bytes:
            """Its id."""

        def value(self, component: str) -> pa.Array:
            """One component of it."""


class Row:
    """A row of which time and id are known, and the values if there is a chunk."""

    __slots__ = ("chunk", "row", "row_id", "time")

    def __init__(
        self, time: int | None, row_id: bytes, chunk: Chunk | None = None, row: int = 0
    ) -> None:
        self.time = time
        self.row_id = row_id
        self.chunk = chunk
        self.row = row

    def value(self, component: str) -> pa.Array:
        """The instances of a component."""
        assert self.chunk is not None
        return self.chunk.component(component)[self.row].values


class Cell:
    """One component of one logged row: a frozen triple `(value, time, row_id)`.

    Value and row id are taken from the row when they are first asked for. Two threads that ask at
    once take the same twice, which harms nobody, so no lock is needed. A cell keeps the chunk
    that it came from alive.
    """

    __slots__ = ("_component", "_origin", "_value")

    _origin: Origin
    _component: str
    _value: pa.Array

    def __init__(self, value: pa.Array, time: int | None, row_id: bytes) -> None:
        _set(self, "_origin", Row(time, row_id))
        _set(self, "_value", value)

    @classmethod
    def lazy(cls, origin: Origin, component: str) -> Cell:
        """A cell that takes its value from `origin` when asked."""
        cell = _new(cls)
        _set_origin(cell, origin)
        _set_component(cell, component)
        return cell

    @property
    def value(self) -> pa.Array:
        """The instances of the component, as a `pyarrow.Array`; empty for an empty list."""
        try:
            return self._value
        except AttributeError:
            value = self._origin.value(self._component)
            _set(self, "_value", value)
            return value

    @property
    def time(self) -> int | None:
        """The index on the queried timeline; `None` if static."""
        return self._origin.time

    @property
    def row_id(self) -> bytes:
        """The 16 bytes of the row's id."""
        return self._origin.row_id

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


_new = object.__new__
_set = object.__setattr__
# Slots are set by their descriptors, which is quicker: a query makes a cell for each component.
_set_origin = Cell.__dict__["_origin"].__set__
_set_component = Cell.__dict__["_component"].__set__
