"""Settings of backbones, classes and training; free of torch, so that checking them takes no second."""

from typing import Literal

from pydantic import Field

from pipeline.params.base import Section


class BackboneParams(Section):
    """One entry of section `backbones`."""

    timm: str | None = None
    """timm model id; null only for `none`, the absent branch."""
    options: dict[str, bool | int | float | str | tuple[int, ...]] = Field(default_factory=dict)
    """Keyword arguments for `timm.create_model`, for instance `drop_path_rate`."""
    weights: str = "none"
    """`none`, `hub`, or a path of a .safetensors, .pth or .pt state dict, timm's or torchvision's key names."""
    revision: str = "main"
    """Commit of the hub repository; pin one to share a study."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Expected SHA-256 of the weights file; null takes what comes and records its hash."""


class ClassSetParams(Section):
    """One entry of section `class_sets`, with the categories the paper calls ambiguous."""

    exclude: tuple[str, ...]
    """Category names left out of training and test."""
    ambiguous: tuple[str, ...]
    """Category names of the ambiguous pair; those absent from the data set are ignored."""


class TrainParams(Section):
    """Section `train`: the recipe of section 4.1, with the traps of the released code as choices."""

    epochs: int = Field(ge=1)
    """Passes over the train split."""
    batch_size: int = Field(ge=1)
    """Samples per optimiser step."""
    optimizer: Literal["adam", "adamw", "sgd"]
    """Optimiser; the paper uses adam."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate."""
    weight_decay: float = Field(ge=0)
    """Weight decay of the optimiser."""
    schedule: Literal["warmup_cosine", "released", "constant"]
    """`warmup_cosine` steps per optimiser step; `released` gives the paper's 30 real rates, one an epoch."""
    warmup_epochs: float = Field(ge=0)
    """Epochs of linear warm-up of `warmup_cosine`."""
    flip: float = Field(ge=0, le=1)
    """Probability of a horizontal flip."""
    joint_flip: bool
    """True flips ROI and extra-ROI together; false flips each on its own, as released."""
    normalize: Literal["backbone", "none"]
    """`backbone` applies each branch's own mean and std; `none` as released."""
    features: Literal["pooled", "logits"]
    """What a branch hands on: pooled features, or 1000-way ImageNet logits as released."""
    hidden: int = Field(ge=1)
    """Units of the hidden layer of the integration module; 640 in the paper."""
    threads: int = Field(ge=1)
    """CPU threads of training; part of the result, since sums are split among them."""
    seed: int = Field(ge=0)
    """Seed of initialisation, order and flips; copied from the top-level `seed`."""
