"""The page: its document, and the state and pictures of a photo."""

import io
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.inference.pictures import enlarge
from pipeline.serving import captions
from pipeline.serving.handlers import PageController
from pipeline.serving.session import MarkedPhoto, Session, draw

STATIC = {"page.js": "text/javascript", "page.css": "text/css"}  # files beside the document, with their media types


def document(controller: PageController) -> str:
    """Return the page as HTML; every value is escaped."""
    environment = Environment(loader=PackageLoader("pipeline.serving"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html.j2").render(
        captions=captions,
        ways=controller.ways,
        samples=controller.samples,
        runs=controller.runs,
        foods=sorted({name for run in controller.runs for name in run.class_names}),
        heat=[captions.heat_title(run, branch) for run in controller.runs for branch in run.branches],
    )


def static_files() -> dict[str, bytes]:
    """Return the files of `STATIC` by name."""
    return {name: (Path(__file__).parent / "static" / name).read_bytes() for name in STATIC}


def sample_pictures(controller: PageController) -> dict[str, bytes]:
    """Return every sample as a small WebP file, by number."""
    return {str(number): _webp(sample.photo, longest=240) for number, sample in enumerate(controller.samples)}


def pictures(marked: MarkedPhoto) -> dict[str, bytes]:
    """Return the pictures of a photo as WebP files, by name."""
    shown = {"shown": draw(marked)}
    if marked.answers:
        first = marked.answers[0].prediction
        shown |= {"roi": enlarge(first.roi), "extra_roi": enlarge(first.extra_roi)}
    shown |= {f"heat-{number}": found.picture for number, (_, found) in enumerate(marked.heat)}
    return {name: _webp(picture) for name, picture in shown.items()}


def state(name: str, session: Session) -> dict[str, Any]:
    """Return the state of the session called `name` as JSON values."""
    marked = session.marked
    height, width = marked.shown.shape[:2]
    guesses = [[guess._asdict() for guess in answer.prediction.top()] for answer in marked.answers]
    for answer, found in zip(marked.answers, guesses, strict=True):
        if answer.known is False:
            found[:] = [guess | {"probability": None} for guess in found]
    return {
        "photo": name,
        "width": width,
        "height": height,
        "hint": captions.OPPOSITE if marked.corner is not None else "",
        "answers": guesses,
        "verdicts": [captions.verdict(answer) for answer in marked.answers],
        "how": captions.region_found(marked),
        "difference": captions.difference(marked),
        "warmth": captions.heat_shares(marked.heat),
        "pictures": {each: f"/photos/{name}/{session.version}/{each}/image.webp" for each in session.pictures},
    }


def _webp(picture: Image, longest: int | None = None) -> bytes:
    made = Pillow.fromarray(picture)
    if longest is not None:
        made.thumbnail((longest, longest))
    file = io.BytesIO()
    made.save(file, "WEBP", quality=90, method=2)  # of 0 (fast) to 6 (small)
    return file.getvalue()
