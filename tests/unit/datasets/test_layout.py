"""The layout of data/raw: lists, folders, category names and numbers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.datasets.layout import (
    PhotoFiles,
    files_by_stem,
    find_extra,
    find_listed,
    fold_name,
    load_category_names,
    normalise_lists,
    number_categories,
    parse_category_names,
    parse_split_list,
    read_listing,
    stem_of,
)
from pipeline.datasets.problems import Problem, ProblemKind
from pipeline.runtime.errors import DatasetError, printable
from tests.raw_folder import RawFolder, labels_of


def problems_of(raw: RawFolder) -> list[Problem]:
    """Return what is wrong with the lists and extra folders."""
    return [item for item in (*find_listed(raw.path), *find_extra(raw.path)) if isinstance(item, Problem)]


def photo_ids(raw: RawFolder) -> list[str]:
    """Return the photos found."""
    found = (*find_listed(raw.path), *find_extra(raw.path))
    return [item.photo_id for item in found if isinstance(item, PhotoFiles)]


def test_lists_name_stems_in_any_spelling() -> None:
    """Suffixes, blanks and blank lines do not matter; dots inside a stem do."""
    assert parse_split_list("a.jpg\n\n  b.PNG \r\nmy.photo\nmy.photo.v2.jpeg\n") == [
        "a",
        "b",
        "my.photo",
        "my.photo.v2",
    ]


@pytest.mark.parametrize(
    ("name", "written", "normal"),
    [
        ("category_id.txt", "\ufeff2\tEgg  Tart\r\n0 background\r\n\r\n1 candy", "0 background\n1 candy\n2 egg tart\n"),
        ("ImageSets/train.txt", "00000009.jpg\r\n00000001 \n00000009\n", "00000001\n00000009\n00000009\n"),
        ("category_id.txt", "no id\n", "no id\n"),
    ],
)
def test_lists_have_one_form(tmp_path: Path, name: str, written: str, normal: str) -> None:
    """Of any system's line ends, order, case and suffixes; what is wrong with a list stays to be told."""
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / name).write_bytes(written.encode())
    normalise_lists(tmp_path)
    assert (tmp_path / name).read_bytes().decode() == normal
    normalise_lists(tmp_path)
    assert (tmp_path / name).read_bytes().decode() == normal


def test_a_stem_is_composed_unicode() -> None:
    """A list written on one system finds files written on another."""
    assert stem_of("cafe\u0301.jpg") == stem_of("caf\u00e9.png") == "caf\u00e9"


def test_photos_come_sorted_whatever_the_order_of_the_list(tmp_path: Path) -> None:
    """Train before test, stems in order."""
    raw = RawFolder(tmp_path)
    for split, stem in [("test", "c"), ("train", "b"), ("train", "a")]:
        raw.add(split, stem, labels_of(1))
    assert photo_ids(raw) == ["train/a", "train/b", "test/c"]


def test_names_with_blanks_dashes_and_accents_are_names(tmp_path: Path) -> None:
    """Only a newline cannot be listed."""
    raw = RawFolder(tmp_path)
    for stem in ("-rf", "two words", "caf\u00e9", "..a"):
        raw.add("train", stem, labels_of(1))
    hidden = [problem for problem in problems_of(raw) if "..a" in problem.detail]
    assert photo_ids(raw) == ["train/-rf", "train/caf\u00e9", "train/two words"]
    assert [problem.kind for problem in hidden] == [ProblemKind.FILES_ABSENT]


def test_a_line_that_points_outside_finds_nothing(tmp_path: Path) -> None:
    """Stems are looked up among file names, never joined to a path."""
    raw = RawFolder(tmp_path / "raw")
    raw.add("train", "a", labels_of(1))
    for line in ("../train/a", "/etc/passwd", "train/a"):
        raw.list_stem("test", line)
    assert photo_ids(raw) == ["train/a"]
    assert {problem.kind for problem in problems_of(raw)} == {ProblemKind.FILES_ABSENT}


@pytest.mark.parametrize(
    ("break_it", "kind", "left"),
    [
        (lambda raw: raw.list_stem("train", "a.png"), ProblemKind.LISTED_TWICE, ["train/a", "train/b"]),
        (lambda raw: raw.list_stem("test", "a"), ProblemKind.IN_BOTH_SPLITS, ["train/b"]),
        (lambda raw: raw.list_stem("test", "z"), ProblemKind.FILES_ABSENT, ["train/a", "train/b"]),
        (lambda raw: raw.photo("train", "a").unlink(), ProblemKind.PHOTO_ABSENT, ["train/b"]),
        (lambda raw: raw.label_map("train", "a").unlink(), ProblemKind.LABEL_MAP_ABSENT, ["train/b"]),
        (
            lambda raw: raw.photo("train", "a").with_suffix(".JPG").touch(),
            ProblemKind.AMBIGUOUS_FILES,
            ["train/b"],
        ),
        (lambda raw: raw.photo("train", "c").touch(), ProblemKind.NOT_LISTED, ["train/a", "train/b"]),
        (lambda raw: raw.label_map("train", "c").touch(), ProblemKind.NOT_LISTED, ["train/a", "train/b"]),
    ],
)
def test_each_fault_of_lists_and_folders_has_its_kind(
    tmp_path: Path, break_it: Callable[[RawFolder], object], kind: ProblemKind, left: list[str]
) -> None:
    """Only the photo at fault is left out."""
    raw = RawFolder(tmp_path)
    raw.add("train", "a", labels_of(1))
    raw.add("train", "b", labels_of(1))
    assert problems_of(raw) == []
    break_it(raw)
    assert {problem.kind for problem in problems_of(raw)} == {kind} or kind is ProblemKind.IN_BOTH_SPLITS
    assert kind in {problem.kind for problem in problems_of(raw)}
    assert photo_ids(raw) == left


def test_an_absent_or_binary_list_stops(tmp_path: Path) -> None:
    """Without lists there is no split to respect."""
    raw = RawFolder(tmp_path)
    (tmp_path / "ImageSets/test.txt").write_bytes(b"\xff\xfea\x00")
    with pytest.raises(DatasetError, match=r"test\.txt: not UTF-8"):
        photo_ids(raw)
    (tmp_path / "ImageSets/test.txt").unlink()
    with pytest.raises(DatasetError, match=r"test\.txt: no such file"):
        photo_ids(raw)


def test_hidden_files_are_no_photos(tmp_path: Path) -> None:
    """File managers leave them behind."""
    (tmp_path / "._a.jpg").touch()
    (tmp_path / "a.jpg").touch()
    assert files_by_stem(tmp_path) == {"a": ["a.jpg"]}
    assert files_by_stem(tmp_path / "absent") == {}


def test_an_extra_photo_needs_a_mask_or_prompts(tmp_path: Path) -> None:
    """A mask wins over prompts; a photo with neither is a problem."""
    raw = RawFolder(tmp_path)
    folder = raw.add_extra("Chili Paste", "train", "with mask", labels_of(255))
    raw.add_extra("Chili Paste", "train", "clicked", None)
    raw.add_extra("Chili Paste", "train", "bare", None)
    (folder / "prompts.csv").write_text("photo,kind,x0,y0,x1,y1\nclicked.png,point,3,4,,\nwith mask,point,1,1,,\n")
    found = [item for item in find_extra(raw.path) if isinstance(item, PhotoFiles)]
    assert [(f.photo_id, f.annotation_path is None, len(f.prompts), f.category) for f in found] == [
        ("train/chili_paste-clicked", True, 1, "chili paste"),
        ("train/chili_paste-with_mask", False, 0, "chili paste"),
    ]
    assert [(p.kind, p.file) for p in problems_of(raw)] == [
        (ProblemKind.ANNOTATION_ABSENT, "extra/Chili Paste/train/bare.png")
    ]


def test_faults_of_extra_folders_have_their_kinds(tmp_path: Path) -> None:
    """Sidecars, stray masks, stray files and unprintable names."""
    raw = RawFolder(tmp_path)
    folder = raw.add_extra("ketchup", "test", "a", None)
    raw.add_extra("ketchup", "test", "new\nline", labels_of(1))
    raw.add_extra("ketchup", "test", "b", labels_of(1))
    (folder / "b.jpg").touch()
    (folder / "stray.mask.png").touch()
    (folder / "readme.txt").touch()
    (folder.parent / "prompts.csv").touch()
    (folder / "prompts.csv").write_text("photo;kind\n")
    assert sorted((p.kind, Path(p.file).name) for p in problems_of(raw)) == [
        (ProblemKind.AMBIGUOUS_FILES, "b.jpg"),
        (ProblemKind.ANNOTATION_ABSENT, "a.png"),
        (ProblemKind.NAME_UNUSABLE, "new\nline.png"),
        (ProblemKind.NOT_LISTED, "prompts.csv"),
        (ProblemKind.NOT_LISTED, "readme.txt"),
        (ProblemKind.NOT_LISTED, "stray.mask.png"),
        (ProblemKind.PROMPTS_UNREADABLE, "prompts.csv"),
    ]


def test_prompts_of_an_absent_photo_are_a_problem(tmp_path: Path) -> None:
    """A typing mistake in the sidecar does not lose a photo in silence."""
    raw = RawFolder(tmp_path)
    folder = raw.add_extra("ketchup", "train", "a", labels_of(1))
    (folder / "prompts.csv").write_text("photo,kind,x0,y0,x1,y1\nA.png,point,3,4,,\n")
    assert [(p.kind, p.detail) for p in problems_of(raw)] == [
        (ProblemKind.PHOTO_ABSENT, "names A, which has no photo beside it")
    ]


def test_every_kind_says_what_to_do() -> None:
    """No problem without a mend."""
    assert all(kind.fix for kind in ProblemKind)


def test_a_message_is_one_line_of_valid_text() -> None:
    """Whatever a file is called."""
    message = Problem(ProblemKind.NAME_UNUSABLE, "a\nb\udcff.png", "bad\tname").message(Path("data/raw"))
    assert message == r"data/raw/a\nb\udcff.png: bad\tname; rename the file"
    assert printable("caf\u00e9 1") == "caf\u00e9 1"


def test_the_official_spelling_is_folded() -> None:
    """Leading blanks, tabs, capitals, gaps and blank lines are tolerated."""
    text = "0 background\n\n1\tEgg  Tart\n5   cabbage \n103 other ingredients\n"
    assert parse_category_names(text) == {0: "background", 1: "egg tart", 5: "cabbage", 103: "other ingredients"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 background\n1 rice\n1 bread", "line 3: id 1"),
        ("0 background\n1 rice\n2 Rice ", "line 3: id 2 or name 'rice' comes twice"),
        ("0 background\n65536 rice", "line 2: '65536 rice'"),
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
