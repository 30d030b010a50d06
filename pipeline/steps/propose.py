"""Propose regions of interest for photos without any, and add those that a person chose to prompts.csv."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from PIL import Image as Pillow

from pipeline.acquisition.source import note_ignored
from pipeline.datasets.layout import MASK, PROMPTS, is_clutter, is_picture, is_utf8, stem_of
from pipeline.datasets.prompts import COLUMNS, parse_prompts
from pipeline.imaging.decode import read_photo
from pipeline.imaging.drawing import SheetLine, overlay, proposal_sheet
from pipeline.runtime.console import progress
from pipeline.runtime.errors import DatasetError, ParamsError, PhotoError, counted
from pipeline.runtime.escaping import from_spreadsheet, spreadsheet
from pipeline.segmentation.proposals import AnySource, ProposalFilter, propose

SHEET, LISTING = "proposals.png", "proposals.csv"
HEAD = ("number", "score", *COLUMNS)


def write_proposals(source: AnySource, folder: Path, output: Path, *, chosen: ProposalFilter) -> int:
    """Write `output/proposals.png` to look at and `output/proposals.csv`; return the number of photos.

    Nothing is chosen: `take_proposals` adds a person's choice to the folder's prompts.csv. A photo that cannot be read
    is reported after all others are done.

    Photos of `folder`, one split of an extra category, that have a mask or prompts are left out. `output` is another
    folder.

    Raises:
        DatasetError: If prompts.csv is damaged, or, once all else is written, photos were.
        ParamsError: If the folder is absent, or no photo in it lacks a mask and prompts.
    """
    photos = _unprompted(folder)
    output.mkdir(parents=True, exist_ok=True)
    lines, rows, refusals = [], [], []
    for path in progress(photos, total=len(photos), what="proposals", unit="photo"):
        try:
            photo = read_photo(path)
        except PhotoError as error:
            refusals.append(str(error))
            continue
        found = propose(source, photo, chosen)
        titled = [(f"{number}: {each.score:.2f}", overlay(photo, each.mask)) for number, each in enumerate(found, 1)]
        lines.append(SheetLine(path.name, [("photo", photo), *titled]))
        for number, each in enumerate(found, 1):
            edges = (f"{edge:g}" for edge in each.box.coordinates)
            rows.append((str(number), f"{each.score:.3f}", spreadsheet(path.name), each.box.kind, *edges))
    if lines:
        Pillow.fromarray(proposal_sheet(lines)).save(output / SHEET)
        with (output / LISTING).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([HEAD, *rows])
    if refusals:
        done = f"{output / SHEET} shows the other {len(lines)}" if lines else "there is no other"
        raise DatasetError(f"{len(refusals)} of {counted(len(photos), 'photo')} refused, {done}: {'; '.join(refusals)}")
    return len(lines)


def take_proposals(choices: Mapping[str, Sequence[int]], folder: Path, output: Path) -> int:
    """Add chosen proposals to `folder/prompts.csv`, each once; return how many are new.

    `choices` has the numbers of the chosen proposals by name of the photo; `output` is that of `write_proposals`.

    Raises:
        DatasetError: If prompts.csv is damaged.
        ParamsError: If nothing was proposed, or a choice is not among the proposals.
    """
    listed = _listed(output / LISTING)
    wanted = dict.fromkeys((photo, number) for photo, numbers in choices.items() for number in numbers)
    for photo, number in wanted:
        if (photo, number) not in listed:
            raise ParamsError(f"{output / LISTING}: no proposal {number} for {photo!r}; see {output / SHEET}")
    path = folder / PROMPTS
    text, _ = _sidecar(path)
    present = list(csv.reader(io.StringIO(text)))
    rows = [listed[choice] for choice in wanted if listed[choice] not in present]
    ending = "\r\n" if "\r\n" in text else "\n"
    added = io.StringIO()
    if text and not text.endswith("\n"):
        added.write(ending)
    csv.writer(added, lineterminator=ending).writerows([*([] if text else [COLUMNS]), *rows])
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(added.getvalue())
    return len(rows)


def _unprompted(folder: Path) -> list[Path]:
    """Return the photos of a folder that have neither mask nor prompts, sorted; at least one."""
    if not folder.is_dir():
        raise ParamsError(f"{folder}: no such folder; give one that holds photos, for instance /photos/ketchup/train")
    present = sorted(path.name for path in folder.iterdir() if is_picture(path.name))
    names = [name for name in present if not is_clutter(PurePath(name)) and is_utf8(PurePath(name))]
    note_ignored(set(present) - set(names), "whose names are not UTF-8")
    masks = {stem_of(name).removesuffix(MASK) for name in names if stem_of(name).endswith(MASK)}
    prompted = {stem_of(name) for name in _sidecar(folder / PROMPTS)[1]}
    photos = [name for name in names if not stem_of(name).endswith(MASK)]
    unprompted = [folder / name for name in photos if stem_of(name) not in masks | prompted]
    if not unprompted:
        raise ParamsError(f"{folder}: no photo without mask and prompts; nothing to propose")
    return unprompted


def _sidecar(path: Path) -> tuple[str, Mapping[str, object]]:
    """Return the text of prompts.csv with its line ends, without byte order mark, and its prompts; empty if absent."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return text, parse_prompts(text) if text else {}
    except FileNotFoundError:
        return "", {}
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8; save it as CSV in UTF-8") from error
    except ValueError as error:
        raise DatasetError(f"{path}: {error}; mend it first") from error


def _listed(path: Path) -> dict[tuple[str, int], list[str]]:
    """Return the rows for prompts.csv by photo and number."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row][1:]
        return {(from_spreadsheet(row[2]), int(row[0])): row[2:] for row in rows}
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: absent; run `python -m pipeline propose` first") from error
    except (ValueError, IndexError, csv.Error) as error:
        raise ParamsError(f"{path}: not what `python -m pipeline propose` wrote; run that again") from error
