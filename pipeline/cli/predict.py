"""Command `predict`: classify the foods of photos."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.datasets.prompts import Prompt
from pipeline.evaluation.rejection import PRECISION
from pipeline.inference.formats import Format, PhotoRecord, format_records
from pipeline.inference.inputs import common_folder, expand_patterns, list_photos, may_exist
from pipeline.inference.regions import (
    DrawnRegions,
    MaskPairs,
    PromptedRegions,
    ProposedRegions,
    RegionFinder,
    open_mask_source,
    pair_masks,
)
from pipeline.models.card import check_run
from pipeline.runtime.console import note
from pipeline.runtime.errors import ParamsError, PhotoError
from pipeline.segmentation.mask_source import MaskSource
from pipeline.segmentation.proposals import AnySource, ProposalFilter, parse_filter

PROMPT_FORMATS = {"point": "X,Y", "box": "X0,Y0,X1,Y1"}
"""Syntax of prompts, in pixels of the upright photo; columns and rows count from 0, inclusive."""
GRABCUT = "grabcut"  # the mask source that takes boxes only
WHERE_ADVICE = "say where the food is: --point X,Y, --box X0,Y0,X1,Y1, --mask FILE, --all, or --text food"


def parse_prompt(kind: str, text: str) -> Prompt:
    """Parse a `point` or `box` of comma-separated numbers; the corners of a box may be in any order.

    Raises:
        ParamsError: If the text has another form.
    """
    form = PROMPT_FORMATS[kind]
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ParamsError(f"{text!r} is no {kind}; write pixels as {form}") from error
    if len(numbers) != form.count(",") + 1 or not all(map(math.isfinite, numbers)):
        raise ParamsError(f"{text!r} is no {kind}; write pixels as {form}, counted from 0")
    if kind == "point":
        return Prompt(kind, tuple(numbers))
    (x0, x1), (y0, y1) = sorted(numbers[0::2]), sorted(numbers[1::2])
    return Prompt(kind, (x0, y0, x1, y1))


@dataclass(frozen=True, slots=True)
class RegionOptions:
    """Options that say where the foods are."""

    prompts: tuple[Prompt, ...] = ()  # clicks and boxes, each one food
    mask: Path | None = None  # mask file, or folder of masks
    value: int | None = None  # value to take from `mask`
    every: bool = False  # take all values of `mask`, or all proposals of the mask source
    texts: tuple[str, ...] = ()  # names of what is to be found; each proposes
    chosen: ProposalFilter | None = None  # thresholds of the proposals, if they were given

    def check(self) -> None:
        """Check the options before anything is read.

        Raises:
            ParamsError: If there are none, they exclude each other, or the mask does not exist.
        """
        if not (self.prompts or self.mask or self.every or self.texts):
            raise ParamsError(WHERE_ADVICE)
        if self.texts and (self.prompts or self.mask):
            raise ParamsError("--text finds foods by itself; leave out --point, --box and --mask")
        if self.prompts and (self.mask or self.every):
            raise ParamsError(f"clicks and boxes exclude --mask and --all; {WHERE_ADVICE}")
        if self.value is not None and (self.mask is None or self.every):
            raise ParamsError("--value chooses one food of --mask; give --mask FILE, and no --all")
        if self.chosen and (self.mask is not None or not (self.every or self.texts)):
            raise ParamsError("--filter chooses among proposals; give --all or --text, and no --mask")
        if self.mask is not None and not self.mask.exists():
            raise ParamsError(f"{self.mask}: no such mask file or folder")

    def finder(self, create_source: Callable[[], AnySource], pairs: MaskPairs | None = None) -> RegionFinder:
        """Return the finder of regions.

        Args:
            create_source: Loads the mask source; called only if one is needed.
            pairs: Masks of the photos, if `mask` is a folder.

        Raises:
            ParamsError: If `check` fails, or the mask source does not support the prompts.
        """
        self.check()
        if self.mask is not None:
            return DrawnRegions(pairs or self.mask, self.value, self.every)
        source = create_source()
        if self.every and source.name == GRABCUT:
            raise ParamsError(
                "--all: grabcut finds no food by itself; add --masks fastsam --mask-weights FILE, or --mask FILE "
                "with one value a food"
            )
        if source.name == GRABCUT and any(prompt.kind == "point" for prompt in self.prompts):
            raise ParamsError("--point: grabcut takes boxes only; add --masks sam --mask-weights FILE")
        if self.every or not isinstance(source, MaskSource):
            return ProposedRegions(source, self.chosen or ProposalFilter())
        return PromptedRegions(source, self.prompts)


def predict(  # noqa: PLR0913 - one argument an option
    photos: Annotated[
        list[str] | None,
        typer.Argument(metavar="PHOTO...", help="Files, patterns, folders or URLs; - is the standard input."),
    ] = None,
    *,
    run: Annotated[Path, typer.Option(metavar="FOLDER", help="A finished run: data/runs/vit+vit-all.")],
    foods: Annotated[bool, typer.Option("--foods", help="List the foods that the run knows, and end.")] = False,
    point: Annotated[list[str] | None, typer.Option(metavar="X,Y", help="Click on a food; repeat for more.")] = None,
    box: Annotated[
        list[str] | None, typer.Option(metavar="X0,Y0,X1,Y1", help="Box around a food; repeat for more.")
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mask, or folder with one of the same place or stem for each photo."),
    ] = None,
    value: Annotated[int | None, typer.Option(help="The food in a mask of several, by its pixel value.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every value of --mask, or all that --masks finds.")] = False,
    text: options.TextOption = None,
    filters: options.FilterOption = None,
    masks: options.MaskMethodOption = "grabcut",
    mask_weights: options.MaskWeightsOption = None,
    precision: options.PrecisionOption = PRECISION,
    top: Annotated[int, typer.Option(min=1, help="Categories to list.")] = 5,
    form: Annotated[Format, typer.Option("--format", help="How answers are printed.")] = "text",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write pictures and listings here, the foods of a photo with a legend."),
    ] = None,
    views: Annotated[
        bool, typer.Option("--views", help="Write overlay, mask, the food alone and its surroundings, too.")
    ] = False,
    heat: Annotated[bool, typer.Option("--heat", help="Write where each branch looked, too.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print the milliseconds that each photo took.")] = False,
    device: options.DeviceOption = "auto",
) -> None:
    """Say what the foods of photos are, by a click, a box or a mask on each.

    Needs the run's folder, and weights for sam or fastsam; neither DVC nor training data. Answers go to the standard
    output, errors and progress to the standard error. Probabilities are calibrated by the run's temperature. Pixels
    count from 0 at the top left of the upright photo.
    """
    if foods:
        from pipeline.models.artifact import read_run_card  # noqa: PLC0415 - imports torch

        check_run(run)
        typer.echo("\n".join(sorted(read_run_card(run).class_names)))
        return
    if not photos:
        raise typer.BadParameter("name a photo, a folder of photos, or an http(s) URL", param_hint="PHOTO...")
    if (views or heat) and out is None:
        raise ParamsError(f"{'--views' if views else '--heat'} draws pictures; say where by --out FOLDER")
    prompts = [parse_prompt("point", text) for text in point or ()] + [parse_prompt("box", text) for text in box or ()]
    chosen = parse_filter(filters) if filters else None
    regions = RegionOptions(tuple(prompts), mask, value, every, tuple(text or ()), chosen)
    regions.check()
    options.check_text(text, masks)
    check_run(run)
    if out is not None:
        options.check_output(out)
    photos = expand_patterns(photos)
    files = list_photos(photos, without=[path for path in (mask, out) if path is not None])
    pairs = None
    if mask is not None and mask.is_dir():
        pairs = pair_masks(files, mask, base=common_folder(photos))
        files = tuple(photo for photo in files if photo not in pairs.masks.values())
    if not any(map(may_exist, files)):
        raise PhotoError(f"{files[0]}: no such file; name a photo, a folder of photos, or an http(s) URL")
    create: Callable[[], AnySource] = partial(open_mask_source, masks, mask_weights, device)
    if text:
        create = partial(options.open_text_source, text, mask_weights, device, chosen)
    finder = regions.finder(create, pairs)
    from pipeline.inference.predictor import open_run  # noqa: PLC0415 - torch takes seconds; --help must not wait for it
    from pipeline.steps.predict import OutputOptions, predict_photos  # noqa: PLC0415 - imports torch

    opened = open_run(run, device=device, precision=precision)
    facts = opened.facts
    note(f"{opened.name}, which sees {facts.sees}: {facts.training} {facts.testing} {facts.rejecting}")
    refusals: list[str] = []
    records = predict_photos(opened, finder, files, OutputOptions(top, out, views, heat))
    shown = _note_refusals(records, refusals, alone=len(files) == 1, timed=verbose)
    for line in format_records(shown, form, top=top, class_names=opened.class_names):
        typer.echo(line)
    if refusals:
        raise PhotoError(refusals[0] if len(files) == 1 else f"{len(refusals)} of {len(files)} photos refused")


def _note_refusals(
    records: Iterable[PhotoRecord], refusals: list[str], *, alone: bool, timed: bool
) -> Iterator[PhotoRecord]:
    """Yield the records and print refusals and times; the refusal of a single photo ends the command instead."""
    begun = time.perf_counter()
    for record in records:
        if timed:
            note(f"{record.photo}: {1000 * (time.perf_counter() - begun):.0f} ms")
        if record.error is not None:
            refusals.append(record.error)
            if not alone:
                note(f"error: {record.error}")
        yield record
        begun = time.perf_counter()
