"""Print what a report without photos reads of a study: `dvc pull $(python -m tools.report_inputs)`.

They are what `dvc.lock` has for stage `report`, so they are on the remote that the study was pushed to. A group of
stages that is wanted as a whole is named instead of its folders: DVC reads its records once for every name.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.console import run_stage
from pipeline.errors import ManifestError
from pipeline.manifest import MANIFEST
from pipeline.reporting.lesson_evidence import CARD, PREDICTIONS, STUDENT, SUMMARY, TEACHER

LOCK = Path("dvc.lock")
DATA = "data"
UNSEEN = ("code", "raw", "explanations")
"""Folders of `data/` that only photos need, or only DVC."""
WHOLE = {"evaluations": "evaluate", "perturbations": "perturb"}
"""Stages whose folders are read as they are."""
LESSON = (f"{TEACHER}/{PREDICTIONS}", f"{STUDENT}/{PREDICTIONS}", f"{STUDENT}/{CARD}")
"""What a taught student leaves beside its summary and two models."""


def report_inputs(deps: Iterable[str]) -> Iterator[str]:
    """Yield what to pull.

    Args:
        deps: Dependencies of stage `report`.
    """
    yield from dict.fromkeys(name for dep in deps for name in _parts(dep))


def _parts(dep: str) -> Iterator[str]:
    top, folder, *rest = (*dep.split("/"), "")
    if top != DATA or folder in UNSEEN:
        return
    match folder:
        case "index":
            yield f"{dep}/{SUMMARY}"
        case "shards":
            yield f"{dep}/{MANIFEST}"
        case "distilled":
            taught = () if rest[0] == "none" else LESSON
            yield from (f"{dep}/{file}" for file in (SUMMARY, *taught))
        case _:
            yield WHOLE.get(folder, dep)


def main() -> None:
    """Print the paths, one a line.

    Raises:
        ManifestError: If no report was recorded.
    """
    stages = YAML(typ="safe").load(LOCK)["stages"] if LOCK.exists() else {}
    if "report" not in stages:
        raise ManifestError(f"{LOCK}: knows no report; the one who ran the study commits it after `dvc repro`")
    print("\n".join(report_inputs(dep["path"] for dep in stages["report"]["deps"])))


if __name__ == "__main__":
    run_stage(main)
