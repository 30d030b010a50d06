"""The table `heat_maps.parquet`: Grad-CAM of each branch of a run in some test samples; without torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Float64
from PIL import Image as Pillow

from pipeline.arrays import Image, Mask
from pipeline.datasets.parquet import TableLayout, read_table
from pipeline.datasets.sample_batch import InputName
from pipeline.evaluation.metrics import DIGITS
from pipeline.imaging.drawing import edge
from pipeline.params.base import dvc_command
from pipeline.runtime.errors import ManifestError

SCHEMA_VERSION = 1
FILE = "heat_maps.parquet"

HeatGrid: TypeAlias = Float32[np.ndarray, "h w"]  # at least 0; the grid covers the whole letterboxed square


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Heat map of one branch in one sample."""

    sample_id: str  # `<split>/<photo stem>/<category id>`
    branch: InputName
    truth: str
    prediction: str
    probability: float  # softmax of the prediction, in (0, 1]
    explained: str  # category whose logit the map explains
    inside: float | None  # share in [0, 1] of the heat that lies on the ROI; None where there is no heat
    area: float  # share in [0, 1] of the square that is ROI: `inside` of heat that is everywhere the same
    heat: HeatGrid


SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("sample_id", "branch", "truth", "prediction")),
        *(("probability", pa.float64()), ("explained", pa.string())),
        *(("inside", pa.float64()), ("area", pa.float64())),
        ("heat", pa.list_(pa.list_(pa.float32()))),
    ]
)


def resize_heat(heat: HeatGrid, side: int) -> Float64[np.ndarray, "side side"]:
    """Return heat on the pixels of a square, bilinearly between the centres of its positions."""
    return np.asarray(Pillow.fromarray(heat).resize((side, side), Pillow.Resampling.BILINEAR), np.float64)


def share_inside(heat: HeatGrid, mask: Mask) -> float | None:
    """Return the share in [0, 1] of the heat that lies on a letterboxed mask; None where there is no heat."""
    fine = resize_heat(heat, len(mask))
    total = float(fine.sum())
    return float(fine[mask].sum()) / total if total > 0 else None


def write_heat_maps(maps: Sequence[HeatMap], path: Path, *, run: str) -> None:
    """Write a table; same maps, same bytes."""
    metadata = {"schema_version": str(SCHEMA_VERSION), "run": run}
    rows = [asdict(entry) | {"heat": entry.heat.tolist()} for entry in maps]
    table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata(metadata))
    pq.write_table(table, path, compression="zstd")


def read_heat_maps(path: Path) -> tuple[HeatMap, ...]:
    """Read a table.

    Raises:
        ManifestError: If it is absent, damaged or of another version.
    """
    stage = f"explain@{path.parent.name}"
    if not path.exists():
        raise ManifestError(f"{path}: absent; run {dvc_command(stage)}")
    table = read_table(path, TableLayout(SCHEMA, SCHEMA_VERSION, stage, optional=("inside",)))
    return tuple(HeatMap(**row | {"heat": np.array(row["heat"], np.float32)}) for row in table.to_pylist())


def describe_heat(maps: Sequence[HeatMap]) -> dict[str, float | int | None]:
    """Return the means over maps of one branch that have heat, None without any, and how many have none."""
    warm = [(entry.inside, entry.area, float(entry.inside > entry.area)) for entry in maps if entry.inside is not None]
    columns = zip(*warm, strict=True) if warm else ((),) * 3
    inside, area, on_roi = (round(float(np.mean(values)), DIGITS) if values else None for values in columns)
    numbers = {"maps": len(maps), "without_heat": len(maps) - len(warm)}
    return numbers | {"inside": inside, "area": area, "on_roi": on_roi}


CONVENTIONS = {
    "heat": "ReLU of the features weighted by the gradient of the explained class's logit, unscaled; the gradient is "
    "that of each place (hires_cam) or the mean over all places (grad_cam)",
    "inside": "share of the heat, spread bilinearly over the letterboxed square, that lies on the ROI",
    "area": "share of the letterboxed square that is ROI, over the same maps",
    "on_roi": "share of those maps whose heat on the ROI exceeds the ROI's area",
    "without_heat": "maps that are zero everywhere: nothing raised the logit; left out of inside and area",
}
"""Meaning of each number by its name."""


COLOURS = "inferno"  # lightness increases with the value, so it is readable in print and without colour vision


def blend_heat(view: Image, mask: Mask, heat: HeatGrid) -> Image:
    """Return a square view in gray, the heat in colour over it, and the region of interest outlined in white.

    View and mask are at the size to be shown; the heat is brightest where it is greatest, whatever its unit.
    """
    gray = 0.55 * view.mean(axis=2, keepdims=True) / 255
    level = resize_heat(heat, len(view))[..., np.newaxis] / max(float(heat.max()), np.finfo(np.float32).tiny)
    colour = mpl.colormaps[COLOURS](np.clip(level[..., 0], 0, 1))[..., :3]
    shown = np.clip(gray * (1 - level) + colour * level, 0, 1)
    shown[edge(mask)] = 1
    pixels: Image = (255 * shown).round().astype(np.uint8)
    return pixels
