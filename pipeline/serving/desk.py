"""What the page does when a visitor does something: from values of widgets to values of widgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pipeline.arrays import Mask
from pipeline.datasets.prompts import Prompt
from pipeline.errors import DatasetError
from pipeline.prediction.pictures import enlarge, heat_pictures
from pipeline.prediction.run import Run
from pipeline.segmentation.source import MaskSource
from pipeline.serving import words
from pipeline.serving.contained_gradio import gradio as gr
from pipeline.serving.samples import SamplePhoto
from pipeline.serving.sitting import Sitting, box_between, corner_or_box, draw, judge, mark, paint, sit_down, start

TOP = 5
BOX = "Box: two clicks"
"""The way of marking that every mask source can answer."""
Updates: TypeAlias = dict[Any, Any]
"""New value by widget; widgets that are not named stay as they are."""


class Widgets(NamedTuple):
    """Everything on the page that changes."""

    sitting: Any
    """Hidden: the visitor's photo and marks."""
    photo: Any
    hint: Any
    """What to do next, or why something was not possible."""
    canvas: Any
    """To paint on."""
    guide: Any
    """How it goes; hidden while there is an answer."""
    results: Any
    """Everything about the answer; hidden before there is one."""
    answers: tuple[Any, ...]
    """Categories with bars, one a run."""
    difference: Any
    """What the surroundings changed."""
    how: Any
    """How the mask was found."""
    roi: Any
    extra_roi: Any
    looked: Any
    """Everything about heat; hidden until it was asked for."""
    heat: tuple[Any, ...]
    """Heat maps, one a branch of a run."""
    warmth: Any
    """Shares of the heat on the food."""

    def every(self) -> list[Any]:
        """Return all of them."""
        return [*(each for each in self if not isinstance(each, tuple)), *self.answers, *self.heat]


@dataclass(frozen=True, slots=True)
class Desk:
    """Runs, a mask source and sample photos behind a page."""

    runs: tuple[Run, ...]
    source: MaskSource
    samples: tuple[SamplePhoto, ...]

    @property
    def ways(self) -> tuple[str, ...]:
        """Ways of marking that the mask source can answer."""
        return (BOX,) if self.source.name == "grabcut" else (words.CLICK, BOX)

    def arrive(self, widgets: Widgets, upload: str, way: str) -> Updates:
        """Take a new photo; the uploaded file is deleted at once.

        Raises:
            PhotoError: If the file is no picture, damaged or too large.
        """
        path = Path(upload)
        try:
            return _begin(widgets, sit_down(path), way)
        finally:
            path.unlink(missing_ok=True)

    def take_sample(self, widgets: Widgets, number: int, way: str) -> Updates:
        """Take a sample photo; where it has a box, answer at once."""
        sample = self.samples[number]
        begun = _begin(widgets, start(sample.photo), way)
        if sample.prompt is None:
            return begun
        return begun | self._answer(widgets, begun[widgets.sitting], sample.prompt, way)

    def click(self, widgets: Widgets, sitting: Sitting | None, way: str, place: Sequence[float]) -> Updates:
        """Take a click on the photo: the food itself, or a corner of a box around it.

        Raises:
            DatasetError: If there is no photo, or the box has no inside.
        """
        sitting = _seated(sitting)
        x, y = sitting.at(place[0], place[1])
        if way == words.CLICK:
            return self._answer(widgets, sitting, Prompt("point", (float(x), float(y))), way)
        waiting, prompt = corner_or_box(sitting, x, y)
        if prompt is not None:
            return self._answer(widgets, waiting, prompt, way)
        return {
            widgets.sitting: waiting,
            widgets.photo: draw(waiting),
            widgets.hint: words.OPPOSITE,
            **_folded(widgets, answered=False),
        }

    def type_box(self, widgets: Widgets, sitting: Sitting | None, edges: Sequence[float | None], way: str) -> Updates:
        """Take a box from its edges in percent of the photo: left, top, right, bottom.

        Raises:
            DatasetError: If there is no photo, a number is missing, or the box has no inside.
        """
        sitting = _seated(sitting)
        given = [edge for edge in edges if edge is not None]
        if len(given) < len(edges):
            raise DatasetError("Give all four numbers")
        height, width = sitting.shown.shape[:2]
        left, top, right, bottom = (edge / 100 for edge in given)
        corners = sitting.at(left * width, top * height), sitting.at(right * width, bottom * height)
        return self._answer(widgets, sitting, box_between(*corners), way)

    def paint(self, widgets: Widgets, sitting: Sitting | None, editor: dict[str, Any] | None) -> Updates:
        """Take what was painted over the photo as the food.

        Raises:
            DatasetError: If there is no photo, or nothing is painted.
        """
        marked = paint(_seated(sitting), painted(editor))
        return self._judged(widgets, marked) | {widgets.photo: draw(marked)}

    def explain(self, widgets: Widgets, sitting: Sitting | None) -> Updates:
        """Show where each branch of each run looked.

        Raises:
            DatasetError: If there is no photo.
        """
        maps = [
            (verdict.run, found)
            for verdict in _seated(sitting).verdicts
            for found in heat_pictures(verdict.run, verdict.batch, [verdict.prediction])[0]
        ]
        return {
            widgets.looked: gr.update(visible=True),
            widgets.warmth: words.warmth(maps),
            **{widget: found.picture for widget, (_, found) in zip(widgets.heat, maps, strict=True)},
        }

    def _answer(self, widgets: Widgets, sitting: Sitting, prompt: Prompt, way: str) -> Updates:
        marked = mark(sitting, prompt, self.source)
        again = f"Another food? {words.hint(way)}"
        return self._judged(widgets, marked) | {widgets.photo: draw(marked, prompt), widgets.hint: again}

    def _judged(self, widgets: Widgets, sitting: Sitting) -> Updates:
        done = judge(sitting, self.runs)
        first = done.verdicts[0].prediction
        tops = [{g.category: g.probability for g in verdict.prediction.top(TOP)} for verdict in done.verdicts]
        return {
            widgets.sitting: done,
            widgets.how: words.found(done),
            widgets.difference: words.difference(done),
            widgets.roi: enlarge(first.roi),
            widgets.extra_roi: enlarge(first.extra_roi),
            **_folded(widgets, answered=True),
            **dict(zip(widgets.answers, tops, strict=True)),
        }


def leave(widgets: Widgets) -> Updates:
    """Forget the photo."""
    empty = {widgets.sitting: None, widgets.photo: None, widgets.canvas: None}
    return empty | {widgets.hint: words.WELCOME} | _folded(widgets, answered=False)


def painted(editor: dict[str, Any] | None) -> Mask:
    """Return the pixels of a painting's layers that are not transparent."""
    layers = [np.asarray(layer) for layer in (editor or {}).get("layers", []) if layer is not None]
    if not layers:
        return np.zeros((1, 1), np.bool_)
    mask: Mask = np.logical_or.reduce([layer[..., 3] > 0 for layer in layers])
    return mask


def _begin(widgets: Widgets, sitting: Sitting, way: str) -> Updates:
    return {
        widgets.sitting: sitting,
        widgets.photo: sitting.shown,
        widgets.canvas: {"background": sitting.shown, "layers": [], "composite": None},
        widgets.hint: words.hint(way),
        **_folded(widgets, answered=False),
    }


def _folded(widgets: Widgets, *, answered: bool) -> Updates:
    """Show the answer or the guide; heat belongs to the answer before."""
    shown = {widgets.results: answered, widgets.guide: not answered, widgets.looked: False}
    return {widget: gr.update(visible=visible) for widget, visible in shown.items()}


def _seated(sitting: Sitting | None) -> Sitting:
    if sitting is None:
        raise DatasetError("Choose a photo first")
    return sitting
