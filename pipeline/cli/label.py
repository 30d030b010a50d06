"""Command `label`: a web page that makes a data set of photos, or checks the labels of one."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli import options
from pipeline.inference.regions import open_mask_source
from pipeline.models.card import check_run
from pipeline.runtime.console import note
from pipeline.runtime.errors import ParamsError, counted

if TYPE_CHECKING:  # --help must not wait for OpenCV
    from pipeline.labelling.work import Labeller


def label(  # noqa: PLR0913 - one argument an option
    photos: Annotated[
        Path | None, typer.Argument(help="Folder of photos; with --review a data set; the photos of --out if absent.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Data set to make or go on with, for -S dataset=FOLDER.")],
    run: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A finished run, whose answers are suggested first.")
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Copy the data set PHOTOS to --out and check its labels, by --run.")
    ] = False,
    order: Annotated[
        Literal["certainty", "name"],
        typer.Option(help="Of the photos: those first whose foods --run is least certain of, or by name."),
    ] = "certainty",
    coco: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the foods of --out as one COCO file, and end.")
    ] = None,
    test_share: Annotated[
        float | None, typer.Option(min=0, max=0.9, help="Share of the photos for the test split; 0.2 if absent.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, other test photos; 0 if absent.")] = None,
    masks: options.MaskMethodOption = "grabcut",
    mask_weights: options.MaskWeightsOption = None,
    host: options.HostOption = "127.0.0.1",
    port: options.PortOption = 7861,
    browser: options.BrowserOption = True,
    device: options.DeviceOption = "auto",
) -> None:
    """Label photos in the browser: mark a food by a box, name it, next. The result is a data set.

    Every step is stored at once; the same command goes on after an interruption. Several people may work in one
    folder, each with a command of their own. See docs/labelling.md.
    """
    if coco is None:
        options.check_web_server("label")
    if photos is not None and not photos.is_dir():
        raise ParamsError(f"{photos}: no such folder; give one that holds photos" + " (unpacked)" * review)
    options.check_label_folder("--out", out, photos, advice="first")
    if run is not None:
        check_run(run)
    from pipeline.labelling.folder import LabelFolder, described  # noqa: PLC0415 - --help must not wait for OpenCV

    folder = LabelFolder(out, seed=seed, test_share=test_share)
    if coco is not None:
        if not coco.absolute().parent.is_dir():
            raise ParamsError(f"--coco {coco}: no folder {coco.parent}; make it first")
        typer.echo(f"{coco}: {counted(folder.write_coco(coco), 'food')}")
        return
    options.check_port(host, port)
    source = open_mask_source(masks, mask_weights, device)
    from pipeline.labelling.app import make_label_app  # noqa: PLC0415
    from pipeline.labelling.work import Labeller  # noqa: PLC0415
    from pipeline.serving.server import run_app  # noqa: PLC0415

    labeller = Labeller(folder, (), source)
    if run is not None:
        from pipeline.inference.predictor import open_run  # noqa: PLC0415 - torch takes seconds

        labeller.run = open_run(run, device=device)
    _choose_photos(labeller, photos, review=review, by_certainty=order == "certainty")
    note(f"{out}: {described(labeller.photos, folder.count())}")
    may, end = f"see the photos and write to {out}", f"ended; all is stored in {out}"
    run_app(partial(make_label_app, labeller), host, port, everybody=False, browser=browser, may=may, end=end)


def _choose_photos(labeller: "Labeller", photos: Path | None, *, review: bool, by_certainty: bool) -> None:
    """Set the photos, in the order of work; for a review the data set `photos` is copied first."""
    folder, run = labeller.folder, labeller.run
    if run is None and not review:
        labeller.photos = folder.photos(photos)
        return
    from pipeline.labelling.review import find_disagreements, least_certain_first, take_over  # noqa: PLC0415 - torch

    if review and photos is not None and photos.resolve() != folder.folder.resolve():
        take_over(photos, folder)
    labeller.photos = folder.photos(None if review else photos)
    if run is not None and review:
        labeller.photos, labeller.disagreements = find_disagreements(run, folder, labeller.photos)
    elif run is not None and by_certainty:
        labeller.photos = least_certain_first(run, folder, labeller.photos)
