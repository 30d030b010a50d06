"""Laws of permutation and translocation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.perturbation import (
    Permutation,
    PerturbationSpec,
    Placed,
    Translocation,
    kept_shares,
    paste,
    patch_order,
    permute_patches,
    perturb_canvases,
    perturb_photos,
    region_sizes,
)
from pipeline.imaging.letterbox import letterbox_rect
from tests.small_run import PAD, SIDE, random_batch, select

PATCH = 8


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return random pixels, none of them black."""
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), dtype=np.uint8)


def sorted_pixels(picture: np.ndarray) -> np.ndarray:
    """Return the multiset of pixels."""
    rows = picture.reshape(-1, picture.shape[-1])
    return rows[np.lexsort(rows.T)]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(0, 9))
def test_a_permutation_keeps_every_pixel_of_the_padded_rectangle(
    height: int, width: int, patch: int, seed: int
) -> None:
    """As many pixels of each colour as before, plus black up to whole patches."""
    content = pixels(height, width)
    rows, columns = -(-height // patch), -(-width // patch)
    moved = permute_patches(content, patch_order(rows * columns, seed, 0, "test/1/1", "roi"), patch)
    assert moved.shape == (rows * patch, columns * patch, 3)
    black = np.zeros((moved.shape[0] * moved.shape[1] - height * width, 3), np.uint8)
    np.testing.assert_array_equal(sorted_pixels(moved), sorted_pixels(np.concatenate([content.reshape(-1, 3), black])))


def test_patches_go_where_the_order_says() -> None:
    """Place i shows patch order[i], counted row by row, and a patch moves as a whole."""
    content = pixels(4, 6)
    order = np.array([5, 0, 1, 2, 3, 4])
    moved = permute_patches(content, order, 2)
    np.testing.assert_array_equal(moved[:2, :2], content[2:4, 4:6])
    np.testing.assert_array_equal(moved[:2, 2:4], content[:2, :2])
    np.testing.assert_array_equal(moved[2:4, 4:6], content[2:4, 2:4])


def test_the_padding_of_a_5_by_3_picture_lies_on_both_sides() -> None:
    """By hand: 5 rows of 3 in patches of 4 are 8 x 4, one black row above, two below, one black column right alone.

    3 rows and 1 column are missing, and floor(3 / 2) = 1, floor(1 / 2) = 0 of them come first.
    """
    content = np.arange(1, 16, dtype=np.uint8).reshape(5, 3, 1)
    by_hand = [
        [0, 0, 0, 0],
        [1, 2, 3, 0],
        [4, 5, 6, 0],
        [7, 8, 9, 0],
        [10, 11, 12, 0],
        [13, 14, 15, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(permute_patches(content, np.array([0, 1]), 4)[..., 0], by_hand)
    np.testing.assert_array_equal(permute_patches(content, np.array([1, 0]), 4)[..., 0], by_hand[4:] + by_hand[:4])


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9))
def test_the_identity_order_changes_nothing_but_the_padding(height: int, width: int, patch: int) -> None:
    """The content stays in the middle, at most one pixel nearer to the top left; the rest is black."""
    content = pixels(height, width)
    rows, columns = -(-height // patch), -(-width // patch)
    moved = permute_patches(content, np.arange(rows * columns), patch)
    top, left = (rows * patch - height) // 2, (columns * patch - width) // 2
    np.testing.assert_array_equal(moved[top : top + height, left : left + width], content)
    moved[top : top + height, left : left + width] = 0
    assert not moved.any()


def test_one_patch_as_large_as_the_square_is_the_identity() -> None:
    """A square photo that is one patch comes back unchanged."""
    batch = select(random_batch(8), [6, 7])
    moved = perturb_canvases(Permutation(SIDE, 0, 0), batch.roi, batch, branch="roi", background=PAD)
    np.testing.assert_array_equal(moved, batch.roi)


def test_the_padded_rectangle_is_centred_as_the_letterbox_is() -> None:
    """A 4:3 photo at 32 px is 24 rows; patches of 16 make 32 rows, patches of 10 make 30 x 40 and cut 4 each side."""
    batch = select(random_batch(4), [2])
    content = batch.extra_roi[0][4:28]
    placed = Permutation(16, 0, 0).place(
        content, letterbox_rect(30, 40, size=SIDE), side=SIDE, sample_id="a", branch="roi"
    )
    assert (placed.content.shape, placed.top, placed.left) == ((32, 32, 3), 0, 0)
    placed = Permutation(10, 0, 0).place(
        content, letterbox_rect(30, 40, size=SIDE), side=SIDE, sample_id="a", branch="roi"
    )
    assert (placed.content.shape, placed.top, placed.left) == ((30, 40, 3), 1, -4)


def test_gray_is_not_shuffled_and_every_patch_pixel_is_on_the_canvas() -> None:
    """Where the side is whole patches, the canvas holds the padded rectangle and gray around it, nothing else."""
    batch = random_batch(12)
    moved = perturb_canvases(Permutation(PATCH, 3, 0), batch.extra_roi, batch, branch="extra_roi", background=PAD)
    for before, after, (top, left, height, width) in zip(batch.extra_roi, moved, batch.rects.tolist(), strict=True):
        rows, columns = (-(-length // PATCH) * PATCH for length in (height, width))
        first_row, first_column = (SIDE - rows + 1) // 2, (SIDE - columns + 1) // 2
        inside = after[first_row : first_row + rows, first_column : first_column + columns]
        content = before[top : top + height, left : left + width].reshape(-1, 3)
        black = np.zeros((rows * columns - len(content), 3), np.uint8)
        np.testing.assert_array_equal(sorted_pixels(inside), sorted_pixels(np.concatenate([content, black])))
        outside = np.ones((SIDE, SIDE), bool)
        outside[first_row : first_row + rows, first_column : first_column + columns] = False
        assert (after[outside] == PAD).all()


def test_a_permutation_is_fresh_for_every_seed_number_sample_and_branch() -> None:
    """Change any of the four and the order changes."""
    orders = {
        tuple(patch_order(196, seed, number, sample, branch).tolist())
        for seed in (0, 1)
        for number in (0, 1)
        for sample in ("test/1/1", "test/1/2")
        for branch in ("roi", "extra_roi")
    }
    assert len(orders) == 16


def test_the_order_is_the_same_on_every_machine_and_version() -> None:
    """A golden value: stored results must stay comparable."""
    assert patch_order(8, 0, 0, "test/00000048/26", "roi").tolist() == [7, 4, 5, 1, 0, 3, 2, 6]


def test_orders_are_uniform() -> None:
    """Over many samples each patch lands on each place about equally often."""
    seen = np.zeros((5, 5))
    for number in range(4000):
        seen[np.arange(5), patch_order(5, 0, number, "s", "roi")] += 1
    np.testing.assert_allclose(seen, 800, atol=5 * 25.3)  # five standard deviations


@pytest.mark.parametrize("perturbation", [Permutation(PATCH, 0, 1), Translocation(3, -5, "corner")])
def test_a_result_depends_on_its_sample_alone(perturbation: Permutation | Translocation) -> None:
    """Any order and any batch give the same pixels."""
    batch = random_batch(9)
    whole = perturb_canvases(perturbation, batch.roi, batch, branch="roi", background=PAD)
    for rows in ([4], [8, 1, 3], list(range(8, -1, -1))):
        part = select(batch, rows)
        moved = perturb_canvases(perturbation, part.roi, part, branch="roi", background=PAD)
        np.testing.assert_array_equal(moved, whole[rows])


@given(st.integers(-40, 40), st.integers(-40, 40))
def test_a_centre_translocation_moves_every_pixel_by_the_offset(right: int, down: int) -> None:
    """Pixel (y, x) of the photo goes to (y + down, x + right); all else is gray."""
    batch = random_batch(6)
    moved = perturb_canvases(
        Translocation(right, down, "center"), batch.extra_roi, batch, branch="extra_roi", background=PAD
    )
    expected = np.full_like(moved, PAD)
    for before, after, (top, left, height, width) in zip(batch.extra_roi, expected, batch.rects.tolist(), strict=True):
        for y in range(top, top + height):
            for x in range(left, left + width):
                if 0 <= y + down < SIDE and 0 <= x + right < SIDE:
                    after[y + down, x + right] = before[y, x]
    np.testing.assert_array_equal(moved, expected)


def test_a_centre_translocation_by_nothing_is_the_identity() -> None:
    """The letterbox itself."""
    batch = random_batch(12)
    moved = perturb_canvases(Translocation(0, 0, "center"), batch.roi, batch, branch="roi", background=PAD)
    np.testing.assert_array_equal(moved, batch.roi)


def test_a_corner_translocation_starts_at_the_corner() -> None:
    """By nothing it loses the centring: the photo lies top left, as in the released code."""
    batch = random_batch(6)
    moved = perturb_canvases(Translocation(0, 0, "corner"), batch.extra_roi, batch, branch="extra_roi", background=PAD)
    for before, after, (top, left, height, width) in zip(batch.extra_roi, moved, batch.rects.tolist(), strict=True):
        np.testing.assert_array_equal(after[:height, :width], before[top : top + height, left : left + width])
        assert (after[height:] == PAD).all()
        assert (after[:, width:] == PAD).all()


def test_the_third_offset_keeps_14_percent_of_a_4_to_3_photo_and_nothing_of_16_to_9() -> None:
    """The released geometry at 224: (37, 139) with dy upwards."""
    for height, width, share in ((480, 640, 0.144), (1080, 1920, 0.0)):
        rect = letterbox_rect(height, width, size=224)
        photo = np.ones((rect.height, rect.width, 1), np.uint8)
        canvas = np.zeros((224, 224, 1), np.uint8)
        paste(Translocation(37, -139, "corner").place(photo, rect, side=224, sample_id="s", branch="roi"), canvas)
        assert canvas.sum() / photo.size == pytest.approx(share, abs=5e-4)


@pytest.mark.parametrize(("top", "left"), [(-50, 0), (0, 50), (50, 0), (0, -50), (-32, -32)])
def test_what_falls_off_entirely_leaves_the_canvas_gray(top: int, left: int) -> None:
    """No wrap-around at any side."""
    canvas = np.full((SIDE, SIDE, 3), PAD, np.uint8)
    paste(Placed(pixels(SIDE, SIDE), top, left), canvas)
    assert (canvas == PAD).all()


def test_kept_shares_count_pixels_and_know_empty_regions() -> None:
    """Half of the photo and a quarter of its region; NaN for a region that never was."""
    before = np.zeros((2, 4, 4, 1), np.uint8)
    before[0, :2] = before[1, :2] = 1
    before[0, 0] = 2
    after = np.zeros_like(before)
    after[0, 0, :3] = 1
    after[0, 0, 3] = 2
    np.testing.assert_array_equal(region_sizes(before), [[8, 4], [8, 0]])
    shares = kept_shares(region_sizes(before), region_sizes(after))
    np.testing.assert_array_equal(shares, [[0.5, 0.25], [0.0, np.nan]])


MOVED = Translocation(5, -3, "center")
SHUFFLED = Permutation(8, 0, 0)


def test_a_photo_under_no_perturbation_is_the_photo() -> None:
    """ROI over extra-ROI hides nothing."""
    batch = random_batch(12)
    np.testing.assert_array_equal(perturb_photos(PerturbationSpec(None, None, None), batch, pad=PAD), batch.photo)


@pytest.mark.parametrize("perturbation", [MOVED, SHUFFLED])
def test_under_a_perturbed_extra_roi_the_roi_stays(perturbation: Permutation | Translocation) -> None:
    """Its pixels and its region; around it is the perturbed view, whose hole belongs to no region."""
    batch = random_batch(12)
    found, masks = perturb_photos(PerturbationSpec(None, perturbation, None), batch, pad=PAD), batch.masks
    np.testing.assert_array_equal(found[masks], batch.photo[masks])
    np.testing.assert_array_equal(found[..., 3] == 2, masks)
    view = perturb_canvases(perturbation, batch.extra_roi, batch, branch="extra_roi", background=PAD)
    np.testing.assert_array_equal(found[~masks][:, :3], view[~masks])
    assert not found[~masks & (view == 0).all(axis=3)][:, 3].any()  # photos have no black pixel of their own


def test_a_permuted_roi_lies_over_the_extra_roi_with_its_mask() -> None:
    """It is what the ROI branch of two sees; elsewhere is the extra-ROI, with a hole where the ROI was."""
    batch = random_batch(12)
    found = perturb_photos(PerturbationSpec(SHUFFLED, None, None), batch, pad=PAD)
    view = perturb_canvases(SHUFFLED, batch.roi, batch, branch="roi", background=PAD)
    region = found[..., 3] == 2
    np.testing.assert_array_equal(found[region][:, :3], view[region])
    left = batch.masks & ~region
    assert left.any()
    assert not found[left].any()
    rest = ~batch.masks & ~region
    np.testing.assert_array_equal(found[rest], batch.photo[rest])
    both = perturb_photos(PerturbationSpec(SHUFFLED, MOVED, None), batch, pad=PAD)
    np.testing.assert_array_equal(both[region], found[region])
    np.testing.assert_array_equal(both[..., 3] == 2, region)
