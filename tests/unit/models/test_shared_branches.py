"""One module as both branches, and what else the released code's networks are made of."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from pipeline.models.artifact import RunConfig, build_run, load_run, save_run
from pipeline.models.card import RUN_CARD
from pipeline.models.rvernet import RveRNet
from pipeline.params.study import Study, load_study
from pipeline.steps.weights import describe_backbone
from tests.small_run import SIDE, run_card

MOBILENETV2, VIT = 3_504_872, 86_567_656
"""Parameters of both with 1000 classes, as torchvision states them; DeiT-B is the same network as ViT-B/16."""
DISTILLED = VIT + 2 * 768
"""One token and its position more; its two heads are replaced by one."""
HEAD, LONE_HEAD = (2000 * 640 + 640) + (640 * 105 + 105), 1000 * 105 + 105
MILLIONS = {
    "mobilenetv2+mobilenetv2": 4.9,
    "vit+vit": 87.9,
    "deit+deit": 87.9,
    "deit_distilled+deit_distilled": 87.9,
}
"""Trainable parameters as counted on the released code."""
SEPARATE = {
    "mobilenetv2+mobilenetv2": 8.4,
    "vit+vit": 174.5,
    "deit+deit": 174.5,
    "deit_distilled+deit_distilled": 174.5,
}
"""And as they were with two sets of weights."""
COUNTS = {
    "mobilenetv2+mobilenetv2": MOBILENETV2 + HEAD,
    "mobilenetv2+vit": MOBILENETV2 + VIT + HEAD,
    "vit+mobilenetv2": MOBILENETV2 + VIT + HEAD,
    "vit+vit": VIT + HEAD,
    "mobilenetv2+deit_distilled": MOBILENETV2 + DISTILLED + HEAD,
    "deit+deit": VIT + HEAD,
    "deit+deit_distilled": VIT + DISTILLED + HEAD,
    "deit_distilled+deit_distilled": DISTILLED + HEAD,
    "mobilenetv2+none": MOBILENETV2 + LONE_HEAD,
    "none+vit": VIT + LONE_HEAD,
}


@pytest.fixture(scope="module")
def released(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return the study under `recipe: released` on FoodSeg103."""
    path = tmp_path_factory.mktemp("study") / "params.yaml"
    text = (root / "params.yaml").read_text(encoding="utf-8")
    for key, old, new in (("recipe", "corrected", "released"), ("dataset", "demo", "foodseg103")):
        assert f"\n{key}: {old}" in text
        text = text.replace(f"\n{key}: {old}", f"\n{key}: {new}")
    path.write_text(text, encoding="utf-8")
    return load_study(path)


def network(study: Study, pairing: str, **changes: object) -> RveRNet:
    """Return the whole network of a pairing for the paper's 105 classes, without memory for its numbers."""
    roi, extra_roi = pairing.split("+")
    cards = {}
    for branch, name in (("roi", roi), ("extra_roi", extra_roi)):
        params = study.backbones[name]
        if params.timm is not None:
            card = describe_backbone(name, params.timm, params.options)
            cards[branch] = card.model_copy(update={"init": params.init, "layer_norm_eps": params.layer_norm_eps})
    plan = RunConfig.model_validate(
        {name: getattr(run_card(("roi",)), name) for name in RunConfig.model_fields}
        | {
            "run": f"{pairing}-all", "roi": roi, "extra_roi": extra_roi, "backbones": cards, "image_size": 224,
            "class_names": tuple(map(str, range(105))), "train": study.train.model_copy(update=changes),
        }
    )  # fmt: skip
    with torch.device("meta"):
        return build_run(plan, {})


def count(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("pairing", COUNTS)
def test_parameters_are_those_of_the_released_code(released: Study, pairing: str) -> None:
    """One dictionary of backbones gives both branches of one name the same module."""
    model = network(released, pairing)
    roi, extra_roi = pairing.split("+")
    assert count(model) == COUNTS[pairing]
    assert (model.extra_roi is model.roi) == (roi == extra_roi)
    assert f"{count(model) / 1e6:.1f}" == str(MILLIONS.get(pairing, f"{COUNTS[pairing] / 1e6:.1f}"))


@pytest.mark.parametrize("pairing", SEPARATE)
def test_separate_branches_have_nearly_twice_as_many(released: Study, pairing: str) -> None:
    """`share_branches: false`, everything else as released."""
    assert f"{count(network(released, pairing, share_branches=False)) / 1e6:.1f}" == str(SEPARATE[pairing])


def test_mobilenetv2_has_dropout_before_its_classifier_and_nothing_else_has_any(released: Study) -> None:
    """0.2, as torchvision has it; the other rate is the rest of the tree's."""
    rates = {
        name: [layer.p for layer in network(released, f"{name}+none").modules() if isinstance(layer, nn.Dropout)]
        for name in ("mobilenetv2", "vit", "deit", "deit_distilled")
    }
    assert [rate for rate in rates.pop("mobilenetv2") if rate] == [0.2]
    assert not any(rate for each in rates.values() for rate in each)


@pytest.mark.parametrize(("name", "epsilon"), [("vit", 1e-6), ("deit", 1e-12), ("deit_distilled", 1e-12)])
def test_layer_norms_have_the_epsilon_of_their_library(released: Study, name: str, epsilon: float) -> None:
    """Torchvision's ViT 1e-6, Hugging Face's DeiT 1e-12."""
    layers = network(released, f"{name}+none").modules()
    assert {layer.eps for layer in layers if isinstance(layer, nn.LayerNorm)} == {epsilon}


def shared_model() -> RveRNet:
    """Return a tiny model whose branches are one."""
    return build_run(run_card(("roi", "extra_roi"), shared=True), {})


def pictures(seed: int) -> torch.Tensor:
    """Return raw random pictures."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)


def test_shared_weights_start_as_those_of_a_lone_branch() -> None:
    """They are drawn once, and their names are those of the ROI branch."""
    model, lone = shared_model(), build_run(run_card(("roi",)), {})
    assert model.extra_roi is model.roi
    names = {name for name in model.state_dict() if not name.startswith("head.")}
    assert names == {name for name in lone.state_dict() if not name.startswith("head.")}
    assert all(torch.equal(model.state_dict()[name], lone.state_dict()[name]) for name in names)


def test_backbones_of_other_names_are_never_shared() -> None:
    """Even of one architecture: the released dictionary knows names."""
    card = run_card(("roi", "extra_roi"), shared=True).model_copy(update={"extra_roi": "other"})
    model, separate = build_run(card, {}), build_run(run_card(("roi", "extra_roi")), {})
    assert model.extra_roi is not model.roi
    assert all(torch.equal(tensor, separate.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_a_package_holds_shared_weights_once_and_loads_as_one_module(tmp_path: Path) -> None:
    """And says what the saved model said."""
    model, card = shared_model().eval(), run_card(("roi", "extra_roi"), shared=True)
    save_run(model, card, tmp_path)
    stored = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert stored.keys() == model.state_dict().keys()
    assert not any(name.startswith("extra_roi.") for name in stored)
    loaded, loaded_card = load_run(tmp_path, "cpu")
    assert loaded.extra_roi is loaded.roi
    assert loaded_card.shares_branches
    assert torch.equal(loaded(pictures(0), pictures(1)), model(pictures(0), pictures(1)))


def test_a_run_that_shares_nothing_says_nothing_of_it(tmp_path: Path) -> None:
    """So runs of earlier versions load, and those of the default keep their bytes."""
    card = run_card(("roi", "extra_roi"))
    save_run(build_run(card, {}), card, tmp_path)
    assert "share_branches" not in json.loads((tmp_path / RUN_CARD).read_text())["train"]
    model, loaded = load_run(tmp_path, "cpu")
    assert model.extra_roi is not model.roi
    assert not loaded.shares_branches
