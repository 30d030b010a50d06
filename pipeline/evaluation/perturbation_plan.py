"""Which perturbations a run goes through: Tables 10, 11 and 12."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from pipeline.evaluation.perturbation import Branch, Permutation, Perturbation, Translocation
from pipeline.params.analysis import PerturbParams

Target: TypeAlias = Literal["roi", "extra_roi", "both"]
"""Views that are perturbed."""


@dataclass(frozen=True, slots=True)
class PerturbationKey:
    """Joins a perturbed evaluation of ours with cells of the paper's tables.

    Permutations of all seeds share a key. Patch size, origin and direction of dy are not part of it: where they differ
    from the paper's, the cell shows our number and says how it differs.
    """

    target: Target
    offset: tuple[int, int] | None = None
    """(dx, dy) of a translocation in pixels at 224; None for a permutation."""

    @property
    def kind(self) -> Literal["permutation", "translocation"]:
        """Patches shuffled, or the picture moved."""
        return "permutation" if self.offset is None else "translocation"

    def __str__(self) -> str:
        """Return how result files name it, for instance `translocation by (-30, 63)`."""
        return f"permutation of {self.target}" if self.offset is None else f"translocation by {self.offset}"


class Entry(NamedTuple):
    """One perturbed evaluation of the test set; None leaves a view as it is."""

    roi: Permutation | None
    """What happens to the ROI view."""
    extra_roi: Permutation | Translocation | None
    """What happens to the extra-ROI view."""
    offset: tuple[int, int] | None
    """(dx, dy) of a translocation as the parameters give it."""

    def of(self, branch: Branch) -> Perturbation | None:
        """Return what happens to one view."""
        return self.roi if branch == "roi" else self.extra_roi

    @property
    def key(self) -> PerturbationKey:
        """What the tables call it."""
        return PerturbationKey("extra_roi" if not self.roi else "both" if self.extra_roi else "roi", self.offset)


def plan_entries(params: PerturbParams, side: int, branches: tuple[Branch, ...]) -> tuple[Entry, ...]:
    """List the perturbed evaluations of a run in the order of the paper's tables.

    `both` permutes each view as the entries before it do, so no branch sees an input twice.

    Args:
        params: Section `perturb`.
        side: Side of the cut-outs in pixels.
        branches: Branches the run has.
    """
    permutations = [Permutation(params.patch_size, params.seed, n) for n in range(params.permutation_seeds)]
    roi = [Entry(p, None, None) for p in permutations if "roi" in branches]
    extra_roi = [Entry(None, p, None) for p in permutations if "extra_roi" in branches]
    both = [Entry(p, p, None) for p in permutations if {"roi", "extra_roi"} <= set(branches)]
    return (*roi, *extra_roi, *both, *(_translocations(params, side) if "extra_roi" in branches else ()))


def _translocations(params: PerturbParams, side: int) -> tuple[Entry, ...]:
    """Return the corner's identity, which separates centring from shifting, and every offset."""
    identity = Entry(None, Translocation(0, 0, "corner"), (0, 0))
    entries = [Entry(None, translocation(offset, params, side), offset) for offset in params.offsets]
    return tuple(dict.fromkeys((identity, *entries)))


def translocation(offset: tuple[int, int], params: PerturbParams, side: int) -> Translocation:
    """Scale an offset (dx, dy) to a canvas of `side` pixels and give dy its direction."""
    dx, dy = (scale_offset(value, params.offset_size, side) for value in offset)
    return Translocation(right=dx, down=params.dy_sign * dy, origin=params.origin)


def scale_offset(value: int, offset_size: int, side: int) -> int:
    """Return `value * side / offset_size` rounded half away from zero, in whole numbers so that no machine differs."""
    rounded = (2 * abs(value) * side + offset_size) // (2 * offset_size)
    return rounded if value >= 0 else -rounded
