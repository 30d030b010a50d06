"""Command `mirror`: copy outputs to object storage."""

from typing import Annotated

import typer

from pipeline.errors import ParamsError, counted
from pipeline.params.runtime import load_runtime
from pipeline.steps.mirror import MIRRORED, mirror_outputs


def mirror(
    url: Annotated[str | None, typer.Argument(help="Where to; runtime.mirror of params.yaml if absent.")] = None,
    *,
    only: Annotated[
        list[str] | None, typer.Option(help="Output or folder of outputs, for instance data/shards; repeat for more.")
    ] = None,
) -> None:
    """Copy photos, weights of mask sources, masks and shards to object storage, as `dvc.lock` names them.

    What is there already is not sent again; the same command goes on after an interruption.
    """
    to = url or load_runtime().mirror
    if to is None:
        raise ParamsError("name a URL, or set runtime.mirror in params.yaml: s3://bucket/study")
    for folder, sent in mirror_outputs(to, tuple(only or MIRRORED)).items():
        typer.echo(f"{folder}: {counted(sent, 'file')} sent")
