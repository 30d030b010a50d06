"""Which parameters move how fast."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn, optim

from pipeline.models.artifact import build_run
from pipeline.models.rvernet import RveRNet
from pipeline.training.optimizer import make_optimizer, parameter_groups, set_rate
from tests.small_run import TRAIN, backbone_card, run_card

DEPTH = 3
DECAY = 0.05


@pytest.fixture(scope="module")
def model() -> RveRNet:
    """Return two branches of three blocks each."""
    deep = backbone_card("tiny").model_copy(update={"options": backbone_card("tiny").options | {"depth": DEPTH}})
    card = run_card(("roi", "extra_roi"))
    return build_run(card.model_copy(update={"backbones": dict.fromkeys(card.backbones, deep)}), {})


def settings(model: RveRNet, **changes: object) -> Iterator[tuple[str, float, float]]:
    """Yield name, factor on the rate and weight decay of every parameter."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in parameter_groups(model, TRAIN.model_copy(update=changes)):
        for parameter in group["params"]:
            yield names[id(parameter)], group.get("lr_scale", 1.0), group.get("weight_decay", 0.0)


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_every_parameter_is_in_one_group(model: RveRNet, layer_decay: float) -> None:
    """None is forgotten, none moves twice."""
    grouped = [name for name, _, _ in settings(model, layer_decay=layer_decay, weight_decay=DECAY)]
    assert sorted(grouped) == sorted(name for name, _ in model.named_parameters())


def test_without_decay_there_is_one_group_in_the_models_order(model: RveRNet) -> None:
    """As torch's optimisers do it, so that plain recipes keep their bits."""
    (group,) = parameter_groups(model, TRAIN)
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_biases_norms_and_tokens_are_not_decayed(model: RveRNet, layer_decay: float) -> None:
    """Matrices are."""
    for name, _, decay in settings(model, layer_decay=layer_decay, weight_decay=DECAY):
        spared = name.endswith((".bias", "cls_token", "pos_embed", "reg_token")) or "norm" in name
        assert decay == (0 if spared else DECAY), name


def test_rates_fall_by_depth_alike_in_both_branches(model: RveRNet) -> None:
    """The last block has the full rate like the head, each before it one decay less, the embeddings the least."""
    scales = {name: scale for name, scale, _ in settings(model, layer_decay=0.5)}
    for branch in ("roi", "extra_roi"):
        prefix = f"{branch}.backbone"
        for block in range(DEPTH):
            assert scales[f"{prefix}.blocks.{block}.mlp.fc1.weight"] == pytest.approx(0.5 ** (DEPTH - 1 - block))
        assert scales[f"{prefix}.patch_embed.proj.weight"] == pytest.approx(0.5**DEPTH)
    assert {scales[name] for name in scales if name.startswith("head.")} == {1.0}


@pytest.mark.parametrize(("name", "kind"), [("adam", optim.Adam), ("adamw", optim.AdamW), ("sgd", optim.SGD)])
def test_an_update_steps_by_the_given_rate(model: RveRNet, name: str, kind: type[optim.Optimizer]) -> None:
    """Rate 0, as in the first epoch of the released code, moves nothing; a rate moves against the gradient."""
    optimizer = make_optimizer(model, TRAIN.model_copy(update={"optimizer": name, "layer_decay": 0.5}))
    assert type(optimizer) is kind
    weight = next(model.head.parameters())
    before = weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    set_rate(optimizer, 0.0)
    optimizer.step()
    assert torch.equal(weight, before)
    set_rate(optimizer, 0.1)
    optimizer.step()
    assert bool((weight < before).all())
    assert {group["lr"] for group in optimizer.param_groups} == {0.1 * 0.5**power for power in range(DEPTH + 1)}


def test_a_frozen_parameter_is_in_no_group(model: RveRNet) -> None:
    """With layer decay and without."""
    assert model.roi is not None
    model.roi.requires_grad_(requires_grad=False)
    try:
        for layer_decay in (1.0, 0.5):
            assert not [name for name, _, _ in settings(model, layer_decay=layer_decay) if name.startswith("roi.")]
    finally:
        model.roi.requires_grad_(requires_grad=True)
    assert isinstance(model.head, nn.Module)
