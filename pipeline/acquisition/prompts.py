"""The sidecar `prompts.csv`: clicks and boxes that stand in for masks of photos of extra categories."""

import csv
import math
from collections.abc import Callable, Collection
from pathlib import Path

from pipeline.errors import DatasetError

PROMPTS = "prompts.csv"
COLUMNS = ("photo", "kind", "x0", "y0", "x1", "y1")


def read_prompts(path: Path, photos: Collection[str]) -> list[dict[str, str]]:
    """Return the rows of a sidecar, checked; empty if there is no sidecar.

    Args:
        path: CSV file in UTF-8 with a header; it may begin with the mark that Excel writes.
        photos: Names of the photos beside it.

    Raises:
        DatasetError: Naming file, line and mend.
    """
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_header(path, reader.fieldnames)
            return [_checked(path, reader.line_num, row, photos) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: not a CSV file in UTF-8 ({error}); save it anew as CSV UTF-8") from error


def write_prompts(rows: list[dict[str, str]], path: Path) -> None:
    """Write rows in one plain form: UTF-8 without mark, commas, Unix line ends."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _check_header(path: Path, header: Collection[str] | None) -> None:
    if tuple(header or ()) != COLUMNS:
        raise DatasetError(f"{path}: first line must be {','.join(COLUMNS)}, separated by commas; correct it")


def _checked(path: Path, line: int, row: dict[str, str], photos: Collection[str]) -> dict[str, str]:
    where = f"{path}, line {line}"
    if None in row or None in row.values():
        raise DatasetError(f"{where}: must have {len(COLUMNS)} columns; keep the commas where x1 and y1 are empty")
    clean = {name: value.strip() for name, value in row.items()} | {"photo": row["photo"]}
    if clean["photo"] not in photos:
        raise DatasetError(f"{where}: no photo {clean['photo']!a} beside it; correct the name or remove the line")
    if clean["kind"] not in SHAPES:
        raise DatasetError(f"{where}: kind is {clean['kind']!a}; write point or box")
    if not SHAPES[clean["kind"]](clean):
        raise DatasetError(
            f"{where}: coordinates do not fit; a point has x0 and y0 alone, a box x0 <= x1 and y0 <= y1, "
            "in pixels from the top left"
        )
    return clean


def _is_point(row: dict[str, str]) -> bool:
    return _pixel(row["x0"]) is not None and _pixel(row["y0"]) is not None and row["x1"] == row["y1"] == ""


def _is_box(row: dict[str, str]) -> bool:
    x0, y0, x1, y1 = (_pixel(row[name]) for name in ("x0", "y0", "x1", "y1"))
    if x0 is None or y0 is None or x1 is None or y1 is None:
        return False
    return x0 <= x1 and y0 <= y1


def _pixel(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


SHAPES: dict[str, Callable[[dict[str, str]], bool]] = {"point": _is_point, "box": _is_box}
"""Whether a row's coordinates make a prompt, by kind."""
