"""Command `export`: runs and shards in other formats."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.options import check_output
from pipeline.models.card import check_run
from pipeline.runtime.errors import ParamsError, counted
from pipeline.runtime.stores import place_of
from pipeline.runtime.vector_width import core_count

ExportFormat = Literal["onnx", "pt2", "hub", "folders", "hf"]
FOLDERS = frozenset({"hub", "folders", "hf"})  # formats for which `--out` is a folder


def export(  # noqa: PLR0913 - one argument an option
    out: Annotated[Path, typer.Option(help="File (onnx, pt2) or folder (hub, folders, hf) to write.")],
    *,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="Of a run: onnx, pt2 (torch.export), hub. Of shards: folders, hf.")
    ],
    run: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Run for onnx, pt2, hub: data/runs/vit+vit-all.")
    ] = None,
    shards: Annotated[
        str, typer.Option(metavar="FOLDER", help="Shards for folders and hf, a path or a URL.")
    ] = "data/shards/annotation",
    index: Annotated[Path, typer.Option(help="What the model card of hub says of the data.")] = Path("data/index"),
    evaluation: Annotated[
        Path | None, typer.Option(help="Scores of hub's model card; data/evaluations/RUN beside the run if absent.")
    ] = None,
    code: Annotated[str | None, typer.Option(metavar="URL", help="Where this code is, for hub's model card.")] = None,
    licence: Annotated[str, typer.Option(help="Of the weights, as the hub spells it, for hub.")] = "other",
    workers: Annotated[int, typer.Option(min=0, help="Processes for folders and hf; 0 = one a core.")] = 0,
) -> None:
    """Write a run as onnx, pt2 or a hub folder, or shards as folders of JPEG or Parquet for Hugging Face.

    An exported model is compared with its run before the command says so; a larger difference of a logit than 1e-4 is
    refused. `docs/use.md` says what each format holds and how to load it.
    """
    check_output(out if form in FOLDERS else out.parent)
    # Imports below are late: torch and pyarrow take seconds, which `--help` must not wait for.
    if form in {"folders", "hf"}:
        from pipeline.export.datasets import write_folders, write_picture_tables  # noqa: PLC0415

        write_shards = write_folders if form == "folders" else write_picture_tables
        samples = write_shards(place_of(shards), out, workers=workers or core_count())
        typer.echo(f"{out}: {counted(samples, 'sample')}")
        return
    if run is None:
        raise ParamsError(f"--format {form} exports a run; name one by --run data/runs/RUN")
    check_run(run)
    if form == "hub":
        from pipeline.export.hub import write_hub  # noqa: PLC0415
        from pipeline.inference.facts import evaluation_of  # noqa: PLC0415

        evaluation = evaluation or evaluation_of(run)
        files = write_hub(run, out, evaluation=evaluation, index=index, licence=licence, code=code)
        typer.echo(f"{out}: {', '.join(files)}")
        return
    from pipeline.export.models import write_exported_program, write_onnx  # noqa: PLC0415
    from pipeline.inference.predictor import open_run  # noqa: PLC0415

    write_model = write_onnx if form == "onnx" else write_exported_program
    out.parent.mkdir(parents=True, exist_ok=True)
    difference = write_model(open_run(run, device="cpu"), out)
    typer.echo(f"{out}: logits within {difference:.1e} of the run's")
