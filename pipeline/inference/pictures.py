"""Pictures of predictions: all foods of a photo with a legend; of one its mask, cut-outs and heat maps."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from pipeline.arrays import AnyImage, Image, Mask
from pipeline.datasets.sample_batch import InputName, SampleBatch
from pipeline.evaluation.grad_cam import Method, grad_cam
from pipeline.evaluation.heat_maps import blend_heat, share_inside
from pipeline.evaluation.rejection import UNKNOWN, percent
from pipeline.imaging.components import rim
from pipeline.imaging.drawing import GAP, INK, PAPER, overlay
from pipeline.inference.prediction import Prediction
from pipeline.inference.predictor import Run
from pipeline.inference.regions import Region
from pipeline.segmentation.prompts import deepest_pixel, parts_of

SHOWN_SIDE = 320  # smallest side in pixels of cut-outs and heat maps; smaller ones are enlarged by whole factors
LABELLED_SIDE = 1200  # longer side in pixels of the photo with all foods, whatever that of the photo is
LETTER = 22  # height in pixels of a letter there
COLOURS = (
    (0, 90, 255), (255, 0, 200), (0, 220, 230), (255, 225, 0), (140, 0, 220), (0, 200, 60),
    (255, 120, 0), (230, 0, 40), (0, 120, 120), (175, 130, 255), (190, 255, 0), (130, 60, 20),
)  # fmt: skip
"""Of foods in their order, over again after the last; colours that foods rarely have come first."""
UNNAMED = (128, 128, 128)  # of a region that is not named


class LabelledMask(NamedTuple):
    """One food of a photo."""

    mask: Mask  # at the size of the photo
    name: str
    probability: float | None  # in [0, 1]; None if the food is not a known one


class BranchPicture(NamedTuple):
    """Heat map of one branch for one region."""

    branch: InputName
    picture: Image  # gray view, coloured heat, white outline of the region
    inside: float | None  # share in [0, 1] of the heat on the region of interest; None if there is no heat


def explaining_pictures(photo: Image, region: Region, prediction: Prediction) -> Iterator[tuple[str, Image]]:
    """Yield name and pixels of the overlay and the mask at full size, and of both views at the run's size."""
    yield "overlay", overlay(photo, region.mask)
    yield "mask", np.repeat(region.mask[..., np.newaxis], 3, axis=2).astype(np.uint8) * np.uint8(255)
    yield "roi", prediction.roi
    yield "extra_roi", prediction.extra_roi


def label_of(mask: Mask, prediction: Prediction, *, known: bool | None) -> LabelledMask:
    """Return the name of a region: the first guess, or that the food is unknown; `known` as of `Run.accepts`."""
    return LabelledMask(mask, UNKNOWN, None) if known is False else LabelledMask(mask, *prediction.top(1)[0])


def food_colours(foods: Sequence[LabelledMask]) -> list[tuple[int, int, int]]:
    """Return the colour of each food."""
    return [UNNAMED if food.probability is None else COLOURS[n % len(COLOURS)] for n, food in enumerate(foods)]


def mark_foods(shown: AnyImage, foods: Sequence[LabelledMask], *, letter: int, named: bool) -> AnyImage:
    """Return a photo with every food outlined, and its name or, where there is no room, its number.

    Args:
        shown: Photo at the size that is shown.
        foods: Foods in their order; the masks may be of another size.
        letter: Height of a letter in pixels, to which lines are in proportion.
        named: Whether names are written; else numbers alone.
    """
    shown, size, colours = shown.copy(), shown.shape[1::-1], food_colours(foods)
    masks = [np.asarray(Pillow.fromarray(food.mask).resize(size, Pillow.Resampling.NEAREST)) for food in foods]
    for number in sorted(range(len(foods)), key=lambda number: -masks[number].sum()):  # small ones lie on top
        mask, tint = masks[number], np.array(colours[number], np.uint8)
        if foods[number].probability is not None:
            shown[mask] = shown[mask] * np.float32(0.85) + tint * np.float32(0.15)
        shown[rim(mask, letter // 3)] = 255  # a white line within the coloured one shows on foods of its colour
        shown[rim(mask, letter // 5)] = tint
    picture, font, line = Pillow.fromarray(shown), ImageFont.load_default(letter), letter + 2 * GAP
    draw = ImageDraw.Draw(picture)
    taken: list[tuple[float, float, float, float]] = []
    for number, (food, mask, colour) in enumerate(zip(foods, masks, colours, strict=True), 1):
        if not mask.any():
            continue
        x, y = deepest_pixel(parts_of(mask)[0])
        # Where there is no room for the name, or none, the number refers to the legend; it may stand a line beside.
        places = [(str(number), shift * line) for shift in (0, 1, -1, 2, -2)]
        for label, shift in [*([(_title(number, food), 0)] if named and food.probability is not None else []), *places]:
            half = draw.textlength(label, font=font) / 2 + GAP
            centre = max(half, min(x, size[0] - half)), max(line / 2, min(y + shift, size[1] - line / 2))
            box = (centre[0] - half, centre[1] - line / 2, centre[0] + half, centre[1] + line / 2)
            if all(box[0] > b[2] or b[0] > box[2] or box[1] > b[3] or b[1] > box[3] for b in taken):
                break
        taken.append(box)
        draw.rectangle(box, fill=PAPER, outline=colour, width=3)
        draw.text(centre, label, fill=INK, font=font, anchor="mm")
    return np.asarray(picture)


def _title(number: int, food: LabelledMask) -> str:
    return f"{number} {food.name[:40]}"


def label_foods(photo: Image, foods: Sequence[LabelledMask], caution: str = "") -> AnyImage:
    """Return the photo, `LABELLED_SIDE` pixels long, with every food outlined and named, and a legend beside it.

    `caution` is a line below them.
    """
    height, width = photo.shape[:2]
    scale = LABELLED_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shown = np.asarray(Pillow.fromarray(photo).resize(size, Pillow.Resampling.LANCZOS))
    font = ImageFont.load_default(LETTER)
    titles = [_title(number, food) for number, food in enumerate(foods, 1)]
    legend = [
        title if food.probability is None else f"{title}  {percent(food.probability)}"
        for title, food in zip(titles, foods, strict=True)
    ]
    line, swatch = LETTER + 2 * GAP, 2 * LETTER
    panel = round(max(map(font.getlength, legend), default=0)) + swatch + 3 * GAP
    notes = [note for note in ("" if foods else "no food found", caution) if note]
    bottom = max(size[1], line * len(foods) + 2 * GAP)
    sheet = Pillow.new("RGB", (size[0] + panel, bottom + line * len(notes)), PAPER)
    sheet.paste(Pillow.fromarray(mark_foods(shown, foods, letter=LETTER, named=True)), (0, 0))
    draw = ImageDraw.Draw(sheet)
    for number, note in enumerate(notes):
        draw.text((GAP, bottom + line * (number + 0.5)), note, fill=INK, font=font, anchor="lm")
    for number, (text, colour) in enumerate(zip(legend, food_colours(foods), strict=True), 1):
        left, middle = size[0] + GAP, GAP + line * (number - 0.5)
        draw.rectangle((left, middle - LETTER / 2, left + swatch, middle + LETTER / 2), fill=colour, outline=INK)
        draw.text((left + swatch + GAP, middle), text, fill=INK, font=font, anchor="lm")
    return np.asarray(sheet)


def heat_pictures(
    run: Run, batch: SampleBatch, predictions: Sequence[Prediction], method: Method = "hires_cam"
) -> tuple[tuple[BranchPicture, ...], ...]:
    """Return, for each sample, a heat map of the first guess for each branch of the run that made the predictions."""
    guesses = np.array([int(prediction.logits.argmax()) for prediction in predictions], np.int64)
    found = grad_cam(run.model, batch, guesses, run.device, method)
    views = {name: getattr(batch, name)[..., :3] for name in found}
    return tuple(
        tuple(
            BranchPicture(
                branch,
                blend_heat(enlarge(views[branch][row]), enlarge(batch.masks[row]), heat.heat[row]),
                share_inside(heat.heat[row], batch.masks[row]),
            )
            for branch, heat in found.items()
        )
        for row in range(len(batch))
    )


def enlarge(pixels: np.ndarray) -> np.ndarray:
    """Return a picture or mask enlarged by a whole factor without smoothing."""
    factor = max(1, -(-SHOWN_SIDE // len(pixels)))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def write_picture(image: AnyImage, path: Path) -> str:
    """Write a picture; return its path as text."""
    Pillow.fromarray(image).save(path)
    return str(path)
