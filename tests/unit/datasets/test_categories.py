"""Laws of category names and numbers."""

from pathlib import Path

import pytest

from pipeline.datasets.layout import (
    fold_name,
    load_category_names,
    number_categories,
    parse_category_names,
    read_listing,
)
from pipeline.runtime.errors import DatasetError


def test_the_official_spelling_is_folded() -> None:
    """Leading blanks, tabs, capitals, gaps and blank lines are tolerated."""
    text = "0 background\n\n1\tEgg  Tart\n5   cabbage \n103 other ingredients\n"
    assert parse_category_names(text) == {0: "background", 1: "egg tart", 5: "cabbage", 103: "other ingredients"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 background\n1 rice\n1 bread", "line 3: id 1"),
        ("0 background\n1 rice\n2 Rice ", "line 3: id 2 or name 'rice' comes twice"),
        ("0 background\n256 rice", "line 2: '256 rice'"),
        ("0 background\n-1 rice", "line 2: '-1 rice'"),
        ("0 background\nrice", "line 2: 'rice'"),
        ("0 background\n7", "line 2: '7'"),
        ("0 background\n" + "9" * 5000 + " rice", "line 2"),
        ("0 background\n", "no category but the background"),
        ("", "no category but the background"),
    ],
)
def test_a_bad_line_is_named(text: str, complaint: str) -> None:
    """The message says which line and why."""
    with pytest.raises(ValueError, match=r"line|category") as caught:
        parse_category_names(text)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path: Path, line_end: str, mark: bytes) -> None:
    """A file saved on any system reads the same."""
    (tmp_path / "category_id.txt").write_bytes(mark + line_end.join(["0 background", "1 rice", ""]).encode())
    assert load_category_names(tmp_path) == {0: "background", 1: "rice"}


def test_a_file_that_is_no_list_is_refused_with_its_path(tmp_path: Path) -> None:
    """Absent, binary and malformed files each name the file and what to do."""
    with pytest.raises(DatasetError, match=r"category_id\.txt: no such file; data/raw needs"):
        load_category_names(tmp_path)
    (tmp_path / "category_id.txt").write_bytes("0 background\n".encode("utf-16"))
    with pytest.raises(DatasetError, match=r"category_id\.txt: not UTF-8 text; save it"):
        load_category_names(tmp_path)
    (tmp_path / "category_id.txt").write_text("rice\n")
    with pytest.raises(DatasetError, match=r"category_id\.txt: line 1: 'rice'.*write one `id name`"):
        load_category_names(tmp_path)


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    """A folder of the list's name is refused like an absent file."""
    with pytest.raises(DatasetError, match="no such file"):
        read_listing(tmp_path)


def test_targets_are_ranks_of_ids() -> None:
    """Gaps in the ids leave none in the targets, and background has no target."""
    categories = number_categories({0: "background", 9: "rice", 4: "bread"}, [])
    assert [(c.id, c.name, c.target) for c in categories] == [(4, "bread", 0), (9, "rice", 1)]


def test_extra_categories_continue_after_the_highest_id_in_sorted_order() -> None:
    """The order in which folders are given does not matter; a known name keeps its id."""
    names = {0: "background", 1: "rice", 103: "sauce"}
    first = number_categories(names, ["ketchup", "chili paste", "rice"])
    assert first == number_categories(names, ["rice", "chili paste", "ketchup", "ketchup"])
    assert [(c.id, c.name) for c in first] == [(1, "rice"), (103, "sauce"), (104, "chili paste"), (105, "ketchup")]


@pytest.mark.parametrize("name", ["background", ""])
def test_background_cannot_be_an_extra_food(name: str) -> None:
    """It would be told apart from nothing."""
    with pytest.raises(DatasetError, match="background is no food"):
        number_categories({0: "background", 1: "rice"}, [name])


def test_folding_joins_what_a_person_reads_as_one_name() -> None:
    """Blanks, capitals and decomposed accents do not make another category."""
    assert fold_name("  Crème \t Brûlée ") == fold_name("CRÈME BRÛLÉE".casefold()) == "crème brûlée"
    assert fold_name("cre\u0300me") == "crème"
