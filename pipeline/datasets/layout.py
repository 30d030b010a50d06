"""Where photos and annotations lie below data/raw, in the layout of the official FoodSeg103 archive."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from pipeline.datasets.categories import read_listing
from pipeline.datasets.problems import Problem, ProblemKind
from pipeline.datasets.prompts import Prompt

SPLITS = ("train", "test")
PHOTOS, LABEL_MAPS, LISTS = "Images/img_dir", "Images/ann_dir", "ImageSets"
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif"}
)
"""What may follow the stem of a photo or label map, in any case."""
UNPRINTABLE = "the name holds characters that cannot be printed"


@dataclass(frozen=True, slots=True)
class PhotoFiles:
    """One photo and what says where its foods are."""

    photo_id: str
    """`<split>/<stem>`, for extra categories `<split>/<category>-<stem>`."""
    split: str
    """`train` or `test`."""
    photo_path: str
    """Path of the photo below data/raw."""
    annotation_path: str | None
    """Path of the label map or binary mask below data/raw; None where prompts stand in."""
    category: str | None
    """Folded name of the extra category, whose mask is binary; None where a label map names the categories."""
    prompts: tuple[Prompt, ...]
    """Clicks and boxes; empty where there is a mask."""


def is_clutter(path: PurePath) -> bool:
    """Tell whether a path, below the folder that is read, is what macOS and Windows put beside files, or hidden."""
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return hidden or path.name.casefold() in {"thumbs.db", "desktop.ini"}


def is_utf8(path: PurePath) -> bool:
    """Tell whether a path can be written into a table or a message."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def stem_of(name: str) -> str:
    """Return a file name without the suffix of a picture, in composed Unicode; other names whole."""
    stem = name.removesuffix(PurePosixPath(name).suffix) if is_picture(name) else name
    return unicodedata.normalize("NFC", stem)


def is_picture(name: str) -> bool:
    """Tell by the suffix whether a file is a picture."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def parse_split_list(text: str) -> list[str]:
    """Return the stems of a file of ImageSets, one a line, with or without a suffix; blank lines are ignored."""
    return [stem_of(line.strip()) for line in text.split("\n") if line.strip()]


def files_by_stem(folder: Path) -> dict[str, list[str]]:
    """Return sorted file names by stem, without clutter; an absent folder is empty."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ():
        if not is_clutter(PurePath(name)):
            names[stem_of(name)].append(name)
    return dict(names)


def find_listed(raw: Path) -> Iterator[PhotoFiles | Problem]:
    """Yield every photo that the lists name, train before test and sorted by stem, and what is wrong with the lists.

    Raises:
        DatasetError: If a list is absent or not UTF-8.
    """
    lists = {split: Counter(parse_split_list(read_listing(raw / LISTS / f"{split}.txt"))) for split in SPLITS}
    yield from _repeated(lists)
    in_both = set.intersection(*(set(stems) for stems in lists.values()))
    for split, stems in lists.items():
        photos, label_maps = (files_by_stem(raw / folder / split) for folder in (PHOTOS, LABEL_MAPS))
        for stem in sorted(set(stems) - in_both):
            yield _join(split, stem, photos.get(stem, ()), label_maps.get(stem, ()))
        yield from not_listed(f"{PHOTOS}/{split}", photos, stems)
        yield from not_listed(f"{LABEL_MAPS}/{split}", label_maps, stems)


def not_listed(folder: str, files: Mapping[str, Sequence[str]], stems: Iterable[str]) -> Iterator[Problem]:
    """Yield a note for every file of a folder whose stem is not among `stems`."""
    for stem in sorted(set(files) - set(stems)):
        for name in files[stem]:
            yield Problem(ProblemKind.NOT_LISTED, f"{folder}/{name}", "no list names it")


def _repeated(lists: Mapping[str, Counter[str]]) -> Iterator[Problem]:
    for split, stems in lists.items():
        for stem in sorted(stem for stem, count in stems.items() if count > 1):
            yield Problem(ProblemKind.LISTED_TWICE, f"{LISTS}/{split}.txt", f"lists {stem} {stems[stem]} times")
    train, test = lists.values()
    for stem in sorted(train.keys() & test.keys()):
        yield Problem(ProblemKind.IN_BOTH_SPLITS, f"{LISTS}/test.txt", f"lists {stem}, as does {LISTS}/train.txt")


def _join(split: str, stem: str, photos: Sequence[str], label_maps: Sequence[str]) -> PhotoFiles | Problem:
    listed = f"{LISTS}/{split}.txt"
    if not photos and not label_maps:
        return Problem(ProblemKind.FILES_ABSENT, listed, f"lists {stem}, which has neither photo nor label map")
    if not photos:
        return Problem(ProblemKind.PHOTO_ABSENT, listed, f"lists {stem}, which has no photo in {PHOTOS}/{split}")
    if not label_maps:
        missing = f"lists {stem}, which has no label map in {LABEL_MAPS}/{split}"
        return Problem(ProblemKind.LABEL_MAP_ABSENT, listed, missing)
    for folder, names in ((PHOTOS, photos), (LABEL_MAPS, label_maps)):
        if len(names) > 1:
            return Problem(ProblemKind.AMBIGUOUS_FILES, f"{folder}/{split}/{names[0]}", ambiguous(names))
        if not names[0].isprintable():
            return Problem(ProblemKind.NAME_UNUSABLE, f"{folder}/{split}/{names[0]}", UNPRINTABLE)
    return PhotoFiles(
        photo_id=f"{split}/{stem}",
        split=split,
        photo_path=f"{PHOTOS}/{split}/{photos[0]}",
        annotation_path=f"{LABEL_MAPS}/{split}/{label_maps[0]}",
        category=None,
        prompts=(),
    )


def ambiguous(names: Sequence[str]) -> str:
    """Say that several files claim one stem."""
    return f"one stem, {len(names)} files: {', '.join(names)}"
