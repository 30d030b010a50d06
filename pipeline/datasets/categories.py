"""Names and numbers of the foods: `category_id.txt` and the extra categories of the user."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from pipeline.datasets.samples import Category
from pipeline.errors import DatasetError

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
