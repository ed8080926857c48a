"""The meaning of a chunk's columns: its Arrow schema, parsed once and shared by similar chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from forebay.errors import InvalidChunkError
from forebay.limits import COLUMN_SCHEMA_BYTES
from forebay.model import EntityPath, Timeline, TimeType

KIND: Final = b"rerun:kind"
ENTITY_PATH: Final = b"rerun:entity_path"
CHUNK_ID: Final = b"rerun:id"
INDEX_NAME: Final = b"rerun:index_name"
IS_SORTED: Final = b"rerun:is_sorted"
COMPONENT: Final = b"rerun:component"
ARCHETYPE: Final = b"rerun:archetype"
COMPONENT_TYPE: Final = b"rerun:component_type"
SORBET_VERSION: Final = b"sorbet:version"

CONTROL_KINDS: Final = (b"control", b"row_id")
INDEX_KINDS: Final = (b"index", b"time")
DATA_KINDS: Final = (b"data", b"component")
"""Values of `rerun:kind` for component columns: Rerun writes the first one and reads both."""

ROW_ID_TYPE: Final = pa.binary(16)
TIME_TYPES: Final[Mapping[pa.DataType, TimeType]] = MappingProxyType(
    {
        pa.int64(): TimeType.SEQUENCE,
        pa.duration("ns"): TimeType.DURATION,
        pa.timestamp("ns"): TimeType.TIMESTAMP,
    }
)
ARROW_TIME_TYPES: Final[Mapping[TimeType, pa.DataType]] = MappingProxyType(
    {time_type: arrow for arrow, time_type in TIME_TYPES.items()}
)


@dataclass(frozen=True, slots=True)
class ComponentDescriptor:
    """The name of a component column, with the same three parts as in Rerun.

    Attributes:
        component: The identifier, unique within its entity (`Points3D:positions`).
        archetype: The archetype's full name (`rerun.archetypes.Points3D`), if any.
        component_type: The component type's full name (`rerun.components.Position3D`), if any.
    """

    component: str
    archetype: str | None = None
    component_type: str | None = None


@dataclass(frozen=True, slots=True)
class IndexColumn:
    """The column of a record batch that holds the times on one timeline.

    Attributes:
        timeline: The timeline.
        position: The number of the column.
        claims_sorted: Whether the sender claims that the times never decrease.
    """

    timeline: Timeline
    position: int
    claims_sorted: bool


@dataclass(frozen=True, slots=True)
class DataColumn:
    """The column of a record batch that holds the cells of one component.

    Attributes:
        descriptor: The name of the component.
        position: The number of the column.
        type: The Arrow type of the column, a list type.
    """

    descriptor: ComponentDescriptor
    position: int
    type: pa.DataType


@dataclass(frozen=True, slots=True, eq=False)
class ChunkLayout:
    """The parsed schema of a chunk. Chunks with the same schema share one layout object.

    Attributes:
        entity_path: The entity that the rows belong to.
        row_ids: The number of the row-id column.
        row_ids_claim_sorted: Whether the sender claims that row ids never decrease.
        indexes: Index columns by timeline name.
        components: Component columns by component identifier.
        timelines: The timelines in lexical order; only chunks with equal timelines can be merged.
        extra_bytes: What names and metadata in the schema take beyond what is usual.
    """

    entity_path: EntityPath
    row_ids: int
    row_ids_claim_sorted: bool
    indexes: Mapping[str, IndexColumn]
    components: Mapping[str, DataColumn]
    timelines: tuple[Timeline, ...] = dataclasses.field(init=False)
    extra_bytes: int = 0

    def __post_init__(self) -> None:
        timelines = sorted(index.timeline for index in self.indexes.values())
        object.__setattr__(self, "timelines", tuple(timelines))

    def is_same_as(self, other: ChunkLayout) -> bool:
        """Return whether both layouts describe the same columns at the same positions."""
        return self is other or (
            self.entity_path == other.entity_path
            and self.row_ids == other.row_ids
            and self.indexes.keys() == other.indexes.keys()
            and self.components == other.components
            and all(
                index.timeline == other.indexes[name].timeline
                and index.position == other.indexes[name].position
                for name, index in self.indexes.items()
            )
        )

    @property
    def is_static(self) -> bool:
        """Whether the rows are static, that is, there is no index column."""
        return not self.indexes

    def of_entity(self, path: bytes) -> ChunkLayout:
        """Return the layout of the same columns for another entity.

        Args:
            path: The entity's path as UTF-8, as the metadata of its schema has it.

        Raises:
            InvalidChunkError: The path is not valid UTF-8.
        """
        return ChunkLayout(  # `dataclasses.replace` takes five times as long
            EntityPath(_text(path)),
            self.row_ids,
            self.row_ids_claim_sorted,
            self.indexes,
            self.components,
            self.extra_bytes,
        )

    @classmethod
    def from_schema(cls, schema: pa.Schema) -> ChunkLayout:
        """Parse the metadata that Rerun's SDKs write into the schema of a chunk (`re_sorbet`).

        Args:
            schema: The Arrow schema of the record batch.

        Raises:
            InvalidChunkError: The schema is not that of a chunk; the message says what is missing.
        """
        metadata = schema.metadata or {}
        if ENTITY_PATH not in metadata:
            msg = "the schema has no `rerun:entity_path`: this record batch is not a Rerun chunk"
            raise InvalidChunkError(msg)
        row_ids: tuple[int, bool] | None = None
        indexes: dict[str, IndexColumn] = {}
        components: dict[str, DataColumn] = {}
        for position, field in enumerate(schema):
            described = field.metadata or {}
            kind = described.get(KIND, b"data")
            claims_sorted = described.get(IS_SORTED) == b"true"
            if kind in CONTROL_KINDS:
                if field.type != ROW_ID_TYPE or row_ids is not None:
                    msg = (
                        f"control column {field.name!r} of type {field.type} is not a row-id column"
                    )
                    raise InvalidChunkError(msg)
                row_ids = position, claims_sorted
            elif kind in INDEX_KINDS:
                timeline = _timeline(field, described)
                _claim(indexes, timeline.name, IndexColumn(timeline, position, claims_sorted))
            elif kind in DATA_KINDS:
                data = DataColumn(_descriptor(field, described), position, field.type)
                if not pa.types.is_list(field.type):
                    msg = f"component column {field.name!r} is {field.type}, not a list"
                    raise InvalidChunkError(msg)
                _claim(components, data.descriptor.component, data)
            else:
                msg = f"column {field.name!r} is of unknown kind {_text(kind)!r}"
                raise InvalidChunkError(msg)
        if row_ids is None:
            msg = "the record batch has no row-id column"
            raise InvalidChunkError(msg)
        return cls(
            EntityPath(_text(metadata[ENTITY_PATH])),
            *row_ids,
            MappingProxyType(indexes),
            MappingProxyType(components),
            extra_bytes=_extra_bytes(schema),
        )


def _extra_bytes(schema: pa.Schema) -> int:
    size = _metadata_bytes(schema.metadata)
    size += sum(len(field.name) + _metadata_bytes(field.metadata) for field in schema)
    return max(0, size - COLUMN_SCHEMA_BYTES * (1 + len(schema)))


def _metadata_bytes(metadata: Mapping[bytes, bytes] | None) -> int:
    return sum(len(key) + len(value) for key, value in (metadata or {}).items())


def _timeline(field: pa.Field, described: Mapping[bytes, bytes]) -> Timeline:
    if field.type not in TIME_TYPES:
        msg = (
            f"index column {field.name!r} is {field.type}; "
            "a timeline is int64, duration[ns] or timestamp[ns]"
        )
        raise InvalidChunkError(msg)
    time_type = TIME_TYPES[field.type]  # Not `get` (docs/free-threading.md).
    return Timeline(_text(described.get(INDEX_NAME, field.name.encode())), time_type)


def _descriptor(field: pa.Field, described: Mapping[bytes, bytes]) -> ComponentDescriptor:
    archetype = described.get(ARCHETYPE)
    component_type = described.get(COMPONENT_TYPE)
    return ComponentDescriptor(
        _text(described.get(COMPONENT) or field.name.encode()),
        None if archetype is None else _text(archetype),
        None if component_type is None else _text(component_type),
    )


def _claim(
    columns: dict[str, object] | dict[str, IndexColumn] | dict[str, DataColumn],
    name: str,
    column: IndexColumn | DataColumn,
) -> None:
    if name in columns:
        msg = f"two columns of the record batch are named {name!r}"
        raise InvalidChunkError(msg)
    columns[name] = column  # type: ignore[assignment]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        msg = f"metadata {value!r} is not UTF-8"
        raise InvalidChunkError(msg) from error
