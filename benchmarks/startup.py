"""What starting costs: a stage without models on nothing, and a run on the demo up to its first step."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import cost_of
from benchmarks.row import Row
from benchmarks.site import Site

ROOT = Path(__file__).parents[1]
IMPORTED = "import sys; import stages.pair; print('torch' in sys.modules)"
RUN = ("--run", "vit+vit-all", "--roi", "vit", "--extra-roi", "vit", "--classes", "all", "--source", "annotation")
INPUTS = ("settings", "shards", "weights")
"""What stage `train` reads of `data/`."""
TO_FIRST_STEP = """
import os, sys, time
sys.argv[1:] = {arguments}
from stages.train import main
from pipeline.training.trainer import Trainer

def begin(*_, **__):
    print(time.process_time() - imported, time.perf_counter() - imported_at, flush=True)
    os._exit(0)

Trainer.step = begin
imported, imported_at = time.process_time(), time.perf_counter()
main()
"""


def measure(site: Site) -> Iterator[Row]:
    """Yield both rows; the ratios are CPU seconds."""
    empty = _folder(site, "nothing")
    costs = [cost_of(lambda: _run(empty, "-m", "stages.pair", "--source", "annotation")) for _ in range(site.rounds)]
    yield Row(
        name="start of a stage: `python -m stages.pair` on nothing",
        against="CPU seconds",
        reach=1.5,
        sense="at most",
        ratios=tuple(cost.cpu for cost in costs),
        detail={"imports_torch": _run(empty, "-c", IMPORTED).stdout.strip() == "True"},
    )
    yield _start_of_a_run(site)


def _start_of_a_run(site: Site) -> Row:
    """Measure the time from the last import to the first step, on a copy of the study that `make repro` left here."""
    name, against = "start of a run on the demo, vit + vit, beyond imports", "CPU seconds"
    if not all((ROOT / "data" / name).is_dir() for name in INPUTS):
        return Row(name, against, 3, "at most", missing="no demo study here; make repro")
    study = _folder(site, "study")
    (study / "data").mkdir()
    for folder in INPUTS:
        (study / "data" / folder).symlink_to(ROOT / "data" / folder)
    code = TO_FIRST_STEP.format(arguments=list(RUN))
    figures = [[float(word) for word in _run(study, "-c", code).stdout.split()] for _ in range(site.rounds)]
    cpu, wall = zip(*figures, strict=True)
    return Row(name, against, 3, "at most", ratios=cpu, detail={"wall_seconds": list(wall)})


def _folder(site: Site, name: str) -> Path:
    """Return a new folder that holds the parameters and nothing else."""
    folder = site.scratch / name
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    return folder


def _run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "DVC_ROOT": str(folder), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
