"""Step transfer on small shards and untrained runs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.datasets.index import Category, write_samples
from pipeline.evaluation.mask_agreement import TransferSummary
from pipeline.params.masks import TransferParams
from pipeline.params.stages import EvaluateParams
from pipeline.segmentation.weights import CARD, MaskWeightsCard
from pipeline.steps.transfer import transfer
from tests.small_run import CATEGORIES, ONE_THREAD, random_batch, write_small_run, write_small_shards
from tests.strategies import named_sample

PARAMS = TransferParams(top1_margin=0.01, macro_f1_margin=0.01, seed=0)
JUDGING = EvaluateParams(batch_size=4, threads=ONE_THREAD, ece_bins=5, top_confusions=3)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make cut-outs of annotation, the same as `fastsam`, black ones as `sam`, two runs; the last photo is boxed."""
    batch = random_batch(40)
    black = replace(batch, roi=batch.roi * 0, extra_roi=batch.extra_roi * 0)
    for source, cutouts in (("annotation", batch), ("fastsam", batch), ("sam", black)):
        write_small_shards(tmp_path / "shards" / source, [cutouts])
        (tmp_path / "weights" / source).mkdir(parents=True)
        fields = {"architecture": None, "file": None, "sha256": None, "licence": None, "stored": None}
        card = MaskWeightsCard(source=source, origin="none" if source == "annotation" else "random", **fields)
        card.write(tmp_path / "weights" / source / CARD)
    write_small_run(tmp_path / "runs/tiny+none-all", ("roi",))
    write_small_run(tmp_path / "runs/tiny+tiny-all", ("roi", "extra_roi"))
    samples = [replace(named_sample(i), label_map_path="map.png") for i in batch.sample_ids[:-2]]
    boxed = [named_sample(i) for i in batch.sample_ids[-2:]]
    categories = [Category(id=n, name=name, target=n) for n, name in enumerate(CATEGORIES)]
    write_samples([*samples, *boxed], categories, tmp_path / "samples.parquet")
    return tmp_path


def judge(data: Path, source: str, *runs: str) -> TransferSummary:
    """Run the step; return what it wrote."""
    transfer(
        PARAMS,
        JUDGING,
        source=source,
        trained_on="annotation",
        runs=[data / "runs" / run for run in runs],
        samples=data / "samples.parquet",
        weights=data / "weights" / source,
        shards=data / "shards",
        output=data / "out",
        device="cpu",
    )
    return TransferSummary.model_validate_json((data / "out/summary.json").read_bytes())


def test_equal_cutouts_change_nothing(data: Path) -> None:
    """Ignorable for every run; a run that is named twice counts once, and boxed samples are left out."""
    found = judge(data, "fastsam", "tiny+none-all", "tiny+tiny-all", "tiny+none-all")
    assert [run.run for run in found.runs] == ["tiny+none-all", "tiny+tiny-all"]
    assert found.ignorable
    assert {(run.samples, run.photos) for run in found.runs} == {(38, 19)}
    assert all(run.top1[0] == run.top1[1] for run in found.runs)


def test_black_cutouts_are_not_ignorable(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict falls the other way, and is printed with what the weights are."""
    found = judge(data, "sam", "tiny+tiny-all")
    (run,) = found.runs
    assert not found.ignorable
    assert run.top1[0] != run.top1[1]
    assert found.weights == "random"
    assert "ignorable for 0 of 1 run (random weights" in capsys.readouterr().err


def test_annotation_has_nothing_to_compare(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No run is opened: even absent ones do not matter."""
    assert judge(data, "annotation", "absent+none-all").runs == ()
    assert "nothing to compare" in capsys.readouterr().err
    assert json.loads((data / "out/summary.json").read_text())["trained_on"] == "annotation"
