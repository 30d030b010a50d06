"""What is kept about the origin of `data/raw`: the same wherever the same bytes came from."""

from pathlib import Path

from pipeline.params.base import Section


class SourceRecord(Section):
    """Content of `data/raw/source.json`."""

    sha256: str
    """Hash of the archive, or of the `sha256sum` listing of a folder."""
    bytes: int
    """Size of the archive, or of the files of a folder."""
    name: str
    """File name of the archive, or name of the folder, without what lies above it."""


def write_record(record: SourceRecord, folder: Path) -> None:
    """Write `folder/source.json` as a new file: an older one may be a link into DVC's cache."""
    (folder / "source.json").unlink(missing_ok=True)
    record.write(folder / "source.json")
