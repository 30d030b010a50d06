"""Settings of backbones, classes and training; free of torch, so that checking them takes no second."""

from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field

from pipeline.params.base import Name, ReadsOutside, Section, load_settings, omit_default

DRAWN = "demo"  # short name of the data set of drawings; no other data set has it
Init: TypeAlias = Literal["timm", "torchvision"]  # whose rules draw random weights


Pairing: TypeAlias = Literal["exact", "by_photo"]  # which extra-ROI goes with a sample


class BackboneParams(ReadsOutside):
    """One entry of section `backbones`."""

    timm: str | None = None  # timm model id; null only for `none`, the absent branch
    options: dict[str, bool | int | float | str | tuple[int, ...]] = Field(default_factory=dict)
    """Keyword arguments for `timm.create_model`, for instance `drop_path_rate`."""
    weights: str = "none"  # `none`, `hub`, `torchvision[:<entry>]`, or URL or path of a .safetensors, .pth or .pt file
    revision: str = "main"  # commit, 40 hex digits; of a branch the stage takes the latest and prints its commit
    init: Init = "timm"  # whose rules draw what no weights fill; torchvision has MobileNetV2 and ViT
    layer_norm_eps: float | None = omit_default(None, gt=0)  # of every layer norm; null leaves the architecture's own
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Expected SHA-256 of the weights file; null takes what comes and records its hash.

    A download that has its first digits in its name, as in `mobilenet_v2-b0353104.pth`, is held to them anyway.
    """


class ClassSetParams(Section):
    """One entry of section `class_sets`."""

    exclude: tuple[Name, ...]  # category names left out of training and test
    ambiguous: tuple[Name, ...] = ()
    """Category names of a given pair whose F1 test curves show, none without such curves; absent ones are ignored."""


def load_class_sets(settings: Path) -> dict[str, ClassSetParams]:
    """Return all class sets that stage `configure` resolved, by name, sorted.

    Args:
        settings: Folder of one file a class set.

    Raises:
        ParamsError: If a file does not fit the schema.
    """
    return {path.stem: load_settings(ClassSetParams, path) for path in sorted(settings.glob("*.json"))}


class TrainParams(Section):
    """Section `train`: the recipe of section 4.1, with the traps of the released code as choices."""

    epochs: int = Field(ge=1)  # passes over the train split
    batch_size: int = Field(ge=1)  # samples per optimiser step, on all devices and in all passes together
    accumulate: int = Field(ge=1)  # passes of an optimiser step, to save memory; gradients are those of the whole batch
    optimizer: Literal["adam", "adamw", "sgd"]  # optimiser; the paper uses adam
    learning_rate: float = Field(gt=0)  # peak learning rate
    layer_decay: float = Field(gt=0, le=1)
    """Factor on the rate from a backbone's layer to the one before it; the last one and the head have all of it."""
    weight_decay: float = Field(ge=0)  # not of biases, norms, tokens and position embeddings
    schedule: Literal["warmup_cosine", "released", "constant"]
    """`warmup_cosine` steps per optimiser step; `released` counts its warm-up in steps, but takes one an epoch."""
    warmup_epochs: float = Field(ge=0)  # linear warm-up of `warmup_cosine`; `released` warms up a tenth of all steps
    clip_norm: float = Field(ge=0)  # bound on the norm of all gradients together; 0 sets none
    label_smoothing: float = Field(ge=0, lt=1)  # share of a target's probability spread evenly over all classes
    balance: Literal["none", "loss", "sampler"]  # by class: `loss` weighs, `sampler` draws samples, with replacement
    balance_beta: float = Field(ge=0, lt=1)
    """Beta of the effective number of samples that `balance` goes by: 0 counts all alike, towards 1 rare ones more."""
    freeze: Literal["none", "roi", "extra_roi", "both"]
    """Branches that stay as they were loaded, their batch statistics included; an absent one has nothing to freeze.
    Where branches share their weights, freezing either freezes both. `roi` and `both` freeze the backbone of a fusion;
    with a mask channel all but its first layer."""
    ema_decay: float = Field(ge=0, lt=1)
    """Decay per step of the average of the weights that is tested and saved; 0 tests and saves the last weights."""
    flip: float = Field(ge=0, le=1)  # probability of a horizontal flip
    share_branches: bool = omit_default(default=False)
    """True makes both branches one module with one set of weights where their backbones have one name, as released."""
    joint_flip: bool  # true flips ROI and extra-ROI together; false flips each on its own, as released
    pairing: Pairing = omit_default("exact")
    """`exact` gives a sample its own extra-ROI; `by_photo`, as released, all samples of a photo that of the category
    listed last, in which all others see their own food. It holds for training and for every judgement of the run."""
    normalize: Literal["backbone", "none"]  # `backbone` applies each branch's own mean and std; `none` as released
    features: Literal["pooled", "logits"]  # what a branch hands on; `logits` are 1000-way, of ImageNet, as released
    deit_distilled_head: Literal["average", "released"] = "average"
    """What a distilled DeiT hands on: the mean of both tokens or trained heads, or the class token, through a new layer
    to logits, as released. Runs of earlier versions lack the field."""
    hidden: int = Field(ge=1)  # units of the hidden layer of the integration module; 640 in the paper
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    """Of the forward pass; `fp16` comes with loss scaling. `configure` resolves `auto`: bf16 where `runtime.device` is
    cuda, fp32 where it is anything else. Runs of earlier versions may hold `auto`."""
    compile: bool  # whether torch.compile fuses the model's kernels, for minutes of compiling first
    threads: int = Field(ge=1)  # CPU threads of training; part of the result, since sums are split among them
    select: Literal["last", "best_validation"] = omit_default("last")
    """Epoch whose weights are kept: the last, or the one of the highest top-1 on the validation split, the earliest of
    equals."""
    test_curves: bool = omit_default(default=False)
    """Whether the history has the scores on the test split after every epoch; no choice sees them. Without it training
    does not read the test split."""
    seed: int = Field(ge=0)  # seed of initialisation, order and flips; copied from the top-level `seed`
    devices: int = Field(default=1, ge=1)
    """Processes that train the run together, which share sums and dropout masks; copied from `runtime.devices`.

    In `run.json` the number that finished the run. Runs of earlier versions lack the field.
    """
    data_set: Name | None = omit_default(None)
    """Short name of the data set, from `download.source`; `DRAWN` is the demo. Runs of earlier versions lack the field.
    """

    def for_fusion(self) -> "TrainParams":
        """Return the recipe as a run with one backbone on photo and mask follows it.

        A photo is that of the sample's own views, flipped with its mask, and there is no second branch to share with.
        """
        return self.model_copy(update={"pairing": "exact", "joint_flip": True, "share_branches": False})
