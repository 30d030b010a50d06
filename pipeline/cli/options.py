"""Options that commands share, and checks of paths before anything slow is imported."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from pipeline.inference.regions import MaskMethod
from pipeline.runtime.errors import ParamsError
from pipeline.segmentation import registry
from pipeline.segmentation.proposals import AnySource, ProposalFilter

DeviceOption: TypeAlias = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where models run.")]
MaskMethodOption: TypeAlias = Annotated[MaskMethod, typer.Option(help="What turns clicks and boxes into masks.")]
MaskWeightsOption: TypeAlias = Annotated[
    Path | None, typer.Option(help="Weights: data/mask_weights/sam, a published file, or a folder of transformers.")
]
TextOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(metavar="WORDS", help="Find what this names, such as food, by SAM 3 (SAM License); repeat for more."),
]
TEXT_WEIGHTS = Path("data/mask_weights/sam3")  # where stage `mask_weights` puts SAM 3
FilterOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", metavar="NAME=VALUE", help=f"Threshold of proposals: {', '.join(ProposalFilter.model_fields)}."
    ),
]
PrecisionOption: TypeAlias = Annotated[
    float,
    typer.Option(min=0, max=1, help="Name a food where so many of the answers on the validation split are right."),
]
HostOption: TypeAlias = Annotated[
    str, typer.Option(help="Address to listen at; 0.0.0.0 lets others in who have the printed token.")
]
PortOption: TypeAlias = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")]
BrowserOption: TypeAlias = Annotated[bool, typer.Option(help="Open the page in the browser, where there is a display.")]


def check_web_server(command: str) -> None:
    """Raise `ParamsError` if a package that serves pages is absent."""
    absent = [package for package in ("starlette", "uvicorn") if find_spec(package) is None]
    if absent:
        raise ParamsError(f"{command} needs {absent[0]}, which is not installed; run `make install WITHOUT=`")


def check_port(host: str, port: int) -> None:
    """Raise `ParamsError` if no page can listen there, before the models of the page are loaded."""
    from pipeline.serving.access import listen  # noqa: PLC0415 - the packages that serve pages may be absent

    listen(host, port).close()


def check_text(text: Sequence[str] | None, masks: MaskMethod) -> None:
    """Raise `ParamsError` if texts are given beside another network than the one that answers them."""
    if text and masks not in {"grabcut", "transformers"}:
        raise ParamsError(f"--text is answered by SAM 3, not by --masks {masks}; leave that out")


def open_text_source(
    text: Sequence[str], weights: Path | None, device: str, chosen: ProposalFilter | None
) -> AnySource:
    """Open SAM 3, which finds what `text` names; see `registry.open_text_source` for errors."""
    return registry.open_text_source(weights or TEXT_WEIGHTS, text, device, (chosen or ProposalFilter()).min_score)


def check_label_folder(option: str, folder: Path, photos: Path | None, *, advice: str) -> None:
    """Raise `ParamsError` if a folder of labels cannot be written, or neither it nor `photos` has a photo to label."""
    check_output(folder)
    if photos is None and not (folder / ".labelling.json").is_file():
        raise ParamsError(f"{option} {folder}: nothing is labelled there yet; name a folder of photos {advice}")


def check_output(folder: Path) -> None:
    """Check that a folder can be written, before anything is computed for it.

    Raises:
        ParamsError: If it, or its nearest parent that exists, is a file or not writable.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ParamsError(f"--out {folder}: {existing} is a file; name a folder")
    if not os.access(existing, os.W_OK):
        raise ParamsError(f"--out {folder}: {existing} cannot be written by this user; name another folder")
