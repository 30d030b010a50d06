"""A whole small study for tests: real index, masks and shards, and invented predictions written by the real writers."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from pipeline.datasets.index import Sample
from pipeline.datasets.sample_batch import ViewName
from pipeline.datasets.shards import Shards
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.metrics import CONVENTIONS, EpochRecord
from pipeline.evaluation.perturbation import (
    KeptShares,
    perturbation_metrics,
    plan_perturbations,
    write_perturbed_predictions,
)
from pipeline.evaluation.predictions import PredictionTable, PredictionWriter, read_predictions
from pipeline.evaluation.probe import FEATURE_SETS, HeldOut, ProbeSummary, score_rows
from pipeline.params.model import TrainParams
from pipeline.params.run_name import FUSIONS
from pipeline.params.stages import IndexParams, PairParams, PerturbParams, SegmentParams
from pipeline.reporting.grid import ABSENT, GridRun, runs_with
from pipeline.runtime.manifest import MANIFEST, sha256_of
from pipeline.steps.configure import configure
from pipeline.steps.evaluate import describe_pair, describe_run, write_tables
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks
from tests.raw_folder import RawFolder
from tests.unit.reporting.page import VARIANT, StudyFolder

ROOT = Path(__file__).parents[3]
AMBIGUOUS = ("ketchup", "chili paste")
BRANCHES: tuple[ViewName, ...] = ("roi", "extra_roi")
CATEGORIES = "0 background\n1 rice\n2 sauce\n3 ketchup\n4 chili paste\n"
TOP1 = {"two branches": 0.9, "ROI only": 0.55, "extra-ROI only": 0.5}


def make_sample(category: str = "rice") -> Sample:
    """Return one row of the sample table."""
    return Sample(
        sample_id="test/a/1", photo_id="test/a", split="test", photo_path="a.png", label_map_path="b.png",
        photo_height=24, photo_width=48, photo_sha256="", label_map_sha256="", category=category,
        category_id=1, mask_value=1, target=0,
        mask_area=1, mask_share=0.1, x0=0, y0=0, x1=1, y1=1, components=1, prompts=None, flags=(),
    )  # fmt: skip


FEW = ("vit+none-all", "none+vit-all", "vit+vit-all")
"""Enough for a finding; a page of all runs takes five times as long to draw."""


def build_study(
    path: Path, *, variant: str = VARIANT, categories: str = CATEGORIES, runs: Sequence[str] = ()
) -> StudyFolder:
    """Make every input of the stages summary and report below `path`; `runs` in place of all those of the graph."""
    study = StudyFolder(path)
    _make_data(study, categories)
    configure(params=ROOT / "params.yaml", settings=study.settings)
    for run in map(GridRun.parse, runs) if runs else runs_with(GridRun.parse(variant)):
        make_run(study, run)
    return study


def _make_data(study: StudyFolder, categories: str) -> None:
    raw = RawFolder(study.raw, categories)
    generator = np.random.default_rng(0)
    for split, photos in (("train", 4), ("test", 12)):
        for number in range(photos):
            labels = np.zeros((24, 32), np.uint8)
            labels[2:10, 3:12], labels[12:20, 15:29] = 1 + number % 2, 3 + number // 2 % 2
            raw.add(split, f"{split}{number:04}", labels, seed=int(generator.integers(1000)))
    samples = study.index / "samples.parquet"
    masks, shards = study.masks / "annotation", study.shards / "annotation"
    build_index(IndexParams(on_error="fail", tiny_area=10), raw=study.raw, index=study.index, workers=1)
    segmenting = SegmentParams(source="annotation", photos_per_file=8)
    write_masks(segmenting, raw=study.raw, samples=samples, masks=masks, workers=1)
    pairing = PairParams(image_size=32, fill=0, pad=125, photos_per_file=8)
    write_shards(pairing, source="annotation", raw=study.raw, samples=samples, masks=masks, shards=shards, workers=1)


def make_run(study: StudyFolder, run: GridRun) -> None:
    """Invent one run's predictions, as accurate as its kind usually is, and store them as the stages do."""
    shards = Shards(study.shards / "annotation")
    names = tuple(n for n in shards.categories if run.classes == "all" or n != "sauce")
    for folder in (study.evaluations, study.perturbations, study.runs):
        (folder / run.name).mkdir(parents=True, exist_ok=True)
    _evaluate(study.evaluations / run.name, run, names, shards)
    table = read_predictions(study.evaluations / run.name / "predictions.parquet")
    _perturb(study.perturbations / run.name, run, table)
    _write(study.runs / run.name / "run.json", _card(run, names, sha256_of(shards.folder / MANIFEST)))
    history = _history(has_pair=set(AMBIGUOUS) <= set(names))
    (study.runs / run.name / "history.csv").write_text(history, encoding="utf-8")


def _evaluate(folder: Path, run: GridRun, names: tuple[str, ...], shards: Shards) -> None:
    batch, known = shards.read("test"), shards.categories
    pair = [names.index(name) for name in AMBIGUOUS if name in names]
    generator = np.random.default_rng(sum(run.name.encode()))
    rows = [row for row, target in enumerate(batch.targets) if known[target] in names]
    targets = np.array([names.index(known[batch.targets[row]]) for row in rows])
    logits = generator.normal(size=(len(rows), len(names))).astype(np.float32)
    right = generator.random(len(rows)) < TOP1.get(run.kind, 0.7)
    logits[np.arange(len(rows)), np.where(right, targets, (targets + 1) % len(names))] += 6
    predictions = logits.argmax(axis=1)
    with closing(PredictionWriter(folder / "predictions.parquet", run=run.name, class_names=names)) as writer:
        writer.write([batch.sample_ids[row] for row in rows], targets, predictions, logits)
    write_tables(targets, predictions, names, folder, limit=5)
    confidences = np.full((len(rows), 2), 0.8)
    photo_ids = [batch.sample_ids[row].rpartition("/")[0] for row in rows]
    metrics = {
        "run": run.name,
        **run._asdict(),
        "epoch": 2,
        "conventions": CONVENTIONS,
        **describe_run(targets, predictions, confidences, photo_ids, classes=len(names), ece_bins=15),
        **describe_pair(targets, predictions, photo_ids, pair),
    }
    _write(folder / "metrics.json", metrics)


PERTURB = PerturbParams(
    patch_size=8, permutation_seeds=2, offsets=((-30, 63), (60, -85), (37, 139)), offset_size=224, origin="corner",
    dy_sign=-1, batch_size=8, threads=1, pad=125, seed=0,
)  # fmt: skip


def _perturb(folder: Path, run: GridRun, table: PredictionTable) -> None:
    """Invent predictions for perturbed samples; every further perturbation makes more of them wrong."""
    entries = plan_perturbations(PERTURB, 32, tuple(name for name in BRANCHES if getattr(run, name) != ABSENT))
    generator = np.random.default_rng(len(run.name))
    hit = generator.random(len(table.targets)) < 0.1 * (1 + np.arange(len(entries)))[:, np.newaxis]
    wrong = (table.targets + 1) % len(table.class_names)
    predictions = np.stack([table.predictions, *np.where(hit, wrong, table.predictions)])
    kept = KeptShares.empty(len(entries)).add(np.full((len(entries), len(hit[0]), 3), 0.75))
    _write(folder / "metrics.json", {"run": run.name} | perturbation_metrics(entries, table.targets, predictions, kept))
    write_perturbed_predictions(table.sample_ids, table.targets, predictions, entries, folder / "predictions.parquet")


def _card(run: GridRun, names: tuple[str, ...], shards_sha256: str) -> dict[str, object]:
    present: dict[str, str] = {name: getattr(run, name) for name in BRANCHES if getattr(run, name) != ABSENT}
    if run.extra_roi in FUSIONS:
        present = {"photo": run.roi}
    recipe = dict.fromkeys(TrainParams.model_fields, 1) | {"share_branches": False}
    backbone = {
        "options": {}, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "input_size": 32, "source": "none",
        "file": None, "revision": None, "sha256": None, "licence": None,
    }  # fmt: skip
    return {
        "run": run.name,
        **run._asdict(),
        "class_names": names,
        "ambiguous": [name for name in AMBIGUOUS if name in names],
        "image_size": 32,
        "train": recipe,
        "epochs_done": 2,
        "calibration": {"temperature": 1.25, "fitted_on": "test split"},
        "shards_sha256": shards_sha256,
        "weights_sha256": f"{sum(run.name.encode()):064x}",
        "backbones": {branch: {"name": name, "timm": f"demo_{name}", **backbone} for branch, name in present.items()},
    }


def _history(*, has_pair: bool) -> str:
    pair = [0.35 * e if has_pair else "" for e in (1, 2)]
    rows = [(e, 1e-3, 2 / e, 0.4, 2.2 / e, 0.4, 0.3 * e, pair[e - 1], 2.1 / e, 0.4, 0.3 * e) for e in (1, 2)]
    return "\n".join(",".join(map(str, row)) for row in (EpochRecord._fields, *rows)) + "\n"


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def made_up_probe(right_alone: int, right_both: int, *, weights: str | None = "0" * 64) -> ProbeSummary:
    """Return made-up results in which ROI alone and both views answer the first so many of 300 samples."""
    photos = np.repeat(np.arange(100), 3)
    targets = np.arange(len(photos)) % 5
    rows = np.random.default_rng(0).permutation(len(photos))
    found = {}
    for names in FEATURE_SETS:
        wrong = targets.copy()
        right = right_both if names == ("roi", "extra_roi") else right_alone
        wrong[rows[right:]] += 1
        found[names] = HeldOut(wrong % 5, (0.1,), 8)
    return ProbeSummary(
        backbone="tiny",
        timm="test_vit",
        weights=weights,
        source="annotation",
        image_size=32,
        folds=5,
        photos=100,
        samples=300,
        majority_rate=0.2,
        nothing_outside=0,
        rows=score_rows(found, targets, photos, Bootstrap(0)),
    )
