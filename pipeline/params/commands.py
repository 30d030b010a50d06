"""What to type so that DVC runs a stage."""

from pathlib import Path

from pipeline.params.run_name import RUN_NAME

GRAPH = Path("dvc.yaml")
PROMPTED = frozenset({"sam", "fastsam"})
"""Mask sources that the graph has only where `masks.source` or `masks.train` names them."""


def dvc_command(stage: str, *, again: bool = False) -> str:
    """Return the command that runs a stage, one of a run or a mask source that is not in the graph included.

    Args:
        stage: As DVC spells it, for instance `train@vit+vit-all`.
        again: Whether it runs although DVC has a result.
    """
    force, item = "-f " * again, stage.partition("@")[2]
    run = RUN_NAME.fullmatch(item)
    if run and GRAPH.is_file() and f"{item}:" not in GRAPH.read_text(encoding="utf-8"):
        roi, extra_roi, classes = run.groups()
        return f"`dvc exp run {force}-S roi={roi} -S extra_roi={extra_roi} -S classes={classes} {stage}`"
    if item in PROMPTED:
        return f"`dvc exp run {force}-S masks.source={item} {stage}`"
    return f"`dvc repro {force}{stage}`"
