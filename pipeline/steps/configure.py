"""Check every parameter before any work, and give each stage exactly the settings and the code it depends on.

Stages depend on these files instead of on `params.yaml`, so a value that changes nothing for a stage (another data
set's epochs, another machine's path of the same archive) leaves its results cached; and on one list of hashes instead
of on each file of code. See docs/decisions/settings.md.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

import grimp
from pydantic import ValidationError

from pipeline.acquisition.fingerprint import data_set_files, extra_files, fingerprint, single_file
from pipeline.acquisition.source import DEMO, is_http_url, is_store_url
from pipeline.params.base import ReadsOutside, Section, refusal
from pipeline.params.masks import OFFICIAL, RANDOM, settings_by_source, weights_by_source
from pipeline.params.study import Study, among, load_study
from pipeline.reporting.grid import PAPER_RUNS
from pipeline.runtime.console import note
from pipeline.runtime.manifest import sha256_of
from pipeline.runtime.resumable import resumable_root

# Import closure of a stage's script: the code that can change what the stage writes.


PACKAGES = ("pipeline", "stages")


def import_closures(root: Path) -> dict[str, dict[str, str]]:
    """Return, for every script of `stages/`, the files that it can import from this project, with their SHA-256.

    Files are named from `root` and sorted. Empty ones (package markers) are left out: they cannot change a result
    without gaining a line first. Imports inside functions count.

    Args:
        root: Folder that holds the packages; must be the first on Python's path.
    """
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    files = {module: _file(root, module) for module in graph.modules}
    hashes = {file: sha256_of(root / file) for file in files.values() if (root / file).stat().st_size}
    stages = sorted(path.stem for path in (root / "stages").glob("[!_]*.py"))
    scripts = {stage: f"stages.{stage}" for stage in stages}
    closures = {stage: {script} | graph.find_upstream_modules(script) for stage, script in scripts.items()}
    return {
        stage: {file: hashes[file] for file in sorted(files[module] for module in modules) if file in hashes}
        for stage, modules in closures.items()
    }


def _file(root: Path, module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (root / path).is_dir() else f"{path}.py"


Lister: TypeAlias = Callable[[str], Mapping[str, Path]]
"""Takes a path of `params.yaml` and lists the files there, none if it is not there."""
OutsideT = TypeVar("OutsideT", bound=ReadsOutside)


class LocalSource(Section):
    """What lay at a path outside of the checkout."""

    path: str
    """As `params.yaml` names it."""
    sha256: str
    """Of the file, or of the `sha256sum` listing of a folder's files."""


class LocalSources(Section):
    """Content of `results/sources.json`, which git carries: what the study was made from, for who has no such path."""

    sources: dict[str, LocalSource]
    """By key of `params.yaml`."""


def configure(*, params: Path, settings: Path, repetitions: Path | None = None, sources: Path | None = None) -> None:
    """Write `settings/<stage>.json`, one file for each backbone, class set and mask source, and the plan `repetitions`.

    The settings of stages that read local files hold a hash of these files. Of a path that is not here it is the one in
    `sources`, the record of what the study was made from, which is written anew.

    Raises:
        ParamsError: If `params` asks for something impossible, see `load_study`, or to repeat what is no run.
    """
    record = _read_record(sources)
    study = load_study(params, recorded=[source.path for source in record.sources.values()], warn=note)
    _check_repeated(study, params)
    look = _Look(params, record.sources)
    study = _with_contents(study, look)
    shutil.rmtree(settings, ignore_errors=True)
    for name, section in sections(study).items():
        _write(section, settings / f"{name}.json")
    if repetitions is not None:
        _write(study.repetitions, repetitions)
    if sources is not None:
        _write(LocalSources(sources=look.found), sources)


def _read_record(path: Path | None) -> LocalSources:
    with suppress(FileNotFoundError, ValidationError):
        return LocalSources.model_validate_json(path.read_bytes() if path else b"")
    return LocalSources(sources={})


@dataclass
class _Look:
    """Looks at local sources, and remembers what it saw."""

    params: Path
    recorded: Mapping[str, LocalSource]
    """What an earlier look saw, perhaps on another machine, by key of `params.yaml`."""
    found: dict[str, LocalSource] = field(default_factory=dict)
    """What this look saw."""

    def at(self, key: str, path: str, files_of: Lister) -> str | None:
        """Return the SHA-256 of what lies at a path; of what is not here, that of the record, or None."""
        if files := files_of(path):
            name = hashlib.sha256(str(Path(path).absolute()).encode()).hexdigest()[:16]
            self.found[key] = LocalSource(
                path=path, sha256=fingerprint(files, resumable_root() / f"hashes/{name}.json")
            )
        elif key in self.recorded and self.recorded[key].path == path:
            self.found[key] = self.recorded[key]
            note(
                f"{self.params}: {key}: {path} is not here; taken to be as recorded (SHA-256 {self.found[key].sha256})"
            )
        return self.found[key].sha256 if key in self.found else None

    def inside(self, section: OutsideT, name: str, paths: Mapping[str, tuple[str, Lister]]) -> OutsideT:
        """Return a section with the hashes of its paths.

        Raises:
            ParamsError: If `params.yaml` gives hashes itself.
        """
        if section.content:
            problem = f"{name}.content: is found by stage `configure`; remove it"
            raise refusal(f"{name}.content", problem, self.params)
        hashes = {key: self.at(f"{name}.{key}", *where) for key, where in paths.items()}
        return section.model_copy(update={"content": {key: sha256 for key, sha256 in hashes.items() if sha256}})


def _with_contents(study: Study, look: _Look) -> Study:
    """Return the study with the hashes of all local files that its stages read."""
    download = study.download
    paths: dict[str, tuple[str, Lister]] = {
        f"extra.{category}": (path, extra_files) for category, path in download.extra.items()
    }
    if not (download.source == DEMO or is_http_url(download.source) or is_store_url(download.source)):
        paths["source"] = (download.source, data_set_files)
    sam, fastsam = study.masks.sam, study.masks.fastsam
    masks = {
        "sam": look.inside(sam, "masks.sam", _weights(sam.weights)),
        "fastsam": look.inside(fastsam, "masks.fastsam", _weights(fastsam.weights)),
    }
    backbones = {
        name: look.inside(part, f"backbones.{name}", _weights(part.weights)) for name, part in study.backbones.items()
    }
    return study.model_copy(
        update={
            "download": look.inside(download, "download", paths),
            "masks": study.masks.model_copy(update=masks),
            "backbones": backbones,
        }
    )


def _weights(value: str) -> dict[str, tuple[str, Lister]]:
    named = value.partition(":")[0] in {"none", "hub", "torchvision", OFFICIAL, RANDOM}
    return {} if named or is_http_url(value) else {"weights": (value, single_file)}


def _check_repeated(study: Study, params: Path) -> None:
    """Refuse what the grid of `dvc.yaml` does not have, before DVC misses its output in words of its own."""
    valid = tuple(dict.fromkeys((study.variant, *(run.name for run in PAPER_RUNS))))
    for run in study.repeat.runs:
        if study.seeds and run not in valid:
            raise refusal("repeat.runs", f"repeat.runs: {run!r} is {among(run, valid)}", params)


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
