"""The sidecar of clicks and boxes."""

import json

import pytest

from pipeline.datasets.prompts import Prompt, hull, parse_prompts, prompts_json

HEADER = "photo,kind,x0,y0,x1,y1\n"


def test_points_and_boxes_of_a_photo_keep_their_order() -> None:
    """Blanks and blank lines are ignored."""
    prompts = parse_prompts(HEADER + 'a.jpg, point, 1, 2,,\n"b, c",box,0,0,5,4\n,,,,,\n\na.jpg,box,1,1,2,2.5\n')
    assert prompts == {
        "a.jpg": (Prompt("point", (1.0, 2.0)), Prompt("box", (1.0, 1.0, 2.0, 2.5))),
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


@pytest.mark.parametrize("text", ["", "photo;kind;x0;y0;x1;y1\n", "a,point,1,2,,\n"])
def test_another_header_is_refused(text: str) -> None:
    """A file without header, or with semicolons, is not guessed at."""
    with pytest.raises(ValueError, match="instead of 'photo,kind,x0,y0,x1,y1'"):
        parse_prompts(text)


def test_the_hull_spans_all_prompts() -> None:
    """In whole pixels."""
    assert hull([Prompt("point", (7.9, 1.0)), Prompt("box", (2.0, 3.0, 4.0, 5.5))]) == (2, 1, 7, 5)


def test_the_stored_form_names_kind_and_numbers() -> None:
    """A reader needs nothing else."""
    stored = prompts_json([Prompt("point", (1.0, 2.5)), Prompt("box", (0.0, 1.0, 2.0, 3.0))])
    assert json.loads(stored) == [{"point": [1, 2.5]}, {"box": [0, 1, 2, 3]}]
