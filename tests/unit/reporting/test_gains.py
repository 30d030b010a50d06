"""What the second branch gains, and where: groups, verdicts and files of made-up results."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.index import Category, write_samples
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.predictions import PredictionTable
from pipeline.reporting.gains import (
    HEAD,
    PairGains,
    SampleFacts,
    all_gains,
    confusability,
    gains_json,
    group_samples,
    read_facts,
    write_gains,
)
from pipeline.reporting.grid import GridRun
from pipeline.reporting.results import RunPredictions
from pipeline.runtime.errors import EvaluationError
from tests.unit.reporting.study import make_sample

NAMES = ("bread", "rice", "soup")
ALONE, BOTH, FUSED = (GridRun("vit", other, "all") for other in ("none", "vit", "mask_pool"))
PHOTOS = 120
TARGETS = np.arange(3 * PHOTOS) % 3
"""Three samples of each photo, one of each category."""
FEW = Bootstrap(0, resamples=300)


def run_of(right: np.ndarray, prefix: str = "test") -> RunPredictions:
    """Return the predictions of a run that is right on some samples."""
    ids = tuple(f"{prefix}/{row // 3}/{row % 3}" for row in range(len(TARGETS)))
    photos = tuple(i.rpartition("/")[0] for i in ids)
    return RunPredictions(ids, photos, TARGETS, np.where(right, TARGETS, (TARGETS + 1) % 3), None, {})


def validation(wrong: Sequence[float]) -> PredictionTable:
    """Return answers for ten validation samples of each category, of which such shares are wrong."""
    targets = np.repeat(np.arange(len(wrong)), 10)
    found = np.concatenate([np.where(np.arange(10) < 10 * share, (k + 1) % 3, k) for k, share in enumerate(wrong)])
    ids = tuple(f"train/{row}/1" for row in range(len(targets)))
    logits = np.zeros((len(ids), 3), np.float32)
    return PredictionTable(NAMES, ids, tuple(i.rpartition("/")[0] for i in ids), targets, found, logits)


def share_right(share: float, seed: int) -> np.ndarray:
    """Return which samples a run gets right."""
    return np.random.default_rng(seed).random(len(TARGETS)) < share


def gains(right: dict[GridRun, np.ndarray], validations: dict[GridRun, PredictionTable] | None = None) -> PairGains:
    """Return the gains of the first pair."""
    predictions = {run: run_of(rows) for run, rows in right.items()}
    facts = {i: SampleFacts(0.02 if i.endswith("/0") else 0.5, 3) for i in predictions[ALONE].sample_ids}
    tables = {run: (validations or {}).get(run) for run in right}
    return all_gains(predictions, dict.fromkeys(right, NAMES), tables, facts, FEW)[0]


@pytest.mark.parametrize(("alone", "both", "said"), [(0.5, 0.7, "helps"), (0.7, 0.5, "harms"), (0.6, 0.6, "undecided")])
def test_the_verdict_follows_from_the_numbers(alone: float, both: float, said: str) -> None:
    """Of all samples; the interval holds the gain, which is the difference of both accuracies."""
    row = gains({ALONE: share_right(alone, 0), BOTH: share_right(both, 1)}).overall
    assert row.direction == said
    assert row.gain.value == pytest.approx(row.double - row.single)
    assert row.gain.low <= row.gain.value <= row.gain.high
    assert (row.gain.low > 0, row.gain.high < 0) == (said == "helps", said == "harms")
    assert (row.photos, row.samples) == (PHOTOS, 3 * PHOTOS)


def test_a_gain_that_one_comparison_shows_is_undecided_among_six() -> None:
    """Holm's procedure holds all of a table to one level."""
    alone = np.arange(len(TARGETS)) % 2 == 0
    both = alone.copy()
    both[np.flatnonzero(~alone)[:15]], both[np.flatnonzero(alone)[:4]] = True, False
    runs = [GridRun(f"b{number}", branch, "all") for number in range(6) for branch in ("none", f"b{number}")]
    predictions = {run: run_of(both if run.extra_roi == "b0" else alone) for run in runs}
    arguments = dict.fromkeys(runs, NAMES), dict.fromkeys(runs), {}, FEW
    many = all_gains(predictions, *arguments)
    one = all_gains({run: predictions[run] for run in runs[:2]}, *arguments)
    assert [pair.overall.direction for pair in one] == ["helps"]
    assert {pair.overall.direction for pair in many} == {"undecided"}
    assert many[0].overall.gain == one[0].overall.gain


def test_the_gain_is_found_where_it_is() -> None:
    """Small foods, which are the first category: made up so; categories are sorted from most to least."""
    alone, small = share_right(0.6, 0), np.arange(len(TARGETS)) % 3 == 0
    found = gains(
        {ALONE: alone, BOTH: small | alone},
        {ALONE: validation((0.9, 0, 0.1)), BOTH: validation((0.5, 0.2, 0.1))},
    )
    said = {row.group: row.direction for row in found.groups}
    assert said == {
        "below 3 % of the photo": "helps",
        "30 % and more": "undecided",
        "3 foods": "helps",
        "least confused third, 10 % wrong": "undecided",
        "middle third, 10 % wrong": "undecided",
        "most confused third, 70 % wrong": "helps",
    }
    assert [row.group for row in found.categories] == ["bread", "rice", "soup"]
    assert sum(row.samples for row in found.categories) == len(TARGETS)
    assert all(row.group in found.chart for row in found.groups)


def test_one_backbone_on_photo_and_mask_is_compared_too() -> None:
    """After two branches, with the same ROI-only run."""
    predictions = {run: run_of(share_right(0.6, seed)) for seed, run in enumerate((FUSED, ALONE, BOTH))}
    found = all_gains(predictions, dict.fromkeys(predictions, NAMES), dict.fromkeys(predictions), {}, FEW)
    assert [(pair.single, pair.double) for pair in found] == [(ALONE, BOTH), (ALONE, FUSED)]


def test_confusability_takes_no_side() -> None:
    """It is the mean of both runs: swapping them changes no group."""
    one, other = validation((0.9, 0.0, 0.2)), validation((0.1, 0.4, 0.2))
    assert confusability([one, other]) == confusability([other, one])
    assert confusability([one, other]) == pytest.approx({"bread": 0.5, "rice": 0.2, "soup": 0.2})


def test_luck_of_one_run_is_no_gain_of_the_other() -> None:
    """Two runs that are alike but for luck with categories: no third gains, though the errors of one would say so."""
    generator, classes, each = np.random.default_rng(0), 600, 20
    chances = np.clip(0.6 + 0.2 * generator.normal(size=(2, classes)), 0, 1)  # of each run on each category
    answers = generator.random((2, 2, classes, each)) < chances[:, np.newaxis, :, np.newaxis]  # run, split, category
    shares = 1 - answers[:, 0].mean(axis=2)

    def gain_of_worst(ranked: np.ndarray) -> float:
        worst = np.argsort(ranked)[-classes // 3 :]
        return float(answers[1, 1, worst].mean() - answers[0, 1, worst].mean())

    assert abs(gain_of_worst(shares.mean(axis=0))) < 0.05
    assert gain_of_worst(shares[0]) > 0.15


def test_samples_without_size_or_validation_are_in_no_such_group() -> None:
    """Prompts have no mask, and a rare category may have no validation sample."""
    one = run_of(share_right(0.5, 0))
    groups = group_samples(one, NAMES, {}, {"rice": 0.5})
    assert not any(rows.any() for rows in (*groups["size"].values(), *groups["foods in the photo"].values()))
    (third,) = groups["confusability"].values()
    np.testing.assert_array_equal(third, TARGETS == 1)
    edges = {f"test/0/{k}": SampleFacts(share, 9) for k, share in enumerate((0.03, 0.3, 1.0))}
    sizes = group_samples(one, NAMES, edges, {})["size"]
    assert [np.flatnonzero(rows).tolist() for rows in sizes.values()] == [[], [0], [], [1, 2]]


def test_runs_on_other_samples_are_refused() -> None:
    """There is nothing to pair."""
    predictions = {ALONE: run_of(share_right(0.5, 0)), BOTH: run_of(share_right(0.5, 0), prefix="other")}
    with pytest.raises(EvaluationError, match=r"vit\+vit-all and vit\+none-all have different test samples"):
        all_gains(predictions, dict.fromkeys(predictions, NAMES), dict.fromkeys(predictions), {}, FEW)


def test_facts_are_of_the_test_split(tmp_path: Path) -> None:
    """Foods are categories: two objects of one count once."""
    sample = replace(make_sample(), mask_share=0.25)
    rows = [
        sample,
        replace(sample, sample_id="test/a/2", category="egg"),
        replace(sample, sample_id="test/a/2-2", category="egg"),
        replace(sample, sample_id="train/a/2", photo_id="train/a", split="train"),
    ]
    write_samples(rows, [Category(1, "rice", 0)], tmp_path / "samples.parquet")
    expected = {f"test/a/{end}": SampleFacts(0.25, 2) for end in ("1", "2", "2-2")}
    assert read_facts(tmp_path / "samples.parquet") == expected


def test_files_have_every_row(tmp_path: Path) -> None:
    """CSV, Markdown and JSON; none without pairs."""
    found = gains({ALONE: share_right(0.5, 0), BOTH: share_right(0.6, 1)})
    write_gains((), tmp_path)
    assert not list(tmp_path.iterdir())
    write_gains((found,), tmp_path)
    with (tmp_path / "gains.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["group"] for row in rows] == [row.group for row in found.rows]
    assert [float(row["gain"]) for row in rows] == pytest.approx([row.gain.value for row in found.rows], abs=1e-6)
    assert [tuple(entry) for entry in gains_json([found])] == [HEAD] * len(rows)
    assert (tmp_path / "gains.md").read_text(encoding="utf-8").count("\n| vit") == len(rows)
