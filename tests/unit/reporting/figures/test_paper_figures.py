"""Figures 3 to 10 of a small study with invented predictions and heat."""

import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image as Pillow

from pipeline.datasets.shards import Shards
from pipeline.evaluation.heat_maps import FILE, HeatMap, write_heat_maps
from pipeline.params.run_name import ABSENT
from pipeline.reporting.figures.paper_figures import EXPLAINED_RUNS, draw_figures, write_figures
from pipeline.reporting.figures.style import DPI, WIDTH, PaperFigure
from pipeline.reporting.grid import GridRun
from pipeline.reporting.results import ReportInputs, RunFiles
from pipeline.reporting.summary import StudySummary
from pipeline.steps.summary import summarise
from tests.unit.reporting.page import VARIANT, StudyFolder
from tests.unit.reporting.study import AMBIGUOUS, build_study

pytestmark = pytest.mark.slow

FIGURES = [
    "figure_3",
    *(f"figure_4_{name}" for name in ("mobilenetv2", "vit", "deit_distilled", "mixer", "variant")),
    *(f"figure_{number}" for number in (5, 6, 7, 8, 9, 10)),
]


def explain(study: StudyFolder, run: GridRun) -> None:
    """Invent heat for four samples of the test split."""
    batch = Shards(study.shards / "annotation").read("test")
    branches = [name for name in ("roi", "extra_roi") if getattr(run, name) != ABSENT]
    maps = [
        HeatMap(
            batch.sample_ids[row], branch, "ketchup" if row % 2 else "chili paste", "ketchup", 0.9, "ketchup", 0.5, 0.1,
            np.random.default_rng(row).random((4, 4), np.float32),
        )
        for row in range(4)
        for branch in branches
    ]  # fmt: skip
    folder = study.explanations / run.name
    folder.mkdir(parents=True)
    write_heat_maps(maps, folder / FILE, run=run.name)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Return a study in which every stage before the report has run."""
    study = build_study(tmp_path_factory.mktemp("study"))
    for run in (*EXPLAINED_RUNS, GridRun.parse(VARIANT)):
        explain(study, run)
    summarise(
        variant=VARIANT,
        evaluations=study.evaluations,
        perturbations=study.perturbations,
        runs=study.runs,
        results=study.results,
    )
    return study


@pytest.fixture(scope="module")
def summary(study: StudyFolder) -> StudySummary:
    """Return the results of all runs."""
    return StudySummary.model_validate_json((study.results / "summary.json").read_bytes())


def inputs(study: StudyFolder) -> ReportInputs:
    """Return where everything lies."""
    files = RunFiles(study.runs, study.evaluations, study.perturbations)
    return ReportInputs(
        study.index, study.raw, Shards(study.shards / "annotation"), files, study.explanations, study.settings
    )


def draw(study: StudyFolder, summary: StudySummary, ambiguous: tuple[str, ...] = AMBIGUOUS) -> tuple[PaperFigure, ...]:
    """Draw the figures of the runs in a summary."""
    found, runs = inputs(study), summary.runs
    return draw_figures(
        summary,
        found,
        tables={result.run: found.files.predictions(name) for name, result in runs.items()},
        histories={name: found.files.history(name) for name in runs},
        split="test",
        ambiguous=ambiguous,
        seed=0,
    )


@pytest.fixture(scope="module")
def figures(study: StudyFolder, summary: StudySummary) -> tuple[PaperFigure, ...]:
    """Return all figures."""
    return draw(study, summary)


def test_every_figure_of_the_paper_is_drawn_in_its_order(figures: tuple[PaperFigure, ...]) -> None:
    """Figure 4 once a backbone, and once for a variant that it does not show anyway."""
    assert [figure.name for figure in figures] == FIGURES
    assert [figure.title for figure in figures] == [f"Figure {name.split('_')[1]}" for name in FIGURES]
    assert all(figure.caption.endswith(".") and figure.description for figure in figures)


def test_svg_and_png_are_for_print_and_refer_to_nothing_outside(figures: tuple[PaperFigure, ...]) -> None:
    """Two columns wide, on white, no date, no address but names of XML's kinds."""
    for figure in figures:
        ET.fromstring(figure.svg)  # noqa: S314 - our own
        text = figure.svg.decode()
        assert not re.search(r"(href|src)=\"(?!#|data:)", text)
        assert "<dc:date>" not in text
        image = Pillow.open(io.BytesIO(figure.png))
        assert image.width == WIDTH * DPI
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_figures_are_written_as_svg_and_png(figures: tuple[PaperFigure, ...], tmp_path: Path) -> None:
    """One file of each; that their bytes are always the same is held by the report's test."""
    write_figures(figures, tmp_path / "figures")
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{name}.{suffix}" for name in FIGURES for suffix in ("svg", "png")
    }


def test_the_counts_of_a_disagreement_are_those_of_the_predictions(
    study: StudyFolder, figures: tuple[PaperFigure, ...]
) -> None:
    """Figure 3 on all samples, Figure 5 on the pair."""
    files = inputs(study).files
    for name, runs, wanted in (
        ("figure_3", ("mobilenetv2+none-all", "vit+none-all"), None),
        ("figure_5", ("deit_distilled+none-all", "deit_distilled+deit_distilled-all"), AMBIGUOUS),
    ):
        first, second = (files.predictions(run) for run in runs)
        rows = [i for i, t in enumerate(first.targets) if wanted is None or first.class_names[t] in wanted]
        right = [(table.predictions == table.targets)[rows] for table in (first, second)]
        caption = next(figure.caption for figure in figures if figure.name == name)
        found = [int(n) for n in re.findall(r"(?:of| in) (\d+)", caption)]
        assert found == [
            len(rows),
            *(int(n.sum()) for n in (right[0] & right[1], right[0] & ~right[1], ~right[0] & right[1])),
            int((~right[0] & ~right[1]).sum()),
        ]


def test_a_study_of_few_runs_gets_the_figures_they_allow(study: StudyFolder, summary: StudySummary) -> None:
    """No run, no figure; one run without perturbations still has its bars, epochs and heat."""
    alone = summary.runs["mixer+none-all"].model_copy(update={"permutations": (), "translocations": ()})
    few = summary.model_copy(update={"runs": {"mixer+none-all": alone}, "variant": "mixer+none-all"})
    drawn = draw(study, few)
    assert [figure.name for figure in drawn] == ["figure_4_mixer", "figure_6", "figure_7", "figure_8"]
    none = summary.model_copy(update={"runs": {}})
    assert draw(study, none) == ()


def test_a_data_set_without_the_pair_gets_figures_too(study: StudyFolder, summary: StudySummary) -> None:
    """Figure 5 then compares on the whole split; drawn of its two runs."""
    runs = {name: summary.runs[name] for name in ("deit_distilled+none-all", "deit_distilled+deit_distilled-all")}
    drawn = draw(study, summary.model_copy(update={"runs": runs}), ambiguous=())
    assert [figure.name for figure in drawn if not figure.name.startswith("figure_4")] == [
        "figure_5", "figure_6", "figure_7", "figure_8", "figure_9", "figure_10",
    ]  # fmt: skip
    assert "whole test split" in next(figure.caption for figure in drawn if figure.name == "figure_5")


def test_drawings_go_into_the_page_as_svg_and_photos_as_webp(figures: tuple[PaperFigure, ...]) -> None:
    """So that the page stays small; alternative text goes with them."""
    assert [figure.name for figure in figures if figure.drawing] == ["figure_6", "figure_8", "figure_9", "figure_10"]
    assert sum(len(figure.drawing or figure.photo.uri) for figure in figures) < 3_000_000
    for figure in figures:
        assert figure.photo.uri.startswith("data:image/webp")
        assert figure.photo.description == figure.description
        assert figure.drawing is None or f'aria-label="{escape(figure.description)}"' in figure.drawing
