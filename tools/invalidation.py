"""What a change of `params.yaml` makes DVC run again, derived from `dvc.yaml` and stage `configure`; nothing runs."""

import json
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pipeline.params.study import study_of
from pipeline.steps.configure import sections
from pipeline.steps.schedule import Stages, StageSpec, read_yaml, resolve

DVC_YAML = Path("dvc.yaml")
PARAMS = "params.yaml"
SETTINGS = "data/settings"
REPETITIONS, VOTES = "data/repeats/plan.json", "data/votes/plan.json"
CONFIGURE = "configure"

Values: TypeAlias = Mapping[str, Any]
"""Content of `params.yaml`."""


class Graph(NamedTuple):
    """Everything DVC compares before it runs a stage, for one content of `params.yaml`."""

    stages: Stages
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
        params.write_text(json.dumps(values), encoding="utf-8")  # which is YAML; for lines of errors, too
        study = study_of(dict(values), params)
        stages = resolve(_document(dvc_yaml.resolve()), read_yaml(params))
    plans = {REPETITIONS: study.repetitions.model_dump_json(), VOTES: study.votes.model_dump_json()}
    settings = {f"{SETTINGS}/{name}.json": part.model_dump_json() for name, part in sections(study).items()}
    once = {name: stage._replace(deps=tuple(sorted(set(stage.deps)))) for name, stage in stages.items()}
    return Graph(once, settings | plans)  # DVC counts a file that a stage names twice once


_document = cache(read_yaml)


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


def _reads(stage: StageSpec, paths: set[str]) -> bool:
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
