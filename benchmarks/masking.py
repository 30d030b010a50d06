"""SAM on one photo with several regions, beside the predictor of segment-anything asked for each region."""

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

import numpy as np
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import Sam as SamModel
from torch import Tensor

from benchmarks.measure import ratios, take_turns
from benchmarks.row import Row
from benchmarks.site import Site
from pipeline.arrays import Image
from pipeline.datasets.index import Sample, read_samples
from pipeline.datasets.prompts import Prompt
from pipeline.imaging.decode import read_photo
from pipeline.models.state_dicts import write_tensors
from pipeline.params.masks import SamArchitectureName
from pipeline.segmentation.sam import ARCHITECTURES, Sam, build_sam, random_tensors

REGIONS = 3
"""Of the photo that is asked about; the mean of FoodSeg103 is 3.6."""


def measure(site: Site) -> Iterator[Row]:
    """Yield the row."""
    photo, boxes = _photo(site)
    tensors = random_tensors(site.sam)
    weights = site.scratch / f"{site.sam}.safetensors"
    write_tensors(tensors, weights)
    ours = Sam(weights, architecture=site.sam, device=site.device)
    plain = SamPredictor(_as_shipped(site.sam, tensors).to(site.device))
    costs = take_turns(
        {"plain": lambda: _one_by_one(plain, photo, boxes), "ours": lambda: ours.predict(photo, boxes)},
        rounds=1 if site.sam != "tiny" else site.rounds,  # a minute a photo
    )
    yield Row(
        name=f"SAM {site.sam} (random weights), a photo with {len(boxes)} regions",
        against="times a pass of SamPredictor a region",
        reach=0.9 * len(boxes),
        ratios=ratios(costs["plain"], costs["ours"]),
        detail={f"{name}_cpu_seconds": [cost.cpu for cost in each] for name, each in costs.items()},
    )


def _photo(site: Site) -> tuple[Image, list[Prompt]]:
    """Return the first photo with enough regions and a box around each."""
    for _, group in groupby(read_samples(site.material.samples), key=attrgetter("photo_path")):
        samples = list(group)[:REGIONS]
        if len(samples) == REGIONS:
            break
    return read_photo(site.material.raw / samples[0].photo_path), [_box(sample) for sample in samples]


def _box(sample: Sample) -> Prompt:
    return Prompt("box", (float(sample.x0), float(sample.y0), float(sample.x1), float(sample.y1)))


def _as_shipped(architecture: SamArchitectureName, tensors: dict[str, Tensor]) -> SamModel:
    """Return the package's own network; it has none for trials, so ours stands in there."""
    build = sam_model_registry.get(architecture, lambda: build_sam(ARCHITECTURES[architecture]))
    model = build().eval()
    model.load_state_dict(tensors)
    return model


def _one_by_one(predictor: SamPredictor, photo: Image, boxes: list[Prompt]) -> None:
    for prompt in boxes:
        predictor.set_image(photo)
        predictor.predict(box=np.array(prompt.box), multimask_output=False)
