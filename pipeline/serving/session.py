"""Sessions of the page: a photo with its mark and answers, and the store of all sessions. Independent of HTTP."""

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

from pipeline.arrays import Image
from pipeline.datasets.prompts import Prompt
from pipeline.datasets.sample_batch import SampleBatch
from pipeline.imaging.decode import PictureBytes, read_binary_mask, read_photo
from pipeline.imaging.drawing import edge, overlay
from pipeline.inference.pictures import BranchPicture, heat_pictures
from pipeline.inference.prediction import Prediction
from pipeline.inference.predictor import Run
from pipeline.inference.regions import Region, drawn_region, prompted_regions
from pipeline.runtime.errors import DatasetError, EmptyMaskError, PhotoError
from pipeline.segmentation.mask_source import MaskSource

MAX_PIXELS = 40_000_000  # largest upload in pixels, so that several visitors fit in memory
SHOWN_SIDE = 1024  # longest side in pixels of the shown photo
MIN_VISIBLE_SHARE = 3e-4  # of a run's input, 15 pixels of 224 x 224; if a food covers less, all is black
PNG = b"\x89PNG\r\n\x1a\n"  # signature of the one format in which a painting is read
MARK_COLOUR, RIM_COLOUR = (255, 214, 10), (0, 0, 0)  # of corners and boxes: yellow, as in the report, on black
PAINTED = "brush"  # source of painted masks
MAX_SESSIONS = 32
MAX_BYTES = 600_000_000  # memory of all sessions: three of the largest photos, or 32 of an ordinary size
SECONDS_KEPT = 3600  # a session expires when it is not used for this time

Shown: TypeAlias = UInt8[np.ndarray, "h w 3"]  # photo at the size that the page shows


class RunAnswer(NamedTuple):
    """Answer of one run."""

    run: Run
    batch: SampleBatch  # input of the run: one sample
    prediction: Prediction

    @property
    def known(self) -> bool | None:
        """Whether the first guess is sure enough to be named; None where the run has no threshold."""
        return self.run.accepts(self.prediction)


@dataclass(frozen=True, slots=True, eq=False)
class MarkedPhoto:
    """A photo, its marked region and the answers; every action returns a new one."""

    photo: Image  # at full size, upright
    shown: Shown  # at most `SHOWN_SIDE` pixels long
    corner: tuple[int, int] | None = None  # first corner of an unfinished box, x and y in the photo
    prompt: Prompt | None = None  # box or click that marked the food; None if it is painted or not marked
    region: Region | None = None  # region of the food; None if not marked
    answers: tuple[RunAnswer, ...] = ()  # answer of each run
    heat: tuple[tuple[Run, BranchPicture], ...] = ()  # heat map of each branch of each run; empty until requested

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
        return replace(marked, corner=(x, y), prompt=None, region=None, answers=(), heat=()), None
    return replace(marked, corner=None), box_between(marked.corner, (x, y))


def box_between(first: tuple[int, int], second: tuple[int, int]) -> Prompt:
    """Return the box with two opposite corners."""
    (x0, x1), (y0, y1) = (sorted(axis) for axis in zip(first, second, strict=True))
    return Prompt("box", (float(x0), float(y0), float(x1), float(y1)))


def mark(marked: MarkedPhoto, prompt: Prompt, source: MaskSource) -> MarkedPhoto:
    """Mark the food that a mask source finds at a box or click; a `DatasetError` if it cannot answer the prompt."""
    x0, y0, x1, y1 = prompt.bounds()
    if prompt.kind == "box" and min(x1 - x0, y1 - y0) < 2:  # noqa: PLR2004 - a line has no inside
        raise DatasetError("This box has no inside; choose two opposite corners of the food")
    (region,) = prompted_regions(source, marked.photo, [prompt])
    return replace(marked, corner=None, prompt=prompt, region=region, answers=(), heat=())


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
    region = drawn_region(PAINTED, mask, PAINTED)
    return replace(marked, corner=None, prompt=None, region=region, answers=(), heat=())


def predict(marked: MarkedPhoto, runs: Sequence[Run]) -> MarkedPhoto:
    """Classify the marked food with every run.

    Raises:
        DatasetError: If nothing is marked.
        EmptyMaskError: If the food is too small in a run's input.
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
    """Make the heat map of each branch of each run; raise `DatasetError` if nothing is classified yet."""
    if not marked.answers:
        raise DatasetError("Mark a food first")
    heat: list[tuple[Run, BranchPicture]] = []
    for run, batch, prediction in marked.answers:
        heat += [(run, picture) for picture in heat_pictures(run, batch, [prediction])[0]]
    return replace(marked, heat=tuple(heat))


def draw(marked: MarkedPhoto) -> Shown:
    """Return the shown photo with the food tinted, its box framed, or a first corner as a cross.

    Every line has a dark rim, so that it shows on rice as on tomato.
    """
    shown = marked.shown
    if marked.region is not None:
        mask = np.asarray(Pillow.fromarray(marked.region.mask).resize(shown.shape[1::-1], Pillow.Resampling.NEAREST))
        shown = overlay(shown, mask)
        shown[edge(mask)] = 255
        shown[edge(np.pad(~mask, 1, constant_values=True))[1:-1, 1:-1]] = RIM_COLOUR
    picture = Pillow.fromarray(shown)
    pen, thin = ImageDraw.Draw(picture), max(2, len(marked.shown) // 200)
    lines: list[list[tuple[float, float]]] = []
    if marked.prompt is not None and marked.prompt.kind == "box":
        x0, y0, x1, y1 = (number / marked.scale for number in marked.prompt.bounds())
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
        mask = 0 if self.marked.region is None else self.marked.region.mask.nbytes
        return self.marked.photo.nbytes + self.marked.shown.nbytes + mask + sum(map(len, self.pictures.values()))


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
