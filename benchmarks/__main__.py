"""Measure every part beside its plain alternative: `make bench`."""

import argparse
import importlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.runtime import vector_width  # noqa: F401 - before numpy and torch

# isort: split
import torch

from benchmarks.material import REAL_PHOTOS, make_material
from benchmarks.row import machine, write_rows
from benchmarks.site import Site
from pipeline.segmentation.sam import ARCHITECTURES

GROUPS = ("sharding", "memory", "growth", "masking", "startup", "status", "training", "judging")
"""Modules beside this one, imported when their turn comes: a machine without DVC can measure what needs none."""


def main() -> None:
    """Measure, print every row as it comes, and write all of them as JSON."""
    arguments = _arguments()
    archive = arguments.archive.resolve() if arguments.archive.is_file() else None
    about = machine() | {"photos": "demo" if archive is None else archive.name, "rounds": arguments.rounds}
    rows = []
    with TemporaryDirectory(prefix="rvernet-bench-", dir=arguments.scratch) as folder:
        os.environ["DVC_ROOT"] = folder  # unfinished work of the stages goes there too
        print("preparing", about["photos"], flush=True)
        material = make_material(Path(folder), archive, photos=arguments.photos)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        site = Site(material, Path(folder), arguments.rounds, device, arguments.sam)
        for name in arguments.only or GROUPS:
            for row in importlib.import_module(f"benchmarks.{name}").measure(site):
                rows.append(row)
                print(row.line(), flush=True)
    write_rows(rows, about, arguments.output)
    print(f"wrote {arguments.output}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--archive", type=Path, default=REAL_PHOTOS, help="in the layout of FoodSeg103; else the demo")
    parser.add_argument("--photos", type=int, default=200, help="photos at most")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender")
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="groups of rows")
    parser.add_argument("--sam", default="vit_b", choices=ARCHITECTURES, help="SAM timed on the CPU; tiny for a trial")
    parser.add_argument("--scratch", type=Path, help="folder for temporary files")
    parser.add_argument("--output", type=Path, default=Path("data/bench/rows.json"), help="JSON to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
