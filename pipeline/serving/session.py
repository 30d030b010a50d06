"""What one visitor of the page has done so far, and what follows from it; knows nothing of the web."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Pillow
from PIL import ImageDraw

from pipeline.arrays import Image, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.imaging.decode import PictureBytes, read_binary_mask, read_photo
from pipeline.imaging.drawing import overlay
from pipeline.inference.pictures import BranchPicture, heat_pictures
from pipeline.inference.prediction import Prediction
from pipeline.inference.predictor import Run
from pipeline.inference.regions import Region, drawn_region, prompted_regions
from pipeline.runtime.errors import DatasetError, EmptyMaskError, PhotoError
from pipeline.segmentation.mask_source import MaskSource

MAX_PIXELS = 40_000_000
"""Largest photo a visitor may bring, so that a few visitors fit in memory."""
SHOWN_SIDE = 1024
"""Longest side in pixels of a photo as the page shows it."""
MIN_VISIBLE_SHARE = 3e-4
"""Least share of a run's input that a food covers, 15 pixels of 224 x 224; with less the run sees a black picture."""
PNG = b"\x89PNG\r\n\x1a\n"
"""First bytes of the one format in which a painting is read."""
MARK_COLOUR = (255, 214, 10)
"""Colour of corners and boxes: yellow, as in the report."""
PAINTED = "brush"
"""Method of masks that the visitor painted."""


Shown: TypeAlias = UInt8[np.ndarray, "h w 3"]
"""Photo at the size that the page shows."""


class RunAnswer(NamedTuple):
    """What one run says."""

    run: Run
    batch: SampleBatch
    """The one sample as the run sees it."""
    prediction: Prediction


@dataclass(frozen=True, slots=True, eq=False)
class MarkedPhoto:
    """A photo and what was marked on it; a new one for every step."""

    photo: Image
    """At full size, upright."""
    shown: Shown
    """As the page shows it, at most `SHOWN_SIDE` pixels long."""
    corner: tuple[int, int] | None = None
    """First corner of a box, x and y in the photo; None where none is waiting for its opposite."""
    prompt: Prompt | None = None
    """Box or click that marked the food; None where it was painted, or is not marked yet."""
    region: Region | None = None
    """Where the food is; None before it was marked."""
    answers: tuple[RunAnswer, ...] = ()
    """What each run says of the region."""
    heat: tuple[tuple[Run, BranchPicture], ...] = ()
    """Where each branch of each run looked; empty before it was asked for."""

    @property
    def scale(self) -> float:
        """Pixels of the photo for one pixel shown."""
        return float(self.photo.shape[1] / self.shown.shape[1])

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Return the pixel of the photo under a pixel of the shown one."""
        height, width = self.photo.shape[:2]
        return min(width - 1, max(0, int(x * self.scale))), min(height - 1, max(0, int(y * self.scale)))


def load_upload(upload: bytes) -> MarkedPhoto:
    """Decode a photo that a visitor brought.

    Args:
        upload: The bytes of its file.

    Raises:
        PhotoError: If they are no picture, damaged or too large.
    """
    file = PictureBytes(upload, "This file cannot be used")
    return start(read_photo(file, max_pixels=MAX_PIXELS))


def start(photo: Image) -> MarkedPhoto:
    """Return a marked in which nothing is marked yet."""
    picture = Pillow.fromarray(photo)
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Pillow.Resampling.BICUBIC)
    return MarkedPhoto(photo, np.asarray(picture))


def corner_or_box(marked: MarkedPhoto, x: int, y: int) -> tuple[MarkedPhoto, Prompt | None]:
    """Take a click as the first corner of a box, or as the opposite one, which makes a prompt of both.

    Args:
        marked: What was done before.
        x: Column in the photo.
        y: Row in the photo.
    """
    if marked.corner is None:
        return replace(marked, corner=(x, y), prompt=None, region=None, answers=(), heat=()), None
    return replace(marked, corner=None), box_between(marked.corner, (x, y))


def box_between(first: tuple[int, int], second: tuple[int, int]) -> Prompt:
    """Return the box of two opposite corners in any order."""
    (x0, x1), (y0, y1) = (sorted(axis) for axis in zip(first, second, strict=True))
    return Prompt("box", (float(x0), float(y0), float(x1), float(y1)))


def mark(marked: MarkedPhoto, prompt: Prompt, source: MaskSource) -> MarkedPhoto:
    """Let a mask source find the food at a box or click.

    Raises:
        DatasetError: If the prompt lies outside the photo, or is of a kind the source cannot answer.
    """
    x0, y0, x1, y1 = prompt.bounds()
    if prompt.kind == "box" and min(x1 - x0, y1 - y0) < 2:  # noqa: PLR2004 - a line has no inside
        raise DatasetError("This box has no inside; choose two opposite corners of the food")
    (region,) = prompted_regions(source, marked.photo, [prompt])
    return replace(marked, corner=None, prompt=prompt, region=region, answers=(), heat=())


def paint(marked: MarkedPhoto, painting: bytes) -> MarkedPhoto:
    """Take what a visitor painted as the food.

    Args:
        marked: What was done before.
        painting: PNG file of the size of the shown photo, white where it was painted, black elsewhere.

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
    grown = Pillow.fromarray(painted.astype(np.uint8)).resize((width, height), Pillow.Resampling.NEAREST)
    mask = np.asarray(grown) > 0
    if not mask.any():
        raise EmptyMaskError("Nothing is painted yet; paint over the food, then press the button")
    region = drawn_region(PAINTED, mask, PAINTED)
    return replace(marked, corner=None, prompt=None, region=region, answers=(), heat=())


def predict(marked: MarkedPhoto, runs: Sequence[Run]) -> MarkedPhoto:
    """Let every run say what the marked food is.

    Raises:
        DatasetError: If nothing is marked.
        EmptyMaskError: If the food is too small for a run to see anything of it.
        EvaluationError: If a logit is not finite.
    """
    if marked.region is None:
        raise DatasetError("Mark a food first")
    answers = []
    for run in runs:
        batch = run.views(marked.photo, [marked.region.mask], names=[marked.region.label])
        if batch.masks.mean() < MIN_VISIBLE_SHARE:
            raise EmptyMaskError("What is marked is too small for the models to see; mark a larger region")
        answers.append(RunAnswer(run, batch, run.predict_batch(batch)[0]))
    return replace(marked, answers=tuple(answers))


def explain(marked: MarkedPhoto) -> MarkedPhoto:
    """Find out where each branch of each run looked.

    Raises:
        DatasetError: If nothing was judged yet.
        EvaluationError: If a map is not finite.
        ModelError: If Grad-CAM cannot look into a backbone.
    """
    if not marked.answers:
        raise DatasetError("Mark a food first")
    heat = tuple(
        (answer.run, picture)
        for answer in marked.answers
        for picture in heat_pictures(answer.run, answer.batch, [answer.prediction])[0]
    )
    return replace(marked, heat=heat)


def draw(marked: MarkedPhoto) -> Shown:
    """Return the shown photo with what is marked: the food tinted, its box framed, or a first corner as a cross."""
    picture = Pillow.fromarray(marked.shown if marked.region is None else _tinted(marked.shown, marked.region.mask))
    pen, width = ImageDraw.Draw(picture), max(2, len(marked.shown) // 200)
    if marked.prompt is not None and marked.prompt.kind == "box":
        pen.rectangle([number / marked.scale for number in marked.prompt.bounds()], outline=MARK_COLOUR, width=width)
    if marked.corner is not None:
        x, y = (number / marked.scale for number in marked.corner)
        arm = 6 * width
        pen.line([(x - arm, y), (x + arm, y)], fill=MARK_COLOUR, width=width)
        pen.line([(x, y - arm), (x, y + arm)], fill=MARK_COLOUR, width=width)
    return np.asarray(picture)


def _tinted(shown: Shown, mask: Mask) -> Shown:
    size = (shown.shape[1], shown.shape[0])
    small = Pillow.fromarray(mask.astype(np.uint8) * 255).resize(size, Pillow.Resampling.NEAREST)
    return overlay(shown, np.asarray(small) > 0)


# Photos that the page holds in memory, each under a name that nobody can guess; bounded in number, bytes and time.


MAX_SESSIONS = 32
"""Photos that are held at once."""
MAX_BYTES = 600_000_000
"""Memory of all of them: three photos of the largest size, or 32 of an ordinary one."""
SECONDS_KEPT = 3600
"""After which a photo that nobody touched is forgotten."""
NAME_BYTES = 32
"""Random bytes of a name."""


class SessionGoneError(DatasetError):
    """A photo is no longer held, or never was."""


class Session(NamedTuple):
    """One photo of one visitor."""

    marked: MarkedPhoto
    """What was marked and answered."""
    pictures: dict[str, bytes]
    """What the browser shows of it, by name: WebP files."""
    version: int
    """Counts the steps; part of the pictures' addresses, so that a browser shows no old one."""
    used: float
    """Seconds on the monotonic clock when it was last touched."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory, up to small change."""
        mask = 0 if self.marked.region is None else self.marked.region.mask.nbytes
        return self.marked.photo.nbytes + self.marked.shown.nbytes + mask + sum(map(len, self.pictures.values()))


@dataclass(slots=True)
class SessionStore:
    """All photos of all visitors; safe to use from several threads."""

    clock: Callable[[], float] = time.monotonic
    """Tells seconds."""
    _sessions: OrderedDict[str, Session] = field(default_factory=OrderedDict)
    """By name, the one that waits longest for its visitor first."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, marked: MarkedPhoto, pictures: dict[str, bytes]) -> str:
        """Hold a new photo; forget the oldest ones where there are too many. Return its name."""
        name = secrets.token_urlsafe(NAME_BYTES)
        with self._lock:
            self._sessions[name] = Session(marked, pictures, 0, self.clock())
            self._make_room()
        return name

    def get(self, name: str) -> Session:
        """Return a photo, which then counts as the newest.

        Raises:
            SessionGoneError: If it is not held.
        """
        with self._lock:
            session = self._sessions.pop(name, None)
            if session is None:
                raise SessionGoneError("This photo is no longer here; choose it again")
            self._sessions[name] = session._replace(used=self.clock())
            return self._sessions[name]

    def update(self, name: str, marked: MarkedPhoto, pictures: dict[str, bytes]) -> Session:
        """Replace a photo's state by the next one.

        Raises:
            SessionGoneError: If it is not held.
        """
        version = self.get(name).version + 1
        with self._lock:
            session = Session(marked, pictures, version, self.clock())
            if name in self._sessions:
                self._sessions[name] = session
                self._make_room()
            return session

    def drop(self, name: str) -> None:
        """Forget a photo, if it is held."""
        with self._lock:
            self._sessions.pop(name, None)

    def sweep(self) -> None:
        """Forget the photos that nobody touched for `SECONDS_KEPT`."""
        with self._lock:
            latest = self.clock() - SECONDS_KEPT
            for name in [name for name, session in self._sessions.items() if session.used < latest]:
                del self._sessions[name]

    def __len__(self) -> int:
        """Return how many photos are held."""
        return len(self._sessions)

    def _make_room(self) -> None:
        """Forget the oldest until all bounds hold; the newest always stays."""
        held = sum(session.nbytes for session in self._sessions.values())
        while len(self._sessions) > 1 and (len(self._sessions) > MAX_SESSIONS or held > MAX_BYTES):
            _, oldest = self._sessions.popitem(last=False)
            held -= oldest.nbytes
