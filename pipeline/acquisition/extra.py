"""Copy photos of categories that the release lacks (ketchup, chili paste), brought by the user; see docs/data.md."""

import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePath
from unicodedata import normalize

from pipeline.acquisition.archive import LONGEST_PART, folded
from pipeline.acquisition.source import note_ignored, refuse_outside_links
from pipeline.datasets.layout import OFFICIAL_SPLITS, PROMPTS, is_clutter
from pipeline.datasets.prompts import COLUMNS, parse_prompts
from pipeline.imaging.decode import HEIF, HEIF_ADVICE, HEIF_ENDINGS
from pipeline.runtime.errors import DatasetError, ParamsError
from pipeline.runtime.resources import catch_disk_full, ensure_space

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".heic", ".heif")
MASK_SUFFIX = ".mask.png"


def copy_extra(extra: Mapping[str, str], destination: Path) -> None:
    """Copy `<folder>/{train,test}` of every category to `destination/<category>/`, each after it was checked.

    `destination` is replaced, and absent if there are no extra categories.

    Raises:
        ParamsError: If a category name or folder cannot be used.
        DatasetError: If a photo has no mask and no prompts, or both, or a file has no place here.
        SpaceError: If the disk has no room for the photos.
    """
    shutil.rmtree(destination, ignore_errors=True)
    for name in extra:
        plain = name == name.strip() and not name.startswith(".") and not set(name) & set('/\\:"')
        if not (plain and name.isprintable() and 0 < len(name.encode()) <= LONGEST_PART):
            raise ParamsError(
                f"download.extra: {name!a} cannot be a category; use letters, digits and blanks, none at the ends"
            )
    if clash := _same_name(extra):
        raise ParamsError(f"download.extra: {clash[0]!a} and {clash[1]!a} are one category; keep one of them")
    for category, place in sorted(extra.items()):
        folder = Path(place).expanduser()
        splits = [split for split in OFFICIAL_SPLITS if (folder / split).is_dir()]
        if not splits:
            raise ParamsError(f"{folder}: no folder train or test for {category!r}; correct download.extra")
        for split in splits:
            names, copy = _checked_names(folder / split), destination / category / split
            copy.mkdir(parents=True)
            size = sum((folder / split / name).stat().st_size for name in names)
            ensure_space(copy, size)
            with catch_disk_full(copy, size):
                for name in names:
                    shutil.copyfile(folder / split / name, copy / name)


def _same_name(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that are one on some file systems, if any."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        if folded(name) in seen:
            return seen[folded(name)], name
        seen[folded(name)] = name
    return None


def _checked_names(source: Path) -> list[str]:
    """Return the names of photos, masks and sidecar, each of which can be used; refuse any other file."""
    present = sorted(path.name for path in source.iterdir())
    names = [name for name in present if not is_clutter(PurePath(name))]
    note_ignored(set(present) - set(names))
    for name in names:
        refuse_outside_links(source / name, source.resolve())
        if not ((source / name).is_file() and (name == PROMPTS or name.lower().endswith(PHOTO_SUFFIXES))):
            raise DatasetError(
                f"{str(source / name)!a}: not a photo ({', '.join(PHOTO_SUFFIXES)}), a mask (<stem>{MASK_SUFFIX}) or "
                f"{PROMPTS}; convert or remove it"
            )
        if name.lower().endswith(HEIF_ENDINGS) and not HEIF:
            raise DatasetError(f"{str(source / name)!a}: HEIC, the format of iPhones; {HEIF_ADVICE}")
        if not name.isprintable() or "\\" in name:
            raise DatasetError(f"{str(source / name)!a}: its name has control characters or a backslash; rename it")
    _check_regions(source, names)
    return names


def _check_regions(source: Path, names: Collection[str]) -> None:
    """Check that every photo has either a mask or prompts, and that every mask and prompt has a photo."""
    prompted: set[str] = set()
    if PROMPTS in names:
        try:
            text = (source / PROMPTS).read_text(encoding="utf-8-sig")
            prompted = {_stem(name) for name in parse_prompts(text)}
        except ValueError as error:  # UnicodeDecodeError is one
            advice = f"save it as CSV in UTF-8 with columns {','.join(COLUMNS)}"
            raise DatasetError(f"{source / PROMPTS}: {error}; {advice}") from error
    files = [name for name in names if name != PROMPTS]
    photos = {_stem(name): name for name in files if not name.endswith(MASK_SUFFIX)}
    masks = {normalize("NFC", name.removesuffix(MASK_SUFFIX)): name for name in files if name.endswith(MASK_SUFFIX)}
    if clash := _same_name(_stem(name) for name in files if not name.endswith(MASK_SUFFIX)):
        raise DatasetError(f"{str(source / clash[0])!a}: several photos have this name; rename all but one")
    for stem in sorted(masks.keys() - photos.keys()):
        raise DatasetError(f"{str(source / masks[stem])!a}: a mask without photo; add the photo or remove the mask")
    for stem in sorted(prompted - photos.keys()):
        raise DatasetError(f"{source / PROMPTS}: names {stem!a}, no photo beside it; correct the name or drop the line")
    for stem, name in photos.items():
        if stem in masks and stem in prompted:
            raise DatasetError(f"{str(source / name)!a}: has a mask and prompts; remove one of them")
        if stem not in masks and stem not in prompted:
            raise DatasetError(
                f"{str(source / name)!a}: has no mask and no prompts; add {stem}{MASK_SUFFIX} or a line in {PROMPTS} "
                "(`python -m pipeline propose` shows masks to choose from)"
            )


def _stem(name: str) -> str:
    """Return a photo's name without suffix, in composed Unicode; other names whole."""
    return normalize("NFC", Path(name).stem if name.lower().endswith(PHOTO_SUFFIXES) else name)
