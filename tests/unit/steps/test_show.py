"""Command and step show."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.datasets.index import choose_random, read_samples
from pipeline.params.stages import IndexParams, PairParams, SegmentParams
from pipeline.runtime.errors import ManifestError, ParamsError
from pipeline.steps.index import build_index
from pipeline.steps.pair import write_shards
from pipeline.steps.segment import write_masks
from pipeline.steps.show import write_sheet
from tests.raw_folder import RawFolder, labels_of


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make shards of two photos with four samples."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    raw = RawFolder(tmp_path / "raw")
    raw.add("train", "00000001", labels_of(1, 7))
    raw.add("test", "00000002", labels_of(1, 2, height=20), seed=2)
    samples = tmp_path / "index/samples.parquet"
    build_index(IndexParams(on_error="fail", tiny_area=1), raw=raw.path, index=samples.parent, workers=1)
    masks = tmp_path / "masks"
    params = SegmentParams(source="annotation", photos_per_file=1)
    write_masks(params, raw=raw.path, samples=samples, masks=masks, workers=1)
    write_shards(
        PairParams(image_size=16, fill=0, pad=125, photos_per_file=1),
        source="annotation", raw=raw.path, samples=samples, masks=masks, shards=tmp_path / "shards", workers=1,
    )  # fmt: skip
    return tmp_path


def show(data: Path, *options: str) -> list[str]:
    """Return the arguments of the command on this data."""
    places = ("--raw", data / "raw", "--index", data / "index/samples.parquet", "--shards", data / "shards")
    return ["show", *map(str, places), "--out", str(data / "sheets/sheet.png"), *options]


def test_the_sheet_is_a_picture_that_the_seed_decides(data: Path) -> None:
    """The command says what it wrote; the same call writes the same bytes."""
    answer = CliRunner().invoke(app, show(data, "--seed", "1"))
    assert answer.exit_code == 0, answer.output
    assert "2 samples" in answer.output.replace("\n", "")
    first = (data / "sheets/sheet.png").read_bytes()
    CliRunner().invoke(app, show(data, "--seed", "1"))
    assert (data / "sheets/sheet.png").read_bytes() == first


def test_samples_can_be_named_in_any_order_and_split(data: Path) -> None:
    """Named samples of both splits come in the order of their names."""
    sheets = []
    for named in (["test/00000002/2", "train/00000001/1"], ["train/00000001/1", "test/00000002/2"]):
        options = [word for sample_id in named for word in ("--sample", sample_id)]
        assert CliRunner().invoke(app, show(data, *options)).exit_code == 0
        sheets.append(np.asarray(Pillow.open(data / "sheets/sheet.png")))
    assert sheets[0].shape == sheets[1].shape
    half = sheets[0].shape[1] // 2
    np.testing.assert_array_equal(sheets[0][:, :half], sheets[1][:, half:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "val"], "there are test, train"),
        (["--category", "ketchup"], "there are bread, rice"),
        (["--sample", "test/1/1"], "no sample test/1/1"),
        (["--out", "sheet.xyz"], "end the name in .png"),
    ],
)
def test_mistakes_are_answered_with_what_is_possible(data: Path, options: list[str], message: str) -> None:
    """A wrong option is a `ParamsError` that `run_stage` prints as one line."""
    answer = CliRunner().invoke(app, show(data, *options))
    assert isinstance(answer.exception, ParamsError)
    assert message in str(answer.exception)


def test_shards_of_another_table_are_refused(data: Path) -> None:
    """A table with other samples than the shards must not be shown beside them."""
    samples = list(read_samples(data / "index/samples.parquet"))
    chosen = choose_random(reversed(samples), split="test", category=None, count=2, seed=0)
    with pytest.raises(ManifestError, match="made from another sample table"):
        write_sheet(chosen, raw=data / "raw", shards=data / "shards", sheet=data / "sheet.png")


def test_help_explains_every_option() -> None:
    """`--help` names the options and what they mean."""
    answer = CliRunner().invoke(app, ["show", "--help"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0
    for word in ("--out", "--sample", "--split", "--category", "--count", "--seed", "--shards", "--raw", "ROI"):
        assert word in answer.output
