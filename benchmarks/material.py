"""What is measured on: photos with masks, and what the pipeline makes of them at the paper's size."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.datasets.index import read_samples
from pipeline.params.masks import settings_by_source
from pipeline.params.study import Study, load_study
from pipeline.steps.download import download
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks

REAL_PHOTOS = Path("../shared/data/FoodSeg103-mini.zip")
"""A cut of FoodSeg103 beside the checkout, where somebody put one."""
PARAMS = Path("params.yaml")


@dataclass(frozen=True)
class Material:
    """A data set and the folders of its stages."""

    root: Path
    """Folder of all of them."""
    study: Study
    """Settings of FoodSeg103 with the paper's sizes."""

    @property
    def raw(self) -> Path:
        """Photos and label maps in the official layout."""
        return self.root / "raw"

    @property
    def index(self) -> Path:
        """Output of stage `index`."""
        return self.root / "index"

    @property
    def samples(self) -> Path:
        """Sample table."""
        return self.index / "samples.parquet"

    @property
    def masks(self) -> Path:
        """Output of stage `segment`."""
        return self.root / "masks"

    @property
    def shards(self) -> Path:
        """Output of stage `pair`."""
        return self.root / "shards"

    @property
    def image_size(self) -> int:
        """Side of the cut-outs in pixels."""
        return self.study.pair.image_size

    @property
    def rows(self) -> int:
        """Number of samples."""
        return sum(1 for _ in read_samples(self.samples))

    def scan(self) -> None:
        """Do what stage `index` does."""
        build_index(self.study.index, raw=self.raw, index=self.index, workers=1)

    def segment(self) -> None:
        """Do what stage `segment` does with annotated masks."""
        params = settings_by_source(self.study.masks)["annotation"]
        write_masks(params, raw=self.raw, samples=self.samples, masks=self.masks, workers=1)  # type: ignore[arg-type]

    def pair(self) -> None:
        """Do what stage `pair` does."""
        write_shards(
            self.study.pair,
            source="annotation",
            raw=self.raw,
            samples=self.samples,
            masks=self.masks,
            shards=self.shards,
            workers=1,
        )


def study_of(folder: Path, archive: Path | None, *, photos: int, dataset: str = "foodseg103") -> Study:
    """Return the settings of a data set whose photos come from an archive.

    Args:
        folder: Where the settings may be written.
        archive: In the official layout; None draws the demo's photos.
        photos: Photos to draw.
        dataset: Whose values of `params.yaml` hold.
    """
    yaml = YAML(typ="safe")
    values = yaml.load(PARAMS)
    values["dataset"] = dataset
    values["download"]["source"] = "demo" if archive is None else str(archive)
    values["index"]["on_error"] = "skip"
    values["demo"] |= {"train_photos": math.ceil(0.75 * photos), "test_photos": math.ceil(0.25 * photos)}
    path = folder / "params.yaml"
    yaml.dump(values, path)
    return load_study(path)


def make_material(root: Path, archive: Path | None, *, photos: int) -> Material:
    """Bring photos to `root` and do everything up to the shards.

    Args:
        root: Existing folder to fill.
        archive: In the official layout; None draws the demo's photos.
        photos: How many to keep at most, of every split its share.
    """
    material = Material(root, study_of(root, archive, photos=photos))
    download(material.study.download, raw=material.raw, record=root / "source.json", workers=1)
    keep_some(material.raw, photos)
    material.scan()
    material.segment()
    material.pair()
    return material


def keep_some(raw: Path, photos: int) -> None:
    """Keep the first photos of every split, each its share of so many in all."""
    share = min(1.0, photos / sum(map(len, lists_of(raw).values())))
    shorten_lists(raw, lambda stems: stems[: max(1, math.ceil(share * len(stems)))])


def lists_of(raw: Path) -> dict[Path, list[str]]:
    """Return the names of a folder's photos by the file that lists them."""
    return {path: path.read_text(encoding="utf-8").split() for path in sorted((raw / "ImageSets").glob("*.txt"))}


def shorten_lists(raw: Path, choose: Callable[[list[str]], list[str]]) -> None:
    """Keep what is chosen of every list; nobody sees what is not listed."""
    for path, stems in lists_of(raw).items():
        path.unlink()  # it may be a link into an unpacked archive
        path.write_text("\n".join(choose(stems)) + "\n", encoding="utf-8")
