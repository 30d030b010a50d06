"""Where each branch of one run looks, in the same test samples for every run; Figure 4 of the paper."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.arrays import Targets
from pipeline.datasets.index import IndexedSample, Sample, number_rows, read_samples
from pipeline.datasets.sample_batch import SampleBatch, ViewName
from pipeline.evaluation.grad_cam import BranchHeat, grad_cam
from pipeline.evaluation.heat_maps import FILE, HeatMap, describe_heat, format_summary, share_inside, write_heat_maps
from pipeline.evaluation.metrics import confidences_of
from pipeline.evaluation.session import SPLIT, EvalSession, open_session, predict_classes, predict_logits
from pipeline.params.stages import ExplainParams
from pipeline.runtime.console import progress
from pipeline.runtime.stores import Place

# Which test samples are explained: the same for every run of a class set, chosen by hash alone.


def choose_samples(
    samples: Iterable[Sample], *, names: Sequence[str], ambiguous: Sequence[str], count: int, seed: int
) -> list[IndexedSample]:
    """Choose samples: up to half of them of the ambiguous pair, the rest over the other categories in turn.

    Memory is bounded by `count` samples a category.

    Args:
        samples: All samples of one split in the table's order, streamed.
        names: Categories to choose from.
        ambiguous: Those of them that come first.
        count: Samples in all, fewer if the split has fewer.
        seed: Seed of the choice.

    Returns:
        The pair's samples, category by category, then the others by category.
    """
    queues: dict[str, list[IndexedSample]] = defaultdict(list)
    for numbered in number_rows(samples):
        if numbered.sample.category in names:
            queue = queues[numbered.sample.category]
            queue.append(numbered)
            queue.sort(key=lambda n: _rank(n.sample.sample_id, seed))
            del queue[count:]
    each = -(-count // (2 * len(ambiguous))) if ambiguous else 0
    pair = [numbered for name in ambiguous for numbered in queues.pop(name, [])[:each]][:count]
    turns = sorted(
        (turn, _rank(n.sample.sample_id, seed), n.row, n) for queue in queues.values() for turn, n in enumerate(queue)
    )
    others = [numbered for *_, numbered in turns[: count - len(pair)]]
    return [*pair, *sorted(others, key=lambda n: (n.sample.target, n.row))]


def _rank(sample_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"explain/{seed}/{sample_id}".encode()).digest()


@dataclass(frozen=True, slots=True, eq=False)
class PredictedSamples:
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
    trial = open_session(run, shards, device)
    maps: list[HeatMap] = []
    seams: dict[ViewName, str] = {}
    for judged in _judge(params, trial, samples):
        for branch, found in grad_cam(trial.model, judged.batch, judged.explained, trial.device, params.method).items():
            seams[branch] = found.target_layer
            maps += _heat_maps(judged, branch, found)
    output.mkdir(parents=True, exist_ok=True)
    write_heat_maps(maps, output / FILE, run=trial.card.run)
    branches = {
        branch: {"features": seam} | describe_heat([entry for entry in maps if entry.branch == branch])
        for branch, seam in seams.items()
    }
    (output / "summary.json").write_text(format_summary(trial.card.run, params, branches), encoding="utf-8")


def _judge(params: ExplainParams, trial: EvalSession, samples: Path) -> Iterator[PredictedSamples]:
    chosen = choose_samples(
        (sample for sample in read_samples(samples) if sample.split == SPLIT),
        names=trial.card.class_names,
        ambiguous=trial.card.ambiguous,
        count=params.samples,
        seed=params.seed,
    )
    starts = range(0, len(chosen), params.batch_size)
    for start in progress(starts, total=len(starts), what=f"explain {trial.card.run}", unit="batch"):
        batch = _read(trial, chosen[start : start + params.batch_size])
        logits = predict_logits(trial.model, batch, trial.device)
        predictions = predict_classes(logits, batch.sample_ids)
        confidences = confidences_of(logits, trial.card.calibration.temperature)
        explained = predictions if params.explained == "prediction" else batch.targets
        yield PredictedSamples(batch, trial.card.class_names, predictions, confidences, explained)


def _read(trial: EvalSession, chosen: Sequence[IndexedSample]) -> SampleBatch:
    batch = trial.shards.select(SPLIT, [numbered.row for numbered in chosen])
    return replace(batch, targets=trial.classes.index[batch.targets])


def _heat_maps(judged: PredictedSamples, branch: ViewName, found: BranchHeat) -> Iterator[HeatMap]:
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
