"""Run-length encodings are those of pycocotools, and no text of counts does harm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as mask_api

from pipeline.datasets.objects import decode_rle, encode_rle

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(MASKS)
def test_a_mask_comes_back(mask: np.ndarray) -> None:
    """And pycocotools reads the same."""
    rle, size = encode_rle(mask), (mask.shape[0], mask.shape[1])
    np.testing.assert_array_equal(decode_rle(rle, size), mask)
    np.testing.assert_array_equal(mask_api.decode({"size": list(size), "counts": rle}), mask)


@given(st.binary(max_size=40) | st.text("0123456789:;<=>?@ABCOPQo", max_size=40).map(str.encode))
def test_any_bytes_are_a_mask_or_refused(rle: bytes) -> None:
    """Pycocotools itself would write beyond the mask."""
    try:
        mask = decode_rle(rle, (5, 7))
    except ValueError:
        return
    np.testing.assert_array_equal(mask_api.decode({"size": [5, 7], "counts": rle}), mask)


def test_large_masks_come_back() -> None:
    """Runs of five digits."""
    mask = np.zeros((3000, 4000), np.bool_)
    mask[1:2999, 7:3990] = True
    mask[500:600] = False
    np.testing.assert_array_equal(decode_rle(encode_rle(mask), (3000, 4000)), mask)


@pytest.mark.parametrize("rle", [b"", b"~", b"P", b"oooooooo0"])
def test_damaged_counts_are_refused(rle: bytes) -> None:
    """Empty, no digit, without an end, too long."""
    with pytest.raises(ValueError, match="no compressed RLE"):
        decode_rle(rle, (5, 7))
