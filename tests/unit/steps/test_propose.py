"""Proposals are shown to choose from; nothing is chosen silently."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline.arrays import AnyImage
from pipeline.cli.app import app
from pipeline.datasets.layout import PhotoFiles, find_extra
from pipeline.datasets.prompts import Prompt, parse_prompts
from pipeline.runtime.errors import DatasetError, ParamsError
from pipeline.segmentation.mask_source import MaskPrediction
from pipeline.segmentation.proposals import GRID, ProposalFilter, point_grid, propose
from pipeline.steps.propose import take_proposals, write_proposals
from tests.mask_sources import scene, tiny_sam

ALL = ProposalFilter(min_score=0)


class Quadrants:
    """Answers a click by the quarter it lies in; each quarter a bit surer than the one before."""

    name = "quadrants"

    def predict(self, photo: AnyImage, prompts: Sequence[Prompt]) -> list[MaskPrediction]:
        """Return quarters."""
        height, width = photo.shape[:2]
        answers = []
        for x, y in (prompt.coordinates for prompt in prompts):
            right, below = x >= width / 2, y >= height / 2
            mask = np.zeros((height, width), np.bool_)
            top, left = below * (height // 2), right * (width // 2)
            mask[top : top + height // 2, left : left + width // 2] = True
            answers.append(MaskPrediction(mask, 0.2 + 0.2 * right + 0.4 * below))
        return answers


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make a folder of three photos: one open, one masked, one prompted."""
    folder = tmp_path / "extra/ketchup/train"
    folder.mkdir(parents=True)
    for name in ("open", "masked", "prompted"):
        Image.fromarray(scene()).save(folder / f"{name}.png")
    Image.fromarray(np.ones((96, 128), np.uint8)).save(folder / "masked.mask.png")
    (folder / "prompts.csv").write_text("photo,kind,x0,y0,x1,y1\nprompted.png,point,2,2,,\n")
    return folder


def test_a_point_grid_covers_the_photo() -> None:
    """Inside the photo, row by row, one in each cell, whatever its size."""
    for height, width in ((96, 128), (5, 3000), (1, 1)):
        points = [prompt.coordinates for prompt in point_grid(height, width)]
        assert len(points) == GRID**2
        assert all(0 <= x < width and 0 <= y < height for x, y in points)


def test_the_same_mask_is_proposed_once_the_surest_first() -> None:
    """64 clicks on four quarters are four proposals, each with the box that asks for it."""
    found = propose(Quadrants(), scene(), ALL)
    assert [round(each.score, 1) for each in found] == [0.8, 0.6, 0.4, 0.2]
    assert found[0].box == Prompt("box", (64.0, 48.0, 127.0, 95.0))
    assert len(propose(Quadrants(), scene(), ALL.model_copy(update={"limit": 2}))) == 2


def test_a_person_chooses(photos: Path, tmp_path: Path) -> None:
    """Only photos without mask and prompts are asked about; what is taken is what index reads, nothing before."""
    before = (photos / "prompts.csv").read_text()
    assert write_proposals(Quadrants(), photos, tmp_path / "out", chosen=ALL) == 1
    assert (photos / "prompts.csv").read_text() == before
    assert Image.open(tmp_path / "out/proposals.png").size[0] > 4 * 200
    take_proposals({"open.png": [2, 1]}, photos, tmp_path / "out")
    prompts = parse_prompts((photos / "prompts.csv").read_text())["open.png"]
    assert prompts == (Prompt("box", (0.0, 48.0, 63.0, 95.0)), Prompt("box", (64.0, 48.0, 127.0, 95.0)))
    found = [entry for entry in find_extra(tmp_path) if isinstance(entry, PhotoFiles)]
    assert {Path(entry.photo_path).name for entry in found} == {"open.png", "masked.png", "prompted.png"}


def test_what_is_taken_twice_is_there_once(photos: Path, tmp_path: Path) -> None:
    """In one call or in two; what is said is what was added."""
    write_proposals(Quadrants(), photos, tmp_path / "out", chosen=ALL)
    assert take_proposals({"open.png": [1, 1]}, photos, tmp_path / "out") == 1
    once = (photos / "prompts.csv").read_bytes()
    assert take_proposals({"open.png": [1]}, photos, tmp_path / "out") == 0
    assert (photos / "prompts.csv").read_bytes() == once


def test_clutter_and_unusable_names_are_no_photos(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in every folder of photos."""
    for name in ("._open.png", os.fsdecode(b"caf\xe9.png")):
        (photos / name).write_bytes(b"")
    assert write_proposals(Quadrants(), photos, tmp_path / "out", chosen=ALL) == 1
    said = capsys.readouterr().err
    assert "ignored 1 file of macOS or Windows" in said
    assert "ignored 1 file whose names are not UTF-8: 'caf\\udce9.png'" in said


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "ending"])
def test_what_is_taken_leaves_the_lines_before_as_they_are(
    photos: Path, tmp_path: Path, start: str, ending: str, last: str
) -> None:
    """Editors and spreadsheets leave the last line open, write CRLF, or begin with a byte order mark."""
    write_proposals(Quadrants(), photos, tmp_path / "out", chosen=ALL)
    before = f"{start}photo,kind,x0,y0,x1,y1{ending}prompted.png,point,2,2,,{ending if last else ''}".encode()
    (photos / "prompts.csv").write_bytes(before)
    for number in (1, 2):
        take_proposals({"open.png": [number]}, photos, tmp_path / "out")
    after = (photos / "prompts.csv").read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == after.count(ending.encode()) == 4
    prompts = parse_prompts(after.decode("utf-8-sig"))
    assert prompts["prompted.png"] == (Prompt("point", (2.0, 2.0)),)
    assert len(prompts["open.png"]) == 2


def test_a_sidecar_that_cannot_be_read_is_left_alone(photos: Path, tmp_path: Path) -> None:
    """Whatever is wrong with it."""
    write_proposals(Quadrants(), photos, tmp_path / "out", chosen=ALL)
    for content in (b"photo;kind;x0;y0;x1;y1\n", "photo,kind,x0,y0,x1,y1\n".encode("utf-16")):
        (photos / "prompts.csv").write_bytes(content)
        with pytest.raises(DatasetError, match="prompts.csv: "):
            take_proposals({"open.png": [1]}, photos, tmp_path / "out")
        assert (photos / "prompts.csv").read_bytes() == content
    (photos / "prompts.csv").unlink()
    (tmp_path / "out/proposals.csv").write_text("number;score;photo\n1;0.5;open.png\n")
    with pytest.raises(ParamsError, match="not what `python -m pipeline propose` wrote"):
        take_proposals({"open.png": [1]}, photos, tmp_path / "out")


def test_a_damaged_photo_costs_the_others_nothing(photos: Path, tmp_path: Path) -> None:
    """Nor do the Finder's files; SAM takes half a minute a photo."""
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (photos / "._open.png").write_bytes(b"Mac OS X")
    with pytest.raises(DatasetError, match=r"1 of 2 photos refused, .*proposals.png shows the other 1: .*broken.jpg"):
        write_proposals(Quadrants(), photos, tmp_path / "out", chosen=ALL)
    take_proposals({"open.png": [1]}, photos, tmp_path / "out")


def test_impossible_wishes_are_refused(photos: Path, tmp_path: Path) -> None:
    """No proposals yet, none of that number, no such folder, nothing left to propose."""
    with pytest.raises(ParamsError, match="run `python -m pipeline propose` first"):
        take_proposals({"open.png": [1]}, photos, tmp_path / "out")
    write_proposals(Quadrants(), photos, tmp_path / "out", chosen=ALL)
    with pytest.raises(ParamsError, match=r"no proposal 5 for 'open.png'; see .*proposals.png"):
        take_proposals({"open.png": [5]}, photos, tmp_path / "out")
    with pytest.raises(ParamsError, match="no such folder"):
        write_proposals(Quadrants(), tmp_path / "absent", tmp_path / "out", chosen=ALL)
    take_proposals({"open.png": [1]}, photos, tmp_path / "out")
    with pytest.raises(ParamsError, match="nothing to propose"):
        write_proposals(Quadrants(), photos, tmp_path / "out", chosen=ALL)


def test_from_the_command_line(photos: Path, tmp_path: Path) -> None:
    """`propose` says how to go on, and `take` does it."""
    out, weights = str(tmp_path / "out"), str(tiny_sam(tmp_path))
    run = CliRunner()
    shown = run.invoke(
        app,
        [
            "propose",
            str(photos),
            "--weights",
            weights,
            "--architecture",
            "tiny",
            "--out",
            out,
            "--filter",
            "min_score=0",
        ],
    )
    assert shown.exit_code == 0, shown.output
    assert f"then: python -m pipeline take {photos}" in shown.output
    taken = run.invoke(app, ["take", str(photos), "open.png=1", "--out", out])
    assert taken.exit_code == 0, taken.output
    assert "open.png" in (photos / "prompts.csv").read_text()
    assert isinstance(run.invoke(app, ["take", str(photos), "open.png", "--out", out]).exception, ParamsError)


def test_a_photo_called_like_a_formula_is_none(tmp_path: Path) -> None:
    """Neither listing runs in a spreadsheet, and the photo is found again."""
    folder = tmp_path / "train"
    folder.mkdir()
    Image.fromarray(scene()).save(folder / "=1+1.png")
    write_proposals(Quadrants(), folder, tmp_path / "out", chosen=ALL)
    take_proposals({"=1+1.png": [1]}, folder, tmp_path / "out")
    for listing in (tmp_path / "out/proposals.csv", folder / "prompts.csv"):
        assert "'=1+1.png" in listing.read_text()
    assert list(parse_prompts((folder / "prompts.csv").read_text())) == ["=1+1.png"]
