"""Which stages `dvc repro` will run, why, and how long they take: what DVC decides, derived without running it.

Stage `configure` writes the schedule for the first lines of the others; command `plan` shows it.
"""

import hashlib
import json
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from configparser import ConfigParser
from contextlib import suppress
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeAlias

import yaml

from pipeline.params.run_name import ABSENT, RESERVED, RunName
from pipeline.runtime.errors import ParamsError, counted
from pipeline.runtime.resumable import DVC_LOCK
from pipeline.runtime.stores import LIST_SUFFIX, list_of, md5_of, md5_of_list
from pipeline.runtime.times import SCHEDULE, records_file, scale_of

DVC_YAML, PARAMS, DATA, CONFIGURE = Path("dvc.yaml"), Path("params.yaml"), Path("data"), "configure"
TRAINING = ("train", "repeat", "distill")  # their time grows with the epochs
DVC_SECONDS = 0.7  # DVC's own share of a stage; measured
LINE = 100  # characters of a reason
_TEMPLATE = re.compile(r"\$\{([\w.]+)\}")

Lock: TypeAlias = Mapping[str, Mapping[str, Any]]  # stages of `dvc.lock`; all values are text


class StageSpec(NamedTuple):
    """One stage of `dvc.yaml` with its templates filled in."""

    cmd: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]


Stages: TypeAlias = Mapping[str, StageSpec]


@dataclass
class StagePlan:
    """What DVC will do with a stage."""

    does: str  # `nothing`, `checkout` (its outputs come from DVC's cache) or `run`
    reasons: list[str]
    outs: dict[str, str] = field(default_factory=dict)  # MD5 of each output, as far as known before it runs
    reads: set[str] = field(default_factory=set)  # stages upstream, at any distance, that run
    seconds: float | None = None  # expected duration; None if no record tells


def _filled(node: Any, scope: Mapping[str, Any]) -> Any:
    """Return text, list or mapping with every `${...}` replaced by what it names."""

    def lookup(found: re.Match[str]) -> Any:
        value: Any = scope
        for key in found[1].split("."):
            value = value[key]
        return value

    if isinstance(node, dict):
        return {_filled(key, scope): _filled(value, scope) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(entry, scope) for entry in node]
    whole = _TEMPLATE.fullmatch(node)
    return lookup(whole) if whole else _TEMPLATE.sub(lookup, node)


def resolve(document: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, StageSpec]:
    """Return the stages of `dvc.yaml` by name, as DVC resolves `foreach`, `matrix` and `${...}` with `params.yaml`."""
    stages: dict[str, StageSpec] = {}

    def add(name: str, body: Mapping[str, Any], scope: Mapping[str, Any]) -> None:
        listed = (_filled(body.get(kind, []), scope) for kind in ("outs", "metrics"))
        outs = [out if isinstance(out, str) else next(iter(out)) for part in listed for out in part]
        deps = sorted(_filled(body.get("deps", []), scope))  # with repetitions, as in the keys of the run cache
        stages[name] = StageSpec(_filled(body["cmd"], scope), tuple(deps), tuple(sorted(outs)))

    for name, body in document["stages"].items():
        if "matrix" in body:
            axes = _filled(body["matrix"], values)
            for combination in product(*axes.values()):
                item = dict(zip(axes, combination, strict=True))
                add(f"{name}@{'-'.join(combination)}", body, {**values, "item": item})
        elif "foreach" in body:
            items = _filled(body["foreach"], values)
            pairs = items.items() if isinstance(items, dict) else ((item, item) for item in items)
            for key, item in pairs:
                add(f"{name}@{key}", body["do"], {**values, "key": key, "item": item})
        else:
            add(name, body, values)
    return stages


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a YAML file with every scalar as text, as DVC's templates write it; empty if absent."""
    if not path.exists():
        return {}
    loaded: dict[str, Any] = yaml.load(path.read_text("utf-8"), yaml.CBaseLoader)  # noqa: S506 - builds text alone
    return loaded or {}


def cache_folder(root: Path = Path()) -> Path:
    """Return DVC's cache, from the checkout's own configuration."""
    config = ConfigParser(interpolation=None, strict=False)
    config.read([root / ".dvc/config", root / ".dvc/config.local"], encoding="utf-8")
    return root / ".dvc" / config.get("cache", "dir", fallback="cache")


def md5_of_path(path: Path) -> str | None:
    """Return the MD5 of a file, or of DVC's list of a folder's files; None if absent."""
    if not path.is_dir():
        return md5_of(path) if path.exists() else None
    files = [each for each in path.rglob("*") if each.is_file() and not {"__pycache__"} & {*each.parts}]
    return md5_of_list(list_of({each.relative_to(path).as_posix(): md5_of(each) for each in files}))


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


class _Simulation:
    """DVC's decisions about each stage, upstream first."""

    def __init__(
        self, stages: Mapping[str, StageSpec], lock: Lock, cache: Path, located: Callable[[str], Path]
    ) -> None:
        self.stages, self.lock, self.cache, self.located = stages, lock, cache, located
        made = [(out, name) for name, stage in stages.items() for out in stage.outs]
        self.upstream = {
            name: {maker for dep in stage.deps for out, maker in made if _overlap(dep, out)} - {name}
            for name, stage in stages.items()
        }
        self.plans: dict[str, StagePlan] = {}

    def run(self) -> dict[str, StagePlan]:
        for name in TopologicalSorter(self.upstream).static_order():
            self.plans[name] = self._decide(name, self.stages[name])
        return {name: self.plans[name] for name in self.stages}

    def _decide(self, name: str, stage: StageSpec) -> StagePlan:
        old = self.lock.get(name, {})
        old_outs = {out["path"]: out["md5"] for out in old.get("outs", ())}
        reads = set().union(*({maker, *self.plans[maker].reads} for maker in self.upstream[name]))
        running = {maker for maker in reads if self.plans[maker].does == "run" and maker != CONFIGURE}
        if name == CONFIGURE:
            return StagePlan("run", ["always runs: looks for changes"])
        reasons = [] if old else ["has not run yet"]
        if old and old["cmd"] != stage.cmd:
            reasons.append("its command changed")
        known: dict[str, str | None] = {}
        old_deps = {dep["path"]: dep.get("md5") for dep in old.get("deps", ())}
        for dep in stage.deps:
            known[dep] = self._md5_of_dep(dep, old_deps.get(dep))
            if known[dep] is None:
                makers = sorted(m for m in self.upstream[name] if self.plans[m].does == "run" and m != CONFIGURE)
                reasons += [
                    f"reads what {maker.partition('@')[0]} makes" for maker in makers if self._makes(maker, dep)
                ]
            elif old and known[dep] != old_deps.get(dep):
                reasons += [*self._what_changed(dep, old_deps.get(dep))] or [f"{dep} changed"]
        missing = [out for out in stage.outs if not self.located(out).exists()]
        if not reasons and not missing:
            return StagePlan("nothing", [], old_outs, running)
        found = old_outs if not reasons else None if None in known.values() else self._cached_run(stage, known)
        reasons = reasons or [f"{missing[0]} is not here"]
        files = [self.cache / "files/md5" / md5[:2] / md5[2:] for md5 in (found or {}).values()]
        if found is not None and set(found) == {*stage.outs} and all(file.exists() for file in files):
            return StagePlan("checkout", reasons, found, running)
        own_first = sorted(dict.fromkeys(reasons), key=lambda reason: reason.startswith("reads what"))
        return StagePlan("run", own_first, {}, running)

    def _makes(self, maker: str, dep: str) -> bool:
        return any(_overlap(dep, out) for out in self.stages[maker].outs)

    def _md5_of_dep(self, dep: str, recorded: str | None) -> str | None:
        """Return the MD5 that a dependency will have; None if a stage that runs will write it."""
        makers = [m for m in self.plans if m != CONFIGURE and self._makes(m, dep)]
        if not makers:
            return md5_of_path(self.located(dep))
        found = {out: md5 for maker in makers for out, md5 in self.plans[maker].outs.items()}
        if dep in found:
            return found[dep]
        before = {out["path"]: out["md5"] for maker in makers for out in self.lock.get(maker, {}).get("outs", ())}
        return recorded if found and found == before else None  # a folder of several stages' outputs

    def _cached_run(self, stage: StageSpec, deps: Mapping[str, str | None]) -> dict[str, str] | None:
        """Return the outputs of the newest run with the same command and dependencies, from DVC's run cache."""
        listed = [{"path": dep, "hash": "md5", "md5": deps[dep]} for dep in stage.deps]
        content = json.dumps({"cmd": stage.cmd, "deps": listed, "outs": list(stage.outs)}, sort_keys=True)
        key = hashlib.sha256(content.encode()).hexdigest()
        entries = sorted((self.cache / "runs" / key[:2] / key).glob("*"), key=lambda path: path.stat().st_mtime)
        return {out["path"]: out["md5"] for out in read_yaml(entries[-1])["outs"]} if entries else None

    def _what_changed(self, dep: str, old: str | None) -> Iterator[str]:
        """Yield the setting, or the file of code, that differs from what DVC's cache holds of the last run."""
        place, before = self.located(dep), self.cache / "files/md5" / (old or "")[:2] / (old or "")[2:]
        if old is not None and old.endswith(LIST_SUFFIX) and before.is_file() and place.is_dir():
            held = {entry["relpath"]: entry["md5"] for entry in json.loads(before.read_bytes())}
            for name, md5 in held.items():
                if md5_of_path(place / name) != md5:
                    yield from self._what_changed(f"{dep}/{name}", md5)
            return
        if old is None or not (before.is_file() and place.is_file()) or place.suffix != ".json":
            return
        then, now = (dict(_leaves(json.loads(path.read_bytes()))) for path in (before, place))
        moved = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
        if moved and dep.startswith("data/code/"):
            yield f"code: {moved[0]}" + (f" and {counted(len(moved) - 1, 'more file')}" if len(moved) > 1 else "")
            return
        for key in moved:
            shown = f"{place.stem}.{key}: {then.get(key)} -> {now.get(key)}"
            yield shown if len(shown) < LINE else f"{place.stem}.{key}"


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _leaves(entry, f"{key}.{name}" if key else name)
    else:
        yield key, value


def current_stages(params: Path) -> dict[str, StageSpec]:
    """Return the stages that `dvc.yaml` has with the values of `params`, by name, in its order."""
    return resolve(read_yaml(DVC_YAML), read_yaml(params))


def plan_stages(*, params: Path = PARAMS, data: Path = DATA) -> dict[str, StagePlan]:
    """Return what DVC will do with each stage of `dvc.yaml`, with expected seconds from the records.

    `params` has the values for the templates of `dvc.yaml`; `data` the outputs of stage `configure`: `settings`,
    `code`, and the plans of `repeats` and `votes`.
    """

    def located(path: str) -> Path:
        ours = {*Path(path).parts[1:2]} & {"settings", "code", "repeats", "votes"} and Path(path).parts[0] == DATA.name
        return data / Path(path).relative_to(DATA) if ours else Path(path)

    plans = _Simulation(current_stages(params), read_yaml(DVC_LOCK).get("stages", {}), cache_folder(), located).run()
    history = [record for record in read_records() if record.get("machine") == platform.node()]
    scale = scale_of(data / "settings")
    for name, plan in plans.items():
        if plan.does == "run":
            plan.seconds = expected_seconds(name, history, scale)
    return plans


def read_records(path: Path | None = None) -> list[dict[str, Any]]:
    """Return the records of stages in the order in which they ended; damaged lines are left out."""
    records, path = [], path or records_file()
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            records.append(record | {"total": float(record["seconds"])})
        except (ValueError, KeyError, TypeError):
            continue
    parts: dict[str, float] = {}
    for record in records:  # parts before an interruption count for the run that ended
        earlier = parts.pop(record["stage"], 0.0)
        record["total"] += earlier
        if not record["done"]:
            parts[record["stage"]] = record["total"]
    return records


def expected_seconds(stage: str, records: list[dict[str, Any]], scale: Mapping[str, Any]) -> float | None:
    """Return how long a stage will take, from records of the same data; None if none is like it.

    See `from_alike`; training grows with the epochs.
    """
    kind = stage.partition("@")[0]
    alike: dict[str, float] = {}
    for record in records:
        theirs = record.get("scale")
        if record["done"] and theirs is not None and theirs["data"] == scale["data"]:
            work = record["work"]["seconds"] if kind in TRAINING else 0.0
            alike[record["stage"]] = record["total"] + work * (scale["epochs"] / theirs["epochs"] - 1)
    ended = [r for r in records if r["done"] and r["stage"].startswith(f"{kind}@")]
    start = min((r["total"] - r["work"]["seconds"] for r in ended), default=0.0)
    return from_alike(stage, alike, start=start)


def from_alike(stage: str, alike: Mapping[str, float], *, start: float = 0.0) -> float | None:
    """Return the value of a stage from those of stages like it; None if there is none of its kind.

    That of the stage itself, else for a run of two branches the sum of a run of each, whose `start` counts once, else
    the median of the runs that share a branch, else of the kind.
    """
    if stage in alike:
        return alike[stage]
    kind, _, item = stage.partition("@")
    same_kind = {name.partition("@")[2]: value for name, value in alike.items() if name.partition("@")[0] == kind}
    own = branches_of(item)
    halves = [same_kind[name] for branch in own if (name := RunName(branch, ABSENT, "all").name) in same_kind]
    if len(own) == len(halves) == 2:  # noqa: PLR2004 - two branches
        return sum(halves) - start
    near = [value for name, value in same_kind.items() if {*own} & {*branches_of(name)}]
    return float(median(near or same_kind.values())) if same_kind else None


def branches_of(item: str) -> tuple[str, ...]:
    """Return the backbones of a run by its name; none of what is no run."""
    try:
        name = RunName.parse(item)
    except ParamsError:
        return ()
    return tuple(branch for branch in (name.roi, name.extra_roi) if branch not in RESERVED)


def write_schedule() -> None:
    """Write `.unfinished/schedule.jsonl` for the first lines of the stages that follow; without it they have none."""
    SCHEDULE.unlink(missing_ok=True)
    with suppress(OSError, ValueError, LookupError, yaml.YAMLError):
        plans = plan_stages()
        running = {name: plan for name, plan in plans.items() if plan.does == "run" and name != CONFIGURE}
        entries = {}
        for name, plan in running.items():
            seconds = None if plan.seconds is None else plan.seconds + DVC_SECONDS
            entries[name] = {"seconds": seconds, "reads": sorted(plan.reads & running.keys())}
        SCHEDULE.parent.mkdir(parents=True, exist_ok=True)
        SCHEDULE.write_text(json.dumps({"total": len(plans), "stages": entries}) + "\n", encoding="utf-8")
