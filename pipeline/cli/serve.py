"""Command `serve`: a web page to try runs on photos."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.evaluation.rejection import PRECISION
from pipeline.inference.regions import ProposedRegions, open_mask_source
from pipeline.models.card import check_run
from pipeline.params.run_name import ABSENT, RunName
from pipeline.runtime.console import note
from pipeline.runtime.errors import ParamsError
from pipeline.segmentation.proposals import ProposalFilter, parse_filter


def serve(  # noqa: PLR0913 - one argument an option
    run: Annotated[Path, typer.Option(metavar="FOLDER", help="A finished run of two branches: data/runs/vit+vit-all.")],
    *,
    beside: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Run to compare it with; its ROI-only sibling if absent.")
    ] = None,
    masks: options.MaskMethodOption = "grabcut",
    mask_weights: options.MaskWeightsOption = None,
    text: options.TextOption = None,
    filters: options.FilterOption = None,
    precision: options.PrecisionOption = PRECISION,
    samples: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Photos to offer; drawn plates if absent.")
    ] = None,
    label: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also label, as command `label` does: a data set, of --samples if new."),
    ] = None,
    host: options.HostOption = "127.0.0.1",
    port: options.PortOption = 7860,
    everybody: Annotated[
        bool, typer.Option("--open", help="With --host: let everybody in who reaches it, without a token.")
    ] = False,
    browser: options.BrowserOption = True,
    device: options.DeviceOption = "auto",
) -> None:
    """Open a page in the browser: drop a photo, mark its foods, see what they are with and without their surroundings.

    Without weights of sam or fastsam, foods are marked by boxes (GrabCut finds the mask) or painted; with them, or with
    --text, the page finds the foods of a plate by itself. Nothing leaves this computer, no other host is asked for
    anything, and photos are held in memory alone; only --label writes, into its folder.
    """
    options.check_web_server("serve")
    check_run(run)
    if beside is not None:
        check_run(beside, "--beside")
    if samples is not None and not samples.is_dir():
        raise ParamsError(f"--samples {samples}: no such folder; give one that holds photos")
    if label is not None:
        options.check_label_folder("--label", label, samples, advice="by --samples")
    options.check_text(text, masks)
    if filters and not text and masks == "grabcut":
        raise ParamsError("--filter chooses among proposals; give --text, or --masks with weights")
    chosen = parse_filter(filters) if filters else ProposalFilter()
    options.check_port(host, port)
    source = open_mask_source(masks, None if text and masks == "grabcut" else mask_weights, device)
    proposing = options.open_text_source(text, mask_weights, device, chosen) if text else source
    finder = None if proposing.name == "grabcut" else ProposedRegions(proposing, chosen)
    from pipeline.inference.predictor import open_run  # noqa: PLC0415 - torch takes seconds; --help must not wait for it
    from pipeline.serving.handlers import PageController, drawn_samples, samples_from  # noqa: PLC0415
    from pipeline.serving.server import serve as run_server  # noqa: PLC0415

    folders = [beside or _sibling(run), run]
    if sys.stderr.isatty():  # programs that start a page read its address on the first line
        note(f"loads {' and '.join(folder.name for folder in folders if folder is not None)} ...")
    runs = tuple(open_run(folder, device=device, precision=precision) for folder in folders if folder is not None)
    offered = drawn_samples() if samples is None else samples_from(samples)
    labelling = None
    if label is not None:
        from pipeline.labelling.app import make_label_app  # noqa: PLC0415
        from pipeline.labelling.folder import LabelFolder  # noqa: PLC0415
        from pipeline.labelling.review import least_certain_first  # noqa: PLC0415
        from pipeline.labelling.work import Labeller  # noqa: PLC0415

        folder = LabelFolder(label)
        photos = least_certain_first(runs[-1], folder, folder.photos(samples))
        labelling = partial(make_label_app, Labeller(folder, photos, source, runs[-1]))
    controller = PageController(runs, source, offered, finder)
    run_server(controller, host=host, port=port, everybody=everybody, browser=browser, labelling=labelling)


def _sibling(run: Path) -> Path | None:
    """Return the run beside `run` that has its ROI branch alone, if it exists."""
    try:
        name = RunName.parse(run.name)
    except ParamsError:  # a renamed copy has no siblings
        return None
    alone = run.parent / name._replace(extra_roi=ABSENT).name
    return alone if name.extra_roi != ABSENT and (alone / "run.json").is_file() else None
