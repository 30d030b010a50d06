"""What to type so that DVC runs a stage."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.params.run_name import RUN_NAME

GRAPH = Path("dvc.yaml")
PROMPTED = frozenset({"sam", "fastsam"})
"""Mask sources that the graph has only where `masks.source` or `masks.train` names them."""


def dvc_command(stage: str, *, again: bool = False) -> str:
    """Return the command that runs a stage, one that the graph has for other runs or mask sources included.

    Args:
        stage: As DVC spells it, for instance `train@vit+vit-all`.
        again: Whether it runs although DVC has a result.
    """
    force, (name, _, item) = "-f " * again, stage.partition("@")
    run = RUN_NAME.fullmatch(item)
    if run and GRAPH.is_file() and item not in _items(name):
        roi, extra_roi, classes = run.groups()
        return f"`dvc exp run {force}-S roi={roi} -S extra_roi={extra_roi} -S classes={classes} {stage}`"
    if item in PROMPTED:
        return f"`dvc exp run {force}-S masks.source={item} {stage}`"
    return f"`dvc repro {force}{stage}`"


def _items(name: str) -> Collection[str]:
    """Return what the graph has a stage for; `explain` has fewer runs than `train`."""
    stages: dict[str, Any] = YAML(typ="safe").load(GRAPH)["stages"]
    items: Collection[str] = stages.get(name, {}).get("foreach", ())
    return items
