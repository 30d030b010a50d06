"""One record a run."""

import math

import pytest

from pipeline.evaluation.metrics import EpochRecord
from pipeline.reporting.grid import GridRun
from pipeline.reporting.results import EvaluationMetrics, PerturbationEntry, PerturbationMetrics
from pipeline.reporting.summary import RunSummary, summarise_run, variant_row
from pipeline.runtime.errors import ManifestError

RUN = GridRun("deit", "vit", "all")
HISTORY = (
    EpochRecord(1, 1e-3, 2.0, 0.1, 2.1, 0.1, 0.1, math.nan),
    EpochRecord(2, 1e-3, 1.25, 0.2, 1.9, 0.2, 0.2, math.nan),
)


def metrics(**changes: object) -> EvaluationMetrics:
    """Return metrics of 100 samples, 72 of the pair."""
    values = {
        "samples": 100, "top1": 0.6, "macro_f1": 0.5, "macro_f1_all": 0.4, "ambiguous_f1": 0.7,
        "ambiguous_samples": 72, "ambiguous_top1": 57 / 72, "ece": 0.1, "majority_rate": 0.05, "epoch": 2,
        "top1_interval": (0.5, 0.7), "ambiguous_top1_interval": (0.68, 0.87), "conventions": {},
    }  # fmt: skip
    return EvaluationMetrics.model_validate(values | changes)


def entry(kind: str, target: str, change: float, **places: int) -> PerturbationEntry:
    """Return one perturbed pass."""
    values = {"seed": None, "dx": None, "dy": None, "macro_f1": 0.1, "photo_kept": 0.5, "roi_kept": None}
    what = {"kind": kind, "target": target, "top1": 0.6 + change, "change_top1": change}
    return PerturbationEntry.model_validate(values | what | places)


def summary(*entries: PerturbationEntry, **changes: object) -> RunSummary:
    """Summarise a run."""
    perturbed = PerturbationMetrics(entries=entries, conventions={})
    return summarise_run(RUN, metrics(**changes), perturbed, HISTORY)


def test_intervals_are_those_of_the_metrics() -> None:
    """Over photos, not over samples."""
    result = summary()
    assert (result.top1_interval, result.ambiguous_top1_interval) == ((0.5, 0.7), (0.68, 0.87))


def test_seeds_of_a_permutation_become_mean_and_range() -> None:
    """Branches come in the order ROI, extra-ROI, both, whatever the order of the file."""
    result = summary(
        entry("permutation", "both", -0.3, seed=0),
        entry("permutation", "roi", -0.1, seed=0),
        entry("permutation", "roi", -0.2, seed=1),
    )
    roi, both = result.permutations
    assert (roi.target, roi.seeds, both.target, both.seeds) == ("roi", 2, "both", 1)
    assert roi.change_top1 == pytest.approx(-0.15)
    assert (roi.lowest_top1, roi.top1, roi.highest_top1) == pytest.approx((0.4, 0.45, 0.5))


def test_the_kept_epoch_gives_the_train_loss() -> None:
    """It is the epoch whose weights were evaluated, the last one or not; without its record nothing is guessed."""
    assert [summary(epoch=epoch).train_loss for epoch in (1, 2)] == [2.0, 1.25]
    with pytest.raises(ManifestError, match=r"epoch 3 was evaluated.*run `dvc exp run"):
        summary(epoch=3)


def test_the_row_has_the_same_columns_whatever_the_run_has() -> None:
    """`dvc exp show` keeps its columns when a variant lacks a branch or the data set the pair."""
    full = variant_row(RUN, summary(entry("permutation", "roi", -0.1, seed=0)))
    bare = variant_row(RUN, summary(ambiguous_f1=None, ambiguous_top1=None))
    assert list(full) == list(bare)
    assert bare["ambiguous_f1"] is None
    assert bare["permutation_roi"] is None
    assert full["permutation_roi"] == -0.1


def test_the_row_leaves_out_the_offset_that_shifts_nothing() -> None:
    """(0, 0) measures the lost centring, not a shift."""
    moved = (entry("translocation", "extra_roi", c, dx=d, dy=d) for c, d in ((-0.5, 0), (-0.1, 30), (-0.3, 60)))
    assert variant_row(RUN, summary(*moved))["translocation"] == pytest.approx(-0.2)


def test_the_record_survives_being_written_and_read() -> None:
    """summary.json is read back by the report."""
    result = summary(entry("translocation", "extra_roi", -0.1, dx=-30, dy=63))
    assert RunSummary.model_validate_json(result.model_dump_json()) == result
    assert result.run == RUN
