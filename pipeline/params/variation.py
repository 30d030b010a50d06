"""Settings of what goes beyond the grid: repetitions under other seeds, and a student taught by another model."""

from typing import Literal, TypeAlias

from pydantic import Field

from pipeline.params.base import Section

DistillationKind: TypeAlias = Literal["hard", "soft"]
"""`hard`: the teacher's decision is a label; `soft`: its probabilities are, at a temperature."""


class RepeatParams(Section):
    """Section `repeat`: what `seeds` repeats."""

    runs: tuple[str, ...]
    """Names of runs of the grid; those of one class set are compared with each other."""


class RepetitionPlan(Section):
    """`data/repeats/plan.json`: what is asked for, so that results of earlier requests are passed over."""

    seeds: tuple[int, ...]
    """The runs' own seed, then those of their repetitions; none where no repetition is asked for."""
    runs: tuple[str, ...]
    """Runs that are repeated; none without seeds."""
    ambiguous: tuple[str, ...]
    """Names of the ambiguous pair; none without seeds."""


class DistillParams(Section):
    """Section `distill`: DeiT's distillation through a token, on ROI samples.

    Reference:
        Touvron et al., Training data-efficient image transformers & distillation through attention, arXiv 2012.12877.
    """

    teacher: str
    """Backbone that teaches, or none."""
    student: str
    """Backbone that learns; it has a distillation token."""
    kind: DistillationKind
    """What is learned from the teacher."""
    alpha: float = Field(ge=0, le=1)
    """Share of the loss that the teacher sets; DeiT: 0.5 for hard, 0.1 for soft distillation."""
    temperature: float = Field(gt=0)
    """What logits of both are divided by in soft distillation; DeiT: 3."""
