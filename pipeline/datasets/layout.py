"""Layout of data/raw: the official FoodSeg103 archive, and photos of extra categories below `extra/`.

Extra photos show one food each: `extra/<category>/<train or test>/<stem>.<suffix>`, beside `<stem>.mask.png` (the food
in one colour on black) or named in `prompts.csv` of the same folder by file name or stem. A mask takes precedence.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from pipeline.datasets.index import Category
from pipeline.datasets.objects import AnnotatedObject
from pipeline.datasets.problems import Problem, ProblemKind
from pipeline.datasets.prompts import Prompt, parse_prompts
from pipeline.runtime.errors import DatasetError

CATEGORY_FILE = "category_id.txt"
BACKGROUND = 0  # value of label maps that is no food, whatever name the file gives it
LARGEST_ID = 65_535  # label maps hold one or two bytes a pixel
OFFICIAL_SPLITS = ("train", "test")
PHOTOS, LABEL_MAPS, LISTS, EXTRA = "Images/img_dir", "Images/ann_dir", "ImageSets", "extra"
PROMPTS = "prompts.csv"
MASK = ".mask"  # follows the photo's stem in the stem of its mask
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif"}
)
"""Suffixes of photos and label maps, in any case."""
UNPRINTABLE = "the name holds characters that cannot be printed"

_LINE = re.compile(r"([0-9]+)[ \t]+(.*\S)")


def fold_name(name: str) -> str:
    """Return the spelling under which names are compared: no outer blanks, single inner blanks, no capitals."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def load_category_names(raw: Path) -> dict[int, str]:
    """Return folded name by id from `category_id.txt` below `raw`, background included if the file has it.

    Raises:
        DatasetError: If the file is absent, not UTF-8, or not a list of ids and names.
    """
    path = raw / CATEGORY_FILE
    try:
        return parse_category_names(read_listing(path))
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
    for number, line in enumerate(map(str.strip, text.split("\n")), start=1):
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None or len(match[1]) > len("065535") or int(match[1]) > LARGEST_ID:
            raise ValueError(f"line {number}: {line!r} is no id from 0 to {LARGEST_ID} and a name")
        category_id, name = int(match[1]), fold_name(match[2])
        if not name.isprintable():
            raise ValueError(f"line {number}: {name!a} has characters that cannot be printed")
        if category_id in names or name in names.values():
            raise ValueError(f"line {number}: id {category_id} or name {name!r} comes twice")
        names[category_id] = name
    if not names.keys() - {BACKGROUND}:
        raise ValueError("no category but the background")
    return names


def format_category_names(names: Mapping[int, str]) -> str:
    """Return the one form of `category_id.txt`: lines `id name` in the order of ids."""
    return "".join(f"{number} {names[number]}\n" for number in sorted(names))


def format_split_list(stems: Iterable[str]) -> str:
    """Return the one form of a file of ImageSets: sorted stems, one a line."""
    return "".join(f"{stem}\n" for stem in sorted(stems))


def number_categories(
    names: dict[int, str], extra: Iterable[str], *, background: int | None = BACKGROUND
) -> tuple[Category, ...]:
    """Join the categories of the file with extra ones; return them in target order, which is the order of ids.

    Args:
        names: Folded name by id.
        extra: Folded names; those absent from `names` get the ids after the highest, in sorted order.
        background: Id that gets no target, if any.

    Raises:
        DatasetError: If an extra category has the background's name or none, or one that cannot be printed.
    """
    extra = set(extra)
    if refused := extra & {"", names.get(BACKGROUND, "background") if background == BACKGROUND else "background"}:
        raise DatasetError(f"extra category {refused.pop()!r}: background is no food; rename it in download.extra")
    if unprintable := sorted(name for name in extra if not name.isprintable()):
        raise DatasetError(f"extra category {unprintable[0]!a} has characters that cannot be printed; rename it")
    foods = {i: name for i, name in names.items() if i != background}
    new = sorted(extra - set(foods.values()))
    foods |= dict(enumerate(new, start=max(names) + 1))
    return tuple(Category(id=i, name=foods[i], target=target) for target, i in enumerate(sorted(foods)))


@dataclass(frozen=True, slots=True)
class PhotoFiles:
    """Files of one photo: its pixels and its annotation."""

    photo_id: str  # `<split>/<stem>`, for extra categories `<split>/<category>-<stem>`
    split: str  # `train`, `validation` or `test`
    photo_path: str  # path of the photo below data/raw
    annotation_path: str | None  # label map, binary mask or file of objects below data/raw; None if prompts replace it
    category: str | None = None  # folded name of the extra category, whose mask is binary; else None
    prompts: tuple[Prompt, ...] = ()  # clicks and boxes; empty if there is a mask
    objects: tuple[AnnotatedObject, ...] = ()  # objects of all categories; empty if there is a label map or mask
    annotated_size: tuple[int, int] | None = None  # height and width by its annotation, or `RELATIVE`; None if unsaid


def is_clutter(path: PurePath) -> bool:
    """Tell whether a relative path is hidden, or one that macOS and Windows put beside files."""
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


def files_by_stem(folder: Path) -> dict[str, list[str]]:
    """Return sorted file names by stem, without clutter; an absent folder is empty."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ():
        if not is_clutter(PurePath(name)):
            names[stem_of(name)].append(name)
    return dict(names)


def parse_split_list(text: str) -> list[str]:
    """Return the stems of a file of ImageSets, one a line, with or without a suffix; blank lines are ignored."""
    return [stem_of(line.strip()) for line in text.split("\n") if line.strip()]


def normalise_lists(folder: Path) -> None:
    """Write `category_id.txt` and the lists in ImageSets in one form, so that equal contents are equal bytes.

    See `format_category_names`, with folded names, and `format_split_list`. A category file that cannot be parsed stays
    as it is, for stage `index` to refuse.

    Raises:
        DatasetError: If one is not UTF-8.
    """
    texts = {path: format_split_list(parse_split_list(read_listing(path))) for path in folder.glob(f"{LISTS}/*.txt")}
    for path in folder.glob(CATEGORY_FILE):
        with suppress(ValueError):
            texts[path] = format_category_names(parse_category_names(read_listing(path)))
    for path, text in texts.items():
        path.unlink()  # it may be linked from elsewhere
        path.write_bytes(text.encode())


def find_listed(raw: Path) -> Iterator[PhotoFiles | Problem]:
    """Yield every photo that the lists name, train before test and sorted by stem, and the problems of the lists."""
    lists = {split: Counter(parse_split_list(read_listing(raw / LISTS / f"{split}.txt"))) for split in OFFICIAL_SPLITS}
    for split, stems in lists.items():
        for stem in sorted(stem for stem, count in stems.items() if count > 1):
            yield Problem(ProblemKind.LISTED_TWICE, f"{LISTS}/{split}.txt", f"lists {stem} {stems[stem]} times")
    in_both = set.intersection(*(set(stems) for stems in lists.values()))
    for stem in sorted(in_both):
        yield Problem(ProblemKind.IN_BOTH_SPLITS, f"{LISTS}/test.txt", f"lists {stem}, as does {LISTS}/train.txt")
    for split, stems in lists.items():
        photos, label_maps = (files_by_stem(raw / folder / split) for folder in (PHOTOS, LABEL_MAPS))
        for stem in sorted(set(stems) - in_both):
            yield _listed_photo(split, stem, photos.get(stem, ()), label_maps.get(stem, ()))
        yield from _not_listed(f"{PHOTOS}/{split}", photos, stems)
        yield from _not_listed(f"{LABEL_MAPS}/{split}", label_maps, stems)


def _listed_photo(split: str, stem: str, photos: Sequence[str], label_maps: Sequence[str]) -> PhotoFiles | Problem:
    listed = f"{LISTS}/{split}.txt"
    if not photos and not label_maps:
        return Problem(ProblemKind.FILES_ABSENT, listed, f"lists {stem}, which has neither photo nor label map")
    if not photos:
        return Problem(ProblemKind.PHOTO_ABSENT, listed, f"lists {stem}, which has no photo in {PHOTOS}/{split}")
    if not label_maps:
        missing = f"lists {stem}, which has no label map in {LABEL_MAPS}/{split}"
        return Problem(ProblemKind.LABEL_MAP_ABSENT, listed, missing)
    return (
        _unusable(f"{PHOTOS}/{split}", photos)
        or _unusable(f"{LABEL_MAPS}/{split}", label_maps)
        or PhotoFiles(
            photo_id=f"{split}/{stem}",
            split=split,
            photo_path=f"{PHOTOS}/{split}/{photos[0]}",
            annotation_path=f"{LABEL_MAPS}/{split}/{label_maps[0]}",
        )
    )


def _unusable(folder: str, names: Sequence[str]) -> Problem | None:
    """Return the problem of the files of one stem: there are several, or the name cannot be printed."""
    path = f"{folder}/{names[0]}"
    if len(names) > 1:
        return Problem(ProblemKind.AMBIGUOUS_FILES, path, f"one stem, {len(names)} files: {', '.join(names)}")
    return None if path.isprintable() else Problem(ProblemKind.NAME_UNUSABLE, path, UNPRINTABLE)


def _not_listed(folder: str, files: Mapping[str, Sequence[str]], stems: Iterable[str]) -> Iterator[Problem]:
    for stem in sorted(set(files) - set(stems)):
        for name in files[stem]:
            yield Problem(ProblemKind.NOT_LISTED, f"{folder}/{name}", "no list names it")


def extra_folders(raw: Path) -> list[Path]:
    """Return the folders of extra categories, sorted by name."""
    root = raw / EXTRA
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def find_extra(raw: Path) -> Iterator[PhotoFiles | Problem]:
    """Yield every photo of extra categories, and the problems of their folders."""
    for folder in extra_folders(raw):
        below = f"{EXTRA}/{folder.name}"
        yield from _not_listed(below, files_by_stem(folder), OFFICIAL_SPLITS)
        for split in OFFICIAL_SPLITS:
            yield from _extra_photos(raw, f"{below}/{split}", fold_name(folder.name), split)


def _extra_photos(raw: Path, below: str, category: str, split: str) -> Iterator[PhotoFiles | Problem]:
    files, sidecar = files_by_stem(raw / below), f"{below}/{PROMPTS}"
    photos = {stem: names for stem, names in files.items() if is_picture(names[0]) and not stem.endswith(MASK)}
    prompts: dict[str, tuple[Prompt, ...]] = {}
    try:
        if PROMPTS in files:
            for name, found in parse_prompts(read_listing(raw / sidecar)).items():
                prompts[stem_of(name)] = prompts.get(stem_of(name), ()) + found
    except (ValueError, DatasetError) as error:
        fix = f"; {ProblemKind.PROMPTS_UNREADABLE.fix}" if isinstance(error, ValueError) else ""
        detail = str(error).removeprefix(f"{raw / sidecar}: ")
        yield Problem(ProblemKind.PROMPTS_UNREADABLE, sidecar, detail + fix)
    for stem, names in photos.items():
        masks = files.get(stem + MASK, [])
        if problem := _unusable(below, names) or (masks and _unusable(below, masks)):
            yield problem
        elif not masks and stem not in prompts:
            detail = "neither a mask nor prompts say where the food is"
            yield Problem(ProblemKind.ANNOTATION_ABSENT, f"{below}/{names[0]}", detail)
        else:
            yield PhotoFiles(
                photo_id=f"{split}/{category}-{stem}".replace(" ", "_"),
                split=split,
                photo_path=f"{below}/{names[0]}",
                annotation_path=f"{below}/{masks[0]}" if masks else None,
                category=category,
                prompts=() if masks else prompts[stem],
            )
    yield from _not_listed(below, files, [*photos, *(stem + MASK for stem in photos), PROMPTS])
    for stem in sorted(prompts.keys() - photos.keys()):
        yield Problem(ProblemKind.PHOTO_ABSENT, sidecar, f"names {stem}, which has no photo beside it")
