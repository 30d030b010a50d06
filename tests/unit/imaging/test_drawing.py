"""The contact sheet."""

import numpy as np
import pytest

from pipeline.imaging.drawing import GAP, LINE, TINT, SheetRow, contact_sheet, edge, overlay

TILE = 32


def row_of(level: int, size: int = 16) -> SheetRow:
    """Return a sample of plain pictures with a mask in the middle."""
    mask = np.zeros((size, size), np.bool_)
    mask[size // 4 : size // 2, size // 4 : size // 2] = True
    grays = [np.full((size, size, 3), level + step, np.uint8) for step in range(3)]
    return SheetRow(grays[0], mask, grays[1], grays[2], caption=f"test/{level}/1   bread")


def test_pictures_lie_in_reading_order() -> None:
    """Photo, mask, ROI, extra-ROI from left to right; samples from left to right, then down."""
    sheet = contact_sheet([row_of(10), row_of(50), row_of(90)], columns=2, tile=TILE)
    width, height = 4 * (TILE + GAP) + GAP, TILE + LINE + GAP
    assert sheet.shape == (LINE + 2 * height, 2 * width, 3)
    for number, level in enumerate((10, 50, 90)):
        top, left = LINE + number // 2 * height + LINE, number % 2 * width + GAP
        corners = [sheet[top, left + place * (TILE + GAP), 0] for place in range(4)]
        assert corners == [level, level, level + 1, level + 2]


def test_captions_are_written_and_stay_in_their_place() -> None:
    """A long caption is cut off instead of running into the next sample."""
    row = row_of(10)
    long = SheetRow(row.photo, row.mask, row.roi, row.extra_roi, caption="x" * 500)
    sheet = contact_sheet([long, row], columns=2, tile=TILE)
    short = contact_sheet([row, row], columns=2, tile=TILE)
    width = 4 * (TILE + GAP) + GAP
    assert (sheet[LINE : 2 * LINE, GAP:width] < 128).any()
    np.testing.assert_array_equal(sheet[:, width:], short[:, width:])


@pytest.mark.parametrize("size", [8, 32, 100])
def test_any_size_of_picture_fits(size: int) -> None:
    """Small pictures are enlarged, large ones shrunk."""
    assert contact_sheet([row_of(10, size)], columns=1, tile=TILE).shape[1] == 4 * (TILE + GAP) + GAP


def test_the_overlay_tints_inside_and_draws_the_edge() -> None:
    """Outside the photo is untouched, the edge has the full colour, the inside a mix."""
    mask = np.zeros((9, 9), np.bool_)
    mask[2:7, 2:7] = True
    shown = overlay(np.full((9, 9, 3), 100, np.uint8), mask)
    assert (shown[~mask] == 100).all()
    assert (shown[edge(mask)] == TINT).all()
    assert 100 < shown[4, 4, 0] < TINT[0]


def test_the_edge_is_inside_the_mask() -> None:
    """A mask up to the border of the picture has its edge there; one pixel is all edge."""
    assert edge(np.ones((3, 3), np.bool_)).sum() == 8
    assert edge(np.ones((1, 1), np.bool_)).all()
