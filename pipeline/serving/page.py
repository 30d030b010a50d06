"""The page: its document, and what it shows of a photo."""

import io
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.inference.pictures import enlarge
from pipeline.serving import captions as words
from pipeline.serving.handlers import PageController
from pipeline.serving.session import MarkedPhoto, Session, draw

STATIC = {"page.js": "text/javascript", "page.css": "text/css"}
"""Files beside the document, with their media types."""
TOP = 5
"""Categories shown of each answer."""
SAMPLE_SIDE = 240
"""Longest side in pixels of a sample on the page."""
QUALITY, EFFORT = 90, 2
"""Of WebP: 0 to 100, and 0 (fast) to 6 (small)."""


def document(desk: PageController) -> str:
    """Return the page as HTML; every value in it is escaped."""
    environment = Environment(loader=PackageLoader("pipeline.serving"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html.j2").render(
        words=words,
        tab=" or ".join(words.WAYS[way] for way in desk.ways),
        ways=desk.ways,
        captions=[sample.caption for sample in desk.samples],
        answers=[words.title(run) for run in desk.runs],
        heat=[f"{words.short_title(run)}: {words.BRANCHES[branch]}" for run in desk.runs for branch in run.branches],
        calibration=words.calibration(desk.runs),
    )


def static_files() -> dict[str, bytes]:
    """Return the files of `STATIC` by name."""
    return {name: (Path(__file__).parent / "static" / name).read_bytes() for name in STATIC}


def sample_pictures(desk: PageController) -> dict[str, bytes]:
    """Return every sample as a small WebP file, by number."""
    return {str(number): _webp(sample.photo, SAMPLE_SIDE) for number, sample in enumerate(desk.samples)}


def pictures(sitting: MarkedPhoto) -> dict[str, bytes]:
    """Return what there is to see of a photo, by name: WebP files."""
    shown = {"shown": draw(sitting)}
    if sitting.verdicts:
        first = sitting.verdicts[0].prediction
        shown |= {"roi": enlarge(first.roi), "extra_roi": enlarge(first.extra_roi)}
    shown |= {f"heat-{number}": found.picture for number, (_, found) in enumerate(sitting.heat)}
    return {name: _webp(picture) for name, picture in shown.items()}


def state(name: str, session: Session) -> dict[str, Any]:
    """Return what the page shows of a photo, as JSON values.

    Args:
        name: Name of the session.
        session: The photo, and what was done.
    """
    sitting = session.sitting
    height, width = sitting.shown.shape[:2]
    tops = [verdict.prediction.top(TOP) for verdict in sitting.verdicts]
    return {
        "photo": name,
        "width": width,
        "height": height,
        "hint": words.OPPOSITE if sitting.corner is not None else "",
        "answers": [[guess._asdict() for guess in top] for top in tops],
        "how": words.found(sitting),
        "difference": words.difference(sitting),
        "warmth": words.warmth(sitting.heat),
        "pictures": {each: f"/photos/{name}/{session.version}/{each}/image.webp" for each in session.pictures},
    }


def _webp(picture: Image, longest: int | None = None) -> bytes:
    made = Pillow.fromarray(picture)
    if longest is not None:
        made.thumbnail((longest, longest))
    file = io.BytesIO()
    made.save(file, "WEBP", quality=QUALITY, method=EFFORT)
    return file.getvalue()
