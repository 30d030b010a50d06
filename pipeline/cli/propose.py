"""Commands `propose` and `take`: regions of interest for photos without mask and prompts, chosen by a person."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import ParamsError, counted
from pipeline.segmentation.open_source import open_file, open_source
from pipeline.steps.propose import SHEET, take_proposals, write_proposals

Out = Annotated[Path, typer.Option(help="Folder of proposals.png and proposals.csv.")]
Folder = Annotated[Path, typer.Argument(help="Photos of one split, for instance /photos/ketchup/train.")]


def propose(  # noqa: PLR0913 - one argument an option
    folder: Folder,
    *,
    source: Annotated[str, typer.Option(help="Mask source: sam or fastsam.")] = "sam",
    weights: Annotated[Path | None, typer.Option(help="Its weights; those of data/mask_weights if absent.")] = None,
    architecture: Annotated[str, typer.Option(help="Whose weights: vit_b, vit_l or vit_h.")] = "vit_b",
    limit: Annotated[int, typer.Option(min=1, max=20, help="Proposals a photo at most.")] = 8,
    out: Out = Path("proposals"),
) -> None:
    """Show numbered masks for every photo that has neither mask nor prompts; `take` adds those you pick."""
    if not folder.is_dir():  # said before a model is loaded
        raise ParamsError(f"{folder}: no such folder; give one that holds photos, for instance /photos/ketchup/train")
    opened = (
        open_file(source, weights, architecture=architecture, device="cpu")
        if weights
        else open_source(Path("data/mask_weights") / source, device="cpu")
    )
    photos = write_proposals(opened, folder, out, limit=limit)
    typer.echo(f"{out / SHEET}: {counted(photos, 'photo')}; then: python -m pipeline take {folder} PHOTO=NUMBER ...")


def take(
    folder: Folder,
    choices: Annotated[list[str], typer.Argument(help="PHOTO=NUMBER, for instance IMG_2.jpg=3.")],
    *,
    out: Out = Path("proposals"),
) -> None:
    """Add the proposals you picked to the folder's prompts.csv."""
    picked: dict[str, list[int]] = {}
    for choice in choices:
        photo, _, number = choice.rpartition("=")
        if not photo or not number.isdecimal():
            raise ParamsError(f"{choice!r} is not of the form PHOTO=NUMBER, for instance IMG_2.jpg=3")
        picked.setdefault(photo, []).append(int(number))
    added = take_proposals(picked, folder, out)
    typer.echo(f"{folder / 'prompts.csv'}: {added} added")
