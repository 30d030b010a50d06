"""Which extra-ROI goes with a sample: its own, or the one that the released loader finds by the photo's file name.

The released code keeps a dictionary from bare file name to extra-ROI, in which the last entry wins. If cut-outs are
named like their photo, in one folder a category, as its README suggests, all samples of a photo get the extra-ROI of
the category listed last, and all but that one see their own food there.
"""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Int64

from pipeline.arrays import Targets
from pipeline.params.base import Section

LISTED_FIRST = ("cabbage", "hanamaki baozi", "french beans")
"""The released label file is sorted as text: names with a leading blank come first, then capitals."""


class FoodVisible(Section):
    """Share in [0, 1] of the samples whose extra-ROI is that of another food of their photo, so shows their own."""

    train: float
    """Of the train split."""
    test: float
    """Of the test split."""


def photo_id_of(sample_id: str) -> str:
    """Return `<split>/<photo stem>`, the photo a sample comes from."""
    return sample_id.rpartition("/")[0]


def extra_roi_rows(
    sample_ids: Sequence[str], targets: Targets, categories: Sequence[str], classes: Collection[str]
) -> Int64[np.ndarray, " N"]:
    """Return for each sample the row whose extra-ROI the released loader finds for it.

    Args:
        sample_ids: Samples of whole photos.
        targets: Category of each.
        categories: Category name by target.
        classes: Categories that the loader lists; samples of others keep their own extra-ROI and lend it to none.
    """
    listed = sorted(classes, key=_place)
    place_of = [listed.index(name) if name in classes else -1 for name in categories]
    last: dict[str, int] = {}
    for row in np.argsort([place_of[target] for target in targets], kind="stable").tolist():
        if place_of[targets[row]] >= 0:
            last[photo_id_of(sample_ids[row])] = row
    return np.array(
        [
            last[photo_id_of(sample_id)] if place_of[target] >= 0 else row
            for row, (sample_id, target) in enumerate(zip(sample_ids, targets, strict=True))
        ],
        np.int64,
    )


def _place(name: str) -> tuple[int, str]:
    return LISTED_FIRST.index(name) if name in LISTED_FIRST else len(LISTED_FIRST), name


def share_visible(sample_ids: Sequence[str]) -> float:
    """Return the share of samples that get another sample's extra-ROI by photo name: all but one a photo."""
    return 1 - len(set(map(photo_id_of, sample_ids))) / len(sample_ids)
