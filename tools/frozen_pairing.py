"""What a second branch gains under the released pairing, and how much of that is the food itself; by frozen features.

`python -m tools.frozen_pairing SHARDS --weights FILE` answers for a set of shards, in minutes on a CPU. One frozen
backbone looks at every ROI and every extra-ROI; a ridge classifier on the features of one view or both is fitted on
the photos of three folds in four and tested on the fourth, so that every photo is tested once a seed. Its strength is
chosen on the photos that it is fitted on. Extra-ROIs come with their own sample (`exact`), or as the released loader
finds them (`by_photo`).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64

from pipeline.arrays import Targets
from pipeline.datasets.sample_batch import extra_roi_rows, photo_id_of
from pipeline.datasets.shards import Shards
from pipeline.evaluation.bootstrap import Bootstrap, mean_intervals
from pipeline.models.device import set_deterministic, to_tensor
from pipeline.models.state_dicts import read_tensors, to_timm_names
from pipeline.params.model import Pairing

FOLDS, INNER_FOLDS = 4, 3
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Ridge strengths, as shares of the mean squared length of a sample's features."""
Kernel: TypeAlias = Float64[np.ndarray, "N N"]


def ridge_scores(kernel: Kernel, targets: Targets, fitted: Int64[np.ndarray, " M"], strength: float) -> np.ndarray:
    """Return scores (N, K) of all samples by a ridge classifier on one-hot targets, fitted on some of them."""
    onehot = np.eye(targets.max() + 1)[targets[fitted]]
    mean = onehot.mean(axis=0)
    inner = kernel[np.ix_(fitted, fitted)]
    system = inner + strength * np.trace(inner) / len(fitted) * np.eye(len(fitted))
    scores: np.ndarray = kernel[:, fitted] @ np.linalg.solve(system, onehot - mean) + mean
    return scores


def folds_of(photos: Sequence[str], number: int, rng: np.random.Generator) -> Int64[np.ndarray, " N"]:
    """Return the fold of each sample; all samples of a photo are in one."""
    names, photo = np.unique(np.asarray(photos), return_inverse=True)
    fold: Int64[np.ndarray, " N"] = rng.permutation(np.arange(len(names)) % number)[photo]
    return fold


def answers(kernel: Kernel, targets: Targets, photos: Sequence[str], seed: int) -> Bool[np.ndarray, " N"]:
    """Return whether each sample is answered rightly when its photo is in the fold that was left out."""
    rng = np.random.default_rng(seed)
    fold, right = folds_of(photos, FOLDS, rng), np.zeros(len(targets), np.bool_)
    for outer in range(FOLDS):
        fitted = np.flatnonzero(fold != outer)
        inner = folds_of([photos[row] for row in fitted.tolist()], INNER_FOLDS, rng)
        hits = np.zeros(len(STRENGTHS))
        for part in range(INNER_FOLDS):
            learned, held = fitted[inner != part], fitted[inner == part]
            for place, strength in enumerate(STRENGTHS):
                scores = ridge_scores(kernel, targets, learned, strength)
                hits[place] += (scores[held].argmax(axis=1) == targets[held]).sum()
        scores = ridge_scores(kernel, targets, fitted, STRENGTHS[int(hits.argmax())])
        tested = fold == outer
        right[tested] = scores[tested].argmax(axis=1) == targets[tested]
    return right


def kernel_of(features: Float32[np.ndarray, "N D"]) -> Kernel:
    """Return inner products of centred features; those of joined features are the sum of two such."""
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    kernel: Kernel = centred @ centred.T
    return kernel


def _features(shards: Shards, weights: Path) -> tuple[list[str], np.ndarray, dict[Pairing, np.ndarray], np.ndarray]:
    """Return sample ids, targets, rows of extra-ROIs by pairing, and features of both views (2, N, D)."""
    import timm  # noqa: PLC0415 - after numerics

    model: Any = timm.create_model("mobilenetv2_100")
    model.load_state_dict(to_timm_names(read_tensors(weights), model))
    model.reset_classifier(0)
    model.eval()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    ids: list[str] = []
    targets, rows, views = [], [], []

    def look_at(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            parts = (to_tensor(part).float() / 255 for part in np.array_split(pixels, 8) if len(part))
            found: np.ndarray = torch.cat([model((part - mean) / std) for part in parts]).numpy()
        return found

    for split in shards.splits:
        for number in range(len(shards.files(split))):
            batch = shards.read_file(split, number)
            names = shards.categories
            rows.append(len(ids) + extra_roi_rows(batch.sample_ids, batch.targets, names, names))
            ids.extend(batch.sample_ids)
            targets.append(batch.targets)
            views.append(np.stack([look_at(batch.roi), look_at(batch.extra_roi)]))
    pairings: dict[Pairing, np.ndarray] = {"exact": np.arange(len(ids)), "by_photo": np.concatenate(rows)}
    return ids, np.concatenate(targets), pairings, np.concatenate(views, axis=1)


def percent(values: Float64[np.ndarray, " N"], photos: Sequence[str], chosen: Bool[np.ndarray, " N"]) -> str:
    """Return the mean of the chosen samples' values in per cent, with its 95 % interval over photos."""
    bootstrap = Bootstrap(resamples=2000, confidence=0.95, seed=0)
    kept = [photo for photo, keep in zip(photos, chosen, strict=True) if keep]
    (found,) = mean_intervals(values[chosen][:, np.newaxis], kept, bootstrap)
    return f"{100 * found.value:6.2f} ({100 * found.low:.2f} to {100 * found.high:.2f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", type=Path, help="data/shards/annotation of a real data set")
    parser.add_argument("--weights", type=Path, required=True, help="torchvision's or timm's MobileNetV2")
    parser.add_argument("--seeds", type=int, default=3, help="times the photos are dealt into folds")
    arguments = parser.parse_args()
    set_deterministic(threads=2, seed=0)
    ids, targets, rows, (roi, extra) = _features(Shards(arguments.shards), arguments.weights)
    photos = [photo_id_of(sample_id) for sample_id in ids]
    shown = rows["by_photo"] != rows["exact"]
    alone = kernel_of(roi)
    kernels = {"ROI only": alone}
    for pairing, chosen in rows.items():
        around = kernel_of(extra[chosen])
        kernels |= {f"extra-ROI only, {pairing}": around, f"both, {pairing}": alone + around}
    right = {
        name: np.mean([answers(kernel, targets, photos, seed) for seed in range(arguments.seeds)], axis=0)
        for name, kernel in kernels.items()
    }
    every = np.ones(len(ids), np.bool_)
    print(f"{len(ids)} samples of {len(set(photos))} photos; by photo {shown.mean():.1%} see their own food")
    for name, values in right.items():
        print(f"{name:28} top-1 %          {percent(values, photos, every)}")
    gains = {pairing: right[f"both, {pairing}"] - right["ROI only"] for pairing in rows}
    for pairing, gain in gains.items():
        print(f"{'gain of both, ' + pairing:28} points           {percent(gain, photos, every)}")
        print(f"{'':28} food shown       {percent(gain, photos, shown)}")
        print(f"{'':28} food not shown   {percent(gain, photos, ~shown)}")
    print(f"{'by_photo above exact':28} points           {percent(gains['by_photo'] - gains['exact'], photos, every)}")


if __name__ == "__main__":
    main()
