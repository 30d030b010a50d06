"""The table of heat maps, and how much heat lies on the region of interest."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.heat_maps import (
    FILE,
    HeatMap,
    describe_heat,
    read_heat_maps,
    resize_heat,
    share_inside,
    write_heat_maps,
)
from pipeline.runtime.errors import ManifestError

SIDE = 8


def heat_map(heat: np.ndarray, **values: object) -> HeatMap:
    """Return a map of the left half of a picture."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:, : SIDE // 2] = True
    usual = HeatMap(
        "test/a/1", "roi", "ketchup", "rice", 0.75, "rice", share_inside(heat, mask), float(mask.mean()), heat
    )
    return dataclasses.replace(usual, **values)


def test_even_heat_lies_on_a_region_by_its_area() -> None:
    """Which is what `area` is to be compared with."""
    assert heat_map(np.ones((2, 2), np.float32)).inside == pytest.approx(0.5)


def test_heat_on_the_region_alone_lies_inside_but_for_the_smoothing() -> None:
    """Bilinear spreading carries an eighth over the border: (7/8 + 5/8 + 3/8 + 1/8) / 2 halves by symmetry."""
    left = np.array([[1, 0], [1, 0]], np.float32)
    fine = resize_heat(left, SIDE)
    assert heat_map(left).inside == pytest.approx(fine[:, :4].sum() / fine.sum())
    assert heat_map(left).inside == pytest.approx(0.875)


def test_no_heat_lies_nowhere() -> None:
    """None, and left out of means."""
    cold, warm = heat_map(np.zeros((2, 2), np.float32)), heat_map(np.array([[1, 0], [1, 0]], np.float32))
    assert cold.inside is None
    described = describe_heat([cold, warm])
    assert described == {"maps": 2, "without_heat": 1, "inside": 0.875, "area": 0.5, "on_roi": 1.0}
    assert describe_heat([cold])["inside"] is None


def test_a_table_reads_back_as_it_was_written(tmp_path: Path) -> None:
    """Maps of several grids, with and without heat; the same bytes twice."""
    maps = [heat_map(np.random.default_rng(0).random((h, 3), np.float32)) for h in (2, 5)]
    maps.append(heat_map(np.zeros((1, 2), np.float32), branch="extra_roi"))
    for name in ("a", "b"):
        write_heat_maps(maps, tmp_path / name, run="deit+none-all")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    for read, written in zip(read_heat_maps(tmp_path / "a"), maps, strict=True):
        np.testing.assert_array_equal(read.heat, written.heat)
        blank = {"heat": np.zeros((1, 1), np.float32)}
        assert dataclasses.astuple(dataclasses.replace(read, **blank))[:-1] == dataclasses.astuple(written)[:-1]


@pytest.mark.parametrize(
    ("content", "message"), [(None, "absent; run `dvc exp run .* explain@"), (b"x", "not a readable")]
)
def test_an_absent_or_damaged_table_names_the_stage(tmp_path: Path, content: bytes | None, message: str) -> None:
    """So that the reader knows what to run."""
    path = tmp_path / "deit+none-all" / FILE
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_heat_maps(path)
