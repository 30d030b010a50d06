"""Figures 3 to 10 of the paper from our runs; part of stage `report`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.console import progress
from pipeline.datasets.choice import choose_named
from pipeline.datasets.photos import read_photo_of
from pipeline.datasets.samples import read_samples
from pipeline.datasets.shards import Shards
from pipeline.explanation.heat_maps import FILE, read_heat_maps
from pipeline.params.analysis import ExplainParams, PerturbParams
from pipeline.params.base import load_settings
from pipeline.reporting.figures.gallery import EXPLAINED_RUNS, Material, draft_figures
from pipeline.reporting.figures.scenes import Scene, make_scene
from pipeline.reporting.figures.style import PaperFigure
from pipeline.reporting.grid import GridRun
from pipeline.reporting.run_files import RunFiles
from pipeline.reporting.summary import Summary

SPLIT = "test"


@dataclass(frozen=True, slots=True)
class Sources:
    """Folders that figures are made from."""

    index: Path
    """Output of stage `index`."""
    raw: Path | None
    """Output of stage `download`; None leaves out the figures that show photos."""
    shards: Shards
    """Output of stage `pair`."""
    files: RunFiles
    """Outputs of the stages of runs."""
    explanations: Path
    """Outputs of stage `explain`."""
    settings: Path
    """Output of stage `configure`."""


def draw_figures(
    summary: Summary, sources: Sources, *, ambiguous: tuple[str, ...], seed: int
) -> tuple[PaperFigure, ...]:
    """Draw the figures whose runs are there.

    Args:
        summary: Runs to show; only their files are read.
        sources: Where files lie.
        ambiguous: Names of the pair that the data set has.
        seed: Seed of the choice of examples.

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read.
        ManifestError: If a file is damaged, or a shard is absent.
    """
    drafts = draft_figures(_material(summary, sources, ambiguous, seed))
    if sources.raw is None:
        drafts, scenes = tuple(draft for draft in drafts if not draft.sample_ids), {}
    else:
        shown = tuple(dict.fromkeys(i for draft in drafts for i in draft.sample_ids))
        scenes = dict(_scenes(shown, sources, sources.raw))
    return tuple(draft.draw(scenes) for draft in progress(drafts, total=len(drafts), what="figures", unit="figure"))


def write_figures(figures: Sequence[PaperFigure], folder: Path) -> None:
    """Write `folder/NAME.svg` and `folder/NAME.png` of every figure."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures:
        (folder / f"{figure.name}.svg").write_bytes(figure.svg)
        (folder / f"{figure.name}.png").write_bytes(figure.png)


def _material(summary: Summary, sources: Sources, ambiguous: tuple[str, ...], seed: int) -> Material:
    runs = {result.run: name for name, result in summary.runs.items()}
    return Material(
        summary=summary,
        histories={run: sources.files.history(name) for run, name in _having(runs, sources.files.runs, "history.csv")},
        tables={
            run: sources.files.predictions(name)
            for run, name in _having(runs, sources.files.evaluations, "predictions.parquet")
        },
        heat_maps={
            run: read_heat_maps(sources.explanations / name / FILE)
            for run, name in _having(runs, sources.explanations, FILE)
            if run in EXPLAINED_RUNS or name == summary.variant
        },
        perturb=load_settings(PerturbParams, sources.settings / "perturb.json"),
        explain=load_settings(ExplainParams, sources.settings / "explain.json"),
        ambiguous=ambiguous,
        seed=seed,
    )


def _having(runs: dict[GridRun, str], folder: Path, file: str) -> Iterator[tuple[GridRun, str]]:
    """Yield the runs whose file is there: a study need not have made all of the paper's."""
    return ((run, name) for run, name in runs.items() if (folder / name / file).is_file())


def _scenes(sample_ids: Sequence[str], sources: Sources, raw: Path) -> Iterator[tuple[str, Scene]]:
    chosen = choose_named(read_samples(sources.index / "samples.parquet"), sample_ids)
    views = sources.shards.select(SPLIT, [numbered.row for numbered in chosen])
    for place, numbered in enumerate(progress(chosen, total=len(chosen), what="figures: samples", unit="sample")):
        sample = numbered.sample
        yield sample.sample_id, make_scene(sample, read_photo_of(sample, raw), views.row(place))
