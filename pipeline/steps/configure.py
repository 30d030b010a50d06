"""Check every parameter before any work, and give each stage exactly the settings and the code it depends on.

Stages depend on these files instead of on `params.yaml`, so a value that changes nothing for a stage (another data
set's epochs, another machine's path of the same archive) leaves its results cached; and on one list of hashes instead
of on each file of code. See docs/decisions/settings.md.
"""

import json
import shutil
from pathlib import Path

from pipeline.closure import import_closures
from pipeline.errors import ParamsError
from pipeline.params.base import Section
from pipeline.params.choices import among
from pipeline.params.masks import settings_by_source, weights_by_source
from pipeline.params.study import Study, load_study
from pipeline.reporting.grid import PAPER_RUNS


def configure(*, params: Path, settings: Path, repetitions: Path | None = None) -> None:
    """Write `settings/<stage>.json`, one file for each backbone, class set and mask source, and the plan `repetitions`.

    Raises:
        ParamsError: If `params` asks for something impossible, see `load_study`, or to repeat what is no run.
    """
    study = load_study(params)
    _check_repeated(study, params)
    shutil.rmtree(settings, ignore_errors=True)
    for name, section in sections(study).items():
        _write(section, settings / f"{name}.json")
    if repetitions is not None:
        _write(study.repetitions, repetitions)


def _check_repeated(study: Study, params: Path) -> None:
    """Refuse what the grid of `dvc.yaml` does not have, before DVC misses its output in words of its own."""
    valid = tuple(dict.fromkeys((study.variant, *(run.name for run in PAPER_RUNS))))
    for run in study.repeat.runs:
        if study.seeds and run not in valid:
            raise ParamsError(f"{params}: repeat.runs: {run!r} is {among(run, valid)}")


def _write(section: Section, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    section.write(path)


def record_code(*, root: Path, code: Path) -> None:
    """Write `code/<stage>.json`: the import closure of the stage's script, file by file, with SHA-256.

    Not for `configure` itself, which depends on all code.
    """
    shutil.rmtree(code, ignore_errors=True)
    code.mkdir(parents=True)
    closures = import_closures(root)
    for stage in closures.keys() - {"configure"}:
        (code / f"{stage}.json").write_text(json.dumps(closures[stage], indent=1) + "\n", encoding="utf-8")


def sections(study: Study) -> dict[str, Section]:
    """Return the settings files by name without suffix."""
    stages: dict[str, Section] = {
        "download": study.download,
        "index": study.index,
        "pair": study.pair,
        "train": study.train,
        "distill": study.distill,
        "evaluate": study.evaluate,
        "perturb": study.perturb,
        "explain": study.explain,
        "agreement": study.agreement,
        "transfer": study.transfer,
        "report": study.report,
    }
    backbones = {f"backbones/{name}": backbone for name, backbone in study.backbones.items()}
    classes = {f"classes/{name}": class_set for name, class_set in study.class_sets.items()}
    masks = {f"masks/{source}": section for source, section in settings_by_source(study.masks).items()}
    weights = {f"mask_weights/{source}": section for source, section in weights_by_source(study.masks).items()}
    return stages | backbones | classes | masks | weights
