"""The whole of `params.yaml`: the choice of data set and recipe, the schema, and the checks across sections.

A choice `{default: A, demo: B, released: C}` holds the values of several data sets and recipes in one place.
"""

import difflib
import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params import stages
from pipeline.params.base import (
    DEFAULT,
    MAPPING,
    Key,
    Section,
    check_secrets,
    place_of_key,
    refusal,
    refusal_of_schema,
    take_back,
)
from pipeline.params.masks import SOURCES, AgreementParams, MasksParams, TransferParams, VoteParams, VotePlan
from pipeline.params.model import DRAWN, BackboneParams, ClassSetParams, TrainParams
from pipeline.params.run_name import ABSENT, FUSIONS, NAME, RESERVED, RunName
from pipeline.params.runtime import RuntimeParams
from pipeline.runtime.errors import ParamsError, printable

Recipe: TypeAlias = Literal["corrected", "released"]
"""Named sets of values. A further one is a word here and its entries in `params.yaml`."""
RECIPES: tuple[str, ...] = get_args(Recipe)
OLD_RECIPES = {"sane": "corrected"}  # names of recipes in earlier versions, which are still read


def choose(value: Any, preferred: tuple[object, ...]) -> Any:
    """Replace every mapping with a key `default` by its entry for the first preferred name, or else by the default.

    The entry may be a choice itself: `{default: {default: hub, released: torchvision}, demo: none}`.
    """
    if not isinstance(value, dict):
        return value
    if DEFAULT not in value:
        return {key: choose(entry, preferred) for key, entry in value.items()}
    return choose(next((value[name] for name in preferred if name in value), value[DEFAULT]), preferred)


def chosen(values: dict[str, Any]) -> Any:
    """Return the values of the file's own recipe and data set; the recipe's entry wins.

    What holds for a data set `name` holds for `name@place`, too.

    Raises:
        KeyError: If there is no recipe or data set.
    """
    dataset = str(values["dataset"])
    return choose(values, (values["recipe"], dataset, dataset.partition("@")[0]))


def known_datasets(values: dict[str, Any]) -> tuple[str, ...]:
    """Return the data sets that `download.source` names; one source for all fits any name."""
    match values:
        case {"download": {"source": str()}, "dataset": str(label)}:
            return (label,)
        case {"download": {"source": {"default": _} as source}}:
            return tuple(name for name in source if name != DEFAULT)
    return ()


def check_choices(values: dict[str, Any], datasets: tuple[str, ...], path: Path) -> None:
    """Refuse an unknown recipe, a data set of a recipe's name, and entries of choices that are neither.

    Raises:
        ParamsError: Such a name, with its place.
    """
    recipe = values.get("recipe")
    if recipe is not None and recipe not in RECIPES:
        raise refusal("recipe", f"recipe {recipe!r} is {among(str(recipe), RECIPES)}", path)
    if both := {DEFAULT, *RECIPES, *OLD_RECIPES} & {*datasets, str(values.get("dataset"))}:
        problem = f"dataset {both.pop()!r} is the name of a recipe; give the data set another name"
        raise refusal("dataset", problem, path)
    valid = (*datasets, *RECIPES)
    for key, name in _names_in_choices(values):
        # A lone `download.source` names no data sets to compare with, and a path is its own name.
        if len(datasets) > 1 and name not in valid and "/" not in name:
            problem = f"{key}: {name!r} is {among(name, valid)}, the data sets and recipes"
            raise refusal((*key.split("."), name), problem, path)
    match values:
        case {"masks": {"prompts": {"kind": "text"}}}:
            reason = "a food's name is the label that runs are judged by, so it may not choose their masks"
            fix = "choose box, point or box_point"
            raise refusal("masks.prompts.kind", f"masks.prompts.kind: text is given, and {reason}; {fix}", path)


def _names_in_choices(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield key and entry name of every choice, except `default`."""
    if not isinstance(value, dict):
        return
    for name, entry in value.items():
        if DEFAULT not in value:
            yield from _names_in_choices(entry, f"{key}.{name}" if key else str(name))
        else:
            if name != DEFAULT:
                yield key, str(name)
            yield from _names_in_choices(entry, key)


def among(name: str, valid: tuple[str, ...]) -> str:
    """Return `not one of A, B`, with the closest valid name as a suggestion."""
    close = difflib.get_close_matches(name, valid, n=1)
    return f"not one of {', '.join(valid)}" + (f" (did you mean {close[0]!r}?)" if close else "")


AUTO = "auto"
SEEDED = ("train", "probe", "perturb", "explain", "agreement", "transfer", "report")  # sections that get the seed


class Study(Section):
    """Every parameter after the choice of data set and recipe."""

    recipe: Recipe  # named set of values: `corrected` mends the released code's mistakes, `released` repeats them
    dataset: str  # name of a data set that `download.source` lists, or a path or URL
    roi: str  # backbone of the variant's ROI branch, or none; of a fusion the only backbone
    extra_roi: str  # backbone of the variant's extra-ROI branch, none, or a fusion
    classes: str  # class set of the variant
    seed: int = Field(ge=0)  # seed of everything random but the demo's scenes and the jitter of prompts
    seeds: tuple[Annotated[int, Field(ge=0)], ...]  # seeds of repetitions; each trains all of `repeat.runs` once more
    ambiguous: stages.AmbiguousParams  # `auto`, two categories, or none
    runtime: RuntimeParams
    demo: stages.DemoParams
    download: stages.DownloadParams
    index: stages.IndexParams
    masks: MasksParams
    pair: stages.PairParams
    backbones: dict[str, BackboneParams]
    class_sets: dict[str, ClassSetParams]
    train: TrainParams
    repeat: stages.RepeatParams
    distill: stages.DistillParams
    probe: stages.ProbeParams
    evaluate: stages.EvaluateParams
    perturb: stages.PerturbParams
    explain: stages.ExplainParams
    agreement: AgreementParams
    transfer: TransferParams
    vote: VoteParams
    report: stages.ReportParams

    @property
    def variant(self) -> str:
        """Name of the variant's run."""
        return RunName(self.roi, self.extra_roi, self.classes).name

    @property
    def repetitions(self) -> stages.RepetitionPlan:
        """What is to be repeated; empty without `seeds`."""
        if not self.seeds:
            return stages.RepetitionPlan(seeds=(), runs=())
        return stages.RepetitionPlan(seeds=(self.seed, *self.seeds), runs=self.repeat.runs)

    @property
    def votes(self) -> VotePlan:
        """Models that vote."""
        return VotePlan(models=tuple(self.vote.models))


def load_study(path: Path, *, recorded: Collection[str] = (), warn: Callable[[str], None] = lambda _: None) -> Study:
    """Read `params.yaml`, choose the values of its data set and recipe, and check everything.

    Args:
        path: The file.
        recorded: Paths of data sets that a study was made from, perhaps on another machine; they may be absent here.
        warn: Takes a note on each word of an earlier version that the file holds.

    Raises:
        ParamsError: If the file is no YAML, a URL holds a secret, a key is absent, unknown or of the wrong type, or a
            value contradicts another one. The message names the line.
    """
    return study_of(_read(path), path, recorded=recorded, warn=warn)


def study_of(
    values: dict[str, Any],
    path: Path,
    *,
    recorded: Collection[str] = (),
    warn: Callable[[str], None] = lambda _: None,
) -> Study:
    """Do the same for the content of the file at `path`."""
    check_secrets(values, path)
    names = known_datasets(values)
    try:
        values = _with_new_words(values, path, warn)
        check_choices(values, names, path)
        study = Study.model_validate_json(json.dumps(_with_copies(chosen(values), path)))
    except KeyError as error:
        raise ParamsError(f"{path}: key {error.args[0]!r} is absent") from error
    except ValidationError as error:
        raise refusal_of_schema(error, path) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ParamsError(f"{path}: {error}; {take_back(path)}") from error
    problems = (*_wrong_names(study, names, (*names, *recorded)), *_contradictions(study), *_lacks_validation(study))
    for key, problem in problems:
        raise refusal(key, problem, path)
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


def _with_new_words(values: dict[str, Any], path: Path, warn: Callable[[str], None]) -> dict[str, Any]:
    """Replace recipe `sane` and key `masks.source` of earlier versions by `corrected` and `masks.eval`."""

    def renamed_recipes(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        names = OLD_RECIPES if DEFAULT in value else {}
        return {names.get(name, name): renamed_recipes(entry) for name, entry in value.items()}

    recipe, masks = values.get("recipe"), values.get("masks")
    renamed: dict[str, Any] = renamed_recipes(values)
    if isinstance(recipe, str) and recipe in OLD_RECIPES:
        renamed["recipe"] = OLD_RECIPES[recipe]
    if renamed != values:
        warn(f"{place_of_key(('recipe',), path)}: recipe `sane` is now called `corrected`; it means the same")
    if isinstance(masks, dict) and "source" in masks:
        if "eval" in masks:
            raise refusal("masks.source", "masks.source: is now called masks.eval; remove it and set masks.eval", path)
        warn(f"{place_of_key(('masks', 'source'), path)}: masks.source is now called masks.eval; it means the same")
        renamed["masks"] = {"eval" if name == "source" else name: entry for name, entry in renamed["masks"].items()}
    return renamed


def _with_copies(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Copy the values that several stages share into each of their sections, and resolve `train.precision: auto`."""
    for section in (*SEEDED, "runtime", "pair", "index", "masks", "class_sets", "download"):
        if not isinstance(values[section], dict):
            raise refusal(section, f"{section}: {values[section]!r} is given, allowed is {MAPPING}", path)
    for section in SEEDED:
        values[section] = values[section] | {"seed": values["seed"]}
    download = values["download"]
    source = download["source"] or values["dataset"]
    values["train"] |= {"devices": values["runtime"].get("devices", 1), "data_set": short_name(str(source))}
    if values["train"]["precision"] == "auto":  # by what params.yaml says, so that it is the same on every machine
        values["train"]["precision"] = "bf16" if values["runtime"].get("device") == "cuda" else "fp32"
    values["perturb"] |= {"pad": values["pair"]["pad"]}
    values["report"] |= {"probed": values["probe"].get("backbones", ())}
    values["agreement"] |= {name: values["pair"][name] for name in ("image_size", "geometry")}
    values["agreement"] |= {name: values["index"][name] for name in ("void",) if name in values["index"]}
    values["masks"] |= {"tiny_area": values["index"]["tiny_area"]}
    given = values["ambiguous"]
    pair = [] if given == AUTO else given
    if not (isinstance(pair, list) and len(pair) in {0, 2} and all(isinstance(name, str) for name in pair)):
        problem = f"ambiguous: {given!r} is given, allowed is auto, a list of two categories, or []"
        raise refusal("ambiguous", problem, path)
    values["ambiguous"] = {"names": pair, "auto": given == AUTO}
    for entry in filter(lambda entry: isinstance(entry, dict), values["class_sets"].values()):
        entry["ambiguous"] = pair if values["train"].get("test_curves") else []
    values["download"] = download | {"source": source, "demo": values["demo"]}
    return values


def short_name(source: str) -> str:
    """Return the name of a data set: `demo`, `foodseg103`, or the last part of its path or URL without an ending.

    The place and the form it came in are no part of it, so that an archive, moved or extracted, trains nothing anew.
    """
    known = source.partition("@")[0]
    if known in {DRAWN, "foodseg103"}:
        return known
    last = re.split(r"[/\\]", source.partition("?")[0].partition("#")[0].rstrip("/\\"))[-1]
    name = printable(re.sub(r"\.(zip|tgz|tar(\.\w+)?)$", "", last, flags=re.IGNORECASE).strip("."))
    return name if name not in {"", DRAWN} else f"folder {name}".strip()


def _wrong_names(study: Study, datasets: tuple[str, ...], known: tuple[str, ...]) -> Iterator[tuple[Key | str, str]]:
    """Yield key and problem of names that no run's name can hold, or that name nothing."""
    entries = ("backbones", study.backbones), ("class_sets", study.class_sets), ("vote.models", study.vote.models)
    for section, names in entries:
        for name in names:
            if NAME.fullmatch(name) is None:
                problem = "give it a name of lower-case letters, digits and underscores; it becomes part of names of"
                yield (*section.split("."), name), f"{section}.{name}: {problem} runs and folders"
    dataset, there = study.dataset, False
    with suppress(OSError, ValueError):  # too long for a path, or with a zero byte
        there = "://" in dataset or (bool(dataset.strip()) and Path(dataset).exists())
    if not there and dataset not in known:
        yield "dataset", f"dataset {dataset!r} is {among(dataset, datasets)}, nor an existing path, nor a URL"
    models = tuple(name for name in study.backbones if name not in RESERVED)
    backbones = (*models, ABSENT)
    further = tuple(study.masks.transformers)
    for name in further:
        if NAME.fullmatch(name) is None or name in SOURCES:
            problem = "give it another name, of lower-case letters, digits and underscores; it becomes a folder's"
            yield ("masks", "transformers", name), f"masks.transformers.{name}: {problem}"
    for key, name, valid in (
        ("masks.eval", study.masks.eval, (*SOURCES, *further)),
        ("masks.train", study.masks.train, (*SOURCES, *further)),
        ("roi", study.roi, models if study.extra_roi in FUSIONS else backbones),
        ("extra_roi", study.extra_roi, (*backbones, *FUSIONS)),
        ("classes", study.classes, tuple(study.class_sets)),
        ("distill.teacher", study.distill.teacher, backbones),
        ("distill.student", study.distill.student, models),
        *(("probe.backbones", name, models) for name in study.probe.backbones),
    ):
        if name not in valid:
            yield key, f"{key} {name!r} is {among(name, valid)}"


def _contradictions(study: Study) -> Iterator[tuple[Key | str, str]]:
    """Yield key and problem of values that do not go together."""
    if study.roi == study.extra_roi == ABSENT:
        yield "roi", "roi and extra_roi are both none; give at least one branch a backbone"
    for name, backbone in study.backbones.items():
        if (backbone.timm is None) != (name in RESERVED):
            problem = f"backbones.{name}.timm: only {', '.join(RESERVED)} have no timm model, and they have none"
            yield ("backbones", name, "timm"), problem
    if missing := [name for name in RESERVED if name not in study.backbones]:
        yield "backbones", f"backbones has no {missing[0]}, which the graph needs; add the line `{missing[0]}: {{}}`"
    masks, kind = study.masks, study.masks.prompts.kind
    if "grabcut" in {masks.eval, masks.train} and kind != "box":
        problem = f"masks.prompts.kind: {kind} is given, and grabcut answers boxes alone; set it to box, or masks.eval"
        yield "masks.prompts.kind", f"{problem} and masks.train to other sources"
    lists = {"seeds": study.seeds, "repeat.runs": study.repeat.runs, "probe.backbones": study.probe.backbones}
    for key, listed in lists.items():
        if twice := [entry for place, entry in enumerate(listed) if entry in listed[:place]]:
            yield key, f"{key} has {twice[0]} twice; name each once"
    if study.seed in study.seeds:
        yield "seeds", f"seeds has {study.seed}, which is `seed`, the runs' own; name others"
    if study.distill.teacher != ABSENT and study.train.freeze in {"roi", "both"}:
        problem = f"train.freeze {study.train.freeze!r} leaves a student nothing to learn; set it to none, or "
        yield "train.freeze", f"{problem}distill.teacher to none"


def _lacks_validation(study: Study) -> Iterator[tuple[str, str]]:
    """Yield key and problem of values that ask for a choice in the validation split where there is none."""
    if not study.index.validation:
        fix = "is chosen in the validation split, of which there is none: set index.validation, for instance to 0.1, or"
        if study.ambiguous.auto:
            yield "ambiguous", f"ambiguous: auto {fix} ambiguous to two categories or []"
        if study.train.select == "best_validation":
            yield "train.select", f"train.select: best_validation {fix} train.select to last"
