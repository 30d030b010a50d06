"""What a run says of photos before a person does: the order to label them in, and labels that it disagrees with."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from pipeline.datasets.formats import find_data_set
from pipeline.datasets.index import read_samples
from pipeline.datasets.photos import read_masks
from pipeline.imaging.decode import read_photo
from pipeline.inference.predictor import Run
from pipeline.labelling.folder import LabelFolder, LabelledFood, Labels, PhotoFile
from pipeline.params.stages import IndexParams
from pipeline.runtime.console import progress
from pipeline.runtime.errors import DatasetError, PhotoError
from pipeline.steps.index import build_index


class DisputedLabel(NamedTuple):
    """What a run says of a label."""

    photo: int  # number of the photo
    food: int  # number of the food in the photo
    label: str
    answer: str
    confidence: float  # probability of the answer, in [0, 1]


def least_certain_first(run: Run, folder: LabelFolder, photos: Sequence[PhotoFile]) -> list[PhotoFile]:
    """Return the photos by the lowest probability of the run's answers for their foods.

    A photo without a marked food is judged as if all of it were one. Done photos come first, where Back reaches them,
    those that cannot be read last.
    """
    done = folder.count().done
    certainty = {photo.name: -np.inf if photo.name in done else np.inf for photo in photos}
    waiting = [photo for photo in photos if photo.name not in done]
    for photo in progress(waiting, total=len(waiting), what="order", unit="photos"):
        try:
            picture = read_photo(folder.picture_of(photo))
        except PhotoError:
            continue  # the page says why, when it comes to it
        masks = [food.mask for food in folder.load(photo).foods] or [np.ones(picture.shape[:2], np.bool_)]
        certainty[photo.name] = min(answer.top(1)[0].probability for answer in run.predict(picture, masks))
    return sorted(photos, key=lambda photo: certainty[photo.name])


def take_over(data_set: Path, folder: LabelFolder) -> None:
    """Copy a data set of any format that stage `index` reads, with its splits; photos that are there stay as they are.

    Foods of one category in a photo are one, as samples are. What cannot be used is told and left out.

    Raises:
        DatasetError: If it is no data set, or none of it can be used.
    """
    paths = [path.relative_to(data_set).as_posix() for path in data_set.rglob("*") if path.is_file()]
    try:
        raw = data_set / find_data_set(paths).top
    except ValueError as error:
        raise DatasetError(f"{data_set}: {error}") from error
    params = IndexParams(on_error="skip", tiny_area=1, seed=folder.record().seed)
    with TemporaryDirectory(prefix="label-") as index:
        build_index(params, raw=raw, index=Path(index), workers=1)
        samples = list(read_samples(Path(index) / "samples.parquet"))
    photos = [list(group) for _, group in groupby(samples, key=lambda sample: sample.photo_id)]
    splits: dict[str, str] = {}
    for group in progress(photos, total=len(photos), what="take over", unit="photos"):
        path = raw / group[0].photo_path
        name, split = f"{group[0].photo_id.split('/', 1)[1]}{path.suffix}", group[0].split
        if splits.setdefault(name, split) != split:  # two photos of one name; the order of samples is always the same
            name = f"{split}-{name}"
        photo = PhotoFile(name, path, split)
        if not folder.load(photo).revision:
            masks = read_masks(group, raw)
            named = {sample.sample_id: sample.category for sample in group}
            folder.save(photo, Labels(tuple(LabelledFood(mask, named[sample_id]) for sample_id, mask in masks.items())))


def find_disagreements(
    run: Run, folder: LabelFolder, photos: Sequence[PhotoFile]
) -> tuple[list[PhotoFile], list[DisputedLabel]]:
    """Return the photos in the order to look at, and the labels that the run disagrees with, the most certain first.

    First come photos with a disagreement, then those of whose labels the run is least certain, then those without
    foods. Labels of categories that the run does not know are not judged.
    """
    ranks: dict[str, tuple[int, float]] = {}
    found: list[tuple[str, DisputedLabel]] = []
    for photo in progress(photos, total=len(photos), what="compare", unit="photos"):
        foods = folder.load(photo).foods
        known = [(number, food) for number, food in enumerate(foods) if food.category in run.class_names]
        if not known:
            continue
        answers = run.predict(read_photo(folder.picture_of(photo)), [food.mask for _, food in known])
        tops = [answer.top(1)[0] for answer in answers]
        ranks[photo.name] = (1, min(top.probability for top in tops))
        for (number, food), top in zip(known, tops, strict=True):
            if top.category != food.category:
                each = DisputedLabel(-1, number, str(food.category), top.category, top.probability)
                found.append((photo.name, each))
                ranks[photo.name] = min(ranks[photo.name], (0, -top.probability))
    ordered = sorted(photos, key=lambda photo: ranks.get(photo.name, (2, 0.0)))
    numbers = {photo.name: number for number, photo in enumerate(ordered)}
    found.sort(key=lambda entry: -entry[1].confidence)
    return ordered, [each._replace(photo=numbers[name]) for name, each in found]
