"""The whole of `params.yaml`: its schema, and the check of everything that is asked for."""

import difflib
import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params.base import DEFAULT, MAPPING, Section, check_secrets, refusal, refusal_of_schema, take_back
from pipeline.params.masks import AgreementParams, MasksParams, TransferParams
from pipeline.params.model import BackboneParams, ClassSetParams, TrainParams
from pipeline.params.run_name import ABSENT, NAME, RunName
from pipeline.params.runtime import RuntimeParams
from pipeline.params.stages import (
    DemoParams,
    DistillParams,
    DownloadParams,
    EvaluateParams,
    ExplainParams,
    IndexParams,
    PairParams,
    PerturbParams,
    RepeatParams,
    RepetitionPlan,
    ReportParams,
)
from pipeline.runtime.errors import ParamsError

# How one file holds the values of several data sets and recipes: `{default: A, demo: B, released: C}`.


Recipe: TypeAlias = Literal["sane", "released"]
"""Named sets of values. A further one is a word here and its entries in `params.yaml`."""
RECIPES: tuple[str, ...] = get_args(Recipe)


def choose(value: Any, preferred: tuple[object, ...]) -> Any:
    """Replace every mapping with a key `default` by its entry for the first name it has, or else by the default.

    The entry may be a choice itself: `{default: {default: hub, released: torchvision}, demo: none}`.

    Args:
        value: Values as `params.yaml` holds them.
        preferred: Names, the one that wins first.
    """
    if not isinstance(value, dict):
        return value
    if DEFAULT not in value:
        return {key: choose(entry, preferred) for key, entry in value.items()}
    return choose(next((value[name] for name in preferred if name in value), value[DEFAULT]), preferred)


def chosen(values: dict[str, Any]) -> Any:
    """Return the values of the file's own recipe and data set; the recipe's entry wins.

    Raises:
        KeyError: If there is no recipe or data set.
    """
    return choose(values, (values["recipe"], values["dataset"]))


def known_datasets(values: dict[str, Any]) -> tuple[str, ...]:
    """Return the data sets that `download.source` names; where it is one source for all, any name will do."""
    match values:
        case {"download": {"source": str()}, "dataset": str(label)}:
            return (label,)
        case {"download": {"source": {"default": _} as source}}:
            return tuple(name for name in source if name != DEFAULT)
    return ()


def check_choices(values: dict[str, Any], datasets: tuple[str, ...], path: Path) -> None:
    """Refuse names that mean nothing or two things, which `choose` would pass over in silence.

    Args:
        values: Content of `params.yaml`.
        datasets: Names of data sets.
        path: The file, for messages.

    Raises:
        ParamsError: If the recipe is unknown, a data set bears the name of a recipe, or a choice has an entry for
            something that is neither.
    """
    recipe = values.get("recipe")
    if recipe is not None and recipe not in RECIPES:
        raise refusal("recipe", f"recipe {recipe!r} is {among(str(recipe), RECIPES)}", path)
    if both := {DEFAULT, *RECIPES} & {*datasets, str(values.get("dataset"))}:
        problem = f"dataset {both.pop()!r} is the name of a recipe; give the data set another name"
        raise refusal("dataset", problem, path)
    valid = (*datasets, *RECIPES)
    for key, name in _named(values):
        # A lone `download.source` names no data sets to compare with, and a path is its own name.
        if len(datasets) > 1 and name not in valid and "/" not in name:
            problem = f"{key}: {name!r} is {among(name, valid)}, the data sets and recipes"
            raise refusal((*key.split("."), name), problem, path)


def _named(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield place and name of every entry of every choice, but the defaults."""
    if not isinstance(value, dict):
        return
    for name, entry in value.items():
        if DEFAULT not in value:
            yield from _named(entry, f"{key}.{name}" if key else str(name))
        else:
            if name != DEFAULT:
                yield key, str(name)
            yield from _named(entry, key)


def among(name: str, valid: tuple[str, ...]) -> str:
    """Say that a name is not one of the valid ones, and which one was perhaps meant."""
    close = difflib.get_close_matches(name, valid, n=1)
    return f"not one of {', '.join(valid)}" + (f" (did you mean {close[0]!r}?)" if close else "")


SHARING = ("train", "perturb", "explain", "agreement", "transfer", "report")
"""Sections into which the seed is copied."""


class Study(Section):
    """Every parameter after the choice of data set and recipe."""

    recipe: Recipe
    """Named set of values: `sane` mends the released code's mistakes, `released` repeats them."""
    dataset: str
    """Name of a data set that `download.source` lists, or a path or URL."""
    roi: str
    """Backbone of the variant's ROI branch, or none."""
    extra_roi: str
    """Backbone of the variant's extra-ROI branch, or none."""
    classes: str
    """Class set of the variant."""
    seed: int = Field(ge=0)
    """Seed of everything random but the demo's scenes and the jitter of prompts."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...]
    """Seeds of repetitions; each trains all of `repeat.runs` once more."""
    ambiguous: tuple[str, ...]
    """Categories of the ambiguous pair."""
    runtime: RuntimeParams
    demo: DemoParams
    download: DownloadParams
    index: IndexParams
    masks: MasksParams
    pair: PairParams
    backbones: dict[str, BackboneParams]
    class_sets: dict[str, ClassSetParams]
    train: TrainParams
    repeat: RepeatParams
    distill: DistillParams
    evaluate: EvaluateParams
    perturb: PerturbParams
    explain: ExplainParams
    agreement: AgreementParams
    transfer: TransferParams
    report: ReportParams

    @property
    def variant(self) -> str:
        """Name of the variant's run."""
        return RunName(self.roi, self.extra_roi, self.classes).name

    @property
    def repetitions(self) -> RepetitionPlan:
        """What is to be repeated; empty, whatever `repeat.runs` says, without `seeds`."""
        if not self.seeds:
            return RepetitionPlan(seeds=(), runs=(), ambiguous=())
        return RepetitionPlan(seeds=(self.seed, *self.seeds), runs=self.repeat.runs, ambiguous=self.ambiguous)


def load_study(path: Path, *, recorded: Collection[str] = ()) -> Study:
    """Read `params.yaml`, choose the values of its data set and recipe, and check everything.

    Args:
        path: The file.
        recorded: Paths of data sets that a study was made from, perhaps on another machine; they may be absent here.

    Raises:
        ParamsError: If the file is no YAML, a URL holds a secret, a key is absent, unknown or of the wrong type, a
            value is given for a data set or recipe that does not exist, a backbone or class set has a name that no
            run's name can hold, the variant asks for a backbone or class set that does not exist, or for no branch at
            all, a seed is there twice, or a teacher or student cannot be. The message names the line.
    """
    values = _read(path)
    check_secrets(values, path)
    names = known_datasets(values)
    try:
        check_choices(values, names, path)
        values = chosen(values)
        for section in (*SHARING, "runtime", "pair", "index", "masks", "class_sets", "download"):
            if not isinstance(values[section], dict):
                raise refusal(section, f"{section}: {values[section]!r} is given, allowed is {MAPPING}", path)
        study = Study.model_validate_json(json.dumps(_shared(values)))
    except KeyError as error:
        raise ParamsError(f"{path}: key {error.args[0]!r} is absent") from error
    except ValidationError as error:
        raise refusal_of_schema(error, path) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ParamsError(f"{path}: {error}; {take_back(path)}") from error
    _check_names(study, path)
    _check_dataset(study.dataset, (*names, *recorded), names, path)
    _check_variant(study, path)
    _check_seeds(study, path)
    _check_distillation(study, path)
    return study


def _read(path: Path) -> dict[str, Any]:
    try:
        values = YAML(typ="safe").load(path)
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: absent; run from the root of the checkout") from error
    except (YAMLError, RecursionError) as error:
        raise ParamsError(f"{path}: no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or "dataset" not in values:
        raise ParamsError(f"{path}: key 'dataset' is absent")
    return values


def _shared(values: dict[str, Any]) -> dict[str, Any]:
    """Copy the values that several stages share into each of their sections, and resolve `train.precision: auto`."""
    for section in SHARING:
        values[section] = values[section] | {"seed": values["seed"]}
    values["train"] |= {"devices": values["runtime"].get("devices", 1)}
    if values["train"]["precision"] == "auto":  # by what params.yaml says, so that it is the same on every machine
        values["train"]["precision"] = "bf16" if values["runtime"].get("device") == "cuda" else "fp32"
    values["perturb"] |= {"pad": values["pair"]["pad"]}
    values["agreement"] |= {name: values["pair"][name] for name in ("image_size", "geometry")}
    values["masks"] |= {"tiny_area": values["index"]["tiny_area"]}
    for entry in filter(lambda entry: isinstance(entry, dict), values["class_sets"].values()):
        entry["ambiguous"] = values["ambiguous"]
    download = values["download"]
    values["download"] = download | {"source": download["source"] or values["dataset"], "demo": values["demo"]}
    return values


def _check_dataset(dataset: str, known: tuple[str, ...], names: tuple[str, ...], path: Path) -> None:
    with suppress(OSError, ValueError):  # too long for a path, or with a zero byte
        if dataset in known or "://" in dataset or (dataset.strip() and Path(dataset).exists()):
            return
    raise refusal("dataset", f"dataset {dataset!r} is {among(dataset, names)}, nor an existing path, nor a URL", path)


def _check_names(study: Study, path: Path) -> None:
    """Refuse names that a run's name could not be parsed back into."""
    for section, names in (("backbones", study.backbones), ("class_sets", study.class_sets)):
        for name in names:
            if NAME.fullmatch(name) is None:
                problem = "give it a name of lower-case letters, digits and underscores; it becomes part of names of"
                raise refusal((section, name), f"{section}.{name}: {problem} runs and folders", path)


def _check_variant(study: Study, path: Path) -> None:
    for key, name, valid in (
        ("roi", study.roi, study.backbones),
        ("extra_roi", study.extra_roi, study.backbones),
        ("classes", study.classes, study.class_sets),
    ):
        if name not in valid:
            raise refusal(key, f"{key} {name!r} is {among(name, tuple(valid))}", path)
    if study.roi == study.extra_roi == ABSENT:
        raise refusal("roi", "roi and extra_roi are both none; give at least one branch a backbone", path)
    for name, backbone in study.backbones.items():
        if (backbone.timm is None) != (name == ABSENT):
            problem = f"backbones.{name}.timm: only `none` has no timm model, and it has none"
            raise refusal(("backbones", name, "timm"), problem, path)


def _check_seeds(study: Study, path: Path) -> None:
    for key, listed in (("seeds", study.seeds), ("repeat.runs", study.repeat.runs)):
        if twice := [entry for place, entry in enumerate(listed) if entry in listed[:place]]:
            raise refusal(key, f"{key} has {twice[0]} twice; name each once", path)
    if study.seed in study.seeds:
        raise refusal("seeds", f"seeds has {study.seed}, which is `seed`, the runs' own; name others", path)


def _check_distillation(study: Study, path: Path) -> None:
    wish, names = study.distill, tuple(study.backbones)
    for key, name, valid in (
        ("teacher", wish.teacher, names),
        ("student", wish.student, tuple(name for name in names if name != ABSENT)),
    ):
        if name not in valid:
            raise refusal(f"distill.{key}", f"distill.{key} {name!r} is {among(name, valid)}", path)
    if wish.teacher != ABSENT and study.train.freeze in {"roi", "both"}:
        problem = f"train.freeze {study.train.freeze!r} leaves a student nothing to learn; set it to none, or "
        raise refusal("train.freeze", f"{problem}distill.teacher to none", path)
