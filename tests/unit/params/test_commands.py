"""What a message says to type is something DVC has."""

from pathlib import Path

import pytest

from pipeline.params.base import dvc_command


@pytest.mark.parametrize(
    ("stage", "command"),
    [
        ("index", "`dvc repro index`"),
        ("train@vit+vit-all", "`dvc repro train@vit+vit-all`"),
        ("evaluate@mixer+vit-all", "`dvc exp run -S roi=mixer -S extra_roi=vit -S classes=all evaluate@mixer+vit-all`"),
        ("explain@vit+vit-all", "`dvc repro explain@vit+vit-all`"),
        ("explain@deit+none-all", "`dvc exp run -S roi=deit -S extra_roi=none -S classes=all explain@deit+none-all`"),
        ("mask_weights@sam", "`dvc exp run -S masks.eval=sam mask_weights@sam`"),
        ("segment@sam2", "`dvc exp run -S masks.eval=sam2 segment@sam2`"),
        ("segment@annotation", "`dvc repro segment@annotation`"),
    ],
)
def test_a_run_or_source_that_is_not_in_the_graph_is_brought_into_it(
    stage: str, command: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which `dvc repro` alone would not find."""
    monkeypatch.chdir(root)
    assert dvc_command(stage) == command
    assert dvc_command(stage, again=True) == command.replace(" -S", " -f -S", 1).replace("repro ", "repro -f ")
