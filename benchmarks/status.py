"""What looking costs: `dvc status` of a study with as many files as FoodSeg103 has, everything cached."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.measure import cost_of
from benchmarks.row import Row
from benchmarks.site import Site
from pipeline.steps.schedule import StageSpec
from tools.invalidation import graph_of
from tools.scale_trial import generate
from tools.working_copy import RECORDS, copy_files

PHOTOS, FOODS = 7_120, 4
"""Photos of FoodSeg103, each with a label map, and foods a photo: 28,480 samples for its 26,000."""
IMAGE_SIZE = 16
FILES = 5
"""Files that stand in for what is in a folder of a stage that is not run here, as many as `evaluate` writes."""
GOAL = 5.0
"""Seconds."""


def measure(site: Site) -> Iterator[Row]:
    """Yield processor and clock seconds, DVC's start included."""
    study = _Study(site.scratch / "status")
    files = study.make()
    costs = [cost_of(study.look) for _ in range(site.rounds)]
    detail: dict[str, object] = {"files": files, "samples": PHOTOS * FOODS}
    for unit, seconds in (("CPU", [cost.cpu for cost in costs]), ("clock", [cost.wall for cost in costs])):
        yield Row(
            name=f"`dvc status` with {PHOTOS * FOODS:,} samples cached, {unit}",
            against=f"{unit} seconds",
            reach=GOAL,
            sense="at most",
            ratios=tuple(seconds),
            detail=detail,
        )


class _Study:
    """A copy of this checkout with a large data set; runs are stood in for, what DVC knows of them is real."""

    def __init__(self, folder: Path) -> None:
        """Name a new folder."""
        self.folder = folder / "checkout"
        self.env = os.environ | {"DVC_SITE_CACHE_DIR": str(folder / "site"), "PATH": _path(), "PYTHONPATH": ""}

    def make(self) -> int:
        """Run the data stages, record the others; return the number of files below `data/`."""
        photos = self.folder.with_name("photos")
        generate(photos, PHOTOS, 1, foods=FOODS)
        copy_files(self.folder, without=(*RECORDS, "tests/", "docs/"))
        values = self._settings(photos / "raw")
        self._call("git", "init", "-q")
        self._call("dvc", "repro", "-q", "pair@annotation")
        self._stand_in(tuple(graph_of(values, self.folder / "dvc.yaml").stages.values()))
        self._call("dvc", "commit", "-q", "--force")
        return sum(1 for path in (self.folder / "data").rglob("*") if path.is_file())

    def look(self) -> None:
        """Ask DVC what changed.

        Raises:
            RuntimeError: If anything did.
        """
        said = self._call("dvc", "status", "--json")
        if json.loads(said).keys() != {"configure"}:  # which always runs
            raise RuntimeError(f"the study is not what DVC recorded:\n{said}")

    def _settings(self, dataset: Path) -> dict[str, object]:
        yaml, path = YAML(typ="safe", pure=True), self.folder / "params.yaml"
        values: dict[str, object] = yaml.load(path) | {"dataset": str(dataset)}
        values["pair"] |= {"image_size": IMAGE_SIZE}  # type: ignore[operator]
        yaml.dump(values, path)
        return values

    def _stand_in(self, stages: tuple[StageSpec, ...]) -> None:
        """Write a few bytes wherever a stage that did not run would have written something."""
        outs = {out for stage in stages for out in stage.outs if not (self.folder / out).exists()}
        read = {dep for stage in stages for dep in stage.deps if not (self.folder / dep).exists()}
        inside = {dep for dep in read if any(dep.startswith(f"{out}/") for out in outs)}
        for out in outs:
            whole = (out,) if Path(out).suffix else tuple(f"{out}/part{number}" for number in range(FILES))
            for file in (*whole, *(dep for dep in inside if dep.startswith(f"{out}/"))):
                path = self.folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(file, encoding="utf-8")

    def _call(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}")
        return done.stdout


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
