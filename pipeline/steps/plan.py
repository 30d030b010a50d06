"""Command `plan`: what `dvc repro` will run and why, how long it takes, what it needs, and whether that is there."""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pipeline.acquisition.hub import HUB_COPY
from pipeline.acquisition.source import DEMO, HUB, OFFICIAL, is_foodseg103
from pipeline.datasets.foodseg103 import COUNTS
from pipeline.params import masks
from pipeline.params.base import load_settings, take_back
from pipeline.params.model import BackboneParams
from pipeline.params.study import Study, load_study
from pipeline.runtime.errors import ParamsError, counted, without_secrets
from pipeline.runtime.resources import existing_folder, format_bytes
from pipeline.runtime.resumable import DVC_LOCK
from pipeline.runtime.times import format_seconds
from pipeline.steps import schedule
from pipeline.steps.configure import configure, record_code
from pipeline.steps.download import OFFICIAL_URL
from pipeline.steps.schedule import DATA, PARAMS, StagePlan

SOURCES = Path("results/sources.json")
SHARD_SHARE = 0.163  # bytes of a pair of cut-outs in a shard, by its pixels' bytes; measured on FoodSeg103 at 224
FOODSEG103_BYTES = 1_254_000_000  # bytes of the archive, and roughly of what is in it
MOMENTS = 3  # a checkpoint has the weights and both moments of Adam
CHOSEN_LINES = 3


class StudyPlan(NamedTuple):
    """One screen, and whether the study can run."""

    lines: tuple[str, ...]
    fits: bool


@contextmanager
def _configured(changes: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Yield a copy of params.yaml with the changes done to it, and the folder of what stage `configure` makes of it."""
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        params, sources = folder / PARAMS.name, folder / SOURCES.name
        for path, copy in ((PARAMS, params), (SOURCES, sources)):
            if path.exists():
                shutil.copyfile(path, copy)
        if changes:
            from dvc.exceptions import DvcException  # noqa: PLC0415 - half a second
            from dvc.utils.hydra import apply_overrides  # noqa: PLC0415

            try:
                apply_overrides(params, list(changes))  # as `dvc exp run -S` does
            except DvcException as error:
                said = str(error.__cause__ or error).partition("\n")[0].rstrip(".")
                raise ParamsError(f"-S {' '.join(changes)}: {said}; give KEY=VALUE with a key of {PARAMS}") from error
        settings, plan, votes = folder / "settings", folder / "repeats/plan.json", folder / "votes/plan.json"
        try:
            configure(params=params, settings=settings, repetitions=plan, votes=votes, sources=sources)
        except ParamsError as error:
            said = str(error).replace(str(params), str(PARAMS))
            raise ParamsError(said.replace(take_back(PARAMS), "correct the -S") if changes else said) from error
        record_code(root=Path(), code=folder / "code")
        yield params, folder


def plan_study(changes: Sequence[str]) -> StudyPlan:
    """Return what `dvc repro` would do, with changes `KEY=VALUE` of params.yaml; nothing is written or fetched.

    Raises:
        ParamsError: If a change is none, or asks for something impossible.
    """
    with _configured(changes) as (params, data):
        plans = schedule.plan_stages(params=params, data=data)
        needs = _Needs(plans, load_study(params), data)
        unknown = [name for name, plan in needs.running.items() if plan.seconds is None]
        for name in unknown:
            needs.running[name].seconds = needs.measured_seconds(name)
        measured = sum(needs.running[name].seconds is not None for name in unknown)
        disk, fits = needs.disk()
        gpu, gpu_fits = needs.gpu()
        lines = [*_stage_lines(plans), _time_line(needs.running, measured), *needs.downloads(), *disk, *gpu]
        return StudyPlan(tuple(lines), fits and gpu_fits)


def _stage_lines(plans: Mapping[str, StagePlan]) -> Iterator[str]:
    """Yield a line for each kind of stage and why it runs."""
    counts = Counter(plan.does for plan in plans.values())
    yield f"{counts['run']} of {len(plans)} stages to run; {counts['checkout']} from DVC's cache"
    rows = [
        (name.partition("@")[0], plan.does, "; ".join(plan.reasons[:CHOSEN_LINES]), name, plan.seconds)
        for name, plan in plans.items()
        if plan.does != "nothing"
    ]
    for (kind, does), group in groupby(rows, key=lambda row: row[:2]):
        listed = list(group)
        known = [seconds for *_, seconds in listed if seconds is not None]
        more_than = "" if len(known) == len(listed) else "> "
        time = more_than + format_seconds(sum(known)) if known else "unknown"
        names = [name.partition("@")[2] for *_, name, _ in listed]
        shown = f"{kind} {', '.join(names)}" if len(names) <= CHOSEN_LINES else f"{kind}, {len(names)} stages"
        reasons = list(dict.fromkeys(reason for _, _, why, *_ in listed for reason in why.split("; ")))
        more = f"; {counted(len(reasons) - CHOSEN_LINES, 'more reason')}" if len(reasons) > CHOSEN_LINES else ""
        yield f"  {time if does == 'run' else 'cached':>11}  {shown.strip()}: {'; '.join(reasons[:CHOSEN_LINES])}{more}"


def _time_line(running: Mapping[str, StagePlan], measured: int) -> str:
    known = [plan.seconds for plan in running.values() if plan.seconds is not None]
    if not known:
        return "time: unknown" if running else "time: seconds"
    text = f"time: about {format_seconds(sum(known) + schedule.DVC_SECONDS * len(running))}"
    sources = (len(known) - measured, "this machine's records"), (measured, "a timed step")
    told = ", ".join(f"{counted(number, 'stage')} by {what}" for number, what in sources if number)
    missing = len(running) - len(known)
    return f"{text} ({told})" + (f", and {counted(missing, 'stage')} of unknown time" if missing else "")


class _Needs:
    """What the stages that run need."""

    def __init__(self, plans: Mapping[str, StagePlan], study: Study, data: Path) -> None:
        self.study, self.settings, self.plans = study, data / "settings", plans
        self.running = {name: plan for name, plan in plans.items() if plan.does == "run" and name != schedule.CONFIGURE}
        self.lock = schedule.read_yaml(DVC_LOCK).get("stages", {})
        self.timed: dict[str, tuple[float, float] | None] = {}

    @cached_property
    def samples(self) -> Mapping[str, int] | None:
        """Samples by split, from the index or from what is known of the release; None if nothing tells."""
        summary = DATA / "index/summary.json"
        if "index" not in self.running and summary.exists():
            return {name: split["samples"] for name, split in json.loads(summary.read_bytes())["splits"].items()}
        if not is_foodseg103(self.study.download.source):
            return None
        (_, train), (_, test) = COUNTS["train"], COUNTS["test"]
        held_back = round(train * self.study.index.validation)
        return {"train": train - held_back, "validation": held_back, "test": test}

    @cached_property
    def _recorded_sizes(self) -> dict[str, int]:
        """Bytes of the outputs of stages as `dvc.lock` has them, if they are of the same photos at the same size."""
        compared = {"download": "download.json", "pair@annotation": "pair.json"}
        for stage, file in compared.items():
            deps = {dep["path"]: dep.get("md5") for dep in self.lock.get(stage, {}).get("deps", ())}
            if deps.get(f"data/settings/{file}") != schedule.md5_of_path(self.settings / file):
                return {}
        return {name: sum(int(out.get("size", 0)) for out in entry["outs"]) for name, entry in self.lock.items()}

    def _bytes_of(self, stage: str) -> float | None:
        """Return the bytes that a stage will write; None if nothing tells."""
        kind, _, item = stage.partition("@")
        recorded = schedule.from_alike(stage, {name: float(size) for name, size in self._recorded_sizes.items()})
        if recorded is not None:
            return recorded
        if kind == "download" and is_foodseg103(self.study.download.source):
            return FOODSEG103_BYTES
        if kind == "pair" and self.samples is not None:
            return sum(self.samples.values()) * 6 * self.study.pair.image_size**2 * SHARD_SHARE
        if kind in {"weights", "train"}:
            names = [item] if kind == "weights" else schedule.branches_of(item)
            stored = [n for n in names if kind == "train" or self._backbone(n).weights != "none"]
            return sum(4.0 * self._parameters(name)[kind == "weights"] for name in stored)
        return None

    def disk(self) -> tuple[list[str], bool]:
        """Return the line on disk space, and whether there is enough where it is known how much is needed."""
        sizes = {name: self._bytes_of(name) for name in self.running}
        unknown = sorted({name.partition("@")[0] for name, size in sizes.items() if size is None})
        kept = sum(size for size in sizes.values() if size is not None)
        runs = [size for name, size in sizes.items() if name.startswith("train@") and size is not None]
        passing = MOMENTS * max(runs, default=0.0) + (sizes.get("download") or 0.0)
        folders = [existing_folder(place) for place in (schedule.cache_folder(), DATA)]
        places = {folder.stat().st_dev: folder for folder in folders}
        fits, texts = True, []
        for place in places.values():
            free = shutil.disk_usage(place).free
            fits &= kept + passing <= free
            texts.append(f"{format_bytes(free)} free at {place.absolute()}")
        missing = f", without {', '.join(unknown)}" if unknown else ""
        short = "" if fits else ": DOES NOT FIT; make room"
        needed = f"{format_bytes(int(kept))} to keep and {format_bytes(int(passing))} for a while{missing}"
        return [f"disk: {needed}; {', '.join(texts)}{short}"], fits

    def downloads(self) -> Iterator[str]:
        """Yield what will be fetched from where."""
        source = self.study.download.source
        if "download" in self.running and is_foodseg103(source):
            places = {OFFICIAL: urlsplit(OFFICIAL_URL).hostname, HUB: f"{HUB_COPY.repository} on huggingface.co"}
            where = places.get(source.partition("@")[2]) or ", else ".join(map(str, places.values()))
            yield f"download: {source} from {where}, {format_bytes(FOODSEG103_BYTES)}"
        elif "download" in self.running and source != DEMO:
            yield f"download: {without_secrets(source)}"
        for name in (stage.partition("@")[2] for stage in self.running if stage.startswith("weights@")):
            weights = self._backbone(name).weights
            if weights != "none":
                place = "huggingface.co" if weights == "hub" else without_secrets(weights)
                yield f"download: weights of {name} from {place}, {format_bytes(4 * self._parameters(name)[1])}"
        for name in (stage.partition("@")[2] for stage in self.running if stage.startswith("mask_weights@")):
            if name in {"sam", "fastsam"} and getattr(self.study.masks, name).weights == masks.OFFICIAL:
                yield f"download: official weights of {name}"

    def _backbone(self, name: str) -> BackboneParams:
        return load_settings(BackboneParams, self.settings / f"backbones/{name}.json")

    def _parameters(self, name: str) -> tuple[int, int]:
        from pipeline.training.step_cost import count_parameters  # noqa: PLC0415 - torch takes seconds

        backbone = self._backbone(name)
        return (0, 0) if backbone.timm is None else count_parameters(backbone.timm, json.dumps(dict(backbone.options)))

    def _seconds_of_sample(self, name: str) -> tuple[float, float] | None:
        """Return the seconds of training and of prediction at the real size; None if nothing tells."""
        from pipeline.training.step_cost import time_sample  # noqa: PLC0415 - torch takes seconds

        backbone, train = self._backbone(name), self.study.train
        if name not in self.timed:
            self.timed[name] = None if backbone.timm is None else time_sample(
                backbone.timm, json.dumps(dict(backbone.options)), size=self.study.pair.image_size,
                batch=train.batch_size // train.accumulate, threads=train.threads, device=self.study.runtime.device,
            )  # fmt: skip
        return self.timed[name]

    def measured_seconds(self, stage: str) -> float | None:
        """Return the time of a stage from a step of each of its backbones at the real size; None if that tells none."""
        kind, _, item = stage.partition("@")
        branches = schedule.branches_of(item)
        if kind not in {"train", "evaluate"} or self.samples is None or not branches:
            return None
        found = [seconds for seconds in map(self._seconds_of_sample, branches) if seconds is not None]
        if len(found) < len(branches):
            return None
        step, forward = map(sum, zip(*found, strict=True))
        if kind == "evaluate":
            return forward * self.samples["test"]
        epochs = self.study.train.epochs
        return epochs * (step * self.samples["train"] + forward * self.samples.get("validation", 0))

    def gpu(self) -> tuple[list[str], bool]:
        """Return the line on GPU memory, measured by one step of the heaviest run; none without a GPU."""
        runs = [schedule.branches_of(name.partition("@")[2]) for name in self.running if name.startswith("train@")]
        if not runs or self.study.runtime.device == "cpu":
            return [], True
        import torch  # noqa: PLC0415 - takes seconds

        if not torch.cuda.is_available():
            return [], True
        from pipeline.training.step_cost import gpu_step  # noqa: PLC0415 - likewise, and timm

        heaviest = max(runs, key=lambda names: sum(self._parameters(name)[0] for name in names))
        models = [self._backbone(name) for name in heaviest]
        batch, size = self.study.train.batch_size // self.study.train.accumulate, self.study.pair.image_size
        needed, total = gpu_step([(m.timm or "", dict(m.options)) for m in models], batch=batch, size=size)
        short = "" if needed <= total else ": DOES NOT FIT; raise train.accumulate"
        step = f"a step of {'+'.join(heaviest)} at batch {batch}"
        return [f"GPU memory: {format_bytes(needed)} in {step}; the GPU has {format_bytes(total)}{short}"], not short
