"""Which perturbations a run goes through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.perturbation import Permutation, Translocation, plan_perturbations, scale_offset, translocation
from pipeline.params.stages import PerturbParams

PARAMS = PerturbParams(
    patch_size=16,
    permutation_seeds=2,
    offsets=((-30, 63), (60, -85), (37, 139)),
    offset_size=224,
    origin="corner",
    dy_sign=-1,
    batch_size=8,
    threads=1,
    pad=125,
    seed=7,
)


def test_a_two_branch_run_goes_through_tables_11_and_12() -> None:
    """ROI, extra-ROI and both for each seed, then the corner's identity and the three offsets on the extra-ROI."""
    entries = plan_perturbations(PARAMS, 224, ("roi", "extra_roi"))
    assert [entry.key.target for entry in entries] == ["roi"] * 2 + ["extra_roi"] * 2 + ["both"] * 2 + ["extra_roi"] * 4
    assert [entry.offset for entry in entries[6:]] == [(0, 0), (-30, 63), (60, -85), (37, 139)]
    assert all(entry.roi is None for entry in entries[6:])


def test_both_permutes_each_view_as_its_own_entry_does() -> None:
    """So that their features can be reused."""
    entries = plan_perturbations(PARAMS, 224, ("roi", "extra_roi"))
    assert [(e.roi, e.extra_roi) for e in entries[4:6]] == [
        (r.roi, x.extra_roi) for r, x in zip(entries[:2], entries[2:4], strict=True)
    ]


def test_a_lone_roi_branch_is_permuted_only() -> None:
    """Table 10: translocating the ROI could lose all of it."""
    entries = plan_perturbations(PARAMS, 224, ("roi",))
    assert [(e.key.target, e.roi) for e in entries] == [("roi", Permutation(16, 7, n)) for n in range(2)]


def test_a_lone_extra_roi_branch_is_permuted_and_moved() -> None:
    """No entry touches the branch that is not there."""
    entries = plan_perturbations(PARAMS, 224, ("extra_roi",))
    assert {e.key.target for e in entries} == {"extra_roi"}
    assert len(entries) == 2 + 4


def test_the_corner_identity_is_there_once_whatever_is_asked() -> None:
    """Asked for as an offset it is not doubled; beside centred offsets it stays, to separate centring."""
    asked = PARAMS.model_copy(update={"offsets": ((0, 0), (1, 1), (0, 0))})
    assert [e.offset for e in plan_perturbations(asked, 224, ("extra_roi",))[2:]] == [(0, 0), (1, 1)]
    centred = PARAMS.model_copy(update={"origin": "center", "offsets": ((0, 0),)})
    moves = [e.extra_roi for e in plan_perturbations(centred, 224, ("extra_roi",))[2:]]
    assert moves == [Translocation(0, 0, "corner"), Translocation(0, 0, "center")]


def test_offsets_keep_the_paper_s_values_at_its_size() -> None:
    """(dx, dy) = (37, 139) is 37 right and, as released, 139 up."""
    assert translocation((37, 139), PARAMS, 224) == Translocation(37, -139, "corner")
    downwards = PARAMS.model_copy(update={"dy_sign": 1})
    assert translocation((37, 139), downwards, 224) == Translocation(37, 139, "corner")


@pytest.mark.parametrize(
    ("value", "side", "expected"), [(-30, 64, -9), (63, 64, 18), (7, 112, 4), (-7, 112, -4), (0, 64, 0), (5, 448, 10)]
)
def test_offsets_scale_with_the_side_and_round_half_away_from_zero(value: int, side: int, expected: int) -> None:
    """7 * 112 / 224 = 3.5 becomes 4, and -3.5 becomes -4."""
    assert scale_offset(value, 224, side) == expected


@given(st.integers(-500, 500), st.integers(1, 500), st.integers(1, 500))
def test_scaling_is_odd_and_off_by_at_most_half_a_pixel(value: int, offset_size: int, side: int) -> None:
    """Left and right are treated alike."""
    scaled = scale_offset(value, offset_size, side)
    assert scaled == -scale_offset(-value, offset_size, side)
    assert abs(scaled - value * side / offset_size) <= 0.5 + 1e-9
