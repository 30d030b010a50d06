"""What ten times the photos cost, in processes of their own: time by sample, and the highest memory."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.material import PARAMS, Material, lists_of, shorten_lists
from benchmarks.measure import cost_of, forget_peak, peak_bytes
from benchmarks.row import Row
from benchmarks.site import Site
from pipeline.cli.app import report
from pipeline.datasets.index import read_samples
from pipeline.params.study import load_study
from tools.working_copy import RECORDS, copy_files

TIMES = 10
RUN = ("mobilenetv2", "none", "all")
"""The run that is reported on: backbones of both branches, and classes."""
FLAT = 1.5
"""Growth of memory that passes for none: the first file of a process is smaller than the later ones."""
Measured = dict[str, dict[str, float]]


def measure(site: Site) -> Iterator[Row]:
    """Yield a row on time and one on memory for each step."""
    shares = (_alike(site.material), TIMES), (0, 1)
    rounds = [tuple(_probe(site, *share) for share in shares) for _ in range(site.rounds)]
    for step, figures in rounds[0][0].items():
        pairs = [(few[step], many[step]) for few, many in rounds]
        yield Row(
            name=f"{step}: cost of {TIMES} times the samples",
            against=f"times the CPU time of {figures['samples']:.0f} samples",
            reach=11,
            sense="at most",
            ratios=tuple(
                TIMES * (many["cpu"] / many["samples"]) / (few["cpu"] / few["samples"]) for few, many in pairs
            ),
            detail={"few": [few for few, _ in pairs], "many": [many for _, many in pairs]},
        )
        yield Row(
            name=f"{step}: memory for {TIMES} times the samples",
            against="times the memory",
            reach=FLAT,
            sense="at most",
            ratios=tuple(many["peak_megabytes"] / few["peak_megabytes"] for few, many in pairs),
        )


def _alike(material: Material) -> int:
    """Return which tenth of the photos has about as many pixels a sample as all: other photos cost otherwise."""
    pixels, samples = Counter[str](), Counter[str]()
    for sample in read_samples(material.samples):
        stem = Path(sample.photo_path).stem
        pixels[stem], samples[stem] = sample.photo_height * sample.photo_width, samples[stem] + 1
    lists = lists_of(material.raw).values()

    def pixels_of_sample(first: int, step: int) -> float:
        stems = [stem for each in lists for stem in each[first::step]]
        return sum(pixels[stem] for stem in stems) / max(1, sum(samples[stem] for stem in stems))

    return min(range(TIMES), key=lambda first: abs(pixels_of_sample(first, TIMES) - pixels_of_sample(0, 1)))


def _probe(site: Site, first: int, step: int) -> Measured:
    folder = site.scratch / f"growth-{step}"
    command = [sys.executable, "-m", "benchmarks.growth", str(site.material.root), str(first), str(step), str(folder)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    shutil.rmtree(folder)
    measured: Measured = json.loads(output.splitlines()[-1])
    return measured


def main() -> None:
    """Do the steps for every so many photos of a data set, from the first given on; print what each took."""
    source, first, step, root = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    _borrow(source / "raw", root / "raw")
    shorten_lists(root / "raw", lambda stems: stems[first::step])
    material = Material(root, load_study(source / "params.yaml"))
    steps = {"index": material.scan, "masks": material.segment, "cut-outs": material.pair}
    measured: Measured = {step: _measured(work) for step, work in steps.items()}
    _train(material, root / "study")
    measured["report"] = _measured(partial(_report, root / "study"))
    samples = sum(1 for _ in read_samples(material.samples))
    print(json.dumps({step: figures | {"samples": samples} for step, figures in measured.items()}))


def _measured(work: Callable[[], object]) -> dict[str, float]:
    forget_peak()
    cost = cost_of(work)
    return {"cpu": cost.cpu, "peak_megabytes": peak_bytes() / 1e6}


def _train(material: Material, study: Path) -> None:
    """Make a study of one run of the demo's smallest backbone, by the stages' own scripts."""
    copy_files(study, without=(*RECORDS, "tests/", "docs/"))
    (study / "data/shards").mkdir(parents=True)
    for name in ("raw", "index"):
        (study / "data" / name).symlink_to(material.root / name)
    (study / "data/shards/annotation").symlink_to(material.shards)
    yaml = YAML(typ="safe")
    values = yaml.load(PARAMS)
    values |= {"dataset": "demo", "pair": values["pair"] | {"image_size": material.image_size}}
    values["train"]["epochs"] = 1
    yaml.dump(values, study / PARAMS)
    roi, extra_roi, classes = RUN
    run, source = ("--run", f"{roi}+{extra_roi}-{classes}"), ("--source", "annotation")
    for stage, *options in (
        ("configure",),
        ("weights", "--backbone", roi),
        ("weights", "--backbone", extra_roi),
        ("train", *run, "--roi", roi, "--extra-roi", extra_roi, "--classes", classes, *source),
        ("evaluate", *run, *source),
        ("perturb", *run, *source),
    ):
        command = [sys.executable, "-m", f"stages.{stage}", *options]
        subprocess.run(command, cwd=study, check=True, stdout=subprocess.DEVNULL)


def _report(study: Path) -> None:
    with contextlib.chdir(study), contextlib.redirect_stdout(io.StringIO()):
        report(Path("report"))


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
