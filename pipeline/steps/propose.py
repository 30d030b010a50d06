"""Propose regions of interest for photos without any, and take over those that a person chose."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from PIL import Image as Pillow

from pipeline.acquisition.extra import MASK_SUFFIX, PHOTO_SUFFIXES, PROMPTS
from pipeline.acquisition.layout import note_ignored
from pipeline.console import progress
from pipeline.datasets.layout import is_clutter, is_utf8
from pipeline.datasets.prompts import COLUMNS, parse_prompts
from pipeline.errors import DatasetError, ParamsError
from pipeline.escaping import from_spreadsheet, spreadsheet
from pipeline.imaging.contact_sheet import overlay
from pipeline.imaging.decode import read_photo
from pipeline.imaging.proposal_sheet import SheetLine, proposal_sheet
from pipeline.segmentation.proposals import Proposal, propose
from pipeline.segmentation.source import MaskSource

SHEET, LISTING = "proposals.png", "proposals.csv"
HEAD = ("number", "score", *COLUMNS)


def write_proposals(source: MaskSource, folder: Path, output: Path, *, limit: int) -> int:
    """Write `output/proposals.png` to look at and `output/proposals.csv`; return the number of photos.

    Nothing is chosen: `take_proposals` adds what a person picks to the folder's prompts.csv.

    Args:
        source: Mask source.
        folder: Photos of one split of an extra category; those with a mask or prompts are left out.
        output: Folder to write, not `folder` itself.
        limit: Proposals a photo at most.

    Raises:
        DatasetError: If a photo or prompts.csv is damaged.
        ParamsError: If the folder is absent, or no photo in it lacks a mask and prompts.
    """
    photos = _unprompted(folder)
    if not photos:
        raise ParamsError(f"{folder}: no photo without mask and prompts; nothing to propose")
    output.mkdir(parents=True, exist_ok=True)
    lines, rows = [], []
    for path in progress(photos, total=len(photos), what="proposals", unit="photo"):
        photo = read_photo(path)
        found = propose(source, photo, limit=limit)
        titled = [(f"{number}: {each.score:.2f}", overlay(photo, each.mask)) for number, each in enumerate(found, 1)]
        lines.append(SheetLine(path.name, [("photo", photo), *titled]))
        rows += _rows(path.name, found)
    Pillow.fromarray(proposal_sheet(lines)).save(output / SHEET)
    _write(output / LISTING, HEAD, rows)
    return len(photos)


def take_proposals(choices: Mapping[str, Sequence[int]], folder: Path, output: Path) -> None:
    """Add chosen proposals to `folder/prompts.csv`.

    Args:
        choices: Numbers of the chosen proposals by name of the photo.
        folder: Folder of the photos.
        output: What `write_proposals` wrote.

    Raises:
        ParamsError: If nothing was proposed, or a choice is not among the proposals.
    """
    listed = _listed(output / LISTING)
    wanted = [(photo, number) for photo, numbers in choices.items() for number in numbers]
    for photo, number in wanted:
        if (photo, number) not in listed:
            raise ParamsError(f"{output / LISTING}: no proposal {number} for {photo!r}; see {output / SHEET}")
    path = folder / PROMPTS
    if not path.exists():
        path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(listed[choice] for choice in wanted)


def _unprompted(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ParamsError(f"{folder}: no such folder; give one that holds photos, for instance /photos/ketchup/train")
    present = sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(PHOTO_SUFFIXES))
    names = [name for name in present if not is_clutter(PurePath(name)) and is_utf8(PurePath(name))]
    note_ignored(set(present) - set(names), "whose names are not UTF-8")
    masks = {name.removesuffix(MASK_SUFFIX) for name in names if name.endswith(MASK_SUFFIX)}
    prompted = {Path(name).stem for name in _prompted(folder / PROMPTS)}
    photos = [folder / name for name in names if not name.endswith(MASK_SUFFIX)]
    return [path for path in photos if path.stem not in masks | prompted]


def _prompted(sidecar: Path) -> Mapping[str, object]:
    try:
        return parse_prompts(sidecar.read_text(encoding="utf-8-sig")) if sidecar.exists() else {}
    except ValueError as error:
        raise DatasetError(f"{sidecar}: {error}; mend it first") from error


def _rows(photo: str, found: Sequence[Proposal]) -> list[tuple[str, ...]]:
    return [
        (
            str(number),
            f"{each.score:.3f}",
            spreadsheet(photo),
            each.box.kind,
            *(f"{edge:g}" for edge in each.box.coordinates),
        )
        for number, each in enumerate(found, 1)
    ]


def _write(path: Path, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])


def _listed(path: Path) -> dict[tuple[str, int], list[str]]:
    """Return the rows for prompts.csv by photo and number."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: absent; run `python -m pipeline propose` first") from error
    return {(from_spreadsheet(row[2]), int(row[0])): row[2:] for row in rows}
