"""`backbone.json`: a backbone and the provenance of its weights; messages about runs that are not there.

Without torch, which takes seconds to import.
"""

import difflib
from pathlib import Path
from typing import Literal

from pipeline.params.base import Section, dvc_command, omit_default, read_record
from pipeline.params.model import Init
from pipeline.params.run_name import RUN_NAME
from pipeline.runtime.errors import ManifestError, ModelError, WeightsError, counted

CARD = "backbone.json"
WEIGHTS = "model.safetensors"


class BackboneCard(Section):
    """One backbone with the provenance of its weights."""

    name: str  # as in section `backbones`
    timm: str | None  # timm model id; null for the absent branch
    options: dict[str, bool | int | float | str | tuple[int, ...]]  # keyword arguments for `timm.create_model`
    mean: tuple[float, float, float]  # of the pixels the backbone expects, RGB, in units of [0, 1]; so is `std`
    std: tuple[float, float, float]
    input_size: int  # side in pixels of the pictures the weights were trained on; 0 for the absent branch
    init: Init = "timm"  # whose rules draw what no weights fill. Runs of earlier versions lack the field.
    layer_norm_eps: float | None = omit_default(None)  # of every layer norm; None for the architecture's own
    source: Literal["none", "hub", "file", "url", "torchvision"]  # of the weights; `none` is random initialisation
    file: str | None  # name of the source file, without folders; on the hub `<repository>/<file>`, of a download a URL
    revision: str | None
    sha256: str | None  # hexadecimal SHA-256 of the source file
    stored_sha256: str | None = omit_default(None)  # likewise of `model.safetensors` beside the card, if there is one
    licence: str | None  # licence as timm or torchvision states it; null where unknown, as of any other file

    def timm_id(self) -> str:
        """Return the timm model id; ModelError if this is the absent branch."""
        if self.timm is None:
            raise ModelError(f"backbone {self.name!r} is the absent branch; it has no model")
        return self.timm


def read_card(folder: Path) -> BackboneCard:
    """Read `folder/backbone.json`; a WeightsError if it is absent or damaged."""
    return read_record(BackboneCard, folder / CARD, f"weights@{folder.name}", error=WeightsError)


RUN_CARD = "run.json"  # card of a run, beside its weights
NAME_A_RUN = f"name the folder of a finished run, which holds {RUN_CARD} and {WEIGHTS}"
"""What to do about a folder that no stage writes."""


def check_run(folder: Path, option: str = "--run") -> None:
    """Raise `ManifestError` unless a folder holds a finished run itself; `option` named the folder."""
    if not ((folder / RUN_CARD).is_file() and (folder / WEIGHTS).is_file()):
        raise run_not_found(folder, f"{option} ")


def run_not_found(folder: Path, named: str = "") -> ManifestError:
    """Return the error for a folder that holds no finished run; `named` is the prefix of its message."""
    if runs := _runs_in(folder):
        held = f"a folder of {counted(len(runs), 'run')}, not a run; name one, for instance {folder / runs[0]}"
        return ManifestError(f"{named}{folder}: {held}")
    absent = folder / (WEIGHTS if (folder / RUN_CARD).is_file() else RUN_CARD)
    said = f"{absent}: absent" if folder.is_dir() else f"{folder}: {'a file' if folder.exists() else 'no such folder'}"
    near = difflib.get_close_matches(folder.name, _runs_in(folder.parent), n=1, cutoff=0.85)
    meant = f" (did you mean {folder.parent / near[0]}?)" if near else ""
    return ManifestError(f"{named}{said}{meant}; {how_to_fix(folder)}")


def _runs_in(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob(f"*/{RUN_CARD}"))


def how_to_fix(folder: Path, *, again: bool = False) -> str:
    """Return the command that makes a run, from the folder it belongs in."""
    stage = stage_of(folder)
    if stage is None:
        return NAME_A_RUN
    return f"run {dvc_command(stage, again=again)}" + " or `dvc pull`" * (not again)


def stage_of(folder: Path) -> str | None:
    """Return the DVC stage that writes a folder; None if there is none."""
    if folder.parent.name == "repeats":
        return f"repeat@{folder.name}"
    if folder.parent.parent.name == "distilled":
        return f"distill@{folder.parent.name}"
    if folder.parent.name == "runs" and RUN_NAME.fullmatch(folder.name):
        return f"train@{folder.name}"
    return None
