"""Command `show`: a contact sheet of samples."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.datasets.choice import choose_named, choose_random
from pipeline.datasets.samples import read_samples
from pipeline.errors import counted
from pipeline.steps.show import write_sheet


def show(  # noqa: PLR0913 - one argument an option
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .jpg or .webp.")],
    *,
    sample: Annotated[
        list[str] | None, typer.Option(help="Sample id, for instance test/00000048/66; repeat for more than one.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to choose from: train or test.")] = "test",
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
