"""docs/graph.md says which parameter invalidates which stages; the table comes from the graph itself."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tools.invalidation import effect, graph_of
from tools.parameter_table import BEGIN, END, NAMED, Row, leaves, literals, rows, table, with_table


@pytest.fixture(scope="module", autouse=True)
def _in_checkout(root: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield


@pytest.fixture(scope="module")
def values(root: Path) -> dict[str, Any]:
    """Return the committed parameters."""
    loaded: dict[str, Any] = YAML(typ="safe").load(root / "params.yaml")
    return loaded


@pytest.fixture(scope="module")
def listed(values: dict[str, Any]) -> list[Row]:
    """Return the effect of every parameter."""
    return list(rows(values))


def test_the_page_has_the_table_of_the_graph(root: Path, listed: list[Row]) -> None:
    """`make deps` mends a difference."""
    text = (root / "docs/graph.md").read_text(encoding="utf-8")
    assert with_table(text, table(listed)) == text


def test_every_parameter_has_a_row_or_one_choice_only(values: dict[str, Any], listed: list[Row]) -> None:
    """Nothing in params.yaml is forgotten; `none` has no settings, and one choice leaves no other."""
    labels = {row.label.split("=")[0] for row in listed}
    alone = {general(key) for key in leaves(values) if len(literals(key)) == 1}
    assert {general(key) for key in leaves(values)} - labels - alone == {"backbones.NAME", "distill.student"}


def general(key: tuple[str, ...]) -> str:
    """Return a place as the table spells it: one entry of a section speaks for all."""
    return ".".join((key[0], "NAME", *key[2:]) if key[0] in NAMED else key)


def at_once(values: dict[str, Any], **changes: object) -> set[str]:
    """Return the stages that a change at the top level of params.yaml runs."""
    return set(effect(graph_of(values), graph_of(values | changes)).at_once)


def test_an_unchanged_file_runs_nothing(values: dict[str, Any]) -> None:
    """The effect of no change is none."""
    assert effect(graph_of(values), graph_of(values)) == ((), ())


def test_a_change_of_speed_runs_nothing(values: dict[str, Any]) -> None:
    """Workers and device are nobody's dependency."""
    assert at_once(values, runtime={"workers": 7, "device": "cpu"}) == set()


def test_a_new_variant_runs_its_own_stages_and_the_collectors(values: dict[str, Any]) -> None:
    """Nothing else is touched by `-S roi=deit`."""
    new = {f"{stage}@deit+vit-all" for stage in ("train", "evaluate", "perturb", "explain")}
    assert at_once(values, roi="deit") == new | {"transfer@annotation", "repeats", "summary", "report"}


def test_a_backbone_reaches_the_runs_that_use_it(values: dict[str, Any]) -> None:
    """`deit` is not `deit_distilled`."""
    backbones = values["backbones"] | {"deit": {"timm": "deit_small_patch16_224.fb_in1k", "weights": "none"}}
    found = effect(graph_of(values), graph_of(values | {"backbones": backbones}))
    assert set(found.at_once) == {"weights@deit", "report"}
    trained = {name for name in found.below if name.startswith("train@")}
    assert trained == {"train@deit+deit-all", "train@deit+deit_distilled-all", "train@deit+none-all"}


def test_another_mask_source_to_judge_on_trains_nothing(values: dict[str, Any]) -> None:
    """Its masks and shards stay beside those of the annotation, and every run is judged on them."""
    found = effect(graph_of(values), graph_of(values | {"masks": values["masks"] | {"eval": "sam"}}))
    new = {f"{stage}@sam" for stage in ("mask_weights", "segment", "pair", "agreement", "transfer")}
    assert new | {"evaluate@vit+vit-all", "perturb@vit+vit-all"} <= set(found.at_once)
    everything = set(found.at_once + found.below)
    assert not {name for name in everything if name.startswith(("train@", "weights@")) or "annotation" in name}


def test_another_mask_source_to_train_on_trains_all(values: dict[str, Any]) -> None:
    """All runs, and nothing but masks and shards before them."""
    found = effect(graph_of(values), graph_of(values | {"masks": values["masks"] | {"train": "sam"}}))
    assert {"segment@sam", "pair@sam", "train@vit+vit-all", "train@mixer+none-all"} <= set(found.at_once)
    assert not {"download", "index", "weights@vit", "segment@annotation"} & set(found.at_once + found.below)


def test_only_the_text_between_the_marks_is_replaced() -> None:
    """What stands before and after stays."""
    assert with_table(f"a\n{BEGIN}old\n{END}\nb\n", "new\n") == f"a\n{BEGIN}new\n{END}\nb\n"
