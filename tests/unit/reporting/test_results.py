"""Reading what earlier stages stored."""

import json
import math
from pathlib import Path

import pytest

from pipeline.reporting.results import PerturbationMetrics, read_class_scores, read_history, read_record
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
    assert math.isnan(first.test_ambiguous_f1)
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


def test_class_scores_come_by_category_name(tmp_path: Path) -> None:
    """Commas and quotes in a name survive, because the csv module reads what it wrote."""
    path = tmp_path / "per_class.csv"
    path.write_text('target,category,support,f1\n0,"a, ""b""",3,0.5\n')
    assert read_class_scores(path, "evaluate@x") == {'a, "b"': (0.5, 3)}
