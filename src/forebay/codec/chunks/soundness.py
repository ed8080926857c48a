"""The validation of a record batch before it becomes a chunk.

pyarrow's full validation checks that each array is consistent by itself: buffers are long enough,
offsets rise and are within their child, null counts are correct, text is UTF-8, type ids are known.
The rest of the system relies on more, which is checked here:

- Buffers are within the body, begin at multiples of 8, and do not overlap. So a message cannot
  refer to one megabyte a thousand times, and bytes of a number have no second meaning. The patterns
  of `alike` and `batch_patterns` depend on this.
- Field nodes count no more values than the body can contain. Values without bytes (null types,
  structs without fields, fixed-size lists of size zero) could otherwise claim any number.
- Null counts are not negative. (pyarrow interprets -1 as "not counted".)
- Fixed-size lists, structs and sparse unions have children of exactly the length that follows from
  their own.
- Fields declared as not nullable have nulls only where their parents are null. Parquet writers and
  Rerun's reader reject others.

- The first offset of a list without values is within its child.

All but the last two follow from the message header, so they are checked once per distinct header.
The module is pure: it takes numbers, and raises `InvalidChunkError` or nothing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from pyarrow import lib

from forebay.chunk.arrays import flattened
from forebay.errors import InvalidChunkError
from forebay.limits import BODILESS_VALUES_PER_ROW_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.chunk import Chunk
    from forebay.codec.chunks.ipc import BatchHeader

ALIGNMENT: Final = 8
"""Buffers begin at multiples of this (required by Arrow's columnar format, which recommends 64)."""

_VALUES_PER_BYTE: Final = 8
"""The most values that a byte can hold: those of booleans and validity bitmaps."""


_WITH_OFFSETS: Final = {lib.Type_LIST: 4, lib.Type_LARGE_LIST: 8, lib.Type_MAP: 4}
"""Types of lists, and the bytes of one of their offsets."""
_HOLLOW: Final = frozenset((*_WITH_OFFSETS, lib.Type_SPARSE_UNION, lib.Type_DENSE_UNION))
"""See `NodeRules.hollow`."""


@dataclass(frozen=True, slots=True)
class NodeRules:
    """The rules that follow from a schema for the field nodes of its record batches.

    Attributes:
        num_nodes: The number of nodes: one for each field at any depth, parents first.
        children: Parent, child and factor, where a child has exactly `factor` times as many values
            as its parent.
        required: The nodes of fields that are not nullable.
        runs: The nodes of run-end encoded fields, which have any number of values without bytes.
            Their size is limited where they are decoded (`plain_types`).
        hollow: The nodes of lists and unions, which Arrow mishandles where they have no values:
            the first offset of an empty list is not validated, and following it ends the process;
            so does asking for the size of an empty union whose type ids are missing.
    """

    num_nodes: int
    children: tuple[tuple[int, int, int], ...]
    required: tuple[int, ...]
    runs: frozenset[int]
    hollow: tuple[int, ...]

    @classmethod
    def of(cls, schema: pa.Schema) -> NodeRules:
        """Return the rules for record batches of a schema.

        Args:
            schema: The schema of the message.
        """
        children: list[tuple[int, int, int]] = []
        required: list[int] = []
        runs: set[int] = set()
        hollow: list[int] = []
        count = 0
        for field in schema:
            count = _add_rules(field, count, children, required, runs, hollow)
        return cls(count, tuple(children), tuple(required), frozenset(runs), tuple(hollow))

    def has_nulls_where_none_may_be(self, header: BatchHeader) -> bool:
        """Return whether a field that is not nullable claims nulls.

        Such nulls are valid only where a parent is null, which `check_nulls` finds out.

        Args:
            header: The header of the record batch.
        """
        nodes = header.nodes
        return any(nodes[node][1] for node in self.required)

    def is_hollow(self, header: BatchHeader) -> bool:
        """Whether a list or union has no values; then `check_offsets`, and copy the batch."""
        nodes = header.nodes
        return not all(nodes[node][0] for node in self.hollow)


def _add_rules(  # noqa: PLR0917 - one list for each rule
    field: pa.Field,
    node: int,
    children: list[tuple[int, int, int]],
    required: list[int],
    runs: set[int],
    hollow: list[int],
) -> int:
    """Add the rules of a field and its children; return the number of the next node."""
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if not field.nullable:
        required.append(node)
    if kind.id in _HOLLOW:
        hollow.append(node)
    factor = None
    if kind.id in (lib.Type_STRUCT, lib.Type_SPARSE_UNION):
        factor = 1
    elif kind.id == lib.Type_FIXED_SIZE_LIST:
        factor = kind.list_size
    elif isinstance(kind, pa.RunEndEncodedType):
        runs.add(node)
    behind = node + 1
    for number in range(kind.num_fields):
        if factor is not None:
            children.append((node, behind, factor))
        behind = _add_rules(kind.field(number), behind, children, required, runs, hollow)
    return behind


def check_header(
    header: BatchHeader, rules: NodeRules, decompressed_bytes: int | None = None
) -> None:
    """Check that the header of a record batch can be true for its body.

    Args:
        header: The header.
        rules: The rules of its schema.
        decompressed_bytes: The claimed size of the buffers, if they are compressed individually.

    Raises:
        InvalidChunkError: It cannot; the message says what is wrong and where.
    """
    rows, nodes, buffers, body_length, _ = header
    if rows < 0:
        msg = f"the record batch claims {rows} rows"
        raise InvalidChunkError(msg)
    if len(nodes) != rules.num_nodes:
        msg = f"the record batch has {len(nodes)} field nodes; its schema has {rules.num_nodes}"
        raise InvalidChunkError(msg)
    data_bytes = body_length if decompressed_bytes is None else decompressed_bytes
    values_max = _VALUES_PER_BYTE * data_bytes + BODILESS_VALUES_PER_ROW_MAX * rows
    for number, (length, nulls) in enumerate(nodes):
        if not 0 <= nulls <= length <= values_max and not (
            number in rules.runs and 0 <= nulls <= length
        ):
            raise _wrong_node(header, number, values_max)
    for parent, child, factor in rules.children:
        if nodes[child][0] != factor * nodes[parent][0]:
            msg = (
                f"field node {child} of the record batch has {nodes[child][0]} values; "
                f"those of node {parent} need {factor * nodes[parent][0]}"
            )
            raise InvalidChunkError(msg)
    end = 0
    for offset, length in sorted(buffers):
        if length or offset < 0:  # The position of an empty buffer does not matter.
            if offset < end or length < 0 or offset % ALIGNMENT:
                raise _wrong_buffer(header, buffers.index((offset, length)))
            end = offset + length
            if end > body_length:
                raise _wrong_buffer(header, buffers.index((offset, length)))


def _wrong_node(header: BatchHeader, number: int, values_max: int) -> InvalidChunkError:
    length, nulls = header.nodes[number]
    if not 0 <= nulls <= length:
        return InvalidChunkError(
            f"field node {number} of the record batch claims {nulls} nulls in {length} values"
        )
    return InvalidChunkError(
        f"field node {number} of the record batch claims {length} values; "
        f"its bytes hold no more than {values_max}"
    )


def _wrong_buffer(header: BatchHeader, number: int) -> InvalidChunkError:
    offset, length = header.buffers[number]
    where = f"buffer {number} of the record batch ({length} bytes at {offset})"
    if not 0 <= offset <= offset + length <= header.body_length:
        return InvalidChunkError(f"{where} is outside the body of {header.body_length} bytes")
    if offset % ALIGNMENT:
        return InvalidChunkError(f"{where} does not begin at a multiple of {ALIGNMENT}")
    return InvalidChunkError(f"{where} and another one overlap")


def are_apart(extents: Iterable[tuple[int, int]]) -> bool:
    """Return whether no two ranges overlap; empty ranges are ignored.

    Args:
        extents: Begin and end (exclusive) of each range.
    """
    taken = sorted([extent for extent in extents if extent[0] < extent[1]])
    return all(one[1] <= other[0] for one, other in pairwise(taken))


def are_numbers_alone(
    chunk: Chunk, numbers: Iterable[tuple[int, int]], address: int, begin: int, end: int
) -> bool:
    """Return whether the numbers of a message may be replaced by any others without new validation.

    This holds if all buffers are within the body, none of them overlap, and each span of numbers is
    at the begin of a buffer. Then the spans contain only numbers: no offsets, bitmaps or type ids,
    no values of other columns, and nothing in front of the body.

    Args:
        chunk: The decoded chunk; its columns refer to the message.
        numbers: Begin and end of its numbers in the message.
        address: The memory address at which the message begins.
        begin: The begin of the body in the message.
        end: The end of the body in the message.
    """
    extents = [
        (buffer.address - address, buffer.address - address + buffer.size)
        for column in chunk.batch.columns
        for buffer in column.buffers()
        if buffer is not None and buffer.size
    ]
    if not all(begin <= first < stop <= end for first, stop in extents) or not are_apart(extents):
        return False
    stops = dict(extents)
    stretches = list(numbers)
    return are_apart(stretches) and all(
        first in stops and first < stop <= stops[first] for first, stop in stretches
    )


def check_offsets(batch: pa.RecordBatch) -> None:
    """See that the first offset of each list without values leads into what it has.

    Args:
        batch: Fully validated.

    Raises:
        InvalidChunkError: One does not; the message names the column.
    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if _leads_astray(column):
            msg = f"column {name!r} has a list without values whose offset leads out of its data"
            raise InvalidChunkError(msg)


def _leads_astray(array: pa.Array) -> bool:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _leads_astray(array.storage)
    if kind.id in _WITH_OFFSETS:
        size = _WITH_OFFSETS[kind.id]
        offsets = array.buffers()[1]
        if not len(array) and offsets is not None and offsets.size >= size:
            first = int.from_bytes(memoryview(offsets)[:size], sys.byteorder, signed=True)
            if not 0 <= first <= len(array.values):
                return True
        return _leads_astray(array.values)
    if isinstance(array, pa.StructArray | pa.UnionArray):
        return any(_leads_astray(array.field(number)) for number in range(kind.num_fields))
    if isinstance(array, pa.DictionaryArray):
        return _leads_astray(array.dictionary)
    return kind.num_fields > 0 and _leads_astray(array.values)


def check_nulls(batch: pa.RecordBatch) -> None:
    """Check that fields which are not nullable have nulls only where their parents are null.

    Args:
        batch: A record batch that passed pyarrow's full validation.

    Raises:
        InvalidChunkError: A field has others; the message names the column.
    """
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if _has_wrong_null(field, column):
            msg = f"column {field.name!r} has nulls in a field that is not nullable"
            raise InvalidChunkError(msg)


def _has_wrong_null(field: pa.Field, array: pa.Array) -> bool:
    kind = field.type
    if not field.nullable and array.null_count:
        return True
    if kind.id == lib.Type_STRUCT:
        # Flattened, a child is null where its parent is null; it must not be null elsewhere.
        for number, child in enumerate(flattened(array)):
            inner = kind.field(number)
            if not inner.nullable and child.null_count == array.null_count:
                inner = inner.with_nullable(True)
            if _has_wrong_null(inner, child):
                return True
        return False
    if kind.id in (lib.Type_LIST, lib.Type_LARGE_LIST, lib.Type_FIXED_SIZE_LIST):
        return _has_wrong_null(kind.field(0), array.flatten())
    if kind.id == lib.Type_MAP:
        # pyarrow has validated the keys.
        return _has_wrong_null(kind.item_field, array.items)
    return False
