"""Migration of the schemas of older SDKs to the current form.

Rerun calls the form of a chunk's schema Sorbet, and it has a version of its own. Between versions
names in the metadata changed and columns were removed or moved, but never the data of a column. The
rules are those of `re_sorbet` (`migrations`) in rerun 0.41: 0.0.1 is SDK 0.23 and every schema
without a version, 0.1.0 is SDK 0.24, 0.1.3 is SDK 0.36. For chunks nothing changed from 0.1.3 to
0.1.4, the version of SDK 0.41.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa

from forebay.chunk.layout import (
    ARCHETYPE,
    COMPONENT,
    COMPONENT_TYPE,
    ENTITY_PATH,
    SORBET_VERSION,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CURRENT_VERSION: Final = b"0.1.3"
OLD_CHUNK_ID: Final = b"rerun.id"
"""The name of `rerun:id` up to SDK 0.23."""

_OLD: Final = b"rerun."
_NEW: Final = b"rerun:"
_OLD_KIND: Final = b"rerun.kind"
_OLD_ARCHETYPE: Final = b"rerun.archetype"
_OLD_ARCHETYPE_FIELD: Final = b"rerun.archetype_field"
_OLD_COMPONENT: Final = b"rerun.component"
_RENAMED_KEYS: Final = tuple(
    f"rerun.{name}".encode()
    for name in (
        "index_name",
        "entity_path",
        "kind",
        "is_static",
        "is_indicator",
        "is_tombstone",
        "is_semantically_empty",
        "is_sorted",
    )
)
_INDICATOR: Final = b"Indicator"
_IS_INDICATOR: Final = b"rerun:is_indicator"
_COMPONENTS: Final = b"rerun.components."
_ARCHETYPES: Final = (b"rerun.archetypes.", b"rerun.blueprint.archetypes.")

_RENAMED_ARCHETYPES: Final[Mapping[bytes, tuple[bytes, Mapping[bytes, bytes]]]] = MappingProxyType(
    {
        b"rerun.archetypes.Scalar": (b"rerun.archetypes.Scalars", {b"scalar": b"scalars"}),
        b"rerun.archetypes.SeriesLine": (
            b"rerun.archetypes.SeriesLines",
            {b"color": b"colors", b"width": b"widths", b"name": b"names"},
        ),
        b"rerun.archetypes.SeriesPoint": (
            b"rerun.archetypes.SeriesPoints",
            {
                b"color": b"colors",
                b"marker": b"markers",
                b"name": b"names",
                b"marker_size": b"marker_sizes",
            },
        ),
    }
)
"""Archetypes that got a new name in SDK 0.23, and their fields that did."""

_RENAMED_TYPES: Final[Mapping[bytes, bytes]] = MappingProxyType(
    {
        b"rerun.components.PoseTranslation3D": b"rerun.components.Translation3D",
        b"rerun.components.PoseRotationAxisAngle": b"rerun.components.RotationAxisAngle",
        b"rerun.components.PoseRotationQuat": b"rerun.components.RotationQuat",
        b"rerun.components.PoseScale3D": b"rerun.components.Scale3D",
        b"rerun.components.PoseTransformMat3x3": b"rerun.components.TransformMat3x3",
    }
)

_VERSION: Final = re.compile(
    rb"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
)


class Migrated(NamedTuple):
    """A schema in the current form.

    Attributes:
        schema: The schema.
        positions: For each of its columns, the number of the column in the original schema.
    """

    schema: pa.Schema
    positions: tuple[int, ...]


@dataclass(slots=True)
class _Column:
    """A column during migration."""

    position: int
    name: str
    metadata: dict[bytes, bytes]


class _Draft(NamedTuple):
    """A schema during migration."""

    metadata: dict[bytes, bytes]
    columns: list[_Column]


def migrated(schema: pa.Schema) -> Migrated | None:
    """Return a schema in the form of current SDKs; `None` if it has that form already.

    A schema whose version is invalid or newer than ours is treated as current, as in Rerun.

    Args:
        schema: The schema of a message.
    """
    metadata = dict(schema.metadata or {})
    version = _version(metadata)
    steps = [step for target, step in _STEPS if version < target]
    if not steps:
        return None
    draft = _Draft(
        metadata,
        [
            _Column(position, column.name, dict(column.metadata or {}))
            for position, column in enumerate(schema)
        ],
    )
    for step in steps:
        draft = step(draft)
    draft.metadata[SORBET_VERSION] = CURRENT_VERSION
    fields = [
        schema.field(one.position).with_name(one.name).with_metadata(one.metadata)
        for one in draft.columns
    ]
    positions = tuple([one.position for one in draft.columns])
    return Migrated(pa.schema(fields, metadata=draft.metadata), positions)


_Version = tuple[int, int, int, bool]
"""Three numbers, and whether it is a release; pre-releases are less than the release."""


def _version(metadata: Mapping[bytes, bytes]) -> _Version:
    if SORBET_VERSION in metadata:
        match = _VERSION.fullmatch(metadata[SORBET_VERSION])
        if match is None:
            return _STEPS[-1][0]
        major, minor, patch = (int(number) for number in match.groups()[:3])
        return major, minor, patch, match[4] is None
    is_old = any(key.startswith(_OLD) for key in metadata)
    return 0, 0, 2 if b"rerun:version" in metadata and not is_old else 1, True


# --- from version to version ---


def _to_0_0_2(draft: _Draft) -> _Draft:
    """Order columns as row ids, times, data; rename archetypes that got new names."""
    groups: tuple[list[_Column], ...] = ([], [], [])
    for column in draft.columns:
        kind = column.metadata.get(_OLD_KIND, b"data")
        group = 0 if kind in (b"control", b"row_id") else 1 if kind in (b"index", b"time") else 2
        groups[group].append(column)
        renamed = _RENAMED_ARCHETYPES.get(column.metadata.get(_OLD_ARCHETYPE, b""))
        if renamed is not None:
            column.metadata[_OLD_ARCHETYPE], fields = renamed
            name = column.metadata.get(_OLD_ARCHETYPE_FIELD)
            if name is not None:
                column.metadata[_OLD_ARCHETYPE_FIELD] = fields.get(name, name)
    return _Draft(draft.metadata, [column for group in groups for column in group])


def _to_0_1_0(draft: _Draft) -> _Draft:
    """Use a colon in keys, name components by archetype and field, move recording properties."""
    metadata, columns = draft
    keys = [*metadata, *(key for column in columns for key in column.metadata)]
    if any(key.startswith(_OLD) for key in keys):
        for column in columns:
            _rewire(column)
        metadata = {
            key.replace(_OLD, _NEW): value
            for key, value in metadata.items()
            if key != b"rerun.version"
        }
    _move_recording_info(metadata)
    for column in columns:
        column.name = column.name.replace("RecordingProperties", "RecordingInfo").replace(
            "property:recording:RecordingInfo:", "property:RecordingInfo:"
        )
        _move_recording_info(column.metadata)
        for key, value in column.metadata.items():
            column.metadata[key] = value.replace(b"RecordingProperties", b"RecordingInfo")
    return _Draft(metadata, columns)


def _move_recording_info(metadata: dict[bytes, bytes]) -> None:
    if metadata.get(ENTITY_PATH) == b"/__properties/recording":
        metadata[ENTITY_PATH] = b"/__properties"


def _rewire(column: _Column) -> None:
    """Name a component by archetype and field instead of by its type."""
    metadata = column.metadata
    for key in _RENAMED_KEYS:
        if key in metadata:
            metadata[_NEW + key.removeprefix(_OLD)] = metadata.pop(key)
    name = column.name.encode()
    if name.endswith(_INDICATOR):
        for key in (_OLD_ARCHETYPE, _OLD_ARCHETYPE_FIELD):
            metadata.pop(key, None)
        long_name = name if name.startswith(_OLD) else _COMPONENTS + name
        metadata[COMPONENT] = metadata.pop(_OLD_COMPONENT, long_name)
        return
    component_type = metadata.pop(_OLD_COMPONENT, None)
    if component_type is None:
        return
    archetype = metadata.pop(_OLD_ARCHETYPE, None)
    field = metadata.pop(_OLD_ARCHETYPE_FIELD, None)
    if field is None and (archetype is None or component_type.endswith(_INDICATOR)):
        metadata[COMPONENT] = component_type
        return
    if archetype is not None:
        metadata[ARCHETYPE] = archetype
    if field is None:
        metadata[COMPONENT] = component_type
    elif archetype is None:
        metadata[COMPONENT] = field
    else:
        metadata[COMPONENT] = b":".join((_short_name(archetype), field))
    metadata[COMPONENT_TYPE] = component_type


def _short_name(archetype: bytes) -> bytes:
    name = archetype.strip()
    for prefix in _ARCHETYPES:
        while name.startswith(prefix):
            name = name.removeprefix(prefix)
    return name


def _to_0_1_1(draft: _Draft) -> _Draft:
    """Remove indicator components, which marked that an archetype was logged."""
    return _Draft(draft.metadata, [one for one in draft.columns if not _is_indicator(one.metadata)])


def _is_indicator(metadata: Mapping[bytes, bytes]) -> bool:
    if _IS_INDICATOR in metadata:
        return metadata[_IS_INDICATOR] == b"true"
    component = metadata.get(COMPONENT, b"")
    return component.startswith(_COMPONENTS) and component.endswith(_INDICATOR)


def _to_0_1_2(draft: _Draft) -> _Draft:
    """Give poses the types of transforms; rename axis lengths and frames."""
    for column in draft.columns:
        metadata = column.metadata
        component_type = metadata.get(COMPONENT_TYPE)
        if component_type is not None:
            metadata[COMPONENT_TYPE] = _RENAMED_TYPES.get(component_type, component_type)
        component = metadata.get(COMPONENT)
        if component == b"Transform3D:axis_length":
            metadata[ARCHETYPE] = b"rerun.archetypes.TransformAxes3D"
            metadata[COMPONENT] = b"TransformAxes3D:axis_length"
        elif component == b"CoordinateFrame:frame_id":
            metadata[COMPONENT] = b"CoordinateFrame:frame"
    return draft


def _to_0_1_3(draft: _Draft) -> _Draft:
    """Rename `SeriesVisible` to `Visible`."""
    for column in draft.columns:
        if column.metadata.get(COMPONENT_TYPE) == b"rerun.components.SeriesVisible":
            column.metadata[COMPONENT_TYPE] = b"rerun.components.Visible"
    return draft


_STEPS: Final[tuple[tuple[_Version, Callable[[_Draft], _Draft]], ...]] = (
    ((0, 0, 2, True), _to_0_0_2),
    ((0, 1, 0, True), _to_0_1_0),
    ((0, 1, 1, True), _to_0_1_1),
    ((0, 1, 2, True), _to_0_1_2),
    ((0, 1, 3, True), _to_0_1_3),
)
