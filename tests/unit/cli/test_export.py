"""Command `export`: which format needs what."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.runtime.errors import ManifestError, ParamsError
from tests.small_run import random_batch, write_small_run, write_small_shards


def export(*arguments: str) -> str:
    """Run the command and return what it printed."""
    result = CliRunner().invoke(app, ["export", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_runs_and_shards_are_exported_by_name_of_the_format(tmp_path: Path) -> None:
    """Each says where it went and what is in it."""
    run, out = str(write_small_run(tmp_path / "runs/r", ("roi",))), tmp_path / "out"
    shards = str(write_small_shards(tmp_path / "shards", [random_batch(6)]))
    assert "logits within" in export("--format", "pt2", "--run", run, "--out", str(out / "r.pt2"))
    said = export("--format", "hub", "--run", run, "--out", str(out / "hub"), "--index", str(tmp_path / "none"))
    assert "model.safetensors, run.json, config.json, README.md" in said
    for form in ("folders", "hf"):
        assert export("--format", form, "--shards", shards, "--out", str(out / form)).endswith(f"{form}: 6 samples\n")
    assert {path.name for path in out.iterdir()} == {"r.pt2", "hub", "folders", "hf"}


def test_a_missing_run_is_asked_for(tmp_path: Path) -> None:
    """And one that is not there is named."""
    with pytest.raises(ParamsError, match="--format onnx exports a run; name one by --run"):
        export("--format", "onnx", "--out", str(tmp_path / "x.onnx"))
    with pytest.raises(ManifestError, match=r"run.json: absent"):
        export("--format", "hub", "--run", str(tmp_path), "--out", str(tmp_path / "x"))
    with pytest.raises(ManifestError, match=r"manifest.json: absent"):
        export("--format", "hf", "--shards", str(tmp_path), "--out", str(tmp_path / "x"))
