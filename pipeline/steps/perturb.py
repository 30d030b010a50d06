"""Judge one run with permuted and translocated inputs; supplement B of the paper, Tables 10 to 12."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from pipeline.arrays import Targets
from pipeline.console import progress
from pipeline.evaluation.inference import branches_of
from pipeline.evaluation.perturbation_plan import Entry, plan_entries
from pipeline.evaluation.perturbed import judge_perturbed
from pipeline.evaluation.perturbed_results import KeptShares, describe_entries, write_perturbed
from pipeline.evaluation.run_samples import Trial, open_trial
from pipeline.params.analysis import PerturbParams
from pipeline.stores import Place


class Verdicts(NamedTuple):
    """What stays in memory of the test split: 8 bytes a sample and entry."""

    sample_ids: tuple[str, ...]
    """Samples in row order."""
    targets: Targets
    """True classes."""
    predictions: Int64[np.ndarray, "P N"]
    """Row 0 without perturbation, row i + 1 under entry i."""


def perturb(params: PerturbParams, *, shards: Place, run: Path, output: Path, device: str) -> None:
    """Write `metrics.json` and `predictions.parquet` of one run under every perturbation.

    Args:
        params: Section `perturb`.
        shards: Folder of shards.
        run: Folder of the run.
        output: Folder to write.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        EvaluationError: If the shards do not fit the run, have no test sample of its classes, or a logit is not finite.
        ManifestError: If a stored file is absent or damaged.
        ParamsError: If the device is not there.
    """
    trial = open_trial(run, shards, device)
    entries = plan_entries(params, trial.shards.image_size, tuple(branches_of(trial.model)))
    verdicts, kept = _judge(trial, entries, params)
    output.mkdir(parents=True, exist_ok=True)
    write_perturbed(*verdicts, entries, output / "predictions.parquet")
    metrics = {
        "run": trial.card.run,
        "samples": len(verdicts.sample_ids),
        **describe_entries(entries, verdicts.targets, verdicts.predictions, kept),
    }
    (output / "metrics.json").write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _judge(trial: Trial, entries: Sequence[Entry], params: PerturbParams) -> tuple[Verdicts, KeptShares]:
    parts, kept = [], KeptShares.none(len(entries))
    total, what = trial.batch_count(params.batch_size), f"perturb {trial.card.run}"
    for batch in progress(trial.batches(params.batch_size), total=total, what=what, unit="batch"):
        judged = judge_perturbed(trial.model, batch, entries, pad=params.pad, device=trial.device)
        kept = kept.add(judged.kept)
        parts.append(Verdicts(batch.sample_ids, batch.targets, judged.predictions))
    ids, targets, predictions = zip(*parts, strict=True)
    names = tuple(name for part in ids for name in part)
    return Verdicts(names, np.concatenate(targets), np.concatenate(predictions, axis=1)), kept
