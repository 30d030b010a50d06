"""The official FoodSeg103 layout: which files belong to it, and which must be there."""

import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

from pipeline.console import note
from pipeline.datasets.layout import is_clutter, is_utf8
from pipeline.errors import SourceError, counted

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
                refuse_way_out(folder / name, inside)
                yield name


def refuse_way_out(path: Path, folder: Path) -> None:
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
