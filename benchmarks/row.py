"""One line of the table: what was compared, what came out, and whether that is enough."""

import json
import os
import platform
import statistics
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import PIL
import pyarrow as pa
import torch

Json = dict[str, object]


@dataclass(frozen=True)
class Row:
    """One comparison, repeated."""

    name: str
    """What was measured."""
    against: str
    """With what it is compared, and in what unit the ratio is."""
    reach: float
    """What the ratio should reach, or stay below."""
    sense: Literal["at least", "at most"] = "at least"
    """On which side of `reach` is good."""
    ratios: tuple[float, ...] = ()
    """One a round; none: not measured."""
    detail: Json = field(default_factory=dict)
    """Figures behind the ratios, with their unit in the name."""
    missing: str = ""
    """Why it was not measured."""

    @property
    def median(self) -> float:
        """The middle ratio."""
        return statistics.median(self.ratios)

    @property
    def reached(self) -> bool | None:
        """Whether the middle ratio is good enough; None where there is none."""
        if not self.ratios:
            return None
        return self.median >= self.reach if self.sense == "at least" else self.median <= self.reach

    def line(self) -> str:
        """Return the row for people."""
        goal = f"{self.sense} {self.reach:g}"
        if self.reached is None:
            return f"  -  {self.name}: not measured ({self.missing}); {goal}"
        spread = f"{min(self.ratios):.3g} to {max(self.ratios):.3g}, {len(self.ratios)} rounds"
        return f"{'  ok' if self.reached else 'MISS'} {self.name}: {self.median:.3g} ({spread}); {goal}, {self.against}"


def machine() -> Json:
    """Describe what the figures were measured on; no name of host or user."""
    versions = {module.__name__: module.__version__ for module in (np, pa, torch, cv2, PIL)}
    return {
        "processor": _processor(),
        "cores": torch.get_num_threads(),
        "memory_gigabytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 10**9,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
        "commit": _commit(),
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # of Linux
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - the user's git
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip()


def write_rows(rows: list[Row], about: Json, path: Path) -> None:
    """Write everything as JSON."""
    entries = [asdict(row) | ({"median": row.median, "reached": row.reached} if row.ratios else {}) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about | {"rows": entries}, indent=1) + "\n", encoding="utf-8")
