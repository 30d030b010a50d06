"""Read Parquet files without trusting them: other columns, missing values and damage all end in one line."""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.params.base import dvc_command
from pipeline.runtime.errors import ManifestError, raise_if_machine_error

DAMAGE = (pa.ArrowException, OSError, ValueError, MemoryError)
"""What pyarrow raises on damaged files."""


def damaged(path: Path, error: Exception, stage: str) -> ManifestError:
    """Return the error for a file that cannot be used as it is.

    Raises:
        MachineError: If the disk does not answer or too many files are open, which says nothing about the file.
    """
    reason, again = " ".join(str(error).split()), dvc_command(stage, again=True)
    if isinstance(error, MemoryError):  # the machine's, or a damaged file claims to be larger than it is
        advice = f"free memory and run the same command again; if that does not help, run {again}"
        return ManifestError(f"{path}: not enough memory for what it says to hold ({reason}); {advice}")
    raise_if_machine_error(path, error)
    return ManifestError(f"{path}: not a readable Parquet file ({reason}); run {again}")


def check_row_counts(footer: pq.FileMetaData) -> None:
    """Refuse a file whose row groups do not add up to its rows.

    pyarrow believes each group, and reserves memory for what it claims: 20 GB for a file of 3 kB.

    Raises:
        ValueError: If they do not.
    """
    groups = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
    if sum(groups) != footer.num_rows or min(groups, default=0) < 0:
        raise ValueError(f"row groups of {groups} rows in a file of {footer.num_rows}")


def read_sound(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Return the table of a file whose parts agree with each other.

    Raises:
        ValueError: If its numbers of rows do not; where it is damaged otherwise, another error of `DAMAGE`.
    """
    check_row_counts(pq.read_metadata(path))
    table = pq.read_table(path, columns=columns)
    table.validate(full=True)
    return table


class TableLayout(NamedTuple):
    """What a kind of file must hold."""

    schema: pa.Schema
    """Its columns, without metadata."""
    version: int
    """Version of the layout, for messages."""
    stage: str
    """Stage that writes such files, for messages."""
    optional: tuple[str, ...] = ()
    """Columns that may lack values."""


def read_table(path: Path, layout: TableLayout, *, rows: int | None = None) -> pa.Table:
    """Return the table of a file.

    Args:
        path: File to read.
        layout: What it must hold.
        rows: Rows it must have, if known.

    Raises:
        ManifestError: If the file is damaged, has other columns or another number of rows, or lacks values.
    """
    again = f"run `dvc repro -f {layout.stage}`"
    try:
        table = read_sound(path).combine_chunks()
    except DAMAGE as error:
        raise damaged(path, error, layout.stage) from error
    if not table.schema.equals(layout.schema):
        raise ManifestError(f"{path}: columns differ from version {layout.version}; {again}")
    if rows is not None and len(table) != rows:
        raise ManifestError(f"{path}: {len(table)} rows, not the {rows} of the manifest; {again}")
    for name in layout.schema.names:
        if name not in layout.optional and _lacks(table[name]):
            raise ManifestError(f"{path}: lacks values in column {name!r}; {again}")
    return table


def _lacks(column: pa.ChunkedArray) -> bool:
    """Tell whether a value is missing, at any depth."""
    nested = pa.types.is_fixed_size_list(column.type)
    return bool(column.null_count) or (nested and any(chunk.values.null_count for chunk in column.chunks))
