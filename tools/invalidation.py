"""What a change of `params.yaml` makes DVC run again, derived from `dvc.yaml` and stage `configure`; nothing runs."""

import tempfile
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from dvc.parsing import DataResolver
from dvc.repo import Repo
from ruamel.yaml import YAML

from pipeline.params.study import load_study
from pipeline.steps.configure import sections

DVC_YAML = Path("dvc.yaml")
PARAMS = "params.yaml"
SETTINGS = "data/settings"
REPETITIONS, VOTES = "data/repeats/plan.json", "data/votes/plan.json"
CONFIGURE = "configure"

Values: TypeAlias = Mapping[str, Any]
"""Content of `params.yaml`."""


class Stage(NamedTuple):
    """One stage after templates are filled in."""

    cmd: str
    """Command line."""
    deps: tuple[str, ...]
    """Files and folders read."""
    outs: tuple[str, ...]
    """Files and folders written, metrics included."""


class Graph(NamedTuple):
    """Everything DVC compares before it runs a stage, for one content of `params.yaml`."""

    stages: dict[str, Stage]
    """By name, in the order of `dvc.yaml`."""
    settings: dict[str, str]
    """Content of every settings file, by path."""


class Effect(NamedTuple):
    """What runs again after a change."""

    at_once: tuple[str, ...]
    """Stages that are new, or whose own settings or command changed; without `configure`, which every change runs."""
    below: tuple[str, ...]
    """Stages that run too if what they read comes out different."""


def graph_of(values: Values, dvc_yaml: Path = DVC_YAML) -> Graph:
    """Return the graph that `values` as `params.yaml` would give.

    Raises:
        ParamsError: If `values` ask for something impossible.
    """
    with tempfile.TemporaryDirectory() as folder:
        params = Path(folder, PARAMS)
        YAML(typ="safe", pure=True).dump(values, params)
        study = load_study(params)
        document = deepcopy(_document(dvc_yaml.resolve()))
        resolved = DataResolver(Repo(folder, uninitialized=True), folder, document).resolve()
    plans = {REPETITIONS: study.repetitions.model_dump_json(), VOTES: study.votes.model_dump_json()}
    settings = {f"{SETTINGS}/{name}.json": part.model_dump_json() for name, part in sections(study).items()}
    return Graph(
        stages={name: _stage(body) for name, body in resolved["stages"].items()},
        settings=settings | plans,
    )


@cache
def _document(dvc_yaml: Path) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(dvc_yaml)
    return document


def _stage(body: dict[str, Any]) -> Stage:
    listed = [*body.get("outs", []), *body.get("metrics", [])]
    outs = tuple(out if isinstance(out, str) else next(iter(out)) for out in listed)
    return Stage(body["cmd"], tuple(sorted(set(body["deps"]))), outs)  # DVC knows no order, and a file once


def effect(before: Graph, after: Graph) -> Effect:
    """Return what DVC runs when `params.yaml` changes from one graph to the other, all results of `before` there."""
    files = before.settings.keys() | after.settings.keys()
    changed = {file for file in files if before.settings.get(file) != after.settings.get(file)}
    at_once = {
        name
        for name, stage in after.stages.items()
        if name != CONFIGURE and (before.stages.get(name) != stage or _reads(stage, changed))
    }
    reached = _downstream(after, at_once)
    return Effect(_in_order(after, at_once), _in_order(after, reached - at_once))


def _in_order(graph: Graph, names: set[str]) -> tuple[str, ...]:
    return tuple(name for name in graph.stages if name in names)


def _reads(stage: Stage, paths: set[str]) -> bool:
    return any(_overlap(dep, path) for dep in stage.deps for path in paths)


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _downstream(graph: Graph, start: set[str]) -> set[str]:
    reached, front = set(start), set(start)
    while front:
        written = {out for name in front for out in graph.stages[name].outs}
        front = {name for name, stage in graph.stages.items() if _reads(stage, written)} - reached
        reached |= front
    return reached
