"""Samples as the page and the figures show them: which ones, photos, masks and cut-outs, and what runs predict.

Samples are ranked by a hash, so that neither the order of files nor a person selects them.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow

from pipeline.arrays import Image, Mask
from pipeline.datasets.index import Sample, choose_named, read_samples
from pipeline.datasets.photos import read_photo_of
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.evaluation.predictions import PredictionTable
from pipeline.imaging.drawing import edge, encode_picture
from pipeline.params.stages import ReportParams
from pipeline.reporting.finding import Finding, PairedRuns, correctness_of, only_correct, scope_of
from pipeline.reporting.results import SPLIT, ReportInputs
from pipeline.runtime.console import progress

SAMPLES_OF_PAIR = 2  # samples of each ambiguous category on the contact sheet
TOP = 3  # most probable categories listed per run
LONGEST = 300  # pixels of the longer side of a photo
SQUARE = 160  # side in pixels of cut-outs in a figure
LOSSLESS_SIDE = 96  # pixels of the longer side up to which a picture is stored losslessly
DIMMED = 0.3  # brightness outside the region of interest
OUTLINE = np.array([255, 214, 10], np.uint8)  # yellow: visible on nearly every food, also to colour-blind readers

Shown: TypeAlias = UInt8[np.ndarray, "h w 3"]  # RGB at the size it is shown
ShownMask: TypeAlias = Bool[np.ndarray, "h w"]  # mask at the size it is shown


class Picture(NamedTuple):
    """One `<img>`."""

    uri: str
    width: int
    height: int
    description: str  # alternative text


def picture(image: Image, description: str) -> Picture:
    """Encode an image; same pixels, same bytes for one version of Pillow."""
    height, width = image.shape[:2]
    options = {"lossless": True} if max(height, width) <= LOSSLESS_SIDE else {"quality": 80}
    data = encode_picture(Pillow.fromarray(image), "WEBP", method=6, **options)
    return Picture(f"data:image/webp;base64,{base64.b64encode(data).decode()}", width, height, description)


def shrink(image: Image, longest: int) -> Shown:
    """Return the image with its longer side at most `longest` pixels."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS))


def fit_mask(mask: Mask, rect: tuple[int, int, int, int], size: tuple[int, int]) -> ShownMask:
    """Lay a letterboxed mask over the photo it belongs to.

    Args:
        mask: Mask of the whole square.
        rect: Rectangle of the photo inside the mask: top, left, height, width.
        size: Height and width of the photo as it is shown.
    """
    top, left, height, width = rect
    part = Pillow.fromarray(mask[top : top + height, left : left + width].astype(np.uint8) * 255)
    return np.asarray(part.resize((size[1], size[0]), Pillow.Resampling.BICUBIC)) > 127  # noqa: PLR2004 - half of 255


def highlight(image: Image, mask: Mask) -> Image:
    """Return the photo with the region of interest outlined and everything else dimmed."""
    shown = np.where(mask[..., np.newaxis], image, (image * DIMMED).astype(np.uint8))
    return np.where(edge(mask)[..., np.newaxis], OUTLINE, shown)


class SamplePictures(NamedTuple):
    """Photo, mask and cut-outs of one sample."""

    sample: Sample
    photo: Shown
    mask: ShownMask
    views: SampleBatch  # cut-outs, a single row

    def marked(self) -> Image:
        """Return the middle square of the photo around the region of interest, which is outlined."""
        shown = np.where(self.mask[..., np.newaxis], self.photo, (self.photo * (1 + DIMMED) / 2).astype(np.uint8))
        outline = edge(self.mask)
        thick = outline.copy()
        thick[1:] |= outline[:-1]
        thick[:, 1:] |= outline[:, :-1]
        shown[thick] = OUTLINE
        return crop_square(shown, self.mask)


def read_pictures(sample_ids: Sequence[str], inputs: ReportInputs, *, what: str) -> dict[str, SamplePictures]:
    """Read the pictures of some test samples; none without photos. `what` is the name of the progress bar.

    Raises:
        DatasetError: If a photo is absent or not the one that stage `index` read.
        ManifestError: If a shard is absent or damaged.
    """
    if inputs.raw is None:
        return {}
    chosen = choose_named(read_samples(inputs.index / "samples.parquet"), sample_ids)
    views, pictures = inputs.shards.select(SPLIT, [indexed.row for indexed in chosen]), {}
    for row, indexed in enumerate(progress(chosen, total=len(chosen), what=what, unit="sample")):
        photo = read_photo_of(indexed.sample, inputs.raw)
        pictures[indexed.sample.sample_id] = sample_pictures(indexed.sample, photo, views.row(row))
    return pictures


def sample_pictures(sample: Sample, photo: Image, views: SampleBatch) -> SamplePictures:
    """Shrink the photo of a sample and lay its mask over it; `views` is a single row."""
    small = shrink(photo, LONGEST)
    top, left, height, width = views.rects[0].tolist()
    mask = fit_mask(views.masks[0], (top, left, height, width), small.shape[:2])
    return SamplePictures(sample, small, mask, views)


def crop_square(image: Shown, mask: ShownMask) -> Image:
    """Cut the largest square out of a picture, as near to the middle of a region as possible."""
    height, width = mask.shape
    side = min(height, width)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = (
        0 if not len(places) else int(np.clip((places[0] + places[-1] + 1 - side) // 2, 0, length - side))
        for places, length in ((rows, height), (columns, width))
    )
    return image[top : top + side, left : left + side]


def enlarge(view: Image) -> Shown:
    """Return a cut-out at the size it has in figures."""
    return np.asarray(Pillow.fromarray(view).resize((SQUARE, SQUARE), Pillow.Resampling.BICUBIC))


def rank(sample_id: str, seed: int) -> bytes:
    """Return the sort key of a sample in an order that depends on the seed alone."""
    return hashlib.sha256(f"{seed}/{sample_id}".encode()).digest()


def choose_samples(samples: Iterable[Sample], ambiguous: Collection[str], count: int, seed: int) -> tuple[Sample, ...]:
    """Choose the contact sheet: two samples of each ambiguous category, then as many categories as possible.

    Memory is bounded by the number of categories. `count` is the number in all, unless the pair needs more.
    """
    best: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        of_category = [*best[sample.category], sample]
        best[sample.category] = sorted(of_category, key=lambda s: rank(s.sample_id, seed))[:SAMPLES_OF_PAIR]
    pair = [sample for name in ambiguous for sample in best.pop(name, [])]
    firsts = sorted((of_category[0] for of_category in best.values()), key=lambda s: rank(s.sample_id, seed))
    others = sorted(firsts[: max(0, count - len(pair))], key=lambda s: s.target)
    return (*pair, *others)


def categories_of(table: PredictionTable) -> dict[str, str]:
    """Return the category name of every sample."""
    return {i: table.class_names[target] for i, target in zip(table.sample_ids, table.targets.tolist(), strict=True)}


def choose_ids(sample_ids: Iterable[str], category_of: Mapping[str, str], count: int, seed: int) -> tuple[str, ...]:
    """Choose up to `count` samples, taking the categories in turn."""
    queues: dict[str, list[str]] = defaultdict(list)
    for sample_id in sorted(sample_ids, key=lambda i: rank(i, seed)):
        queues[category_of[sample_id]].append(sample_id)
    turns = [(turn, name, sample_id) for name, queue in queues.items() for turn, sample_id in enumerate(queue)]
    return tuple(sample_id for _, _, sample_id in sorted(turns)[:count])


class SamplePrediction(NamedTuple):
    """What the run of a label predicts for a sample."""

    run: str
    correct: bool
    top: tuple[tuple[str, float], ...]  # most probable categories with their probability in [0, 1]


class SampleCard(NamedTuple):
    """One sample of the page."""

    sample_id: str
    category: str
    ambiguous: bool
    share: float  # mask area over photo area, in [0, 1]
    pictures: tuple[tuple[str, Picture], ...]  # title and picture: photo, mask, ROI, extra-ROI
    predictions: tuple[SamplePrediction, ...]  # of the compared runs; none on the contact sheet


class Examples(NamedTuple):
    """Some of the samples that exactly one of two runs predicts correctly, and how many there are."""

    title: str
    cards: tuple[SampleCard, ...]
    total: int


def sample_card(shown: SamplePictures, ambiguous: Sequence[str]) -> SampleCard:
    """Return the card of one sample without predictions; `ambiguous` names the pair."""
    sample, views, food = shown.sample, shown.views, shown.sample.category
    pictures = (
        ("photo", picture(shown.photo, f"Photo {sample.photo_id}")),
        ("mask", picture(highlight(shown.photo, shown.mask), f"The same photo, everything but the {food} dimmed")),
        ("ROI", picture(views.roi[0], f"The {food} alone on black, as the ROI branch sees it")),
        ("extra-ROI", picture(views.extra_roi[0], f"The photo without the {food}, as the other branch sees it")),
    )
    *_, height, width = views.rects[0].tolist()
    share = float(views.masks[0].sum()) / (height * width)
    return SampleCard(sample.sample_id, food, food in ambiguous, share, pictures, ())


def paired_predictions(pair: PairedRuns, sample_id: str) -> tuple[SamplePrediction, ...]:
    """Return what both runs predict for one sample."""
    found = []
    for run, table, temperature in zip(pair.runs, (pair.single, pair.double), pair.temperatures, strict=True):
        row = table.sample_ids.index(sample_id)
        logits = table.logits[row] / temperature
        odds = np.exp(logits.astype(np.float64) - logits.max())
        order = np.argsort(-odds, kind="stable")[:TOP].tolist()
        top = tuple((table.class_names[k], float(odds[k] / odds.sum())) for k in order)
        found.append(SamplePrediction(run.label, order[0] == table.targets[row], top))
    return tuple(found)


def show_samples(
    params: ReportParams, finding: Finding, pairs: Sequence[PairedRuns], inputs: ReportInputs, ambiguous: Sequence[str]
) -> tuple[tuple[SampleCard, ...], tuple[Examples, ...]]:
    """Return the contact sheet, and examples of both directions of the first comparison; nothing without photos.

    Where there is a pair, examples are of it, and then of the whole test split. `pairs` are the predictions behind the
    comparisons; none where no backbone was trained both ways.
    """
    if inputs.raw is None:
        return (), ()
    samples = (sample for sample in read_samples(inputs.index / "samples.parquet") if sample.split == SPLIT)
    sheet = [sample.sample_id for sample in choose_samples(samples, ambiguous, params.samples, params.seed)]
    groups = []
    if pairs:
        first, pair, category_of = finding.comparisons[0], pairs[0], categories_of(pairs[0].double)
        directions = {finding.scope: (first.only_double, first.only_single)}
        if ambiguous:
            double, single = (correctness_of(table, ()) for table in (pair.double, pair.single))
            directions[scope_of(())] = (only_correct(double, single), only_correct(single, double))
        for scope, found in directions.items():
            for how, ids, limit in zip(("Right with", "Wrong with"), found, (6, 4), strict=True):
                title = f"{how} the surroundings, {'wrong' if how == 'Right with' else 'right'} without, on {scope}"
                groups.append((title, choose_ids(ids, category_of, limit, params.seed), len(ids)))
    shown = tuple(dict.fromkeys([*sheet, *(sample_id for _, ids, _ in groups for sample_id in ids)]))
    cards = {i: sample_card(found, ambiguous) for i, found in read_pictures(shown, inputs, what="samples").items()}
    examples = tuple(
        Examples(title, tuple(cards[i]._replace(predictions=paired_predictions(pairs[0], i)) for i in ids), total)
        for title, ids, total in groups
    )
    return tuple(cards[sample_id] for sample_id in sheet), examples
