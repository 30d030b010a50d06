"""Command `predict`: what the foods of photos are."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.devices import Device
from pipeline.cli.paths import check_output
from pipeline.console import note
from pipeline.errors import ParamsError, PhotoError
from pipeline.models.run_folder import check_run
from pipeline.prediction.photos import base_of, may_exist, photos_among
from pipeline.prediction.prompting import parse_prompt
from pipeline.prediction.record import Format, PhotoRecord, written
from pipeline.prediction.regions import pair_masks
from pipeline.prediction.sources import MaskMethod, open_method
from pipeline.prediction.wish import Wish


def predict(  # noqa: PLR0913 - one argument an option
    photos: Annotated[
        list[str],
        typer.Argument(metavar="PHOTO...", help="Files, folders or URLs; - reads one from the standard input."),
    ],
    *,
    run: Annotated[Path, typer.Option(metavar="FOLDER", help="A finished run: data/runs/vit+vit-all.")],
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
    masks: Annotated[MaskMethod, typer.Option(help="What turns clicks and boxes into masks.")] = "grabcut",
    mask_weights: Annotated[
        Path | None, typer.Option(help="Weights of sam or fastsam: data/mask_weights/sam, or a published file.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Categories to list.")] = 5,
    form: Annotated[Format, typer.Option("--format", help="How answers are printed.")] = "text",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write overlay, mask, ROI and extra-ROI of every food here.")
    ] = None,
    heat: Annotated[bool, typer.Option("--heat", help="Write where each branch looked, too.")] = False,
    device: Annotated[Device, typer.Option(help="Where models run.")] = "auto",
) -> None:
    """Say what the foods of photos are, by a click, a box or a mask on each.

    Needs the run's folder, and weights for sam or fastsam; neither DVC nor training data. Answers go to the standard
    output, errors and progress to the standard error. Probabilities are calibrated by the run's temperature. Pixels
    count from 0 at the top left of the upright photo.
    """
    if heat and out is None:
        raise ParamsError("--heat draws pictures; say where by --out FOLDER")
    prompts = [parse_prompt("point", text) for text in point or ()] + [parse_prompt("box", text) for text in box or ()]
    wish = Wish(tuple(prompts), mask, value, every)
    wish.check()
    check_run(run)
    if out is not None:
        check_output(out)
    files = photos_among(photos, without=[path for path in (mask, out) if path is not None])
    pairs = None
    if mask is not None and mask.is_dir():
        pairs = pair_masks(files, mask, base=base_of(photos))
        files = tuple(photo for photo in files if photo not in pairs.masks.values())
    if not any(map(may_exist, files)):
        raise PhotoError(f"{files[0]}: no such file; name a photo, a folder of photos, or an http(s) URL")
    finder = wish.finder(partial(open_method, masks, mask_weights, device), pairs)
    from pipeline.prediction.run import open_run  # noqa: PLC0415 - torch takes seconds; --help must not wait for it
    from pipeline.steps.predict import Wanted, predict_photos  # noqa: PLC0415 - imports torch

    opened = open_run(run, device=device)
    refusals: list[str] = []
    records = predict_photos(opened, finder, files, Wanted(top, out, heat))
    for line in written(_noting(records, refusals, alone=len(files) == 1), form, top=top):
        typer.echo(line)
    if refusals:
        raise PhotoError(refusals[0] if len(files) == 1 else f"{len(refusals)} of {len(files)} photos refused")


def _noting(records: Iterable[PhotoRecord], refusals: list[str], *, alone: bool) -> Iterator[PhotoRecord]:
    """Pass records on; note refusals as they come, but for that of a lone photo, which ends the command."""
    for record in records:
        if record.error is not None:
            refusals.append(record.error)
            if not alone:
                note(f"error: {record.error}")
        yield record
