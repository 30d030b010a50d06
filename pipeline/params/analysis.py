"""Settings of what follows training: evaluate, perturb, explain, report."""

from typing import Literal

from pydantic import Field

from pipeline.params.base import Section


class EvaluateParams(Section):
    """Section `evaluate`."""

    batch_size: int = Field(ge=1)
    """Samples per forward pass; no effect on the numbers beyond rounding."""
    threads: int = Field(ge=1)
    """CPU threads; fixed so that the bytes do not depend on the machine."""
    ece_bins: int = Field(ge=1)
    """Equal-width confidence bins of the expected calibration error."""
    top_confusions: int = Field(ge=0)
    """Pairs of categories listed as most confused."""


class PerturbParams(Section):
    """Section `perturb`: permutation and translocation, supplement B."""

    patch_size: int = Field(ge=1)
    """Side of the permuted patches in pixels; 16 at 224 in the paper."""
    permutation_seeds: int = Field(ge=1)
    """Independent permutations; the tables show the first, the spread covers all."""
    offsets: tuple[tuple[int, int], ...]
    """Translocations (dx, dy) in pixels at `offset_size`."""
    offset_size: int = Field(ge=1)
    """Image side that `offsets` refer to; they are scaled to the actual side."""
    origin: Literal["corner", "center"]
    """`corner` shifts from the top-left corner as released, `center` from the centred letterbox: a true shift."""
    dy_sign: Literal[-1, 1]
    """-1 moves up for positive dy, as released; 1 moves down."""
    batch_size: int = Field(ge=1)
    """Samples per forward pass."""
    threads: int = Field(ge=1)
    """CPU threads; fixed so that the bytes do not depend on the machine."""
    pad: int = Field(ge=0, le=255)
    """Gray level of the canvas; copied from `pair.pad`."""
    seed: int = Field(ge=0)
    """Seed of the permutations; copied from the top-level `seed`."""


class ExplainParams(Section):
    """Section `explain`: Grad-CAM, Figure 4."""

    samples: int = Field(ge=1)
    """Test samples with heat maps, up to half of them of the ambiguous pair; the same for every run."""
    method: Literal["hires_cam", "grad_cam"]
    """`grad_cam` averages gradients over all places; `hires_cam` weighs each place by its own, see docs/decisions."""
    explained: Literal["prediction", "truth"]
    """Class whose logit the maps speak for: what the run says, or what the sample is."""
    batch_size: int = Field(ge=1)
    """Samples per backward pass."""
    threads: int = Field(ge=1)
    """CPU threads; fixed so that the bytes do not depend on the machine."""
    seed: int = Field(ge=0)
    """Seed of the choice of samples; copied from the top-level `seed`."""


class ReportParams(Section):
    """Section `report`."""

    samples: int = Field(ge=1)
    """Samples on the contact sheet."""
    seed: int = Field(ge=0)
    """Seed of the choice of samples; copied from the top-level `seed`."""
