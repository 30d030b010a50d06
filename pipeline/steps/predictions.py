"""What a run answers to the test samples of some shards, held in memory."""

from pathlib import Path

import numpy as np

from pipeline.console import progress
from pipeline.datasets.pairing import photo_id_of
from pipeline.evaluation.inference import plain_logits, predict
from pipeline.evaluation.predictions import PredictionTable
from pipeline.evaluation.run_samples import open_trial
from pipeline.models.numerics import fix_numerics
from pipeline.params.analysis import EvaluateParams
from pipeline.stores import Place


def predict_table(run: Path, shards: Place, params: EvaluateParams, device: str) -> PredictionTable:
    """Return the answers of a run to the test split of some shards.

    Raises:
        EvaluationError: If the shards do not fit the run, have no test sample of its classes, or a logit is not finite.
        ManifestError: If a stored file is absent or damaged.
        ParamsError: If the device is not there.
    """
    fix_numerics(params.threads, seed=0)
    trial = open_trial(run, shards, device)
    total, what = trial.batch_count(params.batch_size), f"{run.name} on {shards.name}"
    ids, targets, logits = list[str](), [], []
    for batch in progress(trial.batches(params.batch_size), total=total, what=what, unit="batch"):
        ids.extend(batch.sample_ids)
        targets.append(batch.targets)
        logits.append(plain_logits(trial.model, batch, trial.device))
    joined = np.concatenate(logits)
    return PredictionTable(
        class_names=trial.card.class_names,
        sample_ids=tuple(ids),
        photo_ids=tuple(map(photo_id_of, ids)),
        targets=np.concatenate(targets),
        predictions=predict(joined, ids),
        logits=joined,
    )
