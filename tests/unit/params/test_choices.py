"""Values by data set and recipe."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.params.study import RECIPES, among, check_choices, choose, load_study
from pipeline.runtime.errors import ParamsError
from tests.unit.params.test_study import edited

DATASETS = ("demo", "foodseg103")


def test_choosing_leaves_plain_values_alone() -> None:
    """Only a mapping with a key `default` is a choice."""
    value = {"a": {"default": 1, "demo": 2}, "b": {"c": [3]}, "d": {"default": None}}
    assert choose(value, ("corrected", "demo")) == {"a": 2, "b": {"c": [3]}, "d": None}
    assert choose(value, ("corrected", "other")) == {"a": 1, "b": {"c": [3]}, "d": None}


def test_the_recipe_wins_over_the_data_set() -> None:
    """And either over the default."""
    value = {"default": 1, "demo": 2, "released": 3}
    chosen = {
        names: choose(value, names) for names in (("released", "demo"), ("corrected", "demo"), ("corrected", "/data"))
    }
    assert list(chosen.values()) == [3, 2, 1]


def test_an_entry_may_be_a_choice_itself() -> None:
    """So a data set can keep its value under every recipe."""
    value = {"default": {"default": "hub", "released": "torchvision"}, "demo": "none"}
    assert [choose(value, (recipe, "demo")) for recipe in RECIPES] == ["none", "none"]
    assert [choose(value, (recipe, "foodseg103")) for recipe in RECIPES] == ["hub", "torchvision"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"recipe": "relased"}, "recipe 'relased' is not one of corrected, released .*did you mean 'released'"),
        ({"recipe": ["released"]}, "recipe .*is not one of corrected, released"),
        ({"dataset": "released"}, "dataset 'released' is the name of a recipe"),
        ({"dataset": "default"}, "dataset 'default' is the name"),
        ({"train": {"epochs": {"default": 1, "dmeo": 2}}}, "train.epochs: 'dmeo' is not one of .*did you mean 'demo'"),
        ({"a": {"default": {"default": 1, "relased": 2}}}, "a: 'relased' .*did you mean 'released'"),
        ({"dataset": ["demo"], "a": {"default": 1, "other": 2}}, "a: 'other' is not one of"),
    ],
)
def test_names_that_mean_nothing_are_refused(values: dict[str, object], message: str) -> None:
    """In one line, with the place and the near choice."""
    with pytest.raises(ParamsError, match=rf"^params.yaml(:\d+)?: {message}") as caught:
        check_choices({"recipe": "corrected", "dataset": "demo"} | values, DATASETS, Path("params.yaml"))
    assert "\n" not in str(caught.value)


def test_a_data_set_of_the_list_cannot_be_called_like_a_recipe() -> None:
    """Nobody could tell which of the two an entry means."""
    with pytest.raises(ParamsError, match="dataset 'corrected' is the name of a recipe"):
        check_choices({"recipe": "corrected", "dataset": "demo"}, (*DATASETS, "corrected"), Path("params.yaml"))


def test_paths_may_be_named_and_one_source_leaves_names_open() -> None:
    """`{default: 30, /data/mine.zip: 5}` is a choice by path; `-S download.source=X` makes the data set a label."""
    check_choices({"dataset": "demo", "a": {"default": 30, "/data/mine.zip": 5}}, DATASETS, Path("params.yaml"))
    check_choices({"dataset": "demo", "a": {"default": 30, "foodseg103": 5}}, ("demo",), Path("params.yaml"))


def test_a_name_far_from_all_gets_no_suggestion() -> None:
    """The list is enough."""
    assert among("xyz", ("corrected", "released")) == "not one of corrected, released"


RELEASED = {
    "epochs": 30,
    "batch_size": 50,
    "optimizer": "adam",
    "learning_rate": 4e-3,
    "weight_decay": 0.0,
    "schedule": "released",
    "flip": 0.5,
    "joint_flip": False,
    "normalize": "none",
    "features": "logits",
    "deit_distilled_head": "released",
    "hidden": 640,
    "share_branches": True,
    "precision": "fp32",
}
"""What the paper's notes say of the released code, value by value."""


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_recipe_released_selects_every_piece_of_the_released_code(root: Path, tmp_path: Path, dataset: str) -> None:
    """One switch, on any data set."""
    study = load_study(edited(root, tmp_path, recipe="released", dataset=dataset))
    assert study.train.model_dump(include=set(RELEASED)) == RELEASED
    assert study.train.pairing == "by_photo"
    assert (study.pair.geometry, study.pair.pad, study.pair.fill) == ("released", 125, 0)
    assert (study.perturb.origin, study.perturb.dy_sign) == ("corner", -1)
    assert [study.backbones[name].init for name in ("mobilenetv2", "vit", "deit")] == ["torchvision"] * 2 + ["timm"]
    assert study.backbones["mobilenetv2"].options == {"drop_rate": 0.2}
    assert [study.backbones[name].layer_norm_eps for name in ("vit", "deit", "deit_distilled")] == [None, 1e-12, 1e-12]
    weights = "torchvision" if dataset == "foodseg103" else "none"
    assert [study.backbones[name].weights for name in ("mobilenetv2", "vit")] == [weights] * 2


def test_the_recipe_corrected_is_what_the_file_says_without_recipes(root: Path, tmp_path: Path) -> None:
    """The default moves nothing: taking every entry for `released` out leaves the study as it is."""
    values = YAML(typ="safe").load(root / "params.yaml")
    assert values["recipe"] == "corrected"
    YAML(typ="safe", pure=True).dump(_without_released(values), tmp_path / "params.yaml")
    assert load_study(tmp_path / "params.yaml") == load_study(root / "params.yaml")


def _without_released(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {key: _without_released(entry) for key, entry in value.items() if key != "released"}
