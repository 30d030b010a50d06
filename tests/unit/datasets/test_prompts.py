"""The sidecar of clicks and boxes."""

import json

import pytest

from pipeline.datasets.prompts import Prompt, bounding_box, clip_to_photo, parse_prompts, prompts_json

HEADER = "photo,kind,x0,y0,x1,y1\n"


def test_points_and_boxes_of_a_photo_keep_their_order() -> None:
    """Blanks and blank lines are ignored."""
    prompts = parse_prompts(HEADER + 'a.jpg, point, 1, 2,,\n"b, c",box,0,0,5,4\n,,,,,\n\na.jpg,box,-1,1,2,2.5\n')
    assert prompts == {
        "a.jpg": (Prompt("point", (1.0, 2.0)), Prompt("box", (-1.0, 1.0, 2.0, 2.5))),
        "b, c": (Prompt("box", (0.0, 0.0, 5.0, 4.0)),),
    }


@pytest.mark.parametrize(
    "row",
    [
        "a,circle,1,2,3,4",
        "a,point,1,2,3,",
        "a,point,1,,,",
        "a,box,1,2,3,",
        "a,box,5,0,4,9",
        "a,box,0,9,4,8",
        "a,point,-1,2,,",
        "a,point,nan,2,,",
        "a,point,inf,2,,",
        "a,point,one,2,,",
        ",point,1,2,,",
        "a,point,1,2",
        "a,point,1,2,,,",
        'a,"point,1,2,,',
        "a\x00,point,1,2",
    ],
)
def test_a_bad_row_is_refused_with_its_line(row: str) -> None:
    """The message says where."""
    with pytest.raises(ValueError, match=r"line [23]: "):
        parse_prompts(f"{HEADER}{row}\n")


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((0, 0, 640, 480), (0, 0, 639, 479)),
        ((-0.5, -1, 12.5, 20), (0, 0, 12.5, 20)),
        ((600, 400, 639.6, 479.9), (600, 400, 639.6, 479.9)),
        ((-12, 3, 651, 488), (0, 3, 639, 479)),
        ((640, 480, 641, 481), None),
        ((0, 0, 700, 480), None),
        ((-40, 0, 100, 100), None),
        ((-2, 5, -1, 9), None),
        ((1e300, 0, 1e300, 3), None),
    ],
)
def test_a_box_is_cut_where_it_reaches_a_little_over_the_border(
    box: tuple[float, ...], cut: tuple[float, ...] | None
) -> None:
    """As boxes of COCO do, which end at width and height; a box of another photo is refused."""
    prompt = Prompt("box", tuple(map(float, box)))
    if cut is None:
        with pytest.raises(ValueError, match="photo of 640 x 480 pixels: its columns are 0 to 639, its rows 0 to 479"):
            clip_to_photo(prompt, height=480, width=640)
    else:
        assert clip_to_photo(prompt, height=480, width=640) == Prompt("box", tuple(map(float, cut)))


def test_a_click_is_inside_or_refused() -> None:
    """Nobody clicks beside a photo by habit."""
    inside = Prompt("point", (639.0, 0.0))
    assert clip_to_photo(inside, height=480, width=640) == inside
    for place in ((640.0, 0.0), (-1.0, 3.0), (3.0, 480.0)):
        with pytest.raises(ValueError, match="is not inside the photo"):
            clip_to_photo(Prompt("point", place), height=480, width=640)


@pytest.mark.parametrize("text", ["", "photo;kind;x0;y0;x1;y1\n", "a,point,1,2,,\n"])
def test_another_header_is_refused(text: str) -> None:
    """A file without header, or with semicolons, is not guessed at."""
    with pytest.raises(ValueError, match="instead of 'photo,kind,x0,y0,x1,y1'"):
        parse_prompts(text)


def test_the_hull_spans_all_prompts() -> None:
    """In whole pixels."""
    assert bounding_box([Prompt("point", (7.9, 1.0)), Prompt("box", (2.0, 3.0, 4.0, 5.5))]) == (2, 1, 7, 5)


def test_the_stored_form_names_kind_and_numbers() -> None:
    """A reader needs nothing else."""
    stored = prompts_json([Prompt("point", (1.0, 2.5)), Prompt("box", (0.0, 1.0, 2.0, 3.0))])
    assert json.loads(stored) == [{"point": [1, 2.5]}, {"box": [0, 1, 2, 3]}]
