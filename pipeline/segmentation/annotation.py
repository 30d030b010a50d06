"""Masks from annotation: the label map says which pixels belong to a category."""

from pipeline.arrays import LabelMap, Mask
from pipeline.errors import EmptyMaskError


def annotated_mask(label_map: LabelMap, value: int | None, *, sample_id: str) -> Mask:
    """Return the pixels of one category.

    Args:
        label_map: Category ids of a photo, or a binary mask.
        value: Id to look for; None takes every pixel but 0.
        sample_id: Named in the error.

    Raises:
        EmptyMaskError: If no pixel has the value.
    """
    mask = label_map > 0 if value is None else label_map == value
    if not mask.any():
        raise EmptyMaskError(f"{sample_id}: no pixel of the label map has its value; run `dvc repro -f index`")
    return mask
