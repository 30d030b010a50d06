"""Commands of `python -m pipeline`."""

import functools
import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from shutil import get_terminal_size
from textwrap import TextWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pipeline.cli.doctor import doctor
from pipeline.cli.export import export
from pipeline.cli.label import label
from pipeline.cli.options import FilterOption, TextOption, open_text_source
from pipeline.cli.predict import predict
from pipeline.cli.serve import serve
from pipeline.datasets.index import choose_named, choose_random, read_samples
from pipeline.params.base import load_settings
from pipeline.params.runtime import load_runtime
from pipeline.params.stages import ReportParams
from pipeline.reporting.grid import in_paper_order
from pipeline.reporting.results import RunFiles
from pipeline.runtime.errors import ParamsError, counted
from pipeline.segmentation.proposals import AnySource, parse_filter
from pipeline.segmentation.registry import create_source, create_source_from_file
from pipeline.steps.mirror import MIRRORED, mirror_outputs
from pipeline.steps.propose import SHEET, take_proposals, write_proposals
from pipeline.steps.report import write_report
from pipeline.steps.show import write_sheet
from pipeline.steps.summary import collect

SUMMARY = "summary.json"
Out = Annotated[Path, typer.Option(help="Folder of proposals.png and proposals.csv.")]
Folder = Annotated[Path, typer.Argument(help="Photos of one split, for instance /photos/ketchup/train.")]


def mirror(
    url: Annotated[str | None, typer.Argument(help="Where to; runtime.mirror of params.yaml if absent.")] = None,
    *,
    only: Annotated[
        list[str] | None, typer.Option(help="Output or folder of outputs, for instance data/shards; repeat for more.")
    ] = None,
) -> None:
    """Copy photos, weights of mask sources, masks and shards to object storage, as `dvc.lock` names them.

    What is there already is not sent again; the same command goes on after an interruption.
    """
    to = url or load_runtime().mirror
    if to is None:
        raise ParamsError("name a URL, or set runtime.mirror in params.yaml: s3://bucket/study")
    for folder, sent in mirror_outputs(to, tuple(only or MIRRORED)).items():
        typer.echo(f"{folder}: {counted(sent, 'file')} sent")


def show(  # noqa: PLR0913 - one argument an option
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .jpg or .webp.")],
    *,
    sample: Annotated[
        list[str] | None, typer.Option(help="Sample id, for instance test/00000048/66; repeat for more than one.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to choose from: train, validation or test.")] = "test",
    category: Annotated[str | None, typer.Option(help="Category to choose from; all if absent.")] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Samples to choose.")] = 12,
    seed: Annotated[int, typer.Option(help="Another seed, another choice.")] = 0,
    shards: Annotated[Path, typer.Option(help="Folder of shards.")] = Path("data/shards/annotation"),
    index: Annotated[Path, typer.Option(help="Sample table.")] = Path("data/index/samples.parquet"),
    raw: Annotated[Path, typer.Option(help="Folder of photos.")] = Path("data/raw"),
) -> None:
    """Write a contact sheet of samples: photo, mask, ROI, extra-ROI.

    Samples are those named by --sample, or else --count random ones of --split and --category.
    """
    table = read_samples(index)
    chosen = (
        choose_named(table, sample)
        if sample
        else choose_random(table, split=split, category=category, count=count, seed=seed)
    )
    write_sheet(chosen, raw=raw, shards=shards, sheet=out)
    typer.echo(f"{out}: {counted(len(chosen), 'sample')}")


def report(  # noqa: PLR0913 - one argument an option
    out: Annotated[
        Path, typer.Option(help="Folder to write: index.html, results.json, summary.json, tables/, figures/.")
    ],
    *,
    run: Annotated[
        list[str] | None,
        typer.Option(help="Run, for instance mobilenetv2+none-all; repeat for more. All evaluated runs if absent."),
    ] = None,
    source: Annotated[str, typer.Option(help="Mask source of the cut-outs.")] = "annotation",
    teacher: Annotated[str, typer.Option(help="Backbone that teaches, if `distill` was run with one.")] = "none",
    data: Annotated[Path, typer.Option(help="Folder of the stages' outputs.")] = Path("data"),
    photos: Annotated[
        bool, typer.Option(help="Show photos and cut-outs; without, neither photos nor shards need be here.")
    ] = True,
) -> None:
    """Write the report of the runs that were made; every other cell of the paper's tables says `not run`.

    A run counts as made once it was trained and evaluated; `perturb` may be missing.
    """
    files = RunFiles(data / "runs", data / "evaluations", data / "perturbations")
    chosen = in_paper_order(run) if run else files.evaluated()
    out.mkdir(parents=True, exist_ok=True)
    text = collect(files, chosen, variant=None).model_dump_json(indent=1)
    (out / SUMMARY).write_text(text + "\n", encoding="utf-8")
    write_report(
        load_settings(ReportParams, data / "settings" / "report.json"),
        variant=None,
        summary=out / SUMMARY,
        index=data / "index",
        raw=data / "raw" if photos else None,
        source=data / "source.json",
        shards=data / "shards" / source,
        runs=files.runs,
        evaluations=files.evaluations,
        perturbations=files.perturbations,
        explanations=data / "explanations",
        settings=data / "settings",
        report=out,
        agreement=data / "agreement" / source,
        transfer=data / "transfer" / source,
        repetitions=data / "repetitions.json",
        distilled=data / "distilled" / teacher,
        probes=data / "probes",
        votes=data / "votes",
        ambiguous=data / "ambiguous.json",
    )
    typer.echo(f"{out / 'index.html'}: {counted(len(chosen), 'run')}")


def propose(  # noqa: PLR0913 - one argument an option
    folder: Folder,
    *,
    source: Annotated[str, typer.Option(help="Mask source: sam, fastsam, or of transformers.")] = "sam",
    weights: Annotated[Path | None, typer.Option(help="Its weights; those of data/mask_weights if absent.")] = None,
    architecture: Annotated[str, typer.Option(help="Whose weights: vit_b, vit_l or vit_h.")] = "vit_b",
    limit: Annotated[int, typer.Option(min=1, max=20, help="Proposals a photo at most.")] = 8,
    text: TextOption = None,
    filters: FilterOption = None,
    out: Out = Path("proposals"),
) -> None:
    """Show numbered masks for every photo that has neither mask nor prompts; `take` adds those you pick."""
    if not folder.is_dir():  # before a model is loaded
        raise ParamsError(f"{folder}: no such folder; give one that holds photos, for instance /photos/ketchup/train")
    chosen = parse_filter([f"limit={limit}", *(filters or ())])
    if source in {"annotation", "grabcut"}:
        raise ParamsError(
            f"--source {source}: finds no food by itself; choose sam, fastsam or one of masks.transformers"
        )
    opened: AnySource
    if text:
        opened = open_text_source(text, weights, "cpu", chosen)
    elif weights:
        opened = create_source_from_file(source, weights, architecture=architecture, device="cpu")
    else:
        opened = create_source(Path("data/mask_weights") / source, device="cpu")
    photos = write_proposals(opened, folder, out, chosen=chosen)
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


def plan(
    change: Annotated[
        list[str] | None,
        typer.Option("--set-param", "-S", help="A change of params.yaml to plan with: roi=deit; repeat for more."),
    ] = None,
) -> None:
    """Say what `dvc repro` will run and why, how long it takes, what it downloads, and whether the disk has room.

    With -S: what `dvc exp run` with the same would do. Nothing of the checkout changes. Exit code 1 if it cannot fit.
    """
    from pipeline.steps.plan import plan_study  # noqa: PLC0415 - what it imports takes a second

    found = plan_study(change or [])
    columns = get_terminal_size().columns
    terminal = TextWrapper(columns, subsequent_indent=" " * 13, break_long_words=False, break_on_hyphens=False)
    for line in found.lines:  # a terminal breaks words; a file and a pipe get one line each
        typer.echo(terminal.fill(line) if sys.stdout.isatty() else line)
    if not found.fits:
        raise typer.Exit(1)


def cost() -> None:
    """Say what the stages took on this machine, and write data/cost.html, the appendix of the report."""
    from pipeline.steps.cost import HEAD, PAGE, write_cost  # noqa: PLC0415 - see `plan`

    found = write_cost()
    widths = [max(map(len, column)) for column in zip(HEAD, *found.rows, strict=True)]
    for row in (HEAD, *found.rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    typer.echo(f"{found.summary}; {PAGE}")


COMMANDS: dict[Callable[..., None], str] = {
    predict: "Say what the foods of photos are.",
    serve: "Open a page to try runs on photos.",
    label: "Label photos in the browser, or check labels.",
    export: "Write runs and shards in the formats of others.",
    show: "Write a contact sheet of samples.",
    report: "Write the report of the runs that were made.",
    propose: "Show numbered masks of photos without mask or prompts.",
    take: "Add proposals you picked to prompts.csv.",
    mirror: "Copy photos, masks and shards to object storage.",
    doctor: "Say what works here, what does not, and how to get it.",
    plan: "Say what will run, why and how long, before it does.",
    cost: "Say what the study's stages took.",
}
"""Short help of each command, so that all fit on one screen."""
URL = re.compile(r"([a-z][a-z0-9+.-]+:)/+", re.IGNORECASE)  # start of a URL after conversion to a path


def refuse_urls(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that refuses URLs for options that are paths."""

    @functools.wraps(command)
    def checked(*args: object, **options: object) -> None:
        for name, value in options.items():
            for path in value if isinstance(value, list) else [value]:
                if isinstance(path, Path) and (url := URL.match(str(path))):
                    typed = f"{url[1]}//{str(path)[url.end() :]}"
                    raise ParamsError(
                        f"{typed}: {name} is a file or folder of this machine; fetch it, and give its path"
                    )
        command(*args, **options)

    return checked


class Command(TyperCommand):
    """Command that refuses empty values: `--out "$unset"` would be the current folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line.

        Raises:
            ParamsError: If a value is empty.
        """
        for before, value in pairwise(["", *args]):
            if not value or re.fullmatch(r"--[a-z-]+=", value):
                name = value.rstrip("=") or (before if before.startswith("-") else "argument")
                raise ParamsError(f"{name} '': an empty value, as an unset variable of a shell gives; name one")
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for command, purpose in COMMANDS.items():
    app.command(cls=Command, short_help=purpose)(refuse_urls(command))


@app.callback(
    help="Use what the RveRNet pipeline has made; `dvc repro` runs the pipeline itself. "
    "Exit codes: 0 done, 1 refused, 2 wrong usage, 130 interrupted."
)
def describe() -> None:
    """Hold the help text of all commands; an epilog would take one more line of the screen."""
