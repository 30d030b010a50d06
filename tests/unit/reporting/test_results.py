"""Reading what earlier stages stored, and how perturbations differ from the paper's of the same key."""

import json
from pathlib import Path

import pytest

from pipeline.datasets.sample_batch import ViewName
from pipeline.evaluation.perturbation import PerturbationKey, describe_perturbation, plan_perturbations
from pipeline.params.base import read_record
from pipeline.params.stages import PerturbParams
from pipeline.reporting.paper.published import read_paper
from pipeline.reporting.results import (
    PerturbationEntry,
    PerturbationMetrics,
    describe_deviation,
    read_history,
)
from pipeline.runtime.errors import ManifestError

HEADER = "epoch,learning_rate,train_loss,train_top1,test_loss,test_top1,test_macro_f1,test_ambiguous_f1\n"


def test_an_absent_file_names_the_stage_to_run(tmp_path: Path) -> None:
    """The message is a command."""
    with pytest.raises(
        ManifestError,
        match=r"metrics\.json: absent; run `dvc exp run -S roi=a -S extra_roi=b -S classes=all perturb@a\+b-all`",
    ):
        read_record(PerturbationMetrics, tmp_path / "metrics.json", "perturb@a+b-all")


@pytest.mark.parametrize("text", ["", "[]", '{"entries": 3}', '{"entries": [{"kind": "melted"}]}'])
def test_a_damaged_record_names_the_stage_to_force(tmp_path: Path, text: str) -> None:
    """Whatever is wrong, the way out is to write it anew."""
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(ManifestError, match=r"damaged .*; run `dvc repro -f perturb@x`"):
        read_record(PerturbationMetrics, path, "perturb@x")


def test_keys_that_the_report_does_not_need_are_passed_over(tmp_path: Path) -> None:
    """A stage may store more without breaking its readers."""
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"entries": [], "conventions": {}, "more": 1}))
    assert read_record(PerturbationMetrics, path, "perturb").entries == ()


def test_an_empty_cell_of_the_history_is_no_number(tmp_path: Path) -> None:
    """Runs without the ambiguous pair leave its column empty."""
    path = tmp_path / "history.csv"
    path.write_text(HEADER + "1,0.001,2.5,0.1,2.6,0.2,0.3,\n2,0.001,1.5,0.1,2.6,0.2,0.4,0.5\n")
    first, second = read_history(path, "train@x")
    assert first.test_ambiguous_f1 is first.validation_loss is None
    assert (second.epoch, second.train_loss, second.test_macro_f1, second.test_ambiguous_f1) == (2, 1.5, 0.4, 0.5)


@pytest.mark.parametrize(
    "text", [HEADER, "", "epoch,train_loss\n1,2\n", HEADER + "one,2,3,4,5,6,7,8\n", HEADER + "1\n"]
)
def test_a_history_without_epochs_or_columns_is_refused(tmp_path: Path, text: str) -> None:
    """The message says which run to train again."""
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(ManifestError, match=r"run `dvc repro -f train@x`"):
        read_history(path, "train@x")


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
    return {entry.key: text for entry in entries if (text := describe_deviation(entry, side))}


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
