"""`Cell`: one result of a latest-at query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    import pyarrow as pa

    from forebay.chunk import Chunk

    class Origin(Protocol):
        """The row that a cell comes from."""

        @property
        def time(self) -> int | None:
            """The row's time on the queried timeline; `None` if static."""

        @property
        def row_id(self) -> bytes:
            """The row's id, 16 bytes."""

        def value(self, component: str) -> pa.Array:
            """Return the instances of one component in the row."""


class Row:
    """A row with known time and id. It can provide values if it has a chunk."""

    __slots__ = ("chunk", "row", "row_id", "time")

    def __init__(
        self, time: int | None, row_id: bytes, chunk: Chunk | None = None, row: int = 0
    ) -> None:
        self.time = time
        self.row_id = row_id
        self.chunk = chunk
        self.row = row

    def value(self, component: str) -> pa.Array:
        """Return the instances of a component.

        Args:
            component: The identifier of the component; the row's chunk must have a cell of it.
        """
        assert self.chunk is not None
        return self.chunk.component(component)[self.row].values


class Cell:
    """One component of one logged row: an immutable triple `(value, time, row_id)`.

    Thread-safe. The value and the row id are read on first access and cached; two threads that do
    so at once store equal values, so no lock is needed. A cell keeps the chunk that it came from in
    memory.
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
        """Return a cell that reads its value from `origin` on first access.

        Args:
            origin: The row.
            component: The identifier of the component.
        """
        cell = _new(cls)
        _set_origin(cell, origin)
        _set_component(cell, component)
        return cell

    @property
    def value(self) -> pa.Array:
        """The instances of the component as a `pyarrow.Array`; empty for an empty list."""
        try:
            return self._value
        except AttributeError:
            value = self._origin.value(self._component)
            _set(self, "_value", value)
            return value

    @property
    def time(self) -> int | None:
        """The index value on the queried timeline; `None` if the cell is static."""
        return self._origin.time

    @property
    def row_id(self) -> bytes:
        """The row's id, 16 bytes."""
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
# Setting slots through their descriptors is faster, and a query makes one cell per component.
_set_origin = Cell.__dict__["_origin"].__set__
_set_component = Cell.__dict__["_component"].__set__
