"""Digests of answers, independent of how rows are divided into chunks and encoded in Arrow."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.store import StoreSnapshot


def digest_table(table: pa.Table) -> str:
    """Return a digest of all columns with their names, in order.

    It does not depend on how columns are chunked or how Arrow encodes their values.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    for name in table.column_names:
        digest.update(name.encode())
        for chunk in [_one_array(table.column(name))]:
            _update(digest, chunk)
    return f"{table.num_rows}x{table.num_columns}:{digest.hexdigest()[:16]}"


def digest_snapshot(snapshot: StoreSnapshot) -> dict[str, str]:
    """Return a digest of all data of each entity in a Forebay store.

    Args:
        snapshot: The store.

    Returns:
        A digest by entity path; equal to that of `digest_rerun` for the same rows.
    """
    return {
        str(path): _digest_batches(
            chunk.batch for chunk in (*snapshot.chunks(path), *snapshot.static_chunks(path))
        )
        for path in snapshot.entity_paths()
    }


def digest_rerun(store: Any) -> dict[str, str]:
    """Return a digest of all data of each entity in a Rerun store.

    Args:
        store: A chunk store of the Rerun SDK.

    Returns:
        A digest by entity path.
    """
    batches: dict[str, list[pa.RecordBatch]] = {}
    for chunk in store.stream().to_chunks():
        batches.setdefault(chunk.entity_path, []).append(chunk.to_record_batch())
    return {path: _digest_batches(found) for path, found in batches.items()}


def _digest_batches(batches: Iterable[pa.RecordBatch]) -> str:
    """Return a digest of the rows in the order of their ids, columns in the order of names."""
    tables = [pa.Table.from_batches([batch.replace_schema_metadata(None)]) for batch in batches]
    plain = [table.cast(_bare(table.schema)) for table in tables]
    table = pa.concat_tables(plain, promote_options="default").combine_chunks()
    row_ids = next(name for name in table.column_names if "RowId" in name)
    table = table.take(pc.sort_indices(table.column(row_ids).cast(pa.binary())))
    return digest_table(table.select(sorted(table.column_names)))


def _bare(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(field.name, field.type) for field in schema])


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _update(digest: Any, array: pa.Array) -> None:
    digest.update(len(array).to_bytes(8, "little"))
    digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_nested(array.type) and not pa.types.is_struct(array.type):
        if not pa.types.is_fixed_size_list(array.type):
            lengths = pc.fill_null(pc.list_value_length(array), 0)
            digest.update(lengths.to_numpy().astype(np.int64).tobytes())
        _update(digest, array.flatten())
    elif pa.types.is_struct(array.type):
        for child in array.flatten():
            _update(digest, child)
    elif pa.types.is_primitive(array.type):
        wide = array.cast(pa.int64()) if pa.types.is_temporal(array.type) else array
        zero = False if pa.types.is_boolean(array.type) else 0
        digest.update(np.ascontiguousarray(pc.fill_null(wide, zero).to_numpy(False)).tobytes())
    elif pa.types.is_null(array.type):
        pass
    else:
        for piece in array.to_pylist():
            data = piece.encode() if isinstance(piece, str) else piece or b""
            digest.update(len(data).to_bytes(4, "little") + data)
