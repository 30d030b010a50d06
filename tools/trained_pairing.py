"""What a second branch gains when it is trained, by pairing of the views and by shared or separate branches.

`python -m tools.trained_pairing OUT` trains with the settings, shards and weights of this checkout's data/ and prints
top-1 and the gains over the ROI alone, with intervals over photos. Every run is kept in OUT, in a folder named after
its recipe, shards and weights, so an interrupted comparison goes on where it was.
"""

import argparse
import hashlib
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from pipeline.datasets.sample_batch import extra_roi_rows, photo_id_of
from pipeline.datasets.shards import Shards
from pipeline.evaluation.bootstrap import Bootstrap, mean_intervals
from pipeline.evaluation.predictions import PredictionTable, read_predictions
from pipeline.models.card import CARD
from pipeline.models.device import set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.model import ClassSetParams, Pairing, TrainParams
from pipeline.params.run_name import ABSENT, RunName
from pipeline.params.runtime import RuntimeParams, load_runtime
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.manifest import settings_sha256, sha256_of, sha256_of_manifest
from pipeline.steps.evaluate import evaluate
from pipeline.steps.train import train

DATA = Path("data")


class Arm(NamedTuple):
    """One way to train; every way is trained once a seed."""

    name: str
    extra_roi: str
    pairing: Pairing
    share_branches: bool


def arms(backbone: str) -> list[Arm]:
    """Return the ROI alone, then both views by pairing, shared or separate."""
    pairings: tuple[Pairing, ...] = ("exact", "by_photo")
    both = [
        Arm(f"both, {pairing}, {'shared' if share else 'separate'}", backbone, pairing, share)
        for pairing, share in product(pairings, (False, True))
    ]
    return [Arm("ROI only", ABSENT, "exact", share_branches=False), *both]


def predictions_of(  # noqa: PLR0913, PLR0917 - what is trained, on what, where
    arm: Arm, backbone: str, seed: int, shards: Path, out: Path, runtime: RuntimeParams
) -> PredictionTable:
    """Train and evaluate one run, unless it is there, and return its predictions of the test split."""
    changes = {"seed": seed, "pairing": arm.pairing, "share_branches": arm.share_branches}
    recipe = load_settings(TrainParams, DATA / "settings/train.json").model_copy(update=changes)
    made_from = settings_sha256(recipe), sha256_of_manifest(shards), sha256_of(DATA / "weights" / backbone / CARD)
    key = hashlib.sha256("".join(made_from).encode()).hexdigest()[:8]
    run = RunName(backbone, arm.extra_roi, "all")
    folder = out / f"{arm.name.replace(', ', '-').replace(' ', '_')}-{seed}-{key}"
    evaluated = folder / "evaluations" / "predictions.parquet"
    if not evaluated.is_file():
        train(
            recipe,
            run=run,
            class_set=load_settings(ClassSetParams, DATA / "settings/classes/all.json"),
            shards=shards,
            weights=DATA / "weights",
            output=folder / run.name,
            runtime=runtime,
        )
        evaluation = load_settings(EvaluateParams, DATA / "settings/evaluate.json")
        evaluate(evaluation, shards=shards, run=folder / run.name, output=evaluated.parent, device=runtime.device)
    return read_predictions(evaluated)


def _food_visible(shards: Shards, sample_ids: list[str]) -> np.ndarray:
    """Return which test samples see their own food under `by_photo`."""
    visible: dict[str, bool] = {}
    for number in range(len(shards.files("test"))):
        batch = shards.read_file("test", number)
        rows = extra_roi_rows(batch.sample_ids, batch.targets, shards.categories, shards.categories)
        visible |= dict(zip(batch.sample_ids, (rows != np.arange(len(rows))).tolist(), strict=True))
    return np.array([visible[sample_id] for sample_id in sample_ids])


def percent(values: Float64[np.ndarray, " N"], photos: Sequence[str], chosen: Bool[np.ndarray, " N"]) -> str:
    """Return the mean of the chosen samples' values in per cent, with its 95 % interval over photos."""
    kept = [photo for photo, keep in zip(photos, chosen, strict=True) if keep]
    (found,) = mean_intervals(values[chosen][:, np.newaxis], kept, Bootstrap(seed=0))
    return f"{100 * found.value:6.2f} ({100 * found.low:.2f} to {100 * found.high:.2f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--source", default="annotation", help="masks of the shards in data/shards")
    parser.add_argument("--backbone", default="mobilenetv2", help="name in data/weights")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each way")
    arguments = parser.parse_args()
    shards, runtime = DATA / "shards" / arguments.source, load_runtime()
    set_deterministic(load_settings(TrainParams, DATA / "settings/train.json").threads, seed=0)
    ways = arms(arguments.backbone)
    tables = {
        (arm.name, seed): predictions_of(arm, arguments.backbone, seed, shards, arguments.out, runtime)
        for seed, arm in product(range(arguments.seeds), ways)
    }
    first = tables["ROI only", 0]
    photos = [photo_id_of(sample_id) for sample_id in first.sample_ids]
    shown = _food_visible(Shards(shards), list(first.sample_ids))
    correct = {
        arm.name: np.stack([tables[arm.name, seed].predictions == first.targets for seed in range(arguments.seeds)])
        for arm in ways
    }
    right = {name: values.mean(axis=0) for name, values in correct.items()}
    every = np.ones(len(photos), np.bool_)
    print(f"{len(photos)} test samples of {len(set(photos))} photos; by photo {shown.mean():.1%} see their own food")
    for name, values in right.items():
        by_seed = ", ".join(f"{100 * share:.1f}" for share in correct[name].mean(axis=1))
        print(f"{name:30} top-1 %         {percent(values, photos, every)}   by seed {by_seed}")
    for arm in ways[1:]:
        gain = right[arm.name] - right["ROI only"]
        print(f"gain of {arm.name:30} points  {percent(gain, photos, every)}")
        print(f"{'':38} food shown  {percent(gain, photos, shown)}; not shown {percent(gain, photos, ~shown)}")
    for part in ("separate", "shared"):
        gain = right[f"both, by_photo, {part}"] - right[f"both, exact, {part}"]
        print(f"by_photo above exact, {part:16} points  {percent(gain, photos, every)}")
        print(f"{'':38} food shown  {percent(gain, photos, shown)}")
    for pairing in ("exact", "by_photo"):
        gain = right[f"both, {pairing}, shared"] - right[f"both, {pairing}, separate"]
        print(f"shared above separate, {pairing:15} points  {percent(gain, photos, every)}")


if __name__ == "__main__":
    main()
