"""Copy a data set that somebody has already extracted."""

import os
import re
import shlex
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePath, PurePosixPath

from pipeline.acquisition.source import SourceRecord, hash_file, hash_listing
from pipeline.datasets.official import is_clutter, is_utf8
from pipeline.runtime.console import ByteReport, note
from pipeline.runtime.errors import SourceError, counted
from pipeline.runtime.resources import ensure_space, space_watched

# The official FoodSeg103 layout: which files belong to it, and which must be there.


PARTS = (
    "Images/img_dir/train",
    "Images/img_dir/test",
    "Images/ann_dir/train",
    "Images/ann_dir/test",
    "ImageSets/train.txt",
    "ImageSets/test.txt",
    "category_id.txt",
)
"""Folders that hold at least one file, and files, without which there is no data set."""

_OFFICIAL = re.compile(
    r"Images/(img_dir|ann_dir)/(train|test)/(?!\.|Thumbs\.db$|desktop\.ini$)[^/]+"
    r"|ImageSets/(train|test)\.txt|category_id\.txt|Read[Mm]e\.txt"
)
SHOWN = 3


def is_official(path: str) -> bool:
    """Tell whether a file at `path`, below the common top folder, is part of the data set."""
    return _OFFICIAL.fullmatch(path) is not None


def top_folders(paths: Iterable[str]) -> list[str]:
    """Return every prefix ("" or "<folder>/") that holds an `Images` folder, sorted; clutter has none."""
    levels = (path.split("/") for path in paths if not is_clutter(PurePosixPath(path)))
    return sorted({"/".join([*level[:depth], ""]) for level in levels for depth in (0, 1) if _images_at(level, depth)})


def _images_at(level: list[str], depth: int) -> bool:
    return len(level) > depth + 1 and level[depth] == "Images"


def missing_parts(paths: Collection[str]) -> list[str]:
    """Return the parts of the official layout that are absent or empty."""
    return [part for part in PARTS if not any(p == part or p.startswith(f"{part}/") for p in paths)]


def summary(paths: Collection[str]) -> str:
    """Return the first few of many paths, and how many more there are."""
    first = ", ".join(ascii(path) for path in sorted(paths)[:SHOWN])
    return first + (f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else "")


def note_ignored(paths: Collection[str], why: str = "outside the official layout") -> None:
    """Say which files are left out, clutter of macOS and Windows by its number alone."""
    clutter = [path for path in paths if is_clutter(PurePosixPath(path))]
    if clutter:
        files = counted(len(clutter), "file")
        note(f"ignored {files} of macOS or Windows, or hidden (__MACOSX, ._*, .DS_Store, Thumbs.db)")
    if others := sorted(set(paths) - set(clutter)):
        note(f"ignored {counted(len(others), 'file')} {why}: {summary(others)}")


def official_files(folder: Path) -> Iterator[str]:
    """Yield the official files below a folder on disk, sorted by part; links are followed inside the folder.

    Raises:
        SourceError: If one is a link that leads out of the folder, or has a name that is not UTF-8.
    """
    inside = folder.resolve()
    for part in sorted({(folder / part).parent if Path(part).suffix else folder / part for part in PARTS}):
        if part.is_dir():
            names = sorted(path.relative_to(folder).as_posix() for path in part.iterdir() if path.is_file())
            for name in filter(is_official, names):
                if not is_utf8(PurePosixPath(name)):
                    raise SourceError(f"{str(folder / name)!a}: its name is not UTF-8; rename the file")
                refuse_outside_links(folder / name, inside)
                yield name


def refuse_outside_links(path: Path, folder: Path) -> None:
    """Refuse a file that lies elsewhere by a link: whoever made the folder decides what is in it, not what is copied.

    Args:
        path: File below `folder`.
        folder: Folder that is copied, resolved.

    Raises:
        SourceError: If a link on the way to the file leads out of the folder.
    """
    place = path.resolve()
    if not place.is_relative_to(folder):
        raise SourceError(
            f"{path}: a link leads out of the folder, to {place}; if that is meant, copy the files there: "
            f"cp -rL {shlex.quote(str(folder))} COPY, and name the copy"
        )


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
