"""Outlines of bodies, in pixels about their own centre; a table seen from above."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float

Outline: TypeAlias = Float[np.ndarray, "_ 2"]
"""Corners (x, y) of a closed polygon, or points along a path."""


def turned(points: Outline, angle: float, at: tuple[float, float] = (0.0, 0.0)) -> Outline:
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
        rng: Source of the shape.
        radius: Mean radius in pixels.
        wobble: Relative size of the irregularity, 0 for an ellipse.
        waves: Highest number of bulges around the outline.
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
    return np.array(
        [
            (-x + cut, -y),
            (x - cut, -y),
            (x, -y + cut),
            (x, y - cut),
            (x - cut, y),
            (-x + cut, y),
            (-x, y - cut),
            (-x, -y + cut),
        ]
    )


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


def scattered(rng: np.random.Generator, count: int, radius: float) -> Outline:
    """Return `count` points spread evenly over a disc, in random order."""
    ranks = rng.permutation(count) + 0.5
    angles = ranks * np.pi * (3 - np.sqrt(5))  # sunflower spacing leaves neither gaps nor clumps
    radii = radius * np.sqrt(ranks / count)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1) + rng.normal(0, radius / 14, (count, 2))
