"""What starting costs: a stage without models on nothing, and a run on the demo up to its first step."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import cost_of
from benchmarks.row import Row
from benchmarks.site import Site

ROOT = Path(__file__).parents[1]
IMPORTED = "import sys; import stages.pair; print('torch' in sys.modules)"


def measure(site: Site) -> Iterator[Row]:
    """Yield both rows; the ratios are CPU seconds."""
    empty = site.scratch / "nothing"
    empty.mkdir()
    (empty / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    costs = [cost_of(lambda: _run(empty, "-m", "stages.pair", "--source", "annotation")) for _ in range(site.rounds)]
    yield Row(
        name="start of a stage: `python -m stages.pair` on nothing",
        against="CPU seconds",
        reach=1.5,
        sense="at most",
        ratios=tuple(cost.cpu for cost in costs),
        detail={"imports_torch": _run(empty, "-c", IMPORTED).stdout.strip() == "True"},
    )


def _run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
