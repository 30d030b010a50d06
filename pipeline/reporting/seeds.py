"""What the page says about runs under other seeds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.evaluation.repetitions import Repetitions, ScoreSpread, SeedDifference
from pipeline.reporting.figures.style import BLUE, INK, ORANGE, chart_style, finish_inline
from pipeline.reporting.grid import GridRun
from pipeline.reporting.results import read_record

# Pictures of runs under several seeds: a dot a seed, the mean, and how far it can be trusted.


TITLES = {"top1": "top-1 accuracy", "macro_f1": "macro F1", "ambiguous_f1": "F1 of the ambiguous pair"}
"""What each score is called on the page."""
WIDTH, ROW_HEIGHT, PANEL_HEIGHT, FRAME_HEIGHT = 4.8, 0.2, 0.35, 0.45
DOT, RING = 4, 6.5


class _Row(NamedTuple):
    """One line of a panel, in per cent or points."""

    label: str
    by_seed: tuple[float, ...]
    mean: float
    low: float
    high: float


def spread_chart(spreads: Sequence[ScoreSpread], label: Callable[[str], str]) -> Markup:
    """Draw a panel a score with a line a run: seeds, mean, and one standard deviation to either side.

    Args:
        spreads: What to draw; runs of one score may be interleaved with those of another.
        label: How a person names a run.
    """
    rows = {
        score: [
            _row(label(s.run), s.by_seed, s.mean, (s.mean - s.deviation, s.mean + s.deviation))
            for s in spreads
            if s.score == score
        ]
        for score in _scores(spreads)
    }
    return _draw(rows, name="seeds-spread", axis="per cent", colour=BLUE, zero=False)


def contrast_chart(contrasts: Sequence[SeedDifference], label: Callable[[str], str]) -> Markup:
    """Draw a panel a score with a line a pair of runs: differences by seed, their mean and its interval, and zero.

    Args:
        contrasts: What to draw.
        label: How a person names a run.
    """
    rows = {
        score: [
            _row(
                f"({label(c.other)}) \N{MINUS SIGN} ({label(c.run)})",
                c.by_seed,
                c.difference.value,
                (c.difference.low, c.difference.high),
            )
            for c in contrasts
            if c.score == score
        ]
        for score in _scores(contrasts)
    }
    return _draw(rows, name="seeds-contrast", axis="difference, percentage points", colour=ORANGE, zero=True)


def _scores(found: Sequence[ScoreSpread] | Sequence[SeedDifference]) -> list[str]:
    return list(dict.fromkeys(entry.score for entry in found))


def _row(label: str, by_seed: Sequence[float], mean: float, ends: tuple[float, float]) -> _Row:
    return _Row(label, tuple(100 * value for value in by_seed), 100 * mean, 100 * ends[0], 100 * ends[1])


def _draw(rows: dict[str, list[_Row]], *, name: str, axis: str, colour: str, zero: bool) -> Markup:
    lines = sum(map(len, rows.values()))
    height = FRAME_HEIGHT + PANEL_HEIGHT * len(rows) + ROW_HEIGHT * lines
    with chart_style():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        panels = figure.subplots(len(rows), sharex=True, squeeze=False)[:, 0]
        for panel, (score, listed) in zip(panels, rows.items(), strict=True):
            _draw_panel(panel, TITLES[score], listed, colour)
            if zero:
                panel.axvline(0, color=INK, linewidth=1)
        panels[-1].set_xlabel(axis)
        panels[-1].xaxis.set_major_locator(MaxNLocator(6))
        return finish_inline(figure, name, f"Dot chart by seed, {axis}: {_describe(rows)}")


def _draw_panel(axes: Axes, title: str, rows: Sequence[_Row], colour: str) -> None:
    axes.set_title(title, loc="left")
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=True, axis="x")
    axes.spines["left"].set_visible(False)
    for place, row in enumerate(rows):
        axes.plot([row.low, row.high], [place, place], color=colour, linewidth=4, alpha=0.35, solid_capstyle="butt")
        axes.plot(row.by_seed, [place] * len(row.by_seed), "o", color=colour, markersize=DOT, alpha=0.8)
        axes.plot([row.mean], [place], "|", color=INK, markersize=2 * RING, markeredgewidth=1.6)


def _describe(rows: dict[str, list[_Row]]) -> str:
    return "; ".join(f"{TITLES[score]}, {row.label} {row.mean:.1f}" for score, listed in rows.items() for row in listed)


class SeedEvidence(NamedTuple):
    """Repetitions with their pictures."""

    repetitions: Repetitions
    spread: Markup
    """Every run by seed."""
    contrast: Markup | None
    """Differences by seed; None for a single run, or runs of different class sets."""

    def label(self, run: str) -> str:
        """Return how a person names a run."""
        return label_of(run)

    def title(self, entry: ScoreSpread | SeedDifference) -> str:
        """Return how a person names a score."""
        return TITLES[entry.score]


def label_of(run: str) -> str:
    """Return how a person names a run, with its class set unless that is all."""
    found = GridRun.parse(run)
    return found.label if found.classes == "all" else f"{found.label}, {found.classes}"


def read_seed_evidence(path: Path | None) -> SeedEvidence | None:
    """Read the output of stage `repeats`; None where it did not run, or nothing was repeated.

    Raises:
        ManifestError: If the file is damaged.
    """
    if path is None or not path.exists():
        return None
    found = read_record(Repetitions, path, "repeats")
    if not found.seeds:
        return None
    contrast = contrast_chart(found.contrasts, label_of) if found.contrasts else None
    return SeedEvidence(found, spread_chart(found.spreads, label_of), contrast)
