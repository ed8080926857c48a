"""The columns of a dataframe: Rerun's names, order, types and metadata.

Source of the rules: `re_chunk_store::store_schema` and `re_sorbet::component_column_descriptor`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from forebay.chunk import (
    ARROW_TIME_TYPES,
    Chunk,
    ChunkLayout,
    ComponentDescriptor,
    picked,
    unified,
    unified_or_null,
)
from forebay.chunk import layout as chunk_layout
from forebay.chunk.arrays import are_valid
from forebay.errors import UnknownComponentError
from forebay.model import EntityPath, Timeline, TimeType
from forebay.model.contents import ContentFilter
from forebay.model.paths import PROPERTIES
from forebay.store.unknown import names_of, unknown

CLEAR: Final = "Clear:is_recursive"
"""The only component of the `Clear` archetype; its columns are tombstones."""


class Snapshot(Protocol):
    """The view of a store that dataframes need: entities, timelines and chunks, immutable."""

    __slots__ = ()

    def entity_paths(self) -> Sequence[EntityPath]:
        """Return all entities in Rerun's order."""

    def timelines(self) -> dict[str, TimeType]:
        """Return the type of each timeline by name."""

    def timeline(self, name: str) -> Timeline:
        """Return one timeline.

        Raises:
            UnknownTimelineError: There is no such timeline; the message lists known ones.
        """

    def chunks(self, entity_path: EntityPath) -> Sequence[Chunk]:
        """Return the temporal chunks of an entity."""

    def static_chunks(self, entity_path: EntityPath) -> Sequence[Chunk]:
        """Return the static chunks of an entity."""


MayShow: TypeAlias = "Callable[[npt.NDArray[np.int64]], npt.NDArray[np.bool_]]"


@dataclass(slots=True, eq=False)
class ComponentColumn:
    """One component of one entity, with the chunks that have it.

    Attributes:
        entity_path: The entity.
        descriptor: The name of the component.
        value_type: The type of its instances in the dataframe; valid after `settle_types`.
        is_static: Whether a static chunk has the component.
        is_empty: Whether no cell has an instance.
        chunks: The temporal chunks.
        static_chunks: The static chunks.
        layouts: The distinct layouts of the temporal chunks.
        static_layouts: The distinct layouts of the static chunks.
        static_value: The instances of the static cell that is shown in every row, as logged; `None`
            if there is no static cell that is not null.
        may_show: Returns from times on the index which rows the query may show; `None` means all.
    """

    entity_path: EntityPath
    descriptor: ComponentDescriptor
    value_type: pa.DataType = field(default_factory=pa.null)
    is_static: bool = False
    is_empty: bool = True
    chunks: list[Chunk] = field(default_factory=list)
    static_chunks: list[Chunk] = field(default_factory=list)
    layouts: list[ChunkLayout] = field(default_factory=list)
    static_layouts: list[ChunkLayout] = field(default_factory=list)
    static_value: pa.Array | None = None
    may_show: MayShow | None = None

    @property
    def component(self) -> str:
        """The component's identifier."""
        return self.descriptor.component

    @property
    def is_tombstone(self) -> bool:
        """Whether this is a column of `Clear`."""
        return self.component == CLEAR

    @property
    def name(self) -> str:
        """The column's name: the entity path or `property:…`, a colon, and the component."""
        parts = self.entity_path.parts
        if not parts or parts[0] != PROPERTIES:
            prefix = str(self.entity_path)
        elif len(parts) == 1:
            prefix = "property"
        else:
            prefix = "property:" + str(EntityPath.from_parts(*parts[1:])).removeprefix("/")
        return f"{prefix}:{self.component}"

    def types(self, index: str | None) -> list[pa.DataType]:
        """Return the logged types of the instances that a query on an index may show.

        Args:
            index: The name of the timeline; `None` for static data only.
        """
        if self.static_value is not None:
            return [self.static_value.type]
        return [self._type_in(layout) for layout in self.layouts if index in layout.indexes]

    def narrow(self, index: str) -> None:
        """Restrict the chunks to rows with a cell that the query may show.

        Args:
            index: The name of the timeline.
        """
        found = []
        for chunk in self.chunks:
            if index in chunk.layout.indexes and has_cells(chunk.component(self.component)):
                shown = are_valid(chunk.component(self.component))
                if self.may_show is not None:
                    shown = shown & self.may_show(chunk.times(index))
                rows = np.flatnonzero(shown)
                if len(rows):
                    found.append(chunk if len(rows) == chunk.num_rows else picked(chunk, rows))
        self.chunks = found
        self.layouts = list({id(chunk.layout): chunk.layout for chunk in found}.values())

    def all_types(self) -> list[pa.DataType]:
        """Return the logged types of all instances, temporal and static."""
        return [self._type_in(layout) for layout in (*self.layouts, *self.static_layouts)]

    def _type_in(self, layout: ChunkLayout) -> pa.DataType:
        return layout.components[self.component].type.value_type

    @property
    def arrow_field(self) -> pa.Field:
        """The column's field in the schema of the dataframe."""
        metadata: dict[bytes, bytes] = {
            chunk_layout.KIND: b"data",
            chunk_layout.ENTITY_PATH: self.entity_path.encode(),
            chunk_layout.COMPONENT: self.component.encode(),
        }
        for key, value in [
            (chunk_layout.ARCHETYPE, self.descriptor.archetype),
            (chunk_layout.COMPONENT_TYPE, self.descriptor.component_type),
        ]:
            if value is not None:
                metadata[key] = value.encode()
        for key, flag in [
            (b"rerun:is_static", self.is_static),
            (b"rerun:is_tombstone", self.is_tombstone),
            (b"rerun:is_semantically_empty", self.is_empty),
        ]:
            if flag:
                metadata[key] = b"true"
        return pa.field(self.name, list_type(self.value_type), metadata=metadata)


def list_type(value_type: pa.DataType) -> pa.DataType:
    """Return the type of a column's cells; as in Rerun, the item is named `item` and nullable.

    Args:
        value_type: The type of the instances.
    """
    return pa.list_(pa.field("item", value_type, nullable=True))


def index_field(timeline: Timeline) -> pa.Field:
    """Return a timeline's field in the schema of the dataframe.

    Args:
        timeline: The timeline.
    """
    metadata = {chunk_layout.KIND: b"index", chunk_layout.INDEX_NAME: timeline.name.encode()}
    return pa.field(timeline.name, ARROW_TIME_TYPES[timeline.type], metadata=metadata)


def component_columns(
    snapshot: Snapshot,
    contents: ContentFilter,
    *,
    components: Collection[str] | None = None,
    static_only: bool = False,
    include_semantically_empty_columns: bool = False,
    include_tombstone_columns: bool = False,
) -> list[ComponentColumn]:
    """Return the component columns of a query, in Rerun's order.

    Args:
        snapshot: The store.
        contents: The selection of entities.
        components: Identifiers of components to keep; `None` keeps all.
        static_only: Whether to leave out columns without static data.
        include_semantically_empty_columns: Whether to keep columns with only nulls and empty lists.
        include_tombstone_columns: Whether to keep the columns of `Clear`.

    Raises:
        UnknownComponentError: No selected entity has one of `components`.
    """
    columns = [
        column
        for entity_path in contents.select(snapshot.entity_paths())
        for column in entity_columns(snapshot, entity_path)
    ]
    if components is not None:
        columns = _selected(columns, components)
    columns = [
        column
        for column in columns
        if (column.is_static or not static_only)
        and (include_semantically_empty_columns or not column.is_empty)
        and (include_tombstone_columns or not column.is_tombstone)
    ]
    for column in columns:
        column.static_value = _static_value(column) if column.static_chunks else None
    return columns


def settle_types(columns: Iterable[ComponentColumn], index: str | None) -> None:
    """Set the type of each column: it represents all cells that a query on an index may show.

    Columns of the same component of the same entity get one type, also across recordings. Only the
    types of cells that the query may show are considered. So if there are several types, columns
    are first restricted to the rows of those cells (`ComponentColumn.narrow`). Rows without a cell
    have no influence, because it is arbitrary which chunks they are in.

    Args:
        columns: The columns; their `value_type` is set.
        index: The name of the timeline; `None` for static data only.

    Raises:
        QueryError: The logged types of a component have no common type.
    """
    kin: dict[tuple[EntityPath, str], list[ComponentColumn]] = {}
    for column in columns:
        kin.setdefault((column.entity_path, column.component), []).append(column)
    for (entity_path, component), same in kin.items():
        types = [kind for column in same for kind in column.types(index)]
        known = types or [kind for column in same for kind in column.all_types()]
        if index is not None and not all(kind == types[0] for kind in types):
            for column in same:
                if column.static_value is None:
                    column.narrow(index)
            types = [kind for column in same for kind in column.types(index)]
        if types:
            value_type = unified(types, entity_path, component)
        else:
            value_type = unified_or_null(known, entity_path, component)
        for column in same:
            column.value_type = value_type


def _static_value(column: ComponentColumn) -> pa.Array | None:
    """Return the instances of the static cell with the greatest row id; `None` if all are null."""
    best: tuple[bytes, pa.Array] | None = None
    for chunk in column.static_chunks:
        array = chunk.component(column.component)
        valid = np.flatnonzero(are_valid(array))
        if not len(valid):
            continue
        row = int(valid[-1])
        row_id = chunk.row_id_at(row)
        if best is None or row_id > best[0]:  # if row ids are equal, the first chunk counts
            offsets = list_offsets(array)
            start = int(offsets[row])
            best = row_id, array.values.slice(start, int(offsets[row + 1]) - start)
    return None if best is None else best[1]


def _selected(
    columns: Sequence[ComponentColumn], components: Collection[str]
) -> list[ComponentColumn]:
    wanted = names_of(components)
    there = {column.component for column in columns}
    # An argument that is not a string may not be hashable.
    missing = sorted([n for n in wanted if not isinstance(n, str) or n not in there], key=repr)
    if missing:
        raise unknown(
            UnknownComponentError, "component", missing[0], there, "any of the selected entities"
        )
    return [column for column in columns if column.component in wanted]


def entity_columns(snapshot: Snapshot, entity_path: EntityPath) -> list[ComponentColumn]:
    """Return all columns of an entity, ordered by archetype, component and component type.

    Columns without an archetype come first.

    Args:
        snapshot: The store.
        entity_path: The entity.
    """
    found: dict[ComponentDescriptor, ComponentColumn] = {}
    temporal = snapshot.chunks(entity_path)
    static = snapshot.static_chunks(entity_path)
    for chunks in _by_layout(static):
        for column in _columns_of(chunks, entity_path, found):
            column.static_chunks += chunks
            column.static_layouts.append(chunks[0].layout)
            column.is_static = True
    for chunks in _by_layout(temporal):
        for column in _columns_of(chunks, entity_path, found):
            column.chunks += chunks
            column.layouts.append(chunks[0].layout)
    if not temporal and not any(
        has_cells(chunk.component(column.component))
        for column in found.values()
        for chunk in column.static_chunks
    ):
        return []  # an entity with only static nulls has no columns
    by_component: dict[str, list[ComponentColumn]] = {}
    for column in found.values():
        by_component.setdefault(column.component, []).append(column)
    for same in by_component.values():
        if len(same) > 1:
            _share_chunks(same)
    _in_order_of_arrival(found.values(), [*static, *temporal])
    return sorted(found.values(), key=_order)


def _by_layout(chunks: Iterable[Chunk]) -> Iterable[list[Chunk]]:
    """Return the chunks of each layout in order of arrival; each layout is examined only once."""
    found: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        kin = found.get(id(chunk.layout))
        if kin is None:
            found[id(chunk.layout)] = [chunk]
        else:
            kin.append(chunk)
    return found.values()


def _columns_of(
    chunks: Sequence[Chunk],
    entity_path: EntityPath,
    found: dict[ComponentDescriptor, ComponentColumn],
) -> Iterable[ComponentColumn]:
    """Return the columns for which chunks of one layout have cells."""
    for data in chunks[0].layout.components.values():
        column = found.get(data.descriptor)
        if column is None:
            column = found[data.descriptor] = ComponentColumn(entity_path, data.descriptor)
        if column.is_empty:
            column.is_empty = not any(
                has_instances(chunk.batch.column(data.position)) for chunk in chunks
            )
        yield column


def _in_order_of_arrival(columns: Iterable[ComponentColumn], arrived: Sequence[Chunk]) -> None:
    """Sort chunks by arrival after grouping by layout: of equal rows the first chunk's counts."""
    ranks: dict[int, int] = {}
    for column in columns:
        for chunks in (column.chunks, column.static_chunks):
            if any(chunk.layout is not chunks[0].layout for chunk in chunks):
                ranks = ranks or {id(chunk): rank for rank, chunk in enumerate(arrived)}
                chunks.sort(key=lambda chunk: ranks[id(chunk)])


def _share_chunks(same: Sequence[ComponentColumn]) -> None:
    """Give columns with the same component the same chunks.

    Rerun reads cells by component identifier, independent of archetype and component type.
    """
    chunks = [chunk for column in same for chunk in column.chunks]
    static_chunks = [chunk for column in same for chunk in column.static_chunks]
    layouts = [layout for column in same for layout in column.layouts]
    static_layouts = [layout for column in same for layout in column.static_layouts]
    for column in same:
        column.chunks, column.static_chunks = chunks, static_chunks
        column.layouts, column.static_layouts = layouts, static_layouts


def _order(column: ComponentColumn) -> tuple[tuple[bool, bytes], bytes, tuple[bool, bytes]]:
    descriptor = column.descriptor
    return (
        _optional(descriptor.archetype),
        descriptor.component.encode(),
        _optional(descriptor.component_type),
    )


def _optional(text: str | None) -> tuple[bool, bytes]:
    return (text is not None, (text or "").encode())


def list_offsets(cells: pa.ListArray) -> npt.NDArray[np.int32]:
    """Return the offsets into the child array, shape `(len(cells) + 1,)`, without a copy.

    Args:
        cells: A list array.
    """
    buffer = cells.buffers()[1]
    if buffer is None or not len(cells):
        return np.zeros(len(cells) + 1, np.int32)
    return np.frombuffer(buffer, np.int32, len(cells) + 1, 4 * cells.offset)


def has_cells(cells: pa.ListArray) -> bool:
    """Return whether any cell is not null.

    Args:
        cells: A list array.
    """
    return bool(cells.null_count < len(cells))


def has_instances(cells: pa.ListArray) -> bool:
    """Return whether any cell is neither null nor an empty list.

    Args:
        cells: A list array.
    """
    offsets = list_offsets(cells)
    return bool(offsets[-1] > offsets[0])
