"""A page of photos, each beside the numbered masks that could be meant."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from pipeline.arrays import AnyImage, Image
from pipeline.imaging.contact_sheet import GAP, INK, LETTER, LINE, PAPER


@dataclass(frozen=True, slots=True)
class SheetLine:
    """One photo; pictures of any size, each with its title."""

    caption: str
    """Text above the pictures."""
    pictures: Sequence[tuple[str, AnyImage]]
    """Title and picture, from left to right."""


def proposal_sheet(lines: Sequence[SheetLine], *, tile: int = 200) -> Image:
    """Lay photos out one below the other; pictures are fitted into squares of `tile` pixels."""
    columns = max(len(line.pictures) for line in lines)
    height = tile + 2 * LINE + GAP
    sheet = Pillow.new("RGB", (GAP + columns * (tile + GAP), len(lines) * height + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(LETTER)
    for row, line in enumerate(lines):
        top = GAP + row * height
        draw.text((GAP, top), line.caption, fill=INK, font=font)
        for column, (title, pixels) in enumerate(line.pictures):
            left = GAP + column * (tile + GAP)
            picture = Pillow.fromarray(pixels)
            picture.thumbnail((tile, tile))
            sheet.paste(picture, (left, top + LINE))
            draw.text((left, top + LINE + tile), title, fill=INK, font=font)
    return np.asarray(sheet)
