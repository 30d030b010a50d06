"""How perturbations differ from the paper's of the same name."""

import pytest

from pipeline.datasets.sample_batch import ViewName
from pipeline.evaluation.perturbation import PerturbationKey, describe_perturbation, plan_perturbations
from pipeline.params.stages import PerturbParams
from pipeline.reporting.paper.published import read_paper
from pipeline.reporting.results import PerturbationEntry
from pipeline.reporting.run_files import deviation_of

RELEASED = PerturbParams(
    patch_size=16, permutation_seeds=2, offsets=((-30, 63), (60, -85), (37, 139)), offset_size=224, origin="corner",
    dy_sign=-1, batch_size=8, threads=1, pad=125, seed=0,
)  # fmt: skip
BRANCHES: tuple[ViewName, ...] = ("roi", "extra_roi")
MOVES = {PerturbationKey("extra_roi", offset) for offset in RELEASED.offsets}
PERMUTATIONS = {PerturbationKey("roi"), PerturbationKey("extra_roi"), PerturbationKey("both")}
NUMBERS = {"top1": 0.5, "macro_f1": 0.5, "change_top1": 0.0, "photo_kept": 1.0, "roi_kept": 1.0}


def deviations(side: int, **changes: object) -> dict[PerturbationKey, str]:
    """Return how the entries that metrics.json has under some parameters differ from the paper's."""
    planned = plan_perturbations(RELEASED.model_copy(update=changes), side, BRANCHES)
    entries = [PerturbationEntry.model_validate(describe_perturbation(e) | NUMBERS, strict=False) for e in planned]
    assert [entry.key for entry in entries] == [entry.key for entry in planned]
    return {entry.key: text for entry in entries if (text := deviation_of(entry, side))}


def test_the_papers_own_setting_deviates_in_nothing() -> None:
    """Patches of 16 at 224, offsets from the corner with dy upwards; so do 8 at 112, where offsets are halved."""
    assert deviations(224) == {}
    assert deviations(112, patch_size=8) == {}


@pytest.mark.parametrize(("number", "branches"), [(10, ("roi",)), (11, BRANCHES), (12, BRANCHES)])
def test_every_perturbed_cell_of_the_paper_has_an_entry_of_its_key(number: int, branches: tuple[ViewName, ...]) -> None:
    """Table 10 has one branch, Tables 11 and 12 have both; files of earlier versions lack patch size and pixels."""
    planned = {
        entry.key: describe_perturbation(entry) | NUMBERS for entry in plan_perturbations(RELEASED, 224, branches)
    }
    asked = {cell.key.measure.perturbation for row in read_paper().tables[number].rows for cell in row.cells} - {None}
    assert asked
    assert asked <= planned.keys()
    for key, stored in planned.items():
        earlier = {name: value for name, value in stored.items() if name not in {"patch_size", "origin", "pixels"}}
        assert PerturbationEntry.model_validate(earlier).key == key


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
def test_every_setting_that_makes_another_perturbation_is_noticed(
    changes: dict[str, object], side: int, deviating: set[PerturbationKey]
) -> None:
    """Under another setting a cell of the same name measures something else."""
    assert set(deviations(side, **changes)) == deviating


def test_the_text_says_both_settings() -> None:
    """In pixels of the pictures that were perturbed."""
    found = deviations(64, patch_size=8, dy_sign=1)
    assert found[PerturbationKey("roi")] == "patches of 8 pixels at 64; the paper's are 16 at 224"
    assert found[PerturbationKey("extra_roi", (37, 139))] == (
        "(37, 139) moves right and down by +11, +40 pixels at 64; the paper's by +11, -40"
    )
