"""What a frozen backbone already tells: its features of each view of a food, and a ridge classifier on them."""

from collections import defaultdict
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Int64, UInt8
from PIL import Image as Pillow

from pipeline.arrays import Images, Masks, Targets
from pipeline.datasets.index import Sample, read_samples
from pipeline.datasets.photos import decode_photo_of
from pipeline.datasets.sample_batch import SampleBatch, photo_pixels
from pipeline.datasets.shards import Shards, read_preprocessing
from pipeline.datasets.work_units import group_by_photo
from pipeline.evaluation import probe as probing
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.metrics import DIGITS, majority_rate
from pipeline.evaluation.probe import Features
from pipeline.evaluation.session import features_of
from pipeline.imaging.letterbox import Rect, Square, letterbox
from pipeline.models.backbone import Branch, build_backbone
from pipeline.models.card import WEIGHTS, BackboneCard, read_card
from pipeline.models.device import pick_device, seeded, to_tensor
from pipeline.models.feature_map import mask_pool, to_feature_map
from pipeline.models.state_dicts import read_stored_tensors
from pipeline.params.model import TrainParams
from pipeline.params.stages import ProbeParams
from pipeline.runtime.console import note, progress
from pipeline.runtime.errors import DatasetError, ModelError, counted
from pipeline.runtime.stores import Place

GROWTH = 0.5  # share of its sides by which a food's bounding box grows for the view with context
PLAIN: dict[str, Any] = {"features": "pooled", "normalize": "backbone", "deit_distilled_head": "average"}
"""What a branch takes of a recipe: pooled features under the backbone's own normalisation, whatever runs train with."""
SCHEMA_VERSION = 1


class ProbedSamples(NamedTuple):
    """All samples of a data set, in the order of the shards."""

    samples: list[Sample]
    targets: Targets  # class of each sample
    photos: Int64[np.ndarray, " N"]  # number of each sample's photo by its SHA-256: equal photos are one
    views: dict[str, Features]
    """Features by view: `roi`, `extra_roi`, `whole`, `context`, and of the whole photo's feature map `inside` the mask
    and `outside` of it."""
    nothing_outside: int  # samples whose mask covers the whole photo


def probe(  # noqa: PLR0913 - every path the stage touches
    params: ProbeParams,
    *,
    backbone: str,
    source: str,
    shards: Place,
    raw: Place,
    samples: Path,
    weights: Path,
    output: Path,
    device: str,
) -> None:
    """Write `output/probe.json` and `output/predictions.parquet`.

    The shards have ROI, extra-ROI and mask of every sample; the whole photo and the view with context are taken from
    the photos of `raw` at full size. `source` is the mask source; `weights` has one folder per backbone.

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read, or the shards are of other samples.
        EvaluationError: If there are too few photos for the folds.
        ModelError: If the backbone cannot be built, or gives no feature map.
        WeightsError: If pre-trained weights are absent or damaged.
    """
    card, opened = read_card(weights / backbone), Shards(shards)
    branch = _frozen_branch(card, weights / backbone, opened.image_size, params.seed).to(pick_device(device))
    found = _extract_features(branch, opened, raw, samples, params.batch_size)
    splits = [sample.split for sample in found.samples]
    fold = probing.assign_folds(found.photos, splits, folds=params.folds, seed=params.seed)
    held_out = probing.probe_views(found.views, found.targets, found.photos, fold, seed=params.seed)
    tested, same_food = fold >= 0, probing.same_food_rows(found.photos, found.targets, fold, params.seed)
    summary = probing.ProbeSummary(
        backbone=backbone,
        timm=card.timm_id(),
        weights=card.sha256,
        source=source,
        image_size=opened.image_size,
        folds=params.folds,
        photos=len(np.unique(found.photos[tested])),
        samples=int(tested.sum()),
        majority_rate=round(majority_rate(found.targets[tested]), DIGITS),
        nothing_outside=found.nothing_outside,
        without_same_food=int((same_food[tested] < 0).sum()),
        rows=probing.score_rows(held_out, found.targets, found.photos, Bootstrap(params.seed)),
    )
    output.mkdir(parents=True, exist_ok=True)
    summary.write(output / probing.SUMMARY)
    _write_predictions(found, fold, held_out, opened.categories, output / probing.PREDICTIONS)
    best = max(summary.rows, key=lambda row: row.top1.value)
    label = " + ".join(best.views)
    note(
        f"probe {backbone}: {summary.rows[0].top1.value:.1%} top-1 by the ROI, {best.top1.value:.1%} by {label}, "
        f"{counted(summary.samples, 'sample')}" + (", random weights" if card.sha256 is None else "")
    )


def _frozen_branch(card: BackboneCard, folder: Path, image_size: int, seed: int) -> Branch:
    if card.timm is None:
        raise ModelError(f"params.yaml: probe.backbones: {card.name!r} is the absent branch; name another backbone")
    recipe = TrainParams.model_construct(**PLAIN)
    tensors = None if card.source == "none" else read_stored_tensors(folder / WEIGHTS, card)
    with seeded(seed, "probe"):
        return build_backbone(card, recipe, image_size=image_size, tensors=tensors).eval()


def _extract_features(branch: Branch, shards: Shards, raw: Place, samples: Path, batch_size: int) -> ProbedSamples:
    pad, table = read_preprocessing(shards).pad, read_samples(samples)
    listed: list[Sample] = []
    targets, nothing_outside = [], 0
    views: defaultdict[str, list[Features]] = defaultdict(list)
    batches = chain.from_iterable(map(shards.batches, shards.splits))
    total = sum(map(shards.rows, shards.splits))
    for batch in progress(batches, total=total, what="probe", unit="sample", count=len):
        of_batch = tuple(islice(table, len(batch)))
        if batch.sample_ids != tuple(sample.sample_id for sample in of_batch):
            raise DatasetError(f"{shards.folder}: holds other samples than the table; run `dvc repro -f pair`")
        listed += of_batch
        targets.append(batch.targets)
        whole, context, photo_rows = _photo_views(batch, of_batch, raw, pad)
        in_photo = photo_pixels(batch)
        nothing_outside += int((batch.masks | ~in_photo).all(axis=(1, 2)).sum())
        for name, pictures in (("roi", batch.roi), ("extra_roi", batch.extra_roi), ("context", context)):
            views[name] += [
                features_of(branch, pictures[i : i + batch_size], branch.mean.device).float().cpu().numpy()
                for i in range(0, len(pictures), batch_size)
            ]
        pooled, maps = _embed(branch, whole, batch_size)
        views["whole"].append(pooled[photo_rows])
        for name, masks in (("inside", batch.masks), ("outside", in_photo & ~batch.masks)):
            parts = range(0, len(batch), batch_size)
            views[name] += [_pool(maps, photo_rows[i : i + batch_size], masks[i : i + batch_size]) for i in parts]
    return ProbedSamples(
        samples=listed,
        targets=np.concatenate(targets),
        photos=np.unique([sample.photo_sha256 for sample in listed], return_inverse=True)[1].astype(np.int64),
        views={name: np.concatenate(parts) for name, parts in views.items()},
        nothing_outside=nothing_outside,
    )


def _photo_views(
    batch: SampleBatch, samples: tuple[Sample, ...], raw: Place, pad: int
) -> tuple[UInt8[np.ndarray, "P S S 3"], Images, Int64[np.ndarray, " N"]]:
    """Return the whole photos, the views with context, and for each sample the row of its photo."""
    whole: list[Square] = []
    context: list[Square] = []
    photo_rows: list[int] = []
    for of_photo in group_by_photo(samples):
        photo = decode_photo_of(of_photo[0], raw)
        for _ in of_photo:
            row = len(photo_rows)
            rect = Rect(*batch.rects[row].tolist())
            cropped = photo.crop(context_box(batch.masks[row], rect, photo))
            context.append(letterbox(cropped, size=batch.roi.shape[1], pad=pad))
            photo_rows.append(len(whole))
        whole.append(letterbox(photo, size=batch.roi.shape[1], pad=pad, rect=rect))
    return np.stack(whole), np.stack(context), np.array(photo_rows)


def context_box(mask: np.ndarray, rect: Rect, photo: Pillow.Image) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom in the photo of a letterboxed mask's bounding box, grown by half of its sides.

    The mask has a pixel at least; `rect` is the photo in the square. The photo, at full size, bounds the box.
    """
    ends = []
    vertical, horizontal = (1, rect.top, rect.height, photo.height), (0, rect.left, rect.width, photo.width)
    for axis, first, extent, side in (vertical, horizontal):
        places = np.flatnonzero(mask.any(axis=axis)) - first
        start, stop = int(places[0]), int(places[-1]) + 1
        grown = (stop - start) * GROWTH / 2
        low, high = (start - grown) * side / extent, (stop + grown) * side / extent
        ends.append((max(0, int(np.floor(low))), min(side, int(np.ceil(high)))))
    (top, bottom), (left, right) = ends
    return left, top, right, bottom


@torch.inference_mode()
def _embed(branch: Branch, pictures: Images, batch_size: int) -> tuple[Features, torch.Tensor]:
    """Return pooled features and feature maps of pictures."""
    model: Any = branch.backbone  # timm's
    pooled, maps = [], []
    for start in range(0, len(pictures), batch_size):
        pixels = to_tensor(pictures[start : start + batch_size]).to(branch.mean.device)
        features = model.forward_features(branch.normalise(pixels))
        pooled.append(model.forward_head(features).float().cpu().numpy())
        maps.append(to_feature_map(features, model))
    return np.concatenate(pooled), torch.cat(maps)


@torch.inference_mode()
def _pool(maps: torch.Tensor, rows: Int64[np.ndarray, " B"], masks: Masks) -> Features:
    chosen = maps[torch.from_numpy(rows).to(maps.device)]
    pooled: Features = mask_pool(chosen, torch.from_numpy(masks).to(maps.device)).float().cpu().numpy()
    return pooled


def _write_predictions(
    found: ProbedSamples,
    fold: Int64[np.ndarray, " N"],
    held_out: dict[probing.Views, probing.HeldOut],
    categories: tuple[str, ...],
    path: Path,
) -> None:
    """Write the predicted class of every tested sample by each classifier; the bytes depend on nothing else."""
    rows = np.flatnonzero(fold >= 0)
    columns = {
        "sample_id": pa.array([found.samples[row].sample_id for row in rows], pa.string()),
        "photo_id": pa.array([found.samples[row].photo_id for row in rows], pa.string()),
        "fold": pa.array(fold[rows].astype(np.int32)),
        "target": pa.array(found.targets[rows].astype(np.int32)),
        **{"+".join(views): pa.array(held.predictions[rows].astype(np.int32)) for views, held in held_out.items()},
    }
    metadata = {"schema_version": str(SCHEMA_VERSION), "class_names": "\n".join(categories)}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, compression="zstd")
