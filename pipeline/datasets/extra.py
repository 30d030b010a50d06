"""Photos of extra categories below data/raw/extra: one food a photo, with a binary mask or prompts.

Layout: `extra/<category>/<train or test>/<stem>.<suffix>` beside `<stem>.mask.png` (the food in one colour on black) or
named in `prompts.csv` of the same folder by file name or stem. Where both are there the mask counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.official import (
    SPLITS,
    UNPRINTABLE,
    PhotoFiles,
    ambiguous,
    files_by_stem,
    fold_name,
    is_picture,
    not_listed,
    read_listing,
    stem_of,
)
from pipeline.datasets.problems import FIXES, Problem, ProblemKind
from pipeline.datasets.prompts import Prompt, parse_prompts
from pipeline.runtime.errors import DatasetError

EXTRA = "extra"
PROMPTS = "prompts.csv"
MASK = ".mask"
"""What follows the photo's stem in the stem of its mask."""


def extra_folders(raw: Path) -> list[Path]:
    """Return the folders of extra categories, sorted by name."""
    root = raw / EXTRA
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def find_extra(raw: Path) -> Iterator[PhotoFiles | Problem]:
    """Yield every photo of extra categories, and what is wrong with their folders."""
    for folder in extra_folders(raw):
        below = f"{EXTRA}/{folder.name}"
        yield from not_listed(below, files_by_stem(folder), SPLITS)
        for split in SPLITS:
            yield from _find_in(_SplitFolder(folder / split, f"{below}/{split}", fold_name(folder.name), split))


@dataclass(frozen=True, slots=True)
class _SplitFolder:
    path: Path
    below: str
    category: str
    split: str


def _find_in(folder: _SplitFolder) -> Iterator[PhotoFiles | Problem]:
    files = files_by_stem(folder.path)
    photos = {stem: names for stem, names in files.items() if is_picture(names[0]) and not stem.endswith(MASK)}
    sidecar = f"{folder.below}/{PROMPTS}"
    prompts: Mapping[str, tuple[Prompt, ...]] = {}
    try:
        prompts = _prompts_by_stem(folder.path) if PROMPTS in files else {}
    except ValueError as error:
        yield Problem(ProblemKind.PROMPTS_UNREADABLE, sidecar, f"{error}; {FIXES[ProblemKind.PROMPTS_UNREADABLE]}")
    except DatasetError as error:
        yield Problem(ProblemKind.PROMPTS_UNREADABLE, sidecar, str(error).removeprefix(f"{folder.path / PROMPTS}: "))
    for stem, names in photos.items():
        yield _join(folder, names, files.get(stem + MASK, ()), prompts.get(stem, ()))
    yield from not_listed(folder.below, files, [*photos, *(stem + MASK for stem in photos), PROMPTS])
    for stem in sorted(prompts.keys() - photos.keys()):
        yield Problem(ProblemKind.PHOTO_ABSENT, sidecar, f"names {stem}, which has no photo beside it")


def _prompts_by_stem(folder: Path) -> dict[str, tuple[Prompt, ...]]:
    joined: dict[str, tuple[Prompt, ...]] = {}
    for name, prompts in parse_prompts(read_listing(folder / PROMPTS)).items():
        joined[stem_of(name)] = joined.get(stem_of(name), ()) + prompts
    return joined


def _join(
    folder: _SplitFolder, photos: Sequence[str], masks: Sequence[str], prompts: tuple[Prompt, ...]
) -> PhotoFiles | Problem:
    path = f"{folder.below}/{photos[0]}"
    for names in (photos, masks):
        if len(names) > 1:
            return Problem(ProblemKind.AMBIGUOUS_FILES, f"{folder.below}/{names[0]}", ambiguous(names))
    if not path.isprintable():
        return Problem(ProblemKind.NAME_UNUSABLE, path, UNPRINTABLE)
    if not masks and not prompts:
        return Problem(ProblemKind.ANNOTATION_ABSENT, path, "neither a mask nor prompts say where the food is")
    return PhotoFiles(
        photo_id=f"{folder.split}/{folder.category}-{stem_of(photos[0])}".replace(" ", "_"),
        split=folder.split,
        photo_path=path,
        annotation_path=f"{folder.below}/{masks[0]}" if masks else None,
        category=folder.category,
        prompts=() if masks else prompts,
    )
