"""Small data sets in COCO's format, for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_api

from pipeline.datasets.index import Sample, read_samples
from pipeline.datasets.masks import Masks
from pipeline.datasets.statistics import IndexSummary
from pipeline.params.stages import IndexParams, SegmentParams
from pipeline.steps.index import build_index
from pipeline.steps.segment import write_masks
from tests.raw_folder import noise, save

NAMES = {1: "bread", 2: "rice", 7: "sauce"}
SIZE = (20, 30)
"""Height and width of a photo, unless said otherwise."""


def polygon(x: float, y: float, width: float, height: float) -> list[list[float]]:
    """Return the segmentation of a rectangle."""
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def box_mask(x: int, y: int, width: int, height: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return the pixels of the same rectangle."""
    mask = np.zeros(size, np.bool_)
    mask[y : y + height, x : x + width] = True
    return mask


def rle(mask: np.ndarray, *, compressed: bool) -> dict[str, Any]:
    """Return the segmentation of a mask."""
    if compressed:
        return {
            "size": list(mask.shape),
            "counts": mask_api.encode(np.asfortranarray(mask, np.uint8))["counts"].decode(),
        }
    flat = np.r_[False, mask.T.ravel()]  # runs begin with one of 0
    bounds = np.r_[0, np.flatnonzero(np.diff(flat)), mask.size]
    return {"size": list(mask.shape), "counts": np.diff(bounds).tolist()}


class CocoFolder:
    """A folder with COCO files that name the photos beside them."""

    def __init__(self, path: Path, names: dict[int, str] | None = None) -> None:
        """Make an empty data set."""
        self.path = path
        self.names = names or NAMES
        self.files: dict[str, dict[str, list[dict[str, Any]]]] = {}

    def add(
        self, file: str, name: str, *objects: tuple[int, Any], size: tuple[int, int] = SIZE, **more: Any
    ) -> dict[str, Any]:
        """Add a photo to a COCO file, with (category id, segmentation) of its objects; return its record."""
        records = self.files.setdefault(file, {"images": [], "annotations": []})
        image = {"id": len(records["images"]) + 1, "file_name": name, "height": size[0], "width": size[1]}
        records["images"].append(image)
        for category, segmentation in objects:
            number = len(records["annotations"]) + 1
            records["annotations"].append(
                {"id": number, "image_id": image["id"], "category_id": category, "segmentation": segmentation, **more}
            )
        photo = (self.path / file).parent / name
        photo.parent.mkdir(parents=True, exist_ok=True)
        save(noise(*size, seed=len(self.path.parts) + sum(map(ord, file + name))), photo)
        return image

    def write(self) -> Path:
        """Write the COCO files; return the folder."""
        categories = [{"id": number, "name": name} for number, name in self.names.items()]
        for file, records in self.files.items():
            (self.path / file).parent.mkdir(parents=True, exist_ok=True)
            (self.path / file).write_text(json.dumps(records | {"categories": categories}))
        return self.path


def indexed(raw: Path, **params: Any) -> tuple[list[Sample], IndexSummary]:
    """Run stage `index` beside a data set; return both of its files."""
    index = raw.parent / "index"
    values = {"on_error": "fail", "tiny_area": 1} | params
    build_index(IndexParams.model_validate(values), raw=raw, index=index, workers=1)
    summary = IndexSummary.model_validate_json((index / "summary.json").read_bytes())
    return list(read_samples(index / "samples.parquet")), summary


def masks_of(raw: Path) -> dict[str, np.ndarray]:
    """Run stage `segment` on the annotation of an indexed data set; return its masks by sample id."""
    samples, masks = raw.parent / "index/samples.parquet", raw.parent / "masks"
    params = SegmentParams(source="annotation", photos_per_file=3)
    write_masks(params, raw=raw, samples=samples, masks=masks, workers=1)
    reader = Masks(masks)
    stored = {}
    for split in ("train", "test"):
        rows = sum(entry.rows for entry in reader.manifest.files if entry.split == split)
        stored |= {mask.sample_id: mask.full() for mask in reader.locate(split, 0, rows).read(masks)}
    return stored
