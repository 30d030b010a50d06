"""Names of runs are spelled and parsed in one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.params.run_name import RunName
from pipeline.runtime.errors import ParamsError

names = st.from_regex(r"[a-z0-9_]+", fullmatch=True)


@given(names, names, names)
def test_whatever_is_spelled_is_parsed_back(roi: str, extra_roi: str, classes: str) -> None:
    """Parsing undoes spelling for every name that `configure` lets through."""
    run = RunName(roi, extra_roi, classes)
    assert RunName.parse(run.name) == run


@pytest.mark.parametrize(
    "name",
    ["", "deit", "deit+vit", "deit-all", "+-", "vit+none-no-drinks", "vit+vit+vit-all", "vit +vit-all", "ViT+vit-all"],
)
def test_a_name_that_could_be_read_in_two_ways_is_refused(name: str) -> None:
    """`vit+none-no-drinks` is either class set `no-drinks`, or backbone `none-no`: it is neither here."""
    with pytest.raises(ParamsError, match=r"deit\+none-all"):
        RunName.parse(name)
