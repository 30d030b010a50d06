"""Read Parquet files without trusting them: other columns, missing values and damage all end in one line."""

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ManifestError

DAMAGE = (pa.ArrowException, OSError, ValueError, MemoryError)
"""What pyarrow raises on damaged files."""


def damaged(path: Path, error: Exception, stage: str) -> ManifestError:
    """Return the error for a file that cannot be used as it is."""
    reason = " ".join(str(error).split())
    return ManifestError(f"{path}: not a readable Parquet file ({reason}); run `dvc repro -f {stage}`")


def read_table(
    path: Path, schema: pa.Schema, *, version: int, stage: str, rows: int | None = None, optional: Collection[str] = ()
) -> pa.Table:
    """Return the table of a file, each column in one piece.

    Args:
        path: File to read.
        schema: Columns it must have, without metadata.
        version: Version of this layout, for the message.
        stage: Stage that writes such files, for the message.
        rows: Rows it must have, if known.
        optional: Columns that may lack values.

    Raises:
        ManifestError: If the file is damaged, has other columns or another number of rows, or lacks values.
    """
    try:
        table = pq.read_table(path).combine_chunks()
        if table.schema.equals(schema):
            table.validate(full=True)
    except DAMAGE as error:
        raise damaged(path, error, stage) from error
    if not table.schema.equals(schema):
        raise ManifestError(f"{path}: columns differ from version {version}; run `dvc repro -f {stage}`")
    if rows is not None and len(table) != rows:
        raise ManifestError(f"{path}: {len(table)} rows, not the {rows} of the manifest; run `dvc repro -f {stage}`")
    for name in schema.names:
        if name not in optional and table[name].null_count:
            raise ManifestError(f"{path}: lacks values in column {name!r}; run `dvc repro -f {stage}`")
    return table
