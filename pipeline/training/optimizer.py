"""The optimiser of a recipe, and which parameters it moves how fast."""

from typing import Any, TypeAlias

from torch import optim

from pipeline.models.backbone import Branch
from pipeline.models.rvernet import RveRNet
from pipeline.params.model import TrainParams

SGD_MOMENTUM = 0.9
FUSED = True
"""One call a step for all tensors, a fifth of the time of one by one; the latter is torch's choice on a CPU."""

Groups: TypeAlias = list[dict[str, Any]]
"""Parameter groups as torch's optimisers take them; `lr_scale` is a factor on the schedule's rate."""


def make_optimizer(model: RveRNet, params: TrainParams) -> optim.Optimizer:
    """Return the optimiser over all parameters that are not frozen; `set_rate` gives it its rate before every step."""
    groups, rate = parameter_groups(model, params), params.learning_rate
    match params.optimizer:
        case "adam":
            return optim.Adam(groups, rate, fused=FUSED)
        case "adamw":
            return optim.AdamW(groups, rate, weight_decay=0.0, fused=FUSED)  # of groups that state none
        case "sgd":
            return optim.SGD(groups, rate, momentum=SGD_MOMENTUM, fused=FUSED)


def parameter_groups(model: RveRNet, params: TrainParams) -> Groups:
    """Group parameters by weight decay and rate, by timm's own rules.

    Biases, norms and whatever the backbone's family exempts (tokens, position embeddings) are not decayed. With layer
    decay each branch is counted from its own last layer, so branches of different depth end at the full rate alike.
    """
    if params.layer_decay == 1 and not params.weight_decay:
        return [{"params": [parameter for parameter in model.parameters() if parameter.requires_grad]}]
    # Its optimisers bring torch's compiler along: two seconds that a run without groups spares itself.
    from timm.optim import param_groups_layer_decay, param_groups_weight_decay  # type: ignore[attr-defined]  # noqa: PLC0415

    if params.layer_decay == 1:
        exempt = {name for prefix, branch in _branches(model) for name in _exempt(branch, prefix)}
        plain: Groups = param_groups_weight_decay(model, params.weight_decay, no_weight_decay_list=exempt)
        return plain
    groups: Groups = []
    for _, branch in _branches(model):
        groups += param_groups_layer_decay(
            branch.backbone,
            weight_decay=params.weight_decay,
            no_weight_decay_list=_exempt(branch),
            layer_decay=params.layer_decay,
        )
    groups += param_groups_weight_decay(model.head, params.weight_decay)
    return groups


def _branches(model: RveRNet) -> list[tuple[str, Branch]]:
    """Return every branch once, with the prefix of its parameters' names."""
    own = None if model.extra_roi is model.roi else model.extra_roi
    pairs = (("roi.backbone.", model.roi), ("extra_roi.backbone.", own))
    return [(prefix, branch) for prefix, branch in pairs if branch is not None]


def _exempt(branch: Branch, prefix: str = "") -> set[str]:
    named = getattr(branch.backbone, "no_weight_decay", set)
    return {f"{prefix}{name}" for name in named()}


def set_rate(optimizer: optim.Optimizer, rate: float) -> None:
    """Give every group the schedule's rate, times the factor of its layer."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
