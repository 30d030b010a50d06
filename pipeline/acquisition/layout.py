"""The official FoodSeg103 layout: which files belong to it, and which must be there."""

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

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
    """Return every prefix ("" or "<folder>/") that holds an `Images` folder, sorted."""
    levels = (path.split("/") for path in paths)
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


def official_files(folder: Path) -> Iterator[str]:
    """Yield the official files below a folder on disk, sorted by part; links are followed."""
    for part in sorted({(folder / part).parent if Path(part).suffix else folder / part for part in PARTS}):
        if part.is_dir():
            names = sorted(path.relative_to(folder).as_posix() for path in part.iterdir() if path.is_file())
            yield from (name for name in names if is_official(name))
