"""Section `masks`: where regions of interest come from, and what the stages around them need of it."""

from typing import Literal, TypeAlias, TypeVar

from pydantic import Field

from pipeline.params.base import ReadsOutside, Section, omit_default
from pipeline.params.stages import VOID, Geometry, SegmentParams

SourceName: TypeAlias = str  # a mask source: one of `SOURCES`, or a name of `masks.transformers`
SOURCES = ("annotation", "sam", "fastsam", "grabcut")
SamArchitectureName: TypeAlias = Literal["vit_b", "vit_l", "vit_h", "tiny"]
"""Architectures of segment-anything; `tiny` is a stand-in of 0.1 M parameters for trials, without weights."""
FastSamArchitectureName: TypeAlias = Literal["s", "x", "tiny"]  # `tiny` is a stand-in for trials, without weights
OFFICIAL, RANDOM = "official", "random"  # values of `weights` that are no path

PartT = TypeVar("PartT", bound=Section)


class PromptParams(Section):
    """Section `masks.prompts`: how annotation becomes the prompts that a user would give."""

    kind: Literal["box", "point", "box_point"]  # bounding box of every connected part, its deepest pixel, or both
    min_area: int = Field(ge=0)  # pixels below which a part gets no prompt, unless it is the largest
    min_share: float = Field(ge=0, le=1)  # share of the mask below which a part gets no prompt, unless it is largest
    max_parts: int = Field(ge=1, le=16)  # prompts a sample at most, those of the largest parts
    jitter: float = Field(ge=0, le=0.5)  # standard deviation of each edge of a box, as a share of its side; 0 is exact
    seed: int = Field(ge=0)  # seed of the jitter; its own, so that another seed of training leaves the masks cached


class MaskWeightsParams(ReadsOutside):
    """What stage `mask_weights` fetches."""

    architecture: str  # size of the network
    weights: str  # `official`, `random` (for trials), or a path of a state dict, of FastSAM a .pt file of ultralytics
    sha256: str | None = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 to insist on; null takes the official file's, or for a path whatever comes."""


class SamWeightsParams(MaskWeightsParams):
    """What stage `mask_weights@sam` fetches."""

    architecture: SamArchitectureName


class FastSamWeightsParams(MaskWeightsParams):
    """What stage `mask_weights@fastsam` fetches."""

    architecture: FastSamArchitectureName


class SamDecoding(Section):
    """How SAM answers prompts."""

    prompts_per_chunk: int = Field(ge=1)  # prompts decoded together
    photos_per_batch: int = Field(ge=1)  # photos encoded together on a GPU; on the CPU it is always one
    threads: int = Field(ge=1)  # CPU threads; fixed so that the bytes do not depend on the machine


class SamParams(SamWeightsParams, SamDecoding):
    """Section `masks.sam`."""


class FastSamDecoding(Section):
    """How FastSAM finds masks and how one of them is chosen for a prompt."""

    image_size: int = Field(ge=32, multiple_of=32)  # side in pixels to which photos are fitted
    confidence: float = Field(gt=0, lt=1)  # confidence below which a mask is no candidate
    iou: float = Field(gt=0, lt=1)  # IoU above which the less confident of two candidates is dropped
    max_masks: int = Field(ge=1)  # candidates a photo at most
    min_iou: float = Field(ge=0, le=1)  # IoU of a candidate's box with the prompted box below which nothing fits
    photos_per_batch: int = Field(ge=1)  # photos that pass the network together on a GPU; on the CPU it is always one
    threads: int = Field(ge=1)  # CPU threads; fixed so that the bytes do not depend on the machine


class FastSamParams(FastSamWeightsParams, FastSamDecoding):
    """Section `masks.fastsam`."""


class PromptableWeightsParams(ReadsOutside):
    """What stage `mask_weights` fetches for a source of `masks.transformers`."""

    model: str  # repository `owner/name` of the hub, or a folder as transformers saves a model; weights are safetensors
    revision: str = "main"  # commit, 40 hex digits; of a branch the stage takes the latest and prints its commit


class PromptableParams(PromptableWeightsParams):
    """One entry of section `masks.transformers`; for the defaults see `SamDecoding`."""

    prompts_per_chunk: int = Field(default=16, ge=1)
    photos_per_batch: int = Field(default=8, ge=1)
    threads: int = Field(default=2, ge=1)


class VoteModelParams(PromptableWeightsParams):
    """One entry of section `vote.models`: a semantic segmentation model of transformers."""

    threads: int = Field(default=2, ge=1)  # CPU threads; fixed so that the bytes do not depend on the machine


class VoteParams(Section):
    """Section `vote`: models that vote for a category inside each test mask, each by a stage of its own."""

    models: dict[str, VoteModelParams]  # by name


class VotePlan(Section):
    """`data/votes/plan.json`: the models that are asked for, so that votes of earlier ones are passed over."""

    models: tuple[str, ...]


class VoteSummary(Section):
    """`vote.json` of stage `vote`."""

    name: str  # as `vote.models` calls the model
    model: str  # name of its folder; of the hub repository@commit
    architecture: str  # as transformers calls it
    sha256: str  # of the listing of its files of tensors by sha256sum
    source: str  # masks inside of which it votes
    samples: int  # test samples
    top1: float  # in [0, 1]
    macro_f1: float  # over classes that occur in targets or predictions, in [0, 1]
    labels_without_category: tuple[str, ...]  # labels of the model that do not vote
    categories_without_label: tuple[str, ...]  # categories that it cannot answer


class MasksParams(Section):
    """Section `masks`."""

    eval: SourceName  # masks that runs are evaluated on
    train: SourceName  # masks that runs are trained on
    photos_per_file: int = Field(ge=1)  # photos whose masks share one Parquet file
    prompts: PromptParams
    sam: SamParams
    fastsam: FastSamParams
    transformers: dict[str, PromptableParams]  # further sources by name
    tiny_area: int = Field(ge=0)  # masks of fewer pixels have status `tiny`; copied from `index.tiny_area`


class PromptedParams(Section):
    """What `segment` needs to make masks from prompts, whatever answers them."""

    photos_per_file: int  # photos whose masks share one Parquet file
    tiny_area: int  # masks of fewer pixels have status `tiny`
    prompts: PromptParams  # how annotation becomes prompts
    source: SourceName


class SamSegmentParams(PromptedParams):
    """Settings of `segment@sam` and of `segment` for a source of `masks.transformers`."""

    decoding: SamDecoding  # how prompts are answered


class FastSamSegmentParams(PromptedParams):
    """Settings of `segment@fastsam`."""

    decoding: FastSamDecoding  # how prompts are answered


class GrabCutSegmentParams(PromptedParams):
    """Settings of `segment@grabcut`."""


class NoWeightsParams(Section):
    """Settings of `mask_weights@annotation` and `mask_weights@grabcut`: nothing to fetch."""


def part_of(section: Section, schema: type[PartT]) -> PartT:
    """Return the fields of a section that a smaller schema has."""
    return schema.model_validate(section.model_dump(include=set(schema.model_fields)))


def settings_by_source(masks: MasksParams) -> dict[SourceName, Section]:
    """Return what stage `segment` depends on, source by source, so that a value of one leaves the others cached."""
    shared = masks.model_dump(include={"photos_per_file", "tiny_area"}) | {"prompts": masks.prompts}
    sam, fastsam = part_of(masks.sam, SamDecoding), part_of(masks.fastsam, FastSamDecoding)
    reference_only = "annotation" not in {masks.eval, masks.train}
    files = masks.photos_per_file
    return {
        "annotation": SegmentParams(source="annotation", photos_per_file=files, reference_only=reference_only),
        "sam": SamSegmentParams(source="sam", decoding=sam, **shared),
        "fastsam": FastSamSegmentParams(source="fastsam", decoding=fastsam, **shared),
        "grabcut": GrabCutSegmentParams(source="grabcut", **shared),
        **{
            name: SamSegmentParams(source=name, decoding=part_of(part, SamDecoding), **shared)
            for name, part in masks.transformers.items()
        },
    }


def weights_by_source(masks: MasksParams) -> dict[SourceName, Section]:
    """Return what stage `mask_weights` depends on, source by source."""
    sam, fastsam = part_of(masks.sam, SamWeightsParams), part_of(masks.fastsam, FastSamWeightsParams)
    further = {name: part_of(part, PromptableWeightsParams) for name, part in masks.transformers.items()}
    return {"annotation": NoWeightsParams(), "sam": sam, "fastsam": fastsam, "grabcut": NoWeightsParams(), **further}


class AgreementParams(Section):
    """Section `agreement`: masks of a source against the annotation."""

    boundary: float = Field(gt=0, lt=0.5)  # width of the rim of boundary IoU, as a share of the photo's diagonal
    shown: int = Field(ge=1)  # samples shown of each of best, median and worst
    image_size: int = Field(ge=16)  # side in pixels at which the models see the masks; copied from `pair.image_size`
    geometry: Geometry = omit_default("exact")  # how the models see them; copied from `pair.geometry`
    void: tuple[int, ...] = omit_default((VOID,))
    """Values of undecided pixels, which no semantic map is judged on; copied from `index.void`."""
    seed: int = Field(ge=0)  # seed of the bootstrap; copied from the top-level `seed`


class TransferParams(Section):
    """Section `transfer`: section 3.1 of the paper, that prompted masks differ ignorably."""

    top1_margin: float = Field(gt=0, lt=1)  # ignorable change of top-1, in which the whole 95 % interval has to lie
    macro_f1_margin: float = Field(gt=0, lt=1)  # change of macro F1 that is ignorable
    seed: int = Field(ge=0)  # seed of the bootstrap; copied from the top-level `seed`
