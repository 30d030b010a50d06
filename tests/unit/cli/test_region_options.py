"""What a person asks for, and what excludes what."""

from pathlib import Path

import pytest

from pipeline.cli.predict import WHERE_ADVICE, RegionOptions, parse_prompt
from pipeline.datasets.prompts import Prompt
from pipeline.inference.regions import DrawnRegions, PromptedRegions, ProposedRegions
from pipeline.runtime.errors import ParamsError
from pipeline.segmentation.grabcut import GrabCut
from pipeline.segmentation.mask_source import MaskSource
from pipeline.segmentation.proposals import ProposalFilter
from tests.unit.inference.test_regions import Column

BOX, POINT = Prompt("box", (0.0, 0.0, 9.0, 9.0)), Prompt("point", (1.0, 2.0))


def never() -> MaskSource:
    """Fail: this wish needs no mask source."""
    raise AssertionError


def test_each_wish_has_its_finder(tmp_path: Path) -> None:
    """A mask file loads no mask source."""
    column = Column()
    assert RegionOptions(prompts=(BOX, POINT)).finder(lambda: column) == PromptedRegions(column, (BOX, POINT))
    assert RegionOptions(every=True).finder(lambda: column) == ProposedRegions(column, ProposalFilter())
    chosen = ProposalFilter(max_iou=0.5)
    found = RegionOptions(every=True, chosen=chosen).finder(lambda: column)
    assert found == ProposedRegions(column, chosen)
    assert RegionOptions(mask=tmp_path, value=3).finder(never) == DrawnRegions(tmp_path, 3, every=False)
    assert RegionOptions(mask=tmp_path, every=True).finder(never) == DrawnRegions(tmp_path, None, every=True)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (RegionOptions(), WHERE_ADVICE),
        (RegionOptions(prompts=(BOX,), every=True), "exclude --mask and --all"),
        (RegionOptions(prompts=(BOX,), mask=Path()), "exclude --mask and --all"),
        (RegionOptions(prompts=(BOX,), value=1), "--value chooses one food of --mask"),
        (RegionOptions(mask=Path(), value=1, every=True), "--value chooses one food of --mask"),
        (RegionOptions(prompts=(BOX,), chosen=ProposalFilter()), "--filter chooses among proposals"),
        (RegionOptions(mask=Path(), every=True, chosen=ProposalFilter()), "--filter chooses among"),
        (RegionOptions(prompts=(BOX,), texts=("food",)), "--text finds foods by itself"),
        (RegionOptions(mask=Path("nowhere.png")), "nowhere.png: no such mask file or folder"),
    ],
)
def test_contradictions_are_refused_before_anything_is_loaded(wish: RegionOptions, words: str) -> None:
    """One line each."""
    with pytest.raises(ParamsError) as error:
        wish.finder(never)
    assert words in str(error.value)


def test_what_grabcut_cannot_do_is_refused_at_once() -> None:
    """Not photo by photo."""
    with pytest.raises(ParamsError, match="--all: grabcut finds no food by itself"):
        RegionOptions(every=True).finder(GrabCut)
    with pytest.raises(ParamsError, match="--point: grabcut takes boxes only"):
        RegionOptions(prompts=(BOX, POINT)).finder(GrabCut)


def test_prompts_are_read_as_typed() -> None:
    """Corners in any order."""
    assert parse_prompt("point", "3, 4") == Prompt("point", (3.0, 4.0))
    assert parse_prompt("box", "-0.5,0,639.5,480") == Prompt("box", (-0.5, 0.0, 639.5, 480.0))
    assert parse_prompt("box", "9,8,1,2") == parse_prompt("box", "1,8,9,2") == Prompt("box", (1.0, 2.0, 9.0, 8.0))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("point", text) for text in ("3", "1,2,3", "1,inf")),
        *(("box", text) for text in ("1,2,x,4", "-1,0,2", "0,0,nan,3")),
    ],
)
def test_other_texts_are_no_prompts(kind: str, text: str) -> None:
    """The message shows the form."""
    with pytest.raises(ParamsError, match=r"write pixels as X"):
        parse_prompt(kind, text)
