"""Copy a data set that somebody has already extracted."""

import os
import shutil
from pathlib import Path, PurePath

from pipeline.acquisition.checksum import hash_file, hash_listing
from pipeline.acquisition.layout import missing_parts, note_ignored, official_files
from pipeline.acquisition.record import SourceRecord
from pipeline.console import ByteReport
from pipeline.datasets.layout import is_clutter
from pipeline.errors import SourceError
from pipeline.space import ensure_space, space_watched


def data_set_root(folder: Path) -> Path:
    """Return the folder that holds `Images`: the given one, or its only child that does.

    Raises:
        SourceError: If there is none, or more than one.
    """
    if (folder / "Images").is_dir():
        return folder
    found = sorted(path.parent for path in folder.glob("*/Images") if path.is_dir())
    inner = [path for path in found if not is_clutter(PurePath(path.name))]
    if len(inner) != 1:
        raise SourceError(f"{folder}: holds {len(inner)} data sets in the official layout, not one; see docs/data.md")
    return inner[0]


def copy_folder(source: Path, folder: Path, report: ByteReport) -> SourceRecord:
    """Copy the official files of an extracted data set; its SHA-256 is that of its `sha256sum` listing.

    Args:
        source: Folder in the official layout, with or without its top folder.
        folder: Destination.
        report: Told the copied bytes.

    Raises:
        SourceError: If the source is not in the official layout, or a link leads out of it.
        SpaceError: If the disk has no room for the files.
    """
    root = data_set_root(source)
    sizes = {name: (root / name).stat().st_size for name in official_files(root)}
    if missing := missing_parts(sizes):
        raise SourceError(f"{root}: not in the official layout: {', '.join(missing)} absent or empty; see docs/data.md")
    present = (Path(place, name).relative_to(root) for place, _, names in os.walk(root) for name in names)
    note_ignored({path.as_posix() for path in present} - sizes.keys())
    folder.mkdir(parents=True, exist_ok=True)
    total, done, hashes = sum(sizes.values()), 0, []
    ensure_space(folder, total)
    with space_watched(folder, total):
        for name, size in sizes.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, folder / name)
            hashes.append((name, hash_file(folder / name, _silent)))
            done += size
            report(done, total)
    return SourceRecord(sha256=hash_listing(hashes), bytes=total, name=root.name)


def _silent(_done: int, _total: int | None) -> None:
    """Say nothing: the files are small."""
