"""Read Parquet files that may be damaged or have other columns; every fault becomes a one-line error."""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.params.base import dvc_command
from pipeline.runtime.errors import ManifestError, raise_if_machine_error

DAMAGE = (pa.ArrowException, OSError, ValueError, MemoryError)  # raised by pyarrow on damaged files


def damaged(path: Path, error: Exception, stage: str) -> ManifestError:
    """Return the error for a file that cannot be read.

    Raises:
        MachineError: If the disk fails or too many files are open: the file may be intact.
    """
    reason, again = " ".join(str(error).split()), dvc_command(stage, again=True)
    if isinstance(error, MemoryError):  # the machine's, or a damaged file claims to be larger than it is
        advice = f"free memory and run the same command again; if that does not help, run {again}"
        return ManifestError(f"{path}: not enough memory for what it says to hold ({reason}); {advice}")
    raise_if_machine_error(path, error)
    return ManifestError(f"{path}: not a readable Parquet file ({reason}); run {again}")


def check_row_counts(footer: pq.FileMetaData) -> None:
    """Raise `ValueError` if the row groups of a file do not add up to its rows.

    pyarrow reserves memory for what each group claims: 20 GB for a file of 3 kB.
    """
    groups = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
    if sum(groups) != footer.num_rows or min(groups, default=0) < 0:
        raise ValueError(f"row groups of {groups} rows in a file of {footer.num_rows}")


def read_sound(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Return the table of a file; raise an error of `DAMAGE` if it is not valid."""
    check_row_counts(pq.read_metadata(path))
    table = pq.read_table(path, columns=columns)
    table.validate(full=True)
    return table


class TableLayout(NamedTuple):
    """Schema that a kind of file must have."""

    schema: pa.Schema  # its columns, without metadata
    version: int  # version of the layout, for messages
    stage: str  # stage that writes such files, for messages
    optional: tuple[str, ...] = ()  # columns that may have nulls


def read_table(path: Path, layout: TableLayout, *, rows: int | None = None) -> pa.Table:
    """Return the table of a file, which must have this layout and so many rows, if known.

    Raises:
        ManifestError: If the file is damaged, has other columns or another number of rows, or lacks values.
    """
    again = f"run {dvc_command(layout.stage, again=True)}"
    try:
        table = read_sound(path).combine_chunks()
    except DAMAGE as error:
        raise damaged(path, error, layout.stage) from error
    if not table.schema.equals(layout.schema):
        raise ManifestError(f"{path}: columns differ from version {layout.version}; {again}")
    if rows is not None and len(table) != rows:
        raise ManifestError(f"{path}: {len(table)} rows, not the {rows} of the manifest; {again}")
    for name in layout.schema.names:
        column = table[name]
        nested = pa.types.is_fixed_size_list(column.type) and any(chunk.values.null_count for chunk in column.chunks)
        if name not in layout.optional and (column.null_count or nested):
            raise ManifestError(f"{path}: lacks values in column {name!r}; {again}")
    return table
