"""Sessions of the page: a photo with its mark and answers, and the store of all sessions. Independent of HTTP."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from pipeline.arrays import AnyImage, Image
from pipeline.datasets.prompts import Prompt
from pipeline.imaging.decode import PictureBytes, read_binary_mask, read_label_map, read_photo
from pipeline.inference.pictures import BranchPicture, LabelledMask, heat_pictures, mark_foods
from pipeline.inference.prediction import Prediction
from pipeline.inference.predictor import Run
from pipeline.inference.regions import Region, box_between, drawn_region, prompted_regions
from pipeline.runtime.errors import DatasetError, EmptyMaskError, PhotoError
from pipeline.segmentation.mask_source import MaskSource

MAX_PIXELS = 40_000_000  # largest upload in pixels, so that several visitors fit in memory
SHOWN_SIDE = 1024  # longest side in pixels of the shown photo
MIN_VISIBLE_SHARE = 3e-4  # of a run's input, 15 pixels of 224 x 224; if a food covers less, all is black
PNG = b"\x89PNG\r\n\x1a\n"  # signature of the one format in which a painting is read
MARK_COLOUR, RIM_COLOUR = (255, 214, 10), (0, 0, 0)  # of corners and boxes: yellow, as in the report, on black
PAINTED = "brush"  # source of painted masks
SMALLEST_LETTER = 10  # height in pixels of the numbers on a small photo
MAX_FOODS, MAX_MASK_BYTES = 40, 400_000_000  # of one photo
MAX_SESSIONS = 32
MAX_BYTES = 600_000_000  # memory of all sessions: three of the largest photos, or 32 of an ordinary size
SECONDS_KEPT = 3600  # a session expires when it is not used for this time


class RunAnswer(NamedTuple):
    """Answer of one run."""

    run: Run
    prediction: Prediction

    @property
    def known(self) -> bool | None:
        """Whether the first guess is sure enough to be named; None where the run has no threshold."""
        return self.run.accepts(self.prediction)


class MarkedFood(NamedTuple):
    """One region of a photo and the answers for it."""

    region: Region
    prompt: Prompt | None = None  # box or click that marked it; None if it is painted or proposed
    proposed: bool = False  # whether it was found without a mark of the visitor
    answers: tuple[RunAnswer, ...] = ()  # answer of each run; empty until `predict`
    heat: tuple[tuple[Run, BranchPicture], ...] = ()  # heat map of each branch of each run; empty until requested


@dataclass(frozen=True, slots=True, eq=False)
class MarkedPhoto:
    """A photo, its foods and the answers; every action returns a new one."""

    photo: Image  # at full size, upright
    shown: AnyImage  # at most `SHOWN_SIDE` pixels long
    corner: tuple[int, int] | None = None  # first corner of an unfinished box, x and y in the photo
    foods: tuple[MarkedFood, ...] = ()  # in the order of their marks
    chosen: int = -1  # index of the food whose details are shown; the last one unless the visitor chooses

    @property
    def food(self) -> MarkedFood | None:
        """The food whose details are shown; None if there is none."""
        return self.foods[self.chosen] if self.foods else None

    @property
    def most_foods(self) -> int:
        """Largest number of foods, so that their masks, of a byte a pixel, fit in memory."""
        return min(MAX_FOODS, 3 * MAX_MASK_BYTES // self.photo.nbytes)

    @property
    def scale(self) -> float:
        """Pixels of the photo per shown pixel."""
        return float(self.photo.shape[1] / self.shown.shape[1])

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Return the pixel of the photo at a pixel of the shown one."""
        height, width = self.photo.shape[:2]
        return min(width - 1, max(0, int(x * self.scale))), min(height - 1, max(0, int(y * self.scale)))


def load_upload(upload: bytes) -> MarkedPhoto:
    """Decode an uploaded photo."""
    return start(read_photo(PictureBytes(upload, "This file cannot be used"), max_pixels=MAX_PIXELS))


def start(photo: Image) -> MarkedPhoto:
    """Return the photo with nothing marked yet."""
    picture = Pillow.fromarray(photo)
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Pillow.Resampling.BICUBIC)
    return MarkedPhoto(photo, np.asarray(picture))


def corner_or_box(marked: MarkedPhoto, x: int, y: int) -> tuple[MarkedPhoto, Prompt | None]:
    """Handle a corner of a box at column `x`, row `y` of the photo; the second corner completes the prompt."""
    if marked.corner is None:
        return replace(marked, corner=(x, y)), None
    return replace(marked, corner=None), box_between(marked.corner, (x, y))


def mark(marked: MarkedPhoto, prompt: Prompt, source: MaskSource) -> MarkedPhoto:
    """Mark the food that a mask source finds at a box or click; a `DatasetError` if it cannot answer the prompt."""
    (region,) = prompted_regions(source, marked.photo, [prompt])
    return _add(marked, [MarkedFood(region, prompt)])


def paint(marked: MarkedPhoto, painting: bytes) -> MarkedPhoto:
    """Mark a painted food, given as a PNG file of the shown photo's size, white where painted, black elsewhere.

    Raises:
        EmptyMaskError: If nothing is painted.
        PhotoError: If the file is no such PNG.
    """
    file = PictureBytes(painting, "The painting cannot be used")
    (height, width), (rows, columns) = marked.photo.shape[:2], marked.shown.shape[:2]
    if not painting.startswith(PNG):
        raise PhotoError(f"{file}: send it as PNG")
    painted = read_binary_mask(file, max_pixels=rows * columns).mask
    if painted.shape != (rows, columns):
        raise PhotoError(f"{file}: send {columns} x {rows} pixels, as the photo is shown")
    mask = np.asarray(Pillow.fromarray(painted).resize((width, height), Pillow.Resampling.NEAREST))
    if not mask.any():
        raise EmptyMaskError("Nothing is painted yet; paint over the food, then press the button")
    return _add(marked, [MarkedFood(drawn_region(PAINTED, mask, PAINTED))])


def propose(marked: MarkedPhoto, regions: Sequence[Region]) -> MarkedPhoto:
    """Take regions that were found without a mark in the place of those found before; marked foods stay."""
    own = tuple(food for food in marked.foods if not food.proposed)
    return _add(replace(marked, foods=own), [MarkedFood(region, proposed=True) for region in regions])


def read_plate(marked: MarkedPhoto, upload: bytes) -> tuple[Region, ...]:
    """Return one region per value of a label map, a PNG file of the photo's size; 0 is no food.

    Raises:
        EmptyMaskError: If every pixel is 0.
        DatasetError: If it has more values than `most_foods`.
        PhotoError: If the file is no such PNG.
    """
    file = PictureBytes(upload, "This label map cannot be used")
    height, width = marked.photo.shape[:2]
    size = int.from_bytes(upload[16:20]), int.from_bytes(upload[20:24])  # before anything is decoded
    if not upload.startswith(PNG) or size != (width, height):
        raise PhotoError(f"{file}: give a PNG of {width} x {height} pixels, as the photo has, one value a food")
    label_map = read_label_map(file)
    values = [int(value) for value in np.unique(label_map) if value]
    if not values:
        raise EmptyMaskError(f"{file}: every pixel is 0; paint each food in a value of its own")
    _check_count(marked, len(values))
    return tuple(drawn_region(f"value {value}", label_map == value, "mask file") for value in values)


def _add(marked: MarkedPhoto, foods: Sequence[MarkedFood]) -> MarkedPhoto:
    _check_count(marked, len(marked.foods) + len(foods))
    return replace(marked, corner=None, foods=(*marked.foods, *foods), chosen=-1)


def _check_count(marked: MarkedPhoto, foods: int) -> None:
    if foods > marked.most_foods:
        what = f"{foods} foods are too many for a photo of this size"
        raise DatasetError(f"{what}: at most {marked.most_foods}; remove some, or take a smaller photo")


def undo(marked: MarkedPhoto) -> MarkedPhoto:
    """Take back a first corner, or else the last food, if there is one."""
    foods = marked.foods if marked.corner is not None else marked.foods[:-1]
    return replace(marked, corner=None, foods=foods, chosen=-1)


def remove(marked: MarkedPhoto, number: int) -> MarkedPhoto:
    """Remove a food by its index."""
    _check_number(marked, number)
    return replace(marked, foods=(*marked.foods[:number], *marked.foods[number + 1 :]), chosen=-1)


def choose(marked: MarkedPhoto, number: int) -> MarkedPhoto:
    """Show the details of a food by its index."""
    _check_number(marked, number)
    return replace(marked, chosen=number)


def _check_number(marked: MarkedPhoto, number: int) -> None:
    if not 0 <= number < len(marked.foods):
        raise DatasetError(f"There are {len(marked.foods)} foods on this photo")


def predict(marked: MarkedPhoto, runs: Sequence[Run]) -> MarkedPhoto:
    """Classify the foods that have no answers yet, with every run.

    Raises:
        DatasetError: If nothing is marked.
        EmptyMaskError: If a marked food is too small in a run's input.
    """
    if not marked.foods:
        raise DatasetError("Mark a food first")
    known = [food for food in marked.foods if food.answers]
    new = marked.foods[len(known) :]
    answers: list[list[RunAnswer]] = [[] for _ in new]
    for run in runs:
        regions = [food.region for food in new]
        batch = run.views(marked.photo, [region.mask for region in regions], names=[each.label for each in regions])
        for row, prediction in enumerate(run.predict_batch(batch)):
            if not new[row].proposed and batch.masks[row].mean() < MIN_VISIBLE_SHARE:
                raise EmptyMaskError("What is marked is too small for the models to see; mark a larger region")
            answers[row].append(RunAnswer(run, prediction))
    answered = [food._replace(answers=tuple(given)) for food, given in zip(new, answers, strict=True)]
    return replace(marked, foods=(*known, *answered))


def explain(marked: MarkedPhoto) -> MarkedPhoto:
    """Make the heat map of each branch of each run for the chosen food; a `DatasetError` if there is none."""
    if marked.food is None:
        raise DatasetError("Mark a food first")
    heat: list[tuple[Run, BranchPicture]] = []
    for run, prediction in marked.food.answers:
        batch = run.views(marked.photo, [marked.food.region.mask])
        heat += [(run, picture) for picture in heat_pictures(run, batch, [prediction])[0]]
    foods = list(marked.foods)
    foods[marked.chosen] = marked.food._replace(heat=tuple(heat))
    return replace(marked, foods=tuple(foods))


def draw(marked: MarkedPhoto, labels: Sequence[LabelledMask]) -> AnyImage:
    """Return the shown photo with its foods outlined and numbered, the chosen one's box, and a first corner as a cross.

    Every line has a rim, so that it shows on rice as on tomato.
    """
    shown = mark_foods(marked.shown, labels, letter=max(SMALLEST_LETTER, max(marked.shown.shape) // 32), named=False)
    picture = Pillow.fromarray(shown)
    pen, thin = ImageDraw.Draw(picture), max(2, len(marked.shown) // 200)
    lines: list[list[tuple[float, float]]] = []
    prompt = marked.food.prompt if marked.food and marked.corner is None else None
    if prompt is not None and prompt.kind == "box":
        x0, y0, x1, y1 = (number / marked.scale for number in prompt.bounds())
        lines = [[(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]]
    if marked.corner is not None:
        (x, y), arm = (number / marked.scale for number in marked.corner), 6 * thin
        lines = [[(x - arm, y), (x + arm, y)], [(x, y - arm), (x, y + arm)]]
    for colour, width in ((RIM_COLOUR, 2 * thin), (MARK_COLOUR, thin)):
        for line in lines:
            pen.line(line, fill=colour, width=width)
    return np.asarray(picture)


class SessionGoneError(DatasetError):
    """A session has expired or never existed."""


class Session(NamedTuple):
    """One photo of one visitor."""

    marked: MarkedPhoto
    pictures: dict[str, bytes]  # webP files by name
    version: int  # number of actions so far; part of the pictures' URLs, so that browsers load the new ones
    used: float  # monotonic time of the last access, in seconds

    @property
    def nbytes(self) -> int:
        """Approximate bytes of memory."""
        marked = self.marked
        masks = sum(food.region.mask.nbytes for food in marked.foods)
        views = sum(2 * answer.prediction.roi.nbytes for food in marked.foods for answer in food.answers)
        return marked.photo.nbytes + marked.shown.nbytes + masks + views + sum(map(len, self.pictures.values()))


@dataclass(slots=True)
class SessionStore:
    """Sessions by random name, bounded in number, memory and age; thread-safe."""

    clock: Callable[[], float] = time.monotonic  # returns seconds
    _sessions: OrderedDict[str, Session] = field(default_factory=OrderedDict)  # least recently used first
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, marked: MarkedPhoto, pictures: dict[str, bytes]) -> str:
        """Store a new session, remove the oldest ones beyond the limits, and return its name."""
        name = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[name] = Session(marked, pictures, 0, self.clock())
            self._evict()
        return name

    def get(self, name: str) -> Session:
        """Return a session, which becomes the most recently used; raise `SessionGoneError` if it is not stored."""
        with self._lock:
            if name not in self._sessions:
                raise SessionGoneError("This photo is no longer here; choose it again")
            self._sessions[name] = self._sessions.pop(name)._replace(used=self.clock())
            return self._sessions[name]

    def update(self, name: str, marked: MarkedPhoto, pictures: dict[str, bytes]) -> Session:
        """Replace the state of a session."""
        version = self.get(name).version + 1
        with self._lock:
            session = Session(marked, pictures, version, self.clock())
            if name in self._sessions:
                self._sessions[name] = session
                self._evict()
            return session

    def drop(self, name: str) -> None:
        """Remove a session, if it is stored."""
        with self._lock:
            self._sessions.pop(name, None)

    def sweep(self) -> None:
        """Remove sessions not used for `SECONDS_KEPT`."""
        with self._lock:
            latest = self.clock() - SECONDS_KEPT
            for name in [name for name, session in self._sessions.items() if session.used < latest]:
                del self._sessions[name]

    def __len__(self) -> int:
        """Return the number of sessions."""
        return len(self._sessions)

    def _evict(self) -> None:
        """Remove the oldest sessions beyond the limits; the newest always stays."""
        held = sum(session.nbytes for session in self._sessions.values())
        while len(self._sessions) > 1 and (len(self._sessions) > MAX_SESSIONS or held > MAX_BYTES):
            _, oldest = self._sessions.popitem(last=False)
            held -= oldest.nbytes
