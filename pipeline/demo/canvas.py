"""Bodies sketched piece by piece, then lit and laid on the picture of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Int32

from pipeline.arrays import LabelMap
from pipeline.demo.fields import Colour, Colours, Field, Light, dome, fractal, relief
from pipeline.demo.outlines import Outline

FRACTION_BITS = 4


@dataclass(frozen=True, slots=True)
class Place:
    """A round area of the table that a body may fill."""

    x: float
    """Pixels of the canvas."""
    y: float
    """Pixels of the canvas."""
    radius: float
    """Pixels, before the camera's tilt."""


@dataclass(frozen=True, slots=True)
class Material:
    """How a surface takes the light; lengths are shares of the place's radius."""

    edge: float = 0.1
    """Width over which pieces round off."""
    rise: float = 1.0
    """Steepness of the rounding, 0 flat."""
    bump: float = 0.0
    """Height of surface roughness in pixels."""
    grain: float = 0.06
    """Size of roughness and spots."""
    mottle: float = 0.06
    """Relative variation of brightness over the surface."""
    gloss: float = 0.1
    """Strength of highlights."""
    shadow: float = 0.1
    """Length of the cast shadow."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """The picture in progress; bodies change both arrays in place."""

    pixels: Colours
    labels: LabelMap
    light: Light
    tilt: float
    """Height over width of a circle on the table: 1 from above, less from the side."""

    def lay(self, sketch: "Sketch", material: Material, rng: np.random.Generator, label: int) -> None:
        """Light a sketch and put it on top of everything, with its shadow; `label` 0 is background."""
        sketch.crop(round(material.shadow * sketch.place.radius * 1.6) + 4)
        height = _height(sketch, material, rng)
        brightness, highlight = relief(height, self.light)
        mottle = 1 + np.float32(material.mottle) * fractal(
            rng, height.shape, material.grain * sketch.place.radius * 2, 2
        )
        skin = (
            sketch.albedo * (brightness * mottle)[..., np.newaxis]
            + np.float32(material.gloss) * highlight[..., np.newaxis]
        )
        body = sketch.body
        window = self.pixels[sketch.rows, sketch.columns]
        window *= self._shadow(body, material.shadow * sketch.place.radius)[..., np.newaxis]
        np.copyto(window, np.clip(skin, 0, 1), where=body[..., np.newaxis])
        self.labels[sketch.rows, sketch.columns][body] = label

    def _shadow(self, body: Bool[np.ndarray, "H W"], length: float) -> Field:
        """Return the share of light that reaches the ground beside a body `length` pixels high."""
        move = np.array([[1, 0, -self.light.x * length], [0, 1, -self.light.y * length]], np.float32)
        cast = cv2.warpAffine(body.astype(np.float32), move, body.shape[::-1])
        return np.asarray(1 - 0.6 * cv2.blur(cv2.blur(cast, *_box(length)), *_box(length)), np.float32)


def _box(length: float) -> tuple[tuple[int, int]]:
    side = 2 * int(length / 2) + 3
    return ((side, side),)


class Sketch:
    """Pieces of one body, each on top of those before; a window of the canvas around a place."""

    def __init__(self, canvas: Canvas, place: Place, *, reach: float = 1.7) -> None:
        """Open a window of `reach` radii around a place; what lies outside is cut off."""
        self.place, self.tilt = place, canvas.tilt
        height, width = canvas.labels.shape
        half = place.radius * reach
        top, left = (min(max(0, int(c - half)), s - 2) for c, s in ((place.y, height), (place.x, width)))
        self.rows = slice(top, max(top + 2, min(height, int(place.y + half))))
        self.columns = slice(left, max(left + 2, min(width, int(place.x + half))))
        shape = canvas.labels[self.rows, self.columns].shape
        self.albedo: Colours = np.zeros((*shape, 3), np.float32)
        self.ids: Int32[np.ndarray, "H W"] = np.zeros(shape, np.int32)
        self._pieces = 0

    @property
    def body(self) -> Bool[np.ndarray, "H W"]:
        """Pixels of any piece."""
        return self.ids > 0

    def crop(self, margin: int) -> None:
        """Narrow the window to the pieces and `margin` pixels around them; less to light."""
        left, top, width, height = cv2.boundingRect(self.body.astype(np.uint8))
        rows = slice(max(0, top - margin), top + height + margin)
        columns = slice(max(0, left - margin), left + width + margin)
        self.albedo, self.ids = self.albedo[rows, columns], self.ids[rows, columns]
        self.rows = slice(self.rows.start + rows.start, self.rows.start + rows.start + self.ids.shape[0])
        self.columns = slice(self.columns.start + columns.start, self.columns.start + columns.start + self.ids.shape[1])

    def piece(self, outline: Outline | Sequence[Outline], colour: Colour | np.ndarray) -> None:
        """Add a piece; a second outline is a hole. Coordinates are pixels about the place's centre."""
        self._pieces += 1
        contours = self._contours(outline)
        cv2.fillPoly(self.ids, contours, self._pieces, shift=FRACTION_BITS)
        self.mark_contours(contours, colour)

    def mark(self, outline: Outline, colour: Colour | np.ndarray) -> None:
        """Colour a part of the body without giving it a relief of its own."""
        self.mark_contours(self._contours(outline), colour)

    def mark_contours(self, contours: list[Int32[np.ndarray, "_ 1 2"]], colour: Colour | np.ndarray) -> None:
        """Colour polygons given in the window's fixed-point coordinates."""
        cv2.fillPoly(self.albedo, contours, tuple(float(c) for c in colour), shift=FRACTION_BITS)

    def _contours(self, outline: Outline | Sequence[Outline]) -> list[Int32[np.ndarray, "_ 1 2"]]:
        outlines = [outline] if isinstance(outline, np.ndarray) else outline
        origin = (self.place.x - self.columns.start, self.place.y - self.rows.start)
        projected = [(points * (1, self.tilt) + origin) * 2**FRACTION_BITS for points in outlines]
        return [np.rint(points).astype(np.int32)[:, np.newaxis] for points in projected]


def _height(sketch: Sketch, material: Material, rng: np.random.Generator) -> Field:
    """Return the height of a body: every visible piece a dome, roughened."""
    radius = sketch.place.radius
    domes = dome(_depth(sketch.ids), material.edge * radius) * np.float32(material.rise)
    height = np.asarray(cv2.GaussianBlur(domes, (0, 0), 0.8 + 0.01 * radius), np.float32)
    if material.bump:
        height += np.float32(material.bump) * fractal(rng, height.shape, material.grain * radius, 2)
    return height


def _depth(ids: Int32[np.ndarray, "H W"]) -> Field:
    """Return the distance of every pixel to the outline of the piece it shows, in pixels."""
    inner = np.ones(ids.shape, np.uint8)
    inner[:-1] &= ids[:-1] == ids[1:]
    inner[:, :-1] &= ids[:, :-1] == ids[:, 1:]
    inner &= ids > 0
    return np.asarray(cv2.distanceTransform(inner, cv2.DIST_L2, 3), np.float32)
