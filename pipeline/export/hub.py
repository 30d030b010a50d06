"""A run as a folder for the Hugging Face hub: weights, card of the run, labels, and a model card."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import EvalResult, ModelCardData
from pydantic import ValidationError

from pipeline.datasets.statistics import IndexSummary
from pipeline.evaluation.bootstrap import Bootstrap, Interval, f1_intervals, share_interval
from pipeline.evaluation.predictions import PredictionTable, read_predictions
from pipeline.export.datasets import card_text
from pipeline.inference.predictor import open_run
from pipeline.models.artifact import RunCard
from pipeline.models.card import RUN_CARD, WEIGHTS
from pipeline.params.base import describe
from pipeline.runtime.errors import ManifestError

# What a run scored on its test split, each number with a 95 % interval, for its model card.


PREDICTIONS = "predictions.parquet"
SEED = 0


class TestScore(NamedTuple):
    """One row of the card's table."""

    name: str
    """For a reader."""
    metric: str
    """The hub's name of the metric."""
    interval: Interval
    """In [0, 1]."""
    method: str
    """How the interval is made."""


class TestScores(NamedTuple):
    """A run on its test split."""

    samples: int
    """Test samples of the run's classes."""
    photos: int
    """Photos they come from."""
    rows: tuple[TestScore, ...]
    """Whole test split first."""


def read_scores(card: RunCard, evaluation: Path) -> TestScores | None:
    """Score what `evaluate` wrote; None where the run was not evaluated.

    Raises:
        EvaluationError: If the table is empty.
        ManifestError: If the table is damaged.
    """
    path = evaluation / PREDICTIONS
    if not path.exists():
        return None
    table = read_predictions(path)
    return TestScores(len(table.sample_ids), len(set(table.photo_ids)), tuple(_rows(card, table)))


def _rows(card: RunCard, table: PredictionTable) -> list[TestScore]:
    pair, bootstrap = table.pair(card.ambiguous), Bootstrap(SEED)
    f1 = f1_intervals(table.targets, table.predictions, table.photo_ids, pair, bootstrap)
    top1 = share_interval(table.predictions == table.targets, table.photo_ids, bootstrap)
    rows = [
        TestScore("top-1 accuracy", "accuracy", top1, "bootstrap over photos"),
        TestScore("macro F1", "f1", f1.macro, "bootstrap over photos"),
    ]
    if f1.pair is not None:
        name = f"F1 of {' and '.join(card.ambiguous)}"
        rows.append(TestScore(name, "f1", f1.pair, "bootstrap over photos"))
    return rows


TASK = "image-classification"
README, CONFIG, SUMMARY = "README.md", "config.json", "summary.json"


@dataclass(frozen=True, slots=True)
class CardSources:
    """What a model card tells beside the run itself."""

    evaluation: Path
    """Folder that `evaluate` wrote; need not exist."""
    index: Path
    """Folder that `index` wrote; need not exist."""
    licence: str
    """Of the weights, as the hub spells it: `mit`, `apache-2.0`, `other`."""


def write_hub(run: Path, folder: Path, background: CardSources) -> tuple[str, ...]:
    """Write a folder that can be uploaded as it is, and that `load_run` reads; return the names of its files.

    Args:
        run: Folder of the run.
        folder: Folder to write.
        background: What the model card tells beside the run itself.

    Raises:
        EvaluationError: If the predictions are empty.
        ManifestError: If a file is damaged, or the run is absent.
    """
    card = open_run(run, device="cpu").card
    scores, sentences = read_scores(card, background.evaluation), read_sentences(background.index)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, RUN_CARD):
        shutil.copyfile(run / name, folder / name)
    (folder / CONFIG).write_text(json.dumps(config_of(card), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / README).write_text(model_card(card, scores, sentences, background.licence), encoding="utf-8")
    return (WEIGHTS, RUN_CARD, CONFIG, README)


def config_of(card: RunCard) -> dict[str, object]:
    """Return `config.json`: labels by index and back, where other tools look for them."""
    return {
        "model_type": "rvernet",
        "architectures": ["RveRNet"],
        "image_size": card.image_size,
        "id2label": {str(number): name for number, name in enumerate(card.class_names)},
        "label2id": {name: number for number, name in enumerate(card.class_names)},
    }


def read_sentences(index: Path) -> tuple[str, ...]:
    """Return the data set in plain sentences; none where it was not indexed here.

    Raises:
        ManifestError: If the summary is damaged.
    """
    path = index / SUMMARY
    if not path.exists():
        return ()
    try:
        return IndexSummary.model_validate_json(path.read_bytes()).data_card
    except ValidationError as error:
        raise ManifestError(f"{path}: damaged ({describe(error)}); run `dvc repro -f index`") from error


def model_card(card: RunCard, scores: TestScores | None, sentences: Sequence[str], licence: str) -> str:
    """Return README.md.

    Args:
        card: Run.
        scores: What it scored; None where it was not evaluated.
        sentences: Data set in plain sentences.
        licence: Of the weights, as the hub spells it.
    """
    header = ModelCardData(
        license=licence,
        license_name="see-below" if licence == "other" else None,
        library_name="rvernet",
        pipeline_tag=TASK,
        tags=["rvernet", "food", "region-of-interest", "timm"],
        base_model=list(_base_models(card)) or None,
        metrics=["accuracy", "f1"],
        model_name=card.run,
        eval_results=list(_results(scores)) or None,
    )
    return card_text(header, "model_card.md.j2", card=card, scores=scores, sentences=sentences, licence=licence)


def _base_models(card: RunCard) -> Iterator[str]:
    """Yield the hub's repositories that weights came from, each once."""
    files = dict.fromkeys(backbone.file for backbone in card.backbones.values() if backbone.source == "hub")
    yield from (file.rpartition("/")[0] for file in files if file)


def _results(scores: TestScores | None) -> Iterator[EvalResult]:
    for score in scores.rows if scores else ():
        yield EvalResult(
            task_type=TASK,
            dataset_type="foodseg103-cut-outs",
            dataset_name="ROI and extra-ROI cut-outs",
            dataset_split="test",
            metric_type=score.metric,
            metric_name=score.name,
            metric_value=round(score.interval.value, 6),
        )
