"""Bring what a report without photos reads of a study that others ran: `python -m tools.report_inputs`.

Neither shards nor models come. `dvc pull` of the same names gives the same files, but reads all of its records anew for
each of a hundred names. What lies here with the recorded hash is left alone.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from ruamel.yaml import YAML

from pipeline.evaluation.predictions import PREDICTIONS, VALIDATION
from pipeline.reporting.extensions import CARD, STUDENT, SUMMARY, TEACHER
from pipeline.runtime.console import progress, run_stage
from pipeline.runtime.errors import ManifestError
from pipeline.runtime.manifest import MANIFEST
from pipeline.runtime.stores import md5_of

LOCK = Path("dvc.lock")
DATA = "data"
UNSEEN = ("code", "raw", "explanations")
"""Folders of `data/` that only photos need, or only DVC."""
HISTORY = "history.csv"
DISTILLED = (f"{TEACHER}/{PREDICTIONS}", f"{STUDENT}/{PREDICTIONS}", f"{STUDENT}/{CARD}")
"""Files of a distilled student beside its summary and two models."""


def report_inputs(deps: Iterable[str]) -> Iterator[str]:
    """Yield files and folders to bring.

    Args:
        deps: Dependencies of stage `report`.
    """
    for dep in deps:
        top, folder, *rest = (*dep.split("/"), "")
        if top != DATA or folder in UNSEEN:
            continue
        match folder:
            case "runs":
                yield from (f"{dep}/{file}" for file in (CARD, HISTORY, VALIDATION))
            case "shards":
                yield f"{dep}/{MANIFEST}"
            case "distilled":
                files = () if rest[0] == "none" else DISTILLED
                yield from (f"{dep}/{file}" for file in (SUMMARY, *files))
            case _:
                yield dep


def bring(name: str, study: DVCFileSystem) -> None:
    """Copy a file or folder from the cache or the remote.

    Raises:
        ManifestError: If neither has it, or has other bytes than were recorded.
    """
    try:
        files = study.find(name)
        for file in files:
            _bring_file(file, study.info(file)["dvc_info"]["md5"], study)
    except (FileNotFoundError, DvcException) as error:
        raise ManifestError(f"{name}: not on the remote; who ran the study types `dvc push` ({error})") from error
    if not files:
        raise ManifestError(f"{name}: not on the remote; who ran the study types `dvc push`")


def _bring_file(name: str, md5: str, study: DVCFileSystem) -> None:
    path = Path(name)
    if path.is_file() and md5_of(path) == md5:
        return
    path.unlink(missing_ok=True)  # it may be a link into DVC's cache
    path.parent.mkdir(parents=True, exist_ok=True)
    study.get_file(name, str(path))
    if md5_of(path) != md5:
        path.unlink()
        raise ManifestError(f"{name}: damaged on the remote; docs/teams.md says how to replace it")


def recorded() -> tuple[str, ...]:
    """Return what to bring of the study that `dvc.lock` tells of.

    Raises:
        ManifestError: If no report was recorded.
    """
    stages = YAML(typ="safe").load(LOCK)["stages"] if LOCK.exists() else {}
    if "report" not in stages:
        raise ManifestError(f"{LOCK}: knows no report; the one who ran the study commits it after `dvc repro`")
    return tuple(report_inputs(dep["path"] for dep in stages["report"]["deps"]))


def main() -> None:
    """Bring everything.

    Raises:
        ManifestError: If no report was recorded, or something of it is not to be had.
    """
    names, study = recorded(), DVCFileSystem(".")
    for name in progress(names, total=len(names), what="report inputs", unit="name"):
        if not name.endswith(VALIDATION) or study.exists(name):  # a run without a validation split has none
            bring(name, study)


if __name__ == "__main__":
    run_stage(main)
