"""A run as a folder for the Hugging Face hub: weights, `run.json`, labels, and a model card with test scores."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import EvalResult, ModelCardData

from pipeline.datasets.statistics import IndexSummary
from pipeline.evaluation.bootstrap import Bootstrap, Interval, f1_intervals, share_interval
from pipeline.evaluation.metrics import DIGITS
from pipeline.evaluation.predictions import read_predictions
from pipeline.export.datasets import card_text
from pipeline.inference.predictor import open_run
from pipeline.models.artifact import RunCard
from pipeline.models.card import RUN_CARD, WEIGHTS
from pipeline.params.base import read_record
from pipeline.reporting.results import EvaluationMetrics

TASK = "image-classification"
README, CONFIG = "README.md", "config.json"


class TestScore(NamedTuple):
    """One row of the card's table; its interval, in [0, 1], is by bootstrap over photos."""

    name: str
    metric: str  # name on the hub
    interval: Interval


class TestScores(NamedTuple):
    """Scores of a run on its test split, with 95 % intervals."""

    samples: int  # test samples of the run's classes
    photos: int  # photos they come from
    rows: tuple[TestScore, ...]  # whole test split first
    pair: tuple[str, ...]  # names of the ambiguous pair


def read_scores(card: RunCard, evaluation: Path) -> TestScores | None:
    """Score the output of `evaluate`; None if the run was not evaluated."""
    path = evaluation / "predictions.parquet"
    if not path.exists():
        return None
    table = read_predictions(path)
    metrics = read_record(EvaluationMetrics, evaluation / "metrics.json", f"evaluate@{card.run}")
    names = metrics.ambiguous or card.ambiguous  # runs of earlier versions have the pair in their cards
    pair, bootstrap = table.pair(names), Bootstrap(seed=0)
    f1 = f1_intervals(table.targets, table.predictions, table.photo_ids, pair, bootstrap)
    top1 = share_interval(table.predictions == table.targets, table.photo_ids, bootstrap)
    rows = [TestScore("top-1 accuracy", "accuracy", top1), TestScore("macro F1", "f1", f1.macro)]
    if f1.pair is not None:
        rows.append(TestScore(f"F1 of {' and '.join(names)}", "f1", f1.pair))
    return TestScores(len(table.sample_ids), len(set(table.photo_ids)), tuple(rows), tuple(names))


def write_hub(run: Path, folder: Path, *, evaluation: Path, index: Path, licence: str) -> tuple[str, ...]:
    """Write a folder to upload, which `load_run` reads too; return the names of its files.

    The outputs of `evaluate` and `index`, sources of the model card, need not exist. The licence of the weights is in
    the hub's spelling: `mit`, `apache-2.0`, `other`.
    """
    card = open_run(run, device="cpu").card
    scores, summary = read_scores(card, evaluation), index / "summary.json"
    sentences = read_record(IndexSummary, summary, "index").data_card if summary.exists() else ()
    folder.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, RUN_CARD):
        shutil.copyfile(run / name, folder / name)
    config = {  # where other tools look for labels
        "model_type": "rvernet",
        "architectures": ["RveRNet"],
        "image_size": card.image_size,
        "id2label": {str(number): name for number, name in enumerate(card.class_names)},
        "label2id": {name: number for number, name in enumerate(card.class_names)},
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / README).write_text(model_card(card, scores, sentences, licence), encoding="utf-8")
    return (WEIGHTS, RUN_CARD, CONFIG, README)


def model_card(card: RunCard, scores: TestScores | None, sentences: Sequence[str], licence: str) -> str:
    """Return README.md; `scores` is None if the run was not evaluated, `sentences` describe the data set."""
    files = dict.fromkeys(backbone.file for backbone in card.backbones.values() if backbone.source == "hub")
    base_models = [file.rpartition("/")[0] for file in files if file]
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type="foodseg103-cut-outs",
            dataset_name="ROI and extra-ROI cut-outs",
            dataset_split="test",
            metric_type=score.metric,
            metric_name=score.name,
            metric_value=round(score.interval.value, DIGITS),
        )
        for score in (scores.rows if scores else ())
    ]
    header = ModelCardData(
        license=licence,
        license_name="see-below" if licence == "other" else None,
        library_name="rvernet",
        pipeline_tag=TASK,
        tags=["rvernet", "food", "region-of-interest", "timm"],
        base_model=base_models or None,
        metrics=["accuracy", "f1"],
        model_name=card.run,
        eval_results=results or None,
    )
    return card_text(header, "model_card.md.j2", card=card, scores=scores, sentences=sentences, licence=licence)
