"""Settings of the stages, other than those of the masks and of training."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from pipeline.params.base import Name, ReadsOutside, Section, omit_default

Geometry: TypeAlias = Literal["exact", "released"]  # fit of a photo into the square, and whether its views add up to it

DistillationKind: TypeAlias = Literal["hard", "soft"]
"""`hard`: the teacher's decision is a label; `soft`: its probabilities are, at a temperature."""
VOID = 255  # value by which most data sets mark pixels that no annotator decided
TEST_SHARE = 0.3  # share of a drawn test split, that of FoodSeg103's
SampleUnit: TypeAlias = Literal["category", "object"]  # what is one sample: a category in a photo, or an object
TestSplit: TypeAlias = Literal["auto", "val", "test", "draw"]
"""Test split of data sets whose annotation is objects; `auto` is test, or val without test, or drawn without both."""


class DemoParams(Section):
    """Section `demo`: the generated data set."""

    train_photos: int = Field(ge=1, le=100_000)  # photos of the train split
    test_photos: int = Field(ge=1, le=100_000)  # photos of the test split
    seed: int = Field(ge=0)  # seed of every scene; scene i of a split depends on (seed, split, i) alone


class DownloadParams(ReadsOutside):
    """Section `download`: where photos come from and what may not be exceeded."""

    source: str  # `demo`, `foodseg103`, or an archive or a folder: its path, or an http(s)://, file:// or s3:// URL
    sha256: str | None = Field(pattern="^[0-9a-f]{64}$")  # expected of the archive; null records and prints it instead
    password: str | None  # ZipCrypto password of the archive
    max_gigabytes: float = Field(gt=0)  # bound on the extracted size in 10^9 bytes
    max_files: int = Field(ge=1)  # bound on the number of extracted files
    attempts: int = Field(ge=1, le=100)  # tries of a broken transfer, each resuming where the last one stopped
    timeout: float = Field(gt=0)  # seconds without a byte after which a transfer counts as broken
    extra: dict[str, str]  # folder of photos by extra category name; see docs/data.md for its layout
    demo: DemoParams  # used when `source` is `demo`


class IndexParams(Section):
    """Section `index`: the validation split, and what happens to photos that cannot be used."""

    validation: float = Field(default=0.0, ge=0, lt=1)
    """Share of the train photos that become the split `validation`; a data set that has one keeps its own."""
    seed: int = Field(default=0, ge=0)  # seed of the draws
    on_error: Literal["fail", "skip_empty", "skip"]
    """`fail` stops at the first unusable photo, `skip` leaves it out and lists it in summary.json, `skip_empty` leaves
    out photos whose label map marks no food and stops at damage."""
    tiny_area: int = Field(ge=0)  # masks of fewer pixels get the flag `tiny`; they stay samples, as in the paper
    void: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = omit_default((VOID,))
    """Values of label maps that annotators left undecided: no food, and no reason to leave a photo out."""
    unit: SampleUnit = omit_default("category")
    """What a sample is in data sets whose annotation is objects: a category in a photo, or a single object."""
    test: TestSplit = omit_default("auto")  # see `TestSplit`
    test_share: float = omit_default(TEST_SHARE, gt=0, lt=1)  # share of photos that are drawn for a test split


class AmbiguousParams(Section):
    """Section `ambiguous`: the pair of categories that evaluation and report speak of."""

    names: tuple[Name, ...]  # two categories as given, or none
    auto: bool  # whether stage `ambiguous` finds the pair in the validation split


class SegmentParams(Section):
    """Settings of `segment@annotation`; those of other sources are in `pipeline.params.masks`."""

    source: Literal["annotation"]  # mask source
    photos_per_file: int = Field(ge=1)  # photos whose masks share one Parquet file, the unit of work
    reference_only: bool = omit_default(default=False)
    """Nobody trains on these masks nor is judged on them, so clicks may stand in for the masks they ask for."""


class PairParams(Section):
    """Section `pair`: geometry of the two cut-outs and size of a shard."""

    image_size: int = Field(ge=16, le=2048)  # side of the square cut-outs in pixels
    fill: int = Field(ge=0, le=255)  # gray level of hidden pixels, 0 black to 255 white
    pad: int = Field(ge=0, le=255)  # gray level of the letterbox around the photo
    geometry: Geometry = omit_default("exact")
    """`exact` fills the square with the long side, and both views add up to the photo; `released` rounds the long side
    down in floating point, often to 1 pixel less, and resizes each view on its own."""
    photos_per_file: int = Field(ge=1)  # photos whose samples share one shard, the unit of work


def _is_folds(number: int) -> int:
    if number == 1:
        raise ValueError("1 is given, which leaves no photo to train on; allowed is 0, or 2 or more")
    return number


class ProbeParams(Section):
    """Section `probe`: classifiers on the features of frozen backbones."""

    backbones: tuple[str, ...] = Field(default=(), min_length=1, exclude=True)
    """Backbones to probe, each by a stage of its own, whose settings do not hold the others."""
    folds: Annotated[int, Field(ge=0), AfterValidator(_is_folds)]
    """Folds over all photos, so that each is tested once; 0 trains and tests on the data set's own split."""
    batch_size: int = Field(ge=1)  # pictures per forward pass; no effect on the numbers beyond rounding
    threads: int = Field(ge=1)  # CPU threads; fixed so that the bytes do not depend on the machine
    seed: int = Field(ge=0)  # seed of folds, resamples and random weights; copied from the top-level `seed`


class EvaluateParams(Section):
    """Section `evaluate`."""

    batch_size: int = Field(ge=1)  # samples per forward pass; no effect on the numbers beyond rounding
    threads: int = Field(ge=1)  # CPU threads; fixed so that the bytes do not depend on the machine
    ece_bins: int = Field(ge=1)  # equal-width confidence bins of the expected calibration error
    top_confusions: int = Field(ge=0)  # pairs of categories listed as most confused


class PerturbParams(Section):
    """Section `perturb`: permutation and translocation, supplement B."""

    patch_size: int = Field(ge=1)  # side of the permuted patches in pixels; 16 at 224 in the paper
    permutation_seeds: int = Field(ge=1)  # independent permutations; the tables show the first, the spread covers all
    offsets: tuple[tuple[int, int], ...]  # translocations (dx, dy) in pixels at `offset_size`
    offset_size: int = Field(ge=1)  # image side that `offsets` refer to; they are scaled to the actual side
    origin: Literal["corner", "center"]
    """`corner` shifts from the top-left corner as released, `center` from the centred letterbox: a true shift."""
    dy_sign: Literal[-1, 1]  # -1 moves up for positive dy, as released; 1 moves down
    batch_size: int = Field(ge=1)  # samples per forward pass
    threads: int = Field(ge=1)  # CPU threads; fixed so that the bytes do not depend on the machine
    pad: int = Field(ge=0, le=255)  # gray level of the canvas; copied from `pair.pad`
    seed: int = Field(ge=0)  # seed of the permutations; copied from the top-level `seed`


class ExplainParams(Section):
    """Section `explain`: Grad-CAM, Figure 4."""

    samples: int = Field(ge=1)  # test samples with heat maps, up to half of the ambiguous pair; the same for every run
    method: Literal["hires_cam", "grad_cam"]
    """`grad_cam` averages gradients over all places; `hires_cam` weighs each place by its own, see docs/decisions."""
    explained: Literal["prediction", "truth"]  # class whose logit the maps speak for: the predicted or the true one
    batch_size: int = Field(ge=1)  # samples per backward pass
    threads: int = Field(ge=1)  # CPU threads; fixed so that the bytes do not depend on the machine
    seed: int = Field(ge=0)  # seed of the choice of samples; copied from the top-level `seed`


class ReportParams(Section):
    """Section `report`."""

    samples: int = Field(ge=1)  # samples on the contact sheet
    probed: tuple[str, ...] = ()  # backbones whose frozen features the page shows; copied from `probe.backbones`
    seed: int = Field(ge=0)  # seed of the choice of samples; copied from the top-level `seed`


class RepeatParams(Section):
    """Section `repeat`: what `seeds` repeats."""

    runs: tuple[str, ...]  # names of runs of the grid; those of one class set are compared with each other


class RepetitionPlan(Section):
    """`data/repeats/plan.json`: what is asked for, so that results of earlier requests are passed over."""

    seeds: tuple[int, ...]  # the runs' own seed, then those of their repetitions; none where no repetition is asked for
    runs: tuple[str, ...]  # runs that are repeated; none without seeds


class DistillParams(Section):
    """Section `distill`: DeiT's distillation through a token, on ROI samples.

    Reference:
        Touvron et al., Training data-efficient image transformers & distillation through attention, arXiv 2012.12877.
    """

    teacher: str  # backbone that teaches, or none
    student: str  # backbone that learns; it has a distillation token
    kind: DistillationKind  # what is learned from the teacher
    alpha: float = Field(ge=0, le=1)  # the teacher's share of the loss; DeiT: 0.5 for hard, 0.1 for soft distillation
    temperature: float = Field(gt=0)  # what logits of both are divided by in soft distillation; DeiT: 3


class DistillationSummary(Section):
    """`summary.json` of stage `distill`; all None without a teacher."""

    teacher: str | None  # run of the teacher
    student: str | None  # run of the student
    undistilled: str | None  # run of the student's backbone trained on labels alone; not every study has it
