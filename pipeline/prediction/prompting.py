"""Clicks and boxes as a person types them."""

import math

from pipeline.datasets.prompts import Prompt
from pipeline.errors import ParamsError

FORMS = {"point": "X,Y", "box": "X0,Y0,X1,Y1"}
"""How each kind of prompt is written, in pixels of the upright photo; columns and rows count from 0, inclusive."""


def parse_prompt(kind: str, text: str) -> Prompt:
    """Return the prompt that `text` writes.

    Args:
        kind: `point` or `box`.
        text: Numbers with commas; the corners of a box in any order.

    Raises:
        ParamsError: If the text has another form.
    """
    form = FORMS[kind]
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ParamsError(f"{text!r} is no {kind}; write pixels as {form}") from error
    if len(numbers) != form.count(",") + 1 or not all(map(math.isfinite, numbers)):
        raise ParamsError(f"{text!r} is no {kind}; write pixels as {form}, counted from 0")
    if kind == "point":
        return Prompt(kind, tuple(numbers))
    (x0, x1), (y0, y1) = sorted(numbers[0::2]), sorted(numbers[1::2])
    return Prompt(kind, (x0, y0, x1, y1))
