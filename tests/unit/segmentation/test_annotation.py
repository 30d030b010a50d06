"""Masks from label maps."""

import numpy as np
import pytest

from pipeline.runtime.errors import EmptyMaskError
from pipeline.segmentation.source import annotated_mask

LABELS = np.array([[0, 1, 2], [2, 2, 255]], np.uint8)


def test_a_category_is_the_pixels_of_its_id() -> None:
    """Exactly the pixels of the id, and no other."""
    assert annotated_mask(LABELS, 2, sample_id="test/a/2").tolist() == [[False, False, True], [True, True, False]]


def test_a_binary_mask_is_all_but_zero() -> None:
    """Extra categories come with a mask instead of a label map; 1 and 255 mean the same."""
    np.testing.assert_array_equal(annotated_mask(LABELS, None, sample_id="test/a/2"), LABELS > 0)


@pytest.mark.parametrize(("labels", "value"), [(LABELS, 3), (LABELS * 0, None)])
def test_a_category_that_is_not_there_is_refused(labels: np.ndarray, value: int | None) -> None:
    """The sample is named."""
    with pytest.raises(EmptyMaskError, match="test/a/3: no pixel"):
        annotated_mask(labels, value, sample_id="test/a/3")
