"""How disturbances differ from the paper's of the same name."""

import pytest

from pipeline.evaluation.perturbation_plan import plan_entries
from pipeline.evaluation.perturbed_results import describe_entry
from pipeline.params.analysis import PerturbParams
from pipeline.reporting.evidence import deviations_of
from pipeline.reporting.results import PerturbationEntry

RELEASED = PerturbParams(
    patch_size=16, permutation_seeds=2, offsets=((-30, 63), (60, -85), (37, 139)), offset_size=224, origin="corner",
    dy_sign=-1, batch_size=8, threads=1, pad=125, seed=0,
)  # fmt: skip
MOVES = {f"translocation by {offset}" for offset in RELEASED.offsets}
PERMUTATIONS = {f"permutation of {target}" for target in ("roi", "extra_roi", "both")}
NUMBERS = {"top1": 0.5, "macro_f1": 0.5, "change_top1": 0.0, "photo_kept": 1.0, "roi_kept": 1.0}


def entries(side: int, **changes: object) -> list[PerturbationEntry]:
    """Return the entries that metrics.json has under some parameters."""
    planned = plan_entries(RELEASED.model_copy(update=changes), side, ("roi", "extra_roi"))
    return [PerturbationEntry.model_validate(describe_entry(e) | NUMBERS, strict=False) for e in planned]


def test_the_papers_own_setting_deviates_in_nothing() -> None:
    """Patches of 16 at 224, offsets from the corner with dy upwards; so do 8 at 112, where offsets are halved."""
    assert deviations_of(entries(224), 224) == {}
    assert deviations_of(entries(112, patch_size=8), 112) == {}


@pytest.mark.parametrize(
    ("changes", "side", "deviating"),
    [
        ({"patch_size": 32}, 224, PERMUTATIONS),
        ({}, 112, PERMUTATIONS),
        ({"origin": "center"}, 224, MOVES),
        ({"dy_sign": 1}, 224, MOVES),
        ({"offset_size": 112}, 224, MOVES),
    ],
)
def test_every_setting_that_makes_another_disturbance_is_noticed(
    changes: dict[str, object], side: int, deviating: set[str]
) -> None:
    """Under another setting a cell of the same name measures something else."""
    assert set(deviations_of(entries(side, **changes), side)) == deviating


def test_the_text_says_both_settings() -> None:
    """In pixels of the pictures that were disturbed."""
    found = deviations_of(entries(64, patch_size=8, dy_sign=1), 64)
    assert found["permutation of roi"] == "patches of 8 pixels at 64; the paper's are 16 at 224"
    assert found["translocation by (37, 139)"] == (
        "(37, 139) moves right and down by +11, +40 pixels at 64; the paper's by +11, -40"
    )
