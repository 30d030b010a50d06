"""The page: which widgets there are, where they stand, and which of the desk's answers each of them asks for."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline.errors import PipelineError
from pipeline.serving import words
from pipeline.serving.contained_gradio import gradio as gr
from pipeline.serving.desk import TOP, Desk, Updates, Widgets, leave

SECONDS_BETWEEN_SWEEPS, SECONDS_KEPT = 60, 600
"""How often pictures that the page showed are swept away, and after how long."""
SITTING_SECONDS = 3600
"""After which a visitor's photo is forgotten."""
STYLE = """
.gradio-container {max-width: 1240px !important; width: 100%; margin: auto}
.hint p {font-size: 1.05rem; margin: 0}
.quiet p {opacity: .8; font-size: .85rem; margin: 0}
#samples {max-width: 480px; margin: 0}
#samples .thumbnail-item {aspect-ratio: 4 / 3; height: 100px}
#samples .grid-container {grid-template-columns: repeat(var(--grid-cols), minmax(0, 1fr))}
#samples .caption-label {font-size: .75rem; padding: 2px 6px}
#heat label {font-size: .7rem; padding: 2px 6px}
@media (max-width: 640px) {#photo {height: 340px !important}}
"""
BRUSH_COLOUR = "rgba(255, 0, 200, 0.6)"
DROPPED, LAST_ONE, EVERY_ONE = "once", "always_last", "multiple"
"""What becomes of events that come while the one before is being answered: a quick second corner must not be lost."""
EDGES = (("left", 25), ("top", 25), ("right", 75), ("bottom", 75))
"""Fields of a box in percent, with what they hold at first."""


class Controls(NamedTuple):
    """What a visitor acts on, beside the widgets that change."""

    samples: Any
    way: Any
    """Click or box."""
    edges: tuple[Any, ...]
    """Numbers of a box."""
    take_box: Any
    take_painting: Any
    explain: Any


def build_page(desk: Desk) -> Any:
    """Return the page as a gradio app."""
    swept = (SECONDS_BETWEEN_SWEEPS, SECONDS_KEPT)
    with gr.Blocks(title=words.TITLE, analytics_enabled=False, delete_cache=swept) as page:
        gr.Markdown(f"# {words.TITLE}\n{words.INTRODUCTION}")
        samples = _place_samples(desk)
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=280):
                marks, controls = _place_photo(desk)
            with gr.Column(scale=5, min_width=280):
                results, explain = _place_results(desk)
        gr.Markdown(words.PROMISE, elem_classes="quiet")
        widgets = Widgets(sitting=gr.State(None, time_to_live=SITTING_SECONDS), **marks, **results)
        _connect(desk, widgets, Controls(samples=samples, explain=explain, **controls))
    page.queue(max_size=32, default_concurrency_limit=1)
    return page


def _place_samples(desk: Desk) -> Any:
    pictures = [(sample.photo, sample.caption) for sample in desk.samples]
    return gr.Gallery(
        pictures, label="Samples", show_label=False, columns=max(3, len(pictures)), height=118, object_fit="cover",
        allow_preview=False, interactive=False, buttons=[], elem_id="samples",
    )  # fmt: skip


def _place_photo(desk: Desk) -> tuple[dict[str, Any], dict[str, Any]]:
    """Place what a visitor brings and marks; return what changes, and what is acted on."""
    with gr.Tab(" or ".join(desk.ways)):
        photo = gr.Image(
            label="Photo", sources=["upload", "clipboard"], height=430, buttons=[], elem_id="photo", type="filepath",
            placeholder="Drop a photo here\n- or -\nClick to choose one", alt_text="Photo to mark a food on",
        )  # fmt: skip
        # A subclass would do, but gradio would write a stub of it beside this file.
        photo.preprocess = _uploaded  # type: ignore[method-assign]
        hint = gr.Markdown(words.WELCOME, elem_classes="hint", elem_id="hint")
        way = gr.Radio(list(desk.ways), value=desk.ways[0], label="Mark by", visible=len(desk.ways) > 1)
        edges, take_box = _place_numbers()
    with gr.Tab("Paint"):
        canvas = gr.ImageEditor(
            label="Paint over the food", image_mode="RGBA", type="numpy", sources=(), transforms=(), layers=False,
            brush=gr.Brush(colors=[BRUSH_COLOUR], color_mode="fixed", default_size=24), height=430, elem_id="canvas",
        )  # fmt: skip
        take_painting = gr.Button("Take what I painted", elem_id="take-painting")
    controls = {"way": way, "edges": edges, "take_box": take_box, "take_painting": take_painting}
    return {"photo": photo, "hint": hint, "canvas": canvas}, controls


def _uploaded(payload: Any) -> str | None:
    """Return the path of an upload as it came, for this project's own reader, which knows what cameras write."""
    return None if payload is None else payload.path


def _place_numbers() -> tuple[tuple[Any, ...], Any]:
    """Place fields for the edges of a box: the way of whoever has no pointer."""
    with gr.Accordion("Box by numbers (keyboard)", open=False):
        gr.Markdown("Edges of the box in percent of the photo, from its top left.", elem_classes="quiet")
        with gr.Row():
            edges = tuple(gr.Number(at, label=name, minimum=0, maximum=100, min_width=70) for name, at in EDGES)
        return edges, gr.Button("Take this box", elem_id="take-box")


def _place_results(desk: Desk) -> tuple[dict[str, Any], Any]:
    """Place what the runs say, hidden until they say something; return it, and the button that explains it."""
    guide = gr.Markdown(words.GUIDE, container=True, elem_id="guide")
    with gr.Column(visible=False, elem_id="results") as results:
        with gr.Row():
            answers = tuple(
                gr.Label(num_top_classes=TOP, label=words.title(run), elem_id=f"answer-{number}", min_width=220)
                for number, run in enumerate(desk.runs)
            )
        difference = gr.Markdown(elem_classes="hint", elem_id="difference")
        with gr.Row():
            roi, extra_roi = (_picture(label, 210) for label in ("Food alone", "Surroundings"))
        how = gr.Markdown(elem_classes="quiet", elem_id="how")
        gr.Markdown(words.calibration(desk.runs), elem_classes="quiet")
        explain = gr.Button("Where did they look?", elem_id="explain")
        with gr.Column(visible=False, elem_id="heat") as looked:
            with gr.Row():
                heat = tuple(_picture(label, 190) for label in _branch_labels(desk))
            warmth = gr.Markdown(elem_classes="quiet", elem_id="warmth")
    shown = {"guide": guide, "results": results, "answers": answers, "difference": difference, "how": how}
    return shown | {"roi": roi, "extra_roi": extra_roi, "looked": looked, "heat": heat, "warmth": warmth}, explain


def _branch_labels(desk: Desk) -> list[str]:
    """Return a label for every branch of every run, in the order in which heat maps come."""
    return [f"{words.short_title(run)}: {words.BRANCHES[branch]}" for run in desk.runs for branch in run.branches]


def _picture(label: str, height: int) -> Any:
    return gr.Image(label=label, height=height, interactive=False, min_width=130, buttons=[])


def _connect(desk: Desk, widgets: Widgets, controls: Controls) -> None:
    """Say what happens on which event."""

    def on(
        event: Callable[..., Any], answer: Callable[..., Updates], inputs: list[Any], *, busy: str = DROPPED
    ) -> None:
        event(answer, inputs, widgets.every(), api_visibility="private", show_progress="minimal", trigger_mode=busy)

    def chosen(way: str, event: gr.SelectData) -> Updates:
        return told(widgets, lambda: desk.take_sample(widgets, event.index, way))

    def brought(upload: str, way: str) -> Updates:
        return told(widgets, lambda: desk.arrive(widgets, upload, way), otherwise=leave(widgets))

    def clicked(sitting: Any, way: str, event: gr.SelectData) -> Updates:
        return told(widgets, lambda: desk.click(widgets, sitting, way, event.index))

    def typed(sitting: Any, way: str, *edges: float | None) -> Updates:
        return told(widgets, lambda: desk.type_box(widgets, sitting, edges, way))

    def painted(sitting: Any, editor: Any) -> Updates:
        return told(widgets, lambda: desk.paint(widgets, sitting, editor))

    def explained(sitting: Any) -> Updates:
        return told(widgets, lambda: desk.explain(widgets, sitting))

    on(controls.samples.select, chosen, [controls.way], busy=LAST_ONE)
    on(widgets.photo.upload, brought, [widgets.photo, controls.way])
    on(widgets.photo.clear, lambda: leave(widgets), [])
    on(widgets.photo.select, clicked, [widgets.sitting, controls.way], busy=EVERY_ONE)
    on(controls.take_box.click, typed, [widgets.sitting, controls.way, *controls.edges])
    on(controls.take_painting.click, painted, [widgets.sitting, widgets.canvas])
    on(controls.explain.click, explained, [widgets.sitting])
    controls.way.change(words.hint, controls.way, widgets.hint, api_visibility="private")


def told(widgets: Widgets, answer: Callable[[], Updates], *, otherwise: Updates | None = None) -> Updates:
    """Return an answer; where the pipeline refuses, say why and leave the rest of the page as it is, or `otherwise`."""
    try:
        return answer()
    except PipelineError as error:
        gr.Warning(str(error), title="Not possible")
        return (otherwise or {}) | {widgets.hint: f"**Not possible:** {error}"}
