"""What ten times the photos cost, in processes of their own: time by sample, and the highest memory."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.material import Material, keep_some
from benchmarks.measure import cost_of, forget_peak, peak_bytes
from benchmarks.row import Row
from benchmarks.site import Site
from pipeline.datasets.samples import read_samples
from pipeline.params.study import load_study

TIMES = 10
STEPS = {"index": Material.scan, "masks": Material.segment, "cut-outs": Material.pair}
FLAT = 1.5
"""Growth of memory that passes for none: the first file of a process is smaller than the later ones."""
Measured = dict[str, dict[str, float]]


def measure(site: Site) -> Iterator[Row]:
    """Yield a row on time and one on memory for each step."""
    photos = sum(
        len(path.read_text(encoding="utf-8").split()) for path in (site.material.raw / "ImageSets").glob("*.txt")
    )
    few, many = (_probe(site, count) for count in (photos // TIMES, photos))
    for step in STEPS:
        small, large = few[step], many[step]
        yield Row(
            name=f"{step}: cost of {TIMES} times the samples",
            against=f"times the CPU time of {small['samples']:.0f} samples",
            reach=11,
            sense="at most",
            ratios=(TIMES * (large["cpu"] / large["samples"]) / (small["cpu"] / small["samples"]),),
            detail={"few": small, "many": large},
        )
        yield Row(
            name=f"{step}: memory for {TIMES} times the samples",
            against="times the memory",
            reach=FLAT,
            sense="at most",
            ratios=(large["peak_megabytes"] / small["peak_megabytes"],),
        )


def _probe(site: Site, photos: int) -> Measured:
    command = [sys.executable, "-m", "benchmarks.growth", str(site.material.root), str(photos), str(site.scratch)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    measured: Measured = json.loads(output.splitlines()[-1])
    return measured


def main() -> None:
    """Do the steps for some photos of a data set; print what each took."""
    source, photos, scratch = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    root = scratch / f"growth-{photos}"
    _borrow(source / "raw", root / "raw")
    keep_some(root / "raw", photos)
    material = Material(root, load_study(source / "params.yaml"))
    measured: Measured = {}
    for step, work in STEPS.items():
        forget_peak()
        cost = cost_of(partial(work, material))
        measured[step] = {"cpu": cost.cpu, "peak_megabytes": peak_bytes() / 1e6}
    samples = sum(1 for _ in read_samples(material.samples))
    print(json.dumps({step: figures | {"samples": samples} for step, figures in measured.items()}))


def _borrow(raw: Path, borrowed: Path) -> None:
    """Link a raw folder; only the lists are copies."""
    borrowed.mkdir(parents=True)
    for path in raw.iterdir():
        if path.name == "ImageSets":
            (borrowed / path.name).mkdir()
            for listed in path.iterdir():
                (borrowed / path.name / listed.name).write_bytes(listed.read_bytes())
        else:
            (borrowed / path.name).symlink_to(path)


if __name__ == "__main__":
    main()
