"""The page: its document, and the state and pictures of a photo."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image as Pillow

from pipeline.arrays import Image
from pipeline.imaging.drawing import encode_picture
from pipeline.inference.formats import LISTINGS, PhotoRecord, food_record, format_records
from pipeline.inference.pictures import LabelledMask, enlarge, food_colours, label_foods, label_of
from pipeline.inference.predictor import Run
from pipeline.serving import captions
from pipeline.serving.handlers import FIND_ADVICE, PageController
from pipeline.serving.session import MarkedPhoto, Session, draw

STATIC = {"page.js": "text/javascript", "page.css": "text/css"}  # files beside the document, with their media types
PICTURE = "foods.png"
DOWNLOADS = {PICTURE: "Picture"} | {name: form.upper() for name, form in LISTINGS.items()}  # labels by file
TOP = 5  # categories of a food in the downloads, as of `predict`


def document(controller: PageController, *, labelling: bool) -> str:
    """Return the page as HTML, with a way to the labelling page if there is one; every value is escaped."""
    environment = Environment(loader=PackageLoader("pipeline.serving"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html.j2").render(
        captions=captions,
        labelling=labelling,
        ways=controller.ways,
        advice="" if controller.finder else FIND_ADVICE,
        downloads=DOWNLOADS,
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
    shown = {"shown": draw(marked, _labels(marked))}
    if marked.food is not None:
        first = marked.food.answers[0].prediction
        shown |= {"roi": enlarge(first.roi), "extra_roi": enlarge(first.extra_roi)}
        shown |= {f"heat-{number}": found.picture for number, (_, found) in enumerate(marked.food.heat)}
    return {name: _webp(picture) for name, picture in shown.items()}


def _labels(marked: MarkedPhoto) -> list[LabelledMask]:
    """Return the foods as the last run names them."""
    last = [(food.region.mask, food.answers[-1]) for food in marked.foods]
    return [label_of(mask, answer.prediction, known=answer.known) for mask, answer in last]


def state(name: str, session: Session) -> dict[str, Any]:
    """Return the state of the session called `name` as JSON values."""
    marked = session.marked
    height, width = marked.shown.shape[:2]
    answers = marked.food.answers if marked.food else ()
    colours = food_colours(_labels(marked))
    return {
        "photo": name,
        "width": width,
        "height": height,
        "hint": captions.OPPOSITE if marked.corner is not None else "",
        "foods": [
            {"colour": "#{:02x}{:02x}{:02x}".format(*colour), "answers": list(map(captions.first_guess, food.answers))}
            for food, colour in zip(marked.foods, colours, strict=True)
        ],
        "chosen": marked.chosen % len(marked.foods) if marked.foods else None,
        "answers": [
            [{"category": name, "probability": None if each.known is False else value} for name, value in top]
            for each, top in ((answer, answer.prediction.top()) for answer in answers)
        ],
        "verdicts": [captions.verdict(answer) for answer in answers],
        "how": captions.region_found(marked),
        "difference": captions.difference(marked),
        "warmth": captions.heat_shares(marked.food.heat if marked.food else ()),
        "pictures": {each: f"/photos/{name}/{session.version}/{each}/image.webp" for each in session.pictures},
    }


def download(run: Run, marked: MarkedPhoto, name: str, photo: str) -> bytes:
    """Return the file `name` of `DOWNLOADS`: what `predict --out` writes of these foods; `photo` stands in it."""
    if name == PICTURE:
        return encode_picture(Pillow.fromarray(label_foods(marked.photo, _labels(marked), run.facts.caution)), "PNG")
    foods = [
        food_record(food.region, answer.prediction, known=answer.known, top=TOP, pictures={})
        for food in marked.foods
        for answer in food.answers[-1:]
    ]
    height, width = marked.photo.shape[:2]
    record = PhotoRecord(photo=photo, size=(height, width), **run.facts.fields, foods=tuple(foods))
    lines = format_records([record], LISTINGS[name], top=TOP, class_names=run.class_names)
    return "".join(f"{line}\n" for line in lines).encode()


def _webp(picture: Image, longest: int | None = None) -> bytes:
    made = Pillow.fromarray(picture)
    if longest is not None:
        made.thumbnail((longest, longest))
    return encode_picture(made, "WEBP", quality=90, method=2)  # of 0 (fast) to 6 (small)
