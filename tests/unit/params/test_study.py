"""`params.yaml` is checked whole before any work, and values are chosen by data set."""

import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from ruamel.yaml import YAML

from pipeline.params.base import Section
from pipeline.params.runtime import load_runtime
from pipeline.params.study import Study, load_study, short_name
from pipeline.runtime.errors import ParamsError


@cache
def committed(root: Path) -> dict[str, Any]:
    """Return params.yaml as it stands."""
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(root / "params.yaml")
    return values


def edited(root: Path, folder: Path, **changes: object) -> Path:
    """Copy params.yaml with dotted keys replaced; double underscores stand for dots."""
    values = deepcopy(committed(root))
    for key, value in changes.items():
        *path, last = key.split("__")
        section = values
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    YAML(typ="safe", pure=True).dump(values, folder / "params.yaml")
    return folder / "params.yaml"


def test_the_committed_parameters_are_valid(root: Path) -> None:
    """The file as it stands passes, and 4e-3-like numbers are numbers."""
    study = load_study(root / "params.yaml")
    assert isinstance(study.train.learning_rate, float)


def test_the_real_data_set_gets_the_papers_values(root: Path, tmp_path: Path) -> None:
    """One value switches image size, backbones, epochs and source."""
    study = load_study(edited(root, tmp_path, dataset="foodseg103"))
    assert study.download.source == "foodseg103"
    assert (study.pair.image_size, study.train.epochs, study.perturb.patch_size) == (224, 30, 16)
    assert study.backbones["vit"].timm == "vit_base_patch16_224.augreg_in1k"


@pytest.mark.parametrize("dataset", ["foodseg103@official", "foodseg103@hub"])
def test_where_a_data_set_comes_from_changes_no_other_value(root: Path, tmp_path: Path, dataset: str) -> None:
    """What is chosen for `foodseg103` holds for it from any place."""
    changes = {"train__epochs": {"default": 30, "foodseg103": 7}, "ambiguous": ["rice", "soup"]}
    plain = load_study(edited(root, tmp_path, dataset="foodseg103", **changes))
    study = load_study(edited(root, tmp_path, dataset=dataset, **changes))
    assert (study.train.epochs, study.download.source) == (7, dataset)
    source = {"download": plain.download, "dataset": plain.dataset}
    assert study.model_copy(update=source) == plain
    with pytest.raises(ParamsError, match=r"dataset 'foodseg103@hbu' is not one of .*did you mean 'foodseg103@hub'"):
        load_study(edited(root, tmp_path, dataset="foodseg103@hbu"))


def test_a_path_is_a_data_set_with_the_papers_values(root: Path, tmp_path: Path) -> None:
    """A path in the place of a name becomes the source."""
    study = load_study(edited(root, tmp_path, dataset=str(tmp_path)))
    assert (study.download.source, study.pair.image_size) == (str(tmp_path), 224)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("demo", "demo"),
        ("foodseg103", "foodseg103"),
        ("foodseg103@hub", "foodseg103"),
        ("/data/FoodSeg103-900.zip", "FoodSeg103-900"),
        ("/elsewhere/FoodSeg103-900/", "FoodSeg103-900"),
        ("https://user@host/meals.tar.gz?token=secret#part", "meals"),
        ("s3://bucket/v1.2", "v1.2"),
        ("C:\\photos\\meals.TGZ", "meals"),
        ("./demo", "folder demo"),
        ("demo.zip", "folder demo"),
        (".", "folder"),
        ("/data/a\x1b[2Jb", "a\\x1b[2Jb"),
    ],
)
def test_a_run_records_the_name_of_its_data_set_alone(source: str, name: str) -> None:
    """Not its place, form or secrets; nothing but the demo has the demo's name."""
    assert short_name(source) == name


def test_the_name_reaches_the_record_of_every_run(root: Path, tmp_path: Path) -> None:
    """By section `train`; a source of its own counts, whatever values are taken."""
    assert load_study(root / "params.yaml").train.data_set == "demo"
    assert load_study(edited(root, tmp_path, download__source="/photos.zip")).train.data_set == "photos"


def test_one_scalar_replaces_the_choice_by_data_set(root: Path, tmp_path: Path) -> None:
    """`-S train.epochs=5` holds on every data set."""
    assert load_study(edited(root, tmp_path, train__epochs=5)).train.epochs == 5


def test_a_source_of_its_own_leaves_the_data_sets_name_a_label(root: Path, tmp_path: Path) -> None:
    """`-S download.source=/photos.zip` takes other photos with the demo's values."""
    study = load_study(edited(root, tmp_path, download__source="/photos.zip"))
    assert (study.dataset, study.download.source, study.pair.image_size) == ("demo", "/photos.zip", 64)


def test_the_seed_reaches_every_section_that_draws_numbers(root: Path, tmp_path: Path) -> None:
    """One top-level seed, copied; the demo's scenes keep their own."""
    study = load_study(edited(root, tmp_path, seed=7))
    assert (study.train.seed, study.perturb.seed, study.report.seed, study.demo.seed) == (7, 7, 7, 0)


def old_file(root: Path, folder: Path) -> Path:
    """Write params.yaml as earlier versions had it."""
    text = (root / "params.yaml").read_text(encoding="utf-8")
    for new, old in (
        ("recipe: corrected ", "recipe: sane "),
        ("  eval: annotation ", "  source: annotation "),
        ("epochs: {default: 30, demo: 10,", "epochs: {default: 30, demo: 10, sane: 9,"),
    ):
        assert text.count(new) == 1
        text = text.replace(new, old)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return folder / "params.yaml"


def test_words_of_earlier_versions_are_read_with_a_note_each(root: Path, tmp_path: Path) -> None:
    """Recipe `sane`, as a value and as an entry of a choice, and `masks.source`."""
    notes: list[str] = []
    study = load_study(old_file(root, tmp_path), warn=notes.append)
    today = load_study(root / "params.yaml")
    assert study.train.epochs == 9
    assert study.model_copy(update={"train": today.train}) == today
    assert [note.partition(": ")[2] for note in notes] == [
        "recipe `sane` is now called `corrected`; it means the same",
        "masks.source is now called masks.eval; it means the same",
    ]
    assert all(re.match(r"\S+params.yaml:\d+: ", note) for note in notes)


def test_an_old_value_is_checked_like_a_new_one(root: Path, tmp_path: Path) -> None:
    """A typing mistake under the old key is refused with what is allowed."""
    path = old_file(root, tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("  source: annotation ", "  source: sma "), "utf-8")
    with pytest.raises(ParamsError, match=r"params.yaml:\d+: masks.eval 'sma' is not one of annotation, .*mean 'sam'"):
        load_study(path)


def test_the_old_and_the_new_key_together_are_refused(root: Path, tmp_path: Path) -> None:
    """The graph follows `masks.eval` alone, so `-S +masks.source=sam` would do half of what it says."""
    with pytest.raises(ParamsError, match="masks.source: is now called masks.eval; remove it and set masks.eval"):
        load_study(edited(root, tmp_path, masks__source="sam"))


def test_the_file_of_this_version_needs_no_note(root: Path) -> None:
    """Every word in it is today's."""
    notes: list[str] = []
    load_study(root / "params.yaml", warn=notes.append)
    assert notes == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "relased"}, "did you mean 'released'"),
        ({"train__flip": {"default": 0.5, "foodseg": 0.1}}, "train.flip: 'foodseg' .*did you mean 'foodseg103'"),
        ({"dataset": "corrected"}, "the name of a recipe"),
        ({"dataset": "sane"}, "the name of a recipe"),
        ({"pair__geometry": "floor"}, "pair.geometry"),
        ({"backbones__vit__init": "keras"}, "backbones.vit.init"),
        ({"roi": "diet"}, "did you mean 'deit'"),
        ({"extra_roi": "resnet"}, "not one of deit"),
        ({"classes": "nosauce"}, "did you mean 'no_sauce'"),
        ({"roi": "none", "extra_roi": "none"}, "at least one branch"),
        ({"roi": "none", "extra_roi": "mask_pool"}, "roi 'none' is not one of deit, .*, vit; "),
        ({"roi": "mask_channel"}, "roi 'mask_channel' is not one of deit, .*, vit, none; "),
        ({"distill__teacher": "mask_pool"}, "distill.teacher 'mask_pool' is not one of deit, .*, vit, none; "),
        ({"probe__backbones": ["mask_pool"]}, "probe.backbones 'mask_pool' is not one of"),
        ({"backbones__mask_pool": {"timm": "resnet18"}}, "backbones.mask_pool.timm"),
        ({"dataset": "dmeo"}, "did you mean 'demo'"),
        ({"dataset": "/no/such/archive.zip"}, "nor an existing path"),
        ({"train__epochs": 0}, "train.epochs"),
        ({"train__epochs": "5"}, "train.epochs"),
        ({"train__rate": 1}, "train.rate"),
        ({"pair__fill": 256}, "pair.fill"),
        ({"masks__eval": "sma"}, "masks.eval"),
        (
            {"masks__eval": "grabcut", "masks__prompts__kind": "point"},
            "masks.prompts.kind: point .*grabcut answers boxes",
        ),
        (
            {"masks__train": "grabcut", "masks__prompts__kind": "box_point"},
            "masks.prompts.kind: box_point .*set it to box",
        ),
        ({"masks__prompts__kind": "text"}, "masks.prompts.kind: text .*the label that runs are judged by"),
        ({"masks__train": "sam4"}, "masks.train 'sam4' is not one of annotation, .*did you mean 'sam"),
        ({"masks__transformers__sam": {"model": "a/b"}}, "masks.transformers.sam: give it another name"),
        ({"masks__transformers__Big": {"model": "a/b"}}, "masks.transformers.Big: give it another name"),
        ({"backbones__vit": {"timm": None}}, "backbones.vit.timm"),
        ({"backbones__none": {"timm": "resnet18"}}, "backbones.none.timm"),
        ({"seed": -1}, "seed"),
        ({"runtime__device": "tpu"}, "runtime.device"),
        ({"probe__folds": 1}, "probe.folds.*leaves no photo to train on; allowed is 0, or 2 or more"),
        ({"probe__backbones": ["mobilnetv2"]}, "probe.backbones .*did you mean 'mobilenetv2'"),
        ({"probe__backbones": ["none"]}, "probe.backbones 'none' is not one of"),
        ({"probe__backbones": ["vit", "vit"]}, "probe.backbones has vit twice"),
        ({"probe__backbones": []}, "probe.backbones: .*a list of 1 or more"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    root: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    """Every refusal is one line that names the key and, where there is one, the near choice."""
    with pytest.raises(ParamsError, match=message) as caught:
        load_study(edited(root, tmp_path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pair__fill": "x"}, 'pair.fill: "x" is given, allowed is a whole number'),
        (
            {"masks__prompts__kind": "tap"},
            "masks.prompts.kind: \"tap\" is given, allowed is 'box', 'point' or 'box_point'",
        ),
        ({"train__share_branches": "yes"}, 'train.share_branches: "yes" is given, allowed is true or false'),
        ({"seeds": 1}, "seeds: 1 is given, allowed is a list, for instance -S 'seeds=[1]'"),
        ({"download__sha256": "ab"}, 'download.sha256: "ab" is given, allowed is text of the form ^[0-9a-f]{64}$'),
        ({"backbones__vit": 3}, "backbones.vit: 3 is given, allowed is names, each with its value"),
        ({"class_sets__all": 3}, "class_sets.all: 3 is given, allowed is names, each with its value"),
        ({"pair": 3}, "pair: 3 is given, allowed is names, each with its value"),
        ({"distill": {}}, "distill.teacher: is absent"),
        (
            {"backbones__vit": {"timm": "x", "options": {"depth": {}}}},
            "backbones.vit.options.depth: {} is given, allowed is true or false or a whole number or a number or text",
        ),
    ],
)
def test_a_refusal_says_in_plain_words_what_was_given_and_what_is_allowed(
    root: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    """No sentence of pydantic's; a value that may be of several types is named once."""
    path = edited(root, tmp_path, **changes)
    with pytest.raises(ParamsError) as caught:
        load_study(path)
    assert f": {said}" in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")
    assert "Input" not in str(caught.value)


def test_a_refusal_names_the_line_and_how_to_take_it_back(root: Path, tmp_path: Path) -> None:
    """The file as it stands now counts; what several sections share is named once."""
    lines = (root / "params.yaml").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "params.yaml"
    for old, new, key in (
        ("roi: mobilenetv2", "roi: diet", "roi 'diet' is not one of"),
        ("  fill: 0", "  fill: 256", "pair.fill: 256 is given, allowed is 255 or less"),
        ("seed: 0 ", "seed: -1 ", "seed: -1 is given, allowed is 0 or more"),
        ("  all: {exclude: []}", "  all: {exclude: [1]}", "class_sets.all.exclude.0: 1 is given, allowed is text"),
        ("    demo: demo", "    demo: 7", "download.source: 7 is given, allowed is text"),
        ("  epochs: {", "  epoch: 3\n  epochs: {", "train.epoch: no such parameter (did you mean 'epochs'?)"),
    ):
        (number,) = (n for n, line in enumerate(lines) if line.startswith(old))
        changed = [*lines[:number], lines[number].replace(old, new), *lines[number + 1 :]]
        path.write_text("\n".join(changed) + "\n", encoding="utf-8")
        with pytest.raises(ParamsError) as caught:
            load_study(path)
        message = str(caught.value)
        at = next(n for n, line in enumerate(lines, start=1) if line.startswith("  source:")) if "demo: 7" in new else 0
        assert message.startswith(f"{path}:{at or number + 1}: {key}")
        assert message.endswith(f"correct that line, or `git checkout -- {path}` takes back all edits")
        assert message.count(f"{path}:") == 1


def text_keys(kind: Any, key: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the dotted keys of a schema whose values may be text; `new` stands for names that a user gives."""
    if kind is str:
        yield ".".join(key)
    elif isinstance(kind, type) and issubclass(kind, Section):
        for name, field in kind.model_fields.items():
            yield from text_keys(field.annotation, (*key, name))
    elif get_origin(kind) is dict:
        yield from text_keys(get_args(kind)[1], (*key, "new"))
    else:
        for part in get_args(kind):
            yield from text_keys(part, key)


NO_URL = "download.password"
TEXTS = sorted({*text_keys(Study), "download.source.demo", "backbones.mixer.weights.default"} - {NO_URL})


def test_every_setting_that_takes_a_url_is_tried() -> None:
    """Those of the schema that take any text; a new one joins by itself."""
    assert {"dataset", "download.source", "download.extra.new", "backbones.new.weights"} <= set(TEXTS)
    assert {
        "masks.sam.weights",
        "masks.fastsam.weights",
        "masks.transformers.new.model",
        "runtime.mirror",
        "runtime.ray_address",
    } <= set(TEXTS)


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("url", ["https://me:PLANTED@host/a", "s3://host/a?X-Amz-Signature=PLANTED"])
def test_a_secret_in_a_url_is_refused_wherever_it_stands(root: Path, tmp_path: Path, key: str, url: str) -> None:
    """Before anything reads or stores it; the message names key and line, not the secret."""
    path = edited(root, tmp_path, **{key.replace(".", "__"): url})
    with pytest.raises(ParamsError, match=rf"params.yaml:\d+: {key}: .*export RVERNET_URLS") as caught:
        load_study(path)
    assert "PLANTED" not in str(caught.value)
    if key.startswith("runtime."):
        with pytest.raises(ParamsError, match=f"{key}: .*export RVERNET_URLS"):
            load_runtime(path)


def test_a_missing_section_is_named(root: Path, tmp_path: Path) -> None:
    """A deleted section is reported by name."""
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(root / "params.yaml")
    del values["perturb"]
    yaml.dump(values, tmp_path / "params.yaml")
    with pytest.raises(ParamsError, match="perturb"):
        load_study(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "", "roi: deit\n"])
def test_what_is_no_parameter_file_is_refused(tmp_path: Path, text: str) -> None:
    """Broken YAML, a list, nothing, or no data set: one line."""
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError):
        load_study(tmp_path / "params.yaml")


def test_an_absent_file_says_where_to_stand(tmp_path: Path) -> None:
    """Running outside the checkout is explained."""
    with pytest.raises(ParamsError, match="root of the checkout"):
        load_study(tmp_path / "params.yaml")


def test_repetitions_are_asked_for_by_seeds(root: Path, tmp_path: Path) -> None:
    """The runs' own seed comes first; without seeds nothing is asked for, whatever runs are named."""
    asked = load_study(edited(root, tmp_path, seeds=[3, 1], repeat__runs=["vit+none-all"])).repetitions
    assert (asked.seeds, asked.runs) == ((0, 3, 1), ("vit+none-all",))
    silent = load_study(edited(root, tmp_path, seed=5, repeat__runs=["vit+none-all"])).repetitions
    assert silent == load_study(root / "params.yaml").repetitions
    assert (silent.seeds, silent.runs) == ((), ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [1, 0]}, "seeds has 0, which is `seed`, the runs' own; name others"),
        ({"seeds": [1, 2, 1]}, "seeds has 1 twice; name each once"),
        ({"seeds": [-1]}, "seeds.0: -1 is given, allowed is 0 or more"),
        ({"seeds": 3}, "seeds: 3 is given, allowed is a list, for instance -S 'seeds=\\[3\\]'"),
        ({"repeat__runs": ["vit+none-all"] * 2}, "repeat.runs has vit\\+none-all twice"),
        ({"distill__teacher": "mobilnetv2"}, "distill.teacher 'mobilnetv2' is .*did you mean 'mobilenetv2'"),
        ({"distill__student": "none"}, "distill.student 'none' is not one of deit, deit_distilled, mixer"),
        ({"distill__alpha": 1.5}, "distill.alpha: 1.5 is given, allowed is 1 or less"),
        ({"distill__temperature": 0.0}, "distill.temperature: 0.0 is given, allowed is more than 0"),
        ({"distill__kind": "medium"}, "distill.kind: \"medium\" is given, allowed is 'hard' or 'soft'"),
        ({"distill__teacher": "vit", "train__freeze": "both"}, "train.freeze 'both' leaves a student nothing to learn"),
    ],
)
def test_impossible_repetitions_and_lessons_are_refused(
    root: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    """In the first stage, saying what could be."""
    with pytest.raises(ParamsError, match=message):
        load_study(edited(root, tmp_path, **changes))


@pytest.mark.parametrize("section", ["backbones", "class_sets"])
@pytest.mark.parametrize("name", ["no-drinks", "vit+", "ViT", "../vit", "", "naïve", "a b"])
def test_a_name_that_no_run_name_can_hold_is_refused(root: Path, tmp_path: Path, section: str, name: str) -> None:
    """Names of backbones and class sets are lower-case letters, digits and underscores."""
    entry = {"timm": "test_vit.r160_in1k"} if section == "backbones" else {"exclude": ["sauce"]}
    with pytest.raises(ParamsError, match="lower-case letters"):
        load_study(edited(root, tmp_path, **{f"{section}__{name}": entry}))


@pytest.mark.parametrize(
    ("device", "asked", "resolved"),
    [("auto", "auto", "fp32"), ("cpu", "auto", "fp32"), ("cuda", "auto", "bf16"), ("cuda", "fp32", "fp32")],
)
def test_the_precision_is_what_params_yaml_says_on_every_machine(
    root: Path, tmp_path: Path, device: str, asked: str, resolved: str
) -> None:
    """A team's machines resolve `auto` alike, so that a laptop does not retrain what a GPU has trained."""
    study = load_study(edited(root, tmp_path, runtime__device=device, train__precision=asked))
    assert study.train.precision == resolved


@pytest.mark.parametrize("dataset", ["", " "])
def test_an_empty_data_set_is_not_the_working_folder(root: Path, tmp_path: Path, dataset: str) -> None:
    """As an unset shell variable gives it."""
    with pytest.raises(ParamsError, match="nor an existing path"):
        load_study(edited(root, tmp_path, dataset=dataset))


def test_the_ambiguous_pair_is_given_for_known_data_and_found_for_others(root: Path, tmp_path: Path) -> None:
    """One value replaces the choice; training knows a given pair only where it draws test curves."""
    found = load_study(edited(root, tmp_path, dataset=str(tmp_path)))
    assert (found.ambiguous.names, found.ambiguous.auto) == ((), True)
    given = load_study(edited(root, tmp_path, dataset="foodseg103"))
    assert (given.ambiguous.names, given.ambiguous.auto) == (("ketchup", "chili paste"), False)
    assert {entry.ambiguous for entry in given.class_sets.values()} == {()}
    curves = load_study(edited(root, tmp_path, ambiguous=["a", "b"], train__test_curves=True))
    assert {entry.ambiguous for entry in curves.class_sets.values()} == {("a", "b")}
    assert load_study(edited(root, tmp_path, ambiguous=[])).ambiguous.names == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ambiguous": "ketchup"},
            "ambiguous: 'ketchup' is given, allowed is auto, a list of two",
        ),
        ({"ambiguous": ["ketchup"]}, "allowed is auto, a list of two categories"),
        ({"ambiguous": "auto", "index__validation": 0}, "ambiguous: auto is chosen in the validation split, of which"),
        (
            {"train__select": "best_validation", "index__validation": 0},
            "train.select: best_validation is chosen in the validation split, of which there is none: set index.valid",
        ),
    ],
)
def test_a_choice_on_validation_needs_a_validation_split(
    root: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    """Refused before any work, with what to do."""
    with pytest.raises(ParamsError, match=message):
        load_study(edited(root, tmp_path, **changes))
