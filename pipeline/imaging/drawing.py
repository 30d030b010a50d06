"""Contact sheets: samples as photo, mask, ROI and extra-ROI, and photos beside proposed masks."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from pipeline.arrays import AnyImage, Image, Mask

TITLES = ("photo", "mask", "ROI", "extra-ROI")
PAPER, INK = (255, 255, 255), (32, 32, 32)
TINT = np.array([255, 0, 200], np.float32)  # magenta, a colour no food has
TINT_SHARE = 0.45
GAP = 6  # pixels between pictures
LETTER = 13  # height of a letter in pixels
LINE = LETTER + GAP


class SheetRow(NamedTuple):
    """One sample; all pictures are letterboxed into squares of the same side."""

    photo: Image
    mask: Mask
    roi: Image
    extra_roi: Image
    caption: str  # text above the row, cut at its width


def overlay(photo: Image, mask: Mask) -> Image:
    """Return the photo with the mask tinted and outlined."""
    tinted = photo * np.float32(1 - TINT_SHARE) + TINT * np.float32(TINT_SHARE)
    shown = np.where(mask[..., np.newaxis], tinted, photo)
    shown[edge(mask)] = TINT
    return shown.astype(np.uint8)


def encode_picture(picture: Pillow.Image, kind: str, **options: Any) -> bytes:
    """Return a picture as the bytes of a file; the arguments are those of `Pillow.Image.save`."""
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def edge(mask: Mask) -> Mask:
    """Return the pixels of a mask that have a 4-neighbour outside of it."""
    padded = np.pad(mask, 1)
    surrounded = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    outline: Mask = mask & ~surrounded
    return outline


def contact_sheet(rows: Sequence[SheetRow], *, columns: int = 2, tile: int = 160) -> Image:
    """Lay at least one sample out in reading order, `columns` beside each other, on a white sheet.

    Pictures of less than `tile` pixels are enlarged to it by nearest neighbour.
    """
    width, height = len(TITLES) * (tile + GAP) + GAP, tile + LINE + GAP
    lines = -(-len(rows) // columns)
    sheet = Pillow.new("RGB", (columns * width, LINE + lines * height), PAPER)
    for column in range(min(columns, len(rows))):
        for number, title in enumerate(TITLES):
            _write(sheet, title, (column * width + GAP + number * (tile + GAP), 2), tile)
    for number, row in enumerate(rows):
        line, column = divmod(number, columns)
        left, top = column * width + GAP, LINE + line * height
        _write(sheet, row.caption, (left, top), len(TITLES) * (tile + GAP) - GAP)
        for place, picture in enumerate((row.photo, overlay(row.photo, row.mask), row.roi, row.extra_roi)):
            resample = Pillow.Resampling.NEAREST if picture.shape[0] <= tile else Pillow.Resampling.LANCZOS
            resized = Pillow.fromarray(picture).resize((tile, tile), resample)
            sheet.paste(resized, (left + place * (tile + GAP), top + LINE))
    return np.asarray(sheet)


def _write(sheet: Pillow.Image, text: str, corner: tuple[int, int], width: int) -> None:
    strip = Pillow.new("RGB", (width, LINE), PAPER)
    ImageDraw.Draw(strip).text((0, 0), text, fill=INK, font=ImageFont.load_default(LETTER))
    sheet.paste(strip, corner)


class SheetLine(NamedTuple):
    """One photo: text above its pictures, which are of any size, each with its title, from left to right."""

    caption: str
    pictures: Sequence[tuple[str, AnyImage]]


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
