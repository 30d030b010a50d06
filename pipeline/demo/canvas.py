"""Drawing of bodies: outlines in pixels about their centre, smooth random fields, lighting, and the canvas."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int32

from pipeline.arrays import LabelMap, Mask

Outline: TypeAlias = Float[np.ndarray, "_ 2"]  # corners (x, y) of a closed polygon, or points along a path
Field: TypeAlias = Float32[np.ndarray, "H W"]  # one number a pixel
Pieces: TypeAlias = Int32[np.ndarray, "H W"]  # number of the topmost piece of a body, 0 outside of it
Colours: TypeAlias = Float32[np.ndarray, "H W 3"]  # RGB, 0 dark to 1 bright
Colour: TypeAlias = tuple[float, float, float]  # RGB, 0 dark to 1 bright

AMBIENT = 0.45
HIGHLIGHT_POWER = 24
FRACTION_BITS = 4  # fraction of OpenCV's fixed-point coordinates


def turned(points: Outline, angle: float, at: Sequence[float] | np.ndarray = (0.0, 0.0)) -> Outline:
    """Rotate by `angle` radians, then move to `at`."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(at))


def disc(radius: float, *, corners: int = 28) -> Outline:
    """Return a circle."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def blob(rng: np.random.Generator, radius: float, *, wobble: float, waves: int = 5, stretch: float = 1.0) -> Outline:
    """Return an organic closed outline.

    Args:
        rng: Draws it.
        radius: Mean radius in pixels.
        wobble: Relative size of its irregularity, 0 for an ellipse.
        waves: Highest number of bulges around it.
        stretch: Length over width.
    """
    angles = np.linspace(0, 2 * np.pi, 16 + 6 * waves, endpoint=False)
    orders = np.arange(2, waves + 2)
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    strengths = rng.normal(0, wobble, len(orders)) / np.sqrt(orders)
    radii = radius * (1 + (strengths * np.cos(np.outer(angles, orders) + phases)).sum(axis=1)).clip(0.35, 1.5)
    scale = np.array([np.sqrt(stretch), 1 / np.sqrt(stretch)])
    return np.asarray(np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1) * scale)


def rod(length: float, width: float, *, corner: float = 0.3) -> Outline:
    """Return a bar along x with clipped corners; `corner` is their share of the width, 0.5 at most."""
    x, y, cut = length / 2, width / 2, corner * width
    return np.array([
        (-x + cut, -y), (x - cut, -y), (x, -y + cut), (x, y - cut),
        (x - cut, y), (-x + cut, y), (-x, y - cut), (-x, -y + cut),
    ])  # fmt: skip


def arc(length: float, bend: float, *, points: int = 14) -> Outline:
    """Return a path of a given length that turns by `bend` radians, its middle at the origin."""
    headings = np.linspace(-bend / 2, bend / 2, points)
    steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / points)
    path = np.cumsum(steps, axis=0)
    return np.asarray(path - path.mean(axis=0))


def ribbon(path: Outline, widths: float | np.ndarray) -> Outline:
    """Return the outline of a band along a path; `widths` is one width or one a point, in pixels."""
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    offset = across * (np.broadcast_to(widths, len(path))[:, np.newaxis] / 2)
    return np.concatenate([path + offset, (path - offset)[::-1]])


def shaft(length: float, widths: Sequence[float]) -> Outline:
    """Return a bar along x with evenly spaced widths, given as shares of half its length."""
    path = np.stack([np.linspace(-length / 2, length / 2, len(widths)), np.zeros(len(widths))], axis=1)
    return ribbon(path, np.asarray(widths) * length / 2)


def scattered(rng: np.random.Generator, count: int, radius: float) -> Outline:
    """Return `count` points spread evenly over a disc, in random order."""
    ranks = rng.permutation(count) + 0.5
    angles = ranks * np.pi * (3 - np.sqrt(5))  # sunflower spacing leaves neither gaps nor clumps
    radii = radius * np.sqrt(ranks / count)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1) + rng.normal(0, radius / 14, (count, 2))


class Light(NamedTuple):
    """One lamp far away: unit vector towards it; x to the right, y down, z out of the picture."""

    x: float
    y: float
    z: float

    @classmethod
    def from_angles(cls, azimuth: float, elevation: float) -> "Light":
        """Place the lamp; both angles in radians, elevation 0 at the table's edge."""
        flat = np.cos(elevation)
        return cls(float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation)))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with a probability in [0, 1]."""
    return bool(rng.random() < probability)


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: float | tuple[float, float]) -> Field:
    """Return a smooth field of mean 0 and deviation about 0.7 whose features are `cell` pixels (y, x) large."""
    cells = cell if isinstance(cell, tuple) else (cell, cell)
    rows, columns = (int(side / size) + 2 for side, size in zip(shape, cells, strict=True))
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def fractal(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int) -> Field:
    """Return noise of several sizes, each half as large and as strong as the one before."""
    total = noise(rng, shape, cell)
    for octave in range(1, octaves):
        total += noise(rng, shape, max(cell / 2**octave, 1.0)) / np.float32(2**octave)
    return total


def dome(depth: Field, edge: float) -> Field:
    """Return the height of a body that rounds off over the outermost `edge` pixels; `depth` counts from its outline."""
    inside = np.clip(depth / np.float32(max(edge, 1.0)), 0, 1)
    return np.asarray(np.sqrt(inside * (2 - inside)) * np.float32(edge), np.float32)


def relief(height: Field, light: Light) -> tuple[Field, Field]:
    """Return the brightness, 1 on level ground, and highlight, 0 to 1, of a surface of a height in pixels."""
    slope_x, slope_y = (cv2.Sobel(height, cv2.CV_32F, x, 1 - x, scale=0.125) for x in (1, 0))
    length = np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    facing = (light.z - slope_x * light.x - slope_y * light.y) / length
    mirror = (light.z + 1 - slope_x * light.x - slope_y * light.y) / (length * math.sqrt(2 + 2 * light.z))
    brightness = AMBIENT + (1 - AMBIENT) * np.clip(facing, 0, 1) / light.z
    highlight = cv2.pow(np.asarray(np.clip(mirror, 0, 1), np.float32), HIGHLIGHT_POWER)
    return np.asarray(brightness, np.float32), np.asarray(highlight, np.float32)


class Place(NamedTuple):
    """A round area of the table that a body may fill, in pixels of the canvas before the camera's tilt."""

    x: float
    y: float
    radius: float


class SurfaceMaterial(NamedTuple):
    """Reflection of light by a surface; lengths are shares of the place's radius."""

    edge: float = 0.1  # width over which pieces round off
    rise: float = 1.0  # steepness of the rounding, 0 flat
    bump: float = 0.0  # height of surface roughness in pixels
    grain: float = 0.06  # size of roughness and spots
    mottle: float = 0.06  # relative variation of brightness over the surface
    gloss: float = 0.1  # strength of highlights
    shadow: float = 0.1  # length of the cast shadow


@dataclass(frozen=True, slots=True)
class Canvas:
    """The picture in progress; bodies change both arrays in place."""

    pixels: Colours
    labels: LabelMap
    light: Light
    tilt: float  # height over width of a circle on the table: 1 from above, less from the side

    def lay(self, sketch: "Sketch", material: SurfaceMaterial, rng: np.random.Generator, label: int) -> None:
        """Light a sketch and put it on top of everything, with its shadow; `label` 0 is background."""
        radius = sketch.place.radius
        sketch.crop(round(material.shadow * radius * 1.6) + 4)
        # Every visible piece is a dome by the distance to its outline, roughened.
        ids, inner = sketch.ids, (sketch.ids > 0).astype(np.uint8)
        inner[:-1] &= ids[:-1] == ids[1:]
        inner[:, :-1] &= ids[:, :-1] == ids[:, 1:]
        depth = np.asarray(cv2.distanceTransform(inner, cv2.DIST_L2, 3), np.float32)
        domes = dome(depth, material.edge * radius) * np.float32(material.rise)
        height = np.asarray(cv2.GaussianBlur(domes, (0, 0), 0.8 + 0.01 * radius), np.float32)
        if material.bump:
            height += np.float32(material.bump) * fractal(rng, height.shape, material.grain * radius, 2)
        brightness, highlight = relief(height, self.light)
        mottle = 1 + np.float32(material.mottle) * fractal(rng, height.shape, material.grain * radius * 2, 2)
        gloss = np.float32(material.gloss) * highlight[..., np.newaxis]
        skin = sketch.albedo * (brightness * mottle)[..., np.newaxis] + gloss
        # The shadow takes its share of light from the ground beside the body.
        body, length = sketch.body, material.shadow * radius
        move = np.array([[1, 0, -self.light.x * length], [0, 1, -self.light.y * length]], np.float32)
        cast, box = cv2.warpAffine(body.astype(np.float32), move, body.shape[::-1]), (2 * int(length / 2) + 3,) * 2
        window = self.pixels[sketch.rows, sketch.columns]
        window *= np.asarray(1 - 0.6 * cv2.blur(cv2.blur(cast, box), box), np.float32)[..., np.newaxis]
        np.copyto(window, np.clip(skin, 0, 1), where=body[..., np.newaxis])
        self.labels[sketch.rows, sketch.columns][body] = label


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
        self.ids: Pieces = np.zeros(shape, np.int32)
        self._pieces = 0

    @property
    def body(self) -> Mask:
        """Pixels of any piece."""
        return self.ids > 0

    def crop(self, margin: int) -> None:
        """Narrow the window to the pieces and `margin` pixels around them, so that fewer pixels are lit."""
        left, top, width, height = cv2.boundingRect(self.body.astype(np.uint8))
        rows = slice(max(0, top - margin), top + height + margin)
        columns = slice(max(0, left - margin), left + width + margin)
        self.albedo, self.ids = self.albedo[rows, columns], self.ids[rows, columns]
        self.rows = slice(self.rows.start + rows.start, self.rows.start + rows.start + self.ids.shape[0])
        self.columns = slice(self.columns.start + columns.start, self.columns.start + columns.start + self.ids.shape[1])

    def piece(self, outline: Outline | Sequence[Outline], colour: Colour | np.ndarray) -> None:
        """Add a piece; a second outline is a hole. Coordinates are pixels about the place's centre."""
        self._pieces += 1
        cv2.fillPoly(self.ids, self._contours(outline), self._pieces, shift=FRACTION_BITS)
        self.mark(outline, colour)

    def mark(self, outline: Outline | Sequence[Outline], colour: Colour | np.ndarray) -> None:
        """Colour a part of the body without giving it a relief of its own."""
        cv2.fillPoly(self.albedo, self._contours(outline), tuple(map(float, colour)), shift=FRACTION_BITS)

    def _contours(self, outline: Outline | Sequence[Outline]) -> list[Int32[np.ndarray, "_ 1 2"]]:
        outlines = [outline] if isinstance(outline, np.ndarray) else outline
        origin = (self.place.x - self.columns.start, self.place.y - self.rows.start)
        projected = [(points * (1, self.tilt) + origin) * 2**FRACTION_BITS for points in outlines]
        return [np.rint(points).astype(np.int32)[:, np.newaxis] for points in projected]
