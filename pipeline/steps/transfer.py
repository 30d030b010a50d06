"""Evaluate trained runs on the test cut-outs of another mask source and of the annotation, and compare."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.datasets.index import read_samples
from pipeline.datasets.sample_batch import photo_id_of
from pipeline.evaluation.mask_agreement import TransferSummary, compare_sources
from pipeline.evaluation.predictions import PredictionTable
from pipeline.params.masks import SourceName, TransferParams
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.console import note, progress
from pipeline.runtime.errors import counted
from pipeline.runtime.stores import Place, local_or_mirror
from pipeline.segmentation.weights import read_card

REFERENCE = "annotation"
SUMMARY = "summary.json"


def _predict_table(run: Path, shards: Place, params: EvaluateParams, device: str) -> PredictionTable:
    """Return the predictions of a run for the test split of some shards."""
    # Torch, which the annotation alone does not need.
    from pipeline.models.device import set_deterministic  # noqa: PLC0415, I001 - before torch
    from pipeline.evaluation.session import SPLIT, open_session, predict_classes, predict_logits  # noqa: PLC0415

    set_deterministic(params.threads, seed=0)
    session = open_session(run, shards, device)
    total, what = session.shards.rows(SPLIT), f"{run.name} on {shards.name}"
    ids, targets, logits = list[str](), [], []
    for batch in progress(session.batches(params.batch_size), total=total, what=what, unit="sample", count=len):
        ids.extend(batch.sample_ids)
        targets.append(batch.targets)
        logits.append(predict_logits(session.model, batch, session.device))
    joined = np.concatenate(logits)
    return PredictionTable(
        class_names=session.card.class_names,
        sample_ids=tuple(ids),
        photo_ids=tuple(map(photo_id_of, ids)),
        targets=np.concatenate(targets),
        predictions=predict_classes(joined, ids),
        logits=joined,
    )


def transfer(  # noqa: PLR0913 - every path the stage touches
    params: TransferParams,
    evaluation: EvaluateParams,
    *,
    source: SourceName,
    trained_on: SourceName,
    runs: Sequence[Path],
    samples: Path,
    weights: Path,
    shards: Path,
    output: Path,
    device: str,
    mirror: str | None = None,
) -> None:
    """Write `output/summary.json`: the change of the scores when the test cut-outs are exchanged.

    Samples without annotation are left out, since there is nothing to compare with; a run given twice counts once.

    Raises:
        EvaluationError: If shards do not fit a run, or a logit is not finite.
        ManifestError: If a stored file is absent or damaged.
        ParamsError: If the device is not there.
    """
    chosen = [] if source == REFERENCE else list(dict.fromkeys(runs))
    folders = [local_or_mirror(shards / name, mirror) for name in (REFERENCE, source)] if chosen else []
    annotated = frozenset(s.sample_id for s in read_samples(samples) if s.label_map_path) if chosen else frozenset()
    results = []
    for run in chosen:
        tables = [_predict_table(run, folder, evaluation, device).select(annotated) for folder in folders]
        results.append(compare_sources(run.name, tables[0], tables[1], params))
    summary = TransferSummary(
        source=source,
        weights=read_card(weights).origin,
        trained_on=trained_on,
        top1_margin=params.top1_margin,
        macro_f1_margin=params.macro_f1_margin,
        runs=tuple(results),
    )
    output.mkdir(parents=True, exist_ok=True)
    summary.write(output / SUMMARY)
    verdict = "nothing to compare"
    if results:
        fine = sum(result.ignorable for result in results)
        random = " (random weights: it says nothing about the paper)" if summary.weights == "random" else ""
        verdict = f"the change is ignorable for {fine} of {counted(len(results), 'run')}{random}"
    note(f"{source} instead of annotation for test cut-outs: {verdict}")
