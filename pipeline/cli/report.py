"""Command `report`: the report of whichever runs there are."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import counted
from pipeline.params.analysis import ReportParams
from pipeline.params.base import load_settings
from pipeline.reporting.grid import in_paper_order
from pipeline.reporting.run_files import RunFiles
from pipeline.steps.report import write_report
from pipeline.steps.summary import collect

SUMMARY = "summary.json"


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
    chosen = in_paper_order(run) if run else files.made()
    out.mkdir(parents=True, exist_ok=True)
    text = collect(files, chosen, variant=None).model_dump_json(indent=1)
    (out / SUMMARY).write_text(text + "\n", encoding="utf-8")
    write_report(
        load_settings(ReportParams, data / "settings" / "report.json"),
        variant=None,
        summary=out / SUMMARY,
        index=data / "index",
        raw=data / "raw" if photos else None,
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
    )
    typer.echo(f"{out / 'index.html'}: {counted(len(chosen), 'run')}")
