"""Pack a data set like the official archive: a ZIP under the old ZipCrypto password scheme."""

import os
from pathlib import Path

from rustyzipper import CompressionLevel, EncryptionMethod, compress_files

from pipeline.demo.dataset import ROOT
from pipeline.errors import ArchiveError

FILE_TIME = 946_684_800
"""2000-01-01 in Unix seconds: ZIP entries record the time of a file, and archives must not differ by the hour."""


def pack_archive(folder: Path, archive: Path, *, password: str) -> None:
    """Write every file below `folder/FoodSeg103` to a ZIP, entries from `FoodSeg103/` on; same files, same bytes.

    Raises:
        ArchiveError: If there is nothing to pack.
    """
    files = sorted(path for path in (folder / ROOT).rglob("*") if path.is_file())
    if not files:
        raise ArchiveError(f"{folder / ROOT}: holds no files to pack; write the demo there first")
    for path in files:
        os.utime(path, (FILE_TIME, FILE_TIME))
    compress_files(
        [str(path) for path in files],
        str(archive),
        password=password,
        encryption=EncryptionMethod.ZIPCRYPTO,
        compression_level=CompressionLevel.FAST,
        prefixes=[path.parent.relative_to(folder).as_posix() for path in files],
        suppress_warning=True,  # the scheme is weak, and the one of the official archive
    )
