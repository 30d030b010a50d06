"""A distilled DeiT as a student."""

import copy

import pytest
import torch
from torch import Tensor

from pipeline.models.artifact import build_run
from pipeline.models.backbone import create_timm_model
from pipeline.models.rvernet import build_student, check_student, split_heads
from pipeline.runtime.errors import ModelError
from tests.small_run import SIDE, TRAIN, backbone_card
from tests.students import CLASSES, make_student, student_card, student_plan

PIXELS = torch.arange(5 * 3 * SIDE * SIDE).remainder(251).reshape(5, 3, SIDE, SIDE).to(torch.uint8)


def heads_of(model: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """Return what each head says of its token, computed from the tokens."""
    branch = model.roi
    tokens = branch.backbone.forward_features((PIXELS - branch.mean) / branch.std)
    return branch.backbone.head(tokens[:, 0]), branch.backbone.head_dist(tokens[:, 1])


def test_in_training_each_head_reads_its_own_token() -> None:
    """The class head the class token, the distillation head the other."""
    model = make_student().train()
    found = split_heads(model(PIXELS, None))
    for got, expected in zip(found, heads_of(model), strict=True):
        assert got.shape == (5, CLASSES)
        torch.testing.assert_close(got, expected)
    assert not torch.allclose(*found)


def test_in_use_both_heads_are_averaged() -> None:
    """Timm's rule; the output is that of any run."""
    model = make_student().eval()
    torch.testing.assert_close(model(PIXELS, None), sum(heads_of(model)) / 2)


def test_a_copy_is_a_student_too() -> None:
    """The average of the weights is made of one."""
    model = make_student().train()
    torch.testing.assert_close(copy.deepcopy(model)(PIXELS, None), model(PIXELS, None))


def test_what_a_recipe_says_of_other_runs_heads_changes_no_student() -> None:
    """It has its own two, whatever branches hand on and the released code left out."""
    released = TRAIN.model_copy(update={"features": "logits", "deit_distilled_head": "released"})
    plain, other = (
        build_run(student_plan().model_copy(update={"train": train}), {}).eval() for train in (TRAIN, released)
    )
    torch.testing.assert_close(other(PIXELS, None), plain(PIXELS, None))


def test_pre_trained_weights_of_other_classes_fit() -> None:
    """All but the heads is taken over, and the heads are drawn anew for the run's classes."""
    card = student_card()
    whole = create_timm_model("demo_deit_distilled", card.options | {"img_size": SIDE})
    assert whole.num_classes == 1000
    model = build_student(card, TRAIN, image_size=SIDE, num_classes=CLASSES, tensors=dict(whole.state_dict()))
    ours, theirs = model.roi.backbone.state_dict(), whole.state_dict()
    same = {name for name in theirs if ours[name].shape == theirs[name].shape and torch.equal(ours[name], theirs[name])}
    heads = {name for name in theirs if name.startswith("head")}
    assert same == theirs.keys() - heads
    assert all(len(ours[name]) == CLASSES for name in heads)


def test_a_backbone_without_the_token_is_refused_with_those_that_have_one() -> None:
    """By name, before anything is trained."""
    plain, others = backbone_card("plain"), (backbone_card("tiny"), student_card())
    with pytest.raises(ModelError, match=r"'plain' \(test_vit\) has no distillation token; choose student"):
        check_student(plain, others)
    with pytest.raises(ModelError, match="choose none of `backbones`"):
        check_student(plain, (plain,))
    check_student(student_card(), others)
