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
from pathlib import Path
from typing import TypeAlias, TypeVar

import grimp
from pydantic import ValidationError

from pipeline.acquisition.fingerprint import data_set_files, extra_files, fingerprint, model_files, single_file
from pipeline.acquisition.source import is_http_url, is_local
from pipeline.params.base import ReadsOutside, Section, refusal
from pipeline.params.masks import (
    OFFICIAL,
    RANDOM,
    MaskWeightsParams,
    PromptableWeightsParams,
    settings_by_source,
    weights_by_source,
)
from pipeline.params.model import BackboneParams
from pipeline.params.study import Study, among, load_study
from pipeline.reporting.grid import GRID_RUNS
from pipeline.runtime.code_hash import PROJECT, TALKS_ONLY
from pipeline.runtime.console import note
from pipeline.runtime.resumable import code_hashes, hash_cache

ACTS_ON_IMPORT = {"pipeline.models.device", "pipeline.runtime.vector_width"}
"""Modules whose import alone changes results: they count though only a module that talks imports them."""
NOT_A_STAGE = {"runtime", "demo", "masks", "repeat", "vote"}  # sections that are no stage's settings as they stand
Lister: TypeAlias = Callable[[str], Mapping[str, Path]]
"""Takes a path of `params.yaml` and lists the files there, none if it is not there."""
OutsideT = TypeVar("OutsideT", bound=ReadsOutside)


def import_closures(root: Path) -> dict[str, dict[str, str]]:
    """Return, for every script of `stages/`, the files of this project that decide what it writes, with their hashes.

    These are all that it can import, also inside functions, but for `TALKS_ONLY` and what only these import. Files are
    named from `root` and sorted; hashes are those of `code_sha256`. Empty files (package markers) are left out: they
    cannot change a result without gaining a line first. `root` must be the first on Python's path.
    """
    graph = grimp.build_graph(*PROJECT, cache_dir=None, exclude_type_checking_imports=True)
    scripts = {path.stem: f"stages.{path.stem}" for path in sorted((root / "stages").glob("[!_]*.py"))}
    on_import = {stage: graph.find_upstream_modules(script) & ACTS_ON_IMPORT for stage, script in scripts.items()}
    for module in TALKS_ONLY:
        graph.remove_module(module)

    def file_of(module: str) -> Path:
        path = root / module.replace(".", "/")
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    modules = {stage: {s} | graph.find_upstream_modules(s) | on_import[stage] for stage, s in scripts.items()}
    files = {stage: sorted(map(file_of, names), key=Path.as_posix) for stage, names in modules.items()}
    hashes = code_hashes({file for listed in files.values() for file in listed})
    return {
        stage: {file.relative_to(root).as_posix(): hashes[file] for file in listed if file in hashes}
        for stage, listed in files.items()
    }


class LocalSource(Section):
    """What lay at a path outside of the checkout."""

    path: str  # as `params.yaml` names it
    sha256: str  # of the file, or of the `sha256sum` listing of a folder's files


class LocalSources(Section):
    """Content of `results/sources.json`, which git carries: what the study was made from, for who has no such path."""

    sources: dict[str, LocalSource]  # by key of `params.yaml`


def configure(
    *,
    params: Path,
    settings: Path,
    repetitions: Path | None = None,
    votes: Path | None = None,
    sources: Path | None = None,
) -> None:
    """Write `settings/<stage>.json`, a file for each backbone, class set, mask source and voting model, and two plans.

    The settings of stages that read local files hold a hash of these files. Of a path that is not here it is the one in
    `sources`, the record of what the study was made from, which is written anew.

    Raises:
        ParamsError: If `params` asks for something impossible, see `load_study`, or to repeat what is no run.
    """
    record = LocalSources(sources={})
    if sources is not None:
        with suppress(FileNotFoundError, ValidationError):
            record = LocalSources.model_validate_json(sources.read_bytes())
    study = load_study(params, recorded=[source.path for source in record.sources.values()], warn=note)
    valid = tuple(dict.fromkeys((study.variant, *(run.name for run in GRID_RUNS))))
    for run in study.repeat.runs if study.seeds else ():  # before DVC misses its output in words of its own
        if run not in valid:
            raise refusal("repeat.runs", f"repeat.runs: {run!r} is {among(run, valid)}", params)
    study, found = _with_contents(study, params, record.sources)
    shutil.rmtree(settings, ignore_errors=True)
    files: dict[Path | None, Section] = {settings / f"{name}.json": part for name, part in sections(study).items()}
    files |= {repetitions: study.repetitions, votes: study.votes, sources: LocalSources(sources=found)}
    for path, section in files.items():
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            section.write(path)


def _with_contents(
    study: Study, params: Path, recorded: Mapping[str, LocalSource]
) -> tuple[Study, dict[str, LocalSource]]:
    """Return the study with the hashes of all local files that its stages read, and what was seen, by key."""
    found: dict[str, LocalSource] = {}

    def hashed(section: OutsideT, name: str, paths: Mapping[str, tuple[str, Lister]]) -> OutsideT:
        if section.content:
            raise refusal(f"{name}.content", f"{name}.content: is found by stage `configure`; remove it", params)
        for key, (path, files_of) in ((f"{name}.{part}", place) for part, place in paths.items()):
            if files := files_of(path):
                cached = hashlib.sha256(str(Path(path).absolute()).encode()).hexdigest()[:16]
                sha256 = fingerprint(files, hash_cache(cached))
                found[key] = LocalSource(path=path, sha256=sha256)
            elif key in recorded and recorded[key].path == path:
                found[key] = recorded[key]
                note(f"{params}: {key}: {path} is not here; taken to be as recorded (SHA-256 {found[key].sha256})")
        content = {part: found[f"{name}.{part}"].sha256 for part in paths if f"{name}.{part}" in found}
        return section.model_copy(update={"content": content})

    def with_weights(section: BackboneParams | MaskWeightsParams, name: str) -> BackboneParams | MaskWeightsParams:
        value = section.weights
        named = value.partition(":")[0] in {"none", "hub", "torchvision", OFFICIAL, RANDOM} or is_http_url(value)
        return hashed(section, name, {} if named else {"weights": (value, single_file)})

    def with_model(section: PromptableWeightsParams, name: str) -> PromptableWeightsParams:
        return hashed(section, name, {"model": (section.model, model_files)})

    masks: dict[str, object] = {
        name: with_weights(getattr(study.masks, name), f"masks.{name}") for name in ("sam", "fastsam")
    }
    further = study.masks.transformers.items()
    masks["transformers"] = {name: with_model(part, f"masks.transformers.{name}") for name, part in further}
    voting = {name: with_model(part, f"vote.models.{name}") for name, part in study.vote.models.items()}
    backbones = {name: with_weights(part, f"backbones.{name}") for name, part in study.backbones.items()}
    source, extra = study.download.source, study.download.extra
    paths: dict[str, tuple[str, Lister]] = {f"extra.{name}": (path, extra_files) for name, path in extra.items()}
    if is_local(source):
        paths["source"] = (source, data_set_files)
    changed: dict[str, object] = {
        "download": hashed(study.download, "download", paths),
        "backbones": backbones,
        "masks": study.masks.model_copy(update=masks),
        "vote": study.vote.model_copy(update={"models": voting}),
    }
    return study.model_copy(update=changed), found


def record_code(*, root: Path, code: Path) -> None:
    """Write `code/<stage>.json`: the import closure of the stage's script, file by file, with hashes of what it does.

    Not for `configure` itself, which depends on all code.
    """
    shutil.rmtree(code, ignore_errors=True)
    code.mkdir(parents=True)
    closures = import_closures(root)
    for stage in closures.keys() - {"configure"}:
        (code / f"{stage}.json").write_text(json.dumps(closures[stage], indent=1) + "\n", encoding="utf-8")


def sections(study: Study) -> dict[str, Section]:
    """Return the settings files by name without suffix."""
    stages: dict[str, Section] = {n: part for n, part in study if isinstance(part, Section) and n not in NOT_A_STAGE}
    backbones = {f"backbones/{name}": backbone for name, backbone in study.backbones.items()}
    classes = {f"classes/{name}": class_set for name, class_set in study.class_sets.items()}
    masks = {f"masks/{source}": section for source, section in settings_by_source(study.masks).items()}
    weights = {f"mask_weights/{source}": section for source, section in weights_by_source(study.masks).items()}
    votes = {f"votes/{name}": section for name, section in study.vote.models.items()}
    return stages | backbones | classes | masks | weights | votes
