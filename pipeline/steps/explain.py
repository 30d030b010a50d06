"""Where each branch of one run looks, in the same test samples for every run; Figure 4 of the paper."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.arrays import Targets
from pipeline.console import progress
from pipeline.datasets.choice import Numbered
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.datasets.samples import read_samples
from pipeline.evaluation.inference import plain_logits, predict
from pipeline.evaluation.metrics import confidences_of
from pipeline.evaluation.perturbation import Branch
from pipeline.evaluation.run_samples import SPLIT, Trial, open_trial
from pipeline.explanation.choice import choose_explained
from pipeline.explanation.grad_cam import BranchHeat, grad_cam
from pipeline.explanation.heat_maps import (
    FILE,
    HeatMap,
    describe_heat,
    share_inside,
    summary_text,
    write_heat_maps,
)
from pipeline.params.analysis import ExplainParams
from pipeline.stores import Place


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Samples of one batch with the run's answers."""

    batch: SampleBatch
    names: tuple[str, ...]
    """Category by class."""
    predictions: Targets
    confidences: np.ndarray
    """Calibrated probability of the prediction."""
    explained: Targets
    """Class whose logit the maps speak for."""


def explain(  # noqa: PLR0913 - one argument for each thing that the stage depends on
    params: ExplainParams, *, samples: Path, shards: Place, run: Path, output: Path, device: str
) -> None:
    """Write `heat_maps.parquet` and `summary.json` of one run.

    Args:
        params: Section `explain`.
        samples: `samples.parquet` of stage `index`.
        shards: Folder of shards.
        run: Folder of the run.
        output: Folder to write.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        EvaluationError: If the shards do not fit the run, or a logit or map is not finite.
        ManifestError: If a stored file is absent or damaged.
        ModelError: If Grad-CAM cannot look into a backbone.
        ParamsError: If the device is not there.
    """
    trial = open_trial(run, shards, device)
    maps: list[HeatMap] = []
    seams: dict[Branch, str] = {}
    for judged in _judge(params, trial, samples):
        for branch, found in grad_cam(trial.model, judged.batch, judged.explained, trial.device, params.method).items():
            seams[branch] = found.seam
            maps += _heat_maps(judged, branch, found)
    output.mkdir(parents=True, exist_ok=True)
    write_heat_maps(maps, output / FILE, run=trial.card.run)
    branches = {
        branch: {"features": seam} | describe_heat([entry for entry in maps if entry.branch == branch])
        for branch, seam in seams.items()
    }
    (output / "summary.json").write_text(summary_text(trial.card.run, params, branches), encoding="utf-8")


def _judge(params: ExplainParams, trial: Trial, samples: Path) -> Iterator[Judged]:
    chosen = choose_explained(
        (sample for sample in read_samples(samples) if sample.split == SPLIT),
        names=trial.card.class_names,
        ambiguous=trial.card.ambiguous,
        count=params.samples,
        seed=params.seed,
    )
    starts = range(0, len(chosen), params.batch_size)
    for start in progress(starts, total=len(starts), what=f"explain {trial.card.run}", unit="batch"):
        batch = _read(trial, chosen[start : start + params.batch_size])
        logits = plain_logits(trial.model, batch, trial.device)
        predictions = predict(logits, batch.sample_ids)
        confidences = confidences_of(logits, trial.card.calibration.temperature)
        explained = predictions if params.explained == "prediction" else batch.targets
        yield Judged(batch, trial.card.class_names, predictions, confidences, explained)


def _read(trial: Trial, chosen: Sequence[Numbered]) -> SampleBatch:
    batch = trial.shards.select(SPLIT, [numbered.row for numbered in chosen])
    return replace(batch, targets=trial.classes.index[batch.targets])


def _heat_maps(judged: Judged, branch: Branch, found: BranchHeat) -> Iterator[HeatMap]:
    for row, heat in enumerate(found.heat):
        mask = judged.batch.masks[row]
        yield HeatMap(
            sample_id=judged.batch.sample_ids[row],
            branch=branch,
            truth=judged.names[judged.batch.targets[row]],
            prediction=judged.names[judged.predictions[row]],
            probability=float(judged.confidences[row]),
            explained=judged.names[judged.explained[row]],
            inside=share_inside(heat, mask),
            area=float(mask.mean()),
            heat=heat,
        )
