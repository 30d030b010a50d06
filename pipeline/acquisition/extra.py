"""Photos of categories that the release lacks (ketchup, chili paste), brought by the user; see docs/data.md."""

import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pipeline.acquisition.entries import LONGEST_PART, folded
from pipeline.acquisition.prompts import PROMPTS, read_prompts, write_prompts
from pipeline.errors import DatasetError, ParamsError

SPLITS = ("train", "test")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MASK_SUFFIX = ".mask.png"
CLUTTER = {"thumbs.db", "desktop.ini", "readme.txt", "readme.md"}


def copy_extra(extra: Mapping[str, str], destination: Path) -> None:
    """Copy `<folder>/{train,test}` of every category to `destination/<category>/`, once everything has been checked.

    Args:
        extra: User's folder by category name.
        destination: Folder that is made anew; absent afterwards if there are no extra categories.

    Raises:
        ParamsError: If a category name or folder cannot be used.
        DatasetError: If a photo has no mask and no prompts, or both, or a file has no place here.
    """
    shutil.rmtree(destination, ignore_errors=True)
    _check_names(extra)
    for category, place in sorted(extra.items()):
        folder = Path(place).expanduser()
        splits = [split for split in SPLITS if (folder / split).is_dir()]
        if not splits:
            raise ParamsError(f"{folder}: no folder train or test for {category!r}; correct download.extra")
        for split in splits:
            _copy_split(folder / split, destination / category / split)


def _check_names(categories: Collection[str]) -> None:
    for name in categories:
        if not _can_be_folder(name):
            raise ParamsError(
                f"download.extra: {name!a} cannot be a category; use letters, digits and blanks, none at the ends"
            )
    if clash := _same(categories):
        raise ParamsError(f"download.extra: {clash[0]!a} and {clash[1]!a} are one category; keep one of them")


def _can_be_folder(name: str) -> bool:
    plain = name == name.strip() and not name.startswith(".") and not set(name) & set('/\\:"')
    return plain and name.isprintable() and 0 < len(name.encode()) <= LONGEST_PART


def _same(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that some file systems cannot tell apart, if any."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        if (other := seen.setdefault(folded(name), name)) != name:
            return other, name
    return None


def _copy_split(source: Path, destination: Path) -> None:
    photos, masks = _sorted_out(source)
    prompts = read_prompts(source / PROMPTS, photos)
    _check_regions(source, photos, masks, {row["photo"] for row in prompts})
    destination.mkdir(parents=True)
    for name in (*photos, *masks):
        shutil.copyfile(source / name, destination / name)
    if prompts:
        write_prompts(prompts, destination / PROMPTS)


def _sorted_out(source: Path) -> tuple[list[str], list[str]]:
    """Return the names of the photos and of the masks of a split, sorted."""
    names = sorted(p.name for p in source.iterdir() if not (p.name.startswith(".") or p.name.casefold() in CLUTTER))
    masks = [name for name in names if name.endswith(MASK_SUFFIX)]
    photos = [name for name in names if _is_photo(source / name) and name not in masks]
    for name in set(names) - {*masks, *photos, PROMPTS}:
        raise DatasetError(
            f"{str(source / name)!a}: not a photo ({', '.join(PHOTO_SUFFIXES)}), a mask (<stem>{MASK_SUFFIX}) or "
            f"{PROMPTS}; convert or remove it"
        )
    for name in (*photos, *masks):
        if not name.isprintable() or "\\" in name:
            raise DatasetError(f"{str(source / name)!a}: its name has control characters or a backslash; rename it")
    return photos, masks


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in PHOTO_SUFFIXES and path.is_file()


def _check_regions(source: Path, photos: list[str], masks: list[str], prompted: set[str]) -> None:
    """See to it that every photo has one region of interest, given in one way, and that nothing is left over."""
    stems = {Path(name).stem: name for name in photos}
    if len(stems) < len(photos) or (clash := _same(stems)):
        twins = [name for name in photos if stems[Path(name).stem] != name] or [stems[stem] for stem in clash or ()]
        raise DatasetError(f"{str(source / twins[0])!a}: another photo has the same name; rename one")
    masked = {stems.get(name.removesuffix(MASK_SUFFIX)): name for name in masks}
    if None in masked:
        raise DatasetError(f"{str(source / masked[None])!a}: a mask without photo; add the photo or remove it")
    for name in photos:
        if (name in masked) == (name in prompted):
            state = (
                "both a mask and prompts; remove one"
                if name in masked
                else (f"no mask {Path(name).stem}{MASK_SUFFIX} and no line in {PROMPTS}; add one")
            )
            raise DatasetError(f"{str(source / name)!a}: has {state}")
