"""A run as a folder for the Hugging Face hub: weights, records, labels, and a model card with test scores."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import EvalResult, ModelCardData

from pipeline.datasets.statistics import IndexSummary
from pipeline.evaluation.bootstrap import Bootstrap, Interval, score_intervals, share_interval
from pipeline.evaluation.metrics import DIGITS
from pipeline.evaluation.predictions import PREDICTIONS, VALIDATION, read_predictions
from pipeline.export.datasets import card_text, render
from pipeline.inference.facts import METRICS, RunFacts, read_score
from pipeline.inference.predictor import open_run
from pipeline.models.artifact import RunCard
from pipeline.models.card import RUN_CARD, WEIGHTS
from pipeline.params.base import read_record
from pipeline.reporting.results import EvaluationMetrics

TASK = "image-classification"
README, CONFIG, LICENCE = "README.md", "config.json", "LICENSE.md"
PAPER = "https://arxiv.org/abs/2407.08257"


class TestScore(NamedTuple):
    """One row of the card's table; its 95 % interval, in [0, 1], is by bootstrap over photos."""

    name: str
    metric: str  # name on the hub
    interval: Interval


class TestScores(NamedTuple):
    """Scores of a run on the test samples of its classes, the whole test split first."""

    samples: int
    photos: int
    rows: tuple[TestScore, ...]
    pair: tuple[str, ...]  # names of the ambiguous pair


def read_scores(card: RunCard, metrics: EvaluationMetrics, evaluation: Path) -> TestScores:
    """Score the output of `evaluate`, whose metrics are at hand."""
    table = read_predictions(evaluation / PREDICTIONS)
    names = metrics.ambiguous or card.ambiguous  # runs of earlier versions have the pair in their cards
    pair, bootstrap = table.pair(names), Bootstrap(seed=0)
    scores = score_intervals(table.targets, table.predictions, table.photo_ids, pair, bootstrap)
    top1 = share_interval(table.predictions == table.targets, table.photo_ids, bootstrap)
    rows = [TestScore("top-1 accuracy", "accuracy", top1), TestScore("macro F1", "f1", scores["macro_f1"])]
    if pair is not None:
        rows.append(TestScore(f"F1 of {' and '.join(names)}", "f1", scores["ambiguous_f1"]))
    return TestScores(len(table.sample_ids), len(set(table.photo_ids)), tuple(rows), tuple(names))


def write_hub(  # noqa: PLR0913 - the run, what is known of it, and where to
    run: Path, folder: Path, *, evaluation: Path, index: Path, licence: str, code: str | None = None
) -> tuple[str, ...]:
    """Write a folder to upload, which `load_run` reads too; return the names of its files.

    Args:
        run: Package of the run.
        folder: Folder to write.
        evaluation: Output of stage `evaluate`, a source of the model card; need not exist.
        index: Output of stage `index`; likewise.
        licence: Licence of the weights in the hub's spelling: `mit`, `apache-2.0`, `other`.
        code: URL of this code.
    """
    opened = open_run(run, device="cpu")
    card, score, summary = opened.card, read_score(evaluation, opened.card), index / "summary.json"
    scores = read_scores(card, score, evaluation) if score else None
    indexed = read_record(IndexSummary, summary, "index") if summary.exists() else None
    known = {category.name for category in indexed.categories} if indexed else set()
    sentences = indexed.data_card if indexed and known.issuperset(card.class_names) else ()  # else of other data
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: run / name for name in (WEIGHTS, RUN_CARD)}
    files |= {METRICS: evaluation / METRICS} if score else {}
    files |= {VALIDATION: run / VALIDATION} if opened.rejection else {}
    for name, file in files.items():
        shutil.copyfile(file, folder / name)
    config = {  # where other tools look for labels
        "model_type": "rvernet",
        "architectures": ["RveRNet"],
        "image_size": card.image_size,
        "id2label": {str(number): name for number, name in enumerate(card.class_names)},
        "label2id": {name: number for number, name in enumerate(card.class_names)},
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    facts = opened.facts._replace(score=score)
    (folder / README).write_text(model_card(facts, scores, sentences, licence, code=code), encoding="utf-8")
    (folder / LICENCE).write_text(render("licence.md.j2", card=card, licence=licence), encoding="utf-8")
    return (*files, CONFIG, README, LICENCE)


def model_card(
    facts: RunFacts, scores: TestScores | None, sentences: Sequence[str], licence: str, *, code: str | None = None
) -> str:
    """Return README.md; `scores` is None if the run was not evaluated, `sentences` describe the data set."""
    card, data_set = facts.card, facts.card.train.data_set or "not recorded"
    files = dict.fromkeys(backbone.file for backbone in card.backbones.values() if backbone.source == "hub")
    base_models = [file.rpartition("/")[0] for file in files if file]
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=re.sub(r"[^a-z0-9]+", "-", data_set.lower()).strip("-") or "unnamed",
            dataset_name=data_set,
            dataset_split="test",
            metric_type=score.metric,
            metric_name=score.name,
            metric_value=round(score.interval.value, DIGITS),
        )
        for score in (scores.rows if scores else ())
    ]
    header = ModelCardData(
        license=licence,
        license_name="see-license-file" if licence == "other" else None,
        license_link=LICENCE,
        library_name="rvernet",
        pipeline_tag=TASK,
        tags=["rvernet", "food", "region-of-interest", "timm"],
        base_model=base_models or None,
        metrics=["accuracy", "f1"],
        model_name=card.run,
        eval_results=results or None,
    )
    shown = {"facts": facts, "card": card, "scores": scores, "sentences": sentences, "licence": licence}
    return card_text(header, "model_card.md.j2", **shown, code=code, paper=PAPER)
