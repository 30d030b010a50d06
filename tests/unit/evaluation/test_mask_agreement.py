"""What rows of agreement say together."""

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.mask_agreement import AgreementRow, choose_shown, group_rows, measure_agreement
from pipeline.imaging.letterbox import letterbox_mask, letterbox_rect
from pipeline.params.masks import AgreementParams

BOOTSTRAP = Bootstrap(seed=0, resamples=50)
PARAMS = AgreementParams(boundary=0.02, shown=2, image_size=16, seed=0)


def row(number: int, value: float, *, split: str = "test", share: float = 0.1, parts: int = 1) -> AgreementRow:
    """Return one sample's row."""
    category = "bread" if number % 2 else "rice"
    return AgreementRow(f"{split}/{number:03d}/1", split, category, share, parts, "ok", 0.9, value, value / 2, value)


def test_every_sample_is_in_one_group_of_each_kind() -> None:
    """All, split, area, parts, status and category each count every sample once."""
    rows = [row(i, i / 20, split="train" if i < 5 else "test", share=i / 60, parts=i + 1) for i in range(20)]
    groups = group_rows(rows, BOOTSTRAP)
    for by in ("all", "split", "area", "parts", "status", "category"):
        assert sum(group.samples for group in groups if group.by == by) == 20
    assert groups[0].by == "all"
    assert [group.name for group in groups if group.by == "area"] == [
        "below 1 %", "1 to 5 %", "5 to 20 %", "20 % and more",
    ]  # fmt: skip
    assert [group.name for group in groups if group.by == "parts"] == ["1", "2", "3 or 4", "5 and more"]


def test_means_and_medians_are_those_of_the_rows() -> None:
    """With an interval that holds them."""
    rows = [row(i, value) for i, value in enumerate([0.0, 0.2, 1.0])]
    whole = group_rows(rows, BOOTSTRAP)[0]
    assert (whole.iou.value, whole.median_iou, whole.boundary_iou.value) == pytest.approx((0.4, 0.2, 0.2))
    assert whole.iou.low <= 0.4 <= whole.iou.high


def test_nothing_to_compare_gives_no_groups() -> None:
    """Annotation against itself."""
    assert group_rows([], BOOTSTRAP) == ()


@pytest.mark.parametrize(("rows", "each"), [(0, 0), (2, 0), (3, 1), (5, 1), (6, 2), (100, 2)])
def test_best_median_and_worst_are_different_samples(rows: int, each: int) -> None:
    """None twice, the best at the top, the worst at the bottom."""
    listed = [row(i, i / 100) for i in range(rows)]
    chosen = choose_shown(listed, 2)
    ids = [r.sample_id for found in chosen.values() for r in found]
    assert len(ids) == len(set(ids)) == 3 * each
    if each:
        assert chosen["best"][0].iou == (rows - 1) / 100
        assert chosen["worst"][0].iou == 0
        assert chosen["worst"][-1].iou < chosen["median"][-1].iou < chosen["best"][-1].iou


def test_models_see_masks_in_their_own_geometry() -> None:
    """A side of which the released geometry makes one pixel less: the halves then agree elsewhere than exactly."""
    side = next(side for side in range(20, 2000) if int(side * (16 / side)) == 15)
    mask, other = np.zeros((2, side, side), np.bool_)
    mask[:, : side // 2], other[:, : side // 3] = True, True
    for geometry in ("exact", "released"):
        rect = letterbox_rect(side, side, size=16, geometry=geometry)
        seen = [letterbox_mask(each, size=16, rect=rect) for each in (mask, other)]
        expected = (seen[0] & seen[1]).sum() / (seen[0] | seen[1]).sum()
        params = PARAMS.model_copy(update={"image_size": 16, "geometry": geometry})
        assert measure_agreement(mask, other, params)[2] == pytest.approx(expected)
        assert rect.width == (16 if geometry == "exact" else 15)


def test_models_see_coarser_masks() -> None:
    """At 16 px a hair that IoU counts at full size is gone."""
    mask = np.zeros((64, 64), np.bool_)
    mask[16:48, 16:48] = True
    hairy = mask.copy()
    hairy[0, :] = True
    full, rim, seen = measure_agreement(mask, hairy, PARAMS)
    assert full == 1024 / 1088
    assert seen == 1.0
    assert rim < full
