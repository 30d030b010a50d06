"""The page: which widgets there are, where they stand, and which of the desk's answers each of them asks for."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pipeline.serving import words
from pipeline.serving.contained_gradio import gradio as gr
from pipeline.serving.desk import TOP, Desk, Updates, Widgets, told

TITLE = "What is this food?"
INTRODUCTION = (
    "Mark one food on a photo. One model sees the food alone; RveRNet sees the food **and** what surrounds it, each in "
    "a view of its own ([arXiv 2407.08257](https://arxiv.org/abs/2407.08257))."
)
PROMISE = "Photos stay on this computer, in memory and a temporary folder that is removed when the page ends."
SECONDS_BETWEEN_SWEEPS, SECONDS_KEPT = 60, 600
"""How often pictures that the page showed are swept away, and after how long."""
SITTING_SECONDS = 3600
"""After which a visitor's photo is forgotten."""
STYLE = """
.gradio-container {max-width: 1240px !important; margin: auto}
.hint p {font-size: 1.05rem; margin: 0}
.quiet p {opacity: .75; font-size: .85rem; margin: 0}
#samples {max-width: 480px}
#samples .thumbnail-item {aspect-ratio: 4 / 3; height: 100px}
#heat .caption-label {white-space: normal; max-width: none; text-align: left; font-size: .75rem}
@media (max-width: 640px) {#photo {height: 340px !important}}
"""
BRUSH_COLOUR = "rgba(255, 0, 200, 0.6)"


def uploaded(payload: Any) -> str | None:
    """Return the path of an upload as it came, for this project's own reader, which knows what cameras write."""
    return None if payload is None else payload.path


def build_page(desk: Desk) -> Any:
    """Return the page as a gradio app."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SECONDS_BETWEEN_SWEEPS, SECONDS_KEPT)) as page:
        gr.Markdown(f"# {TITLE}\n{INTRODUCTION}")
        samples = _samples(desk)
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                marks = _marks(desk)
            with gr.Column(scale=5, min_width=320):
                guide = gr.Markdown(words.GUIDE, container=True, elem_id="guide")
                results, button = _results(desk)
        gr.Markdown(PROMISE, elem_classes="quiet")
        widgets = Widgets(
            sitting=gr.State(None, time_to_live=SITTING_SECONDS), guide=guide, **marks["shared"], **results
        )
        _connect(desk, widgets, samples, marks, button)
    page.queue(max_size=32, default_concurrency_limit=1)
    return page


def _samples(desk: Desk) -> Any:
    return gr.Gallery(
        [(sample.photo, sample.caption) for sample in desk.samples],
        label="Samples",
        show_label=False,
        columns=max(3, len(desk.samples)),
        height=125,
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="samples",
    )


def _marks(desk: Desk) -> dict[str, Any]:
    """Place what a visitor brings and marks."""
    with gr.Tab(" or ".join(desk.ways)):
        photo = gr.Image(
            label="Photo", sources=["upload", "clipboard"], height=430, buttons=[], elem_id="photo", type="filepath",
            placeholder="Drop a photo here\n- or -\nClick to choose one", alt_text="Photo to mark a food on",
        )  # fmt: skip
        photo.preprocess = uploaded  # type: ignore[method-assign] # a subclass would make gradio write a stub beside this file
        hint = gr.Markdown(words.WELCOME, elem_classes="hint", elem_id="hint")
        way = gr.Radio(list(desk.ways), value=desk.ways[0], label="Mark by", visible=len(desk.ways) > 1)
        with gr.Accordion("Box by numbers (keyboard)", open=False):
            gr.Markdown(
                "Edges of the box in percent of the photo, from the left and from the top.", elem_classes="quiet"
            )
            with gr.Row():
                corners = [
                    gr.Number(number, label=name, minimum=0, maximum=100, min_width=70)
                    for name, number in (("left", 25), ("top", 25), ("right", 75), ("bottom", 75))
                ]
            typed = gr.Button("Take this box", elem_id="take-box")
    with gr.Tab("Paint"):
        canvas = gr.ImageEditor(
            label="Paint over the food", image_mode="RGBA", type="numpy", sources=(), transforms=(), layers=False,
            brush=gr.Brush(colors=[BRUSH_COLOUR], color_mode="fixed", default_size=24), height=430, elem_id="canvas",
        )  # fmt: skip
        painted = gr.Button("Take what I painted", elem_id="take-painting")
    shared = {"photo": photo, "hint": hint, "canvas": canvas}
    return {"shared": shared, "way": way, "corners": corners, "typed": typed, "painted": painted}


def _results(desk: Desk) -> tuple[dict[str, Any], Any]:
    """Place what the runs say; hidden until they say something."""
    with gr.Column(visible=False, elem_id="results") as results:
        with gr.Row():
            answers = tuple(
                gr.Label(num_top_classes=TOP, label=words.title(run), elem_id=f"answer-{number}", min_width=220)
                for number, run in enumerate(desk.runs)
            )
        difference = gr.Markdown(elem_classes="hint", elem_id="difference")
        gr.Markdown(words.calibration(desk.runs), elem_classes="quiet")
        found = gr.Image(label="Food found", height=280, interactive=False, buttons=["fullscreen"], elem_id="found")
        how = gr.Markdown(elem_classes="quiet", elem_id="how")
        with gr.Row():
            views = [
                gr.Image(label=words.VIEWS[view], height=200, interactive=False, min_width=140, buttons=[])
                for view in ("roi", "extra_roi")
            ]
        button = gr.Button("Where did they look?", elem_id="explain")
        heat = gr.Gallery(label="Heat maps (HiResCAM): bright where the answer came from", columns=2, visible=False,
                          height="auto", object_fit="contain", buttons=[], elem_id="heat")  # fmt: skip
    named = {"answers": answers, "difference": difference, "found": found, "how": how, "heat": heat}
    return {**named, "roi": views[0], "extra_roi": views[1], "results": results}, button


def _connect(desk: Desk, widgets: Widgets, samples: Any, marks: dict[str, Any], button: Any) -> None:
    """Say what happens on which event; `outputs` names all that may change."""
    way, corners = marks["way"], marks["corners"]
    everything = [*(widget for name, widget in widgets._asdict().items() if name != "answers"), *widgets.answers]

    def on(event: Callable[..., Any], answer: Callable[..., Updates], inputs: list[Any]) -> None:
        event(told(answer), inputs, everything, api_visibility="private", show_progress="minimal")

    def chosen(way: str, event: gr.SelectData) -> Updates:
        return desk.take_sample(widgets, event.index, way)

    def clicked(sitting: Any, way: str, event: gr.SelectData) -> Updates:
        return desk.click(widgets, sitting, way, event.index)

    def typed(sitting: Any, way: str, *numbers: float | None) -> Updates:
        return desk.type_box(widgets, sitting, numbers, way)

    on(samples.select, chosen, [way])
    on(widgets.photo.upload, partial(desk.arrive, widgets), [widgets.photo, way])
    on(widgets.photo.clear, partial(desk.leave, widgets), [])
    on(widgets.photo.select, clicked, [widgets.sitting, way])
    on(marks["typed"].click, typed, [widgets.sitting, way, *corners])
    on(marks["painted"].click, partial(desk.paint, widgets), [widgets.sitting, widgets.canvas])
    on(button.click, partial(desk.explain, widgets), [widgets.sitting])
    way.change(desk.hint, way, widgets.hint, api_visibility="private")
