"""Where photos and annotations lie below data/raw, in the layout of the official FoodSeg103 archive."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from pipeline.datasets.index import Category
from pipeline.datasets.problems import Problem, ProblemKind
from pipeline.datasets.prompts import Prompt
from pipeline.runtime.errors import DatasetError

# Names and numbers of the foods: `category_id.txt` and the extra categories of the user.


CATEGORY_FILE = "category_id.txt"
BACKGROUND = 0
"""Value of label maps that is no food, whatever name the file gives it."""
LARGEST_ID = 255
"""Label maps hold one byte a pixel."""

_LINE = re.compile(r"([0-9]+)[ \t]+(.*\S)")


def fold_name(name: str) -> str:
    """Return the spelling under which names are compared: no outer blanks, single inner blanks, no capitals."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def load_category_names(raw: Path) -> dict[int, str]:
    """Read `category_id.txt` below `raw`.

    Returns:
        Folded name by id, background included if the file has it.

    Raises:
        DatasetError: If the file is absent, not UTF-8, or not a list of ids and names.
    """
    path = raw / CATEGORY_FILE
    text = read_listing(path)
    try:
        return parse_category_names(text)
    except ValueError as error:
        raise DatasetError(f"{path}: {error}; write one `id name` a line, ids from 0 to {LARGEST_ID}") from error


def read_listing(path: Path) -> str:
    """Return the text of a list, without a byte order mark and with single line feeds as line ends.

    Raises:
        DatasetError: If the file is absent or not UTF-8.
    """
    if not path.is_file():
        raise DatasetError(
            f"{path}: no such file; data/raw needs Images, ImageSets and category_id.txt as in FoodSeg103"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8 text; save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_category_names(text: str) -> dict[int, str]:
    """Return folded name by id from lines `id name`, separated by blanks or tabs; ids may have gaps.

    Raises:
        ValueError: If a line has another form or an unprintable name, an id or a name comes twice, or no food is named.
    """
    names: dict[int, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            category_id, name = _parse_line(line, number)
            if category_id in names or name in names.values():
                raise ValueError(f"line {number}: id {category_id} or name {name!r} comes twice")
            names[category_id] = name
    if not names.keys() - {BACKGROUND}:
        raise ValueError("no category but the background")
    return names


def _parse_line(line: str, number: int) -> tuple[int, str]:
    match = _LINE.fullmatch(line.strip())
    if match is None or len(match[1]) > len("0255") or int(match[1]) > LARGEST_ID:
        raise ValueError(f"line {number}: {line.strip()!r} is no id from 0 to {LARGEST_ID} and a name")
    name = fold_name(match[2])
    if not name.isprintable():
        raise ValueError(f"line {number}: {name!a} has characters that cannot be printed")
    return int(match[1]), name


def number_categories(names: dict[int, str], extra: Iterable[str]) -> tuple[Category, ...]:
    """Join the categories of the file with extra ones and number the targets.

    Args:
        names: Folded name by id; id 0 is background and gets no target.
        extra: Folded names; those absent from `names` get the ids after the highest, in sorted order.

    Returns:
        Categories in target order, which is the order of ids.

    Raises:
        DatasetError: If an extra category has the background's name or none, or one that cannot be printed.
    """
    extra = set(extra)
    if refused := extra & {"", names.get(BACKGROUND, "background")}:
        raise DatasetError(f"extra category {refused.pop()!r}: background is no food; rename it in download.extra")
    if unprintable := sorted(name for name in extra if not name.isprintable()):
        raise DatasetError(f"extra category {unprintable[0]!a} has characters that cannot be printed; rename it")
    foods = {i: name for i, name in names.items() if i != BACKGROUND}
    new = sorted(extra - set(foods.values()))
    foods |= dict(enumerate(new, start=max(names) + 1))
    return tuple(Category(id=i, name=foods[i], target=target) for target, i in enumerate(sorted(foods)))


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
