"""Does the heat of trained runs lie on the region of interest, and do random weights destroy it?

`python -m tools.heat_sanity METHOD RUN ...` prints, for each branch of runs under `data/`, how much of the heat lies on
the ROI, of the trained weights and of six random initialisations. See docs/decisions/explanations.md.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.datasets.index import read_samples
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.evaluation.grad_cam import Method, grad_cam
from pipeline.evaluation.heat_maps import share_inside
from pipeline.evaluation.session import SPLIT, EvalSession, open_session, predict_classes, predict_logits
from pipeline.models.artifact import build_run
from pipeline.models.device import set_deterministic
from pipeline.models.rvernet import RveRNet
from pipeline.steps.explain import choose_samples

SAMPLES = 64
SEEDS = range(1, 7)
DATA = Path("data")


def main(method: Method, runs: list[str]) -> None:
    """Print one line a branch."""
    set_deterministic(2, 0)
    print(f"{'run':34} {'branch':9}  on ROI: trained, random   heat inside: trained, random, area")
    for run in runs:
        trial = open_session(DATA / "runs" / run, DATA / "shards" / "annotation", "cpu")
        batch = _samples(trial)
        trained = dict(_shares(trial.model, batch, trial, method))
        by_seed = [dict(_shares(_untrained(trial, seed), batch, trial, method)) for seed in SEEDS]
        for branch, (on_roi, inside) in trained.items():
            chance = np.mean([shares[branch] for shares in by_seed], axis=0)
            numbers = f"{on_roi:15.2f} {chance[0]:8.2f} {inside:19.3f} {chance[1]:8.3f} {batch.masks.mean():6.3f}"
            print(f"{run:34} {branch:9} {numbers}")


def _samples(trial: EvalSession) -> SampleBatch:
    table = (sample for sample in read_samples(DATA / "index/samples.parquet") if sample.split == SPLIT)
    names, pair = trial.card.class_names, trial.card.ambiguous
    chosen = choose_samples(table, names=names, ambiguous=pair, count=SAMPLES, seed=0)
    batch = trial.shards.select(SPLIT, [numbered.row for numbered in chosen])
    return replace(batch, targets=trial.classes.index[batch.targets])


def _untrained(trial: EvalSession, seed: int) -> RveRNet:
    recipe = trial.card.train.model_copy(update={"seed": seed})
    return build_run(trial.card.model_copy(update={"train": recipe}), {}).eval()


def _shares(
    model: RveRNet, batch: SampleBatch, trial: EvalSession, method: Method
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield, by branch, the share of maps with more heat on the ROI than its area, and the mean heat inside."""
    explained = predict_classes(predict_logits(model, batch, trial.device), batch.sample_ids)
    for branch, found in grad_cam(model, batch, explained, trial.device, method).items():
        pairs = [(share_inside(heat, mask), mask.mean()) for heat, mask in zip(found.heat, batch.masks, strict=True)]
        warm = [(inside, area) for inside, area in pairs if inside is not None]
        yield branch, (float(np.mean([i > a for i, a in warm])), float(np.mean([i for i, _ in warm])))


if __name__ == "__main__":
    main("grad_cam" if sys.argv[1] == "grad_cam" else "hires_cam", sys.argv[2:])
