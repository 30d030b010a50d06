"""Prompts, that is, clicks and boxes that replace a mask, and their file `prompts.csv`."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.runtime.escaping import from_spreadsheet

COLUMNS = ("photo", "kind", "x0", "y0", "x1", "y1")

MAX_EXCESS_PIXELS, MAX_EXCESS_SHARE = 2.0, 0.02  # a box may exceed its photo by the larger of both, the share of a side


@dataclass(frozen=True, slots=True)
class Prompt:
    """One click, one box, or a box with a click in it, for one mask.

    Unit: pixels of the upright photo; columns and rows count from 0 and are inclusive.
    """

    kind: str
    """`point`, `box` or `box_point`."""
    coordinates: tuple[float, ...]
    """(x, y) of a point, (x0, y0, x1, y1) of a box, (x0, y0, x1, y1, x, y) of both."""

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """Return x0, y0, x1, y1 of the box, if there is one."""
        if self.kind == "point":
            return None
        x0, y0, x1, y1 = self.coordinates[:4]
        return x0, y0, x1, y1

    @property
    def point(self) -> tuple[float, float] | None:
        """Return x, y of the click, if there is one."""
        if self.kind == "box":
            return None
        x, y = self.coordinates[-2:]
        return x, y

    def bounds(self) -> tuple[float, float, float, float]:
        """Return x0, y0, x1, y1; a point is its own box."""
        x0, y0, x1, y1 = self.box or self.coordinates * 2
        return x0, y0, x1, y1


def clip_to_photo(prompt: Prompt, *, height: int, width: int, any_excess: bool = False) -> Prompt:
    """Clip a box that slightly exceeds the photo; return any other prompt unchanged.

    Boxes of COCO end at `width`, `height`, and annotation tools write edges of -1 or half a pixel. In a data set, a box
    that exceeds the photo by more than 2 % of a side (or 2 pixels) belongs to another photo; a box that a person drags
    may with `any_excess` exceed it by any length.

    Raises:
        ValueError: If the prompt is not inside the photo; the message names the border.
    """
    x0, y0, x1, y1 = prompt.bounds()
    if prompt.box:
        beyond_x, beyond_y = (max(MAX_EXCESS_PIXELS, MAX_EXCESS_SHARE * side) for side in (width, height))
        fits = -beyond_x <= x0 and -beyond_y <= y0 and x1 <= width - 1 + beyond_x and y1 <= height - 1 + beyond_y
        right, bottom = (edge if edge < side else side - 1.0 for edge, side in ((x1, width), (y1, height)))
        if (fits or any_excess) and x1 >= 0 and y1 >= 0 and x0 <= right and y0 <= bottom:
            return Prompt(prompt.kind, (max(0.0, x0), max(0.0, y0), right, bottom, *prompt.coordinates[4:]))
    elif 0 <= x0 < width and 0 <= y0 < height:
        return prompt
    raise ValueError(
        f"{format_prompt(prompt)} is not inside the photo of {width} x {height} pixels: its columns are 0 to "
        f"{width - 1}, its rows 0 to {height - 1}"
    )


def format_prompt(prompt: Prompt) -> str:
    """Return a prompt as a user types it, for instance `point 120,80`."""
    return f"{prompt.kind} {','.join(f'{number:g}' for number in prompt.coordinates)}"


def parse_prompts(text: str) -> dict[str, tuple[Prompt, ...]]:
    """Return the prompts of each photo, in file order, by the name in column `photo`.

    The text is CSV with the header `photo,kind,x0,y0,x1,y1`; x1 and y1 are empty for points.

    Raises:
        ValueError: If the header or a row has another form; the message names the line.
    """
    reader = csv.reader(text.split("\n"), skipinitialspace=True, strict=True)
    prompts: defaultdict[str, list[Prompt]] = defaultdict(list)
    try:
        _check_header(next(reader, []))
        for row in reader:
            if any(field.strip() for field in row):
                photo, prompt = _parse_row([field.strip() for field in row])
                prompts[from_spreadsheet(photo)].append(prompt)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error
    return {photo: tuple(found) for photo, found in prompts.items()}


def _check_header(row: list[str]) -> None:
    header = tuple(field.strip().casefold() for field in row)
    if header != COLUMNS:
        raise ValueError(f"starts with {','.join(header)!r} instead of {','.join(COLUMNS)!r}")


def _parse_row(row: list[str]) -> tuple[str, Prompt]:
    if len(row) != len(COLUMNS) or not row[0]:
        raise ValueError(f"{','.join(row)!r} has not the columns {','.join(COLUMNS)}")
    photo, kind, *fields = row
    if kind == "point" and not any(fields[2:]):
        x, y = _coordinates(fields[:2])
        if min(x, y) >= 0:
            return photo, Prompt("point", (x, y))
    if kind == "box":
        x0, y0, x1, y1 = _coordinates(fields)
        if x0 <= x1 and y0 <= y1:
            return photo, Prompt("box", (x0, y0, x1, y1))
    raise ValueError(
        f"{','.join(row)!r} is neither a point x0,y0, counted from 0, nor a box with x0 <= x1 and y0 <= y1"
    )


def _coordinates(fields: Sequence[str]) -> tuple[float, ...]:
    numbers = tuple(float(field) for field in fields)
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{','.join(fields)} holds a number that is no pixel position")
    return numbers


def prompts_json(prompts: Sequence[Prompt]) -> str:
    """Return prompts as the JSON of sample table and masks: a list of {kind: coordinates}, e.g. {"point": [x, y]}."""
    return json.dumps([{prompt.kind: list(prompt.coordinates)} for prompt in prompts])


def bounding_box(prompts: Sequence[Prompt]) -> tuple[int, int, int, int]:
    """Return the bounding box x0, y0, x1, y1 of at least one prompt, in whole pixels."""
    x0, y0, x1, y1 = zip(*(prompt.bounds() for prompt in prompts), strict=True)
    return int(min(x0)), int(min(y0)), int(max(x1)), int(max(y1))
