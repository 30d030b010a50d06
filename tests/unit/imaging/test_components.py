"""Laws of regions."""

import numpy as np
import pytest

from pipeline.imaging.components import LabelledRegion, region_of, regions_by_value


def random_labels(seed: int) -> np.ndarray:
    """Return a label map of five ids in blotches."""
    coarse = np.random.default_rng(seed).integers(0, 6, (5, 7), dtype=np.uint8)
    return coarse.repeat(3, axis=0).repeat(2, axis=1)


def flood_count(mask: np.ndarray) -> int:
    """Count 8-connected parts by flooding, pixel by pixel."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    parts = 0
    while left:
        parts, border = parts + 1, [left.pop()]
        while border:
            y, x = border.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            border.extend(near)
    return parts


@pytest.mark.parametrize("seed", range(10))
def test_areas_add_up_to_the_foreground(seed: int) -> None:
    """Every pixel but background belongs to one region."""
    labels = random_labels(seed)
    regions = regions_by_value(labels)
    assert sum(region.area for region in regions.values()) == np.count_nonzero(labels)
    assert list(regions) == sorted(set(np.unique(labels).tolist()) - {0})


@pytest.mark.parametrize("seed", range(10))
def test_a_box_is_tight(seed: int) -> None:
    """All pixels lie inside, and every side touches one."""
    labels = random_labels(seed)
    for value, region in regions_by_value(labels).items():
        inside = labels[region.y0 : region.y1 + 1, region.x0 : region.x1 + 1] == value
        assert np.count_nonzero(inside) == region.area == np.count_nonzero(labels == value)
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


@pytest.mark.parametrize("seed", range(10))
def test_parts_are_counted_as_by_flooding(seed: int) -> None:
    """OpenCV and a plain flood fill agree."""
    labels = random_labels(seed)
    for value, region in regions_by_value(labels).items():
        assert region.components == flood_count(labels == value)


def test_diagonal_neighbours_are_one_part() -> None:
    """Parts are 8-connected."""
    assert region_of(np.eye(4, dtype=bool)) == LabelledRegion(area=4, x0=0, y0=0, x1=3, y1=3, components=1)


def test_a_mask_of_everything_is_one_part() -> None:
    """A mask without any background is counted right."""
    assert region_of(np.ones((3, 5), bool)) == LabelledRegion(area=15, x0=0, y0=0, x1=4, y1=2, components=1)


def test_a_single_pixel_is_its_own_box() -> None:
    """The smallest mask, at the largest id, beside background only."""
    labels = np.zeros((6, 9), np.uint8)
    labels[4, 7] = 255
    assert regions_by_value(labels) == {255: LabelledRegion(area=1, x0=7, y0=4, x1=7, y1=4, components=1)}


def test_background_alone_has_no_region() -> None:
    """Value 0 is no food."""
    assert regions_by_value(np.zeros((3, 3), np.uint8)) == {}
