"""What the page does when a visitor does something: from values of widgets to values of widgets."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeAlias

import numpy as np

from pipeline.arrays import Mask
from pipeline.datasets.prompts import Prompt
from pipeline.errors import DatasetError, PipelineError
from pipeline.imaging.contact_sheet import overlay
from pipeline.prediction.pictures import enlarge, heat_pictures
from pipeline.prediction.run import Run
from pipeline.segmentation.source import MaskSource
from pipeline.serving import words
from pipeline.serving.contained_gradio import gradio as gr
from pipeline.serving.samples import SamplePhoto
from pipeline.serving.sitting import Sitting, box_between, corner_or_box, draw, judge, mark, paint, sit_down, start

TOP = 5
BOX, CLICK = "Box: two clicks", "Click"
"""Ways of marking a food on the photo."""
P = ParamSpec("P")
Updates: TypeAlias = dict[Any, Any]
"""New value by widget; widgets that are not named stay as they are."""


class Widgets(NamedTuple):
    """Everything on the page that changes."""

    sitting: Any
    """Hidden: the visitor's photo and marks."""
    photo: Any
    hint: Any
    """What to do next."""
    canvas: Any
    """To paint on."""
    found: Any
    """Photo with the mask over it."""
    how: Any
    """How the mask was found."""
    answers: tuple[Any, ...]
    """Categories with bars, one a run."""
    difference: Any
    """What the surroundings changed."""
    roi: Any
    extra_roi: Any
    heat: Any
    """Gallery of heat maps."""
    guide: Any
    """How it goes; hidden while there is an answer."""
    results: Any
    """Everything about the answer; hidden before there is one."""


def told(function: Callable[P, Updates]) -> Callable[P, Updates]:
    """Show an error of the pipeline as a message instead of a trace."""

    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> Updates:
        try:
            return function(*args, **kwargs)
        except PipelineError as error:
            raise gr.Error(str(error), title="Not possible", print_exception=False) from error

    return inner


@dataclass(frozen=True, slots=True)
class Desk:
    """Runs, a mask source and sample photos behind a page."""

    runs: tuple[Run, ...]
    source: MaskSource
    samples: tuple[SamplePhoto, ...]

    @property
    def ways(self) -> tuple[str, ...]:
        """Ways of marking that the mask source can answer."""
        return (BOX,) if self.source.name == "grabcut" else (CLICK, BOX)

    def hint(self, way: str) -> str:
        """Return what to do with a photo on which nothing is marked."""
        if way == CLICK:
            return "**Click on the food.**"
        return "**Click one corner of a box around the food**, then the opposite corner."

    def arrive(self, widgets: Widgets, upload: str | None, way: str) -> Updates:
        """Take a new photo; the uploaded file is deleted at once."""
        if upload is None:
            return self.leave(widgets)
        path = Path(upload)
        try:
            return self._begin(widgets, sit_down(path), way)
        finally:
            path.unlink(missing_ok=True)

    def leave(self, widgets: Widgets) -> Updates:
        """Forget the photo."""
        empty = {widgets.sitting: None, widgets.photo: None, widgets.canvas: None}
        return empty | {widgets.hint: words.WELCOME} | self._folded(widgets, answered=False)

    def take_sample(self, widgets: Widgets, number: int, way: str) -> Updates:
        """Take a sample photo; where it has a box, answer at once."""
        sample = self.samples[number]
        begun = self._begin(widgets, start(sample.photo), way)
        if sample.prompt is None:
            return begun
        return begun | self._answer(widgets, begun[widgets.sitting], sample.prompt, way)

    def click(self, widgets: Widgets, sitting: Sitting | None, way: str, place: Sequence[float]) -> Updates:
        """Take a click on the photo: the food itself, or a corner of a box around it."""
        sitting = _seated(sitting)
        x, y = sitting.at(place[0], place[1])
        if way == CLICK:
            return self._answer(widgets, sitting, Prompt("point", (float(x), float(y))), way)
        waiting, prompt = corner_or_box(sitting, x, y)
        if prompt is not None:
            return self._answer(widgets, waiting, prompt, way)
        hint = "**Now click the opposite corner.**"
        return {widgets.sitting: waiting, widgets.photo: draw(waiting), widgets.hint: hint}

    def type_box(self, widgets: Widgets, sitting: Sitting | None, corners: Sequence[float | None], way: str) -> Updates:
        """Take a box from four numbers, in percent of the photo's width and height."""
        sitting = _seated(sitting)
        if any(number is None for number in corners):
            raise DatasetError("Give all four numbers")
        height, width = sitting.shown.shape[:2]
        x0, y0, x1, y1 = (float(number or 0) / 100 for number in corners)
        first, second = sitting.at(x0 * width, y0 * height), sitting.at(x1 * width, y1 * height)
        return self._answer(widgets, sitting, box_between(first, second), way)

    def paint(self, widgets: Widgets, sitting: Sitting | None, editor: dict[str, Any] | None) -> Updates:
        """Take what was painted over the photo as the food."""
        return self._judged(widgets, paint(_seated(sitting), painted(editor)))

    def explain(self, widgets: Widgets, sitting: Sitting | None) -> Updates:
        """Show where each branch of each run looked."""
        maps = [
            (found.picture, f"{words.title(verdict.run)}, {words.branch(found)}: {words.warmth(found)}")
            for verdict in _seated(sitting).verdicts
            for found in heat_pictures(verdict.run, verdict.batch, [verdict.prediction])[0]
        ]
        return {widgets.heat: gr.update(value=maps, visible=True)}

    def _begin(self, widgets: Widgets, sitting: Sitting, way: str) -> Updates:
        layers: dict[str, Any] = {"background": sitting.shown, "layers": [], "composite": None}
        return {
            widgets.sitting: sitting,
            widgets.photo: sitting.shown,
            widgets.canvas: layers,
            widgets.hint: self.hint(way),
            **self._folded(widgets, answered=False),
        }

    def _folded(self, widgets: Widgets, *, answered: bool) -> Updates:
        return {widgets.results: gr.update(visible=answered), widgets.guide: gr.update(visible=not answered)}

    def _answer(self, widgets: Widgets, sitting: Sitting, prompt: Prompt, way: str) -> Updates:
        marked = self._judged(widgets, mark(sitting, prompt, self.source))
        again = f"Another food? {self.hint(way)}"
        return marked | {widgets.photo: draw(sitting, prompt), widgets.hint: again}

    def _judged(self, widgets: Widgets, sitting: Sitting) -> Updates:
        done = judge(sitting, self.runs)
        first, region = done.verdicts[0], done.region
        assert region is not None  # noqa: S101 - `judge` refuses otherwise
        tops = [{g.category: g.probability for g in verdict.prediction.top(TOP)} for verdict in done.verdicts]
        return {
            widgets.sitting: done,
            **self._folded(widgets, answered=True),
            widgets.found: overlay(done.photo, region.mask),
            widgets.how: words.found(region),
            widgets.difference: words.difference(done),
            widgets.roi: enlarge(first.prediction.roi),
            widgets.extra_roi: enlarge(first.prediction.extra_roi),
            widgets.heat: gr.update(value=None, visible=False),
            **dict(zip(widgets.answers, tops, strict=True)),
        }


def painted(editor: dict[str, Any] | None) -> Mask:
    """Return the pixels of a painting's layers that are not transparent."""
    layers = [np.asarray(layer) for layer in (editor or {}).get("layers", []) if layer is not None]
    if not layers:
        return np.zeros((1, 1), np.bool_)
    mask: Mask = np.logical_or.reduce([layer[..., 3] > 0 for layer in layers])
    return mask


def _seated(sitting: Sitting | None) -> Sitting:
    if sitting is None:
        raise DatasetError("Choose a photo first")
    return sitting
