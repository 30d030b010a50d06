"""Stage `perturb` on small shards and an untrained run."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.sample_batch import InputName
from pipeline.evaluation.perturbation import read_perturbed_predictions
from pipeline.evaluation.predictions import read_predictions
from pipeline.params.stages import EvaluateParams, PerturbParams
from pipeline.steps.evaluate import evaluate
from pipeline.steps.perturb import perturb
from tests.small_run import PAD, random_batch, select, write_small_run, write_small_shards

PARAMS = PerturbParams(
    patch_size=8,
    permutation_seeds=2,
    offsets=((-30, 63), (37, 139)),
    offset_size=224,
    origin="corner",
    dy_sign=-1,
    batch_size=4,
    threads=1,
    pad=PAD,
    seed=0,
)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Return two shards of 14 and 9 samples."""
    batch = random_batch(23)
    return write_small_shards(tmp_path / "shards", [select(batch, range(14)), select(batch, range(14, 23))])


def perturbed(params: PerturbParams, shards: Path, run: Path, output: Path) -> dict[str, object]:
    """Run the step and read its metrics."""
    perturb(params, shards=shards, run=run, output=output, device="cpu")
    metrics: dict[str, object] = json.loads((output / "metrics.json").read_text())
    return metrics


@pytest.mark.parametrize(
    ("branches", "targets"),
    [
        (("roi",), ["roi"] * 2),
        (("extra_roi",), ["extra_roi"] * 5),
        (("roi", "extra_roi"), ["roi"] * 2 + ["extra_roi"] * 2 + ["both"] * 2 + ["extra_roi"] * 3),
        (("photo",), ["roi"] * 2 + ["extra_roi"] * 2 + ["both"] * 2 + ["extra_roi"] * 3),
    ],
)
def test_every_entry_of_a_run_is_measured(
    tmp_path: Path, shards: Path, branches: tuple[InputName, ...], targets: list[str]
) -> None:
    """Entries in the plan's order, numbers from the stored predictions, the plain ones those of `evaluate`."""
    run = write_small_run(tmp_path / "run", branches)
    metrics = perturbed(PARAMS, shards, run, tmp_path / "out")
    entries = metrics["entries"]
    assert isinstance(entries, list)
    assert [entry["target"] for entry in entries] == targets
    evaluate(
        EvaluateParams(batch_size=4, threads=1, ece_bins=5, top_confusions=3),
        shards=shards,
        run=run,
        output=tmp_path / "plain",
        device="cpu",
    )
    plain = read_predictions(tmp_path / "plain/predictions.parquet")
    assert metrics["plain_top1"] == round(float((plain.predictions == plain.targets).mean()), 6)
    for entry, predictions in zip(
        entries, read_perturbed_predictions(tmp_path / "out/predictions.parquet"), strict=True
    ):
        assert entry["top1"] == round(float((predictions == plain.targets).mean()), 6)
        assert entry["change_top1"] == pytest.approx(entry["top1"] - float(str(metrics["plain_top1"])), abs=2e-6)
        assert (entry["roi_kept"] is None) == (entry["target"] == "extra_roi")


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_the_batch_size_changes_nothing(tmp_path: Path, shards: Path, batch_size: int) -> None:
    """A permutation depends on its sample, not on its neighbours."""
    run = write_small_run(tmp_path / "run", ("roi", "extra_roi"))
    one = perturbed(PARAMS, shards, run, tmp_path / "a")
    other = perturbed(PARAMS.model_copy(update={"batch_size": batch_size}), shards, run, tmp_path / "b")
    assert one == other
    np.testing.assert_array_equal(
        *(read_perturbed_predictions(tmp_path / name / "predictions.parquet") for name in "ab")
    )


def test_the_same_run_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path, shards: Path) -> None:
    """The seed is the only chance there is."""
    run = write_small_run(tmp_path / "run", ("roi", "extra_roi"))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        perturbed(PARAMS.model_copy(update={"seed": seed}), shards, run, tmp_path / name)
    for file in ("metrics.json", "predictions.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    a, c = (read_perturbed_predictions(tmp_path / name / "predictions.parquet") for name in "ac")
    assert (a[:6] != c[:6]).any()
    np.testing.assert_array_equal(a[6:], c[6:])


def test_a_centred_shift_by_nothing_declines_by_nothing(tmp_path: Path, shards: Path) -> None:
    """While the corner's identity moves every photo that is not square."""
    run = write_small_run(tmp_path / "run", ("extra_roi",))
    params = PARAMS.model_copy(update={"origin": "center", "offsets": ((0, 0),)})
    entries = perturbed(params, shards, run, tmp_path / "out")["entries"]
    assert isinstance(entries, list)
    corner, centre = entries[-2:]
    assert (corner["origin"], centre["origin"]) == ("corner", "center")
    assert centre["change_top1"] == 0.0
    assert (corner["photo_kept"], centre["photo_kept"]) == (1.0, 1.0)
